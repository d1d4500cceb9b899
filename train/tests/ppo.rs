//! The losses of the scheduling learner, and what it makes of the ends of episodes.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_agent::net::{Dims, Scratch};
use yardmaster_env::observe::{Observation, Pair};
use yardmaster_train::config::Config;
use yardmaster_train::env::{Environment, Step};
use yardmaster_train::ppo::{Lesson, Loss, Pass};
use yardmaster_train::rollout::{Acting, Sample, State, play};
use yardmaster_train::trainer::Trainer;

const DIMS: Dims = Dims { global: 2, job: 2, node: 1, pair: 3 };

/// Decisions between one and seven actions of random features; whatever is done brings one.
struct Random {
    random: Xoshiro256PlusPlus,
    obs: Observation,
    left: usize,
    length: usize,
    cut_off: bool,
}

impl Random {
    fn many(count: usize, length: usize, cut_off: bool) -> Vec<Self> {
        let one = |_| {
            let (random, obs) = (Xoshiro256PlusPlus::seed_from_u64(0), Observation::default());
            Self { random, obs, left: 0, length, cut_off }
        };
        (0..count).map(one).collect()
    }

    fn deal(&mut self) {
        let random = &mut self.random;
        let (jobs, nodes) = (random.random_range(1..4_u32), random.random_range(1..3_u32));
        let count = random.random_range(1..7_usize);
        let wait = random.random_bool(0.5);
        let mut noise = |n: usize| (0..n).map(|_| random.random::<f32>()).collect::<Vec<_>>();
        let (global, job_rows) = (noise(DIMS.global), noise(jobs as usize * DIMS.job));
        let (node_rows, pair_features) = (noise(nodes as usize), noise(count * DIMS.pair));
        let pairs = (0..count).map(|i| Pair { job: i as u32 % jobs, node: i as u32 % nodes }).collect();
        self.obs = Observation { global, jobs: job_rows, nodes: node_rows, pair_features, pairs, wait };
    }
}

impl Environment for Random {
    fn reset(&mut self, seed: u64) {
        self.random = Xoshiro256PlusPlus::seed_from_u64(seed);
        self.left = self.length;
        self.deal();
    }
    fn length(&self) -> usize {
        self.length
    }
    fn observation(&self) -> &Observation {
        &self.obs
    }
    fn prior(&self) -> Option<usize> {
        Some(0)
    }
    fn future(&self) -> &[f32] {
        &[0.5]
    }
    fn step(&mut self, _action: usize) -> Step {
        self.left -= 1;
        self.deal();
        let over = self.left == 0;
        Step { reward: 1.0, elapsed: 1.0, terminated: over && !self.cut_off, truncated: over && self.cut_off }
    }
    fn score(&self) -> f64 {
        0.0
    }
}

fn config() -> Config {
    Config {
        steps: 100_000,
        envs: 16,
        threads: 1,
        rollouts_per_trace: 1,
        relative_share: 0.0,
        gamma: 0.5,
        learning_rate: 5e-3,
        critic_learning_rate: 5e-3,
        minibatch: 128,
        target_kl: 0.0,
        teach: 0,
        critic_first: 0,
        epochs: 3,
        ent_coef: 0.01,
        ..Config::default()
    }
}

/// What 16 episodes of 40 steps, one iteration, made of a new trainer.
fn after_an_iteration(config: Config) -> Trainer<Random> {
    let mut trainer = Trainer::new(config, Random::many(16, 40, false), DIMS, 1).expect("settings are right");
    trainer.iterate().expect("there are no files to fail on");
    trainer
}

#[test]
fn only_legal_actions_have_a_share_in_log_probabilities_and_entropy() {
    let config = Config { learning_rate: 0.0, critic_learning_rate: 0.0, epochs: 1, ..config() };
    let trainer = after_an_iteration(config.clone());
    let net = trainer.policy().unwrap();
    let episodes = play(&mut Random::many(16, 40, false), &net, &config, 1, Acting::Sample);
    let samples: Vec<&Sample> = episodes.iter().flat_map(|episode| &episode.samples).collect();
    let counts: Vec<usize> = samples.iter().map(|sample| sample.state.obs.actions()).collect();
    assert!(counts.contains(&1) && counts.contains(&7), "all batches are to have absent actions");

    let lessons: Vec<Lesson<'_>> =
        samples.iter().map(|&sample| Lesson { sample, advantage: 1.0, target: 0.0 }).collect();
    let (lambda, rate, loss) = (net.lambda(), 1.0, Loss::Ppo);
    let pass = Pass { config: &config, iteration: 1, lambda, rate, loss, critic_only: false };
    let losses = trainer.learner().clone().update(&lessons, &pass);
    // The same weights: each ratio is one, though one side saw the decision alone and the other in a padded batch.
    assert!(losses.old_approx_kl.abs() < 1e-6 && losses.clipfrac == 0.0, "{losses:?}");
    let mut scratch = Scratch::default();
    let entropy = |sample: &&Sample| {
        let logits = net.logits(&sample.state.obs, sample.state.prior, &mut scratch);
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        logits.iter().map(|&logit| f64::from(logit).exp() / sum).map(|p| -p * p.ln()).sum::<f64>()
    };
    let expected = samples.iter().map(entropy).sum::<f64>() / samples.len() as f64;
    assert!((losses.entropy - expected).abs() < 1e-5, "{} should be {expected}", losses.entropy);
}

#[test]
fn a_share_of_the_decisions_is_learned_from_and_all_are_counted() {
    let steps = |learn_share: f32| {
        let trainer = after_an_iteration(Config { learn_share, minibatch: 16, epochs: 2, ..config() });
        assert_eq!(trainer.progress().steps, 16 * 40);
        trainer.progress().adam_steps
    };
    assert_eq!(steps(1.0), [80, 80]);
    assert_eq!(steps(0.25), [20, 20]);
    assert_eq!(steps(0.001), [2, 2]);
}

#[test]
fn a_cut_off_episode_is_worth_what_would_have_followed_and_a_terminated_one_is_not() {
    // Episodes of one step that brings one, discounted by a half.
    for (cut_off, worth) in [(false, 1.0), (true, 2.0)] {
        let config = Config { envs: 256, ..config() };
        let mut trainer = Trainer::new(config, Random::many(256, 1, cut_off), DIMS, 1).unwrap();
        for _ in 0..60 {
            trainer.iterate().unwrap();
        }
        let mut env = Random::many(1, 1, cut_off).remove(0);
        let mut value = |seed| {
            env.reset(seed);
            let state = State { obs: env.obs.clone(), prior: Some(0), future: vec![0.5] };
            trainer.learner().values(&[&state])[0]
        };
        let mean = (0..50).map(|seed| value(1000 + seed)).sum::<f32>() / 50.0;
        assert!((mean - worth).abs() < 0.1, "cut off {cut_off}: {mean}, should be {worth}");
    }
}
