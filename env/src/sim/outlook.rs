//! What may come of a decision: copies of a simulation that go on with an imagined future.
//!
//! A planner asks what would happen if it decided this way or that. It may know what a live scheduler knows and nothing
//! else, so a copy keeps what has happened and forgets what has not: arrivals to come are those that the planner
//! imagines, and so are the true sizes of jobs that have not ended, their true needs of memory, and the failures and
//! repairs of machines.

use std::sync::Arc;

use super::world::stages;
use super::{Finishes, NodeState, Record, Simulator, State, World};
use crate::data::ArtefactId;
use crate::job::{Job, Task, Truth, Workload};
use crate::rules::{Change, NodeChange};
use crate::units::{JobId, NodeId, Span, Time};
use crate::view::{Discipline, Running};
use crate::workload::Random;

/// How often the true size of a running job is drawn until it is one that has not ended yet.
const DRAWS: usize = 8;
/// How long a machine that is down stays so, where the imagined future tells nothing of repairs.
const REPAIR: Span = Span::from_secs(3600);

/// What a planner imagines to come.
#[derive(Clone, Debug)]
pub struct Future<'a> {
    /// Another episode on the same machines, which jobs to come and failures are taken from; without it jobs are like
    /// those that have arrived, and machines neither fail nor come back sooner than in an hour.
    pub episode: Option<&'a World>,
    /// The moment in it that stands for the present.
    pub since: Time,
    /// Jobs to come, in order of arrival.
    pub arrivals: &'a [Arrival],
    /// Decides what is not known of the jobs that have not ended.
    pub seed: u64,
}

/// A job to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The job that it is like, in the other episode or among those that have arrived.
    pub like: JobId,
    /// When.
    pub at: Time,
}

/// Lets a planner try its decisions.
#[derive(Clone, Copy)]
pub struct Outlook<'a>(&'a Simulator);

impl std::fmt::Debug for Outlook<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outlook")
    }
}

impl<'a> Outlook<'a> {
    /// The outlook of a simulation, where its discipline allows one: time slices and closed loops have none.
    pub(super) fn of(sim: &'a Simulator) -> Option<Outlook<'a>> {
        let open = sim.world.workload.clients.is_none() && sim.world.discipline != Discipline::Rounds;
        open.then_some(Outlook(sim))
    }

    /// A simulation that stands at the same decision and goes on with this future. Clone it for each decision to be
    /// tried. Arrivals that lie in the past, or ask for a model that nobody has asked for, are left out.
    pub fn imagine(&self, future: &Future<'_>) -> Simulator {
        Imagination::new(self.0, future).simulator()
    }

    /// The simulation itself, with the future that will truly come: what nobody can know. For measuring what knowing
    /// it would be worth.
    pub fn clairvoyant(&self) -> Simulator {
        self.0.clone()
    }

    /// As [`Outlook::clairvoyant`], but after so many more arrivals nothing comes. A learner may be told what truly
    /// followed: that is one draw from what could have followed, without what imagination gets wrong.
    pub fn clairvoyant_for(&self, arrivals: usize) -> Simulator {
        let mut sim = self.0.clone();
        let (end, whole) = (sim.arrived.saturating_add(arrivals), &sim.world.workload);
        if end >= whole.len() {
            return sim;
        }
        let workload = whole.slice(0, end);
        let timing = sim.world.timing.spliced(end, &sim.world.timing, &[]);
        let next = stages(&workload).unwrap_or_default();
        sim.world = Arc::new(sim.world.with_course(workload, timing, next));
        sim.records.truncate(end);
        sim.census.expect(end - sim.arrived);
        sim.sent = end;
        sim
    }
}

struct Imagination<'a> {
    sim: &'a Simulator,
    future: &'a Future<'a>,
    /// Where jobs to come are copied from.
    source: &'a World,
    /// Data sets that the jobs which have arrived read, each as often as it was read.
    read: Vec<ArtefactId>,
    /// Whether stages hand on data.
    hands_on: bool,
    random: Random,
}

