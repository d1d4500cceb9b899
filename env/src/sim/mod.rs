//! The simulator: virtual time runs to the next real choice, a decision is carried out exactly, or refused whole.
//!
//! ```text
//! while let Some(view) = sim.next_decision() {
//!     let decision = policy.decide(&view);
//!     sim.apply(decision)?;              // Err(Illegal) changes nothing
//! }
//! ```
//!
//! Events have a total order: time first, completions before arrivals at the same time under
//! [`Discipline::Free`] (the batch-queue disciplines have the order of their literature, see `commit`; time slices
//! have theirs, see `rounds`), then the order in which they were scheduled.

mod clients;
mod commit;
mod event;
mod invariants;
mod late;
mod legal;
mod line;
mod record;
mod rounds;
mod shares;
mod slide;
mod world;

use std::sync::Arc;

use smallvec::SmallVec;

use crate::job::{Job, Task, Truth};
use crate::objective::CostMeter;
use crate::timing::KindSlot;
use crate::units::{JobId, Span, Time};
use crate::view::{Decision, Discipline, History, Placement, Running, Stream, View, place};
use event::Finishes;
use invariants::Census;
use late::Deadlines;
pub use legal::Illegal;
use line::Line;
pub use record::{Record, Slice, State};
use rounds::RoundState;
use slide::Slide;
pub use world::{RoundRules, World, WorldError};

/// One simulation. Cloning it is cheap enough for look-ahead: the world is shared.
#[derive(Clone, Debug)]
pub struct Simulator {
    world: Arc<World>,
    now: Time,
    /// Jobs before this one have arrived.
    arrived: usize,
    /// Jobs before this one have a moment of arrival; all, unless clients wait for answers.
    sent: usize,
    finishes: Finishes,
    deadlines: Deadlines,
    wake: Option<Time>,
    /// The policy chose to wait; cleared by the next event.
    waiting: bool,
    queue: Line,
    streams: Vec<Stream>,
    free: Vec<u32>,
    free_by_kind: Vec<u32>,
    running: Slide<Running>,
    records: Vec<Record>,
    /// Jobs in each state.
    census: Census,
    history: History,
    rounds: RoundState,
    meter: CostMeter,
    sequence: u64,
    decisions: u64,
    digest: u64,
}

impl Simulator {
    /// Before the first arrival.
    pub fn new(world: Arc<World>) -> Simulator {
        let streams = world.timing.models().map(|model| Stream { model, queue: Vec::new() }).collect();
        let free_by_kind = world.cluster.kinds().iter().map(|&kind| world.cluster.devices_of(kind)).collect();
        // The clock starts with the first submission: time before it costs nothing and is not idle time.
        let start = world.workload.jobs.first().map_or(Time::ZERO, |job| job.arrival);
        Simulator {
            now: start,
            arrived: 0,
            sent: world.workload.sent_at_first(),
            finishes: Finishes::default(),
            deadlines: Deadlines::default(),
            wake: None,
            waiting: false,
            queue: Line::new(&world),
            streams,
            free: world.cluster.nodes().iter().map(|node| node.devices).collect(),
            free_by_kind,
            running: Slide::default(),
            records: vec![Record::default(); world.workload.len()],
            census: Census::new(world.workload.len()),
            history: History::default(),
            rounds: RoundState::new(world.cluster.kinds().len()),
            meter: CostMeter::new(world.objective, start),
            sequence: 0,
            decisions: 0,
            digest: 0xcbf2_9ce4_8422_2325,
            world,
        }
    }

