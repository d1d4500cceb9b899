//! From a policy's opinion to scores.
//!
//! The policy is shown the condensed cluster and the pod as the only job that waits. Its logits, or a rule's decision and
//! estimates, rank the kinds of devices; what is left of the scale ranks the nodes of one kind:
//!
//! | part | points |
//! |---|---|
//! | the kind that the policy prefers among those of the request | 8 |
//! | any other kind, by its probability relative to that | 1 to 5 |
//! | the node is left with no free device, or with the fewest of its kind | 1 |
//! | pods of the same group run in its rack | 1 |
//!
//! So no node of a kind is ranked above one of a better kind. A pod has been taken in by the scheduler and will be placed, so
//! that a policy that would rather wait only has its kinds ranked; that it would have waited is in [`Outcome`].

use std::collections::{HashSet, VecDeque};

use yardmaster_agent::learned::Learned;
use yardmaster_agent::policy::Policy;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::job::{Job, Task};
use yardmaster_env::objective::Objective;
use yardmaster_env::rules::Rules;
use yardmaster_env::timing::{KindSlot, Timing};
use yardmaster_env::units::{JobId, KindId, Span, Time};
use yardmaster_env::view::{Decision, Discipline, History, View};

use super::job::Wanted;
use super::registry::{Condensed, Place, Registry};
use crate::policy::Mind;

/// The best score of a node, as the scheduler wants it.
pub const HIGHEST: u8 = 10;

const BEST_KIND: u8 = 8;
const OTHER_KINDS: f64 = 5.0;
/// By how much the kind that a rule chooses is better than the best of the others: enough to be the first.
const CHOSEN: f64 = 1e-6;
/// Pods whose identities are remembered, so that one that is scored again does not count as a new arrival.
const REMEMBERED: usize = 16_384;

/// Scores nodes, and remembers the arrivals that an observation is scaled by.
pub struct Scorer {
    mind: Mind,
    rules: Rules,
    history: History,
    kinds: Vec<KindId>,
    seen: HashSet<String>,
    order: VecDeque<String>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Nodes of the request that are known.
    pub known: usize,
    /// Nodes that are not, and have the score 0.
    pub unknown: usize,
    /// Whether the policy would rather have waited.
    pub would_wait: bool,
}

/// A node of the request that can be ranked.
struct Ranked {
    /// Its position in the request.
    at: u32,
    /// Devices that it is left with.
    left: u32,
    slot: u16,
    in_rack: bool,
}

impl Scorer {
    /// A scorer that has seen nothing yet.
    pub fn new(mind: Mind) -> Scorer {
        let (rules, history) = (Rules::default(), History::default());
        let (kinds, seen, order) = Default::default();
        Scorer { mind, rules, history, kinds, seen, order }
    }

    /// Another policy, with the arrivals that were seen before.
    pub fn replace(&mut self, mind: Mind) {
        self.mind = mind;
    }

    /// One score for each of `count` names, from 0 to [`HIGHEST`].
    pub fn score<'n>(
        &mut self,
        registry: &Registry,
        wanted: &Wanted,
        (names, count): (impl Iterator<Item = &'n str>, usize),
        now: Time,
    ) -> (Vec<u8>, Outcome) {
        let (mut ranked, mut outcome) = (Vec::with_capacity(count), Outcome::default());
        let drawn = wanted.group.as_deref().map_or_else(Vec::new, |group| registry.racks_of(group));
        let (mut walk, places, mut all) = (registry.walk(), registry.places(), 0);
        for name in names {
            match walk.find(name) {
                None => outcome.unknown += 1,
                Some(number) => ranked.extend(rank(&places[number], wanted, &drawn, all)),
            }
            all += 1;
        }
        outcome.known = all as usize - outcome.unknown;
        let mut scores = vec![0; all as usize];
        if let Some(condensed) = registry.condensed().filter(|_| wanted.devices > 0 && !ranked.is_empty()) {
            let (by_kind, would_wait) = self.ask(condensed, wanted, &ranked, now);
            outcome.would_wait = would_wait;
            spread(&ranked, &points(&by_kind), &mut scores);
        }
        (scores, outcome)
    }

