//! What a sweep consists of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use toml::{Table, Value};

use crate::config::Config;
use crate::scheduling::scenario;

/// The file of a sweep.
///
/// ```toml
/// scenarios = ["pool12"]            # built-in names or TOML files
/// seeds = [1, 2, 3]                 # of each variant in each scenario
/// jobs = 2                          # runs at once; 1 if left out
/// test = true                       # also freeze each policy and judge it on test episodes
///
/// [config]                          # settings of all runs, as in a `--config` file
/// steps = 500000
///
/// [grid]                            # every combination of these
/// learning_rate = [1e-3, 3e-4]
///
/// [[variants]]                      # each with every combination; without any there is one, `base`
/// name = "no prior"
/// config = { prior_start = 0.0, prior_end = 0.0 }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Where to train.
    pub scenarios: Vec<String>,
    /// Training seeds.
    pub seeds: Vec<u64>,
    /// Runs at once.
    #[serde(default = "one")]
    pub jobs: usize,
    /// Whether to judge each policy on test episodes too.
    #[serde(default)]
    pub test: bool,
    /// Settings of all runs.
    #[serde(default)]
    pub config: Table,
    /// Settings with several values each.
    #[serde(default)]
    pub grid: BTreeMap<String, Vec<Value>>,
    /// Settings under a name.
    #[serde(default)]
    pub variants: Vec<Variant>,
}

/// Settings under a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// In what it differs.
    #[serde(default)]
    pub config: Table,
}

fn one() -> usize {
    1
}

/// A sweep that can be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to train.
    pub scenarios: Vec<String>,
    /// Names of the variants, with grid values.
    pub variants: Vec<String>,
    /// Every run: by scenario, then variant, then seed.
    pub tasks: Vec<Task>,
    /// Runs at once.
    pub jobs: usize,
    /// Whether to judge on test episodes.
    pub test: bool,
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Where it trains.
    pub scenario: String,
    /// Which variant.
    pub variant: String,
    /// Its settings, the seed among them.
    pub config: Config,
}

impl Task {
    /// Its folder, within that of the sweep.
    pub fn folder(&self) -> PathBuf {
        let folder = PathBuf::from(file_name(&self.scenario)).join(file_name(&self.variant));
        folder.join(format!("seed-{}", self.config.seed))
    }
}

/// A name that any file system takes.
pub fn file_name(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name).trim_end_matches(".toml");
    let keep = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '=' | ',');
    name.chars().map(|letter| if keep(letter) { letter } else { '-' }).collect()
}

impl Plan {
    /// Checks a specification and lists its runs.
    ///
    /// # Errors
    /// Scenarios that there are not, settings that there are not or that nobody can train with, names that collide.
    pub fn new(spec: &Spec) -> Result<Plan> {
        ensure!(!spec.scenarios.is_empty(), "`scenarios` is empty: name at least one");
        ensure!(!spec.seeds.is_empty(), "`seeds` is empty: give at least one");
        ensure!(spec.jobs > 0, "`jobs` must be at least 1");
        for (key, values) in &spec.grid {
            ensure!(!values.is_empty(), "grid: `{key}` has no values");
        }
        let named = spec.config.contains_key("seed") || spec.grid.contains_key("seed");
        ensure!(!named, "`seed` is set by `seeds`: take it out of `config` and `grid`");
        for name in &spec.scenarios {
            scenario(name)?;
        }
        let variants = variants(spec);
        let mut tasks = Vec::new();
        for name in &spec.scenarios {
            for (variant, settings) in &variants {
                for &seed in &spec.seeds {
                    let config = config(settings, seed).with_context(|| format!("variant {variant:?}"))?;
                    tasks.push(Task { scenario: name.clone(), variant: variant.clone(), config });
                }
            }
        }
        for (at, task) in tasks.iter().enumerate() {
            let same = tasks[..at].iter().find(|other| other.folder() == task.folder());
            if let Some(Task { scenario, variant, config }) = same {
                let seed = config.seed;
                anyhow::bail!(
                    "two runs are called {variant:?} with seed {seed} in {scenario}: give them other names"
                );
            }
        }
        Ok(Plan {
            scenarios: spec.scenarios.clone(),
            variants: variants.into_iter().map(|(name, _)| name).collect(),
            tasks,
            jobs: spec.jobs,
            test: spec.test,
        })
    }
}

