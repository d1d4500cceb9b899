//! The learner on vectors: its gradients against libtorch's, and small worlds whose answer is known.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tch::{Kind, Tensor};
use yardmaster_env::gym::{Env, EnvError, EpisodeStats, Spaces, Transition};
use yardmaster_train::rollout::Acting;
use yardmaster_train::vector::cartpole::CartPole;
use yardmaster_train::vector::net::{Activations, ActorCritic, Shape};
use yardmaster_train::vector::{Config, Minibatch, Trainer, Update, evaluate};

const ACTIONS: usize = 5;

/// What an episode of [`Toy`] asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    /// The action that the observation marks, eight times, among actions of which some are masked.
    Identity,
    /// Anything: a step gives one, and each is the last of its episode, which terminates.
    Terminated,
    /// The same, but the episode is cut off.
    Truncated,
}

#[derive(Clone, Debug)]
struct Toy {
    task: Task,
    random: Xoshiro256PlusPlus,
    right: usize,
    mask: [bool; ACTIONS],
    seed: u64,
    steps: u64,
    hits: f64,
    running: bool,
}

impl Toy {
    fn new(task: Task) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(0);
        let mask = [true; ACTIONS];
        Self { task, random, right: 0, mask, seed: 0, steps: 0, hits: 0.0, running: false }
    }

    fn deal(&mut self, obs: &mut [f32], mask: &mut [bool]) {
        self.right = self.random.random_range(0..ACTIONS);
        self.mask = std::array::from_fn(|_| self.random.random_bool(0.5));
        self.mask[self.right] = true;
        obs.fill(0.0);
        // Where nothing is asked for, nothing is told.
        if self.task == Task::Identity {
            obs[self.right] = 1.0;
        }
        mask.copy_from_slice(&self.mask);
    }
}

impl Env for Toy {
    fn spaces(&self) -> Spaces {
        Spaces::new(&[("right", 1, ACTIONS)], ACTIONS)
    }

    fn reset(&mut self, seed: u64, obs: &mut [f32], mask: &mut [bool]) -> Result<(), EnvError> {
        *self = Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            seed,
            running: true,
            ..Self::new(self.task)
        };
        self.deal(obs, mask);
        Ok(())
    }

    fn accepts(&self, action: usize) -> Result<(), EnvError> {
        if self.running && self.mask[action] { Ok(()) } else { Err(EnvError::Masked { action }) }
    }

    fn step(&mut self, action: usize, obs: &mut [f32], mask: &mut [bool]) -> Result<Transition, EnvError> {
        self.accepts(action)?;
        let hit = self.task != Task::Identity || action == self.right;
        let reward = f64::from(u8::from(hit));
        self.steps += 1;
        self.hits += reward;
        self.running = self.task == Task::Identity && self.steps < 8;
        self.deal(obs, mask);
        let stats = EpisodeStats {
            episode_return: self.hits,
            length: self.steps,
            objective: self.hits,
            seed: self.seed,
            clipped: 0,
        };
        let truncated = !self.running && self.task == Task::Truncated;
        let terminated = !self.running && !truncated;
        Ok(Transition { reward, terminated, truncated, stats: (!self.running).then_some(stats) })
    }
}

fn config() -> Config {
    Config {
        total_timesteps: 100_000,
        num_envs: 8,
        num_steps: 32,
        learning_rate: 5e-3,
        gamma: 0.5,
        minibatch_size: 64,
        hidden: 16,
        ..Config::standard()
    }
}

fn trainer(task: Task, config: &Config, iterations: usize) -> Trainer<Toy> {
    let mut trainer = Trainer::new(config.clone(), vec![Toy::new(task); config.num_envs]).unwrap();
    for _ in 0..iterations {
        trainer.iterate().unwrap();
    }
    trainer
}

/// A minibatch in which clipped and unclipped ratios and values, and masked actions, all occur.
fn minibatch(rows: usize, shape: Shape, weights: &[f32], random: &mut Xoshiro256PlusPlus) -> Minibatch {
    let Shape { observation, actions, .. } = shape;
    let mut noise = |count: usize, scale: f32| -> Vec<f32> {
        (0..count).map(|_| (random.random::<f32>() - 0.5) * 2.0 * scale).collect()
    };
    let (obs, drift) = (noise(rows * observation, 2.0), noise(rows, 0.4));
    let (advantages, values, returns) = (noise(rows, 2.0), noise(rows, 0.5), noise(rows, 2.0));
    let taken: Vec<usize> = (0..rows).map(|_| random.random_range(0..actions)).collect();
    let mut mask: Vec<bool> = (0..rows * actions).map(|_| random.random_bool(0.6)).collect();
    taken.iter().enumerate().for_each(|(row, &action)| mask[row * actions + action] = true);
    // The ratios lie about one.
    let mut activations = Activations::default();
    ActorCritic::new(shape).actor.forward(weights, &obs, &mut activations);
    let log_prob = |row: usize| {
        let (logits, mask) =
            (&activations.out[row * actions..][..actions], &mask[row * actions..][..actions]);
        let legal = logits.iter().zip(mask).filter(|(_, legal)| **legal);
        logits[taken[row]] - legal.map(|(logit, _)| logit.exp()).sum::<f32>().ln() + drift[row]
    };
    let log_probs = (0..rows).map(log_prob).collect();
    Minibatch { obs, mask, actions: taken, log_probs, advantages, values, returns }
}

