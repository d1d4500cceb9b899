//! Additive increase, multiplicative decrease of the largest batch (Clipper, Crankshaw et al., NSDI'17): the cap of a model on
//! a kind grows after each full batch that met its objective, and shrinks by a factor after one that did not.
//!
//! Clipper looks at the time that a batch takes by itself. Looking at deadlines instead, the wait counts as well; but then an
//! overload shrinks batches just when larger ones would end it.

use std::collections::BTreeMap;

use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{JobId, Span, Time};
use yardmaster_env::view::View;

/// Caps by model and kind, and the batches whose end will move them.
///
/// A policy is not asked while nothing can start, so that a batch may begin and end unseen. What was proposed last for a
/// stream has been started if its oldest request waits no more; when it ends is told by the estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct Aimd {
    add: f64,
    backoff: f64,
    waits: bool,
    caps: BTreeMap<(usize, KindSlot), f64>,
    /// By stream.
    proposed: BTreeMap<usize, Batch>,
    running: Vec<(usize, Batch)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Batch {
    oldest: JobId,
    slot: KindSlot,
    /// Whether the cap allowed no larger one.
    full: bool,
    /// Of its oldest request.
    deadline: Time,
    /// How long it may take by itself: from the arrival of its oldest request to the deadline.
    objective: Span,
    start: Time,
    finish: Time,
}

impl Aimd {
    /// Caps begin at 1, grow by `add` requests and shrink by the factor `backoff`; `waits` tells whether requests that
    /// miss their deadline are misses, or batches that take longer than from arrival to deadline.
    pub fn new(add: f64, backoff: f64, waits: bool) -> Aimd {
        let (caps, proposed, running) = Default::default();
        Aimd { add, backoff, waits, caps, proposed, running }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Aimd::new(self.add, self.backoff, self.waits);
    }

    /// The batch to start now: all that wait, up to the cap of the stream on this kind.
    pub fn choose(&mut self, view: &View<'_>, stream: usize, slot: KindSlot) -> u32 {
        self.observe(view);
        let cap = self.caps.get(&(stream, slot)).map_or(1, |&cap| cap as u32);
        let waiting = view.streams[stream].queue.len() as u32;
        let size = view.timing.largest(stream, slot, cap.min(waiting));
        let full = size == view.timing.largest(stream, slot, cap);
        if let Some(batch) = batch(view, stream, slot, size, full) {
            self.proposed.insert(stream, batch);
        }
        size
    }

    /// Takes in what has started, and what has ended.
    fn observe(&mut self, view: &View<'_>) {
        let begun = |stream: usize, batch: &Batch| view.streams[stream].queue.first() != Some(&batch.oldest);
        let (begun, proposed) =
            std::mem::take(&mut self.proposed).into_iter().partition(|(stream, batch)| begun(*stream, batch));
        self.proposed = proposed;
        self.running.extend::<BTreeMap<_, _>>(begun);
        let running = std::mem::take(&mut self.running).into_iter();
        let (ended, running): (Vec<_>, Vec<_>) = running.partition(|(_, batch)| batch.finish <= view.now);
        self.running = running;
        ended.iter().for_each(|(stream, batch)| self.learn(*stream, batch));
    }

    fn learn(&mut self, stream: usize, batch: &Batch) {
        let cap = self.caps.entry((stream, batch.slot)).or_insert(1.0);
        let missed = if self.waits {
            batch.finish > batch.deadline
        } else {
            batch.finish.since(batch.start) > batch.objective
        };
        if missed {
            *cap = (*cap * self.backoff).max(1.0);
        } else if batch.full {
            // A batch that was not full says nothing about a larger one.
            *cap += self.add;
        }
    }
}

/// The oldest requests of a stream as a batch that starts now; `None` if it cannot.
fn batch(view: &View<'_>, stream: usize, slot: KindSlot, size: u32, full: bool) -> Option<Batch> {
    let oldest = *view.streams[stream].queue.first()?;
    let job = view.job(oldest);
    let span = view.setup_on(oldest, slot) + view.timing.batch(stream, slot, size)?;
    Some(Batch {
        oldest,
        slot,
        full,
        deadline: job.deadline.unwrap_or(Time::MAX),
        objective: job.deadline.map_or(Span::MAX, |deadline| deadline.since(job.arrival)),
        start: view.now,
        finish: view.now + span,
    })
}
