//! A serving rule for requests, and any other policy for jobs beside them.
//!
//! Requests come first: jobs are asked for only when no batch is to start, and see neither requests nor the devices that are
//! kept for them. Jobs shorter than the time that requests have may run there all the same: they are gone soon enough. Where
//! the scenario allows it, a job is cut off for requests that would be late otherwise. Where requests have become rare (`lull`),
//! nothing is kept for them: a device that stands by for nobody is half of a small cluster's training.

use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::{Decision, Discipline, Stream, View};

use super::serving::{Common, Serving};
use crate::policy::Policy;

/// `jobs+serving`.
pub struct Shared {
    name: String,
    serving: Serving,
    jobs: Box<dyn Policy>,
    /// The shortest time from arrival to deadline seen; `None` before the first deadline.
    patience: Option<Span>,
    /// What jobs are shown: streams without requests, and devices less those that are kept.
    streams: Vec<Stream>,
    free: Vec<u32>,
    free_by_kind: Vec<u32>,
}

impl Shared {
    /// Of two rules.
    pub fn new(name: impl Into<String>, serving: Serving, jobs: Box<dyn Policy>) -> Shared {
        let (streams, free, free_by_kind) = Default::default();
        Shared { name: name.into(), serving, jobs, patience: None, streams, free, free_by_kind }
    }

    fn decide_jobs(&mut self, view: &View<'_>) -> Decision {
        self.streams.clear();
        self.streams.extend(view.streams.iter().map(|of| Stream { model: of.model, queue: Vec::new() }));
        let Some(patience) = self.patience.filter(|_| self.keep_spare(view)) else {
            return self.jobs.decide(&View { streams: &self.streams, ..*view });
        };
        let (streams, free, free_by_kind) = (&self.streams, &self.free, &self.free_by_kind);
        let wait = match self.jobs.decide(&View { streams, free, free_by_kind, ..*view }) {
            wait @ Decision::Wait { .. } => wait,
            decision => return decision,
        };
        let on_all = self.jobs.decide(&View { streams, ..*view });
        let short = match &on_all {
            Decision::Start { job, nodes, .. } => {
                let slot = view.slot_of(nodes[0].node);
                view.estimate(*job, slot).is_some_and(|span| span <= patience)
            }
            _ => false,
        };
        // What fits on an idle cluster only must not wait for ever.
        if short || view.running.is_empty() { on_all } else { wait }
    }

    /// Takes the spare devices of each kind out of those that are free; `false` if there is nothing to take.
    fn keep_spare(&mut self, view: &View<'_>) -> bool {
        let Common { spare, lull, .. } = *self.serving.common();
        let served = |slot| (0..view.streams.len()).any(|stream| view.timing.is_served(stream, slot));
        if lull > 0.0 && is_lull(view, lull) {
            return false;
        }
        self.free.clear();
        self.free.extend_from_slice(view.free);
        self.free_by_kind.clear();
        self.free_by_kind.extend_from_slice(view.free_by_kind);
        for slot in (0..view.timing.kinds()).filter(|&slot| served(slot)) {
            let mut left = spare.min(self.free_by_kind[slot]);
            self.free_by_kind[slot] -= left;
            // From the last nodes, as placements prefer the first.
            for node in view.cluster.nodes_of(slot).iter().rev() {
                let taken = left.min(self.free[node.index()]);
                self.free[node.index()] -= taken;
                left -= taken;
            }
        }
        self.free_by_kind != view.free_by_kind
    }
}

/// Whether requests of all models come at less than this part of their usual rate.
fn is_lull(view: &View<'_>, part: f64) -> bool {
    (0..view.streams.len()).all(|stream| view.history.forecast.burst(view.now, Some(stream)) < part)
}

impl Policy for Shared {
    fn name(&self) -> &str {
        &self.name
    }

    fn fork(&self) -> Option<Box<dyn Policy>> {
        let (name, streams, free, free_by_kind) = Default::default();
        let (serving, jobs, patience) = (self.serving.clone(), self.jobs.fork()?, self.patience);
        Some(Box::new(Shared { name, serving, jobs, patience, streams, free, free_by_kind }))
    }

    fn reset(&mut self, seed: u64) {
        self.serving.reset();
        self.jobs.reset(seed);
        self.patience = None;
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        // Only this discipline has requests.
        if view.discipline != Discipline::Free {
            return self.jobs.decide(view);
        }
        let oldest = view.streams.iter().filter_map(|stream| Some(view.job(*stream.queue.first()?)));
        let patience = oldest.filter_map(|request| Some(request.deadline?.since(request.arrival))).min();
        self.patience = self.patience.into_iter().chain(patience).min();
        let until = match self.serving.choose(view) {
            Ok(start) => return start,
            Err(until) => until,
        };
        if let Some(cut) = self.serving.cut(view) {
            return cut;
        }
        if view.queue.is_empty() {
            return Decision::Wait { until };
        }
        match self.decide_jobs(view) {
            Decision::Wait { until: other } => Decision::Wait { until: earlier(until, other) },
            decision => decision,
        }
    }
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    one.into_iter().chain(other).min()
}
