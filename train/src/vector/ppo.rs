//! The update: PPO's losses and their gradients, by hand, over one rollout.

use std::ops::Range;
use std::time::Instant;

use rand::seq::SliceRandom;

use super::config::Config;
use super::net::{Activations, ActorCritic, Scratch};
use super::rollout::{Rollout, hide};
use crate::adam::Adam;
use crate::losses::{Losses, Tally};
use crate::seed::{Purpose, stream};

/// Rows whose gradients are computed together, so that the activations stay in the cache.
const CHUNK: usize = 128;

/// Steps that are learned from together; rows as in [`Rollout`].
#[derive(Clone, Debug, Default)]
pub struct Minibatch {
    /// (rows, observation)
    pub obs: Vec<f32>,
    /// (rows, actions)
    pub mask: Vec<bool>,
    /// (rows)
    pub actions: Vec<usize>,
    /// Log-probabilities when the actions were taken: (rows)
    pub log_probs: Vec<f32>,
    /// Normalised advantages: (rows)
    pub advantages: Vec<f32>,
    /// The critic's values when the actions were taken: (rows)
    pub values: Vec<f32>,
    /// What the critic is to foresee: (rows)
    pub returns: Vec<f32>,
}

impl Minibatch {
    /// Takes the rows of `chosen`, and normalises their advantages to mean zero and deviation one.
    fn fill(&mut self, rollout: &Rollout, advantages: &[f32], chosen: &[usize]) {
        let pick = |from: &[f32], to: &mut Vec<f32>| {
            to.clear();
            to.extend(chosen.iter().map(|&row| from[row]));
        };
        let width = rollout.obs.len() / rollout.actions.len();
        let actions = rollout.mask.len() / rollout.actions.len();
        self.obs.clear();
        self.mask.clear();
        for &row in chosen {
            self.obs.extend_from_slice(&rollout.obs[row * width..][..width]);
            self.mask.extend_from_slice(&rollout.mask[row * actions..][..actions]);
        }
        self.actions.clear();
        self.actions.extend(chosen.iter().map(|&row| rollout.actions[row]));
        pick(&rollout.log_probs, &mut self.log_probs);
        pick(&rollout.values, &mut self.values);
        pick(advantages, &mut self.advantages);
        self.returns.clear();
        self.returns
            .extend(self.values.iter().zip(&self.advantages).map(|(value, advantage)| value + advantage));
        normalise(&mut self.advantages);
    }
}

/// The update and its buffers.
#[derive(Clone, Debug, Default)]
pub struct Update {
    minibatch: Minibatch,
    actor: Activations,
    critic: Activations,
    of_logits: Vec<f32>,
    of_values: Vec<f32>,
    scratch: Scratch,
    gradient: Vec<f32>,
}

impl Update {
    /// All epochs over one rollout. `learning_rate` and `clip_coef` are this iteration's.
    pub(super) fn run(
        &mut self,
        net: &ActorCritic,
        adam: &mut Adam,
        (rollout, advantages): (&Rollout, &[f32]),
        config: &Config,
        iteration: u64,
    ) -> Losses {
        let mut order: Vec<usize> = (0..rollout.actions.len()).collect();
        let mut minibatch = std::mem::take(&mut self.minibatch);
        let mut tally = Tally::default();
        for epoch in 0..config.update_epochs {
            order.shuffle(&mut stream(config.seed, Purpose::Order, iteration, epoch as u64));
            for chosen in order.chunks(config.minibatch_size) {
                let begin = Instant::now();
                minibatch.fill(rollout, advantages, chosen);
                let transfer = begin.elapsed();
                let means = self.gradient(net, &adam.params, &minibatch, config);
                let norm = adam.step(&self.gradient, config.learning_rate, config.max_grad_norm);
                let [policy, value, entropy, kl, old_kl, clipped] = means;
                tally.add([policy, value, entropy, kl, old_kl, clipped, f64::from(norm)], transfer);
            }
        }
        self.minibatch = minibatch;
        tally.losses(config.update_epochs)
    }

    /// The gradient of a minibatch's loss at these weights, in [`Update::last_gradient`]; gives the means that are logged:
    /// policy loss, value loss, entropy, the two estimates of the divergence, and the share of clipped ratios.
    pub fn gradient(
        &mut self,
        net: &ActorCritic,
        weights: &[f32],
        batch: &Minibatch,
        config: &Config,
    ) -> [f64; 6] {
        let rows = batch.actions.len();
        self.gradient.clear();
        self.gradient.resize(weights.len(), 0.0);
        let mut sums = [0.0; 6];
        for first in (0..rows).step_by(CHUNK) {
            self.add_gradient(net, weights, (batch, first..rows.min(first + CHUNK)), config, &mut sums);
        }
        sums.map(|sum| sum / rows as f64)
    }

