//! The learner's world: scheduling. Where the simulator is plugged in.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rand::{Rng, RngExt};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::json;
use yardmaster_agent::evaluate::{Contestant, Row, evaluate};
use yardmaster_agent::frozen::{MIN_GOLDEN, Origin};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::net::PolicyNet;
use yardmaster_agent::policy::{Policy, play};
use yardmaster_agent::registry;
use yardmaster_agent::search::Teacher;
use yardmaster_agent::tuned;
use yardmaster_env::aim::Aim;
use yardmaster_env::gym::{FUTURE, SchedulingEnv, Settings};
use yardmaster_env::metrics::Metrics;
use yardmaster_env::observe::{Observation, Schema};
use yardmaster_env::sim::World as SimWorld;
use yardmaster_env::spec::{self, Scenario, Split};
use yardmaster_env::view::Decision;

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
    teacher: Teacher,
    /// Actions that the teacher tries at most.
    tries: usize,
    /// Standard errors that are added to what an action costs.
    caution: f64,
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

/// A scenario with the objective that the settings ask for.
///
/// # Errors
/// A scenario or an objective that there is not.
pub fn aimed(name: &str, config: &Config) -> Result<Scenario> {
    let scenario = scenario(name)?;
    let Some(objective) = &config.objective else { return Ok(scenario) };
    let aim: Aim = objective.parse()?;
    Ok(scenario.with_aim(aim)?)
}

/// The world of a scenario.
pub fn environments(name: &str, config: &Config) -> Result<World> {
    let scenario = Arc::new(aimed(name, config)?);
    let spec = scenario.spec();
    let prior = prior(&scenario, config)?;
    registry::build(&prior).with_context(|| format!("scenario {name}: its prior cannot be built"))?;
    let teacher = Teacher::new(&scenario, config.teach_futures, config.teach_horizon);
    let env = |_| Scheduling::new(Arc::clone(&scenario), &prior, teacher.clone(), config);
    let origin = Origin {
        schema: Schema::current(),
        prior: prior.clone(),
        mask_rule: "legal candidates only, wait where the simulator allows it".to_owned(),
        objective: Aim { objective: spec.objective, prices: spec.prices }.name(),
        scenario: spec.name.clone(),
        scenario_digest: scenario.digest(),
        command: String::new(),
        revision: String::new(),
        seed: 0,
        steps: 0,
        benchmark: serde_json::Value::Null,
    };
    Ok(World {
        states: states(env(0)?, &spec.name)?,
        envs: (0..config.envs).map(env).collect::<Result<_>>()?,
        schema: Schema::current(),
        future: FUTURE,
        validate: validation(Arc::clone(&scenario), prior)?,
        origin,
    })
}

/// The rule that a policy is to start from: as the settings say, or the best tuned one, or the scenario's own.
fn prior(scenario: &Scenario, config: &Config) -> Result<String> {
    let tuned = tuned::embedded(scenario)?;
    let best = tuned.as_ref().and_then(tuned::Tuned::best);
    let prior = config.prior.as_deref().or(best).unwrap_or(&scenario.spec().prior);
    Ok(prior.to_owned())
}

impl Scheduling {
    fn new(scenario: Arc<Scenario>, prior: &str, teacher: Teacher, config: &Config) -> Result<Self> {
        let settings = Settings { max_decisions: Some(config.max_decisions as u64), ..Settings::default() };
        let prior = registry::build(prior)?;
        let source = Arc::clone(&scenario);
        let env = SchedulingEnv::new(move |seed| episode(&source, seed), settings)?;
        let future = Vec::with_capacity(FUTURE);
        let (tries, caution) = (config.teach_actions, config.teach_caution);
        let (objective, completion_s) = (1.0, 1.0);
        Ok(Self { scenario, env, prior, teacher, tries, caution, future, objective, completion_s })
    }

    /// Reads what the critic may see of the decision at hand.
    fn look(&mut self) {
        self.future.clear();
        self.env.future(&mut self.future);
    }

