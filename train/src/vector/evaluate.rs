//! What a policy is worth on episodes that it was not trained on.

use anyhow::Result;
use rand::RngExt;
use yardmaster_env::gym::{Env, EnvError};

use super::net::{Activations, ActorCritic};
use super::rollout::hide;
use crate::rollout::{Acting, choose};
use crate::seed::{Purpose, derive, stream};

/// Set apart from the iterations of a training, whose streams of random numbers these must not share.
const EVALUATION: u64 = u64::MAX;

/// Returns of `episodes` episodes, which are the same for every policy of one `seed`.
///
/// # Errors
/// What the environment refuses.
pub fn evaluate<E: Env>(
    env: &mut E,
    net: &ActorCritic,
    weights: &[f32],
    acting: Acting,
    (episodes, seed): (u64, u64),
) -> Result<Vec<f64>, EnvError> {
    let spaces = env.spaces();
    let mut obs = vec![0.0; spaces.observation_len()];
    let mut mask = vec![false; spaces.actions];
    let mut activations = Activations::default();
    let mut play = |episode: u64| {
        let mut random = stream(seed, Purpose::Actions, EVALUATION, episode);
        env.reset(derive(seed, Purpose::Trace, EVALUATION, episode), &mut obs, &mut mask)?;
        let mut sum = 0.0;
        loop {
            net.actor.forward(weights, &obs, &mut activations);
            hide(&mut activations.out, &mask);
            let (action, _) = choose(&activations.out, acting, None, random.random());
            let step = env.step(action, &mut obs, &mut mask)?;
            sum += step.reward;
            if step.terminated || step.truncated {
                return Ok(sum);
            }
        }
    };
    (0..episodes).map(&mut play).collect()
}
