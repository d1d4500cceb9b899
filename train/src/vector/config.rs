//! Settings of the learner on vectors, and those that results were made with.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// Every setting; a TOML file names those that differ from [`Config::standard`]. The names are those of the usual
/// single-file implementation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Seeds weights, episodes, actions and minibatches.
    pub seed: u64,
    /// Steps to train on, over all environments; what does not fill a rollout is not played.
    pub total_timesteps: u64,
    /// Environments that are stepped together.
    pub num_envs: usize,
    /// Steps of each environment in a rollout.
    pub num_steps: usize,
    /// Adam's step.
    pub learning_rate: f32,
    /// Whether Adam's step falls linearly to zero.
    pub anneal_lr: bool,
    /// Discount of a step.
    pub gamma: f32,
    /// Lambda of the generalised advantage estimate.
    pub gae_lambda: f32,
    /// Passes over a rollout.
    pub update_epochs: usize,
    /// Steps of a minibatch.
    pub minibatch_size: usize,
    /// Bound of the probability ratio's distance from one.
    pub clip_coef: f32,
    /// Whether that bound falls linearly to zero.
    pub anneal_clip: bool,
    /// Whether the value's distance from the old value is bounded by `clip_coef` too.
    pub clip_vloss: bool,
    /// Weight of the entropy bonus.
    pub ent_coef: f32,
    /// Weight of the value loss.
    pub vf_coef: f32,
    /// Largest norm of the gradient of all weights together.
    pub max_grad_norm: f32,
    /// Units of each hidden layer.
    pub hidden: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self::standard()
    }
}

impl Config {
    /// The settings of the usual single-file implementation: 4 environments, 128 steps, 500,000 in all.
    pub fn standard() -> Self {
        Self {
            seed: 1,
            total_timesteps: 500_000,
            num_envs: 4,
            num_steps: 128,
            learning_rate: 2.5e-4,
            anneal_lr: true,
            gamma: 0.99,
            gae_lambda: 0.95,
            update_epochs: 4,
            minibatch_size: 128,
            clip_coef: 0.2,
            anneal_clip: false,
            clip_vloss: true,
            ent_coef: 0.01,
            vf_coef: 0.5,
            max_grad_norm: 0.5,
            hidden: 64,
        }
    }

    /// Tuned for CartPole: 8 environments, 100,000 steps in all.
    pub fn tuned() -> Self {
        Self {
            total_timesteps: 100_000,
            num_envs: 8,
            num_steps: 32,
            learning_rate: 1e-3,
            gamma: 0.98,
            gae_lambda: 0.8,
            update_epochs: 20,
            minibatch_size: 256,
            anneal_clip: true,
            clip_vloss: false,
            ent_coef: 0.0,
            ..Self::standard()
        }
    }

    /// The work on which learners are compared for speed: 8 environments, 256 steps, minibatches of 64, 10 epochs.
    pub fn matched() -> Self {
        Self {
            total_timesteps: 100_000,
            num_envs: 8,
            num_steps: 256,
            update_epochs: 10,
            minibatch_size: 64,
            learning_rate: 3e-4,
            anneal_lr: false,
            ent_coef: 0.0,
            clip_vloss: false,
            ..Self::standard()
        }
    }

    /// Many environments, long rollouts, large minibatches, few epochs: many steps a second.
    pub fn large_batch() -> Self {
        Self {
            total_timesteps: 2_000_000,
            num_envs: 64,
            num_steps: 256,
            minibatch_size: 8192,
            update_epochs: 4,
            learning_rate: 5e-3,
            gamma: 0.98,
            gae_lambda: 0.9,
            ent_coef: 0.0,
            clip_vloss: false,
            ..Self::standard()
        }
    }

    /// Refuses settings that cannot be trained with.
    ///
    /// # Errors
    /// Names the setting and what it must be.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [
            ("num_envs", self.num_envs),
            ("num_steps", self.num_steps),
            ("update_epochs", self.update_epochs),
            ("minibatch_size", self.minibatch_size),
            ("hidden", self.hidden),
        ] {
            ensure!(value > 0, "{name} must be at least 1");
        }
        let (steps, batch) = (self.total_timesteps, self.batch_size());
        ensure!(steps >= batch as u64, "total_timesteps is {steps}, one rollout has {batch}");
        let size = self.minibatch_size;
        ensure!(
            batch.is_multiple_of(size),
            "minibatch_size {size} does not divide a rollout of {batch} steps"
        );
        for (name, value) in [("gamma", self.gamma), ("gae_lambda", self.gae_lambda)] {
            ensure!((0.0..=1.0).contains(&value), "{name} must lie in 0..=1, is {value}");
        }
        Ok(())
    }

    /// Steps of a rollout, over all environments.
    pub fn batch_size(&self) -> usize {
        self.num_envs * self.num_steps
    }

    /// Rollouts of the whole training.
    pub fn iterations(&self) -> u64 {
        self.total_timesteps / self.batch_size() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_accepted_and_mistakes_are_named() {
        for config in [Config::standard(), Config::tuned(), Config::matched(), Config::large_batch()] {
            config.check().unwrap();
        }
        let message = |config: Config| config.check().unwrap_err().to_string();
        assert!(message(Config { minibatch_size: 100, ..Config::standard() }).contains("does not divide"));
        assert!(
            message(Config { total_timesteps: 10, ..Config::standard() }).contains("one rollout has 512")
        );
        assert!(message(Config { gamma: 1.5, ..Config::standard() }).contains("gamma"));
        assert_eq!(Config::standard().iterations(), 976);
    }
}
