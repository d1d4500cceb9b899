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
//! [`Discipline::Free`] (the batch-queue disciplines have the order of their literature, see `commit`), then the
//! order in which they were scheduled.

mod clients;
mod commit;
mod event;
mod invariants;
mod late;
mod legal;

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::job::{Job, Task, Truth, Workload};
use crate::objective::{CostMeter, Objective};
use crate::serving::{Batches, Late, Serving};
use crate::timing::{KindSlot, Timing};
use crate::units::{JobId, Span, Time};
use crate::view::{Decision, Discipline, History, Placement, Running, Stream, View, place};
use event::Finishes;
use late::Deadlines;
pub use legal::Illegal;

/// What is simulated; shared by all simulations of the same episode.
#[derive(Clone, Debug)]
pub struct World {
    /// The machines.
    pub cluster: Cluster,
    /// What arrives, and the truth about it.
    pub workload: Workload,
    /// Estimated service times.
    pub timing: Timing,
    /// How decisions are carried out.
    pub discipline: Discipline,
    /// What a schedule costs.
    pub objective: Objective,
    /// After a wait without a moment the policy is asked again no later than this.
    pub hold: Option<Span>,
    /// Which batch sizes there are, and what becomes of late requests.
    pub serving: Serving,
}

/// A world that cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// The batch-queue disciplines know one pool of alike devices.
    #[error(
        "discipline commit needs nodes of one device kind, the cluster has {kinds}: use the discipline free"
    )]
    CommitNeedsOneKind {
        /// Kinds in the cluster.
        kinds: usize,
    },
    /// Inference requests need to be batched, which the batch-queue disciplines cannot.
    #[error("discipline commit cannot serve inference requests: use the discipline free")]
    CommitNeedsJobs,
    /// No devices at all.
    #[error("the cluster has no devices")]
    NoDevices,
    /// A policy that waits would be asked again at the same moment, for ever.
    #[error("the longest hold is 0: leave it out or make it longer")]
    NoHold,
    /// Dropping must cost something.
    #[error("late requests cannot be dropped by the objective {objective}: use misses, which counts them")]
    DropsCostNothing {
        /// The objective.
        objective: &'static str,
    },
    /// A job that no placement or no cost could be given for.
    #[error("job {label} has {what}: a gang is at least 1 device, a weight a number from 0")]
    BadJob {
        /// Its number in the trace.
        label: u64,
        /// What is wrong with it.
        what: String,
    },
}

impl World {
    /// Builds the timing table and checks that the parts go together.
    pub fn new(
        catalog: &Catalog,
        cluster: Cluster,
        workload: Workload,
        discipline: Discipline,
        objective: Objective,
        hold: Option<Span>,
    ) -> Result<World, WorldError> {
        if cluster.devices() == 0 {
            return Err(WorldError::NoDevices);
        }
        if hold == Some(Span::ZERO) {
            return Err(WorldError::NoHold);
        }
        workload.jobs.iter().try_for_each(check_job)?;
        let timing = Timing::new(catalog, &cluster, &workload.jobs);
        if discipline != Discipline::Free {
            if cluster.kinds().len() != 1 {
                return Err(WorldError::CommitNeedsOneKind { kinds: cluster.kinds().len() });
            }
            if timing.models().len() > 0 {
                return Err(WorldError::CommitNeedsJobs);
            }
        }
        let serving = Serving::default();
        Ok(World { cluster, workload, timing, discipline, objective, hold, serving })
    }

    /// The same world with other rules of serving; `catalog` is the one it was built with.
    ///
    /// # Errors
    /// Dropping, where the objective does not count misses.
    pub fn with_serving(mut self, catalog: &Catalog, serving: Serving) -> Result<World, WorldError> {
        if serving.late == Late::Drop && !matches!(self.objective, Objective::Misses { .. }) {
            return Err(WorldError::DropsCostNothing { objective: self.objective.name() });
        }
        if serving.batches == Batches::Measured {
            self.timing.keep_measured_batches(catalog);
        }
        self.serving = serving;
        Ok(self)
    }

    /// The shortest time in which the job can be served, on an empty cluster; `None` if it cannot be served at all.
    pub fn shortest(&self, id: JobId) -> Option<Span> {
        let job = &self.workload.jobs[id.index()];
        let slots = 0..self.timing.kinds();
        match job.request_model().and_then(|model| self.timing.stream_of(model)) {
            Some(stream) => slots.filter_map(|slot| self.timing.batch(stream, slot, 1)).min(),
            None => {
                let enough =
                    |slot: &KindSlot| self.cluster.devices_of(self.cluster.kinds()[*slot]) >= job.gang;
                slots.filter(enough).filter_map(|slot| self.timing.job(id.index(), slot)).min()
            }
        }
    }
}

