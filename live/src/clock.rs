//! The one place that reads the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, 0 if the clock stands before.
#[allow(
    clippy::disallowed_methods,
    reason = "a live service needs the time of day for its log and for the age of a state"
)]
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
