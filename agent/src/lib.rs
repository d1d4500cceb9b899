//! Who decides: scheduling policies, learned or not. No torch, no async runtime.
//!
//! A frozen policy is loaded in one line, asked in another, and answers in a third. [`Learned::load`] refuses a file that
//! reads features which this version does not compute, or whose golden outputs this build does not reproduce.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use yardmaster_env::{sim::Simulator, spec::{self, Split}};
//! # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../checkpoints/pool12.safetensors");
//! # let world = spec::builtin("pool12")?.world(Split::Test.seed(1, 0))?;
//! # let mut cluster = Simulator::new(Arc::new(world));
//! use yardmaster_agent::{learned::Learned, policy::Policy};
//!
//! // `file` is a frozen policy such as checkpoints/pool12.safetensors, `cluster` whatever lends a `View`: the simulator,
//! // or a service that has read the state of a real cluster.
//! let mut policy = Learned::load(file)?;
//! let view = cluster.next_decision().expect("jobs wait and devices are free");
//! let decision = policy.decide(&view);
//! # assert_eq!(policy.name(), "pool12");
//! # assert!(matches!(decision, yardmaster_env::view::Decision::Start { .. }), "{decision:?}");
//! # cluster.apply(decision)?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Learned::load`]: learned::Learned::load

pub mod comparison;
pub mod evaluate;
pub mod explain;
pub mod frozen;
mod frozen_card;
mod frozen_features;
pub mod heuristics;
pub mod kernel;
pub mod learned;
pub mod net;
mod net_layout;
pub mod onnx;
pub mod optimise;
pub mod packing;
pub mod policy;
pub mod registry;
pub mod search;
pub mod speed;
pub mod stats;
pub mod tune;
pub mod tuned;
