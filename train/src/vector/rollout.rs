//! A fixed number of steps from each of many environments, and what the steps were worth.

use std::time::{Duration, Instant};

use anyhow::Result;
use rand::RngExt;
use yardmaster_env::gym::{Autoreset, Batch, Env, Spaces, VecEnv};

use super::net::{Activations, ActorCritic};
use crate::gae::Track;
use crate::rollout::{Acting, choose};
use crate::seed::{Purpose, stream};

/// Observations whose values are computed together, so that the activations stay in the cache.
const CHUNK: usize = 64;

/// Steps of all environments. Step t of environment i of n stands at row `t * n + i`.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    /// What was seen: (steps, observation)
    pub obs: Vec<f32>,
    /// Legal actions: (steps, actions)
    pub mask: Vec<bool>,
    /// What was done: (steps)
    pub actions: Vec<usize>,
    /// Log-probability of that when it was done: (steps)
    pub log_probs: Vec<f32>,
    /// The critic's value of what was seen: (steps)
    pub values: Vec<f32>,
    /// What the steps brought: (steps)
    pub rewards: Vec<f32>,
    /// Stretches of one episode each, in order of environments and time; together they are all steps.
    pub segments: Vec<Segment>,
    /// Returns of the episodes that ended.
    pub returns: Vec<f64>,
    /// Time that the environments took.
    pub environment: Duration,
    /// Time that the forward passes and draws took.
    pub forward: Duration,
}

/// Consecutive steps of one environment within one episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Which environment.
    pub env: usize,
    /// First step.
    pub first: usize,
    /// One past the last step.
    pub end: usize,
    /// What follows, as the critic sees it: zero after a termination, else the value of the observation after the last step.
    pub last_value: f32,
}

/// Environments and their present observations.
pub(super) struct Collector<E> {
    envs: VecEnv<E>,
    now: Batch,
    observation: usize,
    started: bool,
}

/// Where a stretch ended and what was seen there, if anything was to follow: index into (ends, observation).
struct End {
    env: usize,
    end: usize,
    seen: Option<usize>,
}

impl<E: Env> Collector<E> {
    pub(super) fn new(envs: Vec<E>) -> Result<Self> {
        let envs = VecEnv::new(envs, Autoreset::SameStep)?;
        let now = Batch::new(envs.len(), envs.spaces());
        let observation = envs.spaces().observation_len();
        Ok(Self { envs, now, observation, started: false })
    }

    pub(super) fn spaces(&self) -> &Spaces {
        self.envs.spaces()
    }

    /// Plays `steps` steps in each environment, which go on where the last rollout left them. Environment i draws its
    /// actions from (seed, iteration, i).
    pub(super) fn play(
        &mut self,
        net: &ActorCritic,
        weights: &[f32],
        steps: usize,
        (seed, iteration): (u64, u64),
    ) -> Result<Rollout> {
        if !self.started {
            self.envs.reset(seed, self.now.lend())?;
            self.started = true;
        }
        let n = self.envs.len();
        let mut streams: Vec<_> =
            (0..n).map(|env| stream(seed, Purpose::Actions, iteration, env as u64)).collect();
        let mut rollout = Rollout::default();
        let (mut ends, mut seen) = (Vec::new(), Vec::new());
        let mut activations = Activations::default();
        for step in 0..steps {
            let begin = Instant::now();
            rollout.obs.extend_from_slice(&self.now.obs);
            rollout.mask.extend_from_slice(&self.now.mask);
            net.actor.forward(weights, &self.now.obs, &mut activations);
            hide(&mut activations.out, &self.now.mask);
            let width = activations.out.len() / n;
            for (logits, random) in activations.out.chunks_exact(width).zip(&mut streams) {
                let (action, log_prob) = choose(logits, Acting::Sample, None, random.random());
                rollout.actions.push(action);
                rollout.log_probs.push(log_prob);
            }
            let chosen = Instant::now();
            self.envs.step(&rollout.actions[step * n..], self.now.lend())?;
            rollout.forward += chosen - begin;
            rollout.environment += chosen.elapsed();
            rollout.rewards.extend(self.now.rewards.iter().map(|&reward| reward as f32));
            self.note_ends(step, step + 1 == steps, &mut rollout.returns, &mut ends, &mut seen);
        }
        let begin = Instant::now();
        rollout.values = values(net, weights, &rollout.obs, self.observation);
        rollout.segments = segments(ends, &values(net, weights, &seen, self.observation));
        rollout.forward += begin.elapsed();
        Ok(rollout)
    }

