//! Playing episodes with the frozen forward pass, many at a time.

use std::time::{Duration, Instant};

use std::sync::Arc;

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use yardmaster_agent::net::{PolicyNet, Scratch, first_highest};
use yardmaster_env::observe::Observation;

use crate::config::Config;
use crate::env::Environment;
use crate::seed::{Purpose, derive, stream};

/// What the nets see of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The observation.
    pub obs: Observation,
    /// The prior heuristic's action.
    pub prior: Option<usize>,
    /// What only the critic sees.
    pub future: Vec<f32>,
}

/// A decision and what it brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What was seen.
    pub state: State,
    /// What was done.
    pub action: usize,
    /// Log-probability of that when it was done.
    pub log_prob: f32,
    /// Reward that followed.
    pub reward: f32,
    /// Time until the next decision.
    pub elapsed: f32,
    /// What a teacher or a tutor said, where one was asked.
    pub label: Option<Label>,
}

/// What is said of a decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// By a teacher: what each action costs more than the prior's, (actions).
    Regrets(Vec<f32>),
    /// By a tutor: how likely it is to take each action, (actions).
    Example(Vec<f32>),
}

/// Where the time of an episode went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// The environment: its steps and what it shows.
    pub environment: Duration,
    /// The network's forward passes and the draws.
    pub forward: Duration,
}

/// One episode.
#[derive(Clone, Debug)]
pub struct Episode {
    /// Which of the iteration's traces it played.
    pub trace: usize,
    /// Its decisions.
    pub samples: Vec<Sample>,
    /// Where it was cut off, if it was.
    pub last: Option<State>,
    /// The objective, lower is better.
    pub score: f64,
    /// Where the time went.
    pub spent: Spent,
}

/// How actions are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acting {
    /// Drawn from the policy.
    Sample,
    /// The policy's best.
    Greedy,
    /// The prior's, where it takes one; drawn from the policy elsewhere.
    Prior,
}

/// Plays one episode in each environment, each on a trace of its own, and asks the tutor about some of the decisions in the
/// rounds that are his, where there is one, and else the teacher.
pub fn play_taught<E: Environment>(
    envs: &mut [E],
    net: &PolicyNet,
    config: &Config,
    iteration: u64,
    acting: Acting,
) -> Vec<Episode> {
    let is_tail = config.is_tail(iteration);
    let limit = match config.teach_decisions {
        0 => config.max_decisions,
        most => most.min(config.max_decisions),
    };
    let config = &Config { max_decisions: limit, ..config.clone() };
    let shared = Arc::new(net.clone());
    let one = |(trace, env): (usize, &mut E)| {
        let mut teacher = stream(config.seed, Purpose::Teacher, iteration, trace as u64);
        let mut ask = |env: &mut E| {
            let length = env.length().min(config.max_decisions).max(1);
            let tutored = iteration <= config.tutor && env.has_tutor();
            let states = if tutored { config.tutor_states } else { config.teach_states };
            if teacher.random::<f32>() >= states as f32 / length as f32 {
                None
            } else if tutored {
                env.example().map(Label::Example)
            } else {
                env.regrets(&shared, is_tail, &mut teacher).map(Label::Regrets)
            }
        };
        play_one(env, net, config, [iteration, trace as u64, trace as u64], acting, &mut ask)
    };
    envs.par_iter_mut().enumerate().map(one).collect()
}

/// Plays one episode in each environment. Environment `i` draws from (seed, iteration, i) and shares its trace
/// with its neighbours, so neither threads nor earlier iterations change an episode.
pub fn play<E: Environment>(
    envs: &mut [E],
    net: &PolicyNet,
    config: &Config,
    iteration: u64,
    acting: Acting,
) -> Vec<Episode> {
    let one = |(i, env): (usize, &mut E)| {
        let trace = i / config.rollouts_per_trace;
        play_one(env, net, config, [iteration, i as u64, trace as u64], acting, &mut |_| None)
    };
    envs.par_iter_mut().enumerate().map(one).collect()
}

