//! Batch-mode mapping: all that waits is mapped onto the devices in turn, each time the piece of work that the rule
//! prefers, onto the kind where it ends first behind what has been mapped before it.
//!
//! Sources: min-min and max-min, Ibarra and Kim (1977); sufferage, Maheswaran et al. (1999). The map is made anew at each
//! moment; what it starts at once is started.

use yardmaster_env::releases::Releases;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::{Decision, View};

use super::batching::{Batching, Serve};
use super::completion::EarliestCompletion;
use super::{Work, waiting};
use crate::policy::Policy;

/// Work that is mapped: the shortest (for max-min, the longest) pieces of it.
const WORKS: usize = 64;

/// Which piece of work is mapped next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// The one that ends first.
    Min,
    /// The one that ends last.
    Max,
    /// The one that would lose most if it did not get its best kind.
    Sufferage,
}

/// Maps all that waits.
#[derive(Clone, Debug)]
pub struct Mapping {
    prefer: Prefer,
    batching: Batching,
    releases: Releases,
    /// By kind: when each device should be free, earliest first.
    ready: Vec<Vec<Time>>,
    /// For batch queues, and where waiting is not allowed.
    others: EarliestCompletion,
}

/// Where a piece of work would end first.
#[derive(Clone, Copy, Debug)]
struct Mapped {
    slot: KindSlot,
    start: Time,
    end: Time,
    /// What the second best kind would add.
    loss: Span,
}

impl Mapping {
    /// Maps by this rule.
    pub fn new(name: impl Into<String>, prefer: Prefer, batching: Batching) -> Mapping {
        let others = EarliestCompletion::eft(name, batching.clone());
        Mapping { prefer, batching, releases: Releases::default(), ready: Vec::new(), others }
    }

    fn fill(&mut self, view: &View<'_>) {
        self.releases.fill(view);
        self.ready.clear();
        for slot in 0..view.timing.kinds() {
            let free = std::iter::repeat_n(view.now, view.free_by_kind[slot] as usize);
            let ends = self.releases.ends(slot).iter();
            let busy = ends.flat_map(|&(end, devices)| std::iter::repeat_n(end, devices as usize));
            self.ready.push(free.chain(busy).collect());
        }
    }

    fn works(&self, view: &View<'_>) -> Vec<Work> {
        let mut works: Vec<Work> = waiting(view).collect();
        if works.len() > WORKS {
            let key = |work: &Work| (work.shortest(view), work.job);
            match self.prefer {
                Prefer::Max => works.sort_unstable_by_key(|work| std::cmp::Reverse(key(work))),
                _ => works.sort_unstable_by_key(key),
            }
            works.truncate(WORKS);
        }
        works
    }

    fn best(&self, view: &View<'_>, work: Work, spans: &[Option<Span>]) -> Option<Mapped> {
        let gang = view.job(work.job).gang.max(1) as usize;
        let mut best: Option<Mapped> = None;
        for (slot, &span) in spans.iter().enumerate() {
            let (Some(span), Some(&start)) = (span, self.ready[slot].get(gang - 1)) else { continue };
            let end = start + span;
            let worse = |mapped: &Mapped| Mapped { loss: mapped.loss.min(end.since(mapped.end)), ..*mapped };
            best = Some(match best {
                Some(mapped) if mapped.end <= end => worse(&mapped),
                Some(mapped) => Mapped { slot, start, end, loss: mapped.end.since(end) },
                None => Mapped { slot, start, end, loss: Span::MAX },
            });
        }
        best
    }

    /// Takes devices until then.
    fn take(&mut self, mapped: &Mapped, gang: usize) {
        let ready = &mut self.ready[mapped.slot];
        ready[..gang].fill(mapped.end);
        ready.sort_unstable();
    }

    /// The first piece of work that is mapped to begin now.
    fn decide_free(&mut self, view: &View<'_>) -> Decision {
        self.fill(view);
        let works = self.works(view);
        let span = |work: Work, slot| Some(work.span(view, slot)? + view.setup_on(work.job, slot));
        let spans = |&work: &Work| (0..view.timing.kinds()).map(|slot| span(work, slot)).collect();
        let spans: Vec<Vec<Option<Span>>> = works.iter().map(spans).collect();
        let mut left: Vec<usize> = (0..works.len()).collect();
        let mut until: Option<Time> = None;
        // Once nothing is free now, the rest of the map is of no interest.
        while self.ready.iter().any(|ready| ready.first() == Some(&view.now)) {
            let mapped = |at: usize| self.best(view, works[at], &spans[at]);
            let open = left.iter().enumerate().filter_map(|(place, &at)| Some((place, mapped(at)?)));
            let next = match self.prefer {
                // The first of equals.
                Prefer::Min => open.min_by_key(|(_, mapped)| mapped.end),
                Prefer::Max => open.min_by_key(|(_, mapped)| std::cmp::Reverse(mapped.end)),
                Prefer::Sufferage => open.min_by_key(|(_, mapped)| std::cmp::Reverse(mapped.loss)),
            };
            let Some((place, mapped)) = next else { break };
            let work = works[left.remove(place)];
            if mapped.start == view.now && work.fits(view, mapped.slot) {
                match self.batching.choose(view, work, mapped.slot) {
                    Serve::Now(batch) => {
                        if let Some(nodes) = view.place_job(work.job, mapped.slot) {
                            let variant = work.variant(view, mapped.slot);
                            return Decision::Start { job: work.job, nodes, batch, variant };
                        }
                    }
                    Serve::Hold(due) => {
                        until = Some(until.map_or(due, |until| until.min(due)));
                        continue;
                    }
                }
            }
            self.take(&mapped, view.job(work.job).gang as usize);
        }
        Decision::Wait { until }
    }
}

impl Policy for Mapping {
    fn name(&self) -> &str {
        self.others.name()
    }

    fn fork(&self) -> Option<Box<dyn Policy>> {
        Some(Box::new(self.clone()))
    }

    fn reset(&mut self, seed: u64) {
        self.batching.reset();
        self.others.reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        if view.discipline.commits() {
            return self.others.decide(view);
        }
        match self.decide_free(view) {
            Decision::Wait { until: None } if !view.may_wait => self.others.decide(view),
            decision => decision,
        }
    }
}
