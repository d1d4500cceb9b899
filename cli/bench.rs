//! `yardmaster bench`: the same held-out episodes for every policy.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use yardmaster_agent::evaluate::{Contestant, Row, evaluate};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::registry;
use yardmaster_env::spec::{BUILTIN, Scenario, Split};

use crate::args::Bench;
use crate::input;
use crate::output::Output;
use crate::report;
use crate::speed;

/// The comparison on one scenario; `--json` writes a list of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// Its name.
    pub(crate) scenario: String,
    /// What is to be made small.
    pub(crate) objective: String,
    /// The unit of the objective.
    pub(crate) unit: String,
    /// Test episodes.
    pub(crate) episodes: u64,
    /// Which test episodes.
    pub(crate) seed: u64,
    /// Digest of what the scenario says.
    pub(crate) scenario_digest: String,
    /// One row a policy.
    pub(crate) policies: Vec<Row>,
}

/// Runs the command.
pub(crate) fn run(args: &Bench) -> Result<()> {
    if args.speed {
        return speed::run(args);
    }
    let [json, markdown] =
        Output::all([("--json", args.json.as_deref()), ("--markdown", args.markdown.as_deref())])?;
    check_columns(&args.columns)?;
    let scenarios = scenarios(&args.scenario)?;
    let bar = ProgressBar::new(args.episodes * scenarios.len() as u64);
    bar.set_style(ProgressStyle::with_template("{msg:>16} [{bar:40}] {pos}/{len} episodes, {eta} left")?);
    let mut comparisons = Vec::new();
    for scenario in &scenarios {
        bar.set_message(scenario.spec().name.clone());
        comparisons.push(compare(args, scenario, &bar)?);
    }
    bar.finish_and_clear();
    let quiet = [&json, &markdown].into_iter().flatten().any(Output::is_stdout);
    if !quiet {
        Output::Stdout.write(&report::terminal(&comparisons, &args.columns))?;
    }
    if let Some(json) = json {
        json.write(&(serde_json::to_string_pretty(&comparisons)? + "\n"))?;
    }
    if let Some(markdown) = markdown {
        markdown.write(&report::markdown(&comparisons, &args.columns))?;
    }
    Ok(())
}

fn check_columns(columns: &[String]) -> Result<()> {
    let known = report::measures();
    let unknown = columns.iter().find(|column| !known.contains(column));
    match unknown {
        Some(column) => bail!("unknown column {column:?}; there are {}", known.join(", ")),
        None => Ok(()),
    }
}

fn scenarios(names: &[String]) -> Result<Vec<Scenario>> {
    let all: Vec<String> = BUILTIN.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = if names.iter().any(|name| name == "all") { &all } else { names };
    names.iter().map(|name| input::scenario(name)).collect()
}

fn compare(args: &Bench, scenario: &Scenario, bar: &ProgressBar) -> Result<Comparison> {
    let contestants = contestants(args, scenario)?;
    let seeds: Vec<u64> = (0..args.episodes).map(|number| Split::Test.seed(args.seed, number)).collect();
    let world = |seed| -> Result<_> { Ok(Arc::new(scenario.world(seed)?)) };
    let policies = evaluate(&contestants, &seeds, world, || bar.inc(1))?;
    let spec = scenario.spec();
    Ok(Comparison {
        scenario: spec.name.clone(),
        objective: spec.objective.name().to_owned(),
        unit: spec.objective.unit().to_owned(),
        episodes: args.episodes,
        seed: args.seed,
        scenario_digest: scenario.digest(),
        policies,
    })
}

fn contestants(args: &Bench, scenario: &Scenario) -> Result<Vec<Contestant>> {
    let mut contestants = Vec::new();
    for name in names(&args.policies, scenario)? {
        contestants.push(Contestant::rule_in(&name, scenario)?);
    }
    for path in &args.checkpoint {
        let frozen = input::policy(path)?;
        let name = learned_name(path);
        let refused = || format!("{} is not a usable frozen policy", path.display());
        Learned::from_frozen(name.as_str(), &frozen).with_context(refused)?;
        let net = Arc::new(frozen.net().clone());
        contestants.push(Contestant::learned(&name, net, &frozen.card().origin.prior)?);
    }
    for (at, Contestant { name, .. }) in contestants.iter().enumerate() {
        ensure!(contestants[..at].iter().all(|other| other.name != *name), "{name} takes part twice");
    }
    Ok(contestants)
}

/// The file's name without its ending; with folder and ending where a rule has that name.
fn learned_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if registry::build(&stem).is_ok() { path.display().to_string() } else { stem }
}

/// The policies asked for.
fn names(list: &str, scenario: &Scenario) -> Result<Vec<String>> {
    if list != "all" {
        return Ok(registry::split_list(list));
    }
    let world = scenario.world(Split::Test.seed(0, 0))?;
    Ok(registry::standard(&world).into_iter().map(str::to_owned).collect())
}
