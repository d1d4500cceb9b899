//! Who decides: scheduling policies, learned or not. No torch.

pub mod kernel;
pub mod net;
mod net_layout;
