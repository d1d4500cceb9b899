//! The loop: play, estimate, update.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::{Result, ensure};
use yardmaster_env::gym::Env;

use super::config::Config;
use super::net::{ActorCritic, Shape};
use super::ppo::Update;
use super::rollout::{Collector, Rollout};
use crate::adam::Adam;
use crate::log::Metrics;
use crate::losses::{Losses, explained_variance};
use crate::seed::{Purpose, stream};

/// Episodes over which the logged return is a mean.
const WINDOW: usize = 100;

/// A learner among its environments. Everything follows from the settings; it computes on the calling thread.
pub struct Trainer<E> {
    config: Config,
    collector: Collector<E>,
    net: ActorCritic,
    adam: Adam,
    update: Update,
    iteration: u64,
    /// Returns of the last episodes, the newest first.
    returns: VecDeque<f64>,
}

impl<E: Env> Trainer<E> {
    /// Begins with `config.num_envs` environments of the same spaces.
    ///
    /// # Errors
    /// Settings that cannot be trained with, or environments that do not fit them or one another.
    pub fn new(config: Config, envs: Vec<E>) -> Result<Self> {
        config.check()?;
        ensure!(
            envs.len() == config.num_envs,
            "{} environments for num_envs = {}",
            envs.len(),
            config.num_envs
        );
        let collector = Collector::new(envs)?;
        let spaces = collector.spaces();
        let (observation, actions) = (spaces.observation_len(), spaces.actions);
        let net = ActorCritic::new(Shape { observation, hidden: config.hidden, actions });
        let adam = Adam::new(net.weights(&mut stream(config.seed, Purpose::Weights, 0, 0)));
        let (update, returns) = (Update::default(), VecDeque::with_capacity(WINDOW));
        Ok(Self { config, collector, net, adam, update, iteration: 0, returns })
    }

    /// The network.
    pub fn net(&self) -> &ActorCritic {
        &self.net
    }

    /// Weights and moments.
    pub fn adam(&self) -> &Adam {
        &self.adam
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.iteration * self.config.batch_size() as u64
    }

    /// Whether the steps to train on have been taken.
    pub fn done(&self) -> bool {
        self.iteration >= self.config.iterations()
    }

    /// Plays a rollout and learns from it.
    ///
    /// # Errors
    /// What an environment refuses.
    pub fn iterate(&mut self) -> Result<Metrics> {
        let config = self.now();
        self.iteration += 1;
        let Config { seed, num_steps, num_envs, gamma, gae_lambda, .. } = config;
        let rollout = self.collector.play(&self.net, &self.adam.params, num_steps, (seed, self.iteration))?;
        let begin = Instant::now();
        let advantages = rollout.advantages(num_envs, gamma, gae_lambda);
        let played = (&rollout, advantages.as_slice());
        let losses = self.update.run(&self.net, &mut self.adam, played, &config, self.iteration);
        for &value in &rollout.returns {
            self.returns.truncate(WINDOW - 1);
            self.returns.push_front(value);
        }
        Ok(self.metrics(played, config.learning_rate, &losses, begin.elapsed().as_secs_f64()))
    }

    /// The settings with the coming iteration's learning rate and clip.
    fn now(&self) -> Config {
        let left = 1.0 - self.iteration as f32 / self.config.iterations() as f32;
        let falling = |start: f32, falls: bool| if falls { start * left } else { start };
        Config {
            learning_rate: falling(self.config.learning_rate, self.config.anneal_lr),
            clip_coef: falling(self.config.clip_coef, self.config.anneal_clip),
            ..self.config.clone()
        }
    }

    fn metrics(
        &self,
        (rollout, advantages): (&Rollout, &[f32]),
        rate: f32,
        losses: &Losses,
        learn: f64,
    ) -> Metrics {
        let mut metrics = Metrics::new(self.iteration, self.steps());
        if !self.returns.is_empty() {
            let mean = self.returns.iter().sum::<f64>() / self.returns.len() as f64;
            metrics.push("charts/episodic_return", mean);
        }
        let [environment, forward] = [rollout.environment, rollout.forward].map(|span| span.as_secs_f64());
        let returns = rollout.values.iter().zip(advantages).map(|(value, advantage)| value + advantage);
        for (name, value) in [
            ("charts/SPS", self.config.batch_size() as f64 / (environment + forward + learn)),
            ("charts/learning_rate", f64::from(rate)),
            ("losses/explained_variance", explained_variance(&rollout.values, returns)),
            ("performance/environment_seconds", environment),
            ("performance/forward_seconds", forward),
            ("performance/learn_seconds", learn),
        ] {
            metrics.push(name, value);
        }
        losses.rows().into_iter().for_each(|(name, value)| metrics.push(name, value));
        metrics
    }
}
