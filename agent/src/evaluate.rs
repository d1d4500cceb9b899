//! Paired evaluation: every policy plays the same episodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use yardmaster_env::metrics::{Metrics, percentile};
use yardmaster_env::sim::World;
use yardmaster_env::spec::Scenario;

use crate::learned::Learned;
use crate::net::PolicyNet;
use crate::policy::{Policy, PolicyDefect, play};
use crate::registry::{self, RegistryError};
use crate::search::futures::Futures;
use crate::search::{Search, Settings};
use crate::stats::{self, Estimate};

/// A policy that takes part, built afresh for each worker.
pub struct Contestant {
    /// Its name in the table.
    pub name: String,
    /// Builds it.
    pub build: Box<dyn Fn() -> Box<dyn Policy> + Send + Sync>,
}

impl Contestant {
    /// A rule of the registry.
    pub fn rule(name: &str) -> Result<Contestant, RegistryError> {
        registry::build(name)?;
        let rule = name.to_owned();
        #[allow(clippy::unwrap_used, reason = "built above, and building has no other input")]
        let build = Box::new(move || registry::build(&rule).unwrap());
        Ok(Contestant { name: name.to_owned(), build })
    }

    /// A rule of the registry that may look ahead in this scenario.
    ///
    /// # Errors
    /// As [`registry::build`].
    pub fn rule_in(name: &str, scenario: &Scenario) -> Result<Contestant, RegistryError> {
        let Some(settings) = Settings::parse(name)? else { return Contestant::rule(name) };
        let (own, futures) = (name.to_owned(), Futures::of(scenario));
        Search::with_futures(name, settings.clone(), futures.clone())?;
        #[allow(clippy::unwrap_used, reason = "built above, and building has no other input")]
        let build = Box::new(move || -> Box<dyn Policy> {
            Box::new(Search::with_futures(own.as_str(), settings.clone(), futures.clone()).unwrap())
        });
        Ok(Contestant { name: name.to_owned(), build })
    }

    /// A network with its prior rule.
    pub fn learned(name: &str, net: Arc<PolicyNet>, prior: &str) -> Result<Contestant, RegistryError> {
        Learned::new(name, Arc::clone(&net), prior)?;
        let (own, prior) = (name.to_owned(), prior.to_owned());
        #[allow(clippy::unwrap_used, reason = "built above, and building has no other input")]
        let build = Box::new(move || -> Box<dyn Policy> {
            Box::new(Learned::new(own.as_str(), Arc::clone(&net), &prior).unwrap())
        });
        Ok(Contestant { name: name.to_owned(), build })
    }
}

/// How a policy did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub policy: String,
    /// Mean of the objective over episodes.
    pub mean: f64,
    /// Median over episodes.
    pub p50: f64,
    /// 99th percentile over episodes.
    pub p99: f64,
    /// 95 % t interval of the mean.
    pub ci95: [f64; 2],
    /// The objective of each episode, in order of seeds.
    pub per_episode: Vec<f64>,
    /// Against each classical rule.
    pub ratio_to: BTreeMap<String, Ratio>,
    /// Means over episodes of what else was measured.
    pub metrics: Summary,
}

/// One policy against one rule on the same episodes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Mean of the policy / mean of the rule; below 1 the policy is better.
    pub ratio: f64,
    /// 95 % interval, paired.
    pub ci95: [f64; 2],
    /// Episodes in which the policy was better.
    pub wins: usize,
}

/// Means over episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of Metrics")]
pub struct Summary {
    pub mean_jct_s: f64,
    pub p50_jct_s: f64,
    pub p95_jct_s: f64,
    pub p99_jct_s: f64,
    pub mean_wait_s: f64,
    pub mean_bounded_slowdown: f64,
    pub utilization: f64,
    pub device_utilization: f64,
    pub idle_while_waiting_share: f64,
    /// `None` where it is not told in every episode.
    pub fragmentation: Option<f64>,
    pub slo_attainment: f64,
    pub dropped: f64,
    pub goodput_per_s: f64,
    pub goodput_samples_per_s: f64,
    pub energy_kwh: f64,
    pub dollars: f64,
    pub jain_users_slowdown: f64,
    pub jain_jobs_slowdown: f64,
    pub mean_rho: f64,
    pub max_rho: f64,
    pub waste_share: f64,
    pub preemptions: f64,
    pub mean_batch: f64,
    pub decisions: f64,
}

