//! Load generators: open loops, whose requests leave when they are due and not when the one before was answered.

pub mod infer;
