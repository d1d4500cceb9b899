//! Who decides: scheduling policies, learned or not. No torch.

pub mod comparison;
pub mod evaluate;
pub mod explain;
pub mod frozen;
mod frozen_card;
pub mod heuristics;
pub mod kernel;
pub mod learned;
pub mod net;
mod net_layout;
pub mod optimise;
pub mod packing;
pub mod policy;
pub mod registry;
pub mod search;
pub mod speed;
pub mod stats;
pub mod tune;
pub mod tuned;
