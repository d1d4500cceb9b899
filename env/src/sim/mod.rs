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

mod arrive;
mod autoscale;
mod clients;
mod commit;
mod event;
mod invariants;
mod late;
mod legal;
mod life;
mod line;
mod nodes;
mod outlook;
mod record;
mod resume;
mod rounds;
mod shares;
mod slide;
mod usage;
mod world;
mod world_error;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::calibrate::Calibrator;
use crate::data::DataPlane;
use crate::forecast::Forecast;
use crate::job::Task;
use crate::loads::Loads;
use crate::objective::CostMeter;
use crate::units::{JobId, Time};
use crate::view::{Decision, Discipline, History, Placement, Progress, Running, Stream, View, place};
use event::Finishes;
use invariants::Census;
use late::Deadlines;
pub use legal::{Illegal, check};
use life::{Cut, Held, Size};
use line::Line;
pub use nodes::NodeState;
use nodes::Nodes;
pub use outlook::{Arrival, Future, Outlook};
pub use record::{Record, Slice, State};
use rounds::RoundState;
use slide::Slide;
use usage::Picture;
pub use usage::{Rates, Usage, Waste};
pub use world::{RoundRules, World};
pub use world_error::WorldError;

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
    /// Once nothing more is to come, a wait without a moment lasts until the next event.
    patient: bool,
    queue: Line,
    streams: Vec<Stream>,
    free: Vec<u32>,
    free_by_kind: Vec<u32>,
    nodes: Nodes,
    /// Where data is and moves, if that matters.
    data: Option<DataPlane>,
    /// Which models are loaded where, if that matters.
    loads: Option<Loads>,
    /// Runs that will end for want of memory, by their sequence. Nobody knows yet.
    doomed: BTreeSet<u64>,
    /// What each run holds, by its sequence, where models are loaded.
    held: BTreeMap<u64, Held>,
    running: Slide<Running>,
    records: Vec<Record>,
    /// Jobs in each state.
    census: Census,
    history: History,
    /// How wrong users were so far, and what that made of the claims of those jobs that have arrived.
    calibrator: Option<Calibrator>,
    corrections: Vec<f64>,
    /// Aligned with the jobs that have arrived, where progress is kept.
    progress: Vec<Progress>,
    rounds: RoundState,
    meter: CostMeter,
    usage: Usage,
    sequence: u64,
    decisions: u64,
    digest: u64,
}

