//! Additive increase, multiplicative decrease of the largest batch (Clipper, Crankshaw et al., NSDI'17): the cap of a model on
//! a kind grows after each full batch that met its objective, and shrinks by a factor after one that did not.
//!
//! Clipper looks at the time that a batch takes by itself. Looking at deadlines instead, the wait counts as well; but then an
//! overload shrinks batches just when larger ones would end it.

use std::collections::BTreeMap;

use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::{Running, View};

/// Caps by model and kind, and the batches whose end will move them.
#[derive(Clone, Debug, PartialEq)]
pub struct Aimd {
    add: f64,
    backoff: f64,
    waits: bool,
    caps: BTreeMap<(usize, KindSlot), f64>,
    /// Batches that ran when last looked, in order of start.
    running: Vec<Batch>,
    /// Runs before this one have been seen.
    seen: u64,
}

/// A batch that runs.
#[derive(Clone, Debug, PartialEq)]
struct Batch {
    sequence: u64,
    key: (usize, KindSlot),
    size: u32,
    /// The earliest of its requests.
    deadline: Time,
    /// How long it may take by itself: the shortest time from arrival to deadline.
    objective: Span,
    start: Time,
    /// As far as is known.
    finish: Time,
}

impl Aimd {
    /// Caps begin at 1, grow by `add` requests and shrink by the factor `backoff`; `waits` tells whether requests that
    /// miss their deadline are misses, or batches that take longer than from arrival to deadline.
    pub fn new(add: f64, backoff: f64, waits: bool) -> Aimd {
        Aimd { add, backoff, waits, caps: BTreeMap::new(), running: Vec::new(), seen: 0 }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Aimd::new(self.add, self.backoff, self.waits);
    }

    /// The largest batch of a stream on a kind for now: at least 1.
    pub fn cap(&mut self, view: &View<'_>, stream: usize, slot: KindSlot) -> u32 {
        self.observe(view);
        self.caps.get(&(stream, slot)).map_or(1, |&cap| cap as u32)
    }

    /// Takes in what has started, and what has ended since.
    fn observe(&mut self, view: &View<'_>) {
        let mut running = std::mem::take(&mut self.running);
        running.retain_mut(|batch| {
            let found = view.running.binary_search_by_key(&batch.sequence, |run| run.sequence);
            match found {
                Ok(at) => batch.finish = view.running[at].expected_finish,
                Err(_) => self.learn(batch),
            }
            found.is_ok()
        });
        self.running = running;
        let new = view.running.partition_point(|run| run.sequence < self.seen);
        for run in &view.running[new..] {
            self.seen = run.sequence + 1;
            self.running.extend(batch(view, run));
        }
    }

    fn learn(&mut self, batch: &Batch) {
        let cap = self.caps.entry(batch.key).or_insert(1.0);
        let missed = match self.waits {
            true => batch.finish > batch.deadline,
            false => batch.finish.since(batch.start) > batch.objective,
        };
        if missed {
            *cap = (*cap * self.backoff).max(1.0);
        } else if batch.size >= *cap as u32 {
            // A batch that was not full says nothing about a larger one.
            *cap += self.add;
        }
    }
}

/// A run as a batch of requests; `None` if it is a job.
fn batch(view: &View<'_>, run: &Running) -> Option<Batch> {
    let model = view.job(*run.members.first()?).request_model()?;
    let deadlines = run.members.iter().filter_map(|&request| view.job(request).deadline);
    let objective = run.members.iter().filter_map(|&request| {
        let job = view.job(request);
        Some(job.deadline?.since(job.arrival))
    });
    Some(Batch {
        sequence: run.sequence,
        key: (view.timing.stream_of(model)?, run.slot),
        size: run.batch,
        deadline: deadlines.min().unwrap_or(Time::MAX),
        objective: objective.min().unwrap_or(Span::MAX),
        start: run.start,
        finish: run.expected_finish,
    })
}
