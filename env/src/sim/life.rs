//! The life of what has been started: its devices are held, work begins once all is ready, and it ends or is cut off.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Simulator, Slice, State};
use crate::job::Truth;
use crate::timing::KindSlot;
use crate::units::{JobId, Span, Time};
use crate::view::{Discipline, Placement, Running};

/// Why something was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// By the policy: all that was done is kept.
    Preempted,
    /// One of its machines failed: what the last checkpoint holds is kept.
    Failure,
}

/// How long a run takes from the moment it computes.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    expected: Span,
    actual: Span,
}

impl Simulator {
    /// Starts a checked decision.
    pub(super) fn start(&mut self, first: JobId, nodes: Placement, slot: KindSlot, batch: u32) {
        let lengths = self.lengths(first, &nodes, slot, batch);
        let ready = self.now + self.restart_of(first);
        let members = self.take(first, batch);
        let (expected, finish) = (ready + lengths.expected, ready + lengths.actual);
        for &id in &members {
            self.set_state(id, State::Running);
            let record = &mut self.records[id.index()];
            if record.slices.is_empty() {
                record.start = self.now;
            }
            (record.finish, record.batch) = (finish, batch);
            record.nodes.clone_from(&nodes);
            self.meter.start(&self.world.workload.jobs[id.index()], finish);
            self.mix(3, id);
        }
        self.occupy(members, batch, nodes, slot, ready, (expected, finish));
    }

    /// Takes the devices of what has been started; `finish` is the expected and the true one.
    pub(super) fn occupy(
        &mut self,
        members: SmallVec<[JobId; 2]>,
        batch: u32,
        nodes: Placement,
        slot: KindSlot,
        ready: Time,
        (expected_finish, finish): (Time, Time),
    ) {
        nodes.iter().for_each(|&share| self.hold(share));
        let sequence = self.sequence;
        self.sequence += 1;
        self.finishes.push(finish, sequence);
        let start = self.now;
        self.running.push(Running { members, batch, start, ready, expected_finish, nodes, slot, sequence });
    }

    /// Removes a job, or the `batch` oldest requests of its stream, from what waits.
    fn take(&mut self, first: JobId, batch: u32) -> SmallVec<[JobId; 2]> {
        match self.stream_of(first) {
            Some(stream) => self.streams[stream].queue.drain(..batch as usize).collect(),
            None => {
                self.queue.remove(first, &self.world);
                smallvec::smallvec![first]
            }
        }
    }

    fn lengths(&self, first: JobId, nodes: &Placement, slot: KindSlot, batch: u32) -> Lengths {
        let timing = &self.world.timing;
        let whole = match self.stream_of(first) {
            Some(stream) => timing.batch(stream, slot, batch),
            None => timing.job(first.index(), slot),
        };
        // A checked start runs on this kind, so there is an estimate.
        let whole = whole.unwrap_or(Span::ZERO);
        let actual = match self.world.workload.truths[first.index()] {
            Truth::AsEstimated => whole,
            Truth::Duration(actual) => actual,
            Truth::Steps(factor) => whole.scaled(factor),
        };
        let (done, workload) = (self.done(first), &self.world.workload);
        let spread = self.world.spread(nodes);
        Lengths {
            expected: rest(whole, done, workload.jobs[first.index()].steps(), spread),
            actual: rest(actual, done, workload.true_steps(first), spread),
        }
    }

    /// Steps that a job has done, where these are kept.
    fn done(&self, job: JobId) -> u64 {
        if self.world.discipline == Discipline::Free { self.view().progress(job).steps } else { 0 }
    }

    /// How long the job's devices are held before it goes on.
    fn restart_of(&self, job: JobId) -> Span {
        let again = self.world.discipline == Discipline::Free && self.view().progress(job).slices > 0;
        if again { self.world.rules.resume.restart } else { Span::ZERO }
    }

    /// Releases the batch or job that finishes next.
    pub(super) fn finish_next(&mut self) {
        let Some(sequence) = self.finishes.pop() else { return };
        let Ok(at) = self.running.binary_search_by_key(&sequence, |running| running.sequence) else { return };
        let Some(done) = self.running.remove(at) else { return };
        done.nodes.iter().for_each(|&share| self.give_back(share));
        let world = Arc::clone(&self.world);
        for &id in &done.members {
            if world.discipline == Discipline::Rounds && !self.end_slice(id, &done) {
                continue;
            }
            if world.discipline == Discipline::Free {
                self.close_record(id, &done);
            }
            self.set_state(id, State::Finished);
            self.meter.leave(&world.workload.jobs[id.index()], world.ideal(id));
            self.mix(2, id);
            self.release_next_stage(id);
        }
        drop(world);
        done.members.iter().for_each(|_| self.answer());
        self.debug_check();
    }

