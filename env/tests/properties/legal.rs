//! Which decisions are legal, told apart from how the simulator finds out; and decisions of all kinds.

use super::*;

/// Whether a decision is legal, from the rules as documented.
pub(crate) fn is_legal(view: &View<'_>, decision: &Decision) -> bool {
    let free = !view.discipline.commits();
    let rounds = view.discipline == Discipline::Rounds;
    match decision {
        // Not in the worlds of these tests; see tests/dynamics.rs.
        Decision::Preempt { .. } => false,
        Decision::Wait { until: Some(until) } => free && !rounds && *until > view.now,
        Decision::Wait { until: None } => free && view.may_wait,
        Decision::Allocate { portions, .. } => {
            rounds && view.running.is_empty() && is_allocation(view, portions)
        }
        Decision::Reserve { order } => {
            let once = |job: &JobId| order.iter().filter(|other| *other == job).count() == 1;
            !free && !order.is_empty() && order.iter().all(|job| view.queue.contains(job) && once(job))
        }
        Decision::Start { job, nodes, batch } => {
            let known = |share: &Share| share.node.index() < view.free.len();
            free && view.queue.contains(job)
                && *batch == 1
                && nodes.iter().all(known)
                && nodes.iter().map(|share| share.devices).sum::<u32>() == view.job(*job).gang
                && nodes.iter().all(|share| {
                    let twice = nodes.iter().filter(|other| other.node == share.node).count() > 1;
                    let alike = slot_of(view.cluster, share.node) == slot_of(view.cluster, nodes[0].node);
                    !twice && alike && (1..=view.free[share.node.index()]).contains(&share.devices)
                })
        }
    }
}

fn is_allocation(view: &View<'_>, portions: &[Portion]) -> bool {
    let sum = |of: &dyn Fn(&Portion) -> f64| portions.iter().map(of).sum::<f64>();
    let fits = |slot: usize| {
        let need = |one: &Portion| {
            if one.slot == slot { one.share * f64::from(view.job(one.job).gang) } else { 0.0 }
        };
        sum(&need) <= f64::from(view.free_by_kind[slot]) * (1.0 + 1e-6)
    };
    let fine = |one: &Portion| {
        let twice = portions.iter().filter(|other| (other.job, other.slot) == (one.job, one.slot)).count();
        let of_job = |other: &Portion| if other.job == one.job { other.share } else { 0.0 };
        view.queue.contains(&one.job)
            && one.slot < view.free_by_kind.len()
            && view.job(one.job).gang <= view.free_by_kind[one.slot]
            && twice == 1
            && (0.0..=1.0).contains(&one.share)
            && sum(&of_job) <= 1.0
    };
    portions.iter().all(fine)
        && portions.iter().any(|one| one.share > 0.0)
        && (0..view.free_by_kind.len()).all(fits)
}

/// Decisions of all kinds, most of them illegal.
pub(crate) fn any_decision() -> impl Strategy<Value = Decision> {
    let share = (0..6_u32, 0..4_u32).prop_map(|(node, devices)| Share { node: NodeId(node), devices });
    let job = || prop_oneof![4 => 0..20_u32, 1 => 0..70_u32, 1 => Just(u32::MAX)].prop_map(JobId);
    prop_oneof![
        6 => (job(), vec(share, 0..3), prop_oneof![4 => Just(1_u32), 1 => 0..3_u32]).prop_map(
            |(job, nodes, batch)| Decision::Start { job, nodes: Placement::from_vec(nodes), batch }
        ),
        2 => (vec((job(), 0..4_usize, 0..6_u8), 0..3), any::<bool>()).prop_map(|(portions, fill)| {
            let portion = |(job, slot, quarters)| {
                Portion { job, slot, share: f64::from(quarters) / 4.0 }
            };
            Decision::Allocate { portions: portions.into_iter().map(portion).collect(), fill }
        }),
        3 => vec(job(), 0..3).prop_map(|order| Decision::Reserve { order: order.into() }),
        1 => proptest::option::of(0..40_u64).prop_map(|until| Decision::Wait {
            until: until.map(|until| Time::ZERO + half_seconds(until))
        }),
    ]
}
