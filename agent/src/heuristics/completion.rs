//! Rules that choose work and devices together, by when the work would end and what that takes of the cluster.
//!
//! Of all waiting work the one is started whose best start costs least, provided that its best devices are free; work
//! whose best devices are busy is left to wait for them. The cost of job `j` on kind `k` is
//!
//! `alpha * wait[k] + compute[j][k] * inefficiency[j][k]^beta + fetch * setup[j][k]`,
//!
//! with `setup` what its data, model or restart takes, and the inefficiency of [`Prices`]. With alpha 1, beta 0 and fetch 1
//! it is minimum completion time with min-min as the order (Maheswaran et al. 1999, Ibarra and Kim 1977).

use smallvec::smallvec;
use yardmaster_env::releases::Releases;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::{Decision, View};

use super::batching::{Batching, Serve};
use super::moves::{Move, Mover};
use super::prices::Prices;
use super::ranked::Ranked;
use super::ways::{Form, Width};
use super::{Work, waiting};
use crate::policy::Policy;

/// What the rule weighs. The default is minimum completion time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Whether a piece of work may wait for a busy device that would still cost less.
    pub patient: bool,
    /// Of the wait.
    pub alpha: f64,
    /// Exponent of the inefficiency.
    pub beta: f64,
    /// Of bringing data, loading a model, and restarting.
    pub fetch: f64,
    /// Work that computes longer than this leaves devices free.
    pub long: Span,
    /// How many of each kind.
    pub spare: u32,
    /// How much longer than it has run what outlives its estimate is expected to run.
    pub overdue: f64,
    /// Exponent of the gang in the order of what could start; above 0 narrow jobs come first.
    pub narrow: f64,
    /// How wide jobs run that leave the choice.
    pub width: Width,
    /// When to cut off what runs.
    pub mover: Mover,
}

impl Default for Weights {
    fn default() -> Weights {
        let (alpha, beta, fetch, spare) = (1.0, 0.0, 1.0, 0);
        let (long, overdue, narrow) = (Span::MAX, 0.0, 0.0);
        let (width, mover) = (Width::Own, Mover::default());
        Weights { patient: true, alpha, beta, fetch, long, spare, overdue, narrow, width, mover }
    }
}

/// The work that costs least, on the devices where it costs least.
#[derive(Clone, Debug)]
pub struct EarliestCompletion {
    name: String,
    weights: Weights,
    batching: Batching,
    prices: Prices,
    releases: Releases,
    /// Whether the releases are those of this moment: most decisions need none.
    filled: bool,
    ranked: Ranked,
    /// What was cut off for whom; it is carried out in the next decision of the same moment.
    planned: Option<(Time, Work, Form)>,
}

/// The best that can be had for a piece of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    /// What is compared.
    cost: Span,
    /// How long until it ends.
    pub(super) end: Span,
    form: Form,
    /// Whether it could start now.
    pub(super) now: bool,
}

impl EarliestCompletion {
    /// Earliest finish over free devices: never waits.
    pub fn eft(name: impl Into<String>, batching: Batching) -> EarliestCompletion {
        EarliestCompletion::new(name, Weights { patient: false, ..Weights::default() }, batching)
    }

    /// Minimum completion time: a job whose best device is busy is left to wait for it.
    pub fn mct(name: impl Into<String>, batching: Batching) -> EarliestCompletion {
        EarliestCompletion::new(name, Weights::default(), batching)
    }

    /// With these weights.
    pub fn new(name: impl Into<String>, weights: Weights, batching: Batching) -> EarliestCompletion {
        EarliestCompletion {
            name: name.into(),
            weights,
            batching,
            prices: Prices::default(),
            releases: Releases::default(),
            filled: false,
            ranked: Ranked::default(),
            planned: None,
        }
    }

    /// Where and how the work costs least. Without a use for devices that are busy (`free_only`), only work that could
    /// start somewhere is looked at.
    fn best(&mut self, view: &View<'_>, work: Work, free_only: bool) -> Option<Best> {
        let slots = 0..view.timing.kinds();
        if free_only && !slots.clone().any(|slot| self.weights.width.fits(view, work, slot)) {
            return None;
        }
        let mut best: Option<Best> = None;
        let cheapest = self.cheapest(view, work);
        // Newer kinds stand last and rule out most of the others. Of equals the first kind is best all the same.
        for slot in slots.rev() {
            let dear = cheapest.map_or(1.0, |cheapest| self.dear(view, work, slot, cheapest));
            let beats = |cost: Span, best: Option<Best>| {
                best.is_none_or(|best| (cost, slot) < (best.cost, best.form.slot))
            };
            let worth = |compute: Span| beats(compute.scaled(dear), best);
            for form in self.weights.width.forms(view, work, slot, worth) {
                let Form { compute, setup, .. } = form;
                let least = compute.scaled(dear) + setup.scaled(self.weights.fetch);
                if !beats(least, best) {
                    // Even without a wait it would not cost less.
                    continue;
                }
                let Some((wait, now)) = self.wait(view, form) else { continue };
                // Requests are too short to price what they take from others.
                let alpha = if work.stream.is_some() { 1.0 } else { self.weights.alpha };
                let cost = wait.scaled(alpha) + least;
                if beats(cost, best) {
                    best = Some(Best { cost, end: wait + compute + setup, form, now });
                }
            }
        }
        best
    }

    /// Whether a job costs as much wherever it runs, as can be told without asking where that is best: no factor makes
    /// it cost less than it computes. Where jobs leave their width open, or requests hold on for a fuller batch, it cannot.
    fn costs_at_least(&self, view: &View<'_>, work: Work, cost: Span) -> bool {
        work.stream.is_none() && !self.weights.width.is_open(view, work) && work.shortest(view) >= cost
    }

