//! In what two decisions of one moment differ.

use serde::Serialize;
use yardmaster_env::candidates::alike;
use yardmaster_env::units::JobId;
use yardmaster_env::view::{Decision, Placement, View};

/// How the decision of one policy, the first, differs from that of another, a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// It starts something, the rule waits.
    Starts,
    /// It waits, the rule starts something.
    Waits,
    /// Other work on the same kind of device.
    OtherWork,
    /// The same work on another kind of device.
    OtherKind,
    /// Other work on another kind of device.
    OtherWorkAndKind,
    /// The same work on the same kind, but another number of devices.
    OtherGang,
    /// The same but for the variant that serves.
    OtherVariant,
    /// The same but for the batch, which is larger.
    LargerBatch,
    /// The same but for the batch, which is smaller.
    SmallerBatch,
    /// The same but for the machine.
    OtherNode,
    /// It cuts off a job, the rule does not.
    Preempts,
    /// It does not cut off a job, the rule does.
    Spares,
    /// It cuts off another job than the rule.
    PreemptsOther,
    /// Both wait, but not until the same moment.
    OtherMoment,
    /// Time slices are shared out differently.
    OtherShares,
}

impl Difference {
    /// All there are, in order.
    pub const ALL: [Difference; 15] = [
        Difference::Starts,
        Difference::Waits,
        Difference::OtherWork,
        Difference::OtherKind,
        Difference::OtherWorkAndKind,
        Difference::OtherGang,
        Difference::OtherVariant,
        Difference::LargerBatch,
        Difference::SmallerBatch,
        Difference::OtherNode,
        Difference::Preempts,
        Difference::Spares,
        Difference::PreemptsOther,
        Difference::OtherMoment,
        Difference::OtherShares,
    ];

    /// In words, of the policy.
    pub fn words(self) -> &'static str {
        match self {
            Difference::Starts => "starts where the rule waits",
            Difference::Waits => "waits where the rule starts",
            Difference::OtherWork => "other work, same kind",
            Difference::OtherKind => "same work, other kind",
            Difference::OtherWorkAndKind => "other work, other kind",
            Difference::OtherGang => "other number of devices",
            Difference::OtherVariant => "other variant",
            Difference::LargerBatch => "larger batch",
            Difference::SmallerBatch => "smaller batch",
            Difference::OtherNode => "other machine of the kind",
            Difference::Preempts => "cuts off a job, the rule does not",
            Difference::Spares => "does not cut off, the rule does",
            Difference::PreemptsOther => "cuts off another job",
            Difference::OtherMoment => "waits until another moment",
            Difference::OtherShares => "other shares of time",
        }
    }
}

/// In what a policy's decision differs from a rule's; `None` if they come to the same. Jobs that can stand for each other
/// are the same work, and so are all requests of a model.
pub fn difference(view: &View<'_>, policy: &Decision, rule: &Decision) -> Option<Difference> {
    use Decision::{Allocate, Preempt, Reserve, Start, Wait};
    match (policy, rule) {
        (Start { job, nodes, .. }, Start { job: other, nodes: there, .. }) => {
            match (same_work(view, *job, *other), kind(view, nodes) == kind(view, there)) {
                (true, true) => detail(view, policy, rule),
                (false, true) => Some(Difference::OtherWork),
                (true, false) => Some(Difference::OtherKind),
                (false, false) => Some(Difference::OtherWorkAndKind),
            }
        }
        (Reserve { order }, Reserve { order: other }) => match (order.first(), other.first()) {
            (Some(&one), Some(&other)) if same_work(view, one, other) => None,
            _ => Some(Difference::OtherWork),
        },
        (Preempt { run }, Preempt { run: other }) => (run != other).then_some(Difference::PreemptsOther),
        (Preempt { .. }, _) => Some(Difference::Preempts),
        (_, Preempt { .. }) => Some(Difference::Spares),
        (Wait { until }, Wait { until: other }) => (until != other).then_some(Difference::OtherMoment),
        (Wait { .. }, _) => Some(Difference::Waits),
        (_, Wait { .. }) => Some(Difference::Starts),
        (Allocate { .. }, _) | (_, Allocate { .. }) => (policy != rule).then_some(Difference::OtherShares),
        (Start { .. }, Reserve { .. }) | (Reserve { .. }, Start { .. }) => {
            unreachable!("a discipline takes either starts or orders")
        }
    }
}

