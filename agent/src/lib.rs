//! Who decides: scheduling policies, learned or not. No torch.

pub mod frozen;
mod frozen_card;
pub mod kernel;
pub mod net;
mod net_layout;
