//! Rules that serve requests: which model, on which device, in which batch, all at once.
//!
//! Wherever a device is free, the batches that could start are compared by a [`Score`], and the best one starts. Of each model
//! and kind that are a full batch, three quarters, half and a quarter of it, and one request, always the oldest; a full batch
//! takes at most a part (`cap`) of the time from arrival to deadline, so that the batch behind it has a chance. A model waits for
//! a busy kind that would answer much sooner. The rules never hold a batch back to let it grow: while all devices are
//! busy it grows by itself.
//!
//! A batch takes the oldest requests, so that those whose deadline cannot be met are not dropped as Nexus would. Their stream
//! comes late, and flushes them in a large batch on the way to one that can still be in time.

mod backlog;
mod score;
mod table;

use yardmaster_env::releases::Releases;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::{Decision, Running, View};

use self::backlog::Backlog;
use self::score::Offer;
pub use self::score::Score;
pub use self::table::SERVINGS;
use super::prices::Prices;

/// Numbers that all serving rules take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Common {
    /// The longest batch, as a part of the time from arrival to deadline.
    pub cap: f64,
    /// A stream waits for a busy kind that would answer in less than this part of the time; 0 if it never waits.
    pub patience: f64,
    /// How many times loading a model counts, as it costs others their place in memory.
    pub warm: f64,
    /// Which variants are used.
    pub variants: Variants,
    /// Devices of each kind that jobs leave free for requests.
    pub spare: u32,
    /// Jobs may have all devices while requests come at less than this part of their usual rate.
    pub lull: f64,
    /// Whether jobs are cut off for requests that would be late otherwise.
    pub preempt: bool,
}

/// Which of the variants that are accurate enough serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variants {
    /// The reference, or the first that runs.
    Reference,
    /// The most accurate with which the oldest request that can still be in time is in time; the fastest if none is
    /// (Zhang et al., Model-Switching, HotCloud'20).
    Accurate,
    /// The fastest.
    Fastest,
}

/// A serving rule. It decides about streams and leaves jobs to others.
#[derive(Clone, Debug)]
pub struct Serving {
    score: Score,
    common: Common,
    prices: Prices,
    releases: Releases,
}

impl Serving {
    /// With nothing seen yet.
    pub fn new(score: Score, common: Common) -> Serving {
        Serving { score, common, prices: Prices::default(), releases: Releases::default() }
    }

    /// The numbers that it shares with the others.
    pub fn common(&self) -> &Common {
        &self.common
    }

    /// Forgets all episodes before.
    pub fn reset(&mut self) {
        self.prices.reset();
    }

    /// The batch to start now.
    ///
    /// # Errors
    /// When to ask again at the latest, if nothing is to start and the rule knows.
    pub fn choose(&mut self, view: &View<'_>) -> Result<Decision, Option<Time>> {
        if self.score.prices() {
            self.prices.update(view);
        }
        if view.streams.iter().all(|stream| stream.queue.is_empty()) {
            return Err(None);
        }
        self.releases.fill(view);
        let mut until: Option<Time> = None;
        let mut best: Option<((f64, f64), usize, Offer)> = None;
        for stream in 0..view.streams.len() {
            let Some(backlog) = self.backlog(view, stream) else { continue };
            let Some((score, offer)) = self.best(view, &backlog) else { continue };
            if let Some(due) = self.score.hold(view, &backlog, &offer) {
                until = Some(until.map_or(due, |until| until.min(due)));
            } else if best.is_none_or(|(most, ..)| score > most) {
                best = Some((score, stream, offer));
            }
        }
        best.and_then(|(_, stream, offer)| start(view, stream, &offer)).ok_or(until)
    }

