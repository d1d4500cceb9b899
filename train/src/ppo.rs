//! Proximal policy optimisation (Schulman et al. 2017) of one iteration's decisions.
//!
//! A minibatch is cut into shards of fixed size. Each computes its gradient on its own copy of the weights and on
//! one thread; the sum is taken in order, so the result does not depend on how many threads there are.

use std::ops::Range;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};
use yardmaster_agent::net::Layout;

use crate::adam::Adam;
use crate::batch::{Batch, array, placed};
use crate::config::Config;
use crate::losses::{Losses, Tally};
use crate::net::Leaf;
use crate::rollout::{Sample, State};
use crate::seed::{Purpose, stream};

/// Decisions of a shard: enough to outweigh the cost of a call, few enough that its tensors stay in the cache.
pub const SHARD: usize = 128;

/// A network's weights and what they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Names and shapes.
    pub layout: Layout,
    /// Weights and moments.
    pub adam: Adam,
    /// Weights that are not trained.
    fixed: Vec<Range<usize>>,
}

impl Network {
    /// A network whose weights are all trained.
    pub fn new(layout: Layout, adam: Adam) -> Self {
        Self { layout, adam, fixed: Vec::new() }
    }

    /// The layout and its flat weights.
    pub fn part(&self) -> (&Layout, &[f32]) {
        (&self.layout, &self.adam.params)
    }

    /// Replaces a named constant.
    pub fn set(&mut self, name: &str, values: &[f32]) {
        if let Some(entry) = self.layout.entry(name) {
            self.adam.params[entry.offset..][..values.len()].copy_from_slice(values);
        }
    }

    /// Gives all weights of a named array that value, for good.
    pub fn fix(&mut self, name: &str, value: f32) {
        if let Some(entry) = self.layout.entry(name) {
            let range = entry.offset..entry.offset + entry.len();
            self.adam.params[range.clone()].fill(value);
            if !self.fixed.contains(&range) {
                self.fixed.push(range);
            }
        }
    }

    /// Multiplies a named array, unless it is fixed.
    pub fn scale(&mut self, name: &str, factor: f32) {
        if let Some(entry) = self.layout.entry(name) {
            let range = entry.offset..entry.offset + entry.len();
            if !self.fixed.contains(&range) {
                self.adam.params[range].iter_mut().for_each(|weight| *weight *= factor);
            }
        }
    }

    /// Takes a step against `gradient`; see [`Adam::step`].
    pub fn step(&mut self, mut gradient: Vec<f32>, learning_rate: f32, max_norm: f32) -> f32 {
        for range in &self.fixed {
            gradient[range.clone()].fill(0.0);
        }
        self.adam.step(&gradient, learning_rate, max_norm)
    }
}

/// What is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Learner {
    /// The candidate scorer.
    pub policy: Network,
    /// The critic.
    pub critic: Network,
    /// Running mean of the policy's weights: it wanders less than they do, and plays better. (weights)
    pub average: Vec<f32>,
}

/// A decision with what it is to teach.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<'a> {
    /// The decision.
    pub sample: &'a Sample,
    /// Its advantage.
    pub advantage: f32,
    /// The return, normalised, that the critic is to foresee.
    pub target: f32,
}

/// Which loss trains the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The clipped objective of PPO.
    Ppo,
    /// The negative log-probability of what was done.
    Imitate,
}

/// What stays the same during an iteration's epochs.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The settings.
    pub config: &'a Config,
    /// Number of the iteration.
    pub iteration: u64,
    /// Raise of the prior's logit.
    pub lambda: f32,
    /// What is left of the learning rates.
    pub rate: f32,
    /// The policy's loss.
    pub loss: Loss,
    /// Whether the policy stays as it is.
    pub critic_only: bool,
}

/// A shard's share of the gradients and sums.
struct Share {
    policy: Vec<f32>,
    critic: Vec<f32>,
    sums: [f64; 6],
    transfer: Duration,
}

