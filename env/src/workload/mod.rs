//! Generated workloads.
