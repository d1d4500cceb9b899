//! Training jobs with measured speeds and heavy-tailed sizes.

use serde::{Deserialize, Serialize};

use super::arrivals::{Arrivals, Process, Rate};
use super::capacity::{Demand, capacity};
use super::error::{WorkloadError, check, not_negative, positive};
use super::estimates::{Claim, Estimates, Users};
use super::random::{Random, derive_seed};
use super::{kind_names, rate_per_second};
use crate::catalog::{Catalog, JobType};
use crate::cluster::Cluster;
use crate::job::{Job, Task, Truth, Workload};
use crate::units::{KindId, Time};

/// The device kind that sizes are told in.
const REFERENCE: &str = "v100";

/// Training jobs: a measured type each, drawn uniformly among those that run on the cluster, with a gang and
/// a size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSource {
    /// Jobs in an episode, above 0.
    pub jobs: u32,
    /// Mean arrival rate.
    pub rate: Rate,
    /// How arrivals are spread.
    #[serde(default)]
    pub process: Process,
    /// Classes of sizes; a job's size is the time it takes on its gang of V100s.
    #[serde(default = "default_sizes")]
    pub sizes: Vec<SizeClass>,
    /// Gang sizes; without any, all jobs take one device.
    #[serde(default = "default_gangs")]
    pub gangs: Vec<GangShare>,
    /// How wrong users are about the samples that their jobs need; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimates: Option<Estimates>,
}

/// Jobs whose size is `10^u` V100-minutes with `u` uniform.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeClass {
    /// Share of the jobs; shares need not add up to 1.
    pub share: f64,
    /// Smallest decimal logarithm of minutes, from -3.
    pub log10_low: f64,
    /// Largest decimal logarithm of minutes, up to 7.
    pub log10_high: f64,
}

/// Jobs with a gang of this size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GangShare {
    /// Devices of a gang, above 0.
    pub devices: u32,
    /// Share of the jobs; shares need not add up to 1.
    pub share: f64,
}

fn default_sizes() -> Vec<SizeClass> {
    vec![
        SizeClass { share: 0.8, log10_low: 1.5, log10_high: 3.0 },
        SizeClass { share: 0.2, log10_low: 3.0, log10_high: 4.0 },
    ]
}

fn default_gangs() -> Vec<GangShare> {
    vec![GangShare { devices: 1, share: 1.0 }]
}

impl SizeClass {
    fn check(&self) -> Result<(), WorkloadError> {
        not_negative("share", self.share)?;
        check("log10_low", self.log10_low, self.log10_low >= -3.0, "a number from -3")?;
        let ordered = self.log10_high >= self.log10_low && self.log10_high <= 7.0;
        check("log10_high", self.log10_high, ordered, "at least log10_low and at most 7").map(|_| ())
    }

    fn draw_minutes(&self, random: &mut Random) -> f64 {
        libm::pow(10.0, random.between(self.log10_low, self.log10_high))
    }

    fn mean_minutes(&self) -> f64 {
        let width = self.log10_high - self.log10_low;
        let [low, high] = [self.log10_low, self.log10_high].map(|log10| libm::pow(10.0, log10));
        if width > 0.0 { (high - low) / (core::f64::consts::LN_10 * width) } else { low }
    }
}

/// A gang size with the job types that can run with it.
struct Gang {
    devices: u32,
    share: f64,
    types: Vec<JobType>,
}

impl TrainingSource {
    /// Draws a workload; arrivals, jobs and estimates come from separate streams, so that a change of the load or
    /// of the estimates leaves the jobs as they are.
    pub(super) fn generate(
        &self,
        catalog: &Catalog,
        cluster: &Cluster,
        seed: u64,
    ) -> Result<Workload, WorkloadError> {
        let (reference, gangs) = self.checked(catalog, cluster)?;
        let demands = || self.demands(catalog, cluster);
        let rate = rate_per_second(self.rate, &self.process, || capacity(cluster, &demands()?))?;
        let mut random = Random::new(derive_seed(seed, 1));
        let mut users = self.estimates.map(|estimates| Users::new(estimates, derive_seed(seed, 2)));
        let own: Vec<f64> = self.sizes.iter().map(|class| class.share).collect();
        let arrivals = Arrivals::new(&self.process, rate, derive_seed(seed, 0));
        let mut workload = Workload::default();
        for (label, arrival) in (0..u64::from(self.jobs)).zip(arrivals) {
            let gang = &gangs[random.pick(gangs.iter().map(|gang| gang.share))];
            let kind = gang.types[random.below(gang.types.len())];
            let shares = self.process.shares(arrival.segment, &own);
            let class = self.sizes[random.pick(shares.iter().copied())];
            let seconds = 60.0 * class.draw_minutes(&mut random);
            let samples = seconds * speed(catalog, kind, reference, gang.devices).unwrap_or(0.0);
            let samples = (samples as u64).max(1);
            let batch = kind.batch * gang.devices;
            let claim = match &mut users {
                Some(users) => users.claim(kind.model, batch, samples),
                None => Claim { user: 0, samples, truth: Truth::AsEstimated },
            };
            let task = Task::Training { model: kind.model, batch, samples: claim.samples };
            let job = Job::new(label, Time::from_secs_f64(arrival.at), task, gang.devices);
            workload.push(Job { user: claim.user, ..job }, claim.truth);
        }
        Ok(workload)
    }

