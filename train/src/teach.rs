//! Learning from a teacher that tries the actions: the loss is the regret to be expected.
//!
//! A state comes with what each action that was tried would cost more than the rule's. The policy's loss is the mean of
//! that over its own probabilities, so that mistakes count by what they cost, and actions that are as good as each
//! other may be taken either way. States are those that the rule meets first, then those of the policy itself (DAgger:
//! Ross, Gordon and Bagnell, AISTATS 2011; cost-sensitive as in AggreVaTe: Ross and Bagnell, 2014).

use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::batch::{Batch, placed};
use crate::config::Config;
use crate::net::Leaf;
use crate::ppo::{Learner, SHARD, numbers};
use crate::rollout::{Label, Sample, State};
use crate::seed::{Purpose, stream};

/// Costs beyond so many mean deviations are squashed.
const CLIP: f32 = 8.0;
/// Halvings until a unit is known to a float's precision.
const BISECTIONS: usize = 60;
/// The logit of an action that was not tried.
const UNTRIED: f64 = -1e9;

/// A decision with what its actions cost, or what a tutor does.
#[derive(Clone, Debug)]
pub struct Taught {
    /// Which task's costs these are; see [`crate::env::Environment::task`].
    pub task: usize,
    /// In which iteration that was.
    pub iteration: u64,
    /// What was seen.
    pub state: State,
    /// What was said of it. Costs are in the environment's unit; NaN where an action was not tried.
    pub label: Label,
}

/// What costs and logits are measured in.
#[derive(Clone, Copy)]
struct Scale<'a> {
    /// The unit of regrets in each task.
    units: &'a [f32],
    /// Raise of the prior's logit.
    lambda: f32,
    /// Weights of imitating the prior, where actions were tried, and a tutor.
    imitate: f32,
    tutor: f32,
    /// Weight of staying undecided, where actions were tried.
    entropy: f32,
}

/// What was said of the states of a batch, over its slots: (B, slots) each.
struct Labels {
    /// What an action costs more than the rule's, squashed; 0 where that is not known.
    regrets: Tensor,
    /// 1 where an action is not to be taken, as nobody tried it.
    untried: Tensor,
    /// Weights of imitation.
    examples: Tensor,
    /// 1 where actions were tried, 0 where a tutor was asked; (B, 1).
    taught: Tensor,
}

/// What a round of lessons came to, on the states that are new in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Mean regret of the policy, in the unit of regrets; negative is better than the rule. Before it has learned
    /// anything from them.
    pub before: f64,
    /// After that.
    pub after: f64,
    /// The least that could be had on these states: every state's best action, by costs that hold their share of luck.
    pub least: f64,
    /// How surprising the policy finds what the tutors do, in nats, after it has learned: their cross-entropy, of which what the tutors are
    /// undecided about is a part. 0 where none was asked.
    pub surprise: f64,
}

impl Taught {
    /// Those of an episode of a task that were labelled.
    pub fn of(task: usize, iteration: u64, samples: Vec<Sample>) -> impl Iterator<Item = Taught> {
        samples.into_iter().filter_map(move |sample| {
            let Sample { state, label, .. } = sample;
            Some(Taught { task, iteration, state, label: label? })
        })
    }

    /// Whether it is still learned from in this iteration. What an action costs where the prior goes on is forgotten once the policy
    /// does: that is another question.
    pub fn is_remembered(&self, iteration: u64, config: &Config) -> bool {
        if self.is_example() {
            let last = iteration.min(config.tutor);
            return config.tutor_memory == 0 || self.iteration + config.tutor_memory > last;
        }
        config.is_tail(self.iteration) || !config.is_tail(iteration)
    }

    /// What the actions that were tried cost.
    fn tried(&self) -> impl Iterator<Item = (usize, f32)> {
        let regrets = if let Label::Regrets(regrets) = &self.label { regrets.as_slice() } else { &[] };
        regrets.iter().copied().enumerate().filter(|(_, regret)| regret.is_finite())
    }

    fn is_example(&self) -> bool {
        matches!(self.label, Label::Example(_))
    }
}

/// What regrets are measured in, so that tasks count alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// The mean absolute regret of all actions that were tried.
    Regret,
    /// What the best action that was tried gains over the rule's, in the mean over states; a few enormous gains are squashed, as they are in
    /// the loss. Where most actions are terrible, these make the mean regret so large that gains are lost beside imitation.
    Gain,
}

impl Unit {
    /// Of what was said of each task; 1 where no action differs. (tasks)
    fn of_tasks(self, taught: &[Taught]) -> Vec<f32> {
        let mut sizes: Vec<Vec<f32>> = Vec::new();
        for one in taught {
            if sizes.len() <= one.task {
                sizes.resize(one.task + 1, Vec::new());
            }
            let regrets = one.tried().map(|(_, regret)| regret);
            match self {
                Self::Regret => sizes[one.task].extend(regrets.map(f32::abs)),
                Self::Gain => sizes[one.task].extend(regrets.reduce(f32::min).map(|least| -least.min(0.0))),
            }
        }
        let unit = |sizes: Vec<f32>| match self {
            Self::Regret => mean(sizes.into_iter()),
            Self::Gain => robust_mean(sizes),
        };
        sizes.into_iter().map(unit).map(|unit| if unit > 0.0 { unit as f32 } else { 1.0 }).collect()
    }
}