    /// Books the last slice of a job that ran more than once.
    fn close_record(&mut self, id: JobId, done: &Running) {
        let (steps, restart) = (self.world.workload.true_steps(id), done.ready.since(done.start));
        if let Some(progress) = self.progress.get_mut(id.index()) {
            progress.steps = steps;
            progress.slices += 1;
            progress.received += self.now.since(done.start);
            self.usage.waste.restarts_s += restart.as_secs_f64() * devices(&done.nodes);
        }
        let record = &mut self.records[id.index()];
        if !record.slices.is_empty() {
            record.slices.push(Slice { start: done.start, finish: self.now, nodes: done.nodes.clone() });
        }
    }

    /// Cuts off what runs at this place of the list; it waits again, with what it keeps.
    pub(super) fn cut_off(&mut self, at: usize, cut: Cut) {
        let Some(run) = self.running.remove(at) else { return };
        self.finishes.cancel(run.sequence);
        let world = Arc::clone(&self.world);
        for &id in &run.members {
            self.meter.revoke(&world.workload.jobs[id.index()], self.records[id.index()].finish);
            self.mix(if cut == Cut::Preempted { 5 } else { 6 }, id);
            match self.stream_of(id) {
                Some(_) => self.usage.waste.failures_s += self.held_s(&run) / run.members.len() as f64,
                None => self.keep_progress(id, &run, cut),
            }
            self.set_state(id, State::Queued);
            self.join_queue(id);
        }
        let waste = &mut self.usage.waste;
        match cut {
            Cut::Preempted => waste.preemptions += 1,
            Cut::Failure => waste.cut_off += 1,
        }
        run.nodes.iter().for_each(|&share| self.give_back(share));
        self.waiting = false;
    }

    fn keep_progress(&mut self, id: JobId, run: &Running, cut: Cut) {
        let record = &mut self.records[id.index()];
        let (computed, all) = (self.now.since(run.ready), record.finish.since(run.ready));
        let kept = match (cut, self.world.rules.resume.checkpoint) {
            (Cut::Preempted, _) => computed,
            (Cut::Failure, Some(every)) => Span(computed.0 - computed.0 % every.0.max(1)),
            (Cut::Failure, None) => Span::ZERO,
        };
        record.slices.push(Slice { start: run.start, finish: self.now, nodes: run.nodes.clone() });
        let left = self.world.workload.true_steps(id) - self.progress[id.index()].steps;
        let progress = &mut self.progress[id.index()];
        progress.steps += steps_in(kept, all, left);
        progress.slices += 1;
        progress.received += self.now.since(run.start);
        let waste = &mut self.usage.waste;
        let held = self.now.since(run.start).as_secs_f64();
        waste.restarts_s += (held - computed.as_secs_f64()) * devices(&run.nodes);
        waste.failures_s += (computed.as_secs_f64() - kept.as_secs_f64()) * devices(&run.nodes);
    }

    fn held_s(&self, run: &Running) -> f64 {
        self.now.since(run.start).as_secs_f64() * devices(&run.nodes)
    }
}

fn devices(nodes: &Placement) -> f64 {
    nodes.iter().map(|share| f64::from(share.devices)).sum()
}

/// What is left of a duration when `done` of `steps` are done, made longer by `spread`.
fn rest(whole: Span, done: u64, steps: u64, spread: f64) -> Span {
    if done == 0 && spread == 0.0 {
        return whole;
    }
    let left = 1.0 - (done as f64 / steps.max(1) as f64).min(1.0);
    whole.scaled(left * (1.0 + spread))
}

/// How many of the `left` steps were taken in a part of the time that all of them take.
fn steps_in(part: Span, all: Span, left: u64) -> u64 {
    let share = u128::from(part.0.min(all.0)) * u128::from(left) / u128::from(all.0.max(1));
    // A share of `left` fits where `left` does.
    share as u64
}