    /// What the work takes of the cluster where that is least, at today's prices; `None` where they do not count.
    fn cheapest(&self, view: &View<'_>, work: Work) -> Option<f64> {
        if self.weights.beta == 0.0 || work.stream.is_some() {
            return None;
        }
        let prices = (0..view.timing.kinds()).filter_map(|slot| self.price(view, work, slot));
        Some(prices.fold(f64::INFINITY, f64::min)).filter(|least| *least > 0.0)
    }

    fn price(&self, view: &View<'_>, work: Work, slot: KindSlot) -> Option<f64> {
        self.prices.known(slot).and_then(|price| Some(price * work.span(view, slot)?.as_secs_f64()))
    }

    /// The factor for what the work takes from others: what it takes here over the least, to the power of `beta`.
    fn dear(&self, view: &View<'_>, work: Work, slot: KindSlot, cheapest: f64) -> f64 {
        let inefficiency = self.price(view, work, slot).map_or(1.0, |price| price / cheapest);
        if self.weights.beta == 1.0 { inefficiency } else { libm::pow(inefficiency, self.weights.beta) }
    }

    /// How long until devices should be free, and whether they are; `None` if they will not be waited for.
    fn wait(&mut self, view: &View<'_>, form: Form) -> Option<(Span, bool)> {
        let needed = form.gang + self.spared(view, form);
        if view.free_by_kind[form.slot] >= needed {
            return Some((Span::ZERO, true));
        }
        if !self.weights.patient {
            return None;
        }
        if !self.filled {
            self.releases.fill_with(view, self.weights.overdue);
            self.filled = true;
        }
        self.releases.wait(form.slot, needed).map(|wait| (wait, false))
    }

    /// Devices that the work must leave free: none if that were more than there are.
    fn spared(&self, view: &View<'_>, form: Form) -> u32 {
        if self.weights.spare == 0 || form.compute <= self.weights.long {
            return 0;
        }
        self.weights.spare.min(view.in_service[form.slot].saturating_sub(form.gang))
    }

    /// The cheapest start; else until when to hold a batch.
    fn start(&mut self, view: &View<'_>) -> Result<Decision, Option<Time>> {
        let mut until: Option<Time> = None;
        let mut chosen: Option<(Span, Work, Form, u32)> = None;
        for work in waiting(view) {
            if chosen.is_some_and(|(least, ..)| self.costs_at_least(view, work, least)) {
                continue;
            }
            let Some(Best { cost, form, now: true, .. }) = self.best(view, work, true) else { continue };
            let cost = self.narrowed(cost, form.gang);
            match self.batching.choose(view, work, form.slot) {
                Serve::Now(batch) if chosen.is_none_or(|(least, ..)| cost < least) => {
                    chosen = Some((cost, work, form, batch));
                }
                Serve::Now(_) => {}
                Serve::Hold(due) => until = Some(until.map_or(due, |until| until.min(due))),
            }
        }
        let start = chosen.and_then(|(_, work, form, batch)| form.start(view, work, batch));
        start.ok_or(until)
    }

    /// What decides who starts first.
    fn narrowed(&self, cost: Span, gang: u32) -> Span {
        match self.weights.narrow {
            0.0 => cost,
            narrow => cost.scaled(libm::pow(f64::from(gang), narrow)),
        }
    }

    /// What to cut off, if that is allowed and pays.
    fn cut(&mut self, view: &View<'_>) -> Option<Decision> {
        if !self.weights.mover.may(view) {
            return None;
        }
        let mover = self.weights.mover;
        let found = match mover.victims(view) {
            Some(victims) => {
                let mut found: Option<(Span, Move)> = None;
                for work in waiting(view) {
                    if found.as_ref().is_some_and(|(least, _)| self.costs_at_least(view, work, *least)) {
                        continue;
                    }
                    let Some(best) = self.best(view, work, false).filter(|best| !best.now) else { continue };
                    if found.as_ref().is_some_and(|(least, _)| best.cost >= *least) {
                        continue;
                    }
                    let cut = victims.cut_for(view, &self.weights, work, best.end);
                    found = cut.map(|cut| (best.cost, cut)).or(found);
                }
                found.map(|(_, cut)| cut)
            }
            None => None,
        };
        let Move { run, work, form } = found.or_else(|| mover.migrate(view, &self.weights))?;
        self.planned = Some((view.now, work, form));
        Some(Decision::Preempt { run })
    }

    /// What the devices were freed for a moment ago, if it can still have them.
    fn planned(&mut self, view: &View<'_>) -> Option<Decision> {
        let (then, work, form) = self.planned.take()?;
        let waits = then == view.now && waiting(view).any(|other| other == work);
        let fits = waits && view.free_by_kind[form.slot] >= form.gang;
        let batch =
            if work.stream.is_some() { work.most(view, form.slot) } else { view.default_batch(work.job) };
        fits.then(|| form.start(view, work, batch)).flatten()
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

    fn fork(&self) -> Option<Box<dyn Policy>> {
        let mut fork = self.clone();
        fork.prices.fix();
        Some(Box::new(fork))
    }

    fn reset(&mut self, _seed: u64) {
        self.ranked.reset();
        self.prices.reset();
        self.batching.reset();
        self.planned = None;
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        if view.discipline.commits() {
            return self.reserve(view);
        }
        self.filled = false;
        if self.weights.beta != 0.0 {
            self.prices.update(view);
        }
        if let Some(start) = self.planned(view) {
            return start;
        }
        match self.start(view) {
            Ok(start) => start,
            Err(until) => self.cut(view).unwrap_or(Decision::Wait { until }),
        }
    }
}
