//! The seam: what a scheduler is shown, and what it may answer.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::cluster::Cluster;
use crate::data::DataPlane;
use crate::forecast::Forecast;
use crate::job::{Job, Task};
use crate::loads::{Loads, ModelBatch};
use crate::objective::Objective;
use crate::rules::Rules;
use crate::sim::Outlook;
use crate::timing::{KindSlot, Timing, Way};
use crate::units::{InferenceId, JobId, NodeId, Span, Time};

/// Everything a live scheduler can know at one moment. Borrowed: the simulator lends its own arrays, a live
/// service those it has just parsed.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The present.
    pub now: Time,
    /// The machines.
    pub cluster: &'a Cluster,
    /// Estimated service times.
    pub timing: &'a Timing,
    /// Every job that has arrived; a [`JobId`] is an index. Those to come are not shown.
    pub jobs: &'a [Job],
    /// Jobs that wait, requests apart, in order of arrival, or as the last [`Decision::Reserve`] left them.
    pub queue: &'a [JobId],
    /// Lets a policy keep what it knows of the queue; `None` from whoever does not promise anything.
    pub continuity: Option<&'a Continuity>,
    /// Requests that wait, by model.
    pub streams: &'a [Stream],
    /// Free devices by node.
    pub free: &'a [u32],
    /// Free devices by kind slot.
    pub free_by_kind: &'a [u32],
    /// What runs, in order of start.
    pub running: &'a [Running],
    /// What has been seen of the workload so far.
    pub history: &'a History,
    /// What each job has received, aligned with `jobs`, where jobs can be cut off and go on; empty otherwise.
    pub progress: &'a [Progress],
    /// By what factor the size that its owner claims is corrected, aligned with `jobs`; empty where claims are taken as
    /// they are.
    pub corrections: &'a [f64],
    /// Devices in service by kind slot: those of nodes that are up, drained or on their way.
    pub in_service: &'a [u32],
    /// What may happen to what has been started.
    pub rules: &'a Rules,
    /// Where data is and how it moves, if that matters.
    pub data: Option<&'a DataPlane>,
    /// Which models are loaded on which devices, if that matters.
    pub loads: Option<&'a Loads>,
    /// What is to be made small.
    pub objective: Objective,
    /// How decisions are carried out.
    pub discipline: Discipline,
    /// Whether [`Decision::Wait`] without a moment is legal.
    pub may_wait: bool,
    /// Lets a planner try what would come of its decisions; `None` from whoever cannot simulate.
    pub outlook: Option<Outlook<'a>>,
}

/// What two views that continue one another have in common. While it is the same, a [`JobId`] names the same job
/// with the same estimates, and the queue is in ascending order: jobs join at its end, each once, and leave from
/// anywhere for good.
#[derive(Clone, Debug)]
pub struct Continuity(Arc<()>);

impl Continuity {
    /// One that equals no other.
    #[allow(clippy::new_without_default, reason = "a default would be expected to equal itself")]
    pub fn new() -> Continuity {
        Continuity(Arc::new(()))
    }

    /// Whether both are the same.
    pub fn is(&self, other: &Continuity) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The waiting requests of one inference model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The model they ask.
    pub model: InferenceId,
    /// In order of arrival.
    pub queue: Vec<JobId>,
}

/// Devices of one node that a job or batch occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The node.
    pub node: NodeId,
    /// How many of its devices.
    pub devices: u32,
}

/// Where a job or batch runs: distinct nodes of one device kind.
pub type Placement = SmallVec<[Share; 2]>;

/// A job or batch that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The job, or the requests of the batch.
    pub members: SmallVec<[JobId; 2]>,
    /// Requests served together; a training job's batch; 1 for a rigid job.
    pub batch: u32,
    /// The variant that serves the requests, 0 for the reference.
    pub variant: u16,
    /// When it started.
    pub start: Time,
    /// When it begins or began to compute, by the estimate while `fetching`; until then its data is brought, its model
    /// is loaded, or it restarts.
    pub ready: Time,
    /// Whether its data is still on the way.
    pub fetching: bool,
    /// When it should finish by the estimate; the truth may differ either way.
    pub expected_finish: Time,
    /// Where.
    pub nodes: Placement,
    /// The kind of its devices.
    pub slot: KindSlot,
    /// Order of start, unique in a simulation.
    pub sequence: u64,
}

