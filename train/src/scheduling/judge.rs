//! What a policy in training is worth: the gate on validation episodes.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use rayon::prelude::*;
use yardmaster_agent::comparison::rows;
use yardmaster_agent::evaluate::{Contestant, Played, Row, evaluate};
use yardmaster_agent::net::PolicyNet;
use yardmaster_agent::registry;
use yardmaster_agent::tuned;
use yardmaster_env::sim::World;
use yardmaster_env::spec::{Scenario, Split};

use super::episode::episode;
use crate::trainer::{Validate, Validation};

/// Rules that a policy is measured against: the best of those that were tuned in the scenario.
const RIVALS: usize = 6;
/// Base of the validation seeds; a setting that must not change, or scores of old runs mean something else.
pub(super) const VALIDATION_BASE: u64 = 0;

/// Ratio to the best rule that a policy is said to have if it does not play its episodes to the end.
const HOPELESS: f64 = 1000.0;

/// What validation in one scenario found.
struct Verdict {
    mean: f64,
    ratio: f64,
    rows: Vec<(String, f64)>,
}

/// Compares policies with the rules on validation episodes that are generated once.
struct Judge {
    scenario: Arc<Scenario>,
    prior: String,
    seeds: Vec<u64>,
    worlds: HashMap<u64, Arc<World>>,
    rules: Vec<Row>,
}

impl Judge {
    fn new(scenario: Arc<Scenario>, prior: String, episodes: u64) -> Result<Self> {
        let seeds: Vec<u64> =
            (0..episodes).map(|number| Split::Validation.seed(VALIDATION_BASE, number)).collect();
        let worlds: HashMap<u64, Arc<World>> =
            seeds.iter().map(|&seed| (seed, episode(&scenario, seed))).collect();
        let mut names: Vec<String> = match tuned::embedded(&scenario)? {
            Some(mut tuned) => {
                tuned.policies.sort_by(|one, other| one.after.value.total_cmp(&other.after.value));
                tuned.policies.into_iter().take(RIVALS).map(|rule| rule.tuned).collect()
            }
            None => registry::standard(&worlds[&seeds[0]]).into_iter().map(str::to_owned).collect(),
        };
        names.push(prior.clone());
        names.sort();
        names.dedup();
        let mut judge = Self { scenario, prior, seeds, worlds, rules: Vec::new() };
        let rules: Vec<Contestant> =
            names.iter().map(|name| Contestant::rule(name)).collect::<Result<_, _>>()?;
        judge.rules = judge.rows(&rules)?;
        Ok(judge)
    }

    fn rows(&self, contestants: &[Contestant]) -> Result<Vec<Row>> {
        let world = |seed| -> Result<_> { Ok(Arc::clone(&self.worlds[&seed])) };
        evaluate(contestants, &self.seeds, world, || ())
    }

    /// The policy's mean, its ratio to the best rule's, and what goes into the log.
    fn judge(&self, net: &PolicyNet) -> Result<Verdict> {
        let contestant = Contestant::learned("learned", Arc::new(net.clone()), &self.prior)?;
        let best = self.rules.iter().map(|row| row.mean).fold(f64::INFINITY, f64::min);
        let named = |metric: &str| format!("eval/{}/{metric}", self.scenario.spec().name);
        let play = |seed: &u64| contestant.try_play(&self.worlds[seed], *seed);
        let episodes = match self.seeds.par_iter().map(play).collect::<Result<Vec<Played>, String>>() {
            Ok(episodes) => episodes,
            Err(why) => {
                // A policy that has not learned enough yet may wait for ever.
                eprintln!("validation in {}: {why}", self.scenario.spec().name);
                let rows = vec![(named("ratio_to_best_heuristic"), HOPELESS)];
                return Ok(Verdict { mean: HOPELESS * best, ratio: HOPELESS, rows });
            }
        };
        let Some(row) = rows(&[contestant.with(&episodes)]).pop() else {
            bail!("there is one row a contestant")
        };
        let rows = vec![
            (named(self.scenario.spec().objective.name()), row.mean),
            (named("mean_jct_s"), row.metrics.mean_jct_s),
            (named("slo_attainment"), row.metrics.slo_attainment),
            (named("ratio_to_best_heuristic"), row.mean / best),
        ];
        Ok(Verdict { mean: row.mean, ratio: row.mean / best, rows })
    }
}

/// Judges in all of these scenarios. The score of a single one is its objective, that of several the mean ratio to the
/// best rule of each, whose objectives have units of their own; so many episodes are shared out to them.
pub(super) fn validation(scenarios: &[Arc<Scenario>], prior: &str, episodes: usize) -> Result<Validate> {
    let episodes = (episodes as u64 / scenarios.len() as u64).max(1);
    let judges: Vec<Judge> = (scenarios.iter())
        .map(|scenario| Judge::new(Arc::clone(scenario), prior.to_owned(), episodes))
        .collect::<Result<_>>()?;
    Ok(Box::new(move |net| {
        let verdicts = judges.iter().map(|judge| judge.judge(net)).collect::<Result<Vec<_>>>()?;
        let ratio = verdicts.iter().map(|verdict| verdict.ratio).sum::<f64>() / verdicts.len() as f64;
        let score = if let [one] = &verdicts[..] { one.mean } else { ratio };
        let mut rows: Vec<(String, f64)> = verdicts.into_iter().flat_map(|verdict| verdict.rows).collect();
        if judges.len() > 1 {
            rows.push(("eval/mean/ratio_to_best_heuristic".to_owned(), ratio));
        }
        Ok(Validation { score, rows })
    }))
}

#[cfg(test)]
mod tests {
    use yardmaster_agent::net::{Dims, Layout, Sizes};
    use yardmaster_env::observe::Schema;
    use yardmaster_env::spec::builtin;

    use super::*;

    #[test]
    fn who_waits_for_ever_is_hopeless_and_ends_nothing() {
        let dims = Dims::from(&Schema::current());
        let layout = Layout::policy(&dims, &Sizes::default());
        let mut params = vec![0.0; layout.total()];
        params[layout.entry("wait.1.b").unwrap().offset] = 1000.0;
        let net = PolicyNet::new(dims, Sizes::default(), 2.0, &params).unwrap();
        let scenario = Arc::new(builtin("serving-burst").unwrap());
        let judge = Judge::new(scenario, "mct".to_owned(), 1).unwrap();
        let verdict = judge.judge(&net).unwrap();
        assert_eq!(verdict.ratio, HOPELESS);
        assert!(verdict.mean > judge.rules.iter().map(|row| row.mean).fold(0.0, f64::max));
    }
}
