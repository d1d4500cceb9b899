//! One decision of a learned policy: what it could do, how much it thinks of each, and why.

use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;
use yardmaster_env::observe::Schema;
use yardmaster_env::releases::Releases;
use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::units::Span;
use yardmaster_env::view::{Decision, View};

use super::act::{Act, kind};
use super::attribution::{Attribution, Feature, PAIRS, attribute, features};
use super::difference::{Difference, difference};
use crate::evaluate::{Patience, apply};
use crate::learned::Learned;
use crate::policy::Policy;

/// Why a decision cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExplainError {
    /// The episode ends before.
    #[error("decision {wanted}: the episode has {count} decisions, numbered from 0")]
    NoSuchDecision {
        /// Asked for.
        wanted: usize,
        /// How many there are.
        count: usize,
    },
    /// The policy does not come so far.
    #[error("{0}")]
    Broken(String),
}

/// A decision, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// Its number in the episode, from 0.
    pub decision: usize,
    /// When, in seconds.
    pub now_s: f64,
    /// How things stand.
    pub state: State,
    /// What can be done, the most probable first.
    pub options: Vec<Choice>,
    /// What others would have done.
    pub others: Vec<Other>,
    /// Why the first option rather than another.
    pub why: Option<Why>,
    /// The largest standard error of a share.
    pub share_error: f64,
}

/// The cluster and what waits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct State {
    /// By kind of device.
    pub kinds: Vec<KindState>,
    /// Jobs that wait.
    pub waiting_jobs: usize,
    /// Requests that wait, of all models.
    pub waiting_requests: usize,
    /// How long the oldest of them has been there, in seconds.
    pub oldest_s: f64,
    /// Jobs and batches that run.
    pub running: usize,
    /// Jobs that have arrived so far.
    pub arrived: usize,
}

/// The devices of a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KindState {
    /// Its name.
    pub kind: String,
    /// All there are.
    pub devices: u32,
    /// Those that are free.
    pub free: u32,
    /// When the next should be released, in seconds from now, if any is to be.
    pub next_release_s: Option<f64>,
}

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Its number among the actions.
    pub action: usize,
    /// What it is.
    pub act: Act,
    /// How probable it would be in training.
    pub probability: f64,
    /// What the network gives it.
    pub logit: f32,
    /// ln probability where nothing is known; the shares add up to the rest.
    pub baseline: f64,
    /// What speaks for it, or against it, the strongest first.
    pub features: Vec<Share>,
}

/// What a feature contributes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Which: `group.name`.
    pub feature: String,
    /// Its value; `None` where the action has none of its own.
    pub value: Option<f32>,
    /// What it adds to ln probability; above 0 it speaks for the action.
    pub share: f64,
}

/// What a rule would have done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Other {
    /// Who: `prior`, `rule`.
    pub role: String,
    /// Its name.
    pub policy: String,
    /// What.
    pub act: Act,
    /// Which action that is, if it is one.
    pub action: Option<usize>,
    /// In what the policy differs, if it does.
    pub difference: Option<Difference>,
}

/// Why one option and not another: the differences of their shares, which add up to that of their logits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// The action not taken.
    pub instead_of: usize,
    /// What it is.
    pub act: Act,
    /// By how much the logit of the chosen one is larger.
    pub margin: f64,
    /// The difference where nothing is known.
    pub baseline: f64,
    /// The strongest first.
    pub features: Vec<Contrast>,
}

/// A feature of two options.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contrast {
    /// Which: `group.name`.
    pub feature: String,
    /// Its value for the chosen option.
    pub chosen: Option<f32>,
    /// Its value for the other.
    pub other: Option<f32>,
    /// What it adds to the margin.
    pub share: f64,
}

/// A rule that is asked beside the policy.
pub struct Witness {
    /// `prior` or `rule`.
    pub role: String,
    /// Itself.
    pub policy: Box<dyn Policy>,
}

