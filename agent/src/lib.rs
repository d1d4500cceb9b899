//! Who decides: scheduling policies, learned or not. No torch.

pub mod evaluate;
pub mod heuristics;
pub mod policy;
pub mod registry;
pub mod stats;