impl<'a> Imagination<'a> {
    fn new(sim: &'a Simulator, future: &'a Future<'a>) -> Imagination<'a> {
        let source = future.episode.unwrap_or(&sim.world);
        let arrived = &sim.world.workload.jobs[..sim.arrived];
        let jobs = arrived.iter().filter(|job| job.request_model().is_none());
        let read = jobs.flat_map(|job| job.inputs.iter().copied()).collect();
        let hands_on = arrived.iter().any(|job| job.output.is_some());
        Imagination { sim, future, source, read, hands_on, random: Random::new(future.seed) }
    }

    fn simulator(mut self) -> Simulator {
        let arrivals = self.arrivals();
        let mut workload = self.arrived();
        self.believe(&mut workload.truths);
        self.append(&mut workload, &arrivals);
        workload.changes = self.changes();
        let picks: Vec<usize> = arrivals.iter().map(|arrival| arrival.like.index()).collect();
        let timing = self.sim.world.timing.spliced(self.sim.arrived, &self.source.timing, &picks);
        // Stages come after those that they follow, as they did where they are taken from.
        let next = stages(&workload).unwrap_or_default();
        let world = self.sim.world.with_course(workload, timing, next);
        let mut sim = self.sim.clone();
        sim.take_course(Arc::new(world));
        sim
    }

    /// Jobs to come that can be.
    fn arrivals(&self) -> Vec<Arrival> {
        let (jobs, timing) = (&self.source.workload.jobs, &self.sim.world.timing);
        let known = if self.future.episode.is_some() { jobs.len() } else { self.sim.arrived };
        let served = |job: &Job| job.request_model().is_none_or(|model| timing.stream_of(model).is_some());
        let possible = |arrival: &&Arrival| {
            arrival.at >= self.sim.now && arrival.like.index() < known && served(&jobs[arrival.like.index()])
        };
        let mut arrivals: Vec<Arrival> = self.future.arrivals.iter().filter(possible).copied().collect();
        arrivals.sort_by_key(|arrival| (arrival.at, arrival.like));
        arrivals
    }

    /// What has arrived, with what speaks of all jobs.
    fn arrived(&self) -> Workload {
        let (workload, arrived) = (&self.sim.world.workload, self.sim.arrived);
        let mut speeds = workload.speeds.clone();
        if !std::ptr::eq(self.source, &*self.sim.world) {
            speeds.extend(self.source.workload.speeds.iter().cloned());
        }
        Workload {
            jobs: workload.jobs[..arrived].to_vec(),
            truths: workload.truths[..arrived].to_vec(),
            speeds,
            clients: None,
            floors: workload.floors.clone(),
            artefacts: workload.artefacts.clone(),
            changes: Vec::new(),
        }
    }

    /// Replaces the truth about jobs that have not ended by what may be believed.
    fn believe(&mut self, truths: &mut [Truth]) {
        let records = self.sim.records.iter().take(truths.len());
        let open: Vec<usize> = records
            .enumerate()
            .filter(|(_, record)| !matches!(record.state, State::Finished | State::Refused | State::Dropped))
            .map(|(at, _)| at)
            .collect();
        for at in open {
            truths[at] = self.belief(JobId(at as u32));
        }
        for run in self.sim.running.iter() {
            let &[job] = run.members.as_slice() else { continue };
            if !run.fetching && self.sim.world.workload.jobs[job.index()].request_model().is_none() {
                truths[job.index()] = self.belief_of_running(job, run, truths[job.index()]);
            }
        }
    }

    /// Drawn from what past jobs of its user say, where that is asked; else as claimed.
    fn belief(&mut self, id: JobId) -> Truth {
        let job = &self.sim.world.workload.jobs[id.index()];
        let Some(calibrator) = self.sim.calibrator.as_ref().filter(|_| job.request_model().is_none()) else {
            return Truth::AsEstimated;
        };
        let belief = calibrator.predict(job.user, job.model_number());
        let drawn = self.sim.view().correction(id) * libm::exp(belief.sd_ln * self.random.normal());
        Truth::Steps(drawn.max(self.least(id)))
    }

    /// More than it has done.
    fn least(&self, id: JobId) -> f64 {
        let steps = self.sim.world.workload.jobs[id.index()].steps().max(1) as f64;
        (self.sim.view().progress(id).steps + 1) as f64 / steps
    }

    /// A size with which it would still run.
    fn belief_of_running(&mut self, id: JobId, run: &Running, first: Truth) -> Truth {
        let mut truth = first;
        for _ in 0..DRAWS {
            if run.ready + self.length(id, run, truth) > self.sim.now {
                return truth;
            }
            truth = self.belief(id);
        }
        // It takes longer than anybody would have thought. By the law of Lindy it has as long to go as it ran.
        let elapsed = self.sim.now.since(run.ready).scaled(2.0);
        let expected = self.length(id, run, Truth::AsEstimated).as_secs_f64().max(1e-9);
        Truth::Steps((elapsed.as_secs_f64() / expected).max(self.least(id)))
    }

    /// How long a run computes if its job has this size.
    fn length(&self, id: JobId, run: &Running, truth: Truth) -> Span {
        let factor = match truth {
            Truth::Steps(factor) | Truth::Needs { steps: factor, .. } => factor,
            Truth::AsEstimated | Truth::Duration(_) => 1.0,
        };
        let view = self.sim.view();
        let (done, correction) = (view.progress(id).steps as f64, view.correction(id));
        let steps = view.job(id).steps().max(1) as f64;
        let expected = run.expected_finish.since(run.ready);
        let left = (steps * correction - done).max(1.0);
        expected.scaled((steps * factor - done).max(1.0) / left)
    }

    /// Adds the jobs to come.
    fn append(&mut self, workload: &mut Workload, arrivals: &[Arrival]) {
        let first = workload.len();
        let speeds = (workload.speeds.len() - self.source.workload.speeds.len()) as u32;
        for arrival in arrivals {
            let at = arrival.like.index();
            let mut job = self.source.workload.jobs[at].clone();
            let delay = |time: Time| arrival.at + time.since(job.arrival);
            job.deadline = job.deadline.map(delay);
            job.arrival = arrival.at;
            job.after = job.after.and_then(|before| {
                let found = arrivals.iter().position(|other| other.like == before && other.at <= arrival.at);
                found.map(|place| JobId((first + place) as u32))
            });
            if let Task::Steps { speeds: own, .. } = &mut job.task {
                *own += speeds;
            }
            self.give_inputs(&mut job);
            let truth = self.truth_to_come(&mut job, at);
            workload.push(job, truth);
        }
    }

    /// Data that stages hand on is small and left out; a data set is one that was read before, the more likely the more
    /// often, or any (the rule of succession).
    fn give_inputs(&mut self, job: &mut Job) {
        job.output = None;
        if job.inputs.is_empty() {
            return;
        }
        job.inputs.clear();
        let all = self.sim.world.workload.artefacts.len();
        if matches!(job.task, Task::Request { .. }) || self.hands_on || all == 0 {
            return;
        }
        let seen = self.read.len();
        let pick = self.random.below(seen + all);
        job.inputs
            .push(self.read.get(pick).copied().unwrap_or(ArtefactId((pick.saturating_sub(seen)) as u32)));
    }

    /// The truth about a job to come. What its user claims is what it takes: users of another episode are wrong in ways
    /// of their own.
    fn truth_to_come(&self, job: &mut Job, at: usize) -> Truth {
        let truth =
            if self.future.episode.is_some() { self.source.workload.truths[at] } else { Truth::AsEstimated };
        if self.sim.calibrator.is_none() {
            return truth;
        }
        job.user = u32::MAX;
        match truth {
            Truth::Needs { memory, .. } => Truth::Needs { steps: 1.0, memory },
            _ => Truth::AsEstimated,
        }
    }

    /// Failures as in the other episode; a machine that is down now comes back as soon as there the next comes back.
    fn changes(&self) -> Vec<NodeChange> {
        let theirs: &[NodeChange] = match self.future.episode {
            Some(world) => &world.workload.changes,
            None => &[],
        };
        let start = theirs.partition_point(|change| change.at <= self.future.since);
        let shifted = |change: &NodeChange| NodeChange {
            at: self.sim.now + change.at.since(self.future.since),
            ..*change
        };
        let mut changes: Vec<NodeChange> = theirs[start..].iter().map(shifted).collect();
        let repair = changes.iter().find(|change| change.change == Change::Join).map(|change| change.at);
        let down =
            |state: &NodeState| matches!(state, NodeState::Failed | NodeState::Off | NodeState::Draining);
        for (at, _) in self.sim.nodes.states.iter().enumerate().filter(|(_, state)| down(state)) {
            let node = NodeId(at as u32);
            let first = changes.iter().find(|change| change.node == node).map(|change| change.change);
            if first != Some(Change::Join) {
                let at = repair.unwrap_or(self.sim.now + REPAIR);
                changes.push(NodeChange { at, node, change: Change::Join });
            }
        }
        changes.sort_by_key(|change| change.at);
        changes
    }
}

impl Simulator {
    /// Goes on with a world whose past is the same.
    fn take_course(&mut self, world: Arc<World>) {
        self.records.truncate(self.arrived);
        self.records.resize_with(world.workload.len(), Record::default);
        self.census.expect(world.workload.len() - self.arrived);
        self.sent = world.workload.len();
        self.nodes.changed = 0;
        self.finishes = Finishes::default();
        self.world = world;
        for at in 0..self.running.len() {
            self.fix_finish(at);
        }
        self.doomed.clear();
    }

    /// Fixes anew when a run finishes.
    fn fix_finish(&mut self, at: usize) {
        let run = self.running[at].clone();
        if run.fetching {
            return;
        }
        // A run that is to end for want of memory has no finish yet.
        let fixed = !self.doomed.contains(&run.sequence);
        let finish = self.believed_finish(&run).max(self.now);
        self.finishes.push(finish, run.sequence);
        for &id in &run.members {
            let job = &self.world.workload.jobs[id.index()];
            let record = &mut self.records[id.index()];
            if fixed {
                self.meter.revoke(job, record.finish);
            }
            record.finish = finish;
            self.meter.start(job, finish);
        }
    }

    fn believed_finish(&self, run: &Running) -> Time {
        match *run.members.as_slice() {
            [job] if self.stream_of(job).is_none() => run.ready + self.actual_length(job, run),
            _ => run.expected_finish,
        }
    }
}
