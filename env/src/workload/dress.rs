//! What training jobs bring besides their size: data sets, choices of gang and batch, needs that nobody foresaw. Each has
//! a seed of its own, so that the jobs are the same with and without.

use serde::{Deserialize, Serialize};

use super::error::{WorkloadError, check, not_negative, positive};
use super::random::{Random, derive_seed};
use crate::data::{Artefact, ArtefactId};
use crate::job::{Choice, Job, Task, Truth, Workload};
use crate::units::Span;

/// Data sets that training jobs read, each job one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Datasets {
    /// How many there are, above 0.
    pub count: u32,
    /// The smallest, in GB (10^9 bytes), above 0.
    pub least_gb: f64,
    /// The largest; sizes are log-uniform.
    pub most_gb: f64,
    /// How many times as often the most popular is read as the least; log-uniform. 1 for equal popularity.
    pub popularity: f64,
    /// Size over compressed size, at least 1.
    #[serde(default = "one")]
    pub compression_ratio: f64,
}

/// Choices of gang and batch that training jobs leave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elastic {
    /// Gangs that a job may run with besides its own.
    pub gangs: Vec<u32>,
    /// Batches that it may train with, as multiples of its own batch on each device; 1 keeps the batch of each device,
    /// so that the whole batch grows with the gang.
    #[serde(default = "own_batch")]
    pub batches: Vec<f64>,
}

/// Training jobs of one importance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Share of the training jobs; shares need not add up to 1.
    pub share: f64,
    /// How much each counts in the objective.
    #[serde(default = "one")]
    pub weight: f64,
    /// The deadline is this many times the shortest time in which the job could be done, after its arrival; without it
    /// there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<f64>,
}

fn one() -> f64 {
    1.0
}

fn own_batch() -> Vec<f64> {
    vec![1.0]
}

impl Datasets {
    /// Adds the data sets, and to each training job the one that it reads.
    pub(crate) fn give(&self, workload: &mut Workload, seed: u64) -> Result<(), WorkloadError> {
        self.check()?;
        let mut random = Random::new(derive_seed(seed, 21));
        let first = workload.artefacts.len() as u32;
        let mut weights = Vec::new();
        for number in 0..self.count {
            let gb = libm::exp(random.between(libm::log(self.least_gb), libm::log(self.most_gb)));
            weights.push(libm::exp(random.between(0.0, libm::log(self.popularity))));
            workload.artefacts.push(Artefact {
                name: format!("data-{number}"),
                bytes: ((gb * 1e9) as u64).max(1),
                compression_ratio: self.compression_ratio,
            });
        }
        for job in workload.jobs.iter_mut().filter(|job| matches!(job.task, Task::Training { .. })) {
            let number = random.pick(weights.iter().copied()) as u32;
            job.inputs.push(ArtefactId(first + number));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), WorkloadError> {
        check("count", f64::from(self.count), (1..=10_000).contains(&self.count), "from 1 to 10000")?;
        positive("least_gb", self.least_gb)?;
        let ordered = self.most_gb >= self.least_gb && self.most_gb.is_finite();
        check("most_gb", self.most_gb, ordered, "at least least_gb")?;
        let popular = self.popularity >= 1.0 && self.popularity.is_finite();
        check("popularity", self.popularity, popular, "a number from 1")?;
        let ratio = self.compression_ratio >= 1.0 && self.compression_ratio.is_finite();
        check("compression_ratio", self.compression_ratio, ratio, "a number from 1").map(|_| ())
    }
}

impl Elastic {
    /// Adds the choices to each training job.
    pub(crate) fn give(&self, workload: &mut Workload) -> Result<(), WorkloadError> {
        for &gang in &self.gangs {
            check("gangs", f64::from(gang), (1..=4096).contains(&gang), "gangs from 1 to 4096")?;
        }
        for &batch in &self.batches {
            positive("batches", batch)?;
        }
        for job in &mut workload.jobs {
            let Task::Training { batch, .. } = job.task else { continue };
            let own = f64::from(Choice { gang: job.gang, batch }.per_device());
            let gangs = std::iter::once(job.gang).chain(self.gangs.iter().copied());
            let choice = |gang: u32, times: f64| {
                let batch = (own * times).round().max(1.0) * f64::from(gang);
                Choice { gang, batch: batch as u32 }
            };
            job.choices = gangs
                .flat_map(|gang| self.batches.iter().map(move |&times| choice(gang, times)))
                .filter(|other| *other != Choice { gang: job.gang, batch })
                .collect();
        }
        Ok(())
    }
}

/// Draws a class for each training job; `shortest` is the shortest time in which a job can be done.
pub(crate) fn classify(
    classes: &[Class],
    workload: &mut Workload,
    shortest: impl Fn(&Job) -> Option<Span>,
    seed: u64,
) -> Result<(), WorkloadError> {
    for class in classes {
        not_negative("share", class.share)?;
        not_negative("weight", class.weight)?;
        class.slack.map(|slack| positive("slack", slack)).transpose()?;
    }
    if classes.is_empty() {
        return Ok(());
    }
    check("share", 0.0, classes.iter().any(|class| class.share > 0.0), "above 0 for one class at least")?;
    let mut random = Random::new(derive_seed(seed, 23));
    for job in workload.jobs.iter_mut().filter(|job| matches!(job.task, Task::Training { .. })) {
        let class = classes[random.pick(classes.iter().map(|class| class.share))];
        job.weight = class.weight;
        let time = class.slack.and_then(|slack| Some(shortest(job)?.scaled(slack)));
        job.deadline = time.map(|time| job.arrival + time);
    }
    Ok(())
}

/// Lets the true memory of training jobs differ from the expected one by a lognormal factor of this sigma.
pub(crate) fn surprise_memory(workload: &mut Workload, sigma: f64, seed: u64) -> Result<(), WorkloadError> {
    not_negative("sigma", sigma)?;
    let mut random = Random::new(derive_seed(seed, 22));
    for (job, truth) in workload.jobs.iter().zip(&mut workload.truths) {
        if !matches!(job.task, Task::Training { .. }) {
            continue;
        }
        let memory = libm::exp(sigma * random.normal());
        let steps = match *truth {
            Truth::Steps(factor) | Truth::Needs { steps: factor, .. } => factor,
            Truth::AsEstimated | Truth::Duration(_) => 1.0,
        };
        *truth = Truth::Needs { steps, memory };
    }
    Ok(())
}
