//! How long each piece of work takes on each device kind of a cluster, looked up in one step.
//!
//! The catalogue answers by interpolation; a scheduler asks thousands of times per decision. This table is built
//! once for a cluster and a list of jobs, by the simulator and by the live service alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{Catalog, DeviceClass};
use crate::cluster::Cluster;
use crate::job::{Choice, Job, StepSpeeds, Task, Workload};
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
    streams: Arc<Vec<Latencies>>,
    /// Jobs that can be run in several ways, with all of them.
    ways: BTreeMap<usize, Vec<Way>>,
}

/// One way to run a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// Its gang and batch.
    pub choice: Choice,
    /// How long it takes by kind slot; [`Span::MAX`] where it does not run.
    pub spans: Vec<Span>,
    /// Memory that each device is expected to need, in bytes.
    pub memory_bytes: u64,
}

impl Way {
    /// How long it takes on a kind; `None` where it does not run.
    pub fn span(&self, slot: KindSlot) -> Option<Span> {
        self.spans.get(slot).copied().filter(|&span| span != Span::MAX)
    }

    /// Device-seconds that it takes on a kind; `None` where it does not run.
    pub fn area(&self, slot: KindSlot) -> Option<f64> {
        self.span(slot).map(|span| span.as_secs_f64() * f64::from(self.choice.gang))
    }
}

/// Memory of the devices, and what becomes of a job that needs more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryRules {
    /// Of a device, in bytes, by kind slot.
    pub bytes: Vec<u64>,
    /// From the moment a job computes until it runs out of memory.
    pub fails_after: Span,
}

/// Batch latencies of one inference model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Latencies {
    pub(crate) model: InferenceId,
    /// Those that are accurate enough, the reference first.
    pub(crate) variants: Vec<Rows>,
}

/// Batch latencies of one variant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rows {
    /// Its place in the catalogue.
    pub(crate) variant: u16,
    pub(crate) accuracy: f64,
    /// By kind slot, then `batch - 1`; empty where the model does not run, [`Span::MAX`] for a size there is not.
    pub(crate) by_kind: Vec<Vec<Span>>,
}

impl Timing {
    /// The table for `jobs` on `cluster`. Jobs of [`Task::Steps`] need [`Timing::of`].
    pub fn new(catalog: &Catalog, cluster: &Cluster, jobs: &[Job]) -> Timing {
        Timing::build(catalog, cluster, jobs, &Workload::default())
    }

    /// The table for a workload, with the speeds that came with it.
    pub fn of(catalog: &Catalog, cluster: &Cluster, workload: &Workload) -> Timing {
        Timing::build(catalog, cluster, &workload.jobs, workload)
    }

    fn build(catalog: &Catalog, cluster: &Cluster, jobs: &[Job], workload: &Workload) -> Timing {
        let kinds = cluster.kinds().to_vec();
        let mut models: Vec<InferenceId> = jobs.iter().filter_map(Job::request_model).collect();
        models.sort_unstable();
        models.dedup();
        let floor =
            |model| workload.floors.iter().find(|(known, _)| *known == model).map(|(_, floor)| *floor);
        let streams = models.into_iter().map(|model| Latencies::new(catalog, &kinds, model, floor(model)));
        let streams = Arc::new(streams.collect());
        let classes = kinds.iter().map(|&kind| catalog.device(kind).class).collect();
        let by_kind =
            |speeds: &StepSpeeds| kinds.iter().map(|&kind| speeds.on(kind).unwrap_or(0.0)).collect();
        let steps = workload.speeds.iter().map(by_kind).collect();
        let spans = Vec::with_capacity(jobs.len() * kinds.len());
        let mut timing = Timing { kinds, classes, jobs: spans, steps, streams, ways: BTreeMap::new() };
        for (at, job) in jobs.iter().enumerate() {
            timing.push(catalog, job);
            if !job.choices.is_empty() {
                timing.add_ways(catalog, at, job, &job.choices);
            }
        }
        timing
    }

    /// A table of machines and models without jobs; see [`Timing::with_jobs`]. Streams are ascending by model; `steps`
    /// are (speeds, kinds), 0 where they do not run.
    pub(crate) fn bare(
        kinds: Vec<KindId>,
        classes: Vec<DeviceClass>,
        steps: Vec<Vec<f64>>,
        streams: Vec<Latencies>,
    ) -> Timing {
        debug_assert!(streams.is_sorted_by_key(|stream| stream.model), "streams are found by their model");
        Timing { kinds, classes, jobs: Vec::new(), steps, streams: Arc::new(streams), ways: BTreeMap::new() }
    }

