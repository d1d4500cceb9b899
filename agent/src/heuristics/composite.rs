//! Order + placement + batching, in one policy.

use smallvec::smallvec;
use yardmaster_env::units::Time;
use yardmaster_env::view::{Decision, Discipline, View};

use super::batching::{Batching, Serve};
use super::order::Order;
use super::placement::Placing;
use super::ranked::{Key, Ranked, float};
use super::{Work, streams, waiting};
use crate::policy::Policy;

/// Takes work by `order`, places it by `placing`, batches requests by `batching`.
#[derive(Clone, Debug)]
pub struct Composite {
    name: String,
    order: Order,
    placing: Placing,
    batching: Batching,
    ranked: Ranked,
}

impl Composite {
    /// A policy of three rules.
    pub fn new(name: impl Into<String>, order: Order, placing: Placing, batching: Batching) -> Composite {
        Composite { name: name.into(), order, placing, batching, ranked: Ranked::default() }
    }

    /// The first of some work by this order.
    fn first(&self, view: &View<'_>, works: impl Iterator<Item = Work>) -> Option<Work> {
        let mut best: Option<((f64, f64), Work)> = None;
        for work in works {
            let key = self.order.key(view, work);
            // Strictly lower: among equals the earlier stays. NaN (0/0 in a published key) never comes first.
            if best.is_none_or(|(least, _)| key < least) {
                best = Some((key, work));
            }
        }
        best.map(|(_, work)| work)
    }

    /// The first of all acceptable work by this order.
    fn head(&mut self, view: &View<'_>, accept: impl Fn(&Work) -> bool) -> Option<Work> {
        let order = self.order;
        let key = |work| -> Option<Key> {
            let (first, second) = order.key(view, work);
            Some((float(first)?, float(second)?))
        };
        let ranked = if order.drifts() { None } else { self.ranked.first(view, key, &accept) };
        let Some(job) = ranked else { return self.first(view, waiting(view).filter(accept)) };
        let head = self.first(view, job.into_iter().chain(streams(view).filter(&accept)));
        debug_assert_eq!(head, self.first(view, waiting(view).filter(&accept)), "the kept order is wrong");
        head
    }

    /// The head of the queue, with the order behind it where that decides ties: under backfilling, and when keys
    /// change with time.
    fn reserve(&mut self, view: &View<'_>) -> Decision {
        let Some(head) = self.head(view, |_| true) else { return Decision::Wait { until: None } };
        let backfills = view.discipline == Discipline::CommitBackfill && !view.fits(head.job, 0);
        if !backfills && !self.order.drifts() {
            return Decision::Reserve { order: smallvec![head.job] };
        }
        let mut keyed: Vec<((f64, f64), Work)> =
            waiting(view).map(|work| (self.order.key(view, work), work)).collect();
        keyed.sort_by(|(one, _), (other, _)| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
        Decision::Reserve { order: keyed.into_iter().map(|(_, work)| work.job).collect() }
    }

    /// Cuts off a run for the work that is first, or waits until that may be due.
    fn cut(&mut self, view: &View<'_>) -> Decision {
        let Some(head) = self.head(view, |_| true) else { return Decision::Wait { until: None } };
        match self.order.victim(view, head) {
            Some(run) => Decision::Preempt { run },
            None => Decision::Wait { until: self.order.next_cut(view) },
        }
    }

    /// The start of a piece of work, or until when to hold it; `None` if it fits nowhere.
    fn start(&mut self, view: &View<'_>, work: Work) -> Option<Result<Decision, Time>> {
        let (slot, nodes) = self.placing.choose(view, work)?;
        Some(match self.batching.choose(view, work, slot) {
            Serve::Now(batch) => {
                let variant = work.variant(view, slot);
                Ok(Decision::Start { job: work.job, nodes, batch, variant })
            }
            Serve::Hold(until) => Err(until),
        })
    }
}

impl Policy for Composite {
    fn name(&self) -> &str {
        &self.name
    }

    fn fork(&self) -> Option<Box<dyn Policy>> {
        Some(Box::new(self.clone()))
    }

    fn reset(&mut self, seed: u64) {
        self.placing.reset(seed);
        self.batching.reset();
        self.ranked.reset();
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        if view.discipline.commits() {
            return self.reserve(view);
        }
        let blocks = self.order.blocks();
        let slots = 0..view.timing.kinds();
        let fits = |work: &Work| slots.clone().any(|slot| work.fits(view, slot));
        let mut held: Vec<Work> = Vec::new();
        let mut until: Option<Time> = None;
        loop {
            let open = |work: &Work| !held.contains(work) && (blocks || fits(work));
            let Some(work) = self.head(view, open) else { break };
            match self.start(view, work) {
                Some(Ok(start)) => return start,
                Some(Err(due)) => {
                    until = Some(until.map_or(due, |until| until.min(due)));
                    held.push(work);
                }
                None => break,
            }
        }
        if held.is_empty() && self.order.cuts(view) {
            return self.cut(view);
        }
        Decision::Wait { until }
    }
}