    /// Adds the share of some rows.
    fn add_gradient(
        &mut self,
        net: &ActorCritic,
        weights: &[f32],
        (batch, rows): (&Minibatch, Range<usize>),
        config: &Config,
        sums: &mut [f64; 6],
    ) {
        let Self { actor, critic, of_logits, of_values, scratch, gradient, .. } = self;
        let all = batch.actions.len();
        let width = batch.obs.len() / all;
        let obs = &batch.obs[rows.start * width..rows.end * width];
        net.actor.forward(weights, obs, actor);
        net.critic.forward(weights, obs, critic);
        let actions = batch.mask.len() / all;
        hide(&mut actor.out, &batch.mask[rows.start * actions..rows.end * actions]);
        policy_gradient(&actor.out, (batch, rows.clone()), config, of_logits, sums);
        value_gradient(&critic.out, (batch, rows), config, of_values, sums);
        net.actor.backward(weights, obs, actor, of_logits, scratch, gradient);
        net.critic.backward(weights, obs, critic, of_values, scratch, gradient);
    }

    /// What the last call of [`Update::gradient`] found: (weights)
    pub fn last_gradient(&self) -> &[f32] {
        &self.gradient
    }
}

/// What a row's logits say: probabilities, where illegal actions with minus infinity have none.
struct Softmax {
    log_sum: f32,
    entropy: f32,
}

impl Softmax {
    fn new(logits: &[f32]) -> Self {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let log_sum = logits.iter().map(|logit| (logit - highest).exp()).sum::<f32>().ln() + highest;
        // Zero times minus infinity is not zero: an illegal action has no share in the entropy.
        let legal = logits.iter().filter(|logit| logit.is_finite());
        let entropy = legal.map(|logit| (logit - log_sum).exp() * (log_sum - logit)).sum();
        Self { log_sum, entropy }
    }
}

/// The gradient of the clipped objective and the entropy bonus by the logits (rows, actions) of these rows of the
/// minibatch; adds to the sums of policy loss, entropy, divergences and clipped ratios.
fn policy_gradient(
    logits: &[f32],
    (batch, rows): (&Minibatch, Range<usize>),
    config: &Config,
    out: &mut Vec<f32>,
    sums: &mut [f64; 6],
) {
    let share = 1.0 / batch.actions.len() as f32;
    let width = logits.len() / rows.len();
    out.clear();
    for (row, logits) in rows.zip(logits.chunks_exact(width)) {
        let Softmax { log_sum, entropy } = Softmax::new(logits);
        let (action, advantage) = (batch.actions[row], batch.advantages[row]);
        let log_ratio = logits[action] - log_sum - batch.log_probs[row];
        let ratio = log_ratio.exp();
        let bounded = ratio.clamp(1.0 - config.clip_coef, 1.0 + config.clip_coef) * advantage;
        let free = ratio * advantage;
        // The lesser objective counts; in the bounded one, beyond the bound, the policy has no part.
        let of_log_prob = if free <= bounded { -free * share } else { 0.0 };
        out.extend(logits.iter().enumerate().map(|(k, logit)| {
            if !logit.is_finite() {
                return 0.0;
            }
            let (log_prob, probability) = (logit - log_sum, (logit - log_sum).exp());
            let taken = if k == action { 1.0 } else { 0.0 };
            let of_entropy = -probability * (log_prob + entropy);
            of_log_prob * (taken - probability) - config.ent_coef * share * of_entropy
        }));
        let beyond = u8::from((ratio - 1.0).abs() > config.clip_coef);
        let kl = ratio - 1.0 - log_ratio;
        let row = [-free.min(bounded), 0.0, entropy, kl, -log_ratio, f32::from(beyond)];
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(value));
    }
}

/// The gradient of the value loss by the values of these rows of the minibatch: (rows); adds to its sum.
fn value_gradient(
    values: &[f32],
    (batch, rows): (&Minibatch, Range<usize>),
    config: &Config,
    out: &mut Vec<f32>,
    sums: &mut [f64; 6],
) {
    let weight = config.vf_coef / batch.actions.len() as f32;
    out.clear();
    for (row, value) in rows.zip(values) {
        let (old, target) = (batch.values[row], batch.returns[row]);
        let error = value - target;
        let mut loss = error * error;
        let mut of_value = weight * error;
        // Within the bound the two losses are one; computed twice, they would differ by a rounding.
        if config.clip_vloss && (value - old).abs() > config.clip_coef {
            let bounded = old + (value - old).clamp(-config.clip_coef, config.clip_coef) - target;
            // The greater loss counts; in the bounded one the value has no part.
            if bounded * bounded > loss {
                (loss, of_value) = (bounded * bounded, 0.0);
            }
        }
        sums[1] += 0.5 * f64::from(loss);
        out.push(of_value);
    }
}

/// Shifts and scales to mean zero and deviation one.
fn normalise(advantages: &mut [f32]) {
    let count = advantages.len() as f64;
    let mean = advantages.iter().map(|&advantage| f64::from(advantage)).sum::<f64>() / count;
    let squares: f64 = advantages.iter().map(|&advantage| (f64::from(advantage) - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0).max(1.0)).sqrt() + 1e-8;
    advantages
        .iter_mut()
        .for_each(|advantage| *advantage = ((f64::from(*advantage) - mean) / deviation) as f32);
}
