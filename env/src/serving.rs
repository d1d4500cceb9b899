//! How a scenario serves inference requests: which batch sizes there are, and what becomes of late requests.

use serde::{Deserialize, Serialize};

use crate::units::Span;

/// Serving rules of a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// What becomes of a request whose deadline passes while it waits.
    pub late: Late,
    /// Which batch sizes may be served.
    pub batches: Batches,
}

/// What becomes of a request whose deadline passes while it waits. One that is being served is always finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Late {
    /// It is served all the same, and counts as a miss.
    #[default]
    Serve,
    /// It leaves at its deadline and counts as a miss, charged once. Needs an objective that counts misses: by
    /// completion time, dropping everything would be the best schedule.
    Drop,
}

/// Which batch sizes may be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Batches {
    /// Any up to the largest of the table, with latencies interpolated between its rows.
    #[default]
    Any,
    /// Only those that the table has a row for, as servers that compile a model once for each batch size
    /// (Gujarati et al., Clockwork, OSDI'20).
    Measured,
}

/// A closed loop of clients, as a load generator runs it: each sends its next request when the one before has been
/// answered, or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// How many there are; all send their first request at time 0.
    pub count: u32,
    /// From an answer to the next request of the same client.
    pub think: Span,
    /// From a request to its deadline; none if absent.
    pub deadline: Option<Span>,
}

/// Whether a setting is what it is by default, and need not be written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
