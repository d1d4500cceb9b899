//! The life of what has been started: its devices are held, work begins once all is ready, and it ends or is cut off.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Simulator, Slice, State};
use crate::data::{ArtefactId, DataPlane, DeviceId};
use crate::job::{Choice, Truth};
use crate::loads::ModelBatch;
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
    /// It needed more memory than there is: it keeps nothing of this run, and takes smaller batches from now on.
    OutOfMemory,
}

impl Cut {
    /// Its number in the digest of events.
    fn event(self) -> u64 {
        match self {
            Cut::Preempted => 5,
            Cut::Failure => 6,
            Cut::OutOfMemory => 9,
        }
    }
}

/// What a start chooses besides the devices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) batch: u32,
    pub(super) variant: u16,
}

/// Devices that a run holds, where it matters which they are, and how long its model takes to load there.
#[derive(Clone, Debug)]
pub(super) struct Held {
    devices: SmallVec<[DeviceId; 2]>,
    load: Span,
}

/// How long a run takes from the moment it computes.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    expected: Span,
    actual: Span,
}

impl Simulator {
    /// Starts a checked decision: its devices are held, and work begins once data and model are there.
    pub(super) fn start(&mut self, first: JobId, nodes: Placement, slot: KindSlot, size: Size) {
        let Size { batch, variant } = size;
        let members = self.take(first, batch);
        let fetch = self.fetch(&members, &nodes);
        let load = self.load(first, &nodes, size);
        let setup = load + self.view().restart(first);
        let lengths = self.lengths(first, &nodes, slot, size);
        for &id in &members {
            let state = if fetch.is_some() { State::Transferring } else { State::Running };
            self.set_state(id, state);
            let record = &mut self.records[id.index()];
            if record.slices.is_empty() {
                record.start = self.now;
            }
            (record.batch, record.variant) = (batch, variant);
            record.nodes.clone_from(&nodes);
            self.mix(3, id);
        }
        let ready = self.now + fetch.unwrap_or(Span::ZERO) + setup;
        let sequence = self.occupy(members, size, nodes, slot, (ready, ready + lengths.expected));
        if fetch.is_some() {
            self.running.change(self.running.len() - 1, |run| run.fetching = true);
        } else {
            self.will_finish(sequence, ready, lengths.actual);
        }
    }

    /// Takes the devices of what has been started; gives the number of the run. When it begins to compute and should
    /// finish is estimated.
    pub(super) fn occupy(
        &mut self,
        members: SmallVec<[JobId; 2]>,
        Size { batch, variant }: Size,
        nodes: Placement,
        slot: KindSlot,
        (ready, expected_finish): (Time, Time),
    ) -> u64 {
        nodes.iter().for_each(|&share| self.hold(share));
        let sequence = self.sequence;
        self.sequence += 1;
        let (start, fetching) = (self.now, false);
        let run = Running {
            members,
            batch,
            variant,
            start,
            ready,
            fetching,
            expected_finish,
            nodes,
            slot,
            sequence,
        };
        self.running.push(run);
        sequence
    }

    /// Begins to bring what a job, or all of a batch of requests, needs to its nodes; the estimated time until it is
    /// there, or nothing if it is.
    fn fetch(&mut self, members: &[JobId], nodes: &Placement) -> Option<Span> {
        let data = self.data.as_mut()?;
        let inputs = members.iter().flat_map(|id| &self.world.workload.jobs[id.index()].inputs);
        let inputs: SmallVec<[ArtefactId; 4]> = inputs.copied().collect();
        let mut waits = false;
        for share in nodes.iter().filter(|_| !inputs.is_empty()) {
            waits |= data.begin(self.now, share.node, &inputs, self.sequence);
        }
        waits.then(|| data.ready_at(self.sequence).map_or(Span::ZERO, |ready| ready.since(self.now)))
    }

    /// Takes devices that hold the model, or loads it; how long that takes.
    fn load(&mut self, job: JobId, nodes: &Placement, size: Size) -> Span {
        let batch = self.batch_of_model(job, size);
        let Some(loads) = &mut self.loads else { return Span::ZERO };
        let shares = nodes.iter().flat_map(|share| std::iter::repeat_n(share.node, share.devices as usize));
        let taken: SmallVec<[(DeviceId, Span); 2]> =
            shares.filter_map(|node| loads.start(node, batch)).collect();
        let devices = taken.iter().map(|(device, _)| *device).collect();
        let load = taken.iter().map(|(_, load)| *load).max().unwrap_or(Span::ZERO);
        self.held.insert(self.sequence, Held { devices, load });
        load
    }