impl Share {
    fn add(&mut self, other: &Self) {
        self.policy.iter_mut().zip(&other.policy).for_each(|(sum, more)| *sum += more);
        self.critic.iter_mut().zip(&other.critic).for_each(|(sum, more)| *sum += more);
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, more)| *sum += more);
        self.transfer += other.transfer;
    }
}

impl Learner {
    /// A learner at its beginning.
    pub fn new(policy: Network, critic: Network) -> Self {
        let average = policy.adam.params.clone();
        Self { policy, critic, average }
    }

    /// Moves the mean to the weights; `keep` of it stays.
    pub fn track(&mut self, keep: f32) {
        let weights = self.policy.adam.params.iter();
        self.average
            .iter_mut()
            .zip(weights)
            .for_each(|(mean, weight)| *mean = weight + keep * (*mean - weight));
    }

    /// With the mean in place of the weights.
    #[must_use]
    pub fn settled(&self) -> Self {
        let mut learner = self.clone();
        learner.policy.adam.params.clone_from(&self.average);
        learner
    }

    /// Values of decisions, in units of the return: (states)
    pub fn values(&self, states: &[&State]) -> Vec<f32> {
        let one = |value: &[f32]| value.first().copied();
        let shift = one(array(self.critic.part(), "norm.return.shift")).unwrap_or(0.0);
        let scale = one(array(self.critic.part(), "norm.return.scale")).unwrap_or(1.0);
        let chunk = |states: &[&State]| {
            tch::set_num_threads(1);
            let _guard = tch::no_grad_guard();
            let (layout, flat) = self.critic.part();
            let batch = Batch::new(states, self.policy.part(), self.critic.part());
            numbers(&Leaf::new(layout, flat, false).values(&batch))
        };
        let normalised: Vec<Vec<f32>> = states.par_chunks(SHARD).map(chunk).collect();
        normalised.concat().iter().map(|value| value / scale + shift).collect()
    }

