//! The batch-queue workload model of Lublin and Feitelson: "The workload on parallel supercomputers: modeling
//! the characteristics of rigid jobs", Journal of Parallel and Distributed Computing 63(11), 2003.
//!
//! Sizes are two-stage log-uniform with extra weight on 1 and on powers of two; logarithms of run times are
//! hyper-gamma with a mixture that depends on the size; logarithms of gaps between arrivals are gamma,
//! stretched by a daily cycle. The largest size is that of the cluster, and the middle of the two stages lies
//! as far below it, in powers of two, as in the published parameters for 128 nodes.

use serde::{Deserialize, Serialize};

use super::error::{WorkloadError, positive};
use super::kind_names;
use super::random::{Random, derive_seed};
use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::job::{Job, Task, Truth, Workload};
use crate::units::{Span, Time};

/// Half hours of a day.
const BUCKETS: usize = 48;
const BUCKET_S: f64 = 1800.0;
/// The bucket, counted from 1, at which the day of the cycle's fit begins.
const DAY_START: usize = 11;
/// Longer run times are drawn again: exp(12) s is about two days.
const MAX_LOG_RUN: f64 = 12.0;
/// Longer gaps are drawn again: exp(13) s is about five days.
const MAX_LOG_GAP: f64 = 13.0;

/// Which jobs the published parameters were fitted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Population {
    /// All jobs of the logs; the well-known trace `lublin_256` has these parameters.
    #[default]
    All,
    /// Batch jobs alone.
    Batch,
    /// Interactive jobs alone.
    Interactive,
    /// Batch and interactive jobs, each kind in its own time and with its own sizes; the well-known trace `lublin_256_new2` has these
    /// parameters, in which the two stages of both kinds meet equally far below the largest size.
    Both,
}

/// Jobs of the model, for a cluster of one pool. The requested time is the run time, since the model has no
/// estimates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LublinSource {
    /// Jobs to draw, above 0.
    pub jobs: u32,
    /// Which parameters.
    #[serde(default)]
    pub population: Population,
    /// Factor on all gaps between arrivals; below 1 raises the load.
    #[serde(default = "one")]
    pub gap_factor: f64,
}

fn one() -> f64 {
    1.0
}

/// A gamma distribution: shape and scale.
type Gamma = (f64, f64);

/// The published parameters of a population.
struct Parameters {
    serial: f64,
    power_of_two: f64,
    /// Binary logarithms: the smallest parallel size, and how far below the largest the stages meet.
    low: f64,
    middle_below_high: f64,
    /// Probability of the lower stage.
    lower: f64,
    /// Logarithm of the run time in seconds: two gammas, the first with probability `slope * size + base`.
    short: Gamma,
    long: Gamma,
    slope: f64,
    base: f64,
    /// Logarithm of the gap in seconds.
    gap: Gamma,
    /// Bucket of arrival.
    cycle: Gamma,
}

const ALL: Parameters = Parameters {
    serial: 0.244,
    power_of_two: 0.576,
    low: 0.8,
    middle_below_high: 2.5,
    lower: 0.86,
    short: (4.2, 0.94),
    long: (312.0, 0.03),
    slope: -0.0054,
    base: 0.78,
    gap: (10.2303 * 1.0225, 0.4871),
    cycle: (8.1737, 3.9631),
};

const BATCH: Parameters = Parameters {
    serial: 0.2927,
    power_of_two: 0.6686,
    low: 1.2,
    middle_below_high: 2.0,
    lower: 0.875,
    short: (6.57, 0.823),
    long: (639.1, 0.0156),
    slope: -0.003,
    base: 0.6986,
    gap: (6.0415 * 1.0519, 0.8531),
    cycle: (6.1271, 5.2740),
};

const INTERACTIVE: Parameters = Parameters {
    serial: 0.1541,
    power_of_two: 0.625,
    low: 1.0,
    middle_below_high: 2.5,
    lower: 0.705,
    short: (3.8351, 0.6605),
    long: (7.073, 0.6856),
    slope: -0.0118,
    base: 0.9156,
    gap: (6.5510 * 0.9797, 0.6621),
    cycle: (8.9186, 3.6680),
};

const BOTH: [Parameters; 2] = [INTERACTIVE, Parameters { middle_below_high: 2.5, ..BATCH }];

impl Population {
    /// Of each kind of jobs.
    fn parameters(self) -> &'static [Parameters] {
        match self {
            Self::All => &[ALL],
            Self::Batch => &[BATCH],
            Self::Interactive => &[INTERACTIVE],
            Self::Both => &BOTH,
        }
    }
}