impl Simulator {
    /// Before the first arrival.
    pub fn new(world: Arc<World>) -> Simulator {
        let streams: Vec<Stream> =
            world.timing.models().map(|model| Stream { model, queue: Vec::new() }).collect();
        let forecast = Forecast::new(streams.len());
        let free_by_kind = world.cluster.kinds().iter().map(|&kind| world.cluster.devices_of(kind)).collect();
        // The clock starts with the first submission: time before it costs nothing and is not idle time.
        let start = world.workload.jobs.first().map_or(Time::ZERO, |job| job.arrival);
        let mut sim = Simulator {
            now: start,
            arrived: 0,
            sent: world.workload.sent_at_first(),
            finishes: Finishes::default(),
            deadlines: Deadlines::default(),
            wake: None,
            waiting: false,
            patient: false,
            queue: Line::new(&world),
            streams,
            free: world.cluster.nodes().iter().map(|node| node.devices).collect(),
            free_by_kind,
            nodes: Nodes::new(world.cluster.nodes().len(), world.cluster.kinds().len(), start),
            data: world.data.clone().map(DataPlane::new),
            loads: world.new_loads(),
            doomed: BTreeSet::new(),
            held: BTreeMap::new(),
            running: Slide::default(),
            records: vec![Record::default(); world.workload.len()],
            census: Census::new(world.workload.len()),
            history: History { forecast, ..History::default() },
            calibrator: world.rules.calibrated.then(Calibrator::default),
            corrections: Vec::new(),
            progress: Vec::new(),
            rounds: RoundState::new(world.cluster.kinds().len()),
            meter: CostMeter::new(world.objective, start),
            usage: Usage::new(&world.cluster),
            sequence: 0,
            decisions: 0,
            digest: 0xcbf2_9ce4_8422_2325,
            world,
        };
        sim.switch_off_spares();
        sim
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
            Decision::Start { job, nodes, batch, variant } => {
                let slot = self.referee().check_start(job, &nodes, batch, variant)?;
                match self.world.discipline {
                    Discipline::Rounds => self.start_for_round(job, nodes, slot),
                    _ => self.start(job, nodes, slot, Size { batch, variant }),
                }
            }
            Decision::Allocate { portions, fill } => {
                self.referee().check_allocate(&portions)?;
                self.allocate(&portions, fill);
            }
            Decision::Reserve { order } => {
                let head = self.referee().check_reserve(&order)?;
                self.reorder(&order);
                self.commit(head);
            }
            Decision::Preempt { run } => {
                let at = self.referee().check_preempt(run)?;
                self.cut_off(at, Cut::Preempted);
            }
            Decision::Wait { until } => {
                self.referee().check_wait(until)?;
                self.waiting = true;
                self.wake = until.or_else(|| self.asked_again());
            }
        }
        self.decisions += 1;
        self.debug_check();
        Ok(())
    }

    /// For whoever plays a future to its end many times over: after the last arrival a wait without a moment lasts until
    /// something happens, however soon the scenario would have the policy asked again. A rule that waits for a moment
    /// names it, and to ask every few milliseconds while long jobs end would be nearly all the work.
    pub fn be_patient(&mut self) {
        self.patient = true;
    }

    /// When a policy that waits without a moment is asked again at the latest, if not by an event.
    fn asked_again(&self) -> Option<Time> {
        let no_need = self.patient && !self.running.is_empty() && self.next_arrival().is_none();
        self.world.hold.filter(|_| !no_need).map(|hold| self.now + hold)
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
            progress: &self.progress,
            corrections: &self.corrections,
            in_service: self.usage.in_service(),
            rules: &self.world.rules,
            data: self.data.as_ref(),
            loads: self.loads.as_ref(),
            objective: self.world.objective,
            discipline: self.world.discipline,
            may_wait: self.may_wait(),
            outlook: Outlook::of(self),
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

    /// What the machines have been used for so far.
    pub fn usage(&self) -> &Usage {
        &self.usage
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
        !self.world.discipline.commits()
            && (self.world.hold.is_some() || !self.running.is_empty() || self.next_node_event().is_some())
    }

    /// Discipline `free`: all events of a moment happen before anything is decided in it.
    fn run_to_choice(&mut self) -> bool {
        loop {
            self.process_due();
            if !self.waiting && (self.anything_fits() || self.may_preempt()) {
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
        let fetched = self.data.as_ref().and_then(DataPlane::next).map(|time| time.max(self.now));
        let work = [self.next_arrival(), self.finishes.next(), self.next_expiry(), fetched, wake];
        let work = work.into_iter().flatten().min();
        // Machines come and go for ever; without work that is of no interest.
        let idle = work.is_none() && self.all_waiting() == 0;
        let machines = if idle { None } else { self.next_node_event() };
        work.into_iter().chain(machines).min()
    }

    fn next_arrival(&self) -> Option<Time> {
        self.world.workload.jobs[..self.sent].get(self.arrived).map(|job| job.arrival.max(self.now))
    }

    fn process_due(&mut self) {
        loop {
            self.work_due();
            if !self.change_nodes() {
                return;
            }
        }
    }

    /// Completions of this moment, then arrivals, then what is dropped, until none is left.
    fn work_due(&mut self) {
        loop {
            while self.finishes.next().is_some_and(|time| time <= self.now) {
                self.finish_next();
            }
            self.begin_fetched();
            while self.next_arrival().is_some_and(|time| time <= self.now) {
                self.admit_next();
            }
            // What begins once its data is there may take no time at all.
            let done = self.finishes.next().is_some_and(|time| time <= self.now);
            if !self.drop_next() && !done {
                break;
            }
        }
    }

    fn advance(&mut self, to: Time) {
        debug_assert!(to >= self.now, "time would run backwards from {} to {to}", self.now);
        let anyone_waits = self.all_waiting() > 0;
        let picture = Picture {
            busy: self.nodes.busy_by_kind(),
            free: &self.free_by_kind,
            anyone_waits,
            stranded: if anyone_waits { self.stranded() } else { 0 },
        };
        let World { rates, .. } = &*self.world;
        let spent = self.usage.advance(to.since(self.now), rates, &picture, self.world.prices());
        self.meter.charge(spent);
        self.now = to;
        self.meter.advance(to);
        if let Some(data) = &mut self.data {
            data.advance(to);
        }
    }

    fn stream_of(&self, job: JobId) -> Option<usize> {
        match self.world.workload.jobs[job.index()].task {
            Task::Request { model } => self.world.timing.stream_of(model),
            _ => None,
        }
    }

    /// Whether the policy could cut something off for what waits.
    fn may_preempt(&self) -> bool {
        self.world.rules.preempt && self.all_waiting() > 0 && {
            let view = self.view();
            view.running.iter().any(|run| view.is_preemptible(run))
        }
    }

    fn anything_fits(&self) -> bool {
        let mut free = self.free_by_kind.iter().enumerate();
        free.any(|(slot, &free)| free > 0 && self.is_useful(slot, free))
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