impl Running {
    /// Devices that it holds.
    pub fn devices(&self) -> u32 {
        self.nodes.iter().map(|share| share.devices).sum()
    }
}

/// What a scheduler remembers of past arrivals; the scales of the observation come from here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Arrivals so far.
    pub arrivals: u64,
    /// Sum over arrivals of ln(shortest estimated device-seconds).
    pub sum_ln_work: f64,
    /// Sum over arrivals of the shortest estimated device-seconds.
    pub sum_work: f64,
    /// By kind slot: the sum over arrivals that run there of their shortest device-seconds, and of the same times ln(how
    /// much longer they take there than on their best kind). What the mix of work would lose on that kind.
    pub losses: Vec<(f64, f64)>,
    /// When the first arrived.
    pub first: Option<Time>,
    /// How many are to be expected; streams as in [`View::streams`].
    pub forecast: Forecast,
}

impl History {
    /// Takes in an arrival that can be served: its `gang`, its `shortest` time, the time that it takes by kind slot
    /// ([`None`] where it does not run), and its stream if it is a request. Arrivals come in order of time.
    pub fn arrive(
        &mut self,
        arrival: Time,
        gang: u32,
        shortest: Span,
        spans: &[Option<Span>],
        stream: Option<usize>,
    ) {
        let work = (shortest.as_secs_f64() * f64::from(gang)).max(1e-9);
        self.arrivals += 1;
        self.sum_ln_work += libm::log(work);
        self.sum_work += work;
        self.lose(work, spans);
        self.first.get_or_insert(arrival);
        self.forecast.arrive(arrival, stream);
    }

    /// What the work would lose on each kind.
    fn lose(&mut self, work: f64, spans: &[Option<Span>]) {
        let Some(best) = spans.iter().flatten().min() else { return };
        self.losses.resize(spans.len(), (0.0, 0.0));
        for (losses, span) in self.losses.iter_mut().zip(spans) {
            let Some(here) = span else { continue };
            let loss = libm::log(here.as_secs_f64().max(1e-12) / best.as_secs_f64().max(1e-12));
            losses.0 += work;
            losses.1 += work * loss;
        }
    }
}

/// What a job has received, if it can be cut off and go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Steps taken, as [`Job::steps`] counts them, those of a slice that runs included.
    pub steps: u64,
    /// Slices it was given.
    pub slices: u32,
    /// Their length in all.
    pub received: Span,
    /// Its place in line: lower for work that has waited longer since it arrived or was last cut off.
    pub turn: u64,
    /// It ran out of memory with so many samples on each device, and takes fewer from now on.
    pub too_many: Option<u32>,
}

/// How decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discipline {
    /// Anything that fits may start at any event, or the policy waits.
    #[default]
    Free,
    /// The chosen job is started before any other, however long it has to wait (specs of the RL literature).
    Commit,
    /// As `Commit`; jobs that should end before the chosen one can start may overtake it.
    CommitBackfill,
    /// Time slices: what starts runs for one quantum at most and then waits again, with its progress kept.
    Rounds,
}

impl Discipline {
    /// Whether the policy only says which job is next, which is then started before any other.
    pub fn commits(self) -> bool {
        matches!(self, Discipline::Commit | Discipline::CommitBackfill)
    }
}

