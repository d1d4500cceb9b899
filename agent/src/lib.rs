//! Who decides: scheduling policies, learned or not. No torch.
