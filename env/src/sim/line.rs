//! The jobs that wait, requests apart, and what makes questions about them cheap.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::World;
use super::slide::Slide;
use crate::timing::KindSlot;
use crate::units::JobId;
use crate::view::Continuity;

/// The queue. Whatever changes it goes through here, so that the promise of [`Continuity`] is kept.
#[derive(Debug)]
pub(super) struct Line {
    jobs: Slide<JobId>,
    continuity: Continuity,
    /// Whether the jobs are in ascending order.
    ascending: bool,
    /// The latest job that ever joined.
    latest: Option<JobId>,
    /// By kind slot: how many waiting jobs that run there have a gang of this size. Only for the disciplines
    /// that ask whether anything fits.
    gangs: Vec<BTreeMap<u32, u32>>,
}

impl Line {
    /// Nobody waits yet.
    pub(super) fn new(world: &World) -> Line {
        let slots = if world.discipline.commits() { 0 } else { world.timing.kinds() };
        Line {
            jobs: Slide::default(),
            continuity: Continuity::new(),
            ascending: true,
            latest: None,
            gangs: vec![BTreeMap::new(); slots],
        }
    }

    /// What views of this queue have in common.
    pub(super) fn continuity(&self) -> Option<&Continuity> {
        self.ascending.then_some(&self.continuity)
    }

    /// A job joins: a new one at the end, one that comes back before those that arrived after it. In a queue that
    /// is not in order of arrival any job joins at the end.
    pub(super) fn join(&mut self, job: JobId, world: &World) {
        if self.latest.is_some_and(|latest| job <= latest) {
            // What was known of the queue no longer holds.
            self.continuity = Continuity::new();
        }
        let after_all = !self.ascending || self.jobs.last().is_none_or(|last| *last < job);
        if after_all {
            self.jobs.push(job);
        } else {
            let at = self.jobs.partition_point(|other| *other < job);
            self.jobs.insert(at, job);
        }
        self.latest = self.latest.max(Some(job));
        self.count(job, world, true);
    }

    /// A job leaves.
    pub(super) fn remove(&mut self, job: JobId, world: &World) {
        let at = if self.ascending {
            self.jobs.binary_search(&job).ok()
        } else {
            self.jobs.iter().position(|&other| other == job)
        };
        if at.and_then(|at| self.jobs.remove(at)).is_some() {
            self.count(job, world, false);
        }
        self.ascending |= self.jobs.is_empty();
    }

    /// Moves these waiting jobs, each named once, to the front in this order.
    pub(super) fn reorder(&mut self, order: &[JobId]) {
        let jobs = self.jobs.as_mut_slice();
        if order.len() == jobs.len() {
            jobs.copy_from_slice(order);
        } else {
            let mut listed = order.to_vec();
            listed.sort_unstable();
            let rest = jobs.iter().copied().filter(|job| listed.binary_search(job).is_err());
            let all: Vec<JobId> = order.iter().copied().chain(rest).collect();
            debug_assert_eq!(all.len(), jobs.len(), "an order names jobs that do not wait");
            jobs.copy_from_slice(&all);
        }
        self.reordered();
    }

    /// Sorts by a key; equal keys keep their order.
    pub(super) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(JobId) -> K) {
        if !self.jobs.is_sorted_by_key(|&job| key(job)) {
            self.jobs.as_mut_slice().sort_by_key(|&job| key(job));
            self.reordered();
        }
    }

    /// The fewest devices that a waiting job which runs on a kind asks for. `None` if there is none; also, always,
    /// under the batch-queue disciplines.
    pub(super) fn smallest_gang(&self, slot: KindSlot) -> Option<u32> {
        self.gangs.get(slot)?.first_key_value().map(|(&gang, _)| gang)
    }

    /// Counts anew what is kept from change to change.
    pub(super) fn check(&self, world: &World) {
        assert!(!self.ascending || self.jobs.is_sorted(), "the queue is not in order");
        for (slot, gangs) in self.gangs.iter().enumerate() {
            let here = self.jobs.iter().filter_map(|&job| least_gang(world, job, slot));
            let mut counted = BTreeMap::new();
            here.for_each(|gang| *counted.entry(gang).or_default() += 1);
            assert_eq!(counted, *gangs, "gangs that wait for kind slot {slot} are miscounted");
        }
    }

    fn reordered(&mut self) {
        self.ascending = self.jobs.is_sorted();
        self.continuity = Continuity::new();
    }

    fn count(&mut self, job: JobId, world: &World, joins: bool) {
        for (slot, gangs) in self.gangs.iter_mut().enumerate() {
            let Some(gang) = least_gang(world, job, slot) else { continue };
            if joins {
                *gangs.entry(gang).or_default() += 1;
            } else if let Some(count) = gangs.get_mut(&gang) {
                *count -= 1;
                if *count == 0 {
                    gangs.remove(&gang);
                }
            }
        }
    }
}

fn least_gang(world: &World, job: JobId, slot: usize) -> Option<u32> {
    world.timing.least_gang(job.index(), &world.workload.jobs[job.index()], slot)
}

/// A copy has a history of its own from here on.
impl Clone for Line {
    fn clone(&self) -> Line {
        Line {
            jobs: self.jobs.clone(),
            continuity: Continuity::new(),
            ascending: self.ascending,
            latest: self.latest,
            gangs: self.gangs.clone(),
        }
    }
}

impl Deref for Line {
    type Target = [JobId];

    fn deref(&self) -> &[JobId] {
        &self.jobs
    }
}