/// 0 of nothing.
fn mean(values: impl ExactSizeIterator<Item = f32>) -> f64 {
    let count = values.len().max(1) as f64;
    values.map(f64::from).sum::<f64>() / count
}

/// The mean of numbers from 0, in which enormous ones count as little as they do in the loss: those above 0 come to one in the mean in units of
/// theirs, squashed. 0 of none.
fn robust_mean(mut values: Vec<f32>) -> f64 {
    let all = values.len().max(1) as f64;
    values.retain(|value| *value > 0.0);
    // What is squashed is less, so that the plain mean is too large a unit, and one that squashes all of them too small.
    let mut above = mean(values.iter().copied());
    let mut below = 0.0;
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (below + above);
        if mean(values.iter().map(|value| squash(value / middle as f32))) > 1.0 {
            below = middle;
        } else {
            above = middle;
        }
    }
    above * values.len() as f64 / all
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
    let units = config.teach_unit.of_tasks(taught);
    let left = 1.0 - 0.8 * (round - 1) as f32 / config.teach.max(1) as f32;
    let (rate, imitate) = (config.teach_learning_rate * left, config.teach_imitate * left);
    let scale =
        Scale { units: &units, lambda, imitate, tutor: config.tutor_weight, entropy: config.teach_entropy };
    let fresh = &taught[fresh..];
    let mut order: Vec<usize> = (0..taught.len()).collect();
    let batches = (taught.len() / config.teach_minibatch).max(1);
    let before = means(learner, fresh, scale)[0];
    for epoch in 0..config.teach_epochs {
        order.shuffle(&mut stream(config.seed, Purpose::Order, round, epoch));
        for batch in 0..batches {
            let range = batch * order.len() / batches..(batch + 1) * order.len() / batches;
            let chosen: Vec<&Taught> = order[range].iter().map(|&at| &taught[at]).collect();
            let total = chosen.len() as f64;
            let one = &*learner;
            let shares: Vec<Vec<f32>> =
                chosen.par_chunks(SHARD).map(|part| gradient(one, part, scale, total)).collect();
            let sum = shares.into_iter().reduce(|mut sum, share| {
                sum.iter_mut().zip(&share).for_each(|(sum, more)| *sum += more);
                sum
            });
            let Some(sum) = sum else { continue };
            learner.policy.step(sum, rate, config.max_grad_norm);
        }
    }
    let least = |one: &Taught| {
        let least = one.tried().map(|(_, regret)| regret).reduce(f32::min)?;
        Some(f64::from(squash(least / units[one.task])))
    };
    let leasts: Vec<f64> = fresh.iter().filter_map(least).collect();
    let [after, surprise] = means(learner, fresh, scale);
    Report { before, after, least: leasts.iter().sum::<f64>() / leasts.len().max(1) as f64, surprise }
}

fn squash(regret: f32) -> f32 {
    CLIP * (regret / CLIP).tanh()
}

/// The gradient of a shard's part of the mean loss over `total` states.
fn gradient(learner: &Learner, part: &[&Taught], scale: Scale<'_>, total: f64) -> Vec<f32> {
    tch::set_num_threads(1);
    let policy = Leaf::new(&learner.policy.layout, &learner.policy.adam.params, true);
    let (regret, surprise) = losses(learner, &policy, part, scale);
    let loss = (regret + surprise) / total;
    numbers(&Tensor::run_backward(&[loss], &[&policy.flat], false, false)[0])
}

/// Over states whose actions were tried, the regret to be expected; over those with a tutor, how surprising what it does is.
fn means(learner: &Learner, taught: &[Taught], scale: Scale<'_>) -> [f64; 2] {
    // Only what tutors do is to surprise, and by as much as it does.
    let scale = Scale { imitate: 0.0, tutor: 1.0, entropy: 0.0, ..scale };
    let of = |part: &[Taught]| {
        tch::set_num_threads(1);
        let _guard = tch::no_grad_guard();
        let policy = Leaf::new(&learner.policy.layout, &learner.policy.adam.params, false);
        let part: Vec<&Taught> = part.iter().collect();
        let (regret, surprise) = losses(learner, &policy, &part, scale);
        [regret, surprise].map(|sum| sum.double_value(&[]))
    };
    let sums: Vec<[f64; 2]> = taught.par_chunks(SHARD).map(of).collect();
    let examples = taught.iter().filter(|one| one.is_example()).count();
    let mean = |at: usize, count: usize| sums.iter().map(|sum| sum[at]).sum::<f64>() / count.max(1) as f64;
    // The sum of nothing is -0.
    [mean(0, taught.len() - examples), mean(1, examples) + 0.0]
}

