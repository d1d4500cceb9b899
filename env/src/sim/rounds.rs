//! Discipline `rounds`: time slices, with preemption where one round ends and the next begins.
//!
//! The rules, as published for Gavel (Narayanan et al., OSDI'20) and kept job for job (tests/it/gavel.rs):
//!
//! 1. What runs in a round is decided at its beginning, when all devices are free and each unfinished job waits.
//!    Arrivals are let in at these moments only. If nothing runs, the next round begins with the next arrival.
//! 2. A job takes as many whole steps as fit into the quantum, or those it has left, and its slice ends with the
//!    last of them. A step longer than the quantum is taken whole. The round ends with its last slice; until then
//!    the other devices idle.
//! 3. Progress is kept, preemption costs nothing, and the placement has no effect on speed. A job completes with its
//!    last slice, not with the round.
//!
//! A policy has two ways to answer. It can say [`Decision::Start`](crate::view::Decision::Start) for each job of
//! this round and close it by `Wait` (which goes without saying once nothing more fits); it is asked again in each
//! round. Any policy of the discipline `free` is a policy here. Or it can say
//! [`Decision::Allocate`](crate::view::Decision::Allocate): which share of the time each job should get on each
//! kind. The rounds are then filled by the published rules, see `shares`, and the policy is asked again only once a
//! job has come or gone *and* the allocation has stood for [`RoundRules::reallocate`](super::RoundRules). Three
//! exceptions are published: an allocation made at the very start of the trace (time 0) stands for no time, nor does
//! one that runs nothing while no arrivals are left; and a round in which nobody has a share is left empty until the
//! next arrival.
//!
//! Time is whole nanoseconds. Steps are integers and speeds are floating point, so the length of a slice is rounded
//! once, to the nearest nanosecond, and the end of a round is a sum of these: after 4,000 rounds the clock is off by
//! 2 us at worst, and by 20 ns typically.

use std::sync::Arc;

use super::shares::Accounts;
use super::{Simulator, Slice, State};
use crate::timing::KindSlot;
use crate::units::{JobId, Span, Time};
use crate::view::{Placement, Portion, Running};

/// What is remembered from one round to the next.
#[derive(Clone, Debug)]
pub(super) struct RoundState {
    /// The policy is being asked about this round.
    open: bool,
    /// Rounds before this one.
    number: u64,
    /// Jobs of this round in order of start.
    ran: Vec<JobId>,
    /// The next place in line.
    turn: u64,
    accounts: Accounts,
    /// An allocation stands.
    allocated: bool,
    /// Jobs have come or gone since it was made.
    changed: bool,
    /// When it was made; 0 for never, as published.
    made: Time,
}

impl RoundState {
    pub(super) fn new(kinds: usize) -> RoundState {
        RoundState {
            open: false,
            number: 0,
            ran: Vec::new(),
            turn: 0,
            accounts: Accounts::new(kinds),
            allocated: false,
            changed: false,
            made: Time::ZERO,
        }
    }

    /// The place in line of whoever comes next.
    pub(super) fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn - 1
    }

    /// It is queued.
    pub(super) fn enter(&mut self, job: JobId) {
        self.accounts.enter(job);
        self.changed = true;
    }
}

impl Simulator {
    /// Runs round after round until there is a choice; `false` once all has run.
    pub(super) fn run_to_round(&mut self) -> bool {
        loop {
            if self.rounds.open {
                if !self.waiting && self.anything_fits() {
                    return true;
                }
                self.close_round();
            }
            self.admit_due();
            if self.queue.is_empty() {
                let Some(next) = self.next_arrival() else {
                    self.check_end();
                    return false;
                };
                self.advance(next);
            } else if !self.run_allocated() {
                self.rounds.open = true;
            }
        }
    }

    /// Starts a checked decision for this round.
    pub(super) fn start_for_round(&mut self, job: JobId, nodes: Placement, slot: KindSlot) {
        self.rounds.allocated = false;
        self.start_slice(job, nodes, slot);
    }

    /// Carries out a checked allocation from this round on.
    pub(super) fn allocate(&mut self, portions: &[Portion], fill: bool) {
        let credit = self.world.rounds.quantum.as_secs_f64() / 2.0;
        let stood = self.now.since(self.rounds.made).as_secs_f64();
        self.rounds.accounts.renew(portions, fill, stood, credit);
        self.rounds.allocated = true;
        self.rounds.changed = false;
        self.rounds.made = self.now;
        self.start_allocated();
        self.waiting = true;
    }

    /// Runs a round of the allocation that stands; `false` if the policy has to be asked.
    fn run_allocated(&mut self) -> bool {
        let RoundState { allocated, changed, made, .. } = self.rounds;
        let old = made == Time::ZERO || self.now.since(made) >= self.world.rounds.reallocate;
        if !allocated || (changed && old) {
            return false;
        }
        self.start_allocated();
        if self.running.is_empty() {
            let Some(next) = self.next_arrival() else { return false };
            self.advance(next);
        }
        self.run_slices();
        true
    }

    fn start_allocated(&mut self) {
        // The catalogue lists newer kinds later; they are served first.
        for slot in (0..self.free_by_kind.len()).rev() {
            let credit = self.world.rounds.quantum.as_secs_f64() / 2.0;
            let order = self.rounds.accounts.order(slot, credit);
            let chosen = self.greedy(slot, order);
            for (job, nodes) in self.place_for_round(slot, chosen) {
                self.start_slice(job, nodes, slot);
            }
        }
    }