    /// The same machines and models with other jobs: (jobs, kinds), [`Span::MAX`] where one does not run or is a
    /// request, and the ways of those that leave a choice.
    pub(crate) fn with_jobs(&self, jobs: Vec<Span>, ways: BTreeMap<usize, Vec<Way>>) -> Timing {
        debug_assert_eq!(jobs.len() % self.kinds.len().max(1), 0, "a row of the table is incomplete");
        let Timing { kinds, classes, steps, streams, .. } = self;
        let (kinds, classes, steps) = (kinds.clone(), classes.clone(), steps.clone());
        Timing { kinds, classes, jobs, steps, streams: Arc::clone(streams), ways }
    }

    /// What [`Timing::bare`] takes of streams.
    pub(crate) fn latencies(&self) -> &[Latencies] {
        &self.streams
    }

    /// What [`Timing::bare`] takes of step speeds.
    pub(crate) fn steps(&self) -> &[Vec<f64>] {
        &self.steps
    }

    fn push(&mut self, catalog: &Catalog, job: &Job) {
        for slot in 0..self.kinds.len() {
            self.jobs.push(self.estimate(catalog, slot, job).unwrap_or(Span::MAX));
        }
    }

    /// A job's duration on a kind as its scheduler estimates it.
    pub(crate) fn estimate(&self, catalog: &Catalog, slot: KindSlot, job: &Job) -> Option<Span> {
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

    /// The first `kept` jobs of this table, and after them those of another that `picks` names; both are of the same
    /// device kinds. Where the other is another table, the speeds that came with it stand after those of this one.
    pub(crate) fn spliced(&self, kept: usize, other: &Timing, picks: &[usize]) -> Timing {
        debug_assert_eq!(self.kinds, other.kinds, "tables of different machines");
        let kinds = self.kinds.len();
        let mut timing = Timing {
            kinds: self.kinds.clone(),
            classes: self.classes.clone(),
            jobs: self.jobs[..kept * kinds].to_vec(),
            steps: self.steps.clone(),
            streams: Arc::clone(&self.streams),
            ways: self.ways.range(..kept).map(|(&at, ways)| (at, ways.clone())).collect(),
        };
        if !std::ptr::eq(self, other) {
            timing.steps.extend(other.steps.iter().cloned());
        }
        for (at, &pick) in (kept..).zip(picks) {
            timing.jobs.extend_from_slice(&other.jobs[pick * kinds..][..kinds]);
            if let Some(ways) = other.ways.get(&pick) {
                timing.ways.insert(at, ways.clone());
            }
        }
        timing
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

    /// How long a batch of `batch` requests takes in the default variant of the kind; `None` where the model does not run, the batch is too large, or
    /// there is no such batch size.
    pub fn batch(&self, stream: usize, slot: KindSlot, batch: u32) -> Option<Span> {
        self.variant_batch(stream, self.default_variant(stream, slot), slot, batch)
    }

    /// As [`Timing::batch`], for one of the variants that are accurate enough.
    pub fn variant_batch(&self, stream: usize, variant: u16, slot: KindSlot, batch: u32) -> Option<Span> {
        let index = (batch as usize).checked_sub(1)?;
        let rows = self.streams[stream].variants.get(usize::from(variant))?;
        rows.by_kind[slot].get(index).copied().filter(|&span| span != Span::MAX)
    }

    /// The variant that serves on a kind if nobody chooses: the reference, or the first that runs there.
    pub fn default_variant(&self, stream: usize, slot: KindSlot) -> u16 {
        let variants = &self.streams[stream].variants;
        variants.iter().position(|rows| !rows.by_kind[slot].is_empty()).unwrap_or(0) as u16
    }

    /// Whether any of the variants runs on a kind.
    pub fn is_served(&self, stream: usize, slot: KindSlot) -> bool {
        self.max_batch(stream, slot) > 0
    }

    /// How many variants of a model are accurate enough; the first is its reference.
    pub fn variants(&self, stream: usize) -> u16 {
        self.streams[stream].variants.len() as u16
    }

    /// Accuracy of a variant relative to the reference of its model.
    pub fn accuracy(&self, stream: usize, variant: u16) -> f64 {
        self.streams[stream].variants[usize::from(variant)].accuracy
    }

    /// The place of a variant in the catalogue's list of its model.
    pub fn catalog_variant(&self, stream: usize, variant: u16) -> u16 {
        self.streams[stream].variants[usize::from(variant)].variant
    }

    /// The largest batch size that a kind takes of at most `batch`; 0 where the model does not run.
    pub fn largest(&self, stream: usize, slot: KindSlot, batch: u32) -> u32 {
        self.variant_largest(stream, self.default_variant(stream, slot), slot, batch)
    }

    /// As [`Timing::largest`], for one of the variants.
    pub fn variant_largest(&self, stream: usize, variant: u16, slot: KindSlot, batch: u32) -> u32 {
        let most = self.streams[stream].variants[usize::from(variant)].by_kind[slot].len() as u32;
        let mut sizes = (1..=batch.min(most)).rev();
        sizes.find(|&size| self.variant_batch(stream, variant, slot, size).is_some()).unwrap_or(0)
    }

    /// Leaves only the batch sizes that the catalogue has a row for.
    pub(crate) fn keep_measured_batches(&mut self, catalog: &Catalog) {
        for stream in Arc::make_mut(&mut self.streams) {
            for rows in &mut stream.variants {
                for (&kind, spans) in self.kinds.iter().zip(&mut rows.by_kind) {
                    for (batch, span) in (1..).zip(spans) {
                        if !catalog.variant_has_latency(stream.model, rows.variant, kind, batch) {
                            *span = Span::MAX;
                        }
                    }
                }
            }
        }
    }

    /// Leaves only the batches that fit: `fits` is asked for a model, a variant of the catalogue, a kind and a batch.
    pub(crate) fn keep_fitting_batches(&mut self, fits: impl Fn(InferenceId, u16, KindSlot, u32) -> bool) {
        for stream in Arc::make_mut(&mut self.streams) {
            for rows in &mut stream.variants {
                for (slot, spans) in rows.by_kind.iter_mut().enumerate() {
                    let most = (1..=spans.len()).rev();
                    let mut most = most.filter(|&batch| fits(stream.model, rows.variant, slot, batch as u32));
                    spans.truncate(most.next().unwrap_or(0));
                }
            }
        }
    }

    /// All ways to run a job, the one it was submitted with first; empty where there is no other.
    pub fn ways(&self, job: usize) -> &[Way] {
        if self.ways.is_empty() { &[] } else { self.ways.get(&job).map_or(&[], Vec::as_slice) }
    }

    /// Whether any job can be run in several ways.
    pub fn has_ways(&self) -> bool {
        !self.ways.is_empty()
    }

    /// The smallest gang of a job that runs on a kind.
    pub fn least_gang(&self, at: usize, job: &Job, slot: KindSlot) -> Option<u32> {
        let ways = self.ways(at).iter().filter(|way| way.span(slot).is_some()).map(|way| way.choice.gang);
        let submitted = self.job(at, slot).map(|_| job.gang);
        ways.chain(submitted).min()
    }

    /// Adds ways to run a training job; what is not known of them by measurement is estimated.
    fn add_ways(&mut self, catalog: &Catalog, at: usize, job: &Job, choices: &[Choice]) {
        let Task::Training { batch, .. } = job.task else { return };
        let submitted = Choice { gang: job.gang, batch };
        let ways = self.ways.entry(at).or_default();
        for &choice in std::iter::once(&submitted).chain(choices) {
            if !ways.iter().any(|way| way.choice == choice) {
                ways.extend(way(catalog, &self.kinds, job, choice));
            }
        }
        // The job as submitted takes as long as if there were no choice.
        if let Some(first) = ways.first_mut() {
            first.spans.clone_from_slice(&self.jobs[at * self.kinds.len()..][..self.kinds.len()]);
        }
    }

    /// Lets jobs run with smaller batches, and where they fit only; `factors` are the true needs of memory in terms of
    /// the expected ones.
    pub(crate) fn limit_memory(
        &mut self,
        catalog: &Catalog,
        jobs: &[Job],
        memory: &MemoryRules,
        factors: impl Fn(usize) -> f64,
    ) {
        for (at, job) in jobs.iter().enumerate() {
            let Task::Training { batch, .. } = job.task else { continue };
            let halves = std::iter::successors(Some(batch), |batch| Some(batch / 2));
            let choices: Vec<Choice> = halves
                .take_while(|&batch| batch >= job.gang)
                .map(|batch| Choice { gang: job.gang, batch })
                .collect();
            self.add_ways(catalog, at, job, &choices);
            let Some(ways) = self.ways.get_mut(&at) else { continue };
            keep_fitting(ways, job.gang, memory, factors(at));
            let kinds = self.kinds.len();
            self.jobs[at * kinds..][..kinds].clone_from_slice(&ways[0].spans);
        }
    }

    /// The shortest time of the job at this index on a cluster with devices for its gang.
    pub fn shortest(&self, job: usize, gang: u32, cluster: &Cluster) -> Option<Span> {
        let slots = (0..self.kinds.len()).filter(|&slot| cluster.all_devices()[slot] >= gang);
        slots.filter_map(|slot| self.job(job, slot)).min()
    }

    /// The largest batch a kind takes, 0 where the model does not run.
    pub fn max_batch(&self, stream: usize, slot: KindSlot) -> u32 {
        let variant = usize::from(self.default_variant(stream, slot));
        self.streams[stream].variants[variant].by_kind[slot].len() as u32
    }
}

impl Latencies {
    pub(crate) fn new(
        catalog: &Catalog,
        kinds: &[KindId],
        model: InferenceId,
        floor: Option<f64>,
    ) -> Latencies {
        let table = |variant: u16, kind: KindId| {
            (1..=catalog.variant_max_batch(model, variant, kind).min(MAX_BATCH))
                .map_while(|batch| catalog.variant_latency(model, variant, kind, batch))
                .collect()
        };
        let rows = |(variant, accuracy): (u16, f64)| {
            let by_kind = kinds.iter().map(|&kind| table(variant, kind)).collect();
            Rows { variant, accuracy, by_kind }
        };
        let known = (0..).zip(catalog.inference_model(model).variants.iter().map(|variant| variant.accuracy));
        let enough =
            |(variant, accuracy): &(u16, f64)| *variant == 0 || floor.is_some_and(|floor| *accuracy >= floor);
        Latencies { model, variants: known.filter(enough).map(rows).collect() }
    }
}

/// One way to run a training job; `None` if it runs nowhere. A larger batch needs more samples for the same progress
/// (McCandlish et al., An Empirical Model of Large-Batch Training, 2018).
fn way(catalog: &Catalog, kinds: &[KindId], job: &Job, choice: Choice) -> Option<Way> {
    let Task::Training { model, batch, samples } = job.task else { return None };
    let Choice { gang, batch: chosen } = choice;
    let efficiency = catalog.training_model(model).statistical_efficiency(chosen, batch);
    let span = |&kind: &KindId| {
        let measured = catalog.training_speed(model, kind, gang, chosen).map(|speed| speed.samples_per_s);
        let speed =
            measured.or_else(|| Some(catalog.parallel_plan(model, kind, gang, chosen)?.samples_per_s));
        speed.map_or(Span::MAX, |speed| Span::from_secs_f64(samples as f64 / efficiency / speed))
    };
    let spans: Vec<Span> = kinds.iter().map(span).collect();
    let memory_bytes = catalog.gang_training_memory(model, gang, choice.per_device());
    (choice.batch == batch || spans.iter().any(|span| *span != Span::MAX)).then_some(Way {
        choice,
        spans,
        memory_bytes,
    })
}

/// Forbids ways that are known not to fit. A kind stays open to a job only if the smallest batch of its own gang truly
/// fits there, so that a job that keeps running out of memory ends up with one that runs.
fn keep_fitting(ways: &mut [Way], gang: u32, memory: &MemoryRules, factor: f64) {
    let smallest = |slot: usize| {
        let own = ways.iter().filter(|way| way.choice.gang == gang && way.span(slot).is_some());
        own.min_by_key(|way| way.choice.batch).map(|way| (way.memory_bytes, way.choice.per_device()))
    };
    let truly = |bytes: u64, slot: usize| bytes as f64 * factor <= memory.bytes[slot] as f64;
    let least: Vec<Option<u32>> = (0..memory.bytes.len())
        .map(|slot| smallest(slot).filter(|(bytes, _)| truly(*bytes, slot)).map(|(_, per_device)| per_device))
        .collect();
    for way in ways {
        for (slot, least) in least.iter().enumerate() {
            let fits = way.memory_bytes <= memory.bytes[slot];
            let safe = least.is_some_and(|least| {
                way.choice.per_device() > least
                    || (way.choice.per_device() == least && truly(way.memory_bytes, slot))
            });
            if !(fits && safe) {
                way.spans[slot] = Span::MAX;
            }
        }
    }
}
