//! The same scenario on a larger or smaller cluster.

use std::borrow::Borrow;

use super::{Scenario, Spec, SpecError};
use crate::workload::{Rate, Source};

/// The sizes that a scenario may be brought to, as a factor.
const FACTORS: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

impl Scenario {
    /// The scenario with so many times the nodes and as many times the work: arrivals, and how many of them make an
    /// episode; and the store's bandwidth, which all nodes share. A recorded trace stays as it is. Counts are rounded and are one at least. Its name
    /// says the factor: `pool12@4`.
    ///
    /// # Errors
    /// A factor out of range, or so small that nothing runs what is left.
    pub fn scaled(&self, factor: f64) -> Result<Scenario, SpecError> {
        let name = format!("{}@{factor}", self.spec.name);
        if !FACTORS.contains(&factor) {
            let must = "a number from 0.01 to 1000";
            return Err(SpecError::Range {
                file: name,
                what: "the factor of the nodes".into(),
                value: factor.to_string(),
                must,
            });
        }
        let mut spec = Spec { name: name.clone(), ..self.spec.clone() };
        spec.about = format!("{}; with {factor} times the nodes and the work", spec.about);
        for group in &mut spec.nodes {
            group.count = times(group.count, factor);
        }
        if let Some(network) = &mut spec.network {
            network.storage_gb_per_s *= factor;
        }
        scale(&mut spec.workload, factor);
        let scaled_from = Some(self.scaled_from.clone().unwrap_or_else(|| self.digest()));
        Ok(Scenario { scaled_from, ..Scenario::new(spec, &name)? })
    }

    /// The digest of the scenario that this one is a larger or smaller edition of.
    pub fn scaled_from(&self) -> Option<&str> {
        self.scaled_from.as_deref()
    }
}

/// The scenarios without those that are another of them on more or fewer nodes.
pub fn originals<S: Borrow<Scenario>>(scenarios: impl IntoIterator<Item = S>) -> Vec<S> {
    let mut scenarios: Vec<S> = scenarios.into_iter().collect();
    let digests: Vec<String> = scenarios.iter().map(|scenario| scenario.borrow().digest()).collect();
    let is_known = |original: &str| digests.iter().any(|digest| digest == original);
    scenarios.retain(|scenario| !scenario.borrow().scaled_from().is_some_and(is_known));
    scenarios
}

fn times(count: u32, factor: f64) -> u32 {
    (f64::from(count) * factor).round().clamp(1.0, f64::from(u32::MAX)) as u32
}

fn scale(source: &mut Source, factor: f64) {
    let scale_rate = |rate: &mut Rate| {
        if let Rate::PerSecond(rate) = rate {
            *rate *= factor;
        }
    };
    match source {
        Source::Training(source) => {
            source.jobs = times(source.jobs, factor);
            scale_rate(&mut source.rate);
        }
        Source::Requests(source) => {
            source.count = source.count.map(|count| times(count, factor));
            source.rate.iter_mut().for_each(scale_rate);
            source
                .streams
                .iter_mut()
                .filter_map(|stream| stream.rate_per_s.as_mut())
                .for_each(|rate| *rate *= factor);
        }
        Source::Lublin(source) => {
            source.jobs = times(source.jobs, factor);
            source.gap_factor /= factor;
        }
        Source::Clients(source) => {
            source.clients = times(source.clients, factor);
            source.count = times(source.count, factor);
        }
        Source::Pipelines(source) => {
            source.count = times(source.count, factor);
            source.per_second *= factor;
        }
        // What was recorded stays as it was: only the machines change.
        Source::Recorded(_) => {}
        Source::Mix(sources) => sources.iter_mut().for_each(|source| scale(source, factor)),
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::{Split, builtin};

    #[test]
    fn four_times_the_nodes_have_four_times_the_work() {
        for name in ["pool12", "serving-poisson", "locality"] {
            let (one, four) = (builtin(name).unwrap(), builtin(&format!("{name}@4")).unwrap());
            let worlds = [&one, &four].map(|scenario| scenario.world(Split::Test.seed(1, 0)).unwrap());
            let [small, large] = &worlds;
            assert_eq!(large.cluster.devices(), 4 * small.cluster.devices(), "{name}");
            assert_eq!(large.workload.len(), 4 * small.workload.len(), "{name}");
            let rate = |world: &crate::sim::World| {
                let jobs = &world.workload.jobs;
                jobs.len() as f64 / jobs[jobs.len() - 1].arrival.since(jobs[0].arrival).as_secs_f64()
            };
            let ratio = rate(large) / rate(small);
            assert!((3.0..5.5).contains(&ratio), "{name}: arrivals come {ratio} times as fast");
            assert_eq!(four.scaled_from(), Some(one.digest().as_str()));
        }
    }

    #[test]
    fn what_is_no_factor_is_refused() {
        let error = |name: &str| builtin(name).unwrap_err().to_string();
        assert!(error("pool12@0").contains("the factor of the nodes"), "{}", error("pool12@0"));
        assert!(error("pool12@big").contains("pool12@2"), "{}", error("pool12@big"));
        assert!(error("pool@2").contains("did you mean `pool12`"), "{}", error("pool@2"));
    }
}
