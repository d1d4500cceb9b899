//! Learning from a teacher that tries the actions: the loss is the regret to be expected.
//!
//! A state comes with what each action that was tried would cost more than the rule's. The policy's loss is the mean of
//! that over its own probabilities, so that mistakes count by what they cost, and actions that are as good as each
//! other may be taken either way. States are those that the rule meets first, then those of the policy itself (DAgger:
//! Ross, Gordon and Bagnell, AISTATS 2011; cost-sensitive as in AggreVaTe: Ross and Bagnell, 2014).

use rand::seq::SliceRandom;
use rayon::prelude::*;
use tch::{Kind, Tensor};

use crate::batch::{Batch, placed};
use crate::config::Config;
use crate::net::Leaf;
use crate::ppo::{Learner, SHARD, numbers};
use crate::rollout::{Sample, State};
use crate::seed::{Purpose, stream};

/// Costs beyond so many mean deviations are squashed.
const CLIP: f32 = 8.0;
/// The logit of an action that was not tried.
const UNTRIED: f64 = -1e9;

/// A decision with what its actions cost.
#[derive(Clone, Debug)]
pub struct Taught {
    /// Which task's costs these are; see [`crate::env::Environment::task`].
    pub task: usize,
    /// What was seen.
    pub state: State,
    /// What each action costs more than the rule's, in the environment's unit: (actions); NaN where it was not tried.
    pub regrets: Vec<f32>,
}

/// What costs and logits are measured in.
#[derive(Clone, Copy)]
struct Scale<'a> {
    /// Mean absolute regret of each task.
    units: &'a [f32],
    /// Raise of the prior's logit.
    lambda: f32,
}

/// What a round of lessons came to, on the states that are new in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Mean regret of the policy, in mean absolute regrets; negative is better than the rule. Before it has learned
    /// anything from them.
    pub before: f64,
    /// After that.
    pub after: f64,
    /// The least that could be had on these states: every state's best action, by costs that hold their share of luck.
    pub least: f64,
}

impl Taught {
    /// Those of an episode of a task that were labelled.
    pub fn of(task: usize, samples: Vec<Sample>) -> impl Iterator<Item = Taught> {
        samples.into_iter().filter(|sample| !sample.regrets.is_empty()).map(move |sample| {
            let Sample { state, regrets, .. } = sample;
            Taught { task, state, regrets }
        })
    }
}

/// Mean absolute regret of all actions that were tried in each task, so that tasks count alike; 1 where none differs. (tasks)
fn units(taught: &[Taught]) -> Vec<f32> {
    let mut sums: Vec<(f64, u64)> = Vec::new();
    for one in taught {
        if sums.len() <= one.task {
            sums.resize(one.task + 1, (0.0, 0));
        }
        let (sum, count) = &mut sums[one.task];
        for regret in one.regrets.iter().filter(|regret| regret.is_finite()) {
            *sum += f64::from(regret.abs());
            *count += 1;
        }
    }
    let mean = |(sum, count): (f64, u64)| (sum / count.max(1) as f64) as f32;
    sums.into_iter().map(mean).map(|unit| if unit > 0.0 { unit } else { 1.0 }).collect()
}

