//! Which features speak for a candidate, and how strongly.
//!
//! The natural logarithm of a candidate's probability is shared out among the features by their Shapley values, estimated
//! from random orders (Castro, Gomez and Tejada, Computers & Operations Research 36, 2009). Where nothing is known, every
//! feature of every row has the mean that it had in training, and nobody knows what the prior rule would do. Features
//! are then told in a random order, each in all rows at once, and each is credited with the change that it makes. Orders
//! come in pairs of which one is the reverse of the other, which evens out most of the chance. The shares of a candidate
//! add up exactly to what the whole observation changes, and the difference between the shares of two candidates to
//! their difference in logits. A feature that the others make superfluous shares with them what they tell together.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use yardmaster_env::observe::{Observation, Schema};

use crate::net::{PolicyNet, Scratch};

/// Pairs of orders that are tried, unless told otherwise.
pub const PAIRS: usize = 32;

/// What a feature tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// The whole moment.
    Global,
    /// A work group.
    Job,
    /// A node group.
    Node,
    /// A candidate.
    Pair,
    /// What the prior rule would do.
    Prior,
}

impl Group {
    /// Its name, as in the network's arrays.
    pub fn name(self) -> &'static str {
        match self {
            Group::Global => "global",
            Group::Job => "job",
            Group::Node => "node",
            Group::Pair => "pair",
            Group::Prior => "prior",
        }
    }
}

/// A feature of the observation, or the prior rule's choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// What it tells of.
    pub group: Group,
    /// Place in its group.
    pub index: usize,
    /// Its name in the schema; `choice` for the prior rule's choice.
    pub name: String,
}

impl Feature {
    /// Its value for an action; `None` where the action has no such row, as waiting has none of jobs.
    pub fn value(
        &self,
        obs: &Observation,
        prior: Option<usize>,
        schema: &Schema,
        action: usize,
    ) -> Option<f32> {
        let at = |values: &[f32], row: u32, names: &[String]| {
            values.get(row as usize * names.len() + self.index).copied()
        };
        let pair = obs.pairs.get(action);
        match self.group {
            Group::Global => obs.global.get(self.index).copied(),
            Group::Job => at(&obs.jobs, pair?.job, &schema.job),
            Group::Node => at(&obs.nodes, pair?.node, &schema.node),
            Group::Pair => pair.and_then(|_| at(&obs.pair_features, action as u32, &schema.pair)),
            Group::Prior => Some(f32::from(u8::from(prior == Some(action)))),
        }
    }
}

/// Every feature of a schema, and the prior rule's choice.
pub fn features(schema: &Schema) -> Vec<Feature> {
    let groups = [
        (Group::Global, &schema.global),
        (Group::Job, &schema.job),
        (Group::Node, &schema.node),
        (Group::Pair, &schema.pair),
    ];
    let named = |(group, names): (Group, &Vec<String>)| {
        let own = names.iter().enumerate();
        own.map(|(index, name)| Feature { group, index, name: name.clone() }).collect::<Vec<_>>()
    };
    let mut all: Vec<Feature> = groups.into_iter().flat_map(named).collect();
    all.push(Feature { group: Group::Prior, index: 0, name: "choice".to_owned() });
    all
}

/// What each feature contributes to each action.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// (actions): ln probability where nothing is known.
    pub baseline: Vec<f64>,
    /// (actions): ln probability.
    pub ln_probability: Vec<f64>,
    /// (features, actions): the part of the difference that each feature accounts for.
    pub shares: Vec<Vec<f64>>,
    /// The largest standard error of a share, by the spread over pairs of orders.
    pub error: f64,
}

/// Shares out what `net` makes of an observation, by `pairs` pairs of random orders drawn from `seed`.
pub fn attribute(
    net: &PolicyNet,
    obs: &Observation,
    prior: Option<usize>,
    features: &[Feature],
    (pairs, seed): (usize, u64),
) -> Attribution {
    let mut walker = Walker::new(net, obs, prior, features);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let actions = obs.actions();
    let mut sum = vec![vec![0.0; actions]; features.len()];
    let mut squares = sum.clone();
    let mut order = walker.telling();
    for _ in 0..pairs {
        order.shuffle(&mut random as &mut dyn Rng);
        let mut pair = walker.walk(&order);
        let back = walker.walk(&order.iter().rev().copied().collect::<Vec<_>>());
        for (at, (one, other)) in pair.iter_mut().zip(&back).enumerate() {
            for (action, (one, other)) in one.iter_mut().zip(other).enumerate() {
                let mean = 0.5 * (*one + other);
                sum[at][action] += mean;
                squares[at][action] += mean * mean;
            }
        }
    }
    let count = pairs.max(1) as f64;
    let variance = |(sum, square): (&f64, &f64)| (square / count - (sum / count).powi(2)).max(0.0);
    let variances = sum.iter().flatten().zip(squares.iter().flatten()).map(variance);
    let error = (variances.fold(0.0, f64::max) / (count - 1.0).max(1.0)).sqrt();
    sum.iter_mut().flatten().for_each(|share| *share /= count);
    let baseline = walker.baseline();
    let ln_probability = walker.ln_probability(obs, prior);
    Attribution { baseline, ln_probability, shares: sum, error }
}