/// Plays an episode from its beginning, on the trace and with the random numbers of [iteration, environment, trace].
fn play_one<E: Environment>(
    env: &mut E,
    net: &PolicyNet,
    config: &Config,
    [iteration, number, trace]: [u64; 3],
    acting: Acting,
    ask: &mut dyn FnMut(&mut E) -> Option<Label>,
) -> Episode {
    let mut random = stream(config.seed, Purpose::Actions, iteration, number);
    let begin = Instant::now();
    env.reset(derive(config.seed, Purpose::Trace, iteration, trace));
    let reset = begin.elapsed();
    let mut episode = episode_with(env, net, config.max_decisions, acting, &mut random, ask);
    episode.spent.environment += reset;
    Episode { trace: trace as usize, ..episode }
}

/// Plays on from a reset environment until the episode ends or `max_decisions` are made.
pub fn episode<E: Environment>(
    env: &mut E,
    net: &PolicyNet,
    max_decisions: usize,
    acting: Acting,
    random: &mut Xoshiro256PlusPlus,
) -> Episode {
    episode_with(env, net, max_decisions, acting, random, &mut |_| None)
}

/// As [`episode`]; `ask` gives what is said of a decision, if anything.
fn episode_with<E: Environment>(
    env: &mut E,
    net: &PolicyNet,
    max_decisions: usize,
    acting: Acting,
    random: &mut Xoshiro256PlusPlus,
    ask: &mut dyn FnMut(&mut E) -> Option<Label>,
) -> Episode {
    let mut scratch = Scratch::default();
    let mut samples = Vec::new();
    let mut last = None;
    let mut spent = Spent::default();
    loop {
        let state =
            State { obs: env.observation().clone(), prior: env.prior(), future: env.future().to_vec() };
        let begin = Instant::now();
        let logits = net.logits(&state.obs, state.prior, &mut scratch);
        assert!(!logits.is_empty(), "the environment asks for a decision without a legal action");
        let uniform = random.random::<f64>();
        let (action, log_prob) = choose(logits, acting, state.prior, uniform);
        spent.forward += begin.elapsed();
        let label = ask(env);
        let begin = Instant::now();
        let step = env.step(action);
        spent.environment += begin.elapsed();
        let (reward, elapsed) = (step.reward, step.elapsed);
        samples.push(Sample { state, action, log_prob, reward, elapsed, label });
        if step.terminated {
            break;
        }
        if step.truncated || samples.len() == max_decisions {
            let obs = env.observation().clone();
            last = Some(State { obs, prior: env.prior(), future: env.future().to_vec() });
            break;
        }
    }
    Episode { trace: 0, samples, last, score: env.score(), spent }
}

/// An action and its log-probability under the softmax of `logits` (actions).
pub(crate) fn choose(logits: &[f32], acting: Acting, prior: Option<usize>, uniform: f64) -> (usize, f32) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| f64::from(logit - highest).exp();
    let sum: f64 = logits.iter().map(|&logit| weight(logit)).sum();
    let action = match (acting, prior) {
        (Acting::Greedy, _) => first_highest(logits).unwrap_or(0),
        (Acting::Prior, Some(action)) => action,
        _ => draw(logits.iter().map(|&logit| weight(logit)), uniform * sum),
    };
    (action, (f64::from(logits[action] - highest) - sum.ln()) as f32)
}

/// The first index at which the running sum of `weights` exceeds `mark`, else the last.
fn draw(weights: impl ExactSizeIterator<Item = f64>, mark: f64) -> usize {
    let last = weights.len() - 1;
    let mut sum = 0.0;
    weights
        .take(last)
        .position(|weight| {
            sum += weight;
            sum > mark
        })
        .unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [0.0, 2.0_f32.ln(), f32::NEG_INFINITY, 0.0];
        let draws = 4000;
        let mut counts = [0; 4];
        for i in 0..draws {
            let (action, log_prob) =
                choose(&logits, Acting::Sample, None, (f64::from(i) + 0.5) / f64::from(draws));
            counts[action] += 1;
            assert!((log_prob.exp() - [0.25, 0.5, 0.0, 0.25][action]).abs() < 1e-6);
        }
        assert_eq!(counts, [1000, 2000, 0, 1000]);
        assert_eq!(choose(&logits, Acting::Greedy, None, 0.0).0, 1);
        assert_eq!(choose(&logits, Acting::Prior, Some(3), 0.0).0, 3);
    }
}
