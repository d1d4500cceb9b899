//! The learner's world: scheduling. Where the simulator is plugged in.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::json;
use yardmaster_agent::evaluate::{Contestant, Row, evaluate};
use yardmaster_agent::frozen::{MIN_GOLDEN, Origin};
use yardmaster_agent::learned::prior_action;
use yardmaster_agent::net::PolicyNet;
use yardmaster_agent::policy::{Policy, play};
use yardmaster_agent::registry;
use yardmaster_env::gym::{FUTURE, SchedulingEnv, Settings};
use yardmaster_env::metrics::Metrics;
use yardmaster_env::observe::{Observation, Schema};
use yardmaster_env::sim::World as SimWorld;
use yardmaster_env::spec::{self, Scenario, Split};

use crate::config::Config;
use crate::env::{Environment, Step};
use crate::rollout::State;
use crate::trainer::{Validate, Validation};

/// Validation episodes.
const VALIDATION: u64 = 64;
/// Decisions that an export is checked with.
const STATES: usize = 256;
/// Test episodes whose digests go into a card.
const DIGESTS: usize = 4;
/// Base of the validation seeds; a setting that must not change, or scores of old runs mean something else.
const VALIDATION_BASE: u64 = 0;

/// One scheduling episode after another, in which the prior rule sets the scales.
pub struct Scheduling {
    scenario: Arc<Scenario>,
    env: SchedulingEnv,
    prior: Box<dyn Policy>,
    prior_action: Option<usize>,
    future: Vec<f32>,
    /// The prior's objective and mean completion time in this episode: the units of reward and time.
    objective: f64,
    completion_s: f64,
}

/// What training in a scenario needs.
pub struct World {
    /// `config.envs` of them.
    pub envs: Vec<Scheduling>,
    /// The features.
    pub schema: Schema,
    /// Number of the critic's own features.
    pub future: usize,
    /// Judges policies on the scenario's validation seeds.
    pub validate: Validate,
    /// What the card of an export says of the scenario; command, revision, seed and steps are filled in later.
    pub origin: Origin,
    /// Decisions to check an export with: at least as many as golden cases are needed.
    pub states: Vec<State>,
}

/// A scenario by built-in name or TOML file.
pub fn scenario(name: &str) -> Result<Scenario> {
    if !name.ends_with(".toml") {
        return Ok(spec::builtin(name)?);
    }
    let text = std::fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
    Ok(Scenario::parse(&text, name)?)
}

/// The world of a scenario.
pub fn environments(name: &str, config: &Config) -> Result<World> {
    let scenario = Arc::new(scenario(name)?);
    let spec = scenario.spec();
    registry::build(&spec.prior).with_context(|| format!("scenario {name}: its prior cannot be built"))?;
    let env = |_| Scheduling::new(Arc::clone(&scenario), config.max_decisions);
    let origin = Origin {
        schema: Schema::current(),
        prior: spec.prior.clone(),
        mask_rule: "legal candidates only, wait where the simulator allows it".to_owned(),
        objective: spec.objective.name().to_owned(),
        scenario: spec.name.clone(),
        scenario_digest: scenario.digest(),
        command: String::new(),
        revision: String::new(),
        seed: 0,
        steps: 0,
        benchmark: serde_json::Value::Null,
    };
    Ok(World {
        envs: (0..config.envs).map(env).collect::<Result<_>>()?,
        schema: Schema::current(),
        future: FUTURE,
        validate: validation(Arc::clone(&scenario))?,
        states: states(&scenario, config.max_decisions)?,
        origin,
    })
}

impl Scheduling {
    fn new(scenario: Arc<Scenario>, max_decisions: usize) -> Result<Self> {
        let settings = Settings { max_decisions: Some(max_decisions as u64), ..Settings::default() };
        let prior = registry::build(&scenario.spec().prior)?;
        let source = Arc::clone(&scenario);
        let env = SchedulingEnv::new(move |seed| episode(&source, seed), settings)?;
        let future = Vec::with_capacity(FUTURE);
        Ok(Self { scenario, env, prior, prior_action: None, future, objective: 1.0, completion_s: 1.0 })
    }

    /// Reads what the learner may see of the decision at hand.
    fn look(&mut self) {
        if let Some(view) = self.env.view() {
            self.prior_action = prior_action(&mut *self.prior, &view, self.env.candidates());
        }
        self.future.clear();
        self.env.future(&mut self.future);
    }
}

/// The world of a seed. A scenario is checked when it is read, so that each of its seeds has one.
#[allow(clippy::panic, reason = "a scenario that was checked generates every seed")]
fn episode(scenario: &Scenario, seed: u64) -> Arc<SimWorld> {
    match scenario.world(seed) {
        Ok(world) => Arc::new(world),
        Err(error) => panic!("scenario {} has no episode {seed}: {error}", scenario.spec().name),
    }
}

impl Environment for Scheduling {
    fn reset(&mut self, seed: u64) {
        let seed = Split::Train.seed(seed, 0);
        let world = episode(&self.scenario, seed);
        if let Ok(sim) = play(&world, &mut *self.prior, seed) {
            let metrics = Metrics::of(&sim);
            self.objective = metrics.objective.max(1e-12);
            self.completion_s = metrics.mean_jct_s.max(1e-12);
        }
        self.prior.reset(seed);
        if let Err(error) = self.env.begin(seed) {
            unreachable!("an episode of a checked scenario has decisions: {error}");
        }
        self.look();
    }

    fn observation(&self) -> &Observation {
        self.env.observation()
    }

