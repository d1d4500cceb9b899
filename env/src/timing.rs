//! How long each piece of work takes on each device kind of a cluster, looked up in one step.
//!
//! The catalogue answers by interpolation; a scheduler asks thousands of times per decision. This table is built
//! once for a cluster and a list of jobs, by the simulator and by the live service alike.

use crate::catalog::{Catalog, DeviceClass};
use crate::cluster::Cluster;
use crate::job::{Job, StepSpeeds, Task, Workload};
use crate::units::{InferenceId, JobId, KindId, Span};

/// Requests that share a batch at most. Tables of recommendation models go far beyond any backlog.
pub const MAX_BATCH: u32 = 1024;

/// Position of a device kind in [`Cluster::kinds`].
pub type KindSlot = usize;

/// Service times, as a scheduler estimates them.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    kinds: Vec<KindId>,
    classes: Vec<DeviceClass>,
    /// (jobs, kinds); [`Span::MAX`] where the job does not run or is a request.
    jobs: Vec<Span>,
    /// (step speeds of the workload, kinds): steps per second, 0 where they do not run.
    steps: Vec<Vec<f64>>,
    /// One per inference model asked by any job, ascending by model.
    streams: Vec<Latencies>,
}

/// Batch latencies of one inference model.
#[derive(Clone, Debug, PartialEq)]
struct Latencies {
    model: InferenceId,
    /// By kind slot, then `batch - 1`; empty where the model does not run, [`Span::MAX`] for a size there is not.
    by_kind: Vec<Vec<Span>>,
}

impl Timing {
    /// The table for `jobs` on `cluster`. Jobs of [`Task::Steps`] need [`Timing::of`].
    pub fn new(catalog: &Catalog, cluster: &Cluster, jobs: &[Job]) -> Timing {
        Timing::build(catalog, cluster, jobs, &[])
    }

    /// The table for a workload, with the speeds that came with it.
    pub fn of(catalog: &Catalog, cluster: &Cluster, workload: &Workload) -> Timing {
        Timing::build(catalog, cluster, &workload.jobs, &workload.speeds)
    }

    fn build(catalog: &Catalog, cluster: &Cluster, jobs: &[Job], speeds: &[StepSpeeds]) -> Timing {
        let kinds = cluster.kinds().to_vec();
        let mut models: Vec<InferenceId> = jobs.iter().filter_map(Job::request_model).collect();
        models.sort_unstable();
        models.dedup();
        let streams = models.into_iter().map(|model| Latencies::new(catalog, &kinds, model)).collect();
        let classes = kinds.iter().map(|&kind| catalog.device(kind).class).collect();
        let by_kind =
            |speeds: &StepSpeeds| kinds.iter().map(|&kind| speeds.on(kind).unwrap_or(0.0)).collect();
        let steps = speeds.iter().map(by_kind).collect();
        let mut timing = Timing { kinds, classes, jobs: Vec::with_capacity(jobs.len()), steps, streams };
        for job in jobs {
            timing.push(catalog, job);
        }
        timing
    }

    fn push(&mut self, catalog: &Catalog, job: &Job) {
        for slot in 0..self.kinds.len() {
            self.jobs.push(self.estimate(catalog, slot, job).unwrap_or(Span::MAX));
        }
    }

    /// A job's duration on a kind as its scheduler estimates it.
    fn estimate(&self, catalog: &Catalog, slot: KindSlot, job: &Job) -> Option<Span> {
        match job.task {
            Task::Rigid { requested } => Some(requested),
            Task::Training { model, batch, samples } => {
                let speed = catalog.training_speed(model, self.kinds[slot], job.gang, batch)?;
                Some(Span::from_secs_f64(samples as f64 / speed.samples_per_s))
            }
            Task::Steps { speeds, steps } => {
                Some(Span::from_secs_f64(steps as f64 / self.measured(speeds, slot)?))
            }
            Task::Request { .. } => None,
        }
    }

