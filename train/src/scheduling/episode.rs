//! Episodes of one scenario, as the learner plays them.

use std::sync::Arc;

use anyhow::Result;
use rand::{Rng, RngExt};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_agent::learned::Learned;
use yardmaster_agent::net::{PolicyNet, Scratch};
use yardmaster_agent::policy::{Policy, play};
use yardmaster_agent::registry;
use yardmaster_agent::search::Teacher;
use yardmaster_env::gym::{FUTURE, SchedulingEnv, Settings};
use yardmaster_env::metrics::Metrics;
use yardmaster_env::observe::Observation;
use yardmaster_env::sim::World;
use yardmaster_env::spec::{Scenario, Split};
use yardmaster_env::view::Decision;

use crate::config::Config;
use crate::env::{Environment, Step};

use super::tutor::Tutor;

/// One scheduling episode after another, in which the prior rule sets the scales.
pub struct Scheduling {
    scenario: Arc<Scenario>,
    /// Number of the scenario among those that are trained in.
    task: usize,
    env: SchedulingEnv,
    prior: Box<dyn Policy>,
    teacher: Teacher,
    /// Who knows the way here.
    tutor: Option<Tutor>,
    /// Actions that the teacher tries at most, with the prior and with the policy deciding what follows.
    tries: [usize; 2],
    /// Of those with the prior, how many cut off at most, and how many are the policy's likeliest.
    cuts: usize,
    likely: usize,
    scratch: Scratch,
    /// Standard errors that are added to what an action costs.
    caution: f64,
    /// Whether that counts relative to the prior's objective.
    relative: bool,
    future: Vec<f32>,
    /// Whether the critic sees it.
    foresees: bool,
    /// Whether rewards are in units of the prior's objective.
    scales: bool,
    /// The prior's objective and mean completion time in this episode: the units of reward and time.
    objective: f64,
    completion_s: f64,
    /// Decisions that the prior takes in it.
    length: usize,
}

impl Scheduling {
    /// Episodes of this scenario, the `task`-th of those that are trained in.
    pub(super) fn new(
        scenario: Arc<Scenario>,
        task: usize,
        prior: &str,
        teacher: Teacher,
        tutor: Option<Tutor>,
        config: &Config,
    ) -> Result<Self> {
        let settings = Settings { max_decisions: Some(config.max_decisions as u64), ..Settings::default() };
        let prior = registry::build(prior)?;
        let source = Arc::clone(&scenario);
        let env = SchedulingEnv::new(move |seed| episode(&source, seed), settings)?;
        let future = Vec::with_capacity(FUTURE);
        let tries = [config.teach_actions, config.teach_tail_actions];
        let (caution, relative) = (config.teach_caution, config.teach_relative);
        let (foresees, scales) = (config.critic_future, config.reward_relative);
        let (objective, completion_s, length) = (1.0, 1.0, 1);
        Ok(Self {
            scenario,
            task,
            env,
            prior,
            teacher,
            tutor,
            tries,
            cuts: config.teach_cuts,
            likely: config.teach_likely,
            scratch: Scratch::default(),
            caution,
            relative,
            future,
            foresees,
            scales,
            objective,
            completion_s,
            length,
        })
    }

    /// The prior built anew, for one that cannot be copied.
    #[allow(clippy::panic, reason = "it was built before by the same name")]
    fn fresh_prior(&self) -> Box<dyn Policy> {
        registry::build(self.prior.name())
            .unwrap_or_else(|error| panic!("the prior was built before: {error}"))
    }

    /// Reads what the critic may see of the decision at hand.
    fn look(&mut self) {
        self.future.clear();
        self.env.future(&mut self.future);
        if !self.foresees {
            self.future.fill(0.0);
        }
    }