/// Lets the policy play an episode up to a decision and explains that. The witnesses are asked at every decision on the
/// way, so that they know what they would know.
///
/// # Errors
/// An episode that has no such decision, a policy that does not come so far.
pub fn explain(
    policy: &mut Learned,
    witnesses: &mut [Witness],
    world: &Arc<World>,
    (seed, wanted): (u64, usize),
) -> Result<Explained, ExplainError> {
    let mut sim = Simulator::new(Arc::clone(world));
    let (mut count, mut patience) = (0, Patience::default());
    policy.reset(seed);
    witnesses.iter_mut().for_each(|witness| witness.policy.reset(seed));
    while sim.next_decision().is_some() {
        let view = sim.view();
        let asked: Vec<Decision> = witnesses.iter_mut().map(|witness| witness.policy.decide(&view)).collect();
        if count == wanted {
            return Ok(moment(policy, &view, witnesses, &asked, (seed, wanted)));
        }
        let own = policy.decide(&view);
        patience.bear(policy.name(), &view, &own).map_err(ExplainError::Broken)?;
        apply(&mut sim, policy.name(), own).map_err(ExplainError::Broken)?;
        count += 1;
    }
    Err(ExplainError::NoSuchDecision { wanted, count })
}

/// Explains the decision of one moment; the witnesses are asked about it too.
pub fn explain_view(
    policy: &mut Learned,
    witnesses: &mut [Witness],
    view: &View<'_>,
    seed: u64,
) -> Explained {
    let asked: Vec<Decision> = witnesses.iter_mut().map(|witness| witness.policy.decide(view)).collect();
    moment(policy, view, witnesses, &asked, (seed, 0))
}

fn moment(
    policy: &mut Learned,
    view: &View<'_>,
    witnesses: &[Witness],
    asked: &[Decision],
    (seed, decision): (u64, usize),
) -> Explained {
    let net = policy.net().clone();
    let weighed = policy.weigh(view);
    let schema = Schema::current();
    let features = features(&schema);
    let told = attribute(&net, weighed.observation, weighed.prior, &features, (PAIRS, seed));
    let value =
        |feature: &Feature, action| feature.value(weighed.observation, weighed.prior, &schema, action);
    let mut order: Vec<usize> = (0..weighed.logits.len()).collect();
    order.sort_by(|&one, &other| weighed.logits[other].total_cmp(&weighed.logits[one]));
    let act = |action| weighed.candidates.decision(view, action).map(|decision| Act::of(view, &decision));
    let option = |&action: &usize| {
        Some(Choice {
            action,
            act: act(action)?,
            probability: told.ln_probability[action].exp(),
            logit: weighed.logits[action],
            baseline: told.baseline[action],
            features: shares(&features, &told, action, value),
        })
    };
    let options: Vec<Choice> = order.iter().filter_map(option).collect();
    let own = weighed.decision(view);
    let same = |action: usize, decision: &Decision| {
        let own = weighed.candidates.decision(view, action);
        own.is_some_and(|own| difference(view, &own, decision).is_none())
    };
    let other = |(witness, decision): (&Witness, &Decision)| Other {
        role: witness.role.clone(),
        policy: witness.policy.name().to_owned(),
        act: Act::of(view, decision),
        action: order.iter().copied().find(|&action| same(action, decision)),
        difference: difference(view, &own, decision),
    };
    let others: Vec<Other> = witnesses.iter().zip(asked).map(other).collect();
    let why = alternative(&options, &others).and_then(|instead_of| {
        let chosen = options.first()?.action;
        Some(Why {
            instead_of,
            act: act(instead_of)?,
            margin: told.ln_probability[chosen] - told.ln_probability[instead_of],
            baseline: told.baseline[chosen] - told.baseline[instead_of],
            features: contrasts(&features, &told, [chosen, instead_of], value),
        })
    });
    let now_s = view.now.as_secs_f64();
    Explained { decision, now_s, state: state(view), options, others, why, share_error: told.error }
}

/// What the choice is contrasted with: the action of the last witness that would have done something else, or else the
/// second best.
fn alternative(options: &[Choice], others: &[Other]) -> Option<usize> {
    let chosen = options.first()?.action;
    let listed = others.iter().rev().filter_map(|other| other.action).find(|&action| action != chosen);
    listed.or_else(|| options.get(1).map(|option| option.action))
}

fn full_name(feature: &Feature) -> String {
    format!("{}.{}", feature.group.name(), feature.name)
}