impl LublinSource {
    pub(super) fn generate(
        &self,
        catalog: &Catalog,
        cluster: &Cluster,
        seed: u64,
    ) -> Result<Workload, WorkloadError> {
        positive("jobs", f64::from(self.jobs))?;
        positive("gap_factor", self.gap_factor)?;
        let procs_per_device = one_pool(catalog, cluster)?;
        let procs = cluster.procs().min(u64::from(u32::MAX)) as u32;
        let mut jobs = Random::new(derive_seed(seed, 1));
        let arrivals = |(kind, parameters)| Arrivals::new(parameters, derive_seed(seed, 2 * kind as u64));
        let mut kinds: Vec<Arrivals> =
            self.population.parameters().iter().enumerate().map(arrivals).collect();
        let mut workload = Workload::default();
        for label in 1..=u64::from(self.jobs) {
            let first = kinds.iter_mut().min_by(|one, other| one.next_s.total_cmp(&other.next_s));
            let Some(kind) = first else { break };
            // Whole seconds, as in traces.
            let arrival = Time::from_secs_f64((kind.take() * self.gap_factor).floor());
            let parameters = kind.parameters;
            let size = parameters.size(procs, &mut jobs);
            let run = Span::from_secs_f64(parameters.run_s(size, &mut jobs).floor());
            let gang = size.div_ceil(procs_per_device);
            let job = Job { procs: size, ..Job::new(label, arrival, Task::Rigid { requested: run }, gang) };
            workload.push(job, Truth::Duration(run));
        }
        Ok(workload)
    }
}

/// Processors of a device, where the cluster is one pool.
fn one_pool(catalog: &Catalog, cluster: &Cluster) -> Result<u32, WorkloadError> {
    let first = cluster.nodes().first().map_or(0, |node| node.procs_per_device);
    let alike = cluster.nodes().iter().all(|node| node.procs_per_device == first);
    if cluster.kinds().len() != 1 || !alike || cluster.procs() == 0 {
        return Err(WorkloadError::NotOnePool { kinds: kind_names(catalog, cluster) });
    }
    Ok(first)
}

impl Parameters {
    /// Processors of a job.
    fn size(&self, procs: u32, random: &mut Random) -> u32 {
        let class = random.uniform();
        let high = libm::log2(f64::from(procs));
        if class <= self.serial || high <= self.low {
            return 1;
        }
        let middle = (high - self.middle_below_high).max(self.low);
        let (from, to) = if random.uniform() <= self.lower { (self.low, middle) } else { (middle, high) };
        let mut log2 = random.between(from, to);
        if class <= self.serial + self.power_of_two {
            log2 = libm::round(log2);
        }
        (libm::round(libm::exp2(log2)) as u32).clamp(1, procs)
    }

    /// Run time in seconds, at least 1.
    fn run_s(&self, size: u32, random: &mut Random) -> f64 {
        let p = (self.slope * f64::from(size) + self.base).clamp(0.0, 1.0);
        loop {
            let (shape, scale) = if random.uniform() <= p { self.short } else { self.long };
            let log = random.gamma(shape, scale);
            if log <= MAX_LOG_RUN {
                return libm::exp(log);
            }
        }
    }
}

/// The jobs to come of one kind.
struct Arrivals {
    parameters: &'static Parameters,
    clock: Clock,
    random: Random,
    /// When the next one arrives.
    next_s: f64,
}

impl Arrivals {
    fn new(parameters: &'static Parameters, seed: u64) -> Self {
        let (mut clock, mut random) = (Clock::new(parameters), Random::new(seed));
        let next_s = clock.next(&mut random);
        Self { parameters, clock, random, next_s }
    }

    /// When the next one arrives; it is the one after it from now on.
    fn take(&mut self) -> f64 {
        std::mem::replace(&mut self.next_s, self.clock.next(&mut self.random))
    }
}

/// Arrival times: each gap pays for the buckets it passes, and a bucket costs in proportion to how many jobs
/// arrive in it, so that time flies at night.
struct Clock {
    gap: Gamma,
    /// Cost of each bucket, 1 on average.
    costs: [f64; BUCKETS],
    /// Buckets passed since the start, which is midnight.
    passed: u64,
    /// What has been paid towards the present bucket.
    paid: f64,
}

impl Clock {
    fn new(parameters: &Parameters) -> Clock {
        let (shape, scale) = parameters.cycle;
        let mut costs = [0.0; BUCKETS];
        for at in DAY_START..DAY_START + BUCKETS {
            let [low, high] = [at as f64 - 0.5, at as f64 + 0.5].map(|edge| gamma_cdf(edge / scale, shape));
            costs[(at - 1) % BUCKETS] = high - low;
        }
        let mean = costs.iter().sum::<f64>() / BUCKETS as f64;
        let costs = costs.map(|cost| cost / mean);
        Clock { gap: parameters.gap, costs, passed: 0, paid: 0.0 }
    }

    /// Seconds from the start to the next arrival.
    fn next(&mut self, random: &mut Random) -> f64 {
        let log = loop {
            let log = random.gamma(self.gap.0, self.gap.1);
            if log <= MAX_LOG_GAP {
                break log;
            }
        };
        self.paid += libm::exp(log) / BUCKET_S;
        while self.paid > self.cost() {
            self.paid -= self.cost();
            self.passed += 1;
        }
        BUCKET_S * (self.passed as f64 + self.paid / self.cost())
    }

    fn cost(&self) -> f64 {
        self.costs[(self.passed % BUCKETS as u64) as usize]
    }
}

/// The cumulative gamma distribution with unit scale, by its power series; exact enough for the few dozen
/// units needed here.
fn gamma_cdf(x: f64, shape: f64) -> f64 {
    let mut term = 1.0 / shape;
    let mut sum = term;
    let mut above = shape;
    while term > sum * 1e-16 {
        above += 1.0;
        term *= x / above;
        sum += term;
    }
    sum * libm::exp(shape * libm::log(x) - x - libm::lgamma(shape))
}

#[cfg(test)]
#[path = "lublin_tests.rs"]
mod tests;
