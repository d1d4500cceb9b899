//! Who decides: scheduling policies, learned or not. No torch.

pub mod heuristics;
pub mod policy;
pub mod registry;
