//! The partition as a policy sees it: a [`View`] made of Slurm's jobs and nodes.

use std::collections::BTreeMap;

use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::{Cluster, Node};
use yardmaster_env::job::{Job, StepSpeeds, Task, Truth, Workload};
use yardmaster_env::rules::Rules;
use yardmaster_env::timing::Timing;
use yardmaster_env::units::{JobId, KindId, NodeId, Span, Time};
use yardmaster_env::view::{Decision, Discipline, History, Placement, Running, Share, View};

use super::arrivals::Arrivals;
use super::estimate::Estimate;
use super::jobs::{Phase, SlurmJob};
use super::site::{Site, State, request_gpus};

/// The estimate of a job is this many steps, whose speed tells the seconds.
const STEPS: u64 = 1_000_000;
/// What a job without an estimate and without a time limit is taken to need.
const ENDLESS_S: f64 = 86_400.0;

/// A moment that a policy can be asked about, again and again until it waits.
pub(super) struct Moment {
    now: Time,
    pub(super) site: Site,
    cluster: Cluster,
    /// Index into [`Site::places`] by node of the cluster.
    place_of: Vec<usize>,
    workload: Workload,
    timing: Timing,
    queue: Vec<JobId>,
    free: Vec<u32>,
    free_by_kind: Vec<u32>,
    running: Vec<Running>,
    history: History,
    rules: Rules,
    /// Index into [`State::jobs`] by job of the view; `None` for GPUs that are in use for reasons unknown.
    origin: Vec<Option<usize>>,
}

/// A job that is to start: index into [`State::jobs`], and GPUs on places of the [`Site`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Start {
    pub(super) job: usize,
    pub(super) kind: KindId,
    pub(super) nodes: Vec<(usize, u32)>,
    pub(super) seconds: f64,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Taken {
    /// It can be carried out.
    Start(Start),
    /// The job's shape does not fit what is free on that kind; it waits for another moment.
    SetAside(usize),
}

/// A job of the view in the making.
struct Entry {
    arrival: Time,
    slurm: Option<usize>,
    gang: u32,
    weight: f64,
    seconds: Vec<(KindId, f64)>,
    /// Where it runs, and since when; nowhere if it waits.
    runs: Option<(KindId, Vec<(usize, u32)>, Time)>,
}

impl Moment {
    /// The state at `now_s` seconds since 1970. `waiting` are the jobs that the policy may start, with what they should
    /// take; `known` gives that of the others.
    pub(super) fn of(
        state: &State,
        site: Site,
        waiting: &[(usize, Estimate)],
        known: &dyn Fn(&SlurmJob) -> Option<Estimate>,
        now_s: f64,
        arrivals: &mut Arrivals,
        catalog: &Catalog,
    ) -> Moment {
        let now = arrivals.time(now_s);
        let place_of: Vec<usize> = (0..site.places.len()).filter(|&at| site.places[at].usable).collect();
        let node = |&at: &usize| {
            let place = &site.places[at];
            Node {
                name: place.name.clone(),
                kind: place.kind,
                devices: place.gpus,
                procs_per_device: 1,
                rack: 0,
            }
        };
        let cluster = Cluster::new(place_of.iter().map(node).collect());
        let free: Vec<u32> = place_of.iter().map(|&at| site.places[at].free).collect();
        let mut entries = busy(state, &site, known, now, arrivals);
        for (at, estimate) in waiting {
            let job = &state.jobs[*at];
            entries.push(Entry {
                arrival: arrivals.time(job.submit_s as f64).min(now),
                slurm: Some(*at),
                gang: request_gpus(&job.request).unwrap_or(1),
                weight: estimate.weight,
                seconds: estimate.seconds.clone(),
                runs: None,
            });
        }
        entries.sort_by_key(|entry| (entry.arrival, entry.slurm));
        let workload = workload(state, &entries, arrivals);
        let timing = Timing::of(catalog, &cluster, &workload);
        let history = arrivals.history(cluster.kinds());
        let mut moment = Moment {
            now,
            place_of,
            timing,
            queue: Vec::new(),
            free_by_kind: vec![0; cluster.kinds().len()],
            free,
            running: Vec::new(),
            history,
            rules: Rules::default(),
            origin: entries.iter().map(|entry| entry.slurm).collect(),
            workload,
            cluster,
            site,
        };
        moment.enter(entries);
        moment
    }

