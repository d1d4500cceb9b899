//! Tests against running systems, which `make test` leaves out and `make test-live` runs.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

mod slurm;