    /// The jobs of an order that find room on a kind, those that do not being skipped.
    fn greedy(&self, slot: KindSlot, order: impl Iterator<Item = JobId>) -> Vec<JobId> {
        let mut left = self.free_by_kind[slot];
        let mut chosen = Vec::new();
        for job in order {
            let gang = self.world.workload.jobs[job.index()].gang;
            let waits = self.records[job.index()].state == State::Queued;
            if waits && gang <= left && self.world.timing.job(job.index(), slot).is_some() {
                left -= gang;
                chosen.push(job);
            }
        }
        chosen
    }

    /// Places for jobs that fit together: larger gangs first, and of one size those first that can stay where they
    /// ran in the round before.
    fn place_for_round(&self, slot: KindSlot, mut jobs: Vec<JobId>) -> Vec<(JobId, Placement)> {
        let gang = |job: JobId| self.world.workload.jobs[job.index()].gang;
        jobs.sort_by_key(|&job| std::cmp::Reverse(gang(job)));
        let mut free = self.free.clone();
        let mut placed = Vec::new();
        for alike in jobs.chunk_by(|&one, &other| gang(one) == gang(other)) {
            let mut moves = Vec::new();
            for &job in alike {
                match self.last_place(job, slot, &free) {
                    Some(nodes) => take(&mut free, &mut placed, job, nodes),
                    None => moves.push(job),
                }
            }
            for job in moves {
                if let Some(nodes) = crate::view::place(&self.world.cluster, &free, slot, gang(job)) {
                    take(&mut free, &mut placed, job, nodes);
                }
            }
        }
        placed
    }

    /// Where a job ran in the round before, if that was on this kind and is free.
    fn last_place(&self, job: JobId, slot: KindSlot, free: &[u32]) -> Option<Placement> {
        let nodes = &self.records[job.index()].nodes;
        let ran = self.rounds.number > 0 && self.rounds.accounts.ran_in(job, self.rounds.number - 1);
        let here = nodes.first().is_some_and(|share| self.view().slot_of(share.node) == slot);
        let fits = nodes.iter().all(|share| free[share.node.index()] >= share.devices);
        (ran && here && fits).then(|| nodes.clone())
    }

    fn start_slice(&mut self, job: JobId, nodes: Placement, slot: KindSlot) {
        let quantum = self.world.rounds.quantum;
        let (steps, span) = self.next_slice(job, slot);
        // Unlike the truth, the estimate of what is left is known to the policy.
        let expected = self.view().remaining(job, slot).unwrap_or(span).min(quantum);
        let (start, finish) = (self.now, self.now + span);
        let progress = &mut self.progress[job.index()];
        progress.steps += steps;
        progress.slices += 1;
        progress.received += span;
        self.rounds.ran.push(job);
        self.rounds.accounts.start(job, self.rounds.number);
        let batch = self.default_batch(job);
        let world = Arc::clone(&self.world);
        self.queue.remove(job, &world);
        self.set_state(job, State::Running);
        let record = &mut self.records[job.index()];
        if record.slices.is_empty() {
            record.start = start;
        }
        (record.finish, record.batch, record.nodes) = (finish, batch, nodes.clone());
        record.slices.push(Slice { start, finish, nodes: nodes.clone() });
        if self.is_complete(job) {
            self.meter.start(&self.world.workload.jobs[job.index()], finish);
        }
        self.mix(3, job);
        self.occupy(smallvec::smallvec![job], batch, nodes, slot, start, (start + expected, finish));
    }

    /// How many steps a job takes in one round, and how long that is.
    fn next_slice(&self, job: JobId, slot: KindSlot) -> (u64, Span) {
        let world = &self.world;
        // A checked start runs on this kind, so there is a speed.
        let speed =
            world.timing.step_speed(job.index(), &world.workload.jobs[job.index()], slot).unwrap_or(1e9);
        let most = (speed * world.rounds.quantum.as_secs_f64()) as u64;
        let left = world.workload.true_steps(job) - self.progress[job.index()].steps;
        let steps = left.min(most.max(1));
        (steps, Span::from_secs_f64(steps as f64 / speed))
    }

    fn is_complete(&self, job: JobId) -> bool {
        self.progress[job.index()].steps == self.world.workload.true_steps(job)
    }

    /// Books a slice that has ended; `false` if the job has more to do and waits again.
    pub(super) fn end_slice(&mut self, job: JobId, slice: &Running) -> bool {
        self.rounds.accounts.receive(job, slice.slot, self.now.since(slice.start).as_secs_f64());
        if self.is_complete(job) {
            self.rounds.accounts.leave(job);
            self.rounds.changed = true;
            return true;
        }
        self.set_state(job, State::Queued);
        let world = Arc::clone(&self.world);
        self.queue.join(job, &world);
        self.mix(4, job);
        false
    }

    fn close_round(&mut self) {
        if self.running.is_empty() {
            let next = [self.wake, self.next_arrival()].into_iter().flatten().min();
            self.advance(next.unwrap_or(self.now));
        }
        self.run_slices();
        self.rounds.open = false;
        self.waiting = false;
        self.wake = None;
    }

    /// Lets the slices of this round end, the last of which ends the round.
    fn run_slices(&mut self) {
        while let Some(finish) = self.finishes.next() {
            self.advance(finish);
            self.finish_next();
        }
        self.rounds.number += 1;
        // Who arrived during the round is in line before those who were served in it.
        self.admit_due();
        for job in std::mem::take(&mut self.rounds.ran) {
            self.progress[job.index()].turn = self.rounds.next_turn();
        }
    }

    fn admit_due(&mut self) {
        while self.next_arrival().is_some_and(|time| time <= self.now) {
            self.admit_next();
        }
    }
}

fn take(free: &mut [u32], placed: &mut Vec<(JobId, Placement)>, job: JobId, nodes: Placement) {
    for share in &nodes {
        free[share.node.index()] -= share.devices;
    }
    placed.push((job, nodes));
}