    /// Trains on the lessons of one iteration.
    pub fn update(&mut self, lessons: &[Lesson<'_>], pass: &Pass<'_>) -> Losses {
        let taken = (lessons.len() as f64 * f64::from(pass.config.learn_share)).ceil() as usize;
        let batches = (taken / pass.config.minibatch).max(1);
        let mut order: Vec<usize> = (0..lessons.len()).collect();
        let (mut tally, mut epochs) = (Tally::default(), 0);
        for epoch in 0..pass.config.epochs {
            epochs += 1;
            order.shuffle(&mut stream(pass.config.seed, Purpose::Order, pass.iteration, epoch as u64));
            let mut divergence = 0.0;
            for batch in 0..batches {
                let range = batch * taken / batches..(batch + 1) * taken / batches;
                let chosen: Vec<Lesson<'_>> = order[range].iter().map(|&i| lessons[i]).collect();
                let (means, spent) = self.minibatch(chosen, pass);
                tally.add(means, spent);
                divergence += means[3] / batches as f64;
            }
            let most = f64::from(pass.config.target_kl);
            if most > 0.0 && divergence > most && pass.loss == Loss::Ppo {
                break;
            }
        }
        tally.losses(epochs)
    }

    /// One step of both optimisers; gives the losses and the policy's gradient norm, and the time of transfers.
    fn minibatch(&mut self, mut lessons: Vec<Lesson<'_>>, pass: &Pass<'_>) -> ([f64; 7], Duration) {
        normalise_advantages(&mut lessons);
        let total = lessons.len() as f64;
        let this = &*self;
        let mut shares: Vec<Share> =
            lessons.par_chunks(SHARD).map(|part| this.share(part, total, pass)).collect();
        let mut share = shares.remove(0);
        for other in &shares {
            share.add(other);
        }
        let config = pass.config;
        let rate = if pass.critic_only { 0.0 } else { config.learning_rate * pass.rate };
        let norm = self.policy.step(share.policy, rate, config.max_grad_norm);
        self.critic.step(share.critic, config.critic_learning_rate * pass.rate, config.max_grad_norm);
        let [policy_loss, value_loss, entropy, kl, old_kl, clipped] = share.sums;
        ([policy_loss, value_loss, entropy, kl, old_kl, clipped, f64::from(norm)], share.transfer)
    }

    /// Gradients of a shard's part of the losses, which are means over `total` lessons.
    fn share(&self, lessons: &[Lesson<'_>], total: f64, pass: &Pass<'_>) -> Share {
        tch::set_num_threads(1);
        let begin = Instant::now();
        let states: Vec<&State> = lessons.iter().map(|lesson| &lesson.sample.state).collect();
        let batch = Batch::new(&states, self.policy.part(), self.critic.part());
        let policy = Leaf::new(&self.policy.layout, &self.policy.adam.params, true);
        let critic = Leaf::new(&self.critic.layout, &self.critic.adam.params, true);
        let mut transfer = begin.elapsed();
        let (loss, mut sums) = policy_loss(&policy.logits(&batch, pass.lambda), lessons, pass);
        let targets = column(lessons, |lesson| lesson.target);
        let value_loss = (critic.values(&batch) - targets).square().sum(Kind::Float) * 0.5;
        sums[1] = value_loss.double_value(&[]);
        let loss = (loss + value_loss * f64::from(pass.config.vf_coef)) / total;
        let gradients = Tensor::run_backward(&[loss], &[&policy.flat, &critic.flat], false, false);
        let begin = Instant::now();
        let [policy, critic] = [0, 1].map(|part| numbers(&gradients[part]));
        transfer += begin.elapsed();
        Share { policy, critic, sums: sums.map(|sum| sum / total), transfer }
    }
}

/// The policy's loss with the entropy bonus, summed over lessons; and the sums that are logged.
fn policy_loss(logits: &Tensor, lessons: &[Lesson<'_>], pass: &Pass<'_>) -> (Tensor, [f64; 6]) {
    let log_probs = logits.log_softmax(1, Kind::Float);
    let actions: Vec<i64> = lessons.iter().map(|lesson| lesson.sample.action as i64).collect();
    let actions = placed(&actions).unsqueeze(1);
    let taken = log_probs.gather(1, &actions, false).squeeze_dim(1);
    let entropy = -(log_probs.exp() * &log_probs).sum(Kind::Float);
    let log_ratio = &taken - column(lessons, |lesson| lesson.sample.log_prob);
    let ratio = log_ratio.exp();
    let clip = f64::from(pass.config.clip_coef);
    let loss = match pass.loss {
        Loss::Imitate => -taken.sum(Kind::Float),
        Loss::Ppo => {
            let advantages = column(lessons, |lesson| lesson.advantage);
            let bounded = ratio.clamp(1.0 - clip, 1.0 + clip) * &advantages;
            -(&ratio * advantages).minimum(&bounded).sum(Kind::Float)
        }
    };
    let sum = |x: &Tensor| x.sum(Kind::Double).double_value(&[]);
    let sums = tch::no_grad(|| {
        let beyond = (&ratio - 1.0).abs().gt(clip);
        [sum(&loss), 0.0, sum(&entropy), sum(&(&ratio - 1.0 - &log_ratio)), -sum(&log_ratio), sum(&beyond)]
    });
    (loss - entropy * f64::from(pass.config.ent_coef), sums)
}

/// Shifts and scales the minibatch's advantages to mean zero and deviation one.
fn normalise_advantages(lessons: &mut [Lesson<'_>]) {
    let count = lessons.len() as f64;
    let mean = lessons.iter().map(|lesson| f64::from(lesson.advantage)).sum::<f64>() / count;
    let squares: f64 = lessons.iter().map(|lesson| (f64::from(lesson.advantage) - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0).max(1.0)).sqrt() + 1e-8;
    for lesson in lessons {
        lesson.advantage = ((f64::from(lesson.advantage) - mean) / deviation) as f32;
    }
}

/// One number for each lesson: (lessons)
fn column(lessons: &[Lesson<'_>], number: impl Fn(&Lesson<'_>) -> f32) -> Tensor {
    placed(&lessons.iter().map(number).collect::<Vec<_>>())
}

/// A tensor's float32 values.
pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; tensor.numel()];
    let length = values.len();
    tensor.to_device(Device::Cpu).contiguous().copy_data(&mut values, length);
    values
}