    /// What waits for a model, as far as one batch can reach.
    fn backlog<'a>(&self, view: &View<'a>, stream: usize) -> Option<Backlog<'a>> {
        let reach = (0..view.timing.kinds())
            .flat_map(|slot| (0..view.timing.variants(stream)).map(move |variant| (slot, variant)))
            .map(|(slot, variant)| {
                let waiting = view.streams[stream].queue.len() as u32;
                view.timing.variant_largest(stream, variant, slot, waiting)
            });
        Backlog::new(view, stream, reach.max().unwrap_or(0) as usize, self.score.kappa())
    }

    /// The best batch of a stream on the kinds that are free and not too slow.
    fn best(&self, view: &View<'_>, backlog: &Backlog<'_>) -> Option<((f64, f64), Offer)> {
        let free = (0..view.timing.kinds()).filter(|&slot| view.free_by_kind[slot] > 0);
        let mut full: Vec<Offer> = free.filter_map(|slot| self.full(view, backlog, slot)).collect();
        if self.common.patience > 0.0 && !full.is_empty() {
            self.keep_quick(view, backlog, &mut full);
        }
        let mut best: Option<((f64, f64), Offer)> = None;
        for full in full {
            for offer in sizes(view, backlog.stream, full) {
                let score = self.score.of(view, backlog, &offer, self.common.warm, &self.prices);
                if best.is_none_or(|(most, _)| score > most) {
                    best = Some((score, offer));
                }
            }
        }
        best
    }

    /// The largest batch of a stream that may start on a kind.
    fn full(&self, view: &View<'_>, backlog: &Backlog<'_>, slot: KindSlot) -> Option<Offer> {
        let offer = |variant| self.full_variant(view, backlog, slot, variant);
        let all = || (0..view.timing.variants(backlog.stream)).filter_map(offer);
        let fastest = || all().min_by_key(|offer| (offer.compute, offer.variant));
        match self.common.variants {
            Variants::Reference => offer(view.timing.default_variant(backlog.stream, slot)),
            Variants::Fastest => fastest(),
            Variants::Accurate => {
                let accuracy = |offer: &Offer| view.timing.accuracy(backlog.stream, offer.variant);
                let in_time =
                    |offer: &Offer| backlog.late(offer.batch, offer.finish(view.now)) < offer.batch as usize;
                // The earlier variant wins a tie, so the comparison prefers it.
                let order = |one: &Offer, other: &Offer| {
                    accuracy(one).total_cmp(&accuracy(other)).then(other.variant.cmp(&one.variant))
                };
                all().filter(in_time).max_by(order).or_else(fastest)
            }
        }
    }

    fn full_variant(
        &self,
        view: &View<'_>,
        backlog: &Backlog<'_>,
        slot: KindSlot,
        variant: u16,
    ) -> Option<Offer> {
        let batch = backlog.cap(view, slot, variant, self.common.cap);
        let compute = view.timing.variant_batch(backlog.stream, variant, slot, batch)?;
        Some(Offer { slot, variant, batch, setup: self.setup(view, backlog, slot, variant), compute })
    }

    /// Until a batch would compute: on the free devices of a kind that are ready first, or where none is free on any.
    fn setup(&self, view: &View<'_>, backlog: &Backlog<'_>, slot: KindSlot, variant: u16) -> Span {
        let request = backlog.queue[0];
        match view.place_as(request, slot, Some(variant)) {
            Some(nodes) => view.setup_as(request, &nodes, Some(variant)),
            None => view.setup_on(request, slot),
        }
    }

    /// How long until all that waits would be answered on a free kind, loads counted as they are weighed.
    fn answer(
        &self,
        view: &View<'_>,
        backlog: &Backlog<'_>,
        slot: KindSlot,
        variant: u16,
        setup: Span,
    ) -> Span {
        let most = view.timing.variant_largest(backlog.stream, variant, slot, backlog.queue.len() as u32);
        let compute = view.timing.variant_batch(backlog.stream, variant, slot, most);
        setup.scaled(self.common.warm) + compute.unwrap_or(Span::MAX)
    }

    /// Leaves the offers that answer soon enough, compared with each other and with waiting for a kind that is busy. The
    /// soonest offer stays unless something that runs is waited for.
    fn keep_quick(&self, view: &View<'_>, backlog: &Backlog<'_>, full: &mut Vec<Offer>) {
        let here = |offer: &Offer| self.answer(view, backlog, offer.slot, offer.variant, offer.setup);
        let busy = (0..view.timing.kinds()).filter(|&slot| view.free_by_kind[slot] == 0);
        let there = busy.filter(|&slot| view.timing.is_served(backlog.stream, slot)).filter_map(|slot| {
            let variant = view.timing.default_variant(backlog.stream, slot);
            let setup = self.setup(view, backlog, slot, variant);
            Some(self.releases.wait(slot, 1)? + self.answer(view, backlog, slot, variant, setup))
        });
        let soonest = there.chain(full.iter().map(here)).min().unwrap_or(Span::ZERO);
        full.retain(|offer| soonest >= here(offer).scaled(self.common.patience));
    }

    /// A job to cut off for requests that can be in time only on a device that is not free; `None` if there are none, or
    /// cutting off is not allowed.
    pub fn cut(&mut self, view: &View<'_>) -> Option<Decision> {
        if !(self.common.preempt && view.rules.preempt) {
            return None;
        }
        self.releases.fill(view);
        let slots = (0..view.streams.len()).filter_map(|stream| self.rescue(view, stream));
        let slots: Vec<KindSlot> = slots.flatten().collect();
        let can = |run: &&Running| {
            let job = run.members.first().is_some_and(|&job| view.job(job).request_model().is_none());
            job && run.start < view.now && slots.contains(&run.slot)
        };
        // The one that would have held its devices longest.
        let run = view.running.iter().filter(can).max_by_key(|run| (run.expected_finish, run.sequence))?;
        Some(Decision::Preempt { run: run.sequence })
    }

    /// The kinds on which a stream's oldest request would be in time at once, if it will not be on any once a device
    /// comes free.
    fn rescue(&self, view: &View<'_>, stream: usize) -> Option<Vec<KindSlot>> {
        let backlog = self.backlog(view, stream)?;
        let deadline = backlog.oldest().deadline?;
        let kinds = (0..view.timing.kinds()).filter(|&slot| view.timing.is_served(stream, slot));
        let in_time = |slot: &KindSlot, wait: Span| {
            let variant = view.timing.default_variant(stream, *slot);
            let one = view.timing.variant_largest(stream, variant, *slot, 1);
            let compute = view.timing.variant_batch(stream, variant, *slot, one).unwrap_or(Span::MAX);
            view.now + wait + self.setup(view, &backlog, *slot, variant) + compute <= deadline
        };
        let anyhow =
            kinds.clone().any(|slot| self.releases.wait(slot, 1).is_some_and(|wait| in_time(&slot, wait)));
        (!anyhow).then(|| kinds.filter(|slot| in_time(slot, Span::ZERO)).collect())
    }
}

/// A batch and smaller ones: all, three quarters, half, a quarter, one; sizes that there are, each once.
fn sizes<'a>(view: &'a View<'_>, stream: usize, full: Offer) -> impl Iterator<Item = Offer> + 'a {
    let most = full.batch;
    let mut last = 0;
    [most, most - most / 4, most.div_ceil(2), most.div_ceil(4), 1].into_iter().filter_map(move |wanted| {
        let batch = view.timing.variant_largest(stream, full.variant, full.slot, wanted);
        if batch == std::mem::replace(&mut last, batch) {
            return None;
        }
        let compute = view.timing.variant_batch(stream, full.variant, full.slot, batch)?;
        Some(Offer { batch, compute, ..full })
    })
}

fn start(view: &View<'_>, stream: usize, offer: &Offer) -> Option<Decision> {
    let job = *view.streams[stream].queue.first()?;
    let nodes = view.place_as(job, offer.slot, Some(offer.variant))?;
    Some(Decision::Start { job, nodes, batch: offer.batch, variant: offer.variant })
}
