//! Disciplines `commit` and `commit-backfill`: the batch queue of the RL-scheduling literature, event for event.
//!
//! One event at a time: an arrival that is no later than the earliest completion comes first, so a start never
//! sees all completions of its moment at once. Time stands still while chosen jobs fit.
//! Source: the simulator behind RLScheduler (Zhang et al., SC'20), as published.

use std::sync::Arc;

use super::Simulator;
use super::life::Size;
use crate::units::{JobId, Time};
use crate::view::Discipline;

impl Simulator {
    /// Runs to the next moment at which some job waits; `false` when none will (running jobs are then drained).
    pub(super) fn run_to_head(&mut self) -> bool {
        while self.queue.is_empty() {
            if self.arrived == self.records.len() {
                self.drain();
                return false;
            }
            self.process_one();
        }
        true
    }

    /// Moves these waiting jobs to the front of the queue.
    pub(super) fn reorder(&mut self, order: &[JobId]) {
        // A single job leaves the queue next, so that its place in it no longer matters.
        if order.len() > 1 {
            self.queue.reorder(order);
        }
    }

    /// Starts `head` before any other job, as soon as it fits.
    pub(super) fn commit(&mut self, head: JobId) {
        if !self.fits_anywhere(head) {
            let shadow = match self.world.discipline {
                Discipline::CommitBackfill => Some(self.shadow_time(head)),
                _ => None,
            };
            while !self.fits_anywhere(head) {
                if let Some(shadow) = shadow {
                    self.backfill(head, shadow);
                }
                self.process_one();
            }
        }
        self.start_anywhere(head);
    }

    fn fits_anywhere(&self, job: JobId) -> bool {
        self.free_by_kind[0] >= self.world.workload.jobs[job.index()].gang
            && self.world.timing.job(job.index(), 0).is_some()
    }

    fn start_anywhere(&mut self, job: JobId) {
        if let Some(nodes) = self.place_anywhere(job) {
            let batch = self.view().default_batch(job);
            self.start(job, nodes, 0, Size { batch, variant: 0 });
        }
    }

    /// The next arrival if it is no later than the earliest completion, else that completion.
    fn process_one(&mut self) {
        let finish = self.finishes.next();
        match self.next_arrival() {
            // An arrival that was submitted before now joins now, so its own submit time decides the tie.
            Some(arrival) if finish.is_none_or(|finish| self.next_submit() <= finish) => {
                self.advance(arrival);
                self.admit_next();
            }
            _ => {
                if let Some(finish) = finish {
                    self.advance(finish.max(self.now));
                    self.finish_next();
                }
            }
        }
    }

    fn next_submit(&self) -> Time {
        self.world.workload.jobs[self.arrived].arrival
    }

    /// When `head` should be able to start, were the estimates right and nothing else started.
    fn shadow_time(&self, head: JobId) -> Time {
        let mut ends: Vec<(Time, u32)> =
            self.running.iter().map(|running| (running.expected_finish, running.devices())).collect();
        ends.sort_by_key(|&(end, _)| end);
        let need = self.world.workload.jobs[head.index()].gang;
        let mut free = self.free_by_kind[0];
        let mut shadow = self.now;
        for (end, devices) in ends {
            free += devices;
            shadow = end;
            if free >= need {
                break;
            }
        }
        shadow
    }

    /// Starts, in submit order, each other job that fits and should end before the shadow time.
    fn backfill(&mut self, head: JobId, shadow: Time) {
        let world = Arc::clone(&self.world);
        // The original sorts its queue in place: the order stays, and decides later ties.
        self.queue.sort_by_key(|job| world.workload.jobs[job.index()].arrival);
        let mut at = 0;
        while self.free_by_kind[0] > 0 && at < self.queue.len() {
            let job = self.queue[at];
            let ends = || world.timing.job(job.index(), 0).map(|estimate| self.now + estimate);
            if job != head && self.fits_anywhere(job) && ends().is_some_and(|end| end < shadow) {
                // It leaves the queue, and the next one takes its place.
                self.start_anywhere(job);
            } else {
                at += 1;
            }
        }
    }

    /// Lets what runs finish.
    fn drain(&mut self) {
        while let Some(finish) = self.finishes.next() {
            self.advance(finish.max(self.now));
            self.finish_next();
        }
        self.check_end();
    }
}
