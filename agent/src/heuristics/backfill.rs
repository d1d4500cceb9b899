//! Backfilling: work may overtake what comes before it in the queue, if that does not delay a reservation.
//!
//! EASY (Lifka 1995) reserves for the head of the queue alone, conservative backfilling (Mu'alem and Feitelson 2001) for
//! all. On devices of several kinds a reservation is on the kind where the work should end first, waits included, from
//! the earliest moment at which that kind has enough free devices by the estimates. Only the count of devices by kind is
//! reserved, not which they are. Reservations are made anew at each decision, so that early ends are made use of.

use std::cmp::Ordering;

use yardmaster_env::releases::Releases;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::{Decision, View};

use super::batching::{Batching, Serve};
use super::composite::Composite;
use super::order::Order;
use super::placement::Placing;
use super::{Work, waiting};
use crate::policy::Policy;

/// Work that gets a reservation; what comes after it waits.
const RESERVED: usize = 256;

/// Starts what delays no reservation.
#[derive(Clone, Debug)]
pub struct Backfill {
    order: Order,
    batching: Batching,
    /// Whether all of the queue has reservations, or its head alone.
    all: bool,
    releases: Releases,
    /// Free devices by kind.
    profiles: Vec<Profile>,
    /// For batch queues, which backfill by rules of their own, and where waiting is not allowed.
    others: Composite,
}

impl Backfill {
    /// A reservation for the head of the queue.
    pub fn easy(name: impl Into<String>, order: Order, batching: Batching) -> Backfill {
        Backfill::new(name.into(), order, batching, false)
    }

    /// A reservation for everybody.
    pub fn conservative(name: impl Into<String>, order: Order, batching: Batching) -> Backfill {
        Backfill::new(name.into(), order, batching, true)
    }

    fn new(name: String, order: Order, batching: Batching, all: bool) -> Backfill {
        let others = Composite::new(name, order, Placing::Fastest, batching.clone());
        Backfill { order, batching, all, releases: Releases::default(), profiles: Vec::new(), others }
    }

    /// The queue in order.
    fn queue(&self, view: &View<'_>) -> Vec<Work> {
        let mut keyed: Vec<((f64, f64), Work)> =
            waiting(view).map(|work| (self.order.key(view, work), work)).collect();
        keyed.sort_by(|(one, _), (other, _)| one.partial_cmp(other).unwrap_or(Ordering::Equal));
        keyed.truncate(RESERVED);
        keyed.into_iter().map(|(_, work)| work).collect()
    }

    /// The devices that are free now, and those that come free.
    fn fill(&mut self, view: &View<'_>) {
        self.releases.fill(view);
        let profile =
            |slot: KindSlot| Profile::new(view.now, view.free_by_kind[slot], self.releases.ends(slot));
        self.profiles = (0..view.timing.kinds()).map(profile).collect();
    }

    /// Where and when the work would end first.
    fn earliest(&self, view: &View<'_>, work: Work) -> Option<Reservation> {
        let gang = view.job(work.job).gang;
        let on_kind = |slot: KindSlot| {
            let span = work.span(view, slot)? + view.setup_on(work.job, slot);
            let start = self.profiles[slot].earliest(gang, span)?;
            Some(Reservation { slot, start, span, gang })
        };
        (0..view.timing.kinds()).filter_map(on_kind).min_by_key(|found| found.start + found.span)
    }

    fn decide_free(&mut self, view: &View<'_>) -> Decision {
        let queue = self.queue(view);
        self.fill(view);
        let mut until: Option<Time> = None;
        let mut reserved = false;
        for work in queue {
            // Without reservations for all, nobody but the head has one, and whoever comes later starts now or not.
            let Some(found) = self.earliest(view, work) else { continue };
            if found.start == view.now && work.fits(view, found.slot) {
                match self.batching.choose(view, work, found.slot) {
                    Serve::Now(batch) => {
                        if let Some(nodes) = view.place_job(work.job, found.slot) {
                            let variant = work.variant(view, found.slot);
                            return Decision::Start { job: work.job, nodes, batch, variant };
                        }
                    }
                    Serve::Hold(due) => until = Some(until.map_or(due, |until| until.min(due))),
                }
            } else if self.all || !reserved {
                self.profiles[found.slot].reserve(&found);
                reserved = true;
            } else if let Some(start) = self.elsewhere(view, work) {
                return start;
            }
        }
        Decision::Wait { until }
    }

