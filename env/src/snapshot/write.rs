//! What is so now in a view, told in names.

use std::collections::BTreeMap;

use super::state::{
    CachedState, DataState, HistoryState, HoldingState, JobState, LoadState, LoadedState, ProgressState,
    RunState, ShareState, State, Status, TaskState, TransferState, WayState,
};
use super::{FORMAT, Site};
use crate::catalog::Catalog;
use crate::data::{ArtefactId, DataPlane, DeviceState, Moving, Source};
use crate::job::{Job, Task};
use crate::loads::Loads;
use crate::timing::Way;
use crate::units::{JobId, NodeId, Span};
use crate::view::{Progress, Running, View};

/// Whether a job waits, runs, or neither; by its place.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Waits,
    Runs,
    Elsewhere,
}

impl State {
    /// What is so now; jobs are called by their places. `site` is that of the view's machines.
    pub fn of(view: &View<'_>, site: &Site) -> State {
        State::of_jobs(view, site, |job| u64::from(job.0))
    }

    /// As [`State::of`], with other names for the jobs.
    pub(super) fn of_jobs(view: &View<'_>, site: &Site, id: impl Fn(JobId) -> u64 + Copy) -> State {
        let writer = Writer { view, site };
        let mut places = vec![Place::Elsewhere; view.jobs.len()];
        let waiting = view.queue.iter().chain(view.streams.iter().flat_map(|stream| &stream.queue));
        waiting.for_each(|job| places[job.index()] = Place::Waits);
        let members = view.running.iter().flat_map(|run| &run.members);
        members.for_each(|job| places[job.index()] = Place::Runs);
        let ended = ended(view, &places);
        let jobs = (0..view.jobs.len()).map(|at| {
            let status = match places[at] {
                Place::Elsewhere if ended[at] => Status::Ended,
                Place::Elsewhere => Status::Blocked,
                _ => Status::Waiting,
            };
            writer.job(JobId(at as u32), status, id)
        });
        let ascending = view.queue.is_sorted();
        let in_service = site.kinds().iter().cloned().zip(view.in_service.iter().copied());
        State {
            format: FORMAT,
            sequence: 0,
            now_ns: view.now.0,
            may_wait: view.may_wait,
            jobs: jobs.collect(),
            queue: (!ascending).then(|| view.queue.iter().map(|&job| id(job)).collect()),
            running: view.running.iter().map(|run| writer.run(run, id)).collect(),
            closed: writer.closed(),
            in_service: in_service.collect(),
            history: Some(writer.history()),
            data: view.data.map(|data| writer.data(data)),
            loads: view.loads.map(|loads| writer.loads(loads)).unwrap_or_default(),
        }
    }
}

/// Which of those that neither wait nor run have ended. The others wait for a stage that has not; what follows one
/// that has not ended, has not ended either.
fn ended(view: &View<'_>, places: &[Place]) -> Vec<bool> {
    let mut ended = vec![false; places.len()];
    for (at, place) in places.iter().enumerate() {
        let before = view.jobs[at].after.map(JobId::index);
        ended[at] = *place == Place::Elsewhere && before.is_none_or(|before| ended[before]);
    }
    ended
}

struct Writer<'a> {
    view: &'a View<'a>,
    site: &'a Site,
}