/// Trains the policy on all that has been taught so far, for `config.teach_epochs`. Rounds are numbered from 1; states
/// from `fresh` on are of this one.
pub fn fit(
    learner: &mut Learner,
    taught: &[Taught],
    fresh: usize,
    config: &Config,
    lambda: f32,
    round: u64,
) -> Report {
    let units = units(taught);
    let scale = Scale { units: &units, lambda };
    let fresh = &taught[fresh..];
    let mut order: Vec<usize> = (0..taught.len()).collect();
    let batches = (taught.len() / config.teach_minibatch).max(1);
    let left = 1.0 - 0.8 * (round - 1) as f32 / config.teach.max(1) as f32;
    let (rate, imitate) = (config.teach_learning_rate * left, f64::from(config.teach_imitate * left));
    let before = mean_regret(learner, fresh, scale);
    for epoch in 0..config.teach_epochs {
        order.shuffle(&mut stream(config.seed, Purpose::Order, round, epoch));
        for batch in 0..batches {
            let range = batch * order.len() / batches..(batch + 1) * order.len() / batches;
            let chosen: Vec<&Taught> = order[range].iter().map(|&at| &taught[at]).collect();
            let total = chosen.len() as f64;
            let one = &*learner;
            let shares: Vec<Vec<f32>> =
                chosen.par_chunks(SHARD).map(|part| gradient(one, part, scale, imitate, total)).collect();
            let sum = shares.into_iter().reduce(|mut sum, share| {
                sum.iter_mut().zip(&share).for_each(|(sum, more)| *sum += more);
                sum
            });
            let Some(sum) = sum else { continue };
            learner.policy.adam.step(&sum, rate, config.max_grad_norm);
        }
    }
    let least = |one: &Taught| {
        let tried = one.regrets.iter().copied().filter(|regret| regret.is_finite());
        f64::from(squash(tried.fold(f32::INFINITY, f32::min) / units[one.task]))
    };
    Report {
        before,
        after: mean_regret(learner, fresh, scale),
        least: fresh.iter().map(least).sum::<f64>() / fresh.len().max(1) as f64,
    }
}

fn squash(regret: f32) -> f32 {
    CLIP * (regret / CLIP).tanh()
}

/// The gradient of a shard's part of the mean regret over `total` states, with some imitation of the prior.
fn gradient(learner: &Learner, part: &[&Taught], scale: Scale<'_>, imitate: f64, total: f64) -> Vec<f32> {
    tch::set_num_threads(1);
    let policy = Leaf::new(&learner.policy.layout, &learner.policy.adam.params, true);
    let (regret, surprise) = losses(learner, &policy, part, scale);
    let loss = (regret + surprise * imitate) / total;
    numbers(&Tensor::run_backward(&[loss], &[&policy.flat], false, false)[0])
}

fn mean_regret(learner: &Learner, taught: &[Taught], scale: Scale<'_>) -> f64 {
    let of = |part: &[Taught]| {
        tch::set_num_threads(1);
        let _guard = tch::no_grad_guard();
        let policy = Leaf::new(&learner.policy.layout, &learner.policy.adam.params, false);
        let part: Vec<&Taught> = part.iter().collect();
        losses(learner, &policy, &part, scale).0.double_value(&[])
    };
    let sums: Vec<f64> = taught.par_chunks(SHARD).map(of).collect();
    sums.iter().sum::<f64>() / taught.len().max(1) as f64
}

/// Summed over states: the regret to be expected, and how surprising what the prior does is.
fn losses(learner: &Learner, policy: &Leaf, part: &[&Taught], scale: Scale<'_>) -> (Tensor, Tensor) {
    let states: Vec<&State> = part.iter().map(|one| &one.state).collect();
    let batch = Batch::new(&states, learner.policy.part(), learner.critic.part());
    let logits = policy.logits(&batch, scale.lambda);
    let width = logits.size()[1] as usize;
    let (mut regrets, mut untried) = (vec![0.0_f32; part.len() * width], vec![1.0_f32; part.len() * width]);
    for (row, one) in part.iter().enumerate() {
        for (at, regret) in one.regrets.iter().enumerate().filter(|(_, regret)| regret.is_finite()) {
            regrets[row * width + at] = squash(regret / scale.units[one.task]);
            untried[row * width + at] = 0.0;
        }
    }
    let shape = [part.len() as i64, width as i64];
    let [regrets, untried] = [regrets, untried].map(|values| placed(&values).view(shape));
    let log_probs = (logits + untried * UNTRIED).log_softmax(1, Kind::Float);
    let probs = log_probs.exp();
    let surprise = -(log_probs * &batch.prior).sum(Kind::Float);
    ((probs * regrets).sum(Kind::Float), surprise)
}
