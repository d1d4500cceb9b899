//! The trainer's network and the frozen one must be the same function; and only then is a policy exported.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use yardmaster_agent::frozen::{self, Frozen, Origin};
use yardmaster_agent::net::{PolicyNet, Scratch, first_highest};

use crate::batch::Batch;
use crate::net::Leaf;
use crate::ppo::{Learner, numbers};
use crate::rollout::State;

/// Decisions that go into a card as golden cases.
const GOLDEN: usize = 16;

/// Logits that differ by less count as equal; see [`Parity::largest`].
pub const TOLERANCE: f32 = 1e-5;

/// How far the two forward passes lie apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parity {
    /// Largest difference of a logit, relative to the decision's largest logit where that is beyond 1.
    pub largest: f32,
    /// Decisions in which another action is best, and not by a tie.
    pub differing: usize,
}

/// Compares the two on these decisions, each by itself and all in one batch.
pub fn compare(learner: &Learner, net: &PolicyNet, states: &[State]) -> Parity {
    let mut parity = Parity::default();
    let mut scratch = Scratch::default();
    let together: Vec<&State> = states.iter().collect();
    let all = logits(learner, net, &together);
    for (state, of_all) in states.iter().zip(all) {
        let alone = logits(learner, net, &[state]).concat();
        let own = net.logits(&state.obs, state.prior, &mut scratch);
        for other in [&alone, &of_all[..own.len()]] {
            // Float32 has seven digits: a logit beyond one is compared by its share of the decision's largest.
            let scale = own.iter().fold(1.0_f32, |scale, logit| scale.max(logit.abs()));
            let gaps = own.iter().zip(other).map(|(a, b)| (a - b).abs() / scale);
            parity.largest = gaps.fold(parity.largest, f32::max);
            let choices = first_highest(own).zip(first_highest(other));
            let differs = choices.is_some_and(|(a, b)| a != b && own[a] - own[b] >= TOLERANCE);
            parity.differing += usize::from(differs);
        }
    }
    parity
}

/// The trainer's logits: (states)(most actions)
fn logits(learner: &Learner, net: &PolicyNet, states: &[&State]) -> Vec<Vec<f32>> {
    let _guard = tch::no_grad_guard();
    let batch = Batch::new(states, learner.policy.part(), learner.critic.part());
    let leaf = Leaf::new(&learner.policy.layout, &learner.policy.adam.params, false);
    let logits = leaf.logits(&batch, net.lambda());
    let width = logits.size()[1].max(1) as usize;
    numbers(&logits).chunks(width).map(<[f32]>::to_vec).collect()
}

/// Freezes a trained policy into `path`, with some of `states`, evenly spread, as golden cases.
///
/// Errors: the two forward passes differ, or the file cannot be made.
pub fn export(
    path: &Path,
    learner: &Learner,
    net: PolicyNet,
    origin: Origin,
    states: &[State],
) -> Result<Frozen> {
    let parity = compare(learner, &net, states);
    ensure!(
        parity.largest <= TOLERANCE && parity.differing == 0,
        "the forward passes differ: by {} in a logit, in {} choices of {}",
        parity.largest,
        parity.differing,
        states.len()
    );
    let spread = states.iter().step_by((states.len() / GOLDEN).max(1)).take(GOLDEN);
    let cases: Vec<_> = spread.map(|state| (state.obs.clone(), state.prior)).collect();
    let frozen = Frozen::new(origin, net, &cases)?;
    frozen::write(path, &frozen)?;
    let back = frozen::read(&std::fs::read(path).context("cannot read the export back")?)?;
    back.verify_golden()?;
    Ok(back)
}
