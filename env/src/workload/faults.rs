//! Machines that fail and are repaired, and maintenance that takes them out of service one after another.

use serde::{Deserialize, Serialize};

use super::error::{WorkloadError, check, not_negative, positive};
use super::random::{Random, derive_seed};
use crate::cluster::Cluster;
use crate::rules::{Change, NodeChange};
use crate::units::{NodeId, Time};

const HOUR_S: f64 = 3600.0;
/// The seed stream of faults, far from those of jobs, so that jobs do not change when faults are switched on.
const STREAM: u64 = 1 << 32;
/// More outages than this are refused: the settings are then hardly meant.
const MAX_OUTAGES: f64 = 1e6;

/// What happens to the machines of a cluster. Each machine lives by itself: up for a Weibull time, down for a lognormal
/// one, as Schroeder and Gibson found for large clusters (DSN 2006; shapes of 0.7 to 0.8). Every outage ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Mean time of each machine from joining to its next failure, in hours; none fails if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtbf_h: Option<f64>,
    /// Shape of that time, from 0.2 to 10: 1 is exponential, less means that failures follow each other closely.
    #[serde(default = "one")]
    pub shape: f64,
    /// How long repairs take.
    #[serde(default)]
    pub repair: Repair,
    /// Planned maintenance; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// No outage begins after this, in hours; absent, after the last arrival. What has begun ends later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon_h: Option<f64>,
}

/// How long repairs take: lognormal, or exponential.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repair {
    /// Mean, in hours.
    pub mean_h: f64,
    /// Standard deviation of the natural logarithm, from 0 (always the mean) to 5; exponential if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
}

/// Machines drained one after another in the order of the cluster, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// When the first is drained, in hours.
    #[serde(default)]
    pub first_h: f64,
    /// From one drain to the next, in hours.
    pub every_h: f64,
    /// From a drain to when the machine joins again, in hours; at most `every_h`, so that one is away at a time.
    pub length_h: f64,
}

impl Default for Repair {
    /// An hour on average, exponential.
    fn default() -> Repair {
        Repair { mean_h: 1.0, sigma: None }
    }
}

fn one() -> f64 {
    1.0
}

/// A machine that is away, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Outage {
    from: f64,
    to: f64,
    cause: Change,
}

impl Faults {
    /// What happens to the machines of an episode, in order of time; `last_arrival` is the default horizon. A machine
    /// does not fail while it is drained, and is not drained while it is being repaired.
    ///
    /// # Errors
    /// Settings out of range.
    pub fn generate(
        &self,
        cluster: &Cluster,
        last_arrival: Time,
        seed: u64,
    ) -> Result<Vec<NodeChange>, WorkloadError> {
        let until = self.horizon_h.map_or(last_arrival.as_secs_f64(), |hours| hours * HOUR_S);
        let nodes = cluster.nodes().len();
        self.check(nodes, until)?;
        let mut changes = Vec::new();
        for at in 0..nodes {
            let mut random = Random::new(derive_seed(derive_seed(seed, STREAM), at as u64));
            let failures = self.failures(until, &mut random);
            let drains = self.maintenance.map(|plan| plan.drains(at, nodes, until)).unwrap_or_default();
            for outage in apart(failures, drains) {
                let change = |at_s, change| NodeChange {
                    at: Time::from_secs_f64(at_s),
                    node: NodeId(at as u32),
                    change,
                };
                changes.extend([change(outage.from, outage.cause), change(outage.to, Change::Join)]);
            }
        }
        // Stable, so that the changes of one machine stay in order.
        changes.sort_by_key(|change| change.at);
        Ok(changes)
    }

    fn check(&self, nodes: usize, until_s: f64) -> Result<(), WorkloadError> {
        check("shape", self.shape, (0.2..=10.0).contains(&self.shape), "from 0.2 to 10")?;
        self.repair.check()?;
        self.horizon_h.map(|hours| positive("horizon_h", hours)).transpose()?;
        let mut expected = 0.0;
        if let Some(mtbf_h) = self.mtbf_h {
            expected += nodes as f64 * until_s / HOUR_S / positive("mtbf_h", mtbf_h)?;
        }
        if let Some(plan) = &self.maintenance {
            plan.check()?;
            expected += until_s / HOUR_S / plan.every_h;
        }
        let must = "at most a million; shorten the horizon or make faults rarer";
        check("expected number of outages", expected, expected <= MAX_OUTAGES, must).map(|_| ())
    }

    fn failures(&self, until_s: f64, random: &mut Random) -> Vec<Outage> {
        let Some(mtbf_h) = self.mtbf_h else { return Vec::new() };
        let mut outages = Vec::new();
        let mut from = random.weibull(mtbf_h * HOUR_S, self.shape);
        while from < until_s {
            let to = from + self.repair.draw_s(random);
            outages.push(Outage { from, to, cause: Change::Fail });
            from = to + random.weibull(mtbf_h * HOUR_S, self.shape);
        }
        outages
    }
}

impl Repair {
    fn check(&self) -> Result<(), WorkloadError> {
        positive("mean_h", self.mean_h)?;
        let Some(sigma) = self.sigma else { return Ok(()) };
        check("sigma", not_negative("sigma", sigma)?, sigma <= 5.0, "from 0 to 5").map(|_| ())
    }

    fn draw_s(&self, random: &mut Random) -> f64 {
        let mean = self.mean_h * HOUR_S;
        match self.sigma {
            Some(sigma) => random.lognormal(mean, sigma),
            None => random.exponential(mean),
        }
    }
}

impl Maintenance {
    fn check(&self) -> Result<(), WorkloadError> {
        not_negative("first_h", self.first_h)?;
        positive("every_h", self.every_h)?;
        let fits = positive("length_h", self.length_h)? <= self.every_h;
        check("length_h", self.length_h, fits, "at most every_h").map(|_| ())
    }

    /// The drains of the machine at this place among `nodes`.
    fn drains(&self, place: usize, nodes: usize, until_s: f64) -> Vec<Outage> {
        let turns = (0..).map(|round| (round * nodes + place) as f64);
        let from = turns.map(|turn| (self.first_h + turn * self.every_h) * HOUR_S);
        let outage = |from| Outage { from, to: from + self.length_h * HOUR_S, cause: Change::Drain };
        from.take_while(|from| *from < until_s).map(outage).collect()
    }
}

/// Both in order, of two that overlap the earlier.
fn apart(failures: Vec<Outage>, drains: Vec<Outage>) -> Vec<Outage> {
    let mut all: Vec<Outage> = failures.into_iter().chain(drains).collect();
    all.sort_by(|one, other| one.from.total_cmp(&other.from));
    let mut end = f64::NEG_INFINITY;
    all.retain(|outage| {
        let free = outage.from >= end;
        if free {
            end = outage.to;
        }
        free
    });
    all
}

#[cfg(test)]
#[path = "faults_tests.rs"]
mod tests;
