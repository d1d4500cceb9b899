//! What a decision must satisfy. A decision is checked whole before anything changes, by the simulator and by whoever
//! carries decisions out in earnest.

use super::{Simulator, State};
use crate::job::Choice;
use crate::timing::KindSlot;
use crate::units::{JobId, Time};
use crate::view::{Decision, Discipline, Placement, View, slot_of};

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
    #[error("variant {variant} of job {job} is not one of the {known} that are accurate enough")]
    WrongVariant { job: u32, variant: u16, known: u16 },
    #[error(
        "job {job} cannot run with a gang of {gang} and a batch of {batch}: that is none of its choices, or does not run there"
    )]
    NoSuchWay { job: u32, gang: u32, batch: u32 },
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

/// Whether a decision may be carried out where things stand as in a view, whoever made it.
///
/// # Errors
/// What is illegal about it.
pub fn check(view: &View<'_>, decision: &Decision) -> Result<(), Illegal> {
    let waits = |job: JobId| {
        let request = view.jobs.get(job.index()).and_then(|job| job.request_model());
        let stream = request.and_then(|model| view.timing.stream_of(model));
        match stream {
            Some(stream) => view.streams[stream].queue.contains(&job),
            None => view.queue.contains(&job),
        }
    };
    let referee = Referee { view: *view, waits };
    match decision {
        Decision::Start { job, nodes, batch, variant } => {
            referee.check_start(*job, nodes, *batch, *variant).map(|_| ())
        }
        Decision::Reserve { order } => referee.check_reserve(order).map(|_| ()),
        Decision::Allocate { portions, .. } => referee.check_allocate(portions),
        Decision::Preempt { run } => referee.check_preempt(*run).map(|_| ()),
        Decision::Wait { until } => referee.check_wait(*until),
    }
}

/// Judges decisions by what a view shows.
pub(super) struct Referee<'a, W> {
    pub(super) view: View<'a>,
    /// Whether a job waits.
    pub(super) waits: W,
}

impl Simulator {
    /// Who waits is known without a search here.
    pub(super) fn referee(&self) -> Referee<'_, impl Fn(JobId) -> bool + '_> {
        let waits =
            |job: JobId| self.records.get(job.index()).is_some_and(|record| record.state == State::Queued);
        Referee { view: self.view(), waits }
    }
}

impl<W: Fn(JobId) -> bool> Referee<'_, W> {
    fn stream_of(&self, job: JobId) -> Option<usize> {
        self.view.job(job).request_model().and_then(|model| self.view.timing.stream_of(model))
    }

    /// The kind slot on which the start would run.
    pub(super) fn check_start(
        &self,
        job: JobId,
        nodes: &Placement,
        batch: u32,
        variant: u16,
    ) -> Result<KindSlot, Illegal> {
        if self.view.discipline.commits() {
            return Err(Illegal::WrongDiscipline { decision: "start" });
        }
        self.check_waiting(job)?;
        let slot = self.check_nodes(job, nodes)?;
        match self.stream_of(job) {
            Some(stream) => self.check_requests(job, stream, nodes, slot, batch, variant)?,
            None if variant > 0 => return Err(Illegal::WrongVariant { job: job.0, variant, known: 1 }),
            None => self.check_way(job, nodes, slot, batch)?,
        }
        Ok(slot)
    }

    /// The job that is next.
    pub(super) fn check_reserve(&self, order: &[JobId]) -> Result<JobId, Illegal> {
        if !self.view.discipline.commits() {
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
        if !self.view.rules.preempt {
            return Err(Illegal::NoPreemption);
        }
        let found = self.view.running.binary_search_by_key(&run, |running| running.sequence);
        let at = found.map_err(|_| Illegal::NoSuchRun { run })?;
        // Not what has just begun, or a policy could start and preempt without end.
        if self.view.is_preemptible(&self.view.running[at]) {
            Ok(at)
        } else {
            Err(Illegal::NotPreemptible { run })
        }
    }

    pub(super) fn check_wait(&self, until: Option<Time>) -> Result<(), Illegal> {
        if self.view.discipline.commits() {
            return Err(Illegal::WrongDiscipline { decision: "wait" });
        }
        match until {
            Some(_) if self.view.discipline == Discipline::Rounds => {
                Err(Illegal::WrongDiscipline { decision: "wait until a moment" })
            }
            Some(until) if until <= self.view.now => {
                Err(Illegal::WaitIntoPast { until_ns: until.0, now_ns: self.view.now.0 })
            }
            None if !self.view.may_wait => Err(Illegal::NothingToWaitFor),
            _ => Ok(()),
        }
    }

    pub(super) fn check_waiting(&self, job: JobId) -> Result<(), Illegal> {
        if !(self.waits)(job) {
            return Err(Illegal::NotWaiting { job: job.0 });
        }
        match self.stream_of(job).and_then(|stream| self.view.streams[stream].queue.first()) {
            Some(&oldest) if oldest != job => Err(Illegal::NotOldest { job: job.0, oldest: oldest.0 }),
            _ => Ok(()),
        }
    }

    fn check_nodes(&self, job: JobId, nodes: &Placement) -> Result<KindSlot, Illegal> {
        let cluster = self.view.cluster;
        let gang = self.view.job(job).gang;
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
            let free = self.view.free[share.node.index()];
            if share.devices == 0 || share.devices > free {
                return Err(Illegal::NotFree { node, free, need: share.devices });
            }
        }
        let given = nodes.iter().map(|share| share.devices).sum();
        match slot {
            Some(slot) if given == gang => Ok(slot),
            // Which gangs there are is looked up with the batch.
            Some(slot) if !self.view.timing.ways(job.index()).is_empty() => Ok(slot),
            _ => Err(Illegal::WrongGang { job: job.0, gang, given }),
        }
    }

    fn check_requests(
        &self,
        job: JobId,
        stream: usize,
        nodes: &Placement,
        slot: KindSlot,
        batch: u32,
        variant: u16,
    ) -> Result<(), Illegal> {
        let timing = self.view.timing;
        let (job, node, known) = (job.0, nodes[0].node.0, timing.variants(stream));
        if variant >= known {
            return Err(Illegal::WrongVariant { job, variant, known });
        }
        let largest = |batch| timing.variant_largest(stream, variant, slot, batch);
        let most = largest(u32::MAX).min(self.view.streams[stream].queue.len() as u32);
        let next = largest(batch);
        match most {
            0 => Err(Illegal::DoesNotRun { job, node }),
            _ if batch > 0 && batch <= largest(u32::MAX) && next != batch => {
                Err(Illegal::UnmeasuredBatch { job, batch, next })
            }
            _ if batch == 0 || batch > most => Err(Illegal::WrongBatch { job, batch, most }),
            _ => Ok(()),
        }
    }

    fn check_way(&self, id: JobId, nodes: &Placement, slot: KindSlot, batch: u32) -> Result<(), Illegal> {
        let view = &self.view;
        let (job, node) = (id.0, nodes[0].node.0);
        if self.view.timing.ways(id.index()).is_empty() {
            let most = view.default_batch(id);
            return match view.estimate(id, slot) {
                None => Err(Illegal::DoesNotRun { job, node }),
                Some(_) if batch != most => Err(Illegal::WrongBatch { job, batch, most }),
                Some(_) => Ok(()),
            };
        }
        let gang = nodes.iter().map(|share| share.devices).sum();
        let chosen = view.ways(id).find(|way| way.choice == Choice { gang, batch });
        match chosen.and_then(|way| way.span(slot)) {
            Some(_) => Ok(()),
            None => Err(Illegal::NoSuchWay { job, gang, batch }),
        }
    }
}