/// A scheduler's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Start a job, or a batch of the oldest requests of its stream.
    Start {
        /// A waiting job, or the oldest request of a stream.
        job: JobId,
        /// Where.
        nodes: Placement,
        /// Requests to serve together; a training job's batch; 1 for a rigid job.
        batch: u32,
        /// Which of the variants that are accurate enough serves the requests, 0 for the reference; 0 for a job.
        variant: u16,
    },
    /// Disciplines `commit` and `commit-backfill`: the first of these is next.
    Reserve {
        /// Waiting jobs, at least one, which move to the front of the queue in this order; the others keep theirs.
        /// Backfilling goes by submit time and takes jobs submitted together in queue order.
        order: SmallVec<[JobId; 1]>,
    },
    /// Discipline `rounds`, before anything is started in a round: how the coming rounds are shared out, until jobs
    /// have come or gone and the allocation is old enough to be asked for anew.
    Allocate {
        /// At least one above 0.
        portions: Vec<Portion>,
        /// Whether devices that are left over go to jobs without a share there, if they were waiting or running when
        /// the allocation was made.
        fill: bool,
    },
    /// Cut off a job, where the scenario allows it: it waits again with its progress kept, and pays a restart when it
    /// goes on. Requests, and what began at this very moment, cannot be cut off.
    Preempt {
        /// Its [`Running::sequence`].
        run: u64,
    },
    /// Start nothing more until the next event, or until a moment if that is earlier; under `rounds`, until the
    /// next round.
    Wait {
        /// When to ask again at the latest.
        until: Option<Time>,
    },
}

/// A share of the coming rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Portion {
    /// A waiting job.
    pub job: JobId,
    /// On which kind.
    pub slot: KindSlot,
    /// The part of the time in which it should run there, from 0 to 1.
    pub share: f64,
}