    /// ln of how good each kind is, by kind slot; nothing for kinds that are not asked about or do not run the pod.
    fn ask(
        &mut self,
        condensed: &Condensed,
        wanted: &Wanted,
        ranked: &[Ranked],
        now: Time,
    ) -> (Vec<Option<f64>>, bool) {
        let mut offered = vec![false; condensed.cluster.kinds().len()];
        ranked.iter().for_each(|node| offered[usize::from(node.slot)] = true);
        // The scheduler vouches that the pod fits its nodes; what is known of what runs there may be older.
        let mut free = Free { by_group: condensed.free.clone(), by_kind: condensed.free_by_kind.clone() };
        for (slot, _) in offered.iter().enumerate().filter(|(_, offered)| **offered) {
            free.make_room(condensed, slot, wanted.devices);
        }
        // All that runs stands for job 0, which nobody asks about.
        let stand_in = Job::new(0, Time::ZERO, Task::Rigid { requested: Span::from_secs(1) }, 1);
        let jobs = [stand_in, wanted.job(now)];
        let timing = Timing::new(Catalog::builtin(), &condensed.cluster, &jobs);
        self.remember(condensed, &timing, &jobs[1], &wanted.uid);
        let view = condensed.view(&free, &jobs, &timing, &self.history, &self.rules, now);
        let (mut by_kind, would_wait) = match self.mind.learned() {
            Some(policy) => by_logits(policy, &view),
            None => by_estimates(self.mind.policy(), &view),
        };
        by_kind.iter_mut().zip(&offered).filter(|(_, offered)| !**offered).for_each(|(kind, _)| *kind = None);
        (by_kind, would_wait)
    }

    /// Takes in an arrival as the simulator does, each pod once.
    fn remember(&mut self, condensed: &Condensed, timing: &Timing, job: &Job, uid: &str) {
        if self.kinds != condensed.cluster.kinds() {
            self.kinds = condensed.cluster.kinds().to_vec();
            self.history.losses = vec![(0.0, 0.0); self.kinds.len()];
        }
        let spans: Vec<Option<Span>> = (0..timing.kinds()).map(|slot| timing.job(1, slot)).collect();
        let Some(best) = spans.iter().flatten().min().copied() else { return };
        if !self.seen.insert(uid.to_owned()) {
            return;
        }
        self.order.push_back(uid.to_owned());
        if self.order.len() > REMEMBERED {
            self.order.pop_front().map(|oldest| self.seen.remove(&oldest));
        }
        self.history.arrive(job.arrival, job.gang, best, &spans, None);
    }
}

/// Devices that are free.
struct Free {
    by_group: Vec<u32>,
    by_kind: Vec<u32>,
}

impl Free {
    /// Sees to it that a pod fits a kind.
    fn make_room(&mut self, condensed: &Condensed, slot: KindSlot, devices: u32) {
        let Some(&first) = condensed.cluster.nodes_of(slot).first() else { return };
        let missing = devices.saturating_sub(self.by_kind[slot]);
        self.by_group[first.index()] += missing;
        self.by_kind[slot] += missing;
    }
}

impl Condensed {
    /// The cluster with one job that waits, the second of `jobs`.
    fn view<'a>(
        &'a self,
        free: &'a Free,
        jobs: &'a [Job; 2],
        timing: &'a Timing,
        history: &'a History,
        rules: &'a Rules,
        now: Time,
    ) -> View<'a> {
        View {
            now,
            cluster: &self.cluster,
            timing,
            jobs,
            queue: &[JobId(1)],
            continuity: None,
            streams: &[],
            free: &free.by_group,
            free_by_kind: &free.by_kind,
            running: &self.running,
            history,
            progress: &[],
            corrections: &[],
            in_service: self.cluster.all_devices(),
            rules,
            data: None,
            loads: None,
            objective: Objective::CompletionTime,
            discipline: Discipline::Free,
            may_wait: true,
            outlook: None,
        }
    }
}

