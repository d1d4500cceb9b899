//! How many requests share a batch, and when a batch is full enough to go.
//!
//! Sources: batches of a fixed size, Bailey (1954); waiting for `k`, the control limit of Deb and Serfozo (1973), which
//! is the best rule there is for one server whose service time does not depend on the batch; the timeout is that of
//! Triton's dynamic batcher.

use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::View;

use super::Work;

/// A batching rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Batching {
    /// Each request alone.
    One,
    /// All that wait, up to the largest batch of the device; never holds.
    Largest,
    /// Holds until the batch is full or its oldest request has waited this long (Triton's dynamic batcher).
    Timeout {
        /// The longest hold.
        wait: Span,
    },
    /// Holds until `count` requests wait or the oldest has waited `wait`, then serves all that wait.
    WaitFor {
        /// Requests that must wait.
        count: u32,
        /// The longest hold.
        wait: Span,
    },
    /// As `WaitFor`, and never serves more than `count`.
    Fixed {
        /// Requests in a batch.
        count: u32,
        /// The longest hold.
        wait: Span,
    },
}

/// All batching rules with their names and what they do.
pub const BATCHINGS: [(&str, &str); 5] = [
    ("one", "each request alone"),
    ("largest", "all that wait, up to the device's largest batch"),
    ("timeout", "hold until full or the oldest has waited `ms` (default 5)"),
    (
        "wait-for",
        "hold until `k` (default 4) wait or the oldest has waited `ms` (default 1000), serve all that wait",
    ),
    (
        "fixed",
        "hold until `k` (default 4) wait or the oldest has waited `ms` (default 1000), serve no more than `k`",
    ),
];

/// Holds of `wait-for` and `fixed`: so long that they seldom end before the batch is there.
const PATIENCE: Span = Span::from_secs(1);

/// What a batching rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// Serve this many now.
    Now(u32),
    /// Hold until then.
    Hold(Time),
}

impl Batching {
    /// The rule of this name with its default parameters.
    pub fn named(name: &str) -> Option<Batching> {
        match name {
            "one" => Some(Batching::One),
            "largest" => Some(Batching::Largest),
            "timeout" => Some(Batching::Timeout { wait: Span::from_micros(5_000) }),
            "wait-for" => Some(Batching::WaitFor { count: 4, wait: PATIENCE }),
            "fixed" => Some(Batching::Fixed { count: 4, wait: PATIENCE }),
            _ => None,
        }
    }

    /// The rule with a parameter set; `None` if the value cannot be one.
    ///
    /// # Errors
    /// The names of the parameters, if this is none of them.
    pub fn with(self, key: &str, value: f64) -> Result<Option<Batching>, &'static [&'static str]> {
        let span = Span::from_secs_f64(value / 1e3);
        let whole =
            (value >= 1.0 && value <= f64::from(u32::MAX) && value.fract() == 0.0).then_some(value as u32);
        match (self, key) {
            (Batching::Timeout { .. }, "ms") => Ok(Some(Batching::Timeout { wait: span })),
            (Batching::WaitFor { count, .. }, "ms") => Ok(Some(Batching::WaitFor { count, wait: span })),
            (Batching::Fixed { count, .. }, "ms") => Ok(Some(Batching::Fixed { count, wait: span })),
            (Batching::WaitFor { wait, .. }, "k") => Ok(whole.map(|count| Batching::WaitFor { count, wait })),
            (Batching::Fixed { wait, .. }, "k") => Ok(whole.map(|count| Batching::Fixed { count, wait })),
            (Batching::One | Batching::Largest, _) => Err(&[]),
            (Batching::Timeout { .. }, _) => Err(&["ms"]),
            (Batching::WaitFor { .. } | Batching::Fixed { .. }, _) => Err(&["k", "ms"]),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Batching::One => "one",
            Batching::Largest => "largest",
            Batching::Timeout { .. } => "timeout",
            Batching::WaitFor { .. } => "wait-for",
            Batching::Fixed { .. } => "fixed",
        }
    }

    /// The batch to serve on a kind now; a training or rigid job has its batch already.
    pub fn choose(&self, view: &View<'_>, work: Work, slot: KindSlot) -> Serve {
        let Some(stream) = work.stream else { return Serve::Now(own_batch(view, work)) };
        let most = work.most(view, slot);
        let (oldest, waiting) = (view.job(work.job).arrival, view.streams[stream].queue.len() as u32);
        let largest = view.timing.max_batch(stream, slot);
        // A batch that fills the device goes at once: more requests would not join it.
        let hold_until = |count: u32, wait: Span, batch: u32| {
            let due = oldest + wait;
            let enough = waiting >= count.min(largest);
            if enough || due <= view.now { Serve::Now(batch) } else { Serve::Hold(due) }
        };
        match *self {
            Batching::One => Serve::Now(1),
            Batching::Largest => Serve::Now(most),
            Batching::Timeout { wait } => hold_until(u32::MAX, wait, most),
            Batching::WaitFor { count, wait } => hold_until(count, wait, most),
            Batching::Fixed { count, wait } => {
                hold_until(count, wait, view.timing.largest(stream, slot, count.min(most)))
            }
        }
    }
}

/// The batch of work that leaves no choice.
pub fn own_batch(view: &View<'_>, work: Work) -> u32 {
    view.default_batch(work.job)
}
