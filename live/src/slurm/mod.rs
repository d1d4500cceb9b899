//! A policy that places the jobs of a Slurm partition.
//!
//! Jobs are submitted held (`sbatch -H`, or by a submit filter) with a mark in their comment. The adapter reads
//! `squeue --json` and `sinfo --json`, shows them to a policy as a [`View`](yardmaster_env::view::View), and lets what the policy
//! starts go: `scontrol update JobId=N ReqNodeList=NODES AdminComment=WHY`, then `scontrol release N`.
//!
//! **Invariant: no job is lost.** A job is changed in no other way than by its nodes, its remark, its priority where the
//! site says so, and its release; it is never cancelled, requeued or held. What cannot be placed is released to Slurm, or stays as it is
//! where the site prefers that. A job whose release failed is held with our remark, and is looked at again.

mod act;
mod adapter;
mod arrivals;
mod ask;
mod breaker;
mod client;
mod config;
mod error;
mod estimate;
mod event;
mod gres;
mod hostlist;
mod jobs;
mod json;
mod moment;
mod nodes;
mod plan;
mod site;
#[cfg(test)]
mod tests;

pub use self::adapter::{Adapter, Settings};
pub use self::client::{Commands, Slurm};
pub use self::config::{Config, Otherwise, Take};
pub use self::error::SlurmError;
pub use self::event::{Action, Event};
pub use self::jobs::JobKey;
