//! The world: a deterministic, event-driven model of a heterogeneous cluster with a gym-like interface.
//!
//! No I/O and no clock: time, seeds and bytes are arguments.

pub mod aim;
pub mod calibrate;
pub mod candidates;
pub mod catalog;
pub mod check;
pub mod cluster;
pub mod data;
pub mod forecast;
pub mod gantt;
pub mod gym;
pub mod job;
pub mod loads;
pub mod metrics;
pub mod objective;
pub mod observe;
pub mod packing;
pub mod plot;
pub mod releases;
pub mod rules;
pub mod serving;
pub mod sim;
pub mod snapshot;
pub mod spec;
mod suggest;
#[cfg(test)]
mod testing;
pub mod timing;
pub mod trace;
pub mod units;
pub mod view;
pub mod workload;