/// Summed over states: the regret to be expected, less what being undecided is worth, and how surprising what the prior or the tutor does is, weighted.
fn losses(learner: &Learner, policy: &Leaf, part: &[&Taught], scale: Scale<'_>) -> (Tensor, Tensor) {
    let states: Vec<&State> = part.iter().map(|one| &one.state).collect();
    let batch = Batch::new(&states, learner.policy.part(), learner.critic.part());
    let logits = policy.logits(&batch, scale.lambda);
    let Labels { regrets, untried, examples, taught } = labels(part, logits.size()[1] as usize, scale);
    let log_probs = (logits + untried * UNTRIED).log_softmax(1, Kind::Float);
    let probs = log_probs.exp();
    let surprise = -(&log_probs * examples).sum(Kind::Float);
    // The expected logarithm of a probability is the entropy, but for its sign.
    let costs = regrets + log_probs * taught * f64::from(scale.entropy);
    ((probs * costs).sum(Kind::Float), surprise)
}

fn labels(part: &[&Taught], width: usize, scale: Scale<'_>) -> Labels {
    let [mut regrets, mut untried, mut examples] =
        [0.0, 0.0, 0.0].map(|value: f32| vec![value; part.len() * width]);
    let taught: Vec<f32> = part.iter().map(|one| f32::from(u8::from(!one.is_example()))).collect();
    for (row, one) in part.iter().enumerate() {
        let row = row * width..(row + 1) * width;
        match &one.label {
            Label::Example(shares) => {
                for (weight, share) in examples[row].iter_mut().zip(shares) {
                    *weight = scale.tutor * share;
                }
            }
            Label::Regrets(_) => {
                if let Some(prior) = one.state.prior {
                    examples[row.start + prior] = scale.imitate;
                }
                untried[row.clone()].fill(1.0);
                for (action, regret) in one.tried() {
                    regrets[row.start + action] = squash(regret / scale.units[one.task]);
                    untried[row.start + action] = 0.0;
                }
            }
        }
    }
    let shape = [part.len() as i64, width as i64];
    let [regrets, untried, examples] = [regrets, untried, examples].map(|values| placed(&values).view(shape));
    Labels { regrets, untried, examples, taught: placed(&taught).view([part.len() as i64, 1]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taught(task: usize, label: Label) -> Taught {
        let obs = yardmaster_env::observe::Observation::default();
        Taught { task, iteration: 1, state: State { obs, prior: None, future: Vec::new() }, label }
    }

    #[test]
    fn terrible_actions_decide_the_mean_regret_and_not_the_mean_gain() {
        let taught = [
            taught(0, Label::Regrets(vec![0.0, -2.0, 100.0, f32::NAN])),
            taught(0, Label::Regrets(vec![0.0, 4.0])),
            taught(0, Label::Example(vec![0.0, 1.0])),
            taught(1, Label::Regrets(vec![0.0, 0.0])),
        ];
        let gain = Unit::Gain.of_tasks(&taught);
        assert!((gain[0] - 1.0).abs() < 0.01 && gain[1] == 1.0, "{gain:?}");
        assert_eq!(Unit::Regret.of_tasks(&taught), [106.0 / 5.0, 1.0]);
    }

    #[test]
    fn what_tutors_said_is_forgotten_and_what_the_teacher_said_is_not() {
        let config = Config { teach: 10, tutor: 4, tutor_memory: 2, ..Config::default() };
        let of = |iteration: u64, label: Label| Taught { iteration, ..taught(0, label) };
        let (example, regrets) =
            (|at| of(at, Label::Example(vec![1.0])), |at| of(at, Label::Regrets(vec![0.0])));
        let remembered = |now: u64| {
            let told = 1..=now.min(config.tutor);
            told.filter(|&at| example(at).is_remembered(now, &config)).collect::<Vec<_>>()
        };
        assert_eq!(
            [1, 2, 3, 4, 9].map(remembered),
            [vec![1], vec![1, 2], vec![2, 3], vec![3, 4], vec![3, 4]]
        );
        assert!(regrets(1).is_remembered(9, &config));
        let with_tail = Config { teach_tail: 2, ..config.clone() };
        let remembers = |at, now| regrets(at).is_remembered(now, &with_tail);
        assert!(
            remembers(1, 8) && !remembers(8, 9) && remembers(9, 10),
            "another question from the ninth on"
        );
        assert!(example(1).is_remembered(9, &Config::default()));
    }

    #[test]
    fn an_enormous_gain_hardly_changes_the_unit() {
        let gains = |last: f32| {
            let mut gains: Vec<f32> = (1..=100).map(|gain| gain as f32).collect();
            gains.push(last);
            robust_mean(gains)
        };
        let usual = gains(50.0);
        assert!((49.0..51.0).contains(&usual), "{usual}");
        assert!((usual..1.1 * usual).contains(&gains(1e9)), "{} for {usual}", gains(1e9));
        assert_eq!(robust_mean(vec![0.0, 0.0, 4.0, 0.0]).round(), 1.0);
        assert_eq!(robust_mean(Vec::new()), 0.0);
    }
}
