//! Generated workloads.
//!
//! A source is a description that a scenario file holds. With a catalogue, a cluster and a seed it gives one
//! workload, the same on every platform: the generator is xoshiro256++ and logarithms come from `libm`.

mod arrivals;
mod capacity;
mod clients;
mod error;
mod estimates;
mod faults;
mod lublin;
mod random;
mod regimes;
mod replay;
mod requests;
mod training;

use serde::{Deserialize, Serialize};

pub use arrivals::{Process, Rate};
pub use capacity::{Demand, capacity};
pub use clients::ClientSource;
pub use error::WorkloadError;
pub use estimates::Estimates;
pub use faults::{Faults, Maintenance, Repair};
pub use lublin::{LublinSource, Population};
pub use random::derive_seed;
pub use regimes::{Durations, Order, Regimes, Segment};
pub use replay::{Replay, Start};
pub use requests::{RequestSource, Stream};
pub use training::{GangShare, SizeClass, TrainingSource};

use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::job::Workload;

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
    let mut jobs = Vec::new();
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
        jobs.extend(part.jobs.into_iter().zip(part.truths));
    }
    jobs.sort_by_key(|(job, _)| job.arrival);
    for (label, (job, _)) in (0..).zip(&mut jobs) {
        job.label = label;
    }
    let (jobs, truths) = jobs.into_iter().unzip();
    Ok(Workload { jobs, truths, ..Workload::default() })
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