/// What ranks a node within its kind; `None` where its kind is not known or it has too few devices. `drawn` tells by rack
/// whether the pod is drawn there.
fn rank(place: &Place, wanted: &Wanted, drawn: &[bool], at: u32) -> Option<Ranked> {
    let slot = place.slot.filter(|_| place.devices >= wanted.devices)?;
    let in_rack = place.rack.is_some_and(|rack| drawn.get(rack as usize) == Some(&true));
    Some(Ranked { at, left: place.free.saturating_sub(wanted.devices), slot, in_rack })
}

/// The highest logit of each kind, and whether waiting has a higher one.
fn by_logits(policy: &mut Learned, view: &View<'_>) -> (Vec<Option<f64>>, bool) {
    let weighed = policy.weigh(view);
    let candidates = weighed.candidates;
    let mut by_kind: Vec<Option<f64>> = vec![None; view.cluster.kinds().len()];
    for (candidate, &logit) in candidates.list.iter().zip(weighed.logits) {
        let of_kind = &mut by_kind[candidates.nodes[candidate.node].slot];
        *of_kind = Some(of_kind.map_or(f64::from(logit), |best| best.max(f64::from(logit))));
    }
    let would_wait = matches!(weighed.decision(view), Decision::Wait { .. });
    (by_kind, would_wait)
}

/// A rule's own kind first, then by estimates: twice as long is half as good.
fn by_estimates(policy: &mut dyn Policy, view: &View<'_>) -> (Vec<Option<f64>>, bool) {
    let decision = policy.decide(view);
    let chosen = match &decision {
        Decision::Start { nodes, .. } => nodes.first().map(|share| view.slot_of(share.node)),
        _ => None,
    };
    let goodness = |slot| Some(-view.estimate(JobId(1), slot)?.as_secs_f64().max(1e-9).ln());
    let mut by_kind: Vec<Option<f64>> = (0..view.cluster.kinds().len()).map(goodness).collect();
    let best = by_kind.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    if let Some(chosen) = chosen {
        by_kind[chosen] = Some(best + CHOSEN);
    }
    (by_kind, matches!(decision, Decision::Wait { .. }))
}

/// Points of each kind: [`BEST_KIND`] for the first of the best, 1 to [`OTHER_KINDS`] for the others, 0 for none.
fn points(by_kind: &[Option<f64>]) -> Vec<u8> {
    let best = by_kind.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut given = false;
    let of = |kind: &Option<f64>| match *kind {
        None => 0,
        Some(value) if value >= best && !std::mem::replace(&mut given, true) => BEST_KIND,
        Some(value) => (OTHER_KINDS * (value - best).exp()).round().clamp(1.0, OTHER_KINDS) as u8,
    };
    by_kind.iter().map(of).collect()
}

/// Points of the kind, and one each for what ranks nodes of a kind.
fn spread(ranked: &[Ranked], points: &[u8], scores: &mut [u8]) {
    let mut least = vec![u32::MAX; points.len()];
    for node in ranked {
        let least = &mut least[usize::from(node.slot)];
        *least = node.left.min(*least);
    }
    for node in ranked {
        let slot = usize::from(node.slot);
        if points[slot] > 0 {
            let tight = node.left == least[slot];
            scores[node.at as usize] = points[slot] + u8::from(tight) + u8::from(node.in_rack);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_node_of_another_kind_reaches_the_best_kind() {
        assert_eq!(points(&[Some(0.0), None, Some(0.0), Some(-0.7), Some(-30.0)]), [8, 0, 5, 2, 1]);
        assert_eq!(points(&[None, None]), [0, 0]);
        let ranked = [(0, 3, false), (1, 0, true)].into_iter().zip(0..);
        let ranked = ranked.map(|((slot, left, in_rack), at)| Ranked { at, left, slot, in_rack });
        let ranked: Vec<Ranked> = ranked.collect();
        let mut scores = [0; 2];
        spread(&ranked, &points(&[Some(1.0), Some(0.999)]), &mut scores);
        assert_eq!(scores, [9, 7]);
    }
}
