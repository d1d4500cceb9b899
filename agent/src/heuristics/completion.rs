//! Rules that choose work and devices together, by when the work would end.
//!
//! Sources: minimum completion time and min-min, Maheswaran et al. (1999), Ibarra and Kim (1977).

use smallvec::smallvec;
use yardmaster_env::releases::Releases;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::Span;
use yardmaster_env::view::{Decision, View};

use super::batching::{Batching, Serve};
use super::ranked::Ranked;
use super::{Work, waiting};
use crate::policy::Policy;

/// The work that ends first, on the devices where it ends first.
#[derive(Clone, Debug)]
pub struct EarliestCompletion {
    name: String,
    /// Whether a piece of work may wait for a busy device that would still end it sooner.
    patient: bool,
    batching: Batching,
    releases: Releases,
    /// Whether the releases are those of this moment: most decisions need none.
    filled: bool,
    ranked: Ranked,
}

impl EarliestCompletion {
    /// Earliest finish over free devices: never waits.
    pub fn eft(name: impl Into<String>, batching: Batching) -> EarliestCompletion {
        EarliestCompletion::new(name.into(), false, batching)
    }

    /// Minimum completion time: a job whose best device is busy is left to wait for it.
    pub fn mct(name: impl Into<String>, batching: Batching) -> EarliestCompletion {
        EarliestCompletion::new(name.into(), true, batching)
    }

    fn new(name: String, patient: bool, batching: Batching) -> EarliestCompletion {
        let (releases, ranked) = (Releases::default(), Ranked::default());
        EarliestCompletion { name, patient, batching, releases, filled: false, ranked }
    }

    /// The kind on which the work ends first and how long until then, if that kind is free now.
    fn best(&mut self, view: &View<'_>, work: Work) -> Option<(Span, KindSlot)> {
        let gang = view.job(work.job).gang;
        let slots = 0..view.timing.kinds();
        if !slots.clone().any(|slot| work.fits(view, slot)) {
            return None;
        }
        let mut best: Option<(Span, KindSlot)> = None;
        for slot in slots {
            let Some(span) = work.span(view, slot) else { continue };
            let span = span + view.setup_on(work.job, slot);
            if best.is_some_and(|(least, _)| span >= least) {
                // Even without a wait it would not end sooner.
                continue;
            }
            let wait = if work.fits(view, slot) { Some(Span::ZERO) } else { self.wait(view, slot, gang) };
            let Some(end) = wait.map(|wait| wait + span) else { continue };
            if best.is_none_or(|(least, _)| end < least) {
                best = Some((end, slot));
            }
        }
        best.filter(|&(_, slot)| work.fits(view, slot))
    }

    fn wait(&mut self, view: &View<'_>, slot: KindSlot, gang: u32) -> Option<Span> {
        if !self.patient {
            return None;
        }
        if !self.filled {
            self.releases.fill(view);
            self.filled = true;
        }
        self.releases.wait(slot, gang)
    }

    /// The shortest work is next.
    fn reserve(&mut self, view: &View<'_>) -> Decision {
        let key = |work: Work| Some((work.shortest(view).0, 0));
        // The batch-queue disciplines have no streams.
        let first = match self.ranked.first(view, key, |_| true) {
            Some(first) => first,
            None => waiting(view).min_by_key(|work| work.shortest(view)),
        };
        debug_assert_eq!(
            first,
            waiting(view).min_by_key(|work| work.shortest(view)),
            "the kept order is wrong"
        );
        first.map_or(Decision::Wait { until: None }, |work| Decision::Reserve { order: smallvec![work.job] })
    }
}

impl Policy for EarliestCompletion {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, _seed: u64) {
        self.ranked.reset();
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        if view.discipline.commits() {
            return self.reserve(view);
        }
        self.filled = false;
        let mut until = None;
        let mut chosen: Option<(Span, Work, KindSlot, u32)> = None;
        for work in waiting(view) {
            let Some((end, slot)) = self.best(view, work) else { continue };
            match self.batching.choose(view, work, slot) {
                Serve::Now(batch) if chosen.is_none_or(|(least, ..)| end < least) => {
                    chosen = Some((end, work, slot, batch));
                }
                Serve::Now(_) => {}
                Serve::Hold(due) => {
                    until = Some(until.map_or(due, |until: yardmaster_env::units::Time| until.min(due)));
                }
            }
        }
        chosen
            .and_then(|(_, work, slot, batch)| {
                let nodes = view.place_job(work.job, slot)?;
                Some(Decision::Start { job: work.job, nodes, batch, variant: work.variant(view, slot) })
            })
            .unwrap_or(Decision::Wait { until })
    }
}