/// Every variant in every combination of the grid: name and settings.
fn variants(spec: &Spec) -> Vec<(String, Table)> {
    let base = [Variant { name: String::new(), config: Table::new() }];
    let named = if spec.variants.is_empty() { &base[..] } else { &spec.variants };
    let mut all: Vec<(String, Table)> =
        (named.iter()).map(|variant| (variant.name.clone(), merged(&spec.config, &variant.config))).collect();
    for (key, values) in &spec.grid {
        let each = |(name, settings): &(String, Table)| -> Vec<(String, Table)> {
            let with = |value: &Value| {
                let comma = if name.is_empty() { "" } else { "," };
                let mut settings = settings.clone();
                settings.insert(key.clone(), value.clone());
                (format!("{name}{comma}{key}={}", value.to_string().trim_matches('"')), settings)
            };
            values.iter().map(with).collect()
        };
        all = all.iter().flat_map(each).collect();
    }
    let name = |name: String| if name.is_empty() { "base".to_owned() } else { name };
    all.into_iter().map(|(own, settings)| (name(own), settings)).collect()
}

/// The second table takes precedence, within tables too.
fn merged(under: &Table, over: &Table) -> Table {
    let mut all = under.clone();
    for (key, value) in over {
        let value = match (all.get(key), value) {
            (Some(Value::Table(own)), Value::Table(value)) => Value::Table(merged(own, value)),
            _ => value.clone(),
        };
        all.insert(key.clone(), value);
    }
    all
}

fn config(settings: &Table, seed: u64) -> Result<Config> {
    let config: Config = Value::Table(settings.clone()).try_into()?;
    let config = Config { seed, ..config };
    config.check()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan> {
        Plan::new(&toml::from_str(text)?)
    }

    const SWEEP: &str = r#"
        scenarios = ["tiny", "pool12"]
        seeds = [1, 2]
        [config]
        steps = 4000
        sizes = { hidden = 16 }
        [grid]
        epochs = [1, 2]
        learning_rate = [1e-3]
        [[variants]]
        name = "plain"
        [[variants]]
        name = "no prior"
        config = { prior_start = 0.0, steps = 9000, sizes = { embed = 8 } }
    "#;

    #[test]
    fn every_combination_is_a_run_in_a_folder_of_its_own() {
        let plan = plan(SWEEP).unwrap();
        assert_eq!((plan.tasks.len(), plan.jobs, plan.test), (2 * 2 * 2 * 2, 1, false));
        assert_eq!(
            plan.variants,
            [
                "plain,epochs=1,learning_rate=0.001",
                "plain,epochs=2,learning_rate=0.001",
                "no prior,epochs=1,learning_rate=0.001",
                "no prior,epochs=2,learning_rate=0.001"
            ]
        );
        let task = &plan.tasks[7];
        assert_eq!((task.scenario.as_str(), task.config.seed, task.config.epochs), ("tiny", 2, 2));
        assert_eq!((task.config.steps, task.config.prior_start), (9000, 0.0));
        assert_eq!((task.config.sizes.hidden, task.config.sizes.embed), (16, 8), "tables are merged");
        assert_eq!(plan.tasks[0].config.steps, 4000);
        let folder = task.folder();
        assert_eq!(folder.to_str().unwrap(), "tiny/no-prior,epochs=2,learning_rate=0.001/seed-2");
    }

    #[test]
    fn without_variants_there_is_one() {
        let plan = plan("scenarios = [\"tiny\"]\nseeds = [3]\njobs = 4\ntest = true").unwrap();
        assert_eq!((plan.variants, plan.jobs, plan.test), (vec!["base".to_owned()], 4, true));
        assert_eq!(plan.tasks[0].config, Config { seed: 3, ..Config::default() });
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        let error = |text: &str| format!("{:#}", plan(text).unwrap_err());
        let head = "scenarios = [\"tiny\"]\nseeds = [1]\n";
        let with = |more: &str| error(&format!("{head}{more}"));
        assert!(with("[grid]\nstepz = [1]").contains("variant \"stepz=1\""));
        assert!(with("[grid]\nstepz = [1]").contains("unknown field `stepz`"));
        assert!(with("[grid]\nsteps = []").contains("`steps` has no values"));
        assert!(with("[config]\nenvs = 0").contains("envs must be at least 1"));
        assert!(with("[config]\nseed = 4").contains("`seed` is set by `seeds`"));
        assert!(with("jobz = 3").contains("jobz"));
        assert!(with("jobs = 0").contains("`jobs` must be at least 1"));
        assert!(
            with("[[variants]]\nname = \"a b\"\n[[variants]]\nname = \"a-b\"")
                .contains("give them other names")
        );
        assert!(error("scenarios = [\"tyni\"]\nseeds = [1]").contains("tyni"));
        assert!(error("scenarios = []\nseeds = [1]").contains("name at least one"));
        assert!(error("scenarios = [\"tiny\"]\nseeds = []").contains("give at least one"));
    }
}