impl<'a> View<'a> {
    /// One job.
    pub fn job(&self, id: JobId) -> &'a Job {
        &self.jobs[id.index()]
    }

    /// The estimated duration of a job on a kind if it is started now: the whole, or what is left and the restart of one
    /// that was cut off; under `rounds` always the whole. `None` where it does not run. Not for requests.
    pub fn estimate(&self, id: JobId, slot: KindSlot) -> Option<Span> {
        if self.discipline == Discipline::Free && self.progress(id).slices > 0 {
            return Some(self.remaining(id, slot)? + self.restart(id));
        }
        Some(self.timing.job(id.index(), slot)?.scaled(self.correction(id)))
    }

    /// By what factor the size that the job's owner claims is corrected.
    pub fn correction(&self, id: JobId) -> f64 {
        self.corrections.get(id.index()).copied().unwrap_or(1.0)
    }

    /// As [`View::estimate`], for one of [`View::ways`].
    pub fn estimate_way(&self, id: JobId, way: &Way, slot: KindSlot) -> Option<Span> {
        way.span(slot).map(self.rest(id))
    }

    /// [`View::estimate_way`] of all ways that a job runs in on a kind, with what they share found once.
    pub fn estimates(&self, id: JobId, slot: KindSlot) -> impl Iterator<Item = (&'a Way, Span)> + use<'a> {
        let rest = self.rest(id);
        self.ways(id).filter_map(move |way| Some((way, rest(way.span(slot)?))))
    }

    /// From how long a job would take as its owner claims it to what is left of it, and its restart.
    fn rest(&self, id: JobId) -> impl Fn(Span) -> Span + use<> {
        let (correction, left, restart) = (self.correction(id), self.left(id), self.restart(id));
        move |whole| whole.scaled(correction).scaled(left) + restart
    }

    /// The ways to run a job that it has not run out of memory with, as it was submitted first; empty where there was
    /// never a choice.
    pub fn ways(&self, id: JobId) -> impl Iterator<Item = &'a Way> + use<'a> {
        let too_many = self.progress(id).too_many;
        let ways = self.timing.ways(id.index()).iter();
        ways.filter(move |way| too_many.is_none_or(|limit| way.choice.per_device() < limit))
    }

    /// The batch of a job that leaves no choice, or the one it was submitted with as long as that fits.
    pub fn default_batch(&self, id: JobId) -> u32 {
        match (self.first_way(id), self.job(id).task) {
            (Some(way), _) => way.choice.batch,
            (None, Task::Training { batch, .. }) => batch,
            (None, _) => 1,
        }
    }

    /// The way to run a job if nobody chooses: its own gang, with its own batch or the largest that may fit.
    fn first_way(&self, id: JobId) -> Option<&'a Way> {
        let gang = self.job(id).gang;
        self.ways(id).find(|way| way.choice.gang == gang)
    }

    /// How long the job's devices are held before it goes on, if it was cut off.
    pub fn restart(&self, id: JobId) -> Span {
        let again = self.discipline == Discipline::Free && self.progress(id).slices > 0;
        if again { self.rules.resume.restarts.of(self.job(id)) } else { Span::ZERO }
    }

    /// The share of a job that it has not done.
    fn left(&self, id: JobId) -> f64 {
        let steps = self.job(id).steps().max(1) as f64 * self.correction(id);
        1.0 - (self.progress(id).steps as f64 / steps).min(1.0)
    }

    /// The estimated rest of a job on a kind, given what it has done; `None` where it does not run.
    pub fn remaining(&self, id: JobId, slot: KindSlot) -> Option<Span> {
        let all = match self.first_way(id) {
            Some(way) => way.span(slot)?,
            None => self.timing.job(id.index(), slot)?,
        };
        let (done, all) = (self.progress(id).steps, all.scaled(self.correction(id)));
        Some(if done == 0 { all } else { Span::from_secs_f64(all.as_secs_f64() * self.left(id)) })
    }

    /// What the job has received so far; nothing where jobs are never cut off.
    pub fn progress(&self, id: JobId) -> Progress {
        self.progress.get(id.index()).copied().unwrap_or_default()
    }

    /// Whether a job that began before this moment runs here: what could be cut off where that is allowed. Requests
    /// cannot.
    pub fn is_preemptible(&self, run: &Running) -> bool {
        let is_job = |job: &JobId| self.job(*job).request_model().is_none();
        run.start < self.now && run.members.first().is_some_and(is_job)
    }

    /// What should be left of a run.
    pub fn left_of(&self, run: &Running) -> Span {
        run.expected_finish.since(self.now)
    }

    /// How long the job has waited.
    pub fn waited(&self, id: JobId) -> Span {
        self.now.since(self.job(id).arrival)
    }

    /// The kind slot of a node.
    pub fn slot_of(&self, node: NodeId) -> KindSlot {
        slot_of(self.cluster, node)
    }

    /// Whether enough devices of the kind are free for the job, and it runs on them.
    pub fn fits(&self, id: JobId, slot: KindSlot) -> bool {
        self.free_by_kind[slot] >= self.job(id).gang && self.runs_on(id, slot)
    }

    /// Whether there is an [`estimate`](View::estimate), without the work of making it.
    fn runs_on(&self, id: JobId, slot: KindSlot) -> bool {
        let again = self.discipline == Discipline::Free && self.progress(id).slices > 0;
        match self.first_way(id).filter(|_| again) {
            Some(way) => way.span(slot).is_some(),
            None => self.timing.job(id.index(), slot).is_some(),
        }
    }

    /// How long the job or a batch of such requests would hold these nodes before it computes: until its data is there
    /// and its model is loaded, as far as can be told now.
    pub fn setup(&self, id: JobId, nodes: &[Share]) -> Span {
        self.setup_as(id, nodes, None)
    }

    /// As [`View::setup`], for requests that are served by a variant (of [`Timing::variants`]); the default one if
    /// `None`.
    pub fn setup_as(&self, id: JobId, nodes: &[Share], variant: Option<u16>) -> Span {
        let longest = |of: &dyn Fn(NodeId) -> Span| nodes.iter().map(|share| of(share.node)).max();
        let inputs = &self.job(id).inputs;
        let fetch = self.data.filter(|_| !inputs.is_empty());
        let fetch = fetch.and_then(|data| longest(&|node| data.estimate(self.now, node, inputs)));
        let model = self.job(id).request_model();
        let load = self.loads.zip(model).and_then(|(loads, model)| {
            longest(&|node| {
                let variant = self.served_as(model, node, variant);
                loads.time(node, ModelBatch { model, variant, batch: 1 })
            })
        });
        fetch.unwrap_or(Span::ZERO) + load.unwrap_or(Span::ZERO)
    }

    /// The variant in the catalogue, by default the one that a node serves if nobody chooses.
    pub(crate) fn served_as(&self, model: InferenceId, node: NodeId, variant: Option<u16>) -> u16 {
        self.timing.stream_of(model).map_or(0, |stream| {
            let default = || self.timing.default_variant(stream, self.slot_of(node));
            let variant = variant.unwrap_or_else(default);
            self.timing.catalog_variant(stream, variant)
        })
    }

    /// As [`View::setup`], for devices of one kind: those that the job would get now, or else the best there are.
    pub fn setup_on(&self, id: JobId, slot: KindSlot) -> Span {
        if !self.needs_setup(id) {
            return Span::ZERO;
        }
        if let Some((setup, _)) = self.first_ready(id, slot, None) {
            return setup;
        }
        match self.place(slot, self.job(id).gang) {
            Some(nodes) => self.setup(id, &nodes),
            None => {
                let alone = |node: &NodeId| self.setup(id, &[Share { node: *node, devices: 1 }]);
                self.cluster.nodes_of(slot).iter().map(alone).min().unwrap_or(Span::ZERO)
            }
        }
    }

    /// Whether where the job runs decides how soon it computes.
    fn needs_setup(&self, id: JobId) -> bool {
        let job = self.job(id);
        (self.data.is_some() && !job.inputs.is_empty())
            || (self.loads.is_some() && job.request_model().is_some())
    }

    /// Devices of one kind for a job: the single node that is ready first; among those, and for gangs that need
    /// several, as [`View::place`]. `None` if not enough are free.
    pub fn place_job(&self, id: JobId, slot: KindSlot) -> Option<Placement> {
        self.place_as(id, slot, None)
    }

    /// As [`View::place_job`], for requests that are served by a variant; the default one if `None`.
    pub fn place_as(&self, id: JobId, slot: KindSlot, variant: Option<u16>) -> Option<Placement> {
        let job = self.job(id);
        if !self.needs_setup(id) {
            return self.place(slot, job.gang);
        }
        match self.first_ready(id, slot, variant) {
            Some((_, node)) => Some(Placement::from_iter([Share { node, devices: job.gang }])),
            None => self.place(slot, job.gang),
        }
    }

    /// The single node with enough free devices that is ready first, and how long that takes; of equals the tightest.
    fn first_ready(&self, id: JobId, slot: KindSlot, variant: Option<u16>) -> Option<(Span, NodeId)> {
        let gang = self.job(id).gang;
        let nodes = self.cluster.nodes_of(slot).iter().filter(|node| self.free[node.index()] >= gang);
        let ready = nodes.map(|&node| (self.setup_as(id, &[Share { node, devices: gang }], variant), node));
        ready.min_by_key(|(setup, node)| (*setup, self.free[node.index()]))
    }

    /// Devices of one kind for a gang: the single node with the fewest sufficient free devices, or else the
    /// fewest nodes. `None` if not enough are free. Ties go to the lower node.
    pub fn place(&self, slot: KindSlot, gang: u32) -> Option<Placement> {
        place(self.cluster, self.free, slot, gang)
    }
}