fn check_job(job: &Job) -> Result<(), WorldError> {
    let bad = |what| Err(WorldError::BadJob { label: job.label, what });
    if job.gang == 0 {
        return bad("a gang of 0".to_owned());
    }
    if !(job.weight >= 0.0 && job.weight.is_finite()) {
        return bad(format!("the weight {}", job.weight));
    }
    Ok(())
}

/// Where a job stands; each is in exactly one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not yet submitted.
    #[default]
    Future,
    /// Waits.
    Queued,
    /// Occupies devices.
    Running,
    /// Done.
    Finished,
    /// Could never run on this cluster.
    Refused,
    /// Left at its deadline without having been served.
    Dropped,
}

/// What became of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Where it stands.
    pub state: State,
    /// When it started; meaningful once running.
    pub start: Time,
    /// When it finishes, or was dropped; meaningful once running.
    pub finish: Time,
    /// Requests served with it, itself included; a training job's batch; 1 for a rigid job.
    pub batch: u32,
    /// Where it runs or ran.
    pub nodes: Placement,
}

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
    queue: Vec<JobId>,
    streams: Vec<Stream>,
    free: Vec<u32>,
    free_by_kind: Vec<u32>,
    running: Vec<Running>,
    records: Vec<Record>,
    history: History,
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
            queue: Vec::new(),
            streams,
            free: world.cluster.nodes().iter().map(|node| node.devices).collect(),
            free_by_kind,
            running: Vec::new(),
            records: vec![Record::default(); world.workload.len()],
            history: History::default(),
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
            Discipline::Commit | Discipline::CommitBackfill => self.run_to_head(),
        };
        found.then(|| self.view())
    }

    /// Carries out a decision, or says why it is illegal and changes nothing.
    pub fn apply(&mut self, decision: Decision) -> Result<(), Illegal> {
        match decision {
            Decision::Start { job, nodes, batch } => {
                let slot = self.check_start(job, &nodes, batch)?;
                self.start(job, nodes, slot, batch);
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
            streams: &self.streams,
            free: &self.free,
            free_by_kind: &self.free_by_kind,
            running: &self.running,
            history: &self.history,
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
        self.world.discipline == Discipline::Free && (self.world.hold.is_some() || !self.running.is_empty())
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
        let Some(shortest) = world.shortest(id) else {
            self.records[id.index()].state = State::Refused;
            drop(world);
            self.answer();
            return;
        };
        self.records[id.index()].state = State::Queued;
        self.meter.enter(job, shortest);
        self.remember(job, shortest);
        match job.request_model().and_then(|model| world.timing.stream_of(model)) {
            Some(stream) => {
                self.streams[stream].queue.push(id);
                self.watch(id);
            }
            None => self.queue.push(id),
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
        let done = self.running.remove(at);
        for share in &done.nodes {
            self.free[share.node.index()] += share.devices;
            self.free_by_kind[done.slot] += share.devices;
        }
        let world = Arc::clone(&self.world);
        for &id in &done.members {
            self.records[id.index()].state = State::Finished;
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
        let finish = self.now + actual;
        for share in &nodes {
            self.free[share.node.index()] -= share.devices;
            self.free_by_kind[slot] -= share.devices;
        }
        for &id in &members {
            let record = &mut self.records[id.index()];
            *record = Record { state: State::Running, start: self.now, finish, batch, nodes: nodes.clone() };
            self.meter.start(&self.world.workload.jobs[id.index()], finish);
            self.mix(3, id);
        }
        let sequence = self.sequence;
        self.sequence += 1;
        self.finishes.push(finish, sequence);
        let expected_finish = self.now + expected;
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
    fn take(&mut self, first: JobId, batch: u32) -> smallvec::SmallVec<[JobId; 2]> {
        match self.stream_of(first) {
            Some(stream) => self.streams[stream].queue.drain(..batch as usize).collect(),
            None => {
                self.queue.retain(|&id| id != first);
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
        let slots = 0..self.free_by_kind.len();
        let view = self.view();
        let serves = |stream: usize| {
            let mut slots = slots.clone();
            slots.any(|slot| self.free_by_kind[slot] > 0 && self.world.timing.max_batch(stream, slot) > 0)
        };
        self.queue.iter().any(|&job| slots.clone().any(|slot| view.fits(job, slot)))
            || (0..self.streams.len()).any(|stream| !self.streams[stream].queue.is_empty() && serves(stream))
    }

    /// Placement for the batch-queue disciplines: anywhere.
    fn place_anywhere(&self, job: JobId) -> Option<Placement> {
        place(&self.world.cluster, &self.free, 0, self.world.workload.jobs[job.index()].gang)
    }

    /// FNV-1a over (what, which, when).
    fn mix(&mut self, event: u64, job: JobId) {
        for word in [event, u64::from(job.0), self.now.0] {
            for byte in word.to_le_bytes() {
                self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
}
