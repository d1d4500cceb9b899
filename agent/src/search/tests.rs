use std::sync::Arc;

use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::spec::{Scenario, Split, builtin};

use super::*;
use crate::policy::play;

fn search(settings: Settings, scenario: Option<&Scenario>) -> Search {
    Search::new("search", settings, scenario).unwrap()
}

fn world(name: &str, episode: u64) -> Arc<World> {
    Arc::new(builtin(name).unwrap().world(Split::Validation.seed(3, episode)).unwrap())
}

fn cost(sim: &Simulator) -> f64 {
    sim.cost().total()
}

/// Who knows the future and goes on by a rule without memory is never worse than the rule: after each decision what is
/// to come is no worse than it was before (the property of rollouts).
#[test]
fn who_knows_the_future_is_never_worse_than_the_rule() {
    let settings = Settings { clairvoyant: true, candidates: 20, ..Settings::default() };
    let mut better = 0;
    for episode in 0..8 {
        let world = world("tiny", episode);
        let rule = cost(&play(&world, &mut *registry::build("mct").unwrap(), 0).unwrap());
        let known = cost(&play(&world, &mut search(settings.clone(), None), 0).unwrap());
        assert!(known <= rule * (1.0 + 1e-9), "{episode}: {known} against {rule}");
        better += usize::from(known < 0.999 * rule);
    }
    assert!(better >= 3, "better in {better} only");
}

#[test]
fn it_beats_its_base_on_average_without_knowing_the_future() {
    let scenario = builtin("pool12").unwrap();
    let settings = Settings { futures: 8, horizon: 10, caution: 1.0, ..Settings::default() };
    let (mut rule, mut ahead) = (0.0, 0.0);
    for episode in 0..3 {
        let world = world("pool12", episode);
        rule += cost(&play(&world, &mut *registry::build("mct").unwrap(), 0).unwrap());
        ahead += cost(&play(&world, &mut search(settings.clone(), Some(&scenario)), 0).unwrap());
    }
    assert!(ahead < rule, "{ahead} against {rule}");
}

#[test]
fn one_seed_gives_one_schedule() {
    for scenario in [None, Some(builtin("tiny").unwrap())] {
        let world = world("tiny", 4);
        let mut policy = search(Settings::default(), scenario.as_ref());
        let digests = [0, 0].map(|seed| play(&world, &mut policy, seed).unwrap().digest());
        assert_eq!(digests[0], digests[1]);
    }
}

#[test]
fn every_discipline_and_kind_of_work_can_be_searched() {
    let settings = Settings { candidates: 4, futures: 2, horizon: 3, ..Settings::default() };
    for (name, base) in [("hpc-256", "saf"), ("edge", "mct"), ("estimates", "mct"), ("datacenter", "mct")] {
        let scenario = builtin(name).unwrap();
        let world = Arc::new(scenario.world(Split::Validation.seed(3, 0)).unwrap());
        let settings = Settings { base: base.to_owned(), ..settings.clone() };
        let mut policy = search(settings, Some(&scenario));
        policy.reset(1);
        let mut sim = Simulator::new(Arc::clone(&world));
        // Enough for machines to fail, jobs to be cut off and requests to be late.
        for _ in 0..80 {
            let Some(view) = sim.next_decision() else { break };
            let decision = policy.decide(&view);
            sim.apply(decision).unwrap();
        }
        assert!(sim.decisions() >= 80, "{name}");
    }
}

#[test]
fn without_time_it_decides_after_the_first_future() {
    let settings = Settings { ms: 1e-6, futures: 64, ..Settings::default() };
    let world = world("tiny", 5);
    let mut policy = search(settings, None);
    let sim = play(&world, &mut policy, 0).unwrap();
    assert!(sim.decisions() > 0);
}
