//! How many requests share a batch, and when a batch is full enough to go.
//!
//! Sources: batches of a fixed size, Bailey (1954); waiting for `k`, the control limit of Deb and Serfozo (1973), which
//! is the best rule there is for one server whose service time does not depend on the batch; the timeout is that of
//! Triton's dynamic batcher. `aimd` is the adaptive batch of Clipper (Crankshaw et al., NSDI'17), `deadline` the choice
//! of Nexus (Shen et al., SOSP'19) and Clockwork (Gujarati et al., OSDI'20), `symphony` the deferred dispatch of Symphony
//! (Chen et al., 2023).
//!
//! A batch takes the oldest requests of its stream, so that requests whose deadline cannot be met any more ride along with
//! the first that can.

use yardmaster_env::timing::{KindSlot, MAX_BATCH};
use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::View;

use super::Work;
use super::aimd::Aimd;
use crate::registry::{Parameter, Rule};

/// A batching rule.
#[derive(Clone, Debug, PartialEq)]
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
    /// All that wait, up to a cap that grows while deadlines are met and shrinks when one is missed; never holds.
    Aimd(Aimd),
    /// The largest batch with which the oldest request that can still be in time is in time; all that wait where there
    /// is none. Never holds.
    Deadline,
    /// Holds until one request more would make the oldest late, which is the latest moment at which the batch that can
    /// have gathered by then may start; then as `Deadline`.
    Symphony {
        /// How long before that moment.
        margin: Span,
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
    Rule {
        name: "aimd",
        about: "all that wait, up to a cap that grows by `add` while deadlines are met and shrinks on a miss",
        parameters: &[
            Parameter {
                name: "add",
                default: 1.0,
                range: (0.01, MAX_BATCH as f64),
                whole: false,
                tries: &[0.25, 1.0, 4.0],
                about: "requests by which the cap grows after a full batch in time",
            },
            Parameter {
                name: "backoff",
                default: 0.9,
                range: (0.01, 1.0),
                whole: false,
                tries: &[0.5, 0.75, 0.9],
                about: "factor of the cap after a batch with a miss",
            },
            Parameter {
                name: "waits",
                default: 0.0,
                range: (0.0, 1.0),
                whole: true,
                tries: &[0.0, 1.0],
                about: "0 looks at the time that a batch takes, 1 at deadlines",
            },
        ],
        make: |values| Batching::Aimd(Aimd::new(values[0], values[1], values[2] > 0.0)),
    },
    Rule {
        name: "deadline",
        about: "the largest batch that still meets the deadline of its oldest request",
        parameters: &[],
        make: |_| Batching::Deadline,
    },
    Rule {
        name: "symphony",
        about: "hold until one request more would make the oldest late",
        parameters: &[Parameter {
            name: "margin",
            default: 1.0,
            range: HOLDS_MS,
            whole: false,
            tries: &[0.0, 1.0, 2.0, 5.0, 10.0],
            about: "how long before the last moment the batch goes, in milliseconds",
        }],
        make: |values| Batching::Symphony { margin: millis(values[0]) },
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
            Batching::Aimd(_) => "aimd",
            Batching::Deadline => "deadline",
            Batching::Symphony { .. } => "symphony",
        }
    }

    /// Forgets what it has learned.
    pub fn reset(&mut self) {
        if let Batching::Aimd(aimd) = self {
            aimd.reset();
        }
    }

    /// The batch to serve on a kind now; a training or rigid job has its batch already.
    pub fn choose(&mut self, view: &View<'_>, work: Work, slot: KindSlot) -> Serve {
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
        match self {
            Batching::One => Serve::Now(1),
            Batching::Largest => Serve::Now(most),
            Batching::Timeout { wait } => hold_until(u32::MAX, *wait, most),
            Batching::WaitFor { count, wait } => hold_until(*count, *wait, most),
            Batching::Fixed { count, wait } => {
                hold_until(*count, *wait, view.timing.largest(stream, slot, (*count).min(most)))
            }
            Batching::Aimd(aimd) => Serve::Now(aimd.choose(view, stream, slot)),
            Batching::Deadline => Serve::Now(in_time(view, work, stream, slot)),
            Batching::Symphony { margin } => match last_moment(view, work, stream, slot) {
                Some(last) if last > view.now + *margin => Serve::Hold(Time(last.0 - margin.0)),
                _ => Serve::Now(in_time(view, work, stream, slot)),
            },
        }
    }
}

/// The largest batch that ends before the deadline of the first request that it can be in time for; without such a
/// request, all that wait.
fn in_time(view: &View<'_>, work: Work, stream: usize, slot: KindSlot) -> u32 {
    let most = work.most(view, slot);
    let setup = view.setup_on(work.job, slot);
    let end = |batch: u32| view.timing.batch(stream, slot, batch).map(|span| view.now + setup + span);
    let mut sizes = (1..=most).filter_map(|batch| Some((batch, end(batch)?)));
    // To be served a request needs a batch that reaches it.
    let meets = |&(batch, end): &(u32, Time)| {
        let request = view.streams[stream].queue[batch as usize - 1];
        view.job(request).deadline.is_none_or(|deadline| end <= deadline).then_some(request)
    };
    let Some((first, request)) = sizes.find_map(|size| Some((size.0, meets(&size)?))) else { return most };
    let deadline = view.job(request).deadline.unwrap_or(Time::MAX);
    let larger = sizes.take_while(|&(_, end)| end <= deadline).last();
    larger.map_or(first, |(batch, _)| batch)
}

/// When a batch with one request more would have to start for the oldest to be in time; `None` if no larger batch can
/// come, or the oldest has no deadline.
fn last_moment(view: &View<'_>, work: Work, stream: usize, slot: KindSlot) -> Option<Time> {
    let waiting = view.streams[stream].queue.len() as u32;
    let larger = (waiting + 1..=view.timing.max_batch(stream, slot))
        .find_map(|batch| view.timing.batch(stream, slot, batch))?;
    let deadline = view.job(work.job).deadline?;
    Some(Time(deadline.0.saturating_sub((view.setup_on(work.job, slot) + larger).0)))
}

/// The batch of work that leaves no choice.
pub fn own_batch(view: &View<'_>, work: Work) -> u32 {
    view.default_batch(work.job)
}
