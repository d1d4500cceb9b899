//! What a decision must satisfy. A decision is checked whole before anything changes.

use super::{Simulator, State};
use crate::job::Task;
use crate::timing::KindSlot;
use crate::units::{JobId, Time};
use crate::view::{Discipline, Placement, Running, slot_of};

/// Why a decision was refused. The simulation is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum Illegal {
    #[error("job {job} is not waiting")]
    NotWaiting { job: u32 },
    #[error("request {job} is not the oldest of its stream, which is {oldest}")]
    NotOldest { job: u32, oldest: u32 },
    #[error("there is no node {node}: the cluster has {nodes}")]
    NoSuchNode { node: u32, nodes: usize },
    #[error("node {node} is named twice in one placement")]
    NodeTwice { node: u32 },
    #[error("a placement mixes device kinds: node {node} differs from the first")]
    MixedKinds { node: u32 },
    #[error("node {node} has {free} devices free, decision needs {need}")]
    NotFree { node: u32, free: u32, need: u32 },
    #[error("job {job} needs a gang of {gang} devices, decision gives {given}")]
    WrongGang { job: u32, gang: u32, given: u32 },
    #[error("job {job} does not run on node {node}")]
    DoesNotRun { job: u32, node: u32 },
    #[error("batch {batch} of job {job} is not allowed: at most {most}")]
    WrongBatch { job: u32, batch: u32, most: u32 },
    #[error(
        "batch {batch} of job {job} has no row in the table, and only such sizes are served: the next is {next}"
    )]
    UnmeasuredBatch { job: u32, batch: u32, next: u32 },
    #[error("this discipline does not take the decision {decision}")]
    WrongDiscipline { decision: &'static str },
    #[error("job {job} is named twice in one order")]
    JobTwice { job: u32 },
    #[error("an allocation is given between rounds, and {running} jobs have been started for this one")]
    RoundHasBegun { running: usize },
    #[error("the share of job {job} on kind slot {slot} is not from 0 to 1, or is given twice")]
    BadShare { job: u32, slot: usize },
    #[error("job {job} does not run on kind slot {slot}, or needs more devices than there are")]
    NoSuchShare { job: u32, slot: usize },
    #[error("the shares of job {job} add up to more than 1")]
    MoreThanOne { job: u32 },
    #[error("the shares of kind slot {slot} need more than its {devices} devices")]
    Oversubscribed { slot: usize, devices: u32 },
    #[error("an allocation must give some job a share")]
    NothingAllocated,
    #[error("a reservation must name at least one job")]
    NothingReserved,
    #[error("nothing runs and nothing will wake the policy, so waiting could last for ever")]
    NothingToWaitFor,
    #[error("this scenario does not let a policy preempt")]
    NoPreemption,
    #[error("no run {run} is under way: it names the start sequence of what runs")]
    NoSuchRun { run: u64 },
    #[error("run {run} is of requests, or began at this very moment, and cannot be preempted")]
    NotPreemptible { run: u64 },
    #[error("cannot wait until {until_ns} ns: it is {now_ns} ns already")]
    WaitIntoPast { until_ns: u64, now_ns: u64 },
}

impl Simulator {
    /// The kind slot on which the start would run.
    pub(super) fn check_start(&self, job: JobId, nodes: &Placement, batch: u32) -> Result<KindSlot, Illegal> {
        if self.world.discipline.commits() {
            return Err(Illegal::WrongDiscipline { decision: "start" });
        }
        self.check_waiting(job)?;
        let slot = self.check_nodes(job, nodes)?;
        self.check_batch(job, nodes, slot, batch)?;
        Ok(slot)
    }

