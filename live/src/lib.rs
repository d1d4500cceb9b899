//! A policy at work: what stands between a frozen policy and the systems that ask it.
//!
//! Everything with a socket, a clock or an async runtime lives here, so that `yardmaster-env` and `yardmaster-agent`
//! stay pure and a program that only wants decisions links neither.

pub mod audit;
pub mod clock;
mod connections;
pub mod extender;
pub mod gateway;
pub mod load;
pub mod policy;
pub mod reason;
pub mod regret;
pub mod replay;
pub mod serve;
pub mod slurm;
