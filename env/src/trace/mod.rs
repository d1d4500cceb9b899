//! Readers of recorded workloads.