    /// Lets work begin whose data is there.
    pub(super) fn begin_fetched(&mut self) {
        while let Some(sequence) = self.data.as_mut().and_then(DataPlane::pop_ready) {
            let Ok(at) = self.running.binary_search_by_key(&sequence, |run| run.sequence) else { continue };
            let run = self.running[at].clone();
            let first = run.members[0];
            let size = Size { batch: run.batch, variant: run.variant };
            let lengths = self.lengths(first, &run.nodes, run.slot, size);
            // A model is loaded once the data is there.
            let load = self.held.get(&sequence).map_or(Span::ZERO, |held| held.load);
            let ready = self.now + load + self.view().restart(first);
            self.running.change(at, |run| {
                (run.fetching, run.ready, run.expected_finish) = (false, ready, ready + lengths.expected);
            });
            for &id in &run.members {
                self.set_state(id, State::Running);
                self.mix(8, id);
            }
            self.will_finish(sequence, ready, lengths.actual);
        }
    }

    /// The model that a batch of requests needs, and how large the batch is.
    fn batch_of_model(&self, job: JobId, Size { batch, variant }: Size) -> Option<ModelBatch> {
        let stream = self.stream_of(job)?;
        let model = self.world.workload.jobs[job.index()].request_model()?;
        Some(ModelBatch { model, variant: self.world.timing.catalog_variant(stream, variant), batch })
    }

    /// Fixes when a run finishes, or runs out of memory.
    fn will_finish(&mut self, sequence: u64, ready: Time, actual: Span) {
        let Ok(at) = self.running.binary_search_by_key(&sequence, |run| run.sequence) else { return };
        if let Some(limit) = self.world.memory.as_ref().filter(|_| self.exceeds_memory(&self.running[at])) {
            let end = ready + limit.fails_after;
            self.doomed.insert(sequence);
            self.finishes.push(end, sequence);
            return;
        }
        let finish = ready + actual;
        self.finishes.push(finish, sequence);
        for &id in &self.running[at].members {
            self.records[id.index()].finish = finish;
            self.meter.start(&self.world.workload.jobs[id.index()], finish);
        }
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

    /// Whether a run truly needs more memory than its devices have.
    fn exceeds_memory(&self, run: &Running) -> bool {
        let (Some(memory), Some(&job)) = (&self.world.memory, run.members.first()) else { return false };
        let choice = Choice { gang: devices(&run.nodes) as u32, batch: run.batch };
        let way = self.world.timing.ways(job.index()).iter().find(|way| way.choice == choice);
        let factor = self.world.workload.truths[job.index()].memory_factor();
        way.is_some_and(|way| way.memory_bytes as f64 * factor > memory.bytes[run.slot] as f64)
    }

    fn lengths(&self, first: JobId, nodes: &Placement, slot: KindSlot, size: Size) -> Lengths {
        let timing = &self.world.timing;
        let choice = Choice { gang: devices(nodes) as u32, batch: size.batch };
        let whole = match self.stream_of(first) {
            Some(stream) => timing.variant_batch(stream, size.variant, slot, size.batch),
            None => match timing.ways(first.index()).iter().find(|way| way.choice == choice) {
                Some(way) => way.span(slot),
                None => timing.job(first.index(), slot),
            },
        };
        // A checked start runs on this kind, so there is an estimate.
        let whole = whole.unwrap_or(Span::ZERO);
        let actual = match self.world.workload.truths[first.index()] {
            Truth::AsEstimated => whole,
            Truth::Duration(actual) => actual,
            Truth::Steps(factor) | Truth::Needs { steps: factor, .. } => whole.scaled(factor),
        };
        let (done, workload) = (self.done(first), &self.world.workload);
        let (spread, correction) = (self.world.spread(nodes), self.view().correction(first));
        let claimed = workload.jobs[first.index()].steps() as f64 * correction;
        Lengths {
            expected: rest(whole.scaled(correction), done, claimed, spread),
            actual: rest(actual, done, workload.true_steps(first) as f64, spread),
        }
    }

    /// How long a run truly computes from the moment it is ready.
    pub(super) fn actual_length(&self, job: JobId, run: &Running) -> Span {
        let size = Size { batch: run.batch, variant: run.variant };
        self.lengths(job, &run.nodes, run.slot, size).actual
    }

    /// Steps that a job has done, where these are kept.
    fn done(&self, job: JobId) -> u64 {
        if self.world.discipline == Discipline::Free { self.view().progress(job).steps } else { 0 }
    }

    /// Releases the batch or job that finishes next.
    pub(super) fn finish_next(&mut self) {
        let Some(sequence) = self.finishes.pop() else { return };
        let Ok(at) = self.running.binary_search_by_key(&sequence, |running| running.sequence) else { return };
        if self.doomed.contains(&sequence) {
            return self.cut_off(at, Cut::OutOfMemory);
        }
        let Some(done) = self.running.remove(at) else { return };
        self.release_all(&done);
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
            self.publish(id, &done);
            self.learn(id);
            self.release_next_stage(id);
        }
        drop(world);
        done.members.iter().for_each(|_| self.answer());
        self.debug_check();
    }

