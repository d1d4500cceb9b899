//! From what a text says to a snapshot that cannot be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::arrivals::remember;
use super::state::{JobState, ProgressState, RunState, State, Status, TaskState, WayState};
use super::{ByKind, FORMAT, MAX_GANG, MAX_JOBS, Site, Snapshot, SnapshotError, read_data};
use crate::catalog::Catalog;
use crate::job::{Choice, Job, Task};
use crate::timing::{KindSlot, Way};
use crate::units::{JobId, NodeId, Span, Time};
use crate::view::{History, Placement, Progress, Running, Share, Stream, slot_of};

impl Snapshot {
    /// Checks a state against its cluster.
    ///
    /// # Errors
    /// Another format; names that are not known or stand twice; numbers out of range or at odds with each other.
    pub fn new(site: &Arc<Site>, state: &State) -> Result<Snapshot, SnapshotError> {
        let anew = |snapshot: &Snapshot| remember(&snapshot.jobs, &snapshot.timing, site.cluster());
        Snapshot::with_history(site, state, anew)
    }

    /// As [`Snapshot::new`]; where the state tells no history, it is what `otherwise` says.
    pub(super) fn with_history(
        site: &Arc<Site>,
        state: &State,
        otherwise: impl Fn(&Snapshot) -> History,
    ) -> Result<Snapshot, SnapshotError> {
        if state.format != FORMAT {
            return Err(SnapshotError::Format { what: "the state", found: state.format, reads: FORMAT });
        }
        let reader = Reader { site, state, ids: Ids::of(&state.jobs)? };
        let jobs = Jobs::read(&reader)?;
        let timing = site.timing().with_jobs(jobs.spans, jobs.ways);
        let running = reader.running(&jobs.list, &timing)?;
        let free = reader.free(&running)?;
        let mut free_by_kind = vec![0; site.kinds().len()];
        for (at, free) in free.iter().enumerate() {
            free_by_kind[slot_of(site.cluster(), NodeId(at as u32))] += free;
        }
        let places = reader.places(&running)?;
        let streams = reader.streams(&jobs.list, &places);
        let mut snapshot = Snapshot {
            site: Arc::clone(site),
            sequence: state.sequence,
            now: Time(state.now_ns),
            queue: reader.queue(&jobs.list, &places)?,
            in_service: reader.in_service(&running)?,
            data: read_data::data(&reader)?,
            loads: read_data::loads(&reader, &running)?,
            ids: state.jobs.iter().map(|job| job.id).collect(),
            jobs: jobs.list,
            progress: jobs.progress,
            corrections: jobs.corrections,
            may_wait: state.may_wait,
            history: History::default(),
            timing,
            streams,
            free,
            free_by_kind,
            running,
        };
        snapshot.history = match &state.history {
            Some(history) => reader.history(history)?,
            None => otherwise(&snapshot),
        };
        Ok(snapshot)
    }
}

/// What the sender's numbers stand for.
struct Ids {
    /// Ascending by number.
    list: Vec<(u64, u32)>,
}

impl Ids {
    fn of(jobs: &[JobState]) -> Result<Ids, SnapshotError> {
        if jobs.len() > MAX_JOBS {
            return Err(SnapshotError::range("number of jobs", jobs.len(), format!("at most {MAX_JOBS}")));
        }
        let mut list: Vec<(u64, u32)> = jobs.iter().map(|job| job.id).zip(0..).collect();
        list.sort_unstable();
        match list.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(SnapshotError::range(
                format!("jobs[{}].id", pair[1].1),
                pair[1].0,
                "an id that no other job has",
            )),
            None => Ok(Ids { list }),
        }
    }

    fn find(&self, id: u64) -> Option<JobId> {
        let at = self.list.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        Some(JobId(self.list[at].1))
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Waits,
    Runs,
    Elsewhere,
}

pub(super) struct Reader<'a> {
    pub(super) site: &'a Site,
    pub(super) state: &'a State,
    ids: Ids,
}

/// Everything that is listed by job.
struct Jobs {
    list: Vec<Job>,
    spans: Vec<Span>,
    ways: BTreeMap<usize, Vec<Way>>,
    progress: Vec<Progress>,
    corrections: Vec<f64>,
}

