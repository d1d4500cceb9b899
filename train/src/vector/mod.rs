//! PPO for any flat observation behind `yardmaster_env::gym::Env`: the learner's proof on worlds whose answer is known.
//!
//! It shares with the scheduling learner what decides whether a learner is right (advantages, optimiser, first
//! weights, streams of random numbers, names in the log), and has a network of its own: an observation here is a vector,
//! there it is a set of candidates. One thread, no libtorch.

pub mod cartpole;
mod config;
mod evaluate;
mod kernel;
pub mod net;
mod ppo;
mod rollout;
mod trainer;

pub use config::Config;
pub use evaluate::evaluate;
pub use ppo::{Minibatch, Update};
pub use rollout::{Rollout, Segment};
pub use trainer::Trainer;