/// Tells the network one feature after another.
struct Walker<'a> {
    net: &'a PolicyNet,
    obs: &'a Observation,
    prior: Option<usize>,
    features: &'a [Feature],
    /// Nothing is known.
    blank: Observation,
    scratch: Scratch,
}

impl<'a> Walker<'a> {
    fn new(net: &'a PolicyNet, obs: &'a Observation, prior: Option<usize>, features: &'a [Feature]) -> Self {
        Walker { net, obs, prior, features, blank: blank(net, obs), scratch: Scratch::default() }
    }

    /// The features that tell anything: their values are not those that are taken for granted without them.
    fn telling(&self) -> Vec<usize> {
        let tells = |&at: &usize| {
            let Feature { group, index, .. } = self.features[at];
            let Some(width) = width(self.net, group) else { return self.prior.is_some() };
            let column = |obs| values(obs, group).iter().skip(index).step_by(width);
            !column(self.obs).eq(column(&self.blank))
        };
        (0..self.features.len()).filter(tells).collect()
    }

    fn ln_probability(&mut self, obs: &Observation, prior: Option<usize>) -> Vec<f64> {
        ln_softmax(self.net.logits(obs, prior, &mut self.scratch))
    }

    fn baseline(&mut self) -> Vec<f64> {
        ln_softmax(self.net.logits(&self.blank, None, &mut self.scratch))
    }

    /// (features, actions): the change that each makes when it is told in this order.
    fn walk(&mut self, order: &[usize]) -> Vec<Vec<f64>> {
        let mut changes = vec![vec![0.0; self.obs.actions()]; self.features.len()];
        let (mut known, mut prior) = (self.blank.clone(), None);
        let mut before = self.baseline();
        for &at in order {
            let Feature { group, index, .. } = self.features[at];
            match width(self.net, group) {
                Some(width) => {
                    let from = values(self.obs, group).iter().skip(index).step_by(width);
                    let to = values_mut(&mut known, group).iter_mut().skip(index).step_by(width);
                    to.zip(from).for_each(|(to, from)| *to = *from);
                }
                None => prior = self.prior,
            }
            let after = self.ln_probability(&known, prior);
            let change = changes[at].iter_mut().zip(after.iter().zip(&before));
            change.for_each(|(change, (after, before))| *change = after - before);
            before = after;
        }
        changes
    }
}

/// The same rows with the mean that each feature had in training.
fn blank(net: &PolicyNet, obs: &Observation) -> Observation {
    let mut blank = obs.clone();
    for group in [Group::Global, Group::Job, Group::Node, Group::Pair] {
        let entry = net.layout().entry(&format!("norm.{}.shift", group.name()));
        let shift = entry.map_or(&[][..], |entry| &net.params()[entry.offset..][..entry.len()]);
        let rows = values_mut(&mut blank, group).chunks_exact_mut(shift.len().max(1));
        rows.for_each(|row| row.copy_from_slice(shift));
    }
    blank
}

/// How many features a group has; the prior's choice is no row of an observation.
fn width(net: &PolicyNet, group: Group) -> Option<usize> {
    let dims = net.dims();
    match group {
        Group::Global => Some(dims.global),
        Group::Job => Some(dims.job),
        Group::Node => Some(dims.node),
        Group::Pair => Some(dims.pair),
        Group::Prior => None,
    }
}

fn values(obs: &Observation, group: Group) -> &[f32] {
    match group {
        Group::Global => &obs.global,
        Group::Job => &obs.jobs,
        Group::Node => &obs.nodes,
        Group::Pair => &obs.pair_features,
        Group::Prior => &[],
    }
}