/// The kind slot of a node.
pub fn slot_of(cluster: &Cluster, node: NodeId) -> KindSlot {
    let kind = cluster.node(node).kind;
    cluster.kinds().binary_search(&kind).unwrap_or(usize::MAX)
}

/// See [`View::place`].
pub(crate) fn place(cluster: &Cluster, free: &[u32], slot: KindSlot, gang: u32) -> Option<Placement> {
    let share = |node: NodeId, devices| Share { node, devices };
    if let Some(node) = tightest(cluster.nodes_of(slot), free, gang) {
        return Some(Placement::from_iter([share(node, gang)]));
    }
    let with_free = cluster.nodes_of(slot).iter().copied().filter(|node| free[node.index()] > 0);
    let mut order: SmallVec<[NodeId; 16]> = with_free.collect();
    order.sort_by_key(|node| std::cmp::Reverse(free[node.index()]));
    let mut placement = Placement::new();
    let mut missing = gang;
    for node in order {
        let devices = free[node.index()].min(missing);
        placement.push(share(node, devices));
        missing -= devices;
        if missing == 0 {
            return Some(placement);
        }
    }
    None
}

/// The first of the nodes with the fewest sufficient free devices.
fn tightest(nodes: &[NodeId], free: &[u32], gang: u32) -> Option<NodeId> {
    let mut best: Option<(u32, NodeId)> = None;
    for &node in nodes {
        let here = free[node.index()];
        if here >= gang.max(1) && best.is_none_or(|(least, _)| here < least) {
            best = Some((here, node));
            if here == gang {
                break;
            }
        }
    }
    best.map(|(_, node)| node)
}