impl Writer<'_> {
    fn node(&self, node: NodeId) -> String {
        self.view.cluster.node(node).name.clone()
    }

    fn artefact(&self, id: ArtefactId) -> String {
        let known = self.view.data.map(|data| data.spec().artefact(id).name.clone());
        known.unwrap_or_else(|| id.0.to_string())
    }

    fn by_kind(&self, spans: &[Span]) -> BTreeMap<String, u64> {
        let runs = self.site.kinds().iter().zip(spans).filter(|(_, span)| **span != Span::MAX);
        runs.map(|(kind, span)| (kind.clone(), span.0)).collect()
    }

    fn job(&self, id: JobId, status: Status, name: impl Fn(JobId) -> u64) -> JobState {
        let job: &Job = self.view.job(id);
        let request = job.request_model().is_some();
        let progress = self.view.progress.get(id.index());
        let has_data = self.view.data.is_some();
        JobState {
            id: name(id),
            arrival_ns: job.arrival.0,
            status,
            task: self.task(job),
            gang: job.gang,
            procs: (job.procs != job.gang).then_some(job.procs),
            weight: job.weight,
            deadline_ns: job.deadline.map(|deadline| deadline.0),
            takes_ns: (!request).then(|| self.by_kind(self.view.timing.spans(id))),
            correction: self.view.corrections.get(id.index()).copied(),
            after: job.after.map(&name),
            inputs: job.inputs.iter().filter(|_| has_data).map(|&id| self.artefact(id)).collect(),
            output: job.output.filter(|_| has_data).map(|id| self.artefact(id)),
            choices: job.choices.clone(),
            ways: self.view.timing.ways(id.index()).iter().map(|way| self.way(way)).collect(),
            user: job.user,
            progress: progress.filter(|progress| **progress != Progress::default()).map(progress_state),
        }
    }

    fn task(&self, job: &Job) -> TaskState {
        match job.task {
            Task::Rigid { requested } => TaskState::Rigid { requested_ns: requested.0 },
            Task::Training { model, batch, samples } => {
                let model = Catalog::builtin().training_model(model).name.clone();
                TaskState::Training { model, batch, samples }
            }
            Task::Steps { speeds, steps } => TaskState::Steps { speeds, steps },
            Task::Request { model } => {
                let stream = self.view.timing.stream_of(model);
                TaskState::Request {
                    model: stream.map_or_else(String::new, |at| self.site.model(at).to_owned()),
                }
            }
        }
    }

    fn way(&self, way: &Way) -> WayState {
        WayState {
            gang: way.choice.gang,
            batch: way.choice.batch,
            takes_ns: self.by_kind(&way.spans),
            memory_bytes: way.memory_bytes,
        }
    }

    fn run(&self, run: &Running, id: impl Fn(JobId) -> u64) -> RunState {
        let share =
            |share: &crate::view::Share| ShareState { node: self.node(share.node), devices: share.devices };
        RunState {
            jobs: run.members.iter().map(|&job| id(job)).collect(),
            batch: Some(run.batch),
            variant: run.variant,
            start_ns: run.start.0,
            ready_ns: Some(run.ready.0),
            fetching: run.fetching,
            expected_finish_ns: Some(run.expected_finish.0),
            nodes: run.nodes.iter().map(share).collect(),
            sequence: Some(run.sequence),
        }
    }

    /// Machines with fewer free devices than what runs there leaves.
    fn closed(&self) -> Vec<String> {
        let nodes = self.view.cluster.nodes();
        let mut left: Vec<u32> = nodes.iter().map(|node| node.devices).collect();
        let shares = self.view.running.iter().flat_map(|run| &run.nodes);
        shares.for_each(|share| left[share.node.index()] -= share.devices);
        let closed =
            nodes.iter().zip(left.iter().zip(self.view.free)).filter(|(_, (left, free))| left > free);
        closed.map(|(node, _)| node.name.clone()).collect()
    }

    fn history(&self) -> HistoryState {
        let history = self.view.history;
        HistoryState {
            arrivals: history.arrivals,
            sum_ln_work: history.sum_ln_work,
            sum_work: history.sum_work,
            losses: history.losses.clone(),
            first_ns: history.first.map(|first| first.0),
            forecast: history.forecast.clone(),
        }
    }

    fn data(&self, data: &DataPlane) -> DataState {
        let picture = data.picture();
        let cached = |cached: &crate::data::Cached| CachedState {
            artefact: self.artefact(cached.artefact),
            coming: !cached.present,
        };
        let caches = picture.caches.iter().enumerate().filter(|(_, cache)| !cache.is_empty());
        let transfer = |moving: &Moving| TransferState {
            artefact: self.artefact(moving.artefact),
            to: self.node(moving.node),
            from: match moving.source {
                Source::Storage => None,
                Source::Replica(node) => Some(self.node(node)),
            },
            compressed: moving.compressed,
            kept: moving.kept,
            waiters: moving.waiters.clone(),
            starts_ns: moving.starts.0,
            since_ns: moving.since.0,
            left_bytes: moving.left_bytes,
            bytes_per_s: moving.bytes_per_s,
            finish_ns: moving.finish.0,
        };
        let hold = |&(node, id): &(NodeId, ArtefactId)| (self.node(node), self.artefact(id));
        let holding = |run: &crate::data::Holding| HoldingState {
            run: run.tag,
            pending: run.pending,
            holds: run.holds.iter().map(hold).collect(),
        };
        DataState {
            caches: caches
                .map(|(at, cache)| (self.node(NodeId(at as u32)), cache.iter().map(cached).collect()))
                .collect(),
            transfers: picture.transfers.iter().map(transfer).collect(),
            runs: picture.runs.iter().map(holding).collect(),
        }
    }

    fn loads(&self, loads: &Loads) -> BTreeMap<String, Vec<LoadState>> {
        let loaded = |key: u32| {
            let (model, variant) = Loads::named(key);
            let stream = self.view.timing.stream_of(model);
            LoadedState {
                model: stream.map_or_else(String::new, |at| self.site.model(at).to_owned()),
                variant,
            }
        };
        let device = |device: DeviceState| LoadState {
            models: device.models.iter().map(|model| loaded(model.key)).collect(),
            busy: device.busy,
            runs: device.runs.map(loaded),
            working_bytes: device.working_bytes,
            used: device.used,
        };
        let nodes = (0..self.view.cluster.nodes().len() as u32).map(NodeId);
        let states = nodes.map(|node| {
            let devices: Vec<LoadState> = loads.residency().states(node).map(device).collect();
            (self.node(node), devices)
        });
        states.filter(|(_, devices)| devices.iter().any(|device| *device != LoadState::default())).collect()
    }
}

fn progress_state(progress: &Progress) -> ProgressState {
    ProgressState {
        steps: progress.steps,
        slices: progress.slices,
        received_ns: progress.received.0,
        turn: progress.turn,
        too_many: progress.too_many,
    }
}