    /// The actions to try: the prior's first, to wait, to cut off, and of the others as many as there is room for.
    fn tries(&self, prior: usize, random: &mut Xoshiro256PlusPlus) -> Vec<usize> {
        let candidates = self.env.candidates();
        let is_start = |action: &usize| {
            candidates
                .list
                .get(*action)
                .is_some_and(|candidate| candidates.works[candidate.work].run.is_none())
        };
        let others = (0..candidates.actions()).filter(|action| *action != prior);
        let (mut starts, mut tries): (Vec<usize>, Vec<usize>) = others.partition(is_start);
        tries.insert(0, prior);
        while tries.len() < self.tries && !starts.is_empty() {
            tries.push(starts.swap_remove(random.random_range(0..starts.len())));
        }
        tries
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

impl Scheduling {
    /// The prior built anew, for one that cannot be copied.
    #[allow(clippy::panic, reason = "it was built before by the same name")]
    fn fresh_prior(&self) -> Box<dyn Policy> {
        registry::build(self.prior.name())
            .unwrap_or_else(|error| panic!("the prior was built before: {error}"))
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
        let prior = &mut self.prior;
        if let Err(error) = self.env.begin_advised(seed, |view| Some(prior.decide(view))) {
            unreachable!("an episode of a checked scenario has decisions: {error}");
        }
        self.look();
    }

    fn observation(&self) -> &Observation {
        self.env.observation()
    }

    fn prior(&self) -> Option<usize> {
        self.env.candidates().proposal()
    }

    fn future(&self) -> &[f32] {
        &self.future
    }

    fn regrets(
        &mut self,
        tail: Option<&Arc<PolicyNet>>,
        random: &mut Xoshiro256PlusPlus,
    ) -> Option<Vec<f32>> {
        let (view, prior) = (self.env.view()?, self.prior()?);
        let candidates = self.env.candidates();
        let tries = self.tries(prior, random);
        let decisions: Option<Vec<Decision>> =
            tries.iter().map(|&action| candidates.decision(&view, action)).collect();
        let rule = || self.prior.fork().unwrap_or_else(|| self.fresh_prior());
        let mut tail = || match tail {
            Some(net) => Box::new(Learned::with_prior("tail", Arc::clone(net), rule())),
            None => rule(),
        };
        let found = self.teacher.regrets(&view, &decisions?, &mut tail, random.next_u64())?;
        let mut regrets = vec![f32::NAN; candidates.actions()];
        for (&action, found) in tries.iter().zip(&found) {
            let cautious = |(mean, error): (f64, f64)| (mean + self.caution * error) / self.objective;
            regrets[action] = found.map_or(f32::NAN, |found| cautious(found) as f32);
        }
        Some(regrets)
    }

    fn step(&mut self, action: usize) -> Step {
        let prior = &mut self.prior;
        match self.env.act_advised(action, |view| Some(prior.decide(view))) {
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
    prior: String,
    seeds: Vec<u64>,
    worlds: HashMap<u64, Arc<SimWorld>>,
    rules: Vec<Row>,
}

impl Judge {
    fn new(scenario: Arc<Scenario>, prior: String) -> Result<Self> {
        let seeds: Vec<u64> =
            (0..VALIDATION).map(|number| Split::Validation.seed(VALIDATION_BASE, number)).collect();
        let worlds: HashMap<u64, Arc<SimWorld>> =
            seeds.iter().map(|&seed| (seed, episode(&scenario, seed))).collect();
        let mut names: Vec<String> = match tuned::embedded(&scenario)? {
            Some(tuned) => tuned.policies.into_iter().map(|rule| rule.tuned).collect(),
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

    fn judge(&self, net: &PolicyNet) -> Result<Validation> {
        let contestant = Contestant::learned("learned", Arc::new(net.clone()), &self.prior)?;
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

fn validation(scenario: Arc<Scenario>, prior: String) -> Result<Validate> {
    let judge = Judge::new(scenario, prior)?;
    Ok(Box::new(move |net| judge.judge(net)))
}

/// Decisions that the prior meets on validation seeds, evenly spread over an episode's length.
fn states(mut env: Scheduling, name: &str) -> Result<Vec<State>> {
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
        bail!("scenario {name} asks for too few decisions to freeze a policy");
    }
    Ok(states)
}

/// What a card says of a policy's worth: its mean and ratios to the rules on test seeds, and the digests of the
/// first episodes, by which any program can prove that it makes the same choices.
pub fn benchmark(
    scenario: &Scenario,
    net: &PolicyNet,
    prior: &str,
    episodes: u64,
    base: u64,
) -> Result<serde_json::Value> {
    let mut contestants = vec![Contestant::learned("learned", Arc::new(net.clone()), prior)?];
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
