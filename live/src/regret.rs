//! What a decision would cost more than another, on futures that are imagined from what has been seen.
//!
//! Nothing is carried out for this: a simulation is built that stands where the snapshot does, both decisions are tried
//! in it on the same futures, and a rule decides what follows.

use yardmaster_agent::policy::Policy;
use yardmaster_agent::registry::{self, RegistryError};
use yardmaster_agent::search::Teacher;
use yardmaster_env::sim::Simulator;
use yardmaster_env::snapshot::Snapshot;
use yardmaster_env::view::Decision;

/// Futures that both decisions are tried on.
const FUTURES: usize = 8;
/// Arrivals of each.
const HORIZON: usize = 32;

/// Tries decisions.
pub struct Regret {
    rule: String,
    teacher: Teacher,
}

impl Regret {
    /// With this rule for all that follows a decision.
    ///
    /// # Errors
    /// There is no such rule.
    pub fn new(rule: &str) -> Result<Regret, RegistryError> {
        registry::build(rule)?;
        Ok(Regret { rule: rule.to_owned(), teacher: Teacher::of_seen(FUTURES, HORIZON) })
    }

    /// What the first decision would cost more than the second, in the unit of the cluster's objective: seconds of
    /// completion time, misses. `None` where that cannot be told: see [`Simulator::resume`].
    pub fn of(&self, snapshot: &Snapshot, first: &Decision, second: &Decision, seed: u64) -> Option<f64> {
        let view = snapshot.view();
        let sim = Simulator::resume(&view)?;
        let mut tail = || -> Box<dyn Policy> {
            // It was built before; a rule that has gone since would be a fault of the registry.
            registry::build(&self.rule).unwrap_or_else(|why| panic!("{}: {why}", self.rule))
        };
        let decisions = [second.clone(), first.clone()];
        let regrets = self.teacher.regrets(&sim.view(), &decisions, &mut tail, seed)?;
        regrets[1].map(|(mean, _)| mean)
    }
}

/// Mean of what was told one by one, with its standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Sum {
    /// How many.
    pub count: u64,
    sum: f64,
    squares: f64,
}

impl Sum {
    /// Adds one.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    /// 0 of nothing.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// Of the mean; infinite where fewer than two were told.
    pub fn standard_error(&self) -> f64 {
        if self.count < 2 {
            return f64::INFINITY;
        }
        let count = self.count as f64;
        let variance = (self.squares - self.sum * self.sum / count) / (count - 1.0);
        (variance.max(0.0) / count).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use yardmaster_env::snapshot::{Site, State, Told};

    use super::*;

    #[test]
    fn a_slow_device_costs_more_than_a_fast_one() {
        let cluster =
            r#"{"format": 1, "nodes": [{"name": "fast", "kind": "v100"}, {"name": "slow", "kind": "k80"}]}"#;
        let state = r#"{"format": 1, "now_ns": 9000000000, "jobs": [
            {"id": 1, "arrival_ns": 0, "task": {"rigid": {"requested_ns": 1000000000}}, "status": "ended"},
            {"id": 2, "arrival_ns": 4000000000, "task": {"rigid": {"requested_ns": 1000000000}},
             "takes_ns": {"v100": 1000000000, "k80": 50000000000}}]}"#;
        let site = Arc::new(Site::from_json(cluster).expect("a cluster"));
        let snapshot = Snapshot::new(&site, &State::from_json(state).expect("a state")).expect("a snapshot");
        let start = |node: &str| {
            let told = format!(
                r#"{{"start": {{"jobs": [2], "nodes": [{{"node": "{node}"}}], "batch": 1, "variant": 0}}}}"#
            );
            let told: Told = serde_json::from_str(&told).expect("a decision");
            snapshot.hear(&told).expect("it names what is there")
        };
        let regret = Regret::new("mct").expect("a rule");
        let worse = regret.of(&snapshot, &start("slow"), &start("fast"), 1).expect("it can be told");
        let same = regret.of(&snapshot, &start("fast"), &start("fast"), 1).expect("it can be told");
        assert!(worse > 0.0 && same == 0.0, "{worse}, {same}");
    }

    #[test]
    fn the_error_is_that_of_the_mean() {
        let mut sum = Sum::default();
        assert!(sum.standard_error().is_infinite());
        [1.0, 2.0, 3.0, 4.0].iter().for_each(|&value| sum.add(value));
        assert_eq!(sum.mean(), 2.5);
        assert!((sum.standard_error() - (5.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
    }
}