impl Jobs {
    fn read(reader: &Reader<'_>) -> Result<Jobs, SnapshotError> {
        let states = &reader.state.jobs;
        let kinds = reader.site.kinds().len();
        let mut jobs = Jobs {
            list: Vec::with_capacity(states.len()),
            spans: Vec::with_capacity(states.len() * kinds),
            ways: BTreeMap::new(),
            progress: Vec::new(),
            corrections: Vec::new(),
        };
        let has_progress = states.iter().any(|job| job.progress.is_some());
        let has_corrections = states.iter().any(|job| job.correction.is_some());
        for (at, state) in states.iter().enumerate() {
            let job = reader.job(at, state, jobs.list.last())?;
            reader.spans(state, &job, &mut jobs.spans)?;
            if !state.ways.is_empty() {
                let ways = state.ways.iter().map(|way| reader.way(state, way));
                jobs.ways.insert(at, ways.collect::<Result<_, _>>()?);
            }
            if has_progress {
                jobs.progress.push(state.progress.map_or_else(Progress::default, progress));
            }
            if has_corrections {
                let correction = state.correction.unwrap_or(1.0);
                super::site::check_rate(&format!("correction of job {}", state.id), correction)?;
                jobs.corrections.push(correction);
            }
            jobs.list.push(job);
        }
        Ok(jobs)
    }
}

fn progress(state: ProgressState) -> Progress {
    let ProgressState { steps, slices, received_ns, turn, too_many } = state;
    Progress { steps, slices, received: Span(received_ns), turn, too_many }
}