/// Plays every episode with every contestant, in parallel over episodes. `done` is called after each episode.
///
/// The result depends on the seeds alone, not on the number of threads.
pub fn evaluate<W, E>(
    contestants: &[Contestant],
    seeds: &[u64],
    world: W,
    done: impl Fn() + Sync,
) -> Result<Vec<Row>, E>
where
    W: Fn(u64) -> Result<Arc<World>, E> + Sync,
    E: From<PolicyDefect> + Send,
{
    let episode = |&seed: &u64| -> Result<Vec<Metrics>, E> {
        let world = world(seed)?;
        let row = contestants.iter().map(|contestant| {
            let sim = play(&world, &mut *(contestant.build)(), seed)?;
            Ok(Metrics::of(&sim))
        });
        let row = row.collect::<Result<Vec<_>, E>>();
        done();
        row
    };
    let episodes: Vec<Vec<Metrics>> = seeds.par_iter().map(episode).collect::<Result<_, E>>()?;
    Ok((0..contestants.len()).map(|at| row(contestants, &episodes, at)).collect())
}

fn row(contestants: &[Contestant], episodes: &[Vec<Metrics>], at: usize) -> Row {
    let objective = |who: usize| episodes.iter().map(|row| row[who].objective).collect::<Vec<f64>>();
    let per_episode = objective(at);
    let Estimate { value: mean, ci95 } = stats::mean(&per_episode);
    let mut sorted = per_episode.clone();
    sorted.sort_by(f64::total_cmp);
    let against = |who: usize| {
        let base = objective(who);
        let ratio = stats::paired_ratio(&per_episode, &base);
        Ratio { ratio: ratio.value, ci95: ratio.ci95, wins: stats::wins(&per_episode, &base) }
    };
    let others = (0..contestants.len()).filter(|&who| who != at);
    Row {
        policy: contestants[at].name.clone(),
        mean,
        p50: percentile(&sorted, 0.50),
        p99: percentile(&sorted, 0.99),
        ci95,
        ratio_to: others.map(|who| (contestants[who].name.clone(), against(who))).collect(),
        metrics: summary(episodes, at),
        per_episode,
    }
}

fn summary(episodes: &[Vec<Metrics>], at: usize) -> Summary {
    let count = episodes.len().max(1) as f64;
    let mean = |value: fn(&Metrics) -> f64| episodes.iter().map(|row| value(&row[at])).sum::<f64>() / count;
    let fragmentation: Option<f64> = episodes.iter().map(|row| row[at].machines.fragmentation).sum();
    Summary {
        mean_jct_s: mean(|m| m.mean_jct_s),
        p50_jct_s: mean(|m| m.p50_jct_s),
        p95_jct_s: mean(|m| m.p95_jct_s),
        p99_jct_s: mean(|m| m.p99_jct_s),
        mean_wait_s: mean(|m| m.mean_wait_s),
        mean_bounded_slowdown: mean(|m| m.mean_bounded_slowdown),
        utilization: mean(|m| m.utilization),
        device_utilization: mean(|m| m.machines.device_utilization),
        idle_while_waiting_share: mean(|m| m.machines.idle_while_waiting_share),
        fragmentation: fragmentation.map(|sum| sum / count),
        slo_attainment: mean(|m| m.slo_attainment),
        dropped: mean(|m| m.dropped as f64),
        goodput_per_s: mean(|m| m.goodput_per_s),
        goodput_samples_per_s: mean(|m| m.goodput_samples_per_s),
        energy_kwh: mean(|m| m.machines.energy_kwh),
        dollars: mean(|m| m.machines.dollars),
        jain_users_slowdown: mean(|m| m.fairness.jain_users_slowdown),
        jain_jobs_slowdown: mean(|m| m.fairness.jain_jobs_slowdown),
        mean_rho: mean(|m| m.fairness.mean_rho),
        max_rho: mean(|m| m.fairness.max_rho),
        waste_share: mean(|m| m.wasted.waste_share),
        preemptions: mean(|m| m.wasted.preemptions as f64),
        mean_batch: mean(|m| m.mean_batch),
        decisions: mean(|m| m.decisions as f64),
    }
}
