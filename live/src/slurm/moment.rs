//! The partition as a policy sees it: a [`Snapshot`] made of Slurm's jobs and nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use yardmaster_env::catalog::Catalog;
use yardmaster_env::snapshot::{
    ClusterSpec, FORMAT, JobState, MachineSpec, RunState, ShareState, Site as Machines, Snapshot,
    SnapshotError, State as Present, Status, TaskState,
};
use yardmaster_env::units::{JobId, KindId, Span, Time};
use yardmaster_env::view::{Decision, Share, View};

use super::arrivals::Arrivals;
use super::estimate::Estimate;
use super::jobs::{Phase, SlurmJob};
use super::site::{Nodes, Site, State, request_gpus};

/// What a job without an estimate and without a time limit is taken to need.
const ENDLESS_S: f64 = 86_400.0;

/// A moment that a policy can be asked about, again and again until it waits.
pub(super) struct Moment {
    pub(super) site: Site,
    machines: Arc<Machines>,
    present: Present,
    snapshot: Snapshot,
    /// Index into [`State::jobs`] by job of the snapshot.
    origin: Vec<usize>,
}

/// A job that is to start: index into [`State::jobs`], and GPUs on places of the [`Site`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Start {
    pub(super) job: usize,
    pub(super) kind: KindId,
    pub(super) nodes: Nodes,
    pub(super) seconds: f64,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Taken {
    /// It can be carried out.
    Start(Start),
    /// The job's shape does not fit what is free on that kind; it waits for another moment.
    SetAside(usize),
    /// The policy waits.
    Wait,
}

/// A job of the snapshot in the making.
struct Entry {
    arrival: Time,
    slurm: usize,
    gang: u32,
    weight: f64,
    seconds: Vec<(KindId, f64)>,
    /// Where it runs, on nodes of one kind, and since when; `None` if it waits.
    runs: Option<(KindId, Nodes, Time)>,
}

impl Moment {
    /// The state at `now_s` seconds since 1970. `waiting` are the jobs that the policy may start, with what they should
    /// take; `known` gives that of other jobs, by their index.
    ///
    /// # Errors
    /// A state that is at odds with itself, which is a defect of the adapter.
    pub(super) fn of(
        state: &State,
        site: Site,
        waiting: &[(usize, Estimate)],
        known: &[Option<Estimate>],
        now_s: f64,
        arrivals: &mut Arrivals,
    ) -> Result<Moment, SnapshotError> {
        let now = arrivals.time(now_s);
        let mut entries = busy(state, &site, known, now, arrivals);
        for (at, estimate) in waiting {
            let job = &state.jobs[*at];
            entries.push(Entry {
                arrival: arrivals.time(job.submit_s as f64).min(now),
                slurm: *at,
                gang: request_gpus(&job.request).unwrap_or(1),
                weight: estimate.weight,
                seconds: estimate.seconds.clone(),
                runs: None,
            });
        }
        entries.sort_by_key(|entry| (entry.arrival, entry.slurm));
        let machines = Arc::new(Machines::new(cluster(&site))?);
        let closed = site.places.iter().filter(|place| !place.usable);
        let mut present = Present {
            format: FORMAT,
            now_ns: now.0,
            jobs: entries.iter().zip(0..).map(|(entry, id)| job_state(entry, id, state, arrivals)).collect(),
            running: entries.iter().zip(0..).filter_map(|(entry, id)| run_state(entry, id, &site)).collect(),
            closed: closed.map(|place| place.name.clone()).collect(),
            history: Some(arrivals.history(machines.cluster().kinds(), now)),
            ..Present::default()
        };
        present.running.sort_by_key(|run| run.start_ns);
        present.may_wait = !present.running.is_empty();
        let snapshot = Snapshot::new(&machines, &present)?;
        let origin = entries.iter().map(|entry| entry.slurm).collect();
        Ok(Moment { site, machines, present, snapshot, origin })
    }

