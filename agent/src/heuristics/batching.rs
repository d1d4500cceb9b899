//! How many requests share a batch, and when a batch is full enough to go.
//!
//! Sources: batches of a fixed size, Bailey (1954); waiting for `k`, the control limit of Deb and Serfozo (1973), which
//! is the best rule there is for one server whose service time does not depend on the batch; the timeout is that of
//! Triton's dynamic batcher.

use yardmaster_env::timing::{KindSlot, MAX_BATCH};
use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::View;

use super::Work;
use crate::registry::{Parameter, Rule};

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

/// All batching rules.
pub const BATCHINGS: &[Rule<Batching>] = &[
    Rule { name: "one", about: "each request alone", parameters: &[], make: |_| Batching::One },
    Rule {
        name: "largest",
        about: "all that wait, up to the device's largest batch",
        parameters: &[],
        make: |_| Batching::Largest,
    },
    Rule {
        name: "timeout",
        about: "hold until full or the oldest has waited long enough",
        parameters: &[Parameter {
            name: "ms",
            default: 5.0,
            range: HOLDS_MS,
            whole: false,
            tries: &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0],
            about: "the longest hold, in milliseconds",
        }],
        make: |values| Batching::Timeout { wait: millis(values[0]) },
    },
    Rule {
        name: "wait-for",
        about: "hold until `k` wait or the oldest has waited long enough, serve all that wait",
        parameters: &[COUNT, PATIENCE],
        make: |values| Batching::WaitFor { count: values[0] as u32, wait: millis(values[1]) },
    },
    Rule {
        name: "fixed",
        about: "hold until `k` wait or the oldest has waited long enough, serve no more than `k`",
        parameters: &[COUNT, PATIENCE],
        make: |values| Batching::Fixed { count: values[0] as u32, wait: millis(values[1]) },
    },
];

/// Holds that a rule may be given: none to an hour.
const HOLDS_MS: (f64, f64) = (0.0, 3_600_000.0);

const COUNT: Parameter = Parameter {
    name: "k",
    default: 4.0,
    range: (1.0, MAX_BATCH as f64),
    whole: true,
    tries: &[2.0, 4.0, 8.0, 16.0],
    about: "requests that must wait",
};

/// Holds of `wait-for` and `fixed`: so long that they seldom end before the batch is there.
const PATIENCE: Parameter = Parameter {
    name: "ms",
    default: 1000.0,
    range: HOLDS_MS,
    whole: false,
    tries: &[5.0, 20.0, 1000.0],
    about: "the longest hold, in milliseconds",
};

fn millis(ms: f64) -> Span {
    Span::from_secs_f64(ms / 1e3)
}

/// What a batching rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// Serve this many now.
    Now(u32),
    /// Hold until then.
    Hold(Time),
}

impl Batching {
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
