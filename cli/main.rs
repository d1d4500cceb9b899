//! The torch-free command.
fn main() {}