    /// The job that is next.
    pub(super) fn check_reserve(&self, order: &[JobId]) -> Result<JobId, Illegal> {
        if !self.world.discipline.commits() {
            return Err(Illegal::WrongDiscipline { decision: "reserve" });
        }
        for &job in order {
            self.check_waiting(job)?;
        }
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Illegal::JobTwice { job: pair[0].0 }),
            None => order.first().copied().ok_or(Illegal::NothingReserved),
        }
    }

    /// Where the run is in the list of those under way.
    pub(super) fn check_preempt(&self, run: u64) -> Result<usize, Illegal> {
        if !self.world.rules.preempt {
            return Err(Illegal::NoPreemption);
        }
        let found = self.running.binary_search_by_key(&run, |running| running.sequence);
        let at = found.map_err(|_| Illegal::NoSuchRun { run })?;
        if self.is_preemptible(&self.running[at]) { Ok(at) } else { Err(Illegal::NotPreemptible { run }) }
    }

    /// Requests are never preempted; nor is what has just begun, or a policy could start and preempt without end.
    pub(super) fn is_preemptible(&self, run: &Running) -> bool {
        run.start < self.now && run.members.first().is_some_and(|&job| self.stream_of(job).is_none())
    }

    pub(super) fn check_wait(&self, until: Option<Time>) -> Result<(), Illegal> {
        if self.world.discipline.commits() {
            return Err(Illegal::WrongDiscipline { decision: "wait" });
        }
        match until {
            Some(_) if self.world.discipline == Discipline::Rounds => {
                Err(Illegal::WrongDiscipline { decision: "wait until a moment" })
            }
            Some(until) if until <= self.now => {
                Err(Illegal::WaitIntoPast { until_ns: until.0, now_ns: self.now.0 })
            }
            None if !self.may_wait() => Err(Illegal::NothingToWaitFor),
            _ => Ok(()),
        }
    }

    pub(super) fn check_waiting(&self, job: JobId) -> Result<(), Illegal> {
        let state = self.records.get(job.index()).map(|record| record.state);
        if state != Some(State::Queued) {
            return Err(Illegal::NotWaiting { job: job.0 });
        }
        match self.stream_of(job).and_then(|stream| self.streams[stream].queue.first()) {
            Some(&oldest) if oldest != job => Err(Illegal::NotOldest { job: job.0, oldest: oldest.0 }),
            _ => Ok(()),
        }
    }

    fn check_nodes(&self, job: JobId, nodes: &Placement) -> Result<KindSlot, Illegal> {
        let cluster = &self.world.cluster;
        let gang = self.world.workload.jobs[job.index()].gang;
        let mut slot = None;
        for (at, share) in nodes.iter().enumerate() {
            let node = share.node.0;
            if share.node.index() >= cluster.nodes().len() {
                return Err(Illegal::NoSuchNode { node, nodes: cluster.nodes().len() });
            }
            if nodes[..at].iter().any(|other| other.node == share.node) {
                return Err(Illegal::NodeTwice { node });
            }
            let here = slot_of(cluster, share.node);
            if *slot.get_or_insert(here) != here {
                return Err(Illegal::MixedKinds { node });
            }
            let free = self.free[share.node.index()];
            if share.devices == 0 || share.devices > free {
                return Err(Illegal::NotFree { node, free, need: share.devices });
            }
        }
        let given = nodes.iter().map(|share| share.devices).sum();
        match slot {
            Some(slot) if given == gang => Ok(slot),
            _ => Err(Illegal::WrongGang { job: job.0, gang, given }),
        }
    }

    fn check_batch(&self, job: JobId, nodes: &Placement, slot: KindSlot, batch: u32) -> Result<(), Illegal> {
        let node = nodes[0].node.0;
        let most = match self.stream_of(job) {
            Some(stream) => {
                let waiting = self.streams[stream].queue.len() as u32;
                self.check_size(job, stream, slot, batch)?;
                self.world.timing.max_batch(stream, slot).min(waiting)
            }
            None if self.view().estimate(job, slot).is_some() => self.default_batch(job),
            None => 0,
        };
        let exact = self.stream_of(job).is_none();
        match most {
            0 => Err(Illegal::DoesNotRun { job: job.0, node }),
            _ if batch == 0 || batch > most || (exact && batch != most) => {
                Err(Illegal::WrongBatch { job: job.0, batch, most })
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self, job: JobId, stream: usize, slot: KindSlot, batch: u32) -> Result<(), Illegal> {
        let timing = &self.world.timing;
        let next = timing.largest(stream, slot, batch);
        // Sizes beyond the table are told apart later.
        let within = batch > 0 && batch <= timing.max_batch(stream, slot);
        if within && next != batch {
            Err(Illegal::UnmeasuredBatch { job: job.0, batch, next })
        } else {
            Ok(())
        }
    }

    /// The batch of a job that leaves no choice.
    pub(super) fn default_batch(&self, job: JobId) -> u32 {
        match self.world.workload.jobs[job.index()].task {
            Task::Training { batch, .. } => batch,
            Task::Rigid { .. } | Task::Steps { .. } | Task::Request { .. } => 1,
        }
    }
}