    /// A start on the best kind where it delays nobody, for work that has no reservation to wait for.
    fn elsewhere(&mut self, view: &View<'_>, work: Work) -> Option<Decision> {
        let gang = view.job(work.job).gang;
        let open = |slot: &KindSlot| {
            let span = work.span(view, *slot).map(|span| span + view.setup_on(work.job, *slot));
            let start = span.and_then(|span| self.profiles[*slot].earliest(gang, span));
            start == Some(view.now) && work.fits(view, *slot)
        };
        let slot = (0..view.timing.kinds()).filter(open).min_by_key(|&slot| work.span(view, slot))?;
        match self.batching.choose(view, work, slot) {
            Serve::Now(batch) => {
                let (nodes, variant) = (view.place_job(work.job, slot)?, work.variant(view, slot));
                Some(Decision::Start { job: work.job, nodes, batch, variant })
            }
            Serve::Hold(_) => None,
        }
    }
}

impl Policy for Backfill {
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

/// Devices of a kind from a moment on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reservation {
    slot: KindSlot,
    start: Time,
    span: Span,
    gang: u32,
}

/// Free devices of a kind over time: from each moment on so many, until the next.
#[derive(Clone, Debug, PartialEq)]
struct Profile(Vec<(Time, u32)>);

impl Profile {
    fn new(now: Time, free: u32, ends: &[(Time, u32)]) -> Profile {
        let mut steps = vec![(now, free)];
        for &(end, devices) in ends {
            // There is a first step, and the ends are in order.
            let (last, free) = steps[steps.len() - 1];
            if last == end {
                steps.pop();
            }
            steps.push((end, free + devices));
        }
        Profile(steps)
    }

    /// The first moment from which `gang` devices are free for so long; `None` if there never is one.
    fn earliest(&self, gang: u32, span: Span) -> Option<Time> {
        let mut start = None;
        for &(from, free) in &self.0 {
            match start {
                Some(begin) if from >= begin + span => return start,
                _ if free < gang => start = None,
                None => start = Some(from),
                Some(_) => {}
            }
        }
        start
    }

    fn reserve(&mut self, of: &Reservation) {
        let end = of.start + of.span;
        self.split(of.start);
        self.split(end);
        for (from, free) in &mut self.0 {
            if (of.start..end).contains(from) {
                *free = free.saturating_sub(of.gang);
            }
        }
    }

    /// Makes the moment one at which a step begins.
    fn split(&mut self, at: Time) {
        if let Err(place) = self.0.binary_search_by_key(&at, |(from, _)| *from) {
            let free = self.0[place.saturating_sub(1)].1;
            self.0.insert(place, (at, free));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Span {
        Span::from_secs(seconds)
    }

    #[test]
    fn a_profile_finds_the_first_gap_that_is_long_enough() {
        let at = |seconds| Time::ZERO + s(seconds);
        let mut profile = Profile::new(at(0), 1, &[(at(4), 1), (at(4), 1), (at(9), 1)]);
        assert_eq!(profile.0, [(at(0), 1), (at(4), 3), (at(9), 4)]);
        assert_eq!(
            [1, 2, 4, 5].map(|gang| profile.earliest(gang, s(3))),
            [Some(at(0)), Some(at(4)), Some(at(9)), None]
        );
        profile.reserve(&Reservation { slot: 0, start: at(4), span: s(2), gang: 3 });
        assert_eq!(profile.0, [(at(0), 1), (at(4), 0), (at(6), 3), (at(9), 4)]);
        assert_eq!(profile.earliest(1, s(4)), Some(at(0)));
        assert_eq!(profile.earliest(1, s(5)), Some(at(6)));
    }
}