    /// Sorts the jobs into those that wait and those that run.
    fn enter(&mut self, entries: Vec<Entry>) {
        for (node, &free) in self.cluster.nodes().iter().zip(&self.free) {
            if let Ok(slot) = self.cluster.kinds().binary_search(&node.kind) {
                self.free_by_kind[slot] += free;
            }
        }
        for (at, entry) in entries.into_iter().enumerate() {
            let id = JobId(at as u32);
            match entry.runs {
                Some((kind, nodes, start)) => self.run(id, kind, &nodes, start),
                None if (0..self.timing.kinds()).any(|slot| self.timing.job(at, slot).is_some()) => {
                    self.queue.push(id);
                }
                // All nodes that it runs on are out of service.
                None => {}
            }
        }
        self.running.sort_by_key(|run| run.start);
        for (sequence, run) in (0..).zip(&mut self.running) {
            run.sequence = sequence;
        }
    }

    /// A run of devices that are in service; those of other nodes are in no view.
    fn run(&mut self, id: JobId, kind: KindId, nodes: &[(usize, u32)], start: Time) {
        let Ok(slot) = self.cluster.kinds().binary_search(&kind) else { return };
        let node_of = |place: usize| self.place_of.iter().position(|&at| at == place);
        let shares = nodes
            .iter()
            .filter_map(|&(place, devices)| Some(Share { node: NodeId(node_of(place)? as u32), devices }));
        let shares: Placement = shares.collect();
        if shares.is_empty() {
            return;
        }
        let span = self.timing.job(id.index(), slot).unwrap_or(Span::ZERO);
        self.running.push(Running {
            members: smallvec::smallvec![id],
            batch: 1,
            variant: 0,
            start,
            ready: start,
            fetching: false,
            expected_finish: start + span,
            nodes: shares,
            slot,
            sequence: self.running.len() as u64,
        });
    }

    /// What a policy is shown.
    pub(super) fn view(&self) -> View<'_> {
        View {
            now: self.now,
            cluster: &self.cluster,
            timing: &self.timing,
            jobs: &self.workload.jobs,
            queue: &self.queue,
            continuity: None,
            streams: &[],
            free: &self.free,
            free_by_kind: &self.free_by_kind,
            running: &self.running,
            history: &self.history,
            progress: &[],
            corrections: &[],
            in_service: self.cluster.all_devices(),
            rules: &self.rules,
            data: None,
            loads: None,
            discipline: Discipline::Free,
            // With nothing to wait for, a policy that waits would wait for ever.
            may_wait: !self.running.is_empty(),
            outlook: None,
        }
    }

    /// Whether there is anything to decide.
    pub(super) fn has_choice(&self) -> bool {
        let view = self.view();
        self.queue.iter().any(|&job| (0..self.timing.kinds()).any(|slot| view.fits(job, slot)))
    }

    /// Books a start; the error tells why it is illegal. `None` if the policy waits, with the moment until which.
    pub(super) fn take(&mut self, state: &State, decision: &Decision) -> Result<Option<Taken>, String> {
        let (job, nodes) = match decision {
            Decision::Start { job, nodes, batch: 1, variant: 0 } => (*job, nodes),
            Decision::Wait { .. } if self.view().may_wait => return Ok(None),
            Decision::Wait { .. } => return Err("it waits while nothing runs that would end".into()),
            other => return Err(format!("{other:?} means nothing to Slurm")),
        };
        let slot = self.legal(job, nodes)?;
        let kind = self.cluster.kinds()[slot];
        let slurm = self.origin[job.index()].ok_or("it starts what is no job")?;
        self.queue.retain(|&other| other != job);
        let wanted: Vec<(usize, u32)> =
            nodes.iter().map(|share| (self.place_of[share.node.index()], share.devices)).collect();
        let request = &state.jobs[slurm].request;
        let Some(nodes) = self.site.fit(request, kind, &wanted) else {
            return Ok(Some(Taken::SetAside(slurm)));
        };
        self.site.take(request, &nodes);
        for (free, &place) in self.free.iter_mut().zip(&self.place_of) {
            *free = self.site.places[place].free;
        }
        self.free_by_kind[slot] -= nodes.iter().map(|(_, gpus)| gpus).sum::<u32>();
        self.run(job, kind, &nodes, self.now);
        let seconds = self.timing.job(job.index(), slot).unwrap_or(Span::ZERO).as_secs_f64();
        Ok(Some(Taken::Start(Start { job: slurm, kind, nodes, seconds })))
    }

    /// The kind slot of a start, if it is legal.
    fn legal(&self, job: JobId, nodes: &[Share]) -> Result<usize, String> {
        if !self.queue.contains(&job) {
            return Err(format!("job {} does not wait", job.0));
        }
        if nodes.iter().any(|share| share.node.index() >= self.free.len()) {
            return Err("a node that there is not".into());
        }
        let first = nodes.first().ok_or("a start on no node")?;
        let view = self.view();
        let slot = view.slot_of(first.node);
        let gang = view.job(job).gang;
        let devices: u32 = nodes.iter().map(|share| share.devices).sum();
        if devices != gang {
            return Err(format!("{devices} devices for a gang of {gang}"));
        }
        let alone = |share: &Share| nodes.iter().filter(|other| other.node == share.node).count() == 1;
        let fits = |share: &Share| {
            alone(share) && view.slot_of(share.node) == slot && share.devices <= self.free[share.node.index()]
        };
        if !nodes.iter().all(fits) || view.timing.job(job.index(), slot).is_none() {
            return Err(format!("job {} does not fit where it is to start", job.0));
        }
        Ok(slot)
    }
}