    /// Runs virtual time to the next real choice; `None` once nothing is left to decide and all has run.
    pub fn next_decision(&mut self) -> Option<View<'_>> {
        let found = match self.world.discipline {
            Discipline::Free => self.run_to_choice(),
            Discipline::Rounds => self.run_to_round(),
            Discipline::Commit | Discipline::CommitBackfill => self.run_to_head(),
        };
        found.then(|| self.view())
    }

    /// Carries out a decision, or says why it is illegal and changes nothing.
    pub fn apply(&mut self, decision: Decision) -> Result<(), Illegal> {
        match decision {
            Decision::Start { job, nodes, batch } => {
                let slot = self.check_start(job, &nodes, batch)?;
                match self.world.discipline {
                    Discipline::Rounds => self.start_for_round(job, nodes, slot),
                    _ => self.start(job, nodes, slot, batch),
                }
            }
            Decision::Allocate { portions, fill } => {
                self.check_allocate(&portions)?;
                self.allocate(&portions, fill);
            }
            Decision::Reserve { order } => {
                let head = self.check_reserve(&order)?;
                self.reorder(&order);
                self.commit(head);
            }
            Decision::Wait { until } => {
                self.check_wait(until)?;
                self.waiting = true;
                self.wake = until.or_else(|| self.world.hold.map(|hold| self.now + hold));
            }
        }
        self.decisions += 1;
        self.debug_check();
        Ok(())
    }

    /// What a policy is shown now.
    pub fn view(&self) -> View<'_> {
        View {
            now: self.now,
            cluster: &self.world.cluster,
            timing: &self.world.timing,
            jobs: &self.world.workload.jobs[..self.arrived],
            queue: &self.queue,
            continuity: self.queue.continuity(),
            streams: &self.streams,
            free: &self.free,
            free_by_kind: &self.free_by_kind,
            running: &self.running,
            history: &self.history,
            progress: self.rounds.progress(),
            discipline: self.world.discipline,
            may_wait: self.may_wait(),
        }
    }

    /// What is simulated.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The present.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What became of each job so far, in order of arrival.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The cost so far.
    pub fn cost(&self) -> &CostMeter {
        &self.meter
    }

    /// Decisions carried out.
    pub fn decisions(&self) -> u64 {
        self.decisions
    }

    /// A digest of all events so far; equal digests mean equal histories.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many jobs have arrived.
    pub fn arrived(&self) -> usize {
        self.arrived
    }

    fn may_wait(&self) -> bool {
        !self.world.discipline.commits() && (self.world.hold.is_some() || !self.running.is_empty())
    }

    /// Discipline `free`: all events of a moment happen before anything is decided in it.
    fn run_to_choice(&mut self) -> bool {
        loop {
            self.process_due();
            if !self.waiting && self.anything_fits() {
                return true;
            }
            let Some(next) = self.next_event() else {
                self.check_end();
                return false;
            };
            self.advance(next);
            self.waiting = false;
            self.wake = None;
        }
    }

    /// The next moment at which anything happens.
    fn next_event(&mut self) -> Option<Time> {
        let wake = if self.waiting { self.wake } else { None };
        [self.next_arrival(), self.finishes.next(), self.next_expiry(), wake].into_iter().flatten().min()
    }

    fn next_arrival(&self) -> Option<Time> {
        self.world.workload.jobs[..self.sent].get(self.arrived).map(|job| job.arrival.max(self.now))
    }

    fn process_due(&mut self) {
        loop {
            while self.finishes.next().is_some_and(|time| time <= self.now) {
                self.finish_next();
            }
            while self.next_arrival().is_some_and(|time| time <= self.now) {
                self.admit_next();
            }
            if !self.drop_next() {
                return;
            }
        }
    }

    fn advance(&mut self, to: Time) {
        debug_assert!(to >= self.now, "time would run backwards from {} to {to}", self.now);
        self.now = to;
        self.meter.advance(to);
    }

    /// Takes the next arrival into the queue, or refuses it if it could never run.
    fn admit_next(&mut self) {
        let id = JobId(self.arrived as u32);
        let world = Arc::clone(&self.world);
        let job = &world.workload.jobs[id.index()];
        self.arrived += 1;
        self.mix(1, id);
        if world.discipline == Discipline::Rounds {
            self.rounds.admit();
        }
        let Some(shortest) = world.shortest(id) else {
            self.set_state(id, State::Refused);
            drop(world);
            self.answer();
            return;
        };
        self.set_state(id, State::Queued);
        self.meter.enter(job, shortest);
        self.remember(job, shortest);
        match job.request_model().and_then(|model| world.timing.stream_of(model)) {
            Some(stream) => {
                self.streams[stream].queue.push(id);
                self.watch(id);
            }
            None => self.queue.join(id, &world),
        }
        if world.discipline == Discipline::Rounds {
            self.rounds.enter(id);
        }
        self.debug_check();
    }

    fn remember(&mut self, job: &Job, shortest: Span) {
        let work = (shortest.as_secs_f64() * f64::from(job.gang)).max(1e-9);
        self.history.arrivals += 1;
        self.history.sum_ln_work += libm::log(work);
        self.history.sum_work += work;
        self.history.first.get_or_insert(job.arrival);
    }

    /// Releases the batch or job that finishes next.
    fn finish_next(&mut self) {
        let Some(sequence) = self.finishes.pop() else { return };
        let Ok(at) = self.running.binary_search_by_key(&sequence, |running| running.sequence) else { return };
        let Some(done) = self.running.remove(at) else { return };
        for share in &done.nodes {
            self.free[share.node.index()] += share.devices;
            self.free_by_kind[done.slot] += share.devices;
        }
        let world = Arc::clone(&self.world);
        for &id in &done.members {
            if world.discipline == Discipline::Rounds && !self.end_slice(id, &done) {
                continue;
            }
            self.set_state(id, State::Finished);
            self.meter.leave(&world.workload.jobs[id.index()], world.shortest(id).unwrap_or(Span::ZERO));
            self.mix(2, id);
        }
        drop(world);
        done.members.iter().for_each(|_| self.answer());
        self.debug_check();
    }

    /// Starts a checked decision.
    fn start(&mut self, first: JobId, nodes: Placement, slot: KindSlot, batch: u32) {
        let members = self.take(first, batch);
        let (expected, actual) = self.durations(first, slot, batch);
        let (start, finish) = (self.now, self.now + actual);
        for &id in &members {
            self.set_state(id, State::Running);
            let record = &mut self.records[id.index()];
            (record.start, record.finish, record.batch) = (start, finish, batch);
            record.nodes.clone_from(&nodes);
            self.meter.start(&self.world.workload.jobs[id.index()], finish);
            self.mix(3, id);
        }
        self.occupy(members, batch, nodes, slot, (start + expected, finish));
    }

    /// Takes the devices of what has been started; `finish` is the expected and the true one.
    fn occupy(
        &mut self,
        members: SmallVec<[JobId; 2]>,
        batch: u32,
        nodes: Placement,
        slot: KindSlot,
        (expected_finish, finish): (Time, Time),
    ) {
        for share in &nodes {
            self.free[share.node.index()] -= share.devices;
            self.free_by_kind[slot] -= share.devices;
        }
        let sequence = self.sequence;
        self.sequence += 1;
        self.finishes.push(finish, sequence);
        self.running.push(Running {
            members,
            batch,
            start: self.now,
            expected_finish,
            nodes,
            slot,
            sequence,
        });
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

    /// Estimated and true duration.
    fn durations(&self, first: JobId, slot: KindSlot, batch: u32) -> (Span, Span) {
        let expected = match self.stream_of(first) {
            Some(stream) => self.world.timing.batch(stream, slot, batch),
            None => self.world.timing.job(first.index(), slot),
        };
        // A checked start runs on this kind, so there is an estimate.
        let expected = expected.unwrap_or(Span::ZERO);
        match self.world.workload.truths[first.index()] {
            Truth::AsEstimated => (expected, expected),
            Truth::Duration(actual) => (expected, actual),
        }
    }

    fn stream_of(&self, job: JobId) -> Option<usize> {
        match self.world.workload.jobs[job.index()].task {
            Task::Request { model } => self.world.timing.stream_of(model),
            _ => None,
        }
    }

    fn anything_fits(&self) -> bool {
        if self.free_by_kind.iter().all(|&free| free == 0) {
            return false;
        }
        let serves = |stream: usize| {
            let mut slots = 0..self.free_by_kind.len();
            slots.any(|slot| self.free_by_kind[slot] > 0 && self.world.timing.max_batch(stream, slot) > 0)
        };
        self.queue.any_fits(&self.free_by_kind)
            || (0..self.streams.len()).any(|stream| !self.streams[stream].queue.is_empty() && serves(stream))
    }

    /// Placement for the batch-queue disciplines: anywhere.
    fn place_anywhere(&self, job: JobId) -> Option<Placement> {
        place(&self.world.cluster, &self.free, 0, self.world.workload.jobs[job.index()].gang)
    }

    /// FNV-1a over (what, which, when).
    fn mix(&mut self, event: u64, job: JobId) {
        self.digest = [event, u64::from(job.0), self.now.0].into_iter().fold(self.digest, event::fnv1a);
    }

    fn set_state(&mut self, job: JobId, state: State) {
        let record = &mut self.records[job.index()];
        self.census.move_one(record.state, state);
        record.state = state;
    }
}