/// Two ways to start the same work on the same kind.
fn detail(view: &View<'_>, policy: &Decision, rule: &Decision) -> Option<Difference> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let Decision::Start { nodes, batch, variant, .. } = policy else { return None };
    let Decision::Start { nodes: there, batch: other_batch, variant: other_variant, .. } = rule else {
        return None;
    };
    let devices = |nodes: &Placement| nodes.iter().map(|share| share.devices).sum::<u32>();
    if devices(nodes) != devices(there) {
        return Some(Difference::OtherGang);
    }
    if variant != other_variant {
        return Some(Difference::OtherVariant);
    }
    match batch.cmp(other_batch) {
        Greater => Some(Difference::LargerBatch),
        Less => Some(Difference::SmallerBatch),
        Equal => (!interchangeable(view, nodes, there)).then_some(Difference::OtherNode),
    }
}

/// Whether it cannot matter which of two places on devices of one kind is taken.
fn interchangeable(view: &View<'_>, nodes: &Placement, there: &Placement) -> bool {
    if nodes == there {
        return true;
    }
    let ([one], [other]) = (nodes.as_slice(), there.as_slice()) else { return false };
    let holds_nothing = view.data.is_none() && view.loads.is_none();
    holds_nothing && view.free[one.node.index()] == view.free[other.node.index()]
}

fn same_work(view: &View<'_>, one: JobId, other: JobId) -> bool {
    let (mine, theirs) = (view.job(one).request_model(), view.job(other).request_model());
    match mine {
        Some(_) => mine == theirs,
        None => one == other || alike(view, one, other),
    }
}

fn kind(view: &View<'_>, nodes: &Placement) -> Option<usize> {
    nodes.first().map(|share| view.slot_of(share.node))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use smallvec::smallvec;
    use yardmaster_env::sim::Simulator;
    use yardmaster_env::spec::{Split, builtin};
    use yardmaster_env::units::{NodeId, Time};
    use yardmaster_env::view::Share;

    use super::*;
    use crate::registry;

    fn start(job: u32, node: u32, batch: u32, variant: u16) -> Decision {
        let nodes = smallvec![Share { node: NodeId(node), devices: 1 }];
        Decision::Start { job: JobId(job), nodes, batch, variant }
    }

    #[test]
    fn every_pair_of_decisions_has_its_name() {
        let world = Arc::new(builtin("pool12").unwrap().world(Split::Test.seed(0, 0)).unwrap());
        let (mut sim, mut mct) = (Simulator::new(world), registry::build("mct").unwrap());
        while sim.arrived() < 2 {
            let decision = mct.decide(&sim.next_decision().unwrap());
            sim.apply(decision).unwrap();
        }
        let view = sim.view();
        let slots: Vec<u32> = (0..12).filter(|&node| view.slot_of(NodeId(node)) == 0).collect();
        let there = (0..12).find(|node| !slots.contains(node)).unwrap();
        assert!(!alike(&view, JobId(0), JobId(1)), "two jobs that differ are wanted");
        assert!(slots.len() > 1);
        let (wait, until) = (Decision::Wait { until: None }, Decision::Wait { until: Some(Time(7)) });
        let [cut, other_cut] = [1, 2].map(|run| Decision::Preempt { run });
        let own = start(0, slots[0], 1, 0);
        let differs = |one: &Decision, other: &Decision| difference(&view, one, other);
        assert_eq!(differs(&own, &own), None);
        assert_eq!(differs(&own, &start(0, slots[1], 1, 0)), None, "machines that are alike");
        for (one, other, expected) in [
            (&own, &wait, Difference::Starts),
            (&wait, &own, Difference::Waits),
            (&own, &start(1, slots[0], 1, 0), Difference::OtherWork),
            (&own, &start(0, there, 1, 0), Difference::OtherKind),
            (&own, &start(1, there, 1, 0), Difference::OtherWorkAndKind),
            (&own, &start(0, slots[0], 1, 1), Difference::OtherVariant),
            (&start(0, slots[0], 4, 0), &own, Difference::LargerBatch),
            (&own, &start(0, slots[0], 4, 0), Difference::SmallerBatch),
            (&cut, &own, Difference::Preempts),
            (&wait, &cut, Difference::Spares),
            (&cut, &other_cut, Difference::PreemptsOther),
            (&wait, &until, Difference::OtherMoment),
        ] {
            assert_eq!(differs(one, other), Some(expected), "{one:?} {other:?}");
        }
    }

    #[test]
    fn words_are_unique() {
        let mut words: Vec<_> = Difference::ALL.iter().map(|difference| difference.words()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Difference::ALL.len());
    }
}