/// Jobs that hold devices, one entry for each kind that they hold, and devices that are in use for reasons unknown.
fn busy(
    state: &State,
    site: &Site,
    known: &dyn Fn(&SlurmJob) -> Option<Estimate>,
    now: Time,
    arrivals: &mut Arrivals,
) -> Vec<Entry> {
    let mut held: BTreeMap<(usize, KindId), Vec<(usize, u32)>> = BTreeMap::new();
    for holding in &site.holdings {
        let kind = site.places[holding.place].kind;
        held.entry((holding.job, kind)).or_default().push((holding.place, holding.gpus));
    }
    let mut entries = Vec::new();
    for ((at, kind), nodes) in held {
        let job = &state.jobs[at];
        let estimate = known(job);
        let limit = job.request.time_limit_s.map_or(ENDLESS_S, |limit| limit as f64);
        let seconds = estimate.filter(|estimate| estimate.seconds.iter().any(|(known, _)| *known == kind));
        let start = if job.phase == Phase::Active { arrivals.time(job.start_s as f64).min(now) } else { now };
        entries.push(Entry {
            arrival: arrivals.time(job.submit_s as f64).min(now),
            slurm: Some(at),
            gang: nodes.iter().map(|(_, gpus)| gpus).sum(),
            weight: 1.0,
            seconds: seconds.map_or_else(|| vec![(kind, limit)], |estimate| estimate.seconds),
            runs: Some((kind, nodes, start)),
        });
    }
    for (at, place) in site.places.iter().enumerate().filter(|(_, place)| place.unexplained > 0) {
        entries.push(Entry {
            arrival: now,
            slurm: None,
            gang: place.unexplained,
            weight: 1.0,
            // What it is cannot be told, and so it may end at any moment.
            seconds: vec![(place.kind, 1e-9)],
            runs: Some((place.kind, vec![(at, place.unexplained)], now)),
        });
    }
    entries
}

/// The jobs with their estimates as speeds; equal estimates share one, so that equal jobs are seen to be equal.
fn workload(state: &State, entries: &[Entry], arrivals: &mut Arrivals) -> Workload {
    let mut workload = Workload::default();
    let mut table: BTreeMap<Vec<(KindId, u64)>, u32> = BTreeMap::new();
    for entry in entries {
        let likeness = entry.seconds.iter().map(|&(kind, seconds)| (kind, seconds.to_bits())).collect();
        let speeds = *table.entry(likeness).or_insert_with(|| {
            let by_kind =
                entry.seconds.iter().map(|&(kind, seconds)| (kind, STEPS as f64 / seconds)).collect();
            // A gang of 0: the speeds are those of the whole gang, whatever it is.
            workload.speeds.push(StepSpeeds { name: "slurm".into(), gang: 0, by_kind });
            workload.speeds.len() as u32 - 1
        });
        let slurm = entry.slurm.map(|at| &state.jobs[at]);
        let mut job = Job::new(
            slurm.map_or(0, |job| u64::from(job.key.job)),
            entry.arrival,
            Task::Steps { speeds, steps: STEPS },
            entry.gang,
        );
        job.weight = entry.weight;
        job.deadline = slurm.and_then(|job| job.request.deadline_s).map(|at| arrivals.time(at as f64));
        workload.push(job, Truth::AsEstimated);
    }
    workload
}