impl Reader<'_> {
    /// The job that the sender calls so.
    fn find(&self, id: u64, field: impl Fn() -> String) -> Result<JobId, SnapshotError> {
        self.ids.find(id).ok_or_else(|| SnapshotError::range(field(), id, "the id of one of the jobs"))
    }

    fn job(&self, at: usize, state: &JobState, before: Option<&Job>) -> Result<Job, SnapshotError> {
        let field = |what: &str| format!("{what} of job {}", state.id);
        let arrival = Time(state.arrival_ns);
        if arrival.0 > self.state.now_ns {
            let must = format!("no later than now_ns, {}", self.state.now_ns);
            return Err(SnapshotError::range(field("arrival_ns"), state.arrival_ns, must));
        }
        if let Some(before) = before.filter(|before| before.arrival > arrival) {
            let must = format!("no earlier than that of the job before it, {}", before.arrival.0);
            return Err(SnapshotError::range(field("arrival_ns"), state.arrival_ns, must));
        }
        if state.gang == 0 || state.gang > MAX_GANG {
            return Err(SnapshotError::range(field("gang"), state.gang, format!("from 1 to {MAX_GANG}")));
        }
        if let Some(deadline) = state.deadline_ns.filter(|deadline| *deadline < arrival.0) {
            return Err(SnapshotError::range(field("deadline_ns"), deadline, "no earlier than its arrival"));
        }
        if !(state.weight >= 0.0 && state.weight.is_finite()) {
            return Err(SnapshotError::range(field("weight"), state.weight, "a finite number from 0"));
        }
        let after = match state.after {
            None => None,
            Some(id) => Some(self.find(id, || field("after"))?).filter(|before| before.index() < at),
        };
        if after.is_none() != state.after.is_none() {
            return Err(SnapshotError::range(
                field("after"),
                state.after.unwrap_or(0),
                "a job listed before it",
            ));
        }
        let artefact = |name: &String| self.site.artefact(name, || field("inputs or output"));
        Ok(Job {
            label: state.id,
            arrival,
            task: self.task(state)?,
            gang: state.gang,
            procs: state.procs.unwrap_or(state.gang),
            weight: state.weight,
            deadline: state.deadline_ns.map(Time),
            after,
            inputs: state.inputs.iter().map(artefact).collect::<Result<_, _>>()?,
            output: state.output.as_ref().map(artefact).transpose()?,
            choices: state.choices.clone(),
            user: state.user,
        })
    }

    fn task(&self, state: &JobState) -> Result<Task, SnapshotError> {
        let field = |what: &str| format!("{what} of job {}", state.id);
        match &state.task {
            TaskState::Rigid { requested_ns } => Ok(Task::Rigid { requested: Span(*requested_ns) }),
            TaskState::Training { model: name, batch, samples } => {
                let catalog = Catalog::builtin();
                let names = catalog.training_models().iter().map(|model| model.name.as_str());
                let model = catalog.training(name);
                let model = model.ok_or_else(|| SnapshotError::unknown(field("model"), name, names))?;
                if *batch == 0 {
                    return Err(SnapshotError::range(field("batch"), 0, "at least 1"));
                }
                Ok(Task::Training { model, batch: *batch, samples: *samples })
            }
            TaskState::Steps { speeds, steps } => {
                let known = self.site.spec().step_speeds.len();
                if *speeds as usize >= known {
                    let must = format!("one of the cluster's {known} step_speeds, from 0");
                    return Err(SnapshotError::range(field("speeds"), speeds, must));
                }
                Ok(Task::Steps { speeds: *speeds, steps: *steps })
            }
            TaskState::Request { model } => {
                let stream = self.site.stream(model, || field("model"))?;
                if state.gang != 1 || state.takes_ns.is_some() {
                    let must = "1, without takes_ns: latencies are those of its stream";
                    return Err(SnapshotError::range(field("gang"), state.gang, must));
                }
                Ok(Task::Request { model: self.site.timing().latencies()[stream].model })
            }
        }
    }

    /// Adds a row: by kind, what a job takes.
    fn spans(&self, state: &JobState, job: &Job, spans: &mut Vec<Span>) -> Result<(), SnapshotError> {
        let kinds = self.site.kinds().len();
        match &state.takes_ns {
            None => {
                let (timing, catalog) = (self.site.timing(), Catalog::builtin());
                spans.extend((0..kinds).map(|slot| timing.estimate(catalog, slot, job).unwrap_or(Span::MAX)));
            }
            Some(takes) => {
                let row = spans.len();
                spans.resize(row + kinds, Span::MAX);
                self.by_kind(takes, &mut spans[row..], || format!("takes_ns of job {}", state.id))?;
            }
        }
        Ok(())
    }

    fn by_kind(
        &self,
        takes: &ByKind<u64>,
        row: &mut [Span],
        field: impl Fn() -> String,
    ) -> Result<(), SnapshotError> {
        for (kind, &span) in takes {
            row[self.site.slot(kind, &field)?] = Span(span);
        }
        Ok(())
    }

    fn way(&self, job: &JobState, state: &WayState) -> Result<Way, SnapshotError> {
        let field = || format!("ways of job {}", job.id);
        let mut spans = vec![Span::MAX; self.site.kinds().len()];
        self.by_kind(&state.takes_ns, &mut spans, field)?;
        if state.gang == 0 || state.batch == 0 {
            return Err(SnapshotError::range(field(), "a gang or batch of 0", "at least 1 each"));
        }
        let choice = Choice { gang: state.gang, batch: state.batch };
        Ok(Way { choice, spans, memory_bytes: state.memory_bytes })
    }

    fn running(&self, jobs: &[Job], timing: &crate::timing::Timing) -> Result<Vec<Running>, SnapshotError> {
        let mut running: Vec<Running> = Vec::with_capacity(self.state.running.len());
        for (at, state) in self.state.running.iter().enumerate() {
            let run = self.run(at, state, jobs, timing)?;
            if let Some(last) = running.last().filter(|last| last.sequence >= run.sequence) {
                let must = format!("above that of the run before it, {}", last.sequence);
                return Err(SnapshotError::range(format!("running[{at}].sequence"), run.sequence, must));
            }
            running.push(run);
        }
        Ok(running)
    }

    fn run(
        &self,
        at: usize,
        state: &RunState,
        jobs: &[Job],
        timing: &crate::timing::Timing,
    ) -> Result<Running, SnapshotError> {
        let field = |what: &str| format!("running[{at}].{what}");
        let members = state.jobs.iter().map(|&id| self.find(id, || field("jobs")));
        let members: SmallVec<[JobId; 2]> = members.collect::<Result<_, _>>()?;
        let nodes = self.placement(state, &field)?;
        let (Some(&first), Some(share)) = (members.first(), nodes.first()) else {
            return Err(SnapshotError::range(field("jobs and nodes"), "empty", "at least one each"));
        };
        let job = &jobs[first.index()];
        let alike = |other: &JobId| jobs[other.index()].request_model() == job.request_model();
        if members.len() > 1 && (job.request_model().is_none() || !members.iter().all(alike)) {
            return Err(SnapshotError::range(
                field("jobs"),
                format!("{} jobs", members.len()),
                "one job, or requests of one model",
            ));
        }
        if state.start_ns > self.state.now_ns {
            let must = format!("no later than now_ns, {}", self.state.now_ns);
            return Err(SnapshotError::range(field("start_ns"), state.start_ns, must));
        }
        let slot = slot_of(self.site.cluster(), share.node);
        let batch = state.batch.unwrap_or(match job.task {
            Task::Training { batch, .. } => batch,
            Task::Request { .. } => members.len() as u32,
            _ => 1,
        });
        let stream = job.request_model().and_then(|model| timing.stream_of(model));
        let variants = stream.map_or(1, |stream| timing.variants(stream));
        if batch == 0 || state.variant >= variants {
            let value = format!("{batch}, served as variant {}", state.variant);
            let must = format!("at least 1, with a variant below {variants}");
            return Err(SnapshotError::range(field("batch"), value, must));
        }
        let ready = Time(state.ready_ns.unwrap_or(state.start_ns));
        let takes = || self.takes(timing, job, first, slot, (state.variant, batch));
        let expected_finish = state.expected_finish_ns.map(Time).or_else(|| Some(ready + takes()?));
        let expected_finish = expected_finish.ok_or_else(|| {
            let must = "given, as the job does not run on these devices by its estimate";
            SnapshotError::range(field("expected_finish_ns"), "absent", must)
        })?;
        Ok(Running {
            members,
            batch,
            variant: state.variant,
            start: Time(state.start_ns),
            ready,
            fetching: state.fetching,
            expected_finish,
            nodes,
            slot,
            sequence: state.sequence.unwrap_or(at as u64),
        })
    }

    /// How long a run should take.
    fn takes(
        &self,
        timing: &crate::timing::Timing,
        job: &Job,
        id: JobId,
        slot: KindSlot,
        (variant, batch): (u16, u32),
    ) -> Option<Span> {
        match job.request_model().and_then(|model| timing.stream_of(model)) {
            Some(stream) => timing.variant_batch(stream, variant, slot, batch),
            None => timing.job(id.index(), slot),
        }
    }

    fn placement(
        &self,
        state: &RunState,
        field: &impl Fn(&str) -> String,
    ) -> Result<Placement, SnapshotError> {
        let mut placement = Placement::new();
        for share in &state.nodes {
            let node = self.site.node(&share.node, || field("nodes"))?;
            let cluster = self.site.cluster();
            let mixed = placement
                .first()
                .is_some_and(|first: &Share| slot_of(cluster, first.node) != slot_of(cluster, node));
            if share.devices == 0 || mixed || placement.iter().any(|other| other.node == node) {
                let must = "distinct machines of one device kind, with at least one device each";
                return Err(SnapshotError::range(
                    field("nodes"),
                    format!("{} of {:?}", share.devices, share.node),
                    must,
                ));
            }
            placement.push(Share { node, devices: share.devices });
        }
        Ok(placement)
    }

    /// Free devices by machine.
    fn free(&self, running: &[Running]) -> Result<Vec<u32>, SnapshotError> {
        let nodes = self.site.cluster().nodes();
        let mut free: Vec<u32> = nodes.iter().map(|node| node.devices).collect();
        for share in running.iter().flat_map(|run| &run.nodes) {
            let left = &mut free[share.node.index()];
            *left = left.checked_sub(share.devices).ok_or_else(|| {
                let node = &nodes[share.node.index()];
                let must = format!("no more than its {}", node.devices);
                SnapshotError::range(format!("devices in use on node {:?}", node.name), "more", must)
            })?;
        }
        for name in &self.state.closed {
            free[self.site.node(name, || "closed".into())?.index()] = 0;
        }
        Ok(free)
    }

    /// Devices in service by kind.
    fn in_service(&self, running: &[Running]) -> Result<Vec<u32>, SnapshotError> {
        let cluster = self.site.cluster();
        let mut service = cluster.all_devices().to_vec();
        let closed = self.state.closed.iter().map(|name| self.site.node(name, || "closed".into()));
        for node in closed.collect::<Result<BTreeSet<NodeId>, _>>()? {
            let used = running.iter().any(|run| run.nodes.iter().any(|share| share.node == node));
            if !used {
                service[slot_of(cluster, node)] -= cluster.node(node).devices;
            }
        }
        for (kind, &devices) in &self.state.in_service {
            let field = || "in_service".to_owned();
            let slot = self.site.slot(kind, field)?;
            let most = cluster.all_devices()[slot];
            if devices > most {
                return Err(SnapshotError::range(
                    format!("in_service.{kind}"),
                    devices,
                    format!("at most {most}"),
                ));
            }
            service[slot] = devices;
        }
        Ok(service)
    }

    /// Where each job is.
    fn places(&self, running: &[Running]) -> Result<Vec<Place>, SnapshotError> {
        let place =
            |job: &JobState| if job.status == Status::Waiting { Place::Waits } else { Place::Elsewhere };
        let mut places: Vec<Place> = self.state.jobs.iter().map(place).collect();
        for &member in running.iter().flat_map(|run| &run.members) {
            if places[member.index()] != Place::Waits {
                let field = format!("job {} in running", self.state.jobs[member.index()].id);
                return Err(SnapshotError::range(
                    field,
                    "there twice, or not waiting by its status",
                    "there once",
                ));
            }
            places[member.index()] = Place::Runs;
        }
        Ok(places)
    }

    fn streams(&self, jobs: &[Job], places: &[Place]) -> Vec<Stream> {
        let timing = self.site.timing();
        let mut streams: Vec<Stream> =
            timing.models().map(|model| Stream { model, queue: Vec::new() }).collect();
        for (at, job) in jobs.iter().enumerate().filter(|(at, _)| places[*at] == Place::Waits) {
            if let Some(stream) = job.request_model().and_then(|model| timing.stream_of(model)) {
                streams[stream].queue.push(JobId(at as u32));
            }
        }
        streams
    }

    fn queue(&self, jobs: &[Job], places: &[Place]) -> Result<Vec<JobId>, SnapshotError> {
        let waits = |at: &usize| places[*at] == Place::Waits && jobs[*at].request_model().is_none();
        let waiting: Vec<JobId> = (0..jobs.len()).filter(waits).map(|at| JobId(at as u32)).collect();
        let Some(order) = &self.state.queue else { return Ok(waiting) };
        let queue = order.iter().map(|&id| self.find(id, || "queue".into()));
        let queue: Vec<JobId> = queue.collect::<Result<_, _>>()?;
        let mut sorted = queue.clone();
        sorted.sort_unstable();
        if sorted != waiting {
            let value = format!("{} jobs", queue.len());
            let must = format!("the {} jobs that wait, requests apart, each once", waiting.len());
            return Err(SnapshotError::range("queue", value, must));
        }
        Ok(queue)
    }

    fn history(&self, state: &super::HistoryState) -> Result<History, SnapshotError> {
        let now = Time(self.state.now_ns);
        let sums = [("history.sum_ln_work", state.sum_ln_work), ("history.sum_work", state.sum_work)];
        let losses = state
            .losses
            .iter()
            .flat_map(|(work, lost)| [("history.losses", *work), ("history.losses", *lost)]);
        if let Some((field, value)) = sums.into_iter().chain(losses).find(|(_, value)| !value.is_finite()) {
            return Err(SnapshotError::range(field, value, "a finite number"));
        }
        let kinds = self.site.kinds().len();
        if !state.losses.is_empty() && state.losses.len() != kinds {
            return Err(SnapshotError::range(
                "number of history.losses",
                state.losses.len(),
                format!("{kinds}, one for each kind"),
            ));
        }
        let streams = self.site.timing().models().len();
        if !state.forecast.is_sound(now, streams) || state.first_ns.is_some_and(|first| first > now.0) {
            let must = "finite numbers of a past that ends no later than now_ns, for each of the streams";
            return Err(SnapshotError::range("history.forecast", "something else", must));
        }
        Ok(History {
            arrivals: state.arrivals,
            sum_ln_work: state.sum_ln_work,
            sum_work: state.sum_work,
            losses: state.losses.clone(),
            first: state.first_ns.map(Time),
            forecast: state.forecast.clone(),
        })
    }
}
