//! How it learns: PPO on libtorch, the only crate that knows tch and TensorBoard.
//!
//! The learner is generic over [`env::Environment`] and is proven on small ones in `tests/`. What it shares with [`vector`],
//! PPO on flat observations, is proven on CartPole too.

pub mod adam;
pub mod batch;
pub mod checkpoint;
pub mod clock;
pub mod config;
pub mod curves;
pub mod device;
pub mod env;
pub mod gae;
pub mod init;
pub mod log;
pub mod losses;
pub mod net;
pub mod parity;
pub mod parts;
pub mod ppo;
pub mod rollout;
pub mod say;
pub mod scheduling;
pub mod seed;
pub mod settings;
pub mod sweep;
pub mod teach;
pub mod trainer;
pub mod vector;
