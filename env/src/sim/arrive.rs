//! How work comes to wait: it is submitted, or the stage before it ends, or it was cut off.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Simulator, State};
use crate::job::Job;
use crate::units::{JobId, Span};
use crate::view::{Discipline, Progress};

impl Simulator {
    /// Takes in the next arrival, or refuses it if it could never run.
    pub(super) fn admit_next(&mut self) {
        let id = JobId(self.arrived as u32);
        let world = Arc::clone(&self.world);
        let job = &world.workload.jobs[id.index()];
        self.arrived += 1;
        self.mix(1, id);
        if world.keeps_progress() {
            let turn = self.rounds.next_turn();
            self.progress.push(Progress { turn, ..Progress::default() });
        }
        if let Some(calibrator) = &self.calibrator {
            let known = job.request_model().is_none();
            let ratio = if known { calibrator.predict(job.user, job.model_number()).ratio() } else { 1.0 };
            self.corrections.push(ratio);
        }
        let before = job.after.map(|before| self.records[before.index()].state);
        let shortest = world.shortest(id).filter(|_| before != Some(State::Refused));
        let Some(shortest) = shortest else {
            self.refuse(id);
            return;
        };
        self.meter.enter(job, world.ideal(id));
        self.remember(id, job, shortest);
        match before {
            None | Some(State::Finished) => self.set_state(id, State::Queued),
            Some(State::Dropped) => return self.give_up(id),
            Some(_) => return self.set_state(id, State::Blocked),
        }
        self.join_queue(id);
        if world.discipline == Discipline::Rounds {
            self.rounds.enter(id);
        }
        self.debug_check();
    }

    fn refuse(&mut self, id: JobId) {
        self.set_state(id, State::Refused);
        self.answer();
    }

    fn remember(&mut self, id: JobId, job: &Job, shortest: Span) {
        let stream = self.stream_of(id);
        let timing = &self.world.timing;
        let span = |slot| match stream {
            Some(stream) => timing.batch(stream, slot, 1),
            None => timing.job(id.index(), slot),
        };
        let spans: SmallVec<[Option<Span>; 8]> = (0..timing.kinds()).map(span).collect();
        self.history.arrive(job.arrival, job.gang, shortest, &spans, stream);
    }

    /// Puts a job into the queue, or a request into its stream; one that comes back stands before younger ones.
    pub(super) fn join_queue(&mut self, id: JobId) {
        match self.stream_of(id) {
            Some(stream) => {
                let queue = &mut self.streams[stream].queue;
                let at = queue.partition_point(|other| *other < id);
                queue.insert(at, id);
                self.watch(id);
            }
            None => self.queue.join(id, &self.world),
        }
    }

    /// The stage after one that has finished may start.
    pub(super) fn release_next_stage(&mut self, done: JobId) {
        for next in self.world.next_stages(done) {
            if self.records[next.index()].state == State::Blocked {
                self.set_state(next, State::Queued);
                self.join_queue(next);
            }
        }
    }

    /// The stages after one that was dropped will not be reached.
    pub(super) fn drop_next_stages(&mut self, dropped: JobId) {
        for next in self.world.next_stages(dropped) {
            if self.records[next.index()].state == State::Blocked {
                self.give_up(next);
                self.drop_next_stages(next);
            }
        }
    }

    /// Books a job as dropped that waits in no queue.
    pub(super) fn give_up(&mut self, id: JobId) {
        self.set_state(id, State::Dropped);
        let record = &mut self.records[id.index()];
        (record.start, record.finish) = (self.now, self.now);
        let world = Arc::clone(&self.world);
        self.meter.drop(&world.workload.jobs[id.index()], world.ideal(id));
        drop(world);
        self.mix(4, id);
    }
}