    fn prior(&self) -> Option<usize> {
        self.prior_action
    }

    fn future(&self) -> &[f32] {
        &self.future
    }

    fn step(&mut self, action: usize) -> Step {
        match self.env.act(action) {
            Ok(result) => {
                if !result.terminated {
                    self.look();
                }
                Step {
                    reward: (result.reward / self.objective) as f32,
                    elapsed: (result.elapsed.as_secs_f64() / self.completion_s) as f32,
                    terminated: result.terminated,
                    truncated: result.truncated,
                }
            }
            Err(error) => unreachable!("the learner takes listed actions only: {error}"),
        }
    }

    fn score(&self) -> f64 {
        // Relative to the prior on the same episode, so that easy and hard traces count alike.
        self.env.simulator().map_or(f64::NAN, |sim| sim.cost().score() / self.objective)
    }
}

/// Compares policies with the rules on validation episodes that are generated once.
struct Judge {
    scenario: Arc<Scenario>,
    seeds: Vec<u64>,
    worlds: HashMap<u64, Arc<SimWorld>>,
    rules: Vec<Row>,
}

impl Judge {
    fn new(scenario: Arc<Scenario>) -> Result<Self> {
        let seeds: Vec<u64> =
            (0..VALIDATION).map(|number| Split::Validation.seed(VALIDATION_BASE, number)).collect();
        let worlds = seeds.iter().map(|&seed| (seed, episode(&scenario, seed))).collect();
        let mut judge = Self { scenario, seeds, worlds, rules: Vec::new() };
        let names = registry::standard(&judge.worlds[&judge.seeds[0]]);
        let rules: Vec<Contestant> = names.into_iter().map(Contestant::rule).collect::<Result<_, _>>()?;
        judge.rules = judge.rows(&rules)?;
        Ok(judge)
    }

    fn rows(&self, contestants: &[Contestant]) -> Result<Vec<Row>> {
        let world = |seed| -> Result<_> { Ok(Arc::clone(&self.worlds[&seed])) };
        evaluate(contestants, &self.seeds, world, || ())
    }

    fn judge(&self, net: &PolicyNet) -> Result<Validation> {
        let (net, prior) = (Arc::new(net.clone()), &self.scenario.spec().prior);
        let contestant = Contestant::learned("learned", net, prior)?;
        let Some(row) = self.rows(&[contestant])?.pop() else { bail!("there is one row a contestant") };
        let best = self.rules.iter().map(|row| row.mean).fold(f64::INFINITY, f64::min);
        let named = |metric: &str| format!("eval/{}/{metric}", self.scenario.spec().name);
        let rows = vec![
            (named(self.scenario.spec().objective.name()), row.mean),
            (named("mean_jct_s"), row.metrics.mean_jct_s),
            (named("slo_attainment"), row.metrics.slo_attainment),
            (named("ratio_to_best_heuristic"), row.mean / best),
        ];
        Ok(Validation { score: row.mean, rows })
    }
}

fn validation(scenario: Arc<Scenario>) -> Result<Validate> {
    let judge = Judge::new(scenario)?;
    Ok(Box::new(move |net| judge.judge(net)))
}

/// Decisions that the prior meets on validation seeds, evenly spread over an episode's length.
fn states(scenario: &Arc<Scenario>, max_decisions: usize) -> Result<Vec<State>> {
    let mut env = Scheduling::new(Arc::clone(scenario), max_decisions)?;
    let mut met = Vec::new();
    for number in 0..4 {
        env.reset(Split::Validation.seed(VALIDATION_BASE, number));
        loop {
            met.push(State {
                obs: env.observation().clone(),
                prior: env.prior(),
                future: env.future().to_vec(),
            });
            let step = env.step(env.prior().unwrap_or(0));
            if step.terminated || step.truncated {
                break;
            }
        }
    }
    let stride = (met.len() / STATES).max(1);
    let states: Vec<State> = met.into_iter().step_by(stride).take(STATES).collect();
    if states.len() < MIN_GOLDEN {
        bail!("scenario {} asks for too few decisions to freeze a policy", scenario.spec().name);
    }
    Ok(states)
}

/// What a card says of a policy's worth: its mean and ratios to the rules on test seeds, and the digests of the
/// first episodes, by which any program can prove that it makes the same choices.
pub fn benchmark(name: &str, net: &PolicyNet, episodes: u64, base: u64) -> Result<serde_json::Value> {
    let scenario = scenario(name)?;
    let prior = scenario.spec().prior.clone();
    let mut contestants = vec![Contestant::learned("learned", Arc::new(net.clone()), &prior)?];
    let seeds: Vec<u64> = (0..episodes).map(|number| Split::Test.seed(base, number)).collect();
    let world = |seed| -> Result<_> { Ok(Arc::new(scenario.world(seed)?)) };
    for rule in registry::standard(&*world(seeds[0])?) {
        contestants.push(Contestant::rule(rule)?);
    }
    let rows = evaluate(&contestants, &seeds, world, || ())?;
    let row = rows.first().context("there is one row a contestant")?;
    let digests: Vec<String> = seeds
        .iter()
        .take(DIGESTS)
        .map(|&seed| {
            let sim = play(&world(seed)?, &mut *(contestants[0].build)(), seed)?;
            Ok(format!("{:016x}", sim.digest()))
        })
        .collect::<Result<_>>()?;
    Ok(json!({
        "episodes": episodes,
        "seed": base,
        "mean": row.mean,
        "ci95": row.ci95,
        "ratio_to": row.ratio_to,
        "digests": digests,
    }))
}