/// The same loss by libtorch: its gradient by the flat weights, policy loss, value loss and entropy.
fn by_libtorch(
    net: &ActorCritic,
    weights: &[f32],
    batch: &Minibatch,
    config: &Config,
) -> (Vec<f32>, [f64; 3]) {
    let flat = Tensor::from_slice(weights).set_requires_grad(true);
    let part = |name: &str| {
        let entry = net.layout().entry(name).unwrap();
        let shape: Vec<i64> = entry.shape.iter().map(|&width| width as i64).collect();
        flat.narrow(0, entry.offset as i64, entry.len() as i64).view(shape.as_slice())
    };
    let rows = batch.actions.len() as i64;
    let obs = Tensor::from_slice(&batch.obs).view([rows, -1]);
    let tower = |name: &str| {
        let layer = |x: &Tensor, layer: usize| {
            x.matmul(&part(&format!("{name}.{layer}.w"))) + part(&format!("{name}.{layer}.b"))
        };
        layer(&layer(&layer(&obs, 0).tanh(), 1).tanh(), 2)
    };
    let mask = Tensor::from_slice(&batch.mask).view([rows, -1]);
    let log_probs = tower("actor").masked_fill(&mask.logical_not(), -1e9).log_softmax(1, Kind::Float);
    let actions: Vec<i64> = batch.actions.iter().map(|&action| action as i64).collect();
    let taken = log_probs.gather(1, &Tensor::from_slice(&actions).unsqueeze(1), false).squeeze_dim(1);
    let ratio = (taken - Tensor::from_slice(&batch.log_probs)).exp();
    let (advantages, clip) = (Tensor::from_slice(&batch.advantages), f64::from(config.clip_coef));
    let bounded = ratio.clamp(1.0 - clip, 1.0 + clip) * &advantages;
    let policy_loss = -(ratio * advantages).minimum(&bounded).mean(Kind::Float);
    let entropy = -(log_probs.exp() * &log_probs).sum_dim_intlist(1, false, Kind::Float).mean(Kind::Float);
    let (values, old) = (tower("critic").squeeze_dim(1), Tensor::from_slice(&batch.values));
    let returns = Tensor::from_slice(&batch.returns);
    let mut losses = (&values - &returns).square();
    if config.clip_vloss {
        let bounded = &old + (&values - &old).clamp(-clip, clip);
        losses = losses.maximum(&(bounded - returns).square());
    }
    let value_loss = losses.mean(Kind::Float) * 0.5;
    let loss = &policy_loss - &entropy * f64::from(config.ent_coef) + &value_loss * f64::from(config.vf_coef);
    let gradient = Tensor::run_backward(&[loss], &[&flat], false, false).remove(0);
    let means = [policy_loss, value_loss, entropy].map(|mean| mean.double_value(&[]));
    (Vec::<f32>::try_from(gradient).unwrap(), means)
}

#[test]
fn gradients_are_those_of_automatic_differentiation() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    for (rows, shape, clip_vloss) in [
        (64, Shape { observation: 4, hidden: 64, actions: 2 }, true),
        (37, Shape { observation: 7, hidden: 19, actions: 6 }, true),
        (64, Shape { observation: 3, hidden: 32, actions: 4 }, false),
    ] {
        let net = ActorCritic::new(shape);
        let mut weights = net.weights(&mut random);
        // Biases begin at zero and the actor's head nearly so; a gradient is to be wrong wherever something is amiss.
        weights.iter_mut().for_each(|weight| *weight += (random.random::<f32>() - 0.5) * 0.4);
        let batch = minibatch(rows, shape, &weights, &mut random);
        let config = Config { clip_vloss, ent_coef: 0.05, ..Config::standard() };
        let mut update = Update::default();
        let means = update.gradient(&net, &weights, &batch, &config);
        let (expected, expected_means) = by_libtorch(&net, &weights, &batch, &config);
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let gaps = update.last_gradient().iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let gap = gaps.fold(0.0_f32, f32::max);
        assert!(gap <= 2e-6 * largest.max(1.0), "{shape:?}: {gap} of {largest}");
        assert!(means[5] > 0.1 && means[5] < 0.9, "{} of the ratios are clipped", means[5]);
        for (mean, expected) in means.iter().zip(expected_means) {
            assert!((mean - expected).abs() < 1e-5, "{means:?} are not {expected_means:?}");
        }
    }
}

