//! The learner's world: scheduling. Where the simulator is plugged in.

mod card;
mod episode;
mod judge;
mod tutor;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use yardmaster_agent::frozen::Origin;
use yardmaster_agent::registry;
use yardmaster_agent::search::Teacher;
use yardmaster_agent::tuned;
use yardmaster_env::aim::Aim;
use yardmaster_env::gym::FUTURE;
use yardmaster_env::observe::Schema;
use yardmaster_env::spec::{self, Scenario};

pub use self::card::benchmark;
pub use self::episode::Scheduling;
use crate::config::Config;
use crate::rollout::State;
use crate::trainer::Validate;

use self::tutor::Guide;

/// The rule that a policy for several scenarios starts from unless the settings say otherwise: it knows jobs, requests and batch
/// queues, with the numbers that are the best for all built-in scenarios together (docs/results/2026-11-29-generalist).
const GENERAL_PRIOR: &str = "price(alpha=1.5,fetch=3,preempt=0.3,migrate=0.7,width=1)+tardiness(patience=1)+room(wait=0.3,width=1.6,overtake=0.3)";

/// What training in one scenario or several needs.
pub struct World {
    /// `config.envs` of them; with several scenarios they take turns, a trace's rollouts together.
    pub envs: Vec<Scheduling>,
    /// The features.
    pub schema: Schema,
    /// Number of the critic's own features.
    pub future: usize,
    /// Judges policies on the validation seeds of all scenarios.
    pub validate: Validate,
    /// What the card of an export says of the scenarios; command, revision, seed and steps are filled in later.
    pub origin: Origin,
    /// Decisions to check an export with: at least as many as golden cases are needed.
    pub states: Vec<State>,
}

/// A scenario by built-in name or TOML file.
pub fn scenario(name: &str) -> Result<Scenario> {
    if !name.ends_with(".toml") {
        return Ok(spec::builtin(name)?);
    }
    let path = Path::new(name);
    let text = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let beside = |trace: &str| path.parent().unwrap_or(Path::new("")).join(trace);
    let own = text(path).map_err(anyhow::Error::msg)?;
    Ok(Scenario::parse_with(&own, name, |trace| text(&beside(trace)))?)
}

/// The scenarios of a list such as `pool12,mix`, with the objective that the settings ask for.
///
/// # Errors
/// A scenario or an objective that there is not, or a scenario that is named twice.
pub fn aimed(names: &str, config: &Config) -> Result<Vec<Arc<Scenario>>> {
    let aim = config.objective.as_deref().map(str::parse::<Aim>).transpose()?;
    let mut scenarios: Vec<Arc<Scenario>> = Vec::new();
    for name in names.split(',').map(str::trim) {
        let mut scenario = scenario(name)?;
        if let Some(aim) = &aim {
            scenario = scenario.with_aim(*aim)?;
        }
        let is_same = |other: &Arc<Scenario>| other.spec().name == scenario.spec().name;
        ensure!(!scenarios.iter().any(is_same), "scenario {name} is named twice in {names:?}");
        scenarios.push(Arc::new(scenario));
    }
    Ok(scenarios)
}

/// The world of a scenario, or of several by turns.
pub fn environments(names: &str, config: &Config) -> Result<World> {
    let scenarios = aimed(names, config)?;
    let traces = config.envs / config.rollouts_per_trace;
    ensure!(
        scenarios.len() <= traces,
        "{} scenarios take turns in {traces} traces (envs / rollouts_per_trace): set envs to {} at least",
        scenarios.len(),
        scenarios.len() * config.rollouts_per_trace
    );
    let prior = prior(&scenarios, config)?;
    registry::build(&prior).with_context(|| format!("scenario {names}: its prior cannot be built"))?;
    let teachers: Vec<Teacher> = (scenarios.iter())
        .map(|scenario| Teacher::new(scenario, config.teach_futures, config.teach_horizon))
        .collect();
    let tutors = tutor::of(&scenarios, &config.tutors, &prior)?;
    let env = |task: usize| {
        let tutor = tutors[task].as_ref().map(Guide::tutor).transpose()?;
        Scheduling::new(Arc::clone(&scenarios[task]), task, &prior, teachers[task].clone(), tutor, config)
    };
    let tasks = (0..config.envs).map(|at| at / config.rollouts_per_trace % scenarios.len());
    let all = (0..scenarios.len()).map(env).collect::<Result<_>>()?;
    Ok(World {
        states: card::states(all, names)?,
        envs: tasks.map(env).collect::<Result<_>>()?,
        schema: Schema::current(),
        future: FUTURE,
        validate: judge::validation(&scenarios, &prior, config.validation_episodes)?,
        origin: origin(&scenarios, prior),
    })
}

/// What a card says of the scenarios and the rule.
fn origin(scenarios: &[Arc<Scenario>], prior: String) -> Origin {
    let joined = |each: &dyn Fn(&Scenario) -> String| {
        scenarios.iter().map(|scenario| each(scenario)).collect::<Vec<_>>().join(",")
    };
    let objective = |scenario: &Scenario| {
        let spec = scenario.spec();
        Aim { objective: spec.objective, prices: spec.prices }.name()
    };
    let mut objectives: Vec<String> = scenarios.iter().map(|scenario| objective(scenario)).collect();
    objectives.dedup();
    Origin {
        schema: Schema::current(),
        prior,
        mask_rule: "legal candidates only, wait where the simulator allows it".to_owned(),
        objective: objectives.join(","),
        scenario: joined(&|scenario| scenario.spec().name.clone()),
        scenario_digest: joined(&Scenario::digest),
        command: String::new(),
        revision: String::new(),
        seed: 0,
        steps: 0,
        benchmark: serde_json::Value::Null,
    }
}

/// The rule that a policy is to start from: as the settings say; or the best tuned one of the scenario, or its own; for
/// several scenarios one that knows all kinds of work.
fn prior(scenarios: &[Arc<Scenario>], config: &Config) -> Result<String> {
    if let Some(prior) = &config.prior {
        return Ok(prior.clone());
    }
    let [scenario] = scenarios else { return Ok(GENERAL_PRIOR.to_owned()) };
    let tuned = tuned::embedded(scenario)?;
    let best = tuned.as_ref().and_then(tuned::Tuned::best);
    Ok(best.unwrap_or(&scenario.spec().prior).to_owned())
}
