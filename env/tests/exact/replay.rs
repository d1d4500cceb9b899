//! One seed replays everything, in each scenario that comes with the crate.

use std::sync::Arc;

use yardmaster_env::candidates::Candidates;
use yardmaster_env::sim::Simulator;
use yardmaster_env::spec::{BUILTIN, Split, builtin};
use yardmaster_env::view::Decision;

/// A legal decision that depends on its number only; sometimes a preemption.
fn choose(sim: &Simulator, candidates: &Candidates) -> Decision {
    let random = (sim.decisions() + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let preempt =
        sim.view().running.get(random as usize % 5).map(|run| Decision::Preempt { run: run.sequence });
    let legal = |decision: &Decision| sim.clone().apply(decision.clone()).is_ok();
    if let Some(preempt) = preempt.filter(|decision| random.is_multiple_of(7) && legal(decision)) {
        return preempt;
    }
    // Work rather than waiting, as a rule.
    let actions = if random.is_multiple_of(9) { candidates.actions() } else { candidates.list.len() };
    candidates.decision(&sim.view(), random as usize % actions.max(1)).unwrap()
}

/// Plays on to so many decisions, or to the end.
fn play(mut sim: Simulator, most: u64) -> Simulator {
    let mut candidates = Candidates::default();
    while sim.decisions() < most {
        let Some(view) = sim.next_decision() else { break };
        candidates.fill(&view);
        let decision = choose(&sim, &candidates);
        assert_eq!(sim.apply(decision.clone()), Ok(()), "{decision:?}");
    }
    sim
}

#[test]
fn every_scenario_is_replayed_by_its_seed() {
    for (name, _) in BUILTIN {
        let scenario = builtin(name).unwrap();
        let world = || Simulator::new(Arc::new(scenario.world(Split::Validation.seed(1, 2)).unwrap()));
        let half = play(world(), 300);
        let whole = play(half.clone(), 600);
        for again in [play(world(), 600), play(half, 600)] {
            assert_eq!(again.digest(), whole.digest(), "{name}");
            assert_eq!(again.records(), whole.records(), "{name}");
            assert_eq!(again.usage(), whole.usage(), "{name}");
            assert_eq!(again.cost(), whole.cost(), "{name}");
        }
        assert!(whole.decisions() > 10, "{name} has hardly a decision");
    }
}