    /// Notes the stretches that end with this step: where an episode ended, and everywhere after the last step.
    fn note_ends(
        &self,
        step: usize,
        last: bool,
        returns: &mut Vec<f64>,
        ends: &mut Vec<End>,
        seen: &mut Vec<f32>,
    ) {
        for env in 0..self.envs.len() {
            let over = self.now.terminated[env] || self.now.truncated[env];
            returns.extend(self.envs.stats(env).map(|stats| stats.episode_return));
            if !(over || last) {
                continue;
            }
            let own = &self.now.obs[env * self.observation..][..self.observation];
            // The environment may show its next episode already; what the finished one ended with is apart from it.
            let after = if over { self.envs.final_observation(env).unwrap_or(own) } else { own };
            let index = (!self.now.terminated[env]).then_some(seen.len() / self.observation);
            if index.is_some() {
                seen.extend_from_slice(after);
            }
            ends.push(End { env, end: step + 1, seen: index });
        }
    }
}

/// Stretches from their ends; `values` are those of the observations after them.
fn segments(mut ends: Vec<End>, values: &[f32]) -> Vec<Segment> {
    ends.sort_by_key(|end| (end.env, end.end));
    let mut segments: Vec<Segment> = Vec::with_capacity(ends.len());
    for End { env, end, seen } in ends {
        let first = segments.last().filter(|before| before.env == env).map_or(0, |before| before.end);
        segments.push(Segment { env, first, end, last_value: seen.map_or(0.0, |index| values[index]) });
    }
    segments
}

/// Logits (any) of illegal actions become minus infinity: their probability is zero, wherever it is used.
pub(super) fn hide(logits: &mut [f32], mask: &[bool]) {
    for (logit, legal) in logits.iter_mut().zip(mask) {
        if !legal {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// The critic's values of observations (any, width): (any)
fn values(net: &ActorCritic, weights: &[f32], obs: &[f32], width: usize) -> Vec<f32> {
    let mut activations = Activations::default();
    let mut values = Vec::with_capacity(obs.len() / width);
    for chunk in obs.chunks(CHUNK * width) {
        net.critic.forward(weights, chunk, &mut activations);
        values.extend_from_slice(&activations.out);
    }
    values
}

impl Rollout {
    /// Generalised advantages: (steps). `envs` is the number of environments.
    pub fn advantages(&self, envs: usize, gamma: f32, lambda: f32) -> Vec<f32> {
        let mut advantages = vec![0.0; self.rewards.len()];
        for segment in &self.segments {
            let rows = || (segment.first..segment.end).map(|step| step * envs + segment.env);
            let of = |numbers: &[f32]| rows().map(|row| numbers[row]).collect::<Vec<_>>();
            let track = Track {
                rewards: of(&self.rewards),
                elapsed: Vec::new(),
                discounts: vec![gamma; segment.end - segment.first],
                values: of(&self.values),
                last_value: segment.last_value,
            };
            rows().zip(track.gae(lambda)).for_each(|(row, advantage)| advantages[row] = advantage);
        }
        advantages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recursion over all steps with flags, as it is usually written: nothing comes back over the end of an episode.
    fn by_flags(rollout: &Rollout, envs: usize, after: &[[f32; 4]; 2], gamma: f32, lambda: f32) -> Vec<f32> {
        let mut advantages = vec![0.0; rollout.rewards.len()];
        for (env, after) in after.iter().enumerate() {
            let mut advantage = 0.0;
            for step in (0..4).rev() {
                let row = step * envs + env;
                let over =
                    rollout.segments.iter().any(|segment| segment.env == env && segment.end == step + 1);
                let delta = rollout.rewards[row] + gamma * after[step] - rollout.values[row];
                advantage = delta + if over { 0.0 } else { gamma * lambda * advantage };
                advantages[row] = advantage;
            }
        }
        advantages
    }

    #[test]
    fn advantages_stop_at_the_ends_of_episodes() {
        // Environment 0 is cut off after two steps, where the critic sees 5; environment 1 terminates after three.
        let ends = vec![
            End { env: 0, end: 2, seen: Some(0) },
            End { env: 1, end: 3, seen: None },
            End { env: 0, end: 4, seen: Some(1) },
            End { env: 1, end: 4, seen: Some(2) },
        ];
        let rollout = Rollout {
            values: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
            rewards: vec![1.0, -1.0, 2.0, 0.5, -0.5, 3.0, 1.5, 2.5],
            segments: segments(ends, &[5.0, 0.9, -0.7]),
            ..Rollout::default()
        };
        let segment = |env, first, end, last_value| Segment { env, first, end, last_value };
        let expected =
            [segment(0, 0, 2, 5.0), segment(0, 2, 4, 0.9), segment(1, 0, 3, 0.0), segment(1, 3, 4, -0.7)];
        assert_eq!(rollout.segments, expected);
        let after = [[0.3, 5.0, 0.7, 0.9], [0.4, 0.6, 0.0, -0.7]];
        let advantages = rollout.advantages(2, 0.9, 0.8);
        let expected = by_flags(&rollout, 2, &after, 0.9, 0.8);
        assert!(
            advantages.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{advantages:?} {expected:?}"
        );
    }
}