#[test]
fn the_identity_is_learned_within_5000_steps_and_no_masked_action_is_ever_taken() {
    let mut trainer = trainer(Task::Identity, &config(), 0);
    let judge = |trainer: &Trainer<Toy>, acting| {
        let (net, weights) = (trainer.net(), &trainer.adam().params);
        let returns = evaluate(&mut Toy::new(Task::Identity), net, weights, acting, (50, 9)).unwrap();
        returns.iter().sum::<f64>() / 50.0
    };
    assert!(judge(&trainer, Acting::Greedy) < 5.0);
    while trainer.steps() < 5_000 {
        // A masked action would be refused.
        trainer.iterate().unwrap();
    }
    let [greedy, drawn] = [Acting::Greedy, Acting::Sample].map(|acting| judge(&trainer, acting));
    assert!(greedy > 7.9 && drawn > 7.0, "of 8, best {greedy}, drawn {drawn}");
}

#[test]
fn the_entropy_is_that_of_the_legal_actions() {
    let shape = Shape { observation: 2, hidden: 8, actions: 4 };
    let net = ActorCritic::new(shape);
    // All weights zero: every legal action is equally likely.
    let weights = vec![0.0; net.layout().total()];
    let batch = Minibatch {
        obs: vec![0.5; 6],
        mask: [[true, false, false, false], [true, true, false, false], [true; 4]].concat(),
        actions: vec![0, 1, 3],
        log_probs: vec![0.0, -(2.0_f32.ln()), -(4.0_f32.ln())],
        advantages: vec![1.0; 3],
        values: vec![0.0; 3],
        returns: vec![0.0; 3],
    };
    let mut update = Update::default();
    let [policy_loss, _, entropy, kl, old_kl, clipped] = update.gradient(&net, &weights, &batch, &config());
    assert!((entropy - 8.0_f64.ln() / 3.0).abs() < 1e-6, "{entropy}");
    assert!(kl.abs() < 1e-6 && old_kl.abs() < 1e-6 && clipped == 0.0, "{kl} {old_kl} {clipped}");
    assert!((policy_loss + 1.0).abs() < 1e-6, "{policy_loss}");
    let bias = net.layout().entry("actor.2.b").unwrap().offset;
    let of_biases = &update.last_gradient()[bias..][..4];
    // Advantage 1, ratio 1: the sum over rows of (probability - taken) / 3. Where one action is legal there is nothing to learn.
    let expected = [0.5 + 0.25, -0.5 + 0.25, 0.25, 0.25 - 1.0].map(|sum: f32| sum / 3.0);
    assert!(of_biases.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{of_biases:?}");
}

#[test]
fn a_cut_off_episode_is_worth_what_would_have_followed_and_a_terminated_one_is_not() {
    for (task, worth) in [(Task::Terminated, 1.0), (Task::Truncated, 2.0)] {
        let trainer = trainer(task, &config(), 60);
        let mut activations = Activations::default();
        trainer.net().critic.forward(&trainer.adam().params, &[0.0; ACTIONS], &mut activations);
        let value = activations.out[0];
        assert!((value - worth).abs() < 0.05, "{task:?}: {value}, should be {worth}");
    }
}

#[test]
fn a_seed_gives_the_same_weights_again_and_another_gives_others() {
    let run = |seed| trainer(Task::Identity, &Config { seed, ..config() }, 5).adam().clone();
    assert_eq!(run(4), run(4));
    assert_ne!(run(4), run(5));
}

#[test]
fn cartpole_gets_better_within_25_000_steps() {
    let config = Config { total_timesteps: 25_000, ..Config::tuned() };
    let mut trainer = Trainer::new(config.clone(), vec![CartPole::default(); config.num_envs]).unwrap();
    while !trainer.done() {
        trainer.iterate().unwrap();
    }
    let (net, weights) = (trainer.net(), &trainer.adam().params);
    let returns = evaluate(&mut CartPole::default(), net, weights, Acting::Greedy, (20, 5)).unwrap();
    let mean = returns.iter().sum::<f64>() / 20.0;
    assert!(mean > 200.0, "{mean}; pushing at random gives 22");
}

#[test]
fn environments_must_fit_the_settings() {
    let error = Trainer::new(config(), vec![Toy::new(Task::Identity); 3]).err().unwrap();
    assert_eq!(error.to_string(), "3 environments for num_envs = 8");
}