    /// The actions to try: the prior's first, to wait, of those that cut off and of those that the policy finds likeliest as many
    /// as the settings say, and of the others as many as there is room for.
    fn tries(&mut self, prior: usize, net: &PolicyNet, random: &mut Xoshiro256PlusPlus) -> Vec<usize> {
        let mut drawn = |from: &mut Vec<usize>| from.swap_remove(random.random_range(0..from.len()));
        let candidates = self.env.candidates();
        let wait = candidates.wait.then_some(candidates.list.len()).filter(|&wait| wait != prior);
        let others = (0..candidates.list.len()).filter(|&action| action != prior);
        let (mut starts, mut cuts): (Vec<usize>, Vec<usize>) = others.partition(|&at| self.is_start(at));
        while cuts.len() > self.cuts {
            drawn(&mut cuts);
        }
        let mut tries: Vec<usize> = std::iter::once(prior).chain(cuts).chain(wait).collect();
        if self.likely > 0 {
            let likeliest = self.likeliest(prior, net);
            let missing =
                likeliest.into_iter().take(self.likely + 1).filter(|action| !tries.contains(action));
            let missing: Vec<usize> = missing.collect();
            starts.retain(|start| !missing.contains(start));
            tries.extend(missing);
        }
        while tries.len() < self.tries[0] && !starts.is_empty() {
            tries.push(drawn(&mut starts));
        }
        tries
    }

    /// Whether the action starts something: neither waits nor cuts off.
    fn is_start(&self, action: usize) -> bool {
        let candidates = self.env.candidates();
        let candidate = candidates.list.get(action);
        candidate.is_some_and(|candidate| candidates.works[candidate.work].run.is_none())
    }

    /// The prior's action, and the others from the one that a policy finds likeliest.
    fn likeliest(&mut self, prior: usize, net: &PolicyNet) -> Vec<usize> {
        let logits = net.logits(self.env.observation(), Some(prior), &mut self.scratch);
        let mut others: Vec<usize> = (0..logits.len()).filter(|action| *action != prior).collect();
        others.sort_by(|&one, &other| logits[other].total_cmp(&logits[one]));
        std::iter::once(prior).chain(others).collect()
    }
}