    /// What a policy is shown.
    pub(super) fn view(&self) -> View<'_> {
        self.snapshot.view()
    }

    /// Whether there is anything to decide.
    pub(super) fn has_choice(&self) -> bool {
        let view = self.view();
        view.queue.iter().any(|&job| (0..view.timing.kinds()).any(|slot| view.fits(job, slot)))
    }

    /// Books a decision; the error tells why it is illegal.
    pub(super) fn take(&mut self, state: &State, decision: &Decision) -> Result<Taken, String> {
        let (job, nodes) = match decision {
            Decision::Start { job, nodes, batch: 1, variant: 0 } => (*job, nodes),
            Decision::Wait { .. } if self.present.may_wait => return Ok(Taken::Wait),
            Decision::Wait { .. } => return Err("it waits while nothing runs that would end".into()),
            other => return Err(format!("{other:?} means nothing to Slurm")),
        };
        let (kind, seconds) = self.legal(job, nodes)?;
        let slurm = self.origin[job.index()];
        let request = &state.jobs[slurm].request;
        // A node of the snapshot is a place of the site, in the same order.
        let wanted: Nodes = nodes.iter().map(|share| (share.node.index(), share.devices)).collect();
        let taken = match self.site.fit(request, kind, &wanted) {
            Some(nodes) => {
                self.site.take(request, &nodes);
                let shares = shares(&nodes, &self.site);
                self.present.running.push(RunState {
                    jobs: vec![u64::from(job.0)],
                    batch: None,
                    variant: 0,
                    start_ns: self.present.now_ns,
                    ready_ns: None,
                    fetching: false,
                    expected_finish_ns: None,
                    nodes: shares,
                    sequence: None,
                });
                Taken::Start(Start { job: slurm, kind, nodes, seconds })
            }
            None => {
                self.present.jobs[job.index()].status = Status::Blocked;
                Taken::SetAside(slurm)
            }
        };
        self.present.may_wait = !self.present.running.is_empty();
        self.snapshot = Snapshot::new(&self.machines, &self.present).map_err(|error| error.to_string())?;
        Ok(taken)
    }

    /// The kind of a start and how long it should take, if it is legal.
    fn legal(&self, job: JobId, nodes: &[Share]) -> Result<(KindId, f64), String> {
        let view = self.view();
        if !view.queue.contains(&job) {
            return Err(format!("job {} does not wait", job.0));
        }
        if nodes.iter().any(|share| share.node.index() >= view.free.len()) {
            return Err("a node that there is not".into());
        }
        let first = nodes.first().ok_or("a start on no node")?;
        let (slot, gang) = (view.slot_of(first.node), view.job(job).gang);
        let devices: u32 = nodes.iter().map(|share| share.devices).sum();
        if devices != gang {
            return Err(format!("{devices} devices for a gang of {gang}"));
        }
        let alone = |share: &Share| nodes.iter().filter(|other| other.node == share.node).count() == 1;
        let fits = |share: &Share| {
            alone(share) && view.slot_of(share.node) == slot && share.devices <= view.free[share.node.index()]
        };
        match view.timing.job(job.index(), slot) {
            Some(span) if nodes.iter().all(fits) => Ok((view.cluster.kinds()[slot], span.as_secs_f64())),
            _ => Err(format!("job {} does not fit where it is to start", job.0)),
        }
    }
}

/// The machines, whether they take jobs or not.
fn cluster(site: &Site) -> ClusterSpec {
    let nodes = site.places.iter().map(|place| MachineSpec {
        name: place.name.clone(),
        kind: Catalog::builtin().device(place.kind).name.clone(),
        devices: place.gpus,
        procs_per_device: 1,
        rack: 0,
    });
    ClusterSpec { format: FORMAT, name: "slurm".into(), nodes: nodes.collect(), ..ClusterSpec::default() }
}

/// Jobs that hold devices, one entry for each kind that they hold.
fn busy(
    state: &State,
    site: &Site,
    known: &[Option<Estimate>],
    now: Time,
    arrivals: &mut Arrivals,
) -> Vec<Entry> {
    let mut held: BTreeMap<(usize, KindId), Nodes> = BTreeMap::new();
    for holding in &site.holdings {
        let kind = site.places[holding.place].kind;
        held.entry((holding.job, kind)).or_default().push((holding.place, holding.gpus));
    }
    let mut entries = Vec::new();
    for ((at, kind), nodes) in held {
        let job = &state.jobs[at];
        let start = if job.phase == Phase::Active { arrivals.time(job.start_s as f64).min(now) } else { now };
        entries.push(Entry {
            arrival: arrivals.time(job.submit_s as f64).min(now),
            slurm: at,
            gang: nodes.iter().map(|(_, gpus)| gpus).sum(),
            weight: 1.0,
            seconds: seconds_on(job, known[at].as_ref(), kind),
            runs: Some((kind, nodes, start)),
        });
    }
    entries
}

/// What a job should take that runs on a kind: by its estimate, or else its time limit.
fn seconds_on(job: &SlurmJob, estimate: Option<&Estimate>, kind: KindId) -> Vec<(KindId, f64)> {
    match estimate {
        Some(estimate) if estimate.seconds.iter().any(|(known, _)| *known == kind) => {
            estimate.seconds.clone()
        }
        _ => vec![(kind, job.request.time_limit_s.map_or(ENDLESS_S, |limit| limit as f64))],
    }
}

fn job_state(entry: &Entry, id: u64, state: &State, arrivals: &mut Arrivals) -> JobState {
    let name = |kind: KindId| Catalog::builtin().device(kind).name.clone();
    let takes: BTreeMap<String, u64> = entry
        .seconds
        .iter()
        .map(|&(kind, seconds)| (name(kind), Span::from_secs_f64(seconds).0.max(1)))
        .collect();
    let request = &state.jobs[entry.slurm].request;
    JobState {
        id,
        arrival_ns: entry.arrival.0,
        status: Status::Waiting,
        task: TaskState::Rigid { requested_ns: takes.values().copied().min().unwrap_or(1) },
        gang: entry.gang,
        procs: None,
        weight: entry.weight,
        deadline_ns: request.deadline_s.map(|at| arrivals.time(at as f64).0),
        takes_ns: Some(takes),
        correction: None,
        after: None,
        inputs: Vec::new(),
        output: None,
        choices: Vec::new(),
        ways: Vec::new(),
        user: request.user_id,
        progress: None,
    }
}

fn run_state(entry: &Entry, id: u64, site: &Site) -> Option<RunState> {
    let (_, nodes, start) = entry.runs.as_ref()?;
    Some(RunState {
        jobs: vec![id],
        batch: None,
        variant: 0,
        start_ns: start.0,
        ready_ns: None,
        fetching: false,
        expected_finish_ns: None,
        nodes: shares(nodes, site),
        sequence: None,
    })
}

fn shares(nodes: &[(usize, u32)], site: &Site) -> Vec<ShareState> {
    let share =
        |&(place, devices): &(usize, u32)| ShareState { node: site.places[place].name.clone(), devices };
    nodes.iter().map(share).collect()
}
