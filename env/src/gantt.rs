//! STUB
use crate::sim::Simulator;
/// s
pub fn text(_: &Simulator, _: usize) -> String {
    String::new()
}
/// s
pub fn svg(_: &Simulator) -> String {
    String::new()
}