    /// The mix of jobs, for [`capacity`].
    ///
    /// # Errors
    /// Settings out of range, or a gang size with which nothing runs on the cluster.
    pub fn demands(&self, catalog: &Catalog, cluster: &Cluster) -> Result<Vec<Demand>, WorkloadError> {
        let (reference, gangs) = self.checked(catalog, cluster)?;
        let shares = self.process.mean_shares(self.sizes.iter().map(|class| class.share).collect());
        let weight: f64 = shares.iter().sum();
        let minutes = self.sizes.iter().zip(shares).map(|(class, share)| share * class.mean_minutes());
        let mean_s = 60.0 * minutes.sum::<f64>() / weight;
        let mut demands = Vec::new();
        for gang in &gangs {
            for kind in &gang.types {
                let samples = mean_s * speed(catalog, *kind, reference, gang.devices).unwrap_or(0.0);
                let seconds = |on: &KindId| {
                    let speed = usable_speed(catalog, cluster, *kind, *on, gang.devices)?;
                    Some((*on, f64::from(gang.devices) * samples / speed))
                };
                let share = gang.share / gang.types.len() as f64;
                demands.push(Demand {
                    share,
                    device_seconds: cluster.kinds().iter().filter_map(seconds).collect(),
                });
            }
        }
        Ok(demands)
    }

    /// The reference kind, and the gang sizes with their job types, once the settings have been found sound.
    fn checked(&self, catalog: &Catalog, cluster: &Cluster) -> Result<(KindId, Vec<Gang>), WorkloadError> {
        positive("jobs", f64::from(self.jobs))?;
        self.process.check(self.sizes.len())?;
        self.estimates.map(|estimates| estimates.check()).transpose()?;
        self.sizes.iter().try_for_each(SizeClass::check)?;
        positive("sizes: sum of shares", self.sizes.iter().map(|class| class.share).sum())?;
        for gang in &self.gangs {
            positive("devices", f64::from(gang.devices))?;
            not_negative("share", gang.share)?;
        }
        positive("gangs: sum of shares", self.gangs.iter().map(|gang| gang.share).sum())?;
        let reference = catalog.kind(REFERENCE).ok_or(WorkloadError::Settings(
            "sizes of training jobs are told in V100-minutes; the catalogue needs a device kind `v100`",
        ))?;
        let gangs = self.gangs.iter().filter(|gang| gang.share > 0.0);
        let gangs =
            gangs.map(|gang| gang_types(*gang, reference, catalog, cluster)).collect::<Result<_, _>>()?;
        Ok((reference, gangs))
    }
}

fn gang_types(
    gang: GangShare,
    reference: KindId,
    catalog: &Catalog,
    cluster: &Cluster,
) -> Result<Gang, WorkloadError> {
    let runs = |kind: &JobType| {
        let somewhere = |on: &KindId| usable_speed(catalog, cluster, *kind, *on, gang.devices).is_some();
        speed(catalog, *kind, reference, gang.devices).is_some() && cluster.kinds().iter().any(somewhere)
    };
    let types: Vec<JobType> = catalog.job_types().into_iter().filter(runs).collect();
    if types.is_empty() {
        let what = format!("a training job with a gang of {} runs", gang.devices);
        return Err(WorkloadError::NotRunnable { what, kinds: kind_names(catalog, cluster) });
    }
    Ok(Gang { devices: gang.devices, share: gang.share, types })
}

/// Samples per second of a gang of which each device takes the type's batch.
fn speed(catalog: &Catalog, kind: JobType, on: KindId, gang: u32) -> Option<f64> {
    let speed = catalog.training_speed(kind.model, on, gang, kind.batch.checked_mul(gang)?)?;
    Some(speed.samples_per_s)
}

/// As [`speed`], if the cluster has that many devices of the kind.
fn usable_speed(catalog: &Catalog, cluster: &Cluster, kind: JobType, on: KindId, gang: u32) -> Option<f64> {
    if cluster.devices_of(on) >= gang { speed(catalog, kind, on, gang) } else { None }
}
