//! Tiny worlds, scripted decisions, and what must come of them to the nanosecond, computed by hand in the comments.

#![allow(clippy::unwrap_used, reason = "a fault may end a test")]

#[path = "exact/cuts.rs"]
mod cuts;
#[path = "exact/data.rs"]
mod data;
#[path = "exact/estimates.rs"]
mod estimates;
#[path = "exact/failures.rs"]
mod failures;
#[path = "exact/loads.rs"]
mod loads;
#[path = "exact/machines.rs"]
mod machines;
#[path = "exact/memory.rs"]
mod memory;
#[path = "exact/pipelines.rs"]
mod pipelines;
#[path = "exact/replay.rs"]
mod replay;
#[path = "exact/script.rs"]
mod script;
#[path = "exact/ways.rs"]
mod ways;
