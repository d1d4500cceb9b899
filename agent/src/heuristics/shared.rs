//! A serving rule for requests, and any other policy for jobs beside them.
//!
//! Requests come first: jobs are asked for only when no batch is to start, and see neither requests nor the devices that are
//! kept for them. Where the scenario allows it, a job is cut off for requests that would be late otherwise.

use yardmaster_env::units::Time;
use yardmaster_env::view::{Decision, Discipline, Stream, View};

use super::serving::Serving;
use crate::policy::Policy;

/// `jobs+serving`.
pub struct Shared {
    name: String,
    serving: Serving,
    jobs: Box<dyn Policy>,
    /// What jobs are shown: streams without requests, and devices less those that are kept.
    streams: Vec<Stream>,
    free: Vec<u32>,
    free_by_kind: Vec<u32>,
}

impl Shared {
    /// Of two rules.
    pub fn new(name: impl Into<String>, serving: Serving, jobs: Box<dyn Policy>) -> Shared {
        let (streams, free, free_by_kind) = Default::default();
        Shared { name: name.into(), serving, jobs, streams, free, free_by_kind }
    }

    fn decide_jobs(&mut self, view: &View<'_>) -> Decision {
        self.streams.clear();
        self.streams.extend(view.streams.iter().map(|of| Stream { model: of.model, queue: Vec::new() }));
        if self.keep_spare(view) {
            let (streams, free, free_by_kind) = (&self.streams, &self.free, &self.free_by_kind);
            let rest = View { streams, free, free_by_kind, ..*view };
            let decision = self.jobs.decide(&rest);
            // What would start on an idle cluster must not wait for ever.
            if !matches!(decision, Decision::Wait { .. }) || !view.running.is_empty() {
                return decision;
            }
        }
        self.jobs.decide(&View { streams: &self.streams, ..*view })
    }

    /// Takes the spare devices of each kind out of those that are free; `false` if there is nothing to take.
    fn keep_spare(&mut self, view: &View<'_>) -> bool {
        let spare = self.serving.common().spare;
        let served = |slot| (0..view.streams.len()).any(|stream| view.timing.is_served(stream, slot));
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

impl Policy for Shared {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, seed: u64) {
        self.serving.reset();
        self.jobs.reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        // Only this discipline has requests.
        if view.discipline != Discipline::Free {
            return self.jobs.decide(view);
        }
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