fn shares(
    features: &[Feature],
    told: &Attribution,
    action: usize,
    value: impl Fn(&Feature, usize) -> Option<f32>,
) -> Vec<Share> {
    let all = features.iter().zip(&told.shares).filter(|(_, shares)| shares[action] != 0.0);
    let mut shares: Vec<Share> = all
        .map(|(feature, shares)| Share {
            feature: full_name(feature),
            value: value(feature, action),
            share: shares[action],
        })
        .collect();
    shares.sort_by(|one, other| other.share.abs().total_cmp(&one.share.abs()));
    shares
}

fn contrasts(
    features: &[Feature],
    told: &Attribution,
    [chosen, other]: [usize; 2],
    value: impl Fn(&Feature, usize) -> Option<f32>,
) -> Vec<Contrast> {
    let all = features.iter().zip(&told.shares).map(|(feature, shares)| Contrast {
        feature: full_name(feature),
        chosen: value(feature, chosen),
        other: value(feature, other),
        share: shares[chosen] - shares[other],
    });
    let mut all: Vec<Contrast> = all.filter(|contrast| contrast.share != 0.0).collect();
    all.sort_by(|one, other| other.share.abs().total_cmp(&one.share.abs()));
    all
}

fn state(view: &View<'_>) -> State {
    let mut releases = Releases::default();
    releases.fill(view);
    let kinds = view.cluster.kinds().iter().enumerate().map(|(slot, &id)| KindState {
        kind: kind(view, slot),
        devices: view.cluster.devices_of(id),
        free: view.free_by_kind[slot],
        next_release_s: releases.ends(slot).first().map(|(end, _)| end.since(view.now).as_secs_f64()),
    });
    let requests = || view.streams.iter().flat_map(|stream| &stream.queue);
    let oldest = view.queue.iter().chain(requests()).map(|&job| view.waited(job)).max();
    State {
        kinds: kinds.collect(),
        waiting_jobs: view.queue.len(),
        waiting_requests: requests().count(),
        oldest_s: oldest.map_or(0.0, Span::as_secs_f64),
        running: view.running.len(),
        arrived: view.jobs.len(),
    }
}

#[cfg(test)]
mod tests {
    use yardmaster_env::spec::{Split, builtin};

    use super::*;
    use crate::net::{Dims, tests::random_net};
    use crate::registry;

    fn explained(wanted: usize) -> Result<Explained, ExplainError> {
        let world = Arc::new(builtin("tiny").unwrap().world(Split::Test.seed(1, 0)).unwrap());
        let net = Arc::new(random_net(Dims::from(&Schema::current()), 3));
        let mut policy = Learned::new("net", net, "mct").unwrap();
        let witness =
            |role: &str, name| Witness { role: role.into(), policy: registry::build(name).unwrap() };
        let mut witnesses = [witness("prior", "mct"), witness("rule", "fcfs")];
        explain(&mut policy, &mut witnesses, &world, (7, wanted))
    }

    #[test]
    fn options_are_ranked_and_their_shares_explain_them() {
        let told = explained(3).unwrap();
        let sum: f64 = told.options.iter().map(|option| option.probability).sum();
        assert!((sum - 1.0).abs() < 1e-9);
        assert!(told.options.is_sorted_by(|one, other| one.logit >= other.logit));
        for option in &told.options {
            let shares: f64 = option.features.iter().map(|share| share.share).sum();
            assert!((option.baseline + shares - option.probability.ln()).abs() < 1e-6, "{option:?}");
            assert!(option.features.is_sorted_by(|one, other| one.share.abs() >= other.share.abs()));
        }
        let why = told.why.unwrap();
        let shares: f64 = why.features.iter().map(|contrast| contrast.share).sum();
        assert!((why.baseline + shares - why.margin).abs() < 1e-6 && why.margin >= 0.0);
        assert_eq!(told.others.len(), 2);
        for other in told.others {
            assert_eq!(other.difference.is_none(), other.action == Some(told.options[0].action), "{other:?}");
        }
        assert_eq!(
            told.state.kinds.iter().map(|kind| kind.kind.as_str()).collect::<Vec<_>>(),
            ["k80", "p100", "v100"]
        );
    }

    #[test]
    fn an_episode_has_only_so_many_decisions() {
        let error = explained(5000).unwrap_err();
        let ExplainError::NoSuchDecision { wanted: 5000, count } = error else { panic!("{error}") };
        assert!(explained(count - 1).is_ok());
    }
}
