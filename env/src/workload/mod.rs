//! Generated workloads.
//!
//! A source is a description that a scenario file holds. With a catalogue, a cluster and a seed it gives one
//! workload, the same on every platform: the generator is xoshiro256++ and logarithms come from `libm`.

mod arrivals;
mod capacity;
mod clients;
mod dress;
mod error;
mod estimates;
mod faults;
mod lublin;
mod pipelines;
mod random;
mod recorded;
mod regimes;
mod replay;
mod requests;
mod training;

use serde::{Deserialize, Serialize};

pub use arrivals::{Process, Rate};
pub use capacity::{Demand, capacity};
pub use clients::ClientSource;
pub use dress::{Class, Datasets, Elastic};
pub(crate) use dress::{classify, surprise_memory};
pub use error::WorkloadError;
pub use estimates::Estimates;
pub use faults::{Faults, Maintenance, Repair};
pub use lublin::{LublinSource, Population};
pub use pipelines::{PipelineSource, Stage};
pub(crate) use random::Random;
pub use random::derive_seed;
pub use recorded::RecordedSource;
pub use regimes::{Durations, Order, Regimes, Segment};
pub use replay::{Replay, Start};
pub use requests::{RequestSource, Stream};
pub use training::{GangShare, SizeClass, TrainingSource};

use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::job::{Job, Task, Truth, Workload};
use crate::units::{JobId, Time};

/// What generates a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Training jobs.
    Training(TrainingSource),
    /// Inference requests.
    Requests(RequestSource),
    /// Jobs of a batch queue.
    Lublin(LublinSource),
    /// Inference requests of a closed loop of clients.
    Clients(ClientSource),
    /// Chains of stages.
    Pipelines(PipelineSource),
    /// Sequences of a trace.
    Recorded(RecordedSource),
    /// Several sources at once, each with a seed of its own; jobs are numbered anew in order of arrival.
    Mix(Vec<Source>),
}

impl Source {
    /// Draws the workload of this seed, in order of arrival.
    ///
    /// # Errors
    /// Settings out of range or contradictory, models that are not in the catalogue, jobs that run on no
    /// device of the cluster.
    pub fn generate(
        &self,
        catalog: &Catalog,
        cluster: &Cluster,
        seed: u64,
    ) -> Result<Workload, WorkloadError> {
        match self {
            Source::Training(source) => source.generate(catalog, cluster, seed),
            Source::Requests(source) => source.generate(catalog, cluster, seed),
            Source::Lublin(source) => source.generate(catalog, cluster, seed),
            Source::Clients(source) => source.generate(catalog, cluster),
            Source::Pipelines(source) => source.generate(catalog, cluster, seed),
            Source::Recorded(source) => source.generate(seed),
            Source::Mix(sources) => mix(sources, catalog, cluster, seed),
        }
    }
}

fn mix(
    sources: &[Source],
    catalog: &Catalog,
    cluster: &Cluster,
    seed: u64,
) -> Result<Workload, WorkloadError> {
    if sources.is_empty() {
        return Err(WorkloadError::Settings("a mix needs at least one source"));
    }
    let mut mixed = Workload::default();
    let mut parts = Vec::new();
    let mut users = 0;
    for (index, source) in (0..).zip(sources) {
        let mut part = source.generate(catalog, cluster, derive_seed(seed, index))?;
        if part.clients.is_some() {
            return Err(WorkloadError::Settings(
                "clients cannot be part of a mix: their requests have no order before they are answered",
            ));
        }
        // Users of one part are not those of another: their habits are drawn apart.
        let known = part.jobs.iter().map(|job| job.user).max().unwrap_or(0);
        part.jobs.iter_mut().filter(|job| job.user > 0).for_each(|job| job.user += users);
        users += known;
        parts.push(adopt(&mut mixed, part));
    }
    // (arrival, part, place in it): stages of a pipeline stay in order.
    let mut order: Vec<(Time, usize, usize)> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        order.extend(part.iter().enumerate().map(|(place, (job, _))| (job.arrival, at, place)));
    }
    order.sort_unstable();
    let mut ids: Vec<Vec<JobId>> = parts.iter().map(|part| vec![JobId(0); part.len()]).collect();
    for (id, &(_, part, place)) in order.iter().enumerate() {
        ids[part][place] = JobId(id as u32);
        let (job, truth) = parts[part][place].clone();
        let after = job.after.map(|before| ids[part][before.index()]);
        mixed.push(Job { label: id as u64, after, ..job }, truth);
    }
    Ok(mixed)
}

/// Takes over what the jobs of a part refer to; gives the jobs, which refer to it in its new place.
fn adopt(mixed: &mut Workload, part: Workload) -> Vec<(Job, Truth)> {
    let (speeds, artefacts) = (mixed.speeds.len() as u32, mixed.artefacts.len() as u32);
    mixed.speeds.extend(part.speeds);
    mixed.artefacts.extend(part.artefacts);
    let mut jobs: Vec<(Job, Truth)> = part.jobs.into_iter().zip(part.truths).collect();
    for (job, _) in &mut jobs {
        if let Task::Steps { speeds: at, .. } = &mut job.task {
            *at += speeds;
        }
        job.inputs.iter_mut().chain(&mut job.output).for_each(|artefact| artefact.0 += artefacts);
    }
    jobs
}

/// A rate in jobs per second; `capacity` is asked only for a load.
fn rate_per_second(
    rate: Rate,
    process: &Process,
    capacity: impl FnOnce() -> Result<f64, WorkloadError>,
) -> Result<f64, WorkloadError> {
    match (rate, process) {
        (Rate::PerSecond(rate), _) => error::positive("per_second", rate),
        (Rate::Load(load), _) => Ok(error::positive("load", load)? * capacity()?),
        (Rate::Recorded, Process::Trace(replay)) => Ok(replay.rate()),
        (Rate::Recorded, _) => Err(WorkloadError::Settings(
            "`rate` is \"recorded\", but the process is no trace; give `{ load = ... }` or `{ per_second = ... }`",
        )),
    }
}

/// The names of a cluster's device kinds, for messages.
fn kind_names(catalog: &Catalog, cluster: &Cluster) -> String {
    let names: Vec<&str> = cluster.kinds().iter().map(|kind| catalog.device(*kind).name.as_str()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
