//! The world: a deterministic, event-driven model of a heterogeneous cluster with a gym-like interface.
//!
//! No I/O and no clock: time, seeds and bytes are arguments.

pub mod catalog;
pub mod cluster;
pub mod job;
pub mod observe;
mod suggest;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod units;
pub mod workload;
