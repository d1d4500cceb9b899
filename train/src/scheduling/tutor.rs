//! Policies that show what they would do: frozen ones, and the rules that were tuned for a scenario.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use yardmaster_agent::evaluate::{Contestant, evaluate};
use yardmaster_agent::frozen::{self, Frozen};
use yardmaster_agent::tuned::{self, Tuned};
use yardmaster_env::observe::Schema;
use yardmaster_env::spec::{Scenario, Split};

use super::episode::episode;

/// Training episodes on which tutors are compared.
const EPISODES: u64 = 12;
/// Base of their seeds.
const BASE: u64 = u64::MAX;

/// A frozen policy.
struct File {
    name: String,
    frozen: Frozen,
}

impl File {
    fn load(name: &str) -> Result<Self> {
        let load = || -> Result<Frozen> {
            let frozen = frozen::load(Path::new(name))?;
            frozen.check_schema(&Schema::current())?;
            frozen.verify_golden()?;
            Ok(frozen)
        };
        Ok(Self { name: name.to_owned(), frozen: load().with_context(|| format!("tutor {name}"))? })
    }

    /// Where it was trained.
    fn home(&self) -> &str {
        &self.frozen.card().origin.scenario
    }

    /// Whether it was trained in this scenario, on however many nodes.
    fn knows(&self, scenario: &Scenario) -> bool {
        let name = base(&scenario.spec().name);
        self.home().split(',').any(|known| base(known) == name)
    }

    fn contestant(&self) -> Result<Contestant> {
        let net = Arc::new(self.frozen.net().clone());
        let contestant = Contestant::learned(&self.name, net, &self.frozen.card().origin.prior);
        contestant.with_context(|| format!("tutor {}", self.name))
    }
}

/// The tutor of each scenario: the best of the files that were trained in it, on however many nodes, and of the rule that
/// was tuned for it; nobody where the policy's own prior is as good. Without files there is none anywhere.
///
/// # Errors
/// A file that is no policy for this program, or one that was trained in none of the scenarios.
pub(super) fn of(
    scenarios: &[Arc<Scenario>],
    files: &[String],
    prior: &str,
) -> Result<Vec<Option<Arc<Contestant>>>> {
    let files = files.iter().map(|file| File::load(file)).collect::<Result<Vec<_>>>()?;
    for file in &files {
        ensure!(
            scenarios.iter().any(|scenario| file.knows(scenario)),
            "tutor {} was trained in {}, which is none of the scenarios",
            file.name,
            file.home()
        );
    }
    if files.is_empty() {
        return Ok(vec![None; scenarios.len()]);
    }
    let tutor = |scenario: &Arc<Scenario>| {
        let known = files.iter().filter(|file| file.knows(scenario));
        let mut candidates = known.map(File::contestant).collect::<Result<Vec<_>>>()?;
        let tuned = tuned::embedded(scenario)?;
        if let Some(rule) = tuned.as_ref().and_then(Tuned::best).filter(|rule| *rule != prior) {
            candidates.push(Contestant::rule(rule)?);
        }
        best(scenario, prior, candidates)
    };
    scenarios.iter().map(tutor).collect()
}

/// Who is better than the prior by most, if anyone is.
fn best(
    scenario: &Scenario,
    prior: &str,
    mut candidates: Vec<Contestant>,
) -> Result<Option<Arc<Contestant>>> {
    let seeds: Vec<u64> = (0..EPISODES).map(|number| Split::Train.seed(BASE, number)).collect();
    candidates.insert(0, Contestant::rule(prior)?);
    let rows = evaluate(&candidates, &seeds, |seed| -> Result<_> { Ok(episode(scenario, seed)) }, || ())?;
    let means: Vec<f64> = candidates
        .iter()
        .map(|one| rows.iter().find(|row| row.policy == one.name).map_or(f64::INFINITY, |row| row.mean))
        .collect();
    let lowest = (0..means.len()).reduce(|best, next| if means[next] < means[best] { next } else { best });
    let Some(lowest) = lowest.filter(|&at| at > 0) else { return Ok(None) };
    let tutor = candidates.swap_remove(lowest);
    eprintln!(
        "{}: the tutor is {}, at {:.3} of the prior",
        scenario.spec().name,
        tutor.name,
        means[lowest] / means[0]
    );
    Ok(Some(Arc::new(tutor)))
}

/// The name without the factor of its nodes.
fn base(name: &str) -> &str {
    name.split_once('@').map_or(name, |(base, _)| base)
}

#[cfg(test)]
mod tests {
    use yardmaster_env::spec::builtin;

    use super::*;

    #[test]
    fn the_best_is_the_tutor_and_nobody_who_is_worse_than_the_prior() {
        let scenario = builtin("tiny").unwrap();
        let tutor = |prior: &str, names: &[&str]| {
            let candidates = names.iter().map(|name| Contestant::rule(name).unwrap()).collect();
            best(&scenario, prior, candidates).unwrap().map(|tutor| tutor.name.clone())
        };
        assert_eq!(tutor("random", &["fcfs", "mct"]).as_deref(), Some("mct"));
        assert_eq!(tutor("mct", &["random", "fcfs"]), None);
        assert_eq!(tutor("mct", &["mct"]), None, "as good is not better");
        assert_eq!(tutor("mct", &[]), None);
    }

    #[test]
    fn a_scenario_is_known_on_other_numbers_of_nodes() {
        assert_eq!(["pool12", "pool12@0.5", "datacenter@0.25"].map(base), ["pool12", "pool12", "datacenter"]);
    }
}