fn values_mut(obs: &mut Observation, group: Group) -> &mut [f32] {
    match group {
        Group::Global => &mut obs.global,
        Group::Job => &mut obs.jobs,
        Group::Node => &mut obs.nodes,
        Group::Pair => &mut obs.pair_features,
        Group::Prior => &mut [],
    }
}

/// ln of the probabilities that logits stand for.
pub fn ln_softmax(logits: &[f32]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let above = |logit: &f32| f64::from(*logit) - f64::from(highest);
    let total = libm::log(logits.iter().map(|logit| libm::exp(above(logit))).sum());
    logits.iter().map(|logit| above(logit) - total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tests::{observation, random_net};
    use crate::net::{Dims, Layout, Sizes};

    const DIMS: Dims = Dims { global: 3, job: 4, node: 2, pair: 3 };

    fn schema() -> Schema {
        let names = |count: usize| (0..count).map(|at| format!("f{at}")).collect();
        Schema {
            global: names(DIMS.global),
            job: names(DIMS.job),
            node: names(DIMS.node),
            pair: names(DIMS.pair),
        }
    }

    #[test]
    fn shares_add_up_to_what_the_observation_changes() {
        let (net, obs) = (random_net(DIMS, 5), observation(&DIMS, 3, 2, 5, 9));
        let features = features(&schema());
        assert_eq!(features.len(), 13);
        let told = attribute(&net, &obs, Some(2), &features, (4, 1));
        for action in 0..obs.actions() {
            let sum: f64 = told.shares.iter().map(|shares| shares[action]).sum();
            let change = told.ln_probability[action] - told.baseline[action];
            assert!((sum - change).abs() < 1e-9, "{action}: {sum} {change}");
        }
        let total: f64 = told.ln_probability.iter().map(|ln| ln.exp()).sum();
        assert!((total - 1.0).abs() < 1e-9 && told.error > 0.0 && told.error < 0.2, "{}", told.error);
    }

    /// A network that reads the second feature of a candidate and nothing else.
    fn one_eyed() -> PolicyNet {
        let sizes = Sizes::default();
        let layout = Layout::policy(&DIMS, &sizes);
        let mut params = vec![0.0; layout.total()];
        let mut set = |name: &str, at: usize, value: f32| {
            let entry = layout.entry(name).unwrap();
            params[entry.offset + at] = value;
        };
        set("pair.pair.w", sizes.pair, 1.0);
        set("score.w", 0, 3.0);
        (0..DIMS.pair).for_each(|at| set("norm.pair.scale", at, 1.0));
        PolicyNet::new(DIMS, sizes, 2.0, &params).unwrap()
    }

    #[test]
    fn what_is_not_read_has_no_share() {
        let (net, obs) = (one_eyed(), observation(&DIMS, 2, 2, 4, 3));
        let features = features(&schema());
        let told = attribute(&net, &obs, Some(1), &features, (2, 1));
        let share = |group, index| {
            let at = features.iter().position(|feature| (feature.group, feature.index) == (group, index));
            &told.shares[at.unwrap()]
        };
        assert!(share(Group::Pair, 1).iter().any(|share| share.abs() > 0.05));
        assert!(share(Group::Prior, 0)[1] > 0.3, "the prior speaks for its own choice");
        assert!(share(Group::Prior, 0)[0] < 0.0, "and so against the others");
        for silent in [share(Group::Pair, 0), share(Group::Job, 1), share(Group::Global, 2)] {
            assert!(silent.iter().all(|share| share.abs() < 1e-12), "{silent:?}");
        }
    }

    #[test]
    fn values_are_those_of_the_actions_rows() {
        let obs = observation(&DIMS, 2, 2, 4, 3);
        let features = features(&schema());
        let value = |at: usize, action| features[at].value(&obs, Some(4), &schema(), action);
        assert_eq!(value(0, 3), Some(obs.global[0]));
        assert_eq!(value(3, 1), Some(obs.jobs[DIMS.job]), "candidate 1 is of job 1");
        assert_eq!(value(7, 2), Some(obs.nodes[DIMS.node]), "candidate 2 is on node group 1");
        assert_eq!(value(10, 2), Some(obs.pair_features[2 * DIMS.pair + 1]));
        assert_eq!((value(3, 4), value(9, 4)), (None, None), "waiting is no job's");
        assert_eq!((value(12, 4), value(12, 0)), (Some(1.0), Some(0.0)));
    }
}
