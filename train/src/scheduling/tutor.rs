//! Frozen policies that show what they would do.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use yardmaster_agent::frozen::{self, Frozen};
use yardmaster_agent::learned::Learned;
use yardmaster_env::spec::Scenario;

/// A frozen policy, of which each environment has an instance.
pub(super) struct Tutor {
    name: String,
    frozen: Frozen,
}

impl Tutor {
    /// Reads a file.
    fn load(file: &str) -> Result<Self> {
        let frozen = frozen::load(Path::new(file)).with_context(|| format!("tutor {file}"))?;
        Ok(Self { name: file.to_owned(), frozen })
    }

    /// A new instance.
    pub(super) fn policy(&self) -> Result<Learned> {
        Learned::from_frozen(self.name.as_str(), &self.frozen).with_context(|| format!("tutor {}", self.name))
    }

    /// Whether it was trained in this scenario, on however many nodes.
    fn knows(&self, scenario: &Scenario) -> bool {
        let name = base(&scenario.spec().name);
        self.frozen.card().origin.scenario.split(',').any(|known| base(known) == name)
    }
}

/// The tutor of each scenario: the first in the list that was trained in it.
///
/// # Errors
/// A file that is no policy for this program, or one that is a tutor nowhere.
pub(super) fn of(scenarios: &[Arc<Scenario>], files: &[String]) -> Result<Vec<Option<Arc<Tutor>>>> {
    let tutors = files.iter().map(|file| Tutor::load(file).map(Arc::new)).collect::<Result<Vec<_>>>()?;
    for tutor in &tutors {
        ensure!(
            scenarios.iter().any(|scenario| tutor.knows(scenario)),
            "tutor {} was trained in {}, which is none of the scenarios",
            tutor.name,
            tutor.frozen.card().origin.scenario
        );
    }
    let first = |scenario: &Arc<Scenario>| tutors.iter().find(|tutor| tutor.knows(scenario)).cloned();
    Ok(scenarios.iter().map(first).collect())
}

/// The name without the factor of its nodes.
fn base(name: &str) -> &str {
    name.split_once('@').map_or(name, |(base, _)| base)
}