    fn measured(&self, speeds: u32, slot: KindSlot) -> Option<f64> {
        self.steps.get(speeds as usize).map(|by_kind| by_kind[slot]).filter(|&speed| speed > 0.0)
    }

    /// Steps per second of a job on a kind, for steps as [`Job::steps`] counts them; `None` where it does not run.
    pub fn step_speed(&self, at: usize, job: &Job, slot: KindSlot) -> Option<f64> {
        match job.task {
            Task::Rigid { .. } => Some(1e9),
            Task::Training { batch, samples, .. } => {
                let span = self.job(at, slot)?.as_secs_f64().max(1e-9);
                Some(samples as f64 / f64::from(batch.max(1)) / span)
            }
            Task::Steps { speeds, .. } => self.measured(speeds, slot),
            Task::Request { .. } => None,
        }
    }

    /// Number of device kinds.
    pub fn kinds(&self) -> usize {
        self.kinds.len()
    }

    /// The class of a device kind.
    pub fn class(&self, slot: KindSlot) -> DeviceClass {
        self.classes[slot]
    }

    /// How long the job at this index takes on a kind; `None` where it does not run. Not for requests.
    pub fn job(&self, job: usize, slot: KindSlot) -> Option<Span> {
        let span = self.jobs[job * self.kinds.len() + slot];
        (span != Span::MAX).then_some(span)
    }

    /// [`job`](Timing::job) on every kind: (kinds), [`Span::MAX`] where the job does not run.
    pub fn spans(&self, job: JobId) -> &[Span] {
        &self.jobs[job.index() * self.kinds.len()..][..self.kinds.len()]
    }

    /// Inference models in the order of the simulator's streams.
    pub fn models(&self) -> impl ExactSizeIterator<Item = InferenceId> + '_ {
        self.streams.iter().map(|stream| stream.model)
    }

    /// The stream that serves a model.
    pub fn stream_of(&self, model: InferenceId) -> Option<usize> {
        self.streams.binary_search_by_key(&model, |stream| stream.model).ok()
    }

    /// How long a batch of `batch` requests takes; `None` where the model does not run, the batch is too large, or
    /// there is no such batch size.
    pub fn batch(&self, stream: usize, slot: KindSlot, batch: u32) -> Option<Span> {
        let index = (batch as usize).checked_sub(1)?;
        self.streams[stream].by_kind[slot].get(index).copied().filter(|&span| span != Span::MAX)
    }

    /// The largest batch size that a kind takes of at most `batch`; 0 where the model does not run.
    pub fn largest(&self, stream: usize, slot: KindSlot, batch: u32) -> u32 {
        let sizes = (1..=batch.min(self.max_batch(stream, slot))).rev();
        sizes.into_iter().find(|&size| self.batch(stream, slot, size).is_some()).unwrap_or(0)
    }

    /// Leaves only the batch sizes that the catalogue has a row for.
    pub(crate) fn keep_measured_batches(&mut self, catalog: &Catalog) {
        for stream in &mut self.streams {
            for (&kind, spans) in self.kinds.iter().zip(&mut stream.by_kind) {
                for (batch, span) in (1..).zip(spans) {
                    if !catalog.has_latency(stream.model, kind, batch) {
                        *span = Span::MAX;
                    }
                }
            }
        }
    }

    /// The largest batch a kind takes, 0 where the model does not run.
    pub fn max_batch(&self, stream: usize, slot: KindSlot) -> u32 {
        self.streams[stream].by_kind[slot].len() as u32
    }
}

impl Latencies {
    fn new(catalog: &Catalog, kinds: &[KindId], model: InferenceId) -> Latencies {
        let table = |&kind: &KindId| {
            (1..=catalog.max_batch(model, kind).min(MAX_BATCH))
                .map_while(|batch| catalog.latency(model, kind, batch))
                .collect()
        };
        Latencies { model, by_kind: kinds.iter().map(table).collect() }
    }
}
