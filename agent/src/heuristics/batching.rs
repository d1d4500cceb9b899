//! How many requests share a batch, and when a batch is full enough to go.

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
}

/// All batching rules with their names and what they do.
pub const BATCHINGS: [(&str, &str); 3] = [
    ("one", "each request alone"),
    ("largest", "all that wait, up to the device's largest batch"),
    ("timeout", "hold until full or the oldest has waited `ms` (default 5)"),
];

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
            _ => None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Batching::One => "one",
            Batching::Largest => "largest",
            Batching::Timeout { .. } => "timeout",
        }
    }

    /// The batch to serve on a kind now; a training or rigid job has its batch already.
    pub fn choose(&self, view: &View<'_>, work: Work, slot: KindSlot) -> Serve {
        let Some(stream) = work.stream else { return Serve::Now(own_batch(view, work)) };
        let most = work.most(view, slot);
        match *self {
            Batching::One => Serve::Now(1),
            Batching::Largest => Serve::Now(most),
            Batching::Timeout { wait } => {
                let due = view.job(work.job).arrival + wait;
                let full = most == view.timing.max_batch(stream, slot);
                if full || due <= view.now { Serve::Now(most) } else { Serve::Hold(due) }
            }
        }
    }
}

/// The batch of work that leaves no choice.
pub fn own_batch(view: &View<'_>, work: Work) -> u32 {
    match view.job(work.job).task {
        yardmaster_env::job::Task::Training { batch, .. } => batch,
        _ => 1,
    }
}