    /// What the job really needed is known from now on.
    fn learn(&mut self, id: JobId) {
        let (job, actual) = (&self.world.workload.jobs[id.index()], self.world.workload.true_steps(id));
        if let (Some(calibrator), None) = (&mut self.calibrator, job.request_model()) {
            calibrator.observe(job.user, job.model_number(), job.steps() as f64, actual as f64);
        }
    }

    /// What a job leaves behind is on the first of its nodes.
    fn publish(&mut self, id: JobId, done: &Running) {
        let output = self.world.workload.jobs[id.index()].output;
        if let (Some(data), Some(output), Some(share)) = (&mut self.data, output, done.nodes.first()) {
            data.publish(self.now, share.node, output);
        }
    }

    /// Books the last slice of a job that ran more than once.
    fn close_record(&mut self, id: JobId, done: &Running) {
        let (steps, restart) = (self.world.workload.true_steps(id), self.view().restart(id));
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
        let doomed = self.doomed.remove(&run.sequence);
        if !run.fetching {
            self.finishes.cancel(run.sequence);
        }
        self.release_all(&run);
        let world = Arc::clone(&self.world);
        for &id in &run.members {
            if !run.fetching && !doomed {
                self.meter.revoke(&world.workload.jobs[id.index()], self.records[id.index()].finish);
            }
            self.mix(cut.event(), id);
            match self.stream_of(id) {
                Some(_) => self.usage.waste.failures_s += self.held_s(&run) / run.members.len() as f64,
                None => self.keep_progress(id, &run, cut, doomed),
            }
            self.set_state(id, State::Queued);
            self.join_queue(id);
        }
        let waste = &mut self.usage.waste;
        match cut {
            Cut::Preempted => waste.preemptions += 1,
            Cut::Failure => waste.cut_off += 1,
            Cut::OutOfMemory => waste.out_of_memory += 1,
        }
        self.waiting = false;
    }

    /// Gives back all that a run held.
    fn release_all(&mut self, run: &Running) {
        run.nodes.iter().for_each(|&share| self.give_back(share));
        if let Some(data) = &mut self.data {
            data.release(self.now, run.sequence);
        }
        if let (Some(loads), Some(held)) = (&mut self.loads, self.held.remove(&run.sequence)) {
            loads.finish(&held.devices);
        }
    }

    fn keep_progress(&mut self, id: JobId, run: &Running, cut: Cut, doomed: bool) {
        let record = &mut self.records[id.index()];
        // A run that was to end for want of memory did nothing of use, whatever cut it off.
        let computes = !run.fetching && !doomed;
        let computed = if computes { self.now.since(run.ready) } else { Span::ZERO };
        let all = if computes { record.finish.since(run.ready) } else { Span::ZERO };
        let kept = match (cut, self.world.rules.resume.checkpoint) {
            (Cut::Preempted, _) => computed,
            (Cut::Failure, Some(every)) => Span(computed.0 - computed.0 % every.0.max(1)),
            (Cut::Failure, None) | (Cut::OutOfMemory, _) => Span::ZERO,
        };
        record.slices.push(Slice { start: run.start, finish: self.now, nodes: run.nodes.clone() });
        let left = self.world.workload.true_steps(id) - self.progress[id.index()].steps;
        let progress = &mut self.progress[id.index()];
        progress.steps += steps_in(kept, all, left);
        progress.slices += 1;
        progress.received += self.now.since(run.start);
        progress.turn = self.rounds.next_turn();
        let waste = &mut self.usage.waste;
        let held = self.now.since(run.start).as_secs_f64();
        if cut == Cut::OutOfMemory {
            let gang = run.nodes.iter().map(|share| share.devices).sum();
            progress.too_many = Some(Choice { gang, batch: run.batch }.per_device());
            waste.out_of_memory_s += held * devices(&run.nodes);
            return;
        }
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
fn rest(whole: Span, done: u64, steps: f64, spread: f64) -> Span {
    if done == 0 && spread == 0.0 {
        return whole;
    }
    let left = 1.0 - (done as f64 / steps.max(1.0)).min(1.0);
    whole.scaled(left * (1.0 + spread))
}

/// How many of the `left` steps were taken in a part of the time that all of them take.
fn steps_in(part: Span, all: Span, left: u64) -> u64 {
    let share = u128::from(part.0.min(all.0)) * u128::from(left) / u128::from(all.0.max(1));
    // A share of `left` fits where `left` does.
    share as u64
}