/// The world of a seed. A scenario is checked when it is read, so that each of its seeds has one.
#[allow(clippy::panic, reason = "a scenario that was checked generates every seed")]
pub(super) fn episode(scenario: &Scenario, seed: u64) -> Arc<World> {
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
            self.length = sim.decisions() as usize;
        }
        self.prior.reset(seed);
        if let Some(tutor) = &mut self.tutor {
            tutor.reset(seed);
        }
        let prior = &mut self.prior;
        if let Err(error) = self.env.begin_advised(seed, |view| Some(prior.decide(view))) {
            unreachable!("an episode of a checked scenario has decisions: {error}");
        }
        self.look();
    }

    fn task(&self) -> usize {
        self.task
    }

    fn length(&self) -> usize {
        self.length
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
        net: &Arc<PolicyNet>,
        is_tail: bool,
        random: &mut Xoshiro256PlusPlus,
    ) -> Option<Vec<f32>> {
        let prior = self.prior()?;
        let tries = if is_tail {
            self.likeliest(prior, net).into_iter().take(self.tries[1]).collect()
        } else {
            self.tries(prior, net, random)
        };
        let (view, candidates) = (self.env.view()?, self.env.candidates());
        let decisions: Option<Vec<Decision>> =
            tries.iter().map(|&action| candidates.decision(&view, action)).collect();
        let rule = || self.prior.fork().unwrap_or_else(|| self.fresh_prior());
        let mut tail = || match is_tail {
            true => Box::new(Learned::with_prior("tail", Arc::clone(net), rule())),
            false => rule(),
        };
        let found = self.teacher.regrets(&view, &decisions?, &mut tail, random.next_u64())?;
        let mut regrets = vec![f32::NAN; candidates.actions()];
        let unit = if self.relative { self.objective } else { 1.0 };
        for (&action, found) in tries.iter().zip(&found) {
            let cautious = |(mean, error): (f64, f64)| (mean + self.caution * error) / unit;
            regrets[action] = found.map_or(f32::NAN, |found| cautious(found) as f32);
        }
        Some(regrets)
    }

    fn example(&mut self) -> Option<Vec<f32>> {
        self.tutor.as_mut()?.example(&self.env.view()?, self.env.candidates())
    }

    fn has_tutor(&self) -> bool {
        self.tutor.is_some()
    }

    fn step(&mut self, action: usize) -> Step {
        let unit = if self.scales { self.objective } else { 1.0 };
        let prior = &mut self.prior;
        match self.env.act_advised(action, |view| Some(prior.decide(view))) {
            Ok(result) => {
                if !result.terminated {
                    self.look();
                }
                Step {
                    reward: (result.reward / unit) as f32,
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

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use yardmaster_agent::net::{Dims, Layout};

    use super::*;
    use crate::init::weights;
    use crate::scheduling::environments;

    /// Rewards of the prior's episode, and what the critic saw.
    fn episode_of_the_prior(config: Config) -> (Vec<f32>, Vec<f32>) {
        let config = Config { envs: 1, rollouts_per_trace: 1, validation_episodes: 1, ..config };
        let mut env = environments("tiny", &config).unwrap().envs.remove(0);
        env.reset(7);
        let (mut rewards, mut seen) = (Vec::new(), Vec::new());
        loop {
            seen.extend_from_slice(env.future());
            let step = env.step(env.prior().unwrap());
            rewards.push(step.reward);
            if step.terminated || step.truncated {
                return (rewards, seen);
            }
        }
    }

    #[test]
    fn rewards_are_in_the_priors_objective_or_in_the_objectives_own_unit() {
        let sum = |config| episode_of_the_prior(config).0.iter().sum::<f32>();
        let relative = sum(Config::default());
        let own = sum(Config { reward_relative: false, ..Config::default() });
        assert!((relative + 1.0).abs() < 1e-4, "the prior's own episode is the unit: {relative}");
        assert!(own < -10.0, "seconds: {own}");
    }

    #[test]
    fn a_critic_that_may_not_see_the_future_sees_nothing_of_it() {
        let seen = |config| episode_of_the_prior(config).1;
        let blind = seen(Config { critic_future: false, ..Config::default() });
        let sighted = seen(Config::default());
        assert_eq!(blind.len(), sighted.len());
        assert!(blind.iter().all(|value| *value == 0.0));
        assert!(sighted.iter().any(|value| *value != 0.0));
    }

    #[test]
    fn of_what_is_tried_few_cut_off_and_some_are_the_policys() {
        let config = Config {
            envs: 1,
            rollouts_per_trace: 1,
            validation_episodes: 1,
            teach_actions: 6,
            teach_cuts: 1,
            teach_likely: 2,
            ..Config::default()
        };
        let world = environments("preempt", &config).unwrap();
        let layout = Layout::policy(&Dims::from(&world.schema), &config.sizes);
        let params = weights(&layout, &mut Xoshiro256PlusPlus::seed_from_u64(1));
        let net = PolicyNet::new(Dims::from(&world.schema), config.sizes, 0.0, &params).unwrap();
        let mut env = world.envs.into_iter().next().unwrap();
        env.reset(7);
        let (mut random, mut with_cuts) = (Xoshiro256PlusPlus::seed_from_u64(2), 0);
        for _ in 0..150 {
            let prior = env.prior().unwrap();
            let tries = env.tries(prior, &net, &mut random);
            let likeliest = env.likeliest(prior, &net);
            let wait = env.env.candidates().list.len();
            let cuts = |actions: &[usize]| {
                let is_cut = |&&at: &&usize| at != prior && at != wait && !env.is_start(at);
                actions.iter().filter(is_cut).count()
            };
            assert_eq!(tries[0], prior);
            assert!(likeliest.iter().take(3).all(|action| tries.contains(action)), "{tries:?}");
            let among_likeliest = cuts(&likeliest[1..likeliest.len().min(3)]);
            assert!(cuts(&tries) <= 1 + among_likeliest, "{tries:?}");
            let starts = (0..wait).filter(|&at| at != prior && env.is_start(at)).count();
            let untried = (0..wait).filter(|at| env.is_start(*at) && !tries.contains(at)).count();
            assert!(tries.len() == config.teach_actions || untried == 0 && starts < config.teach_actions);
            let once: std::collections::BTreeSet<_> = tries.iter().collect();
            assert_eq!(once.len(), tries.len(), "{tries:?}");
            with_cuts += usize::from(cuts(&likeliest) > 3);
            env.step(prior);
        }
        assert!(with_cuts > 20, "{with_cuts} moments with something to cut off");
    }
}
