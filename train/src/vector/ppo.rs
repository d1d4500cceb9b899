//! The update: PPO's losses and their gradients, by hand, over one rollout.

use std::time::{Duration, Instant};

use rand::seq::SliceRandom;

use super::config::Config;
use super::net::{Activations, ActorCritic, Scratch};
use super::rollout::{Rollout, hide};
use crate::adam::Adam;
use crate::ppo::Losses;
use crate::seed::{Purpose, stream};

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
        let (mut sum, mut count, mut transfer) = ([0.0; 7], 0.0, Duration::ZERO);
        for epoch in 0..config.update_epochs {
            order.shuffle(&mut stream(config.seed, Purpose::Order, iteration, epoch as u64));
            for chosen in order.chunks(config.minibatch_size) {
                let begin = Instant::now();
                minibatch.fill(rollout, advantages, chosen);
                transfer += begin.elapsed();
                let means = self.gradient(net, &adam.params, &minibatch, config);
                let norm = adam.step(&self.gradient, config.learning_rate, config.max_grad_norm);
                let row = means.into_iter().chain([f64::from(norm)]);
                sum.iter_mut().zip(row).for_each(|(sum, mean)| *sum += mean);
                count += 1.0;
            }
        }
        self.minibatch = minibatch;
        let [policy_loss, value_loss, entropy, approx_kl, old_approx_kl, clipfrac, grad_norm] =
            sum.map(|sum| sum / f64::max(count, 1.0));
        Losses {
            policy_loss,
            value_loss,
            entropy,
            approx_kl,
            old_approx_kl,
            clipfrac,
            grad_norm,
            epochs: config.update_epochs as f64,
            transfer_seconds: transfer.as_secs_f64(),
        }
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
        net.actor.forward(weights, &batch.obs, &mut self.actor);
        net.critic.forward(weights, &batch.obs, &mut self.critic);
        hide(&mut self.actor.out, &batch.mask);
        let mut sums = [0.0; 6];
        policy_gradient(&self.actor.out, batch, config, &mut self.of_logits, &mut sums);
        value_gradient(&self.critic.out, batch, config, &mut self.of_values, &mut sums);
        self.gradient.clear();
        self.gradient.resize(weights.len(), 0.0);
        let Self { scratch, gradient, .. } = self;
        net.actor.backward(weights, &batch.obs, &self.actor, &self.of_logits, scratch, gradient);
        net.critic.backward(weights, &batch.obs, &self.critic, &self.of_values, scratch, gradient);
        sums.map(|sum| sum / batch.actions.len() as f64)
    }

    /// What the last call of [`Update::gradient`] found: (weights)
    pub fn last_gradient(&self) -> &[f32] {
        &self.gradient
    }
}

/// The gradient of the clipped objective and the entropy bonus by the logits (rows, actions), where illegal actions
/// have minus infinity; adds to the sums of policy loss, entropy, divergences and clipped ratios.
fn policy_gradient(
    logits: &[f32],
    batch: &Minibatch,
    config: &Config,
    out: &mut Vec<f32>,
    sums: &mut [f64; 6],
) {
    let rows = batch.actions.len();
    let width = logits.len() / rows;
    let share = 1.0 / rows as f32;
    out.clear();
    for (row, logits) in logits.chunks_exact(width).enumerate() {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let log_sum = logits.iter().map(|logit| (logit - highest).exp()).sum::<f32>().ln() + highest;
        // Zero times minus infinity is not zero: an illegal action has no share in the entropy.
        let own_entropy =
            |logit: &f32| if logit.is_finite() { (logit - log_sum).exp() * (log_sum - logit) } else { 0.0 };
        let entropy: f32 = logits.iter().map(own_entropy).sum();
        let action = batch.actions[row];
        let log_ratio = logits[action] - log_sum - batch.log_probs[row];
        let (ratio, advantage) = (log_ratio.exp(), batch.advantages[row]);
        let bounded = ratio.clamp(1.0 - config.clip_coef, 1.0 + config.clip_coef);
        let objective = (ratio * advantage).min(bounded * advantage);
        let of_log_prob =
            if ratio * advantage <= bounded * advantage { -ratio * advantage * share } else { 0.0 };
        out.extend(logits.iter().enumerate().map(|(k, logit)| {
            if !logit.is_finite() {
                return 0.0;
            }
            let (log_prob, probability) = (logit - log_sum, (logit - log_sum).exp());
            let taken = if k == action { 1.0 } else { 0.0 };
            of_log_prob * (taken - probability) + config.ent_coef * share * probability * (log_prob + entropy)
        }));
        let beyond = f64::from(u8::from((ratio - 1.0).abs() > config.clip_coef));
        let kl = f64::from(ratio - 1.0 - log_ratio);
        let row = [-f64::from(objective), 0.0, f64::from(entropy), kl, -f64::from(log_ratio), beyond];
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

/// The gradient of the value loss by the values (rows); adds to its sum.
fn value_gradient(
    values: &[f32],
    batch: &Minibatch,
    config: &Config,
    out: &mut Vec<f32>,
    sums: &mut [f64; 6],
) {
    let weight = config.vf_coef / values.len() as f32;
    out.clear();
    for (row, value) in values.iter().enumerate() {
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
