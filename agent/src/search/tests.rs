use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    let settings = Settings { futures: 8, horizon: Some(10), caution: 1.0, ..Settings::default() };
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
    let settings = Settings { candidates: 4, futures: 2, horizon: Some(3), ..Settings::default() };
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

/// A rule that tells how often it has been copied, which is what a look-ahead does for each trial.
struct Copied(Box<dyn Policy>, Arc<AtomicUsize>);

impl Policy for Copied {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn fork(&self) -> Option<Box<dyn Policy>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.fork()
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        self.0.decide(view)
    }
}

#[test]
fn it_does_not_think_again_while_nothing_happens() {
    let scenario = builtin("shared").unwrap();
    let copies = Arc::new(AtomicUsize::new(0));
    let settings = Settings { candidates: 2, futures: 2, horizon: Some(2), ..Settings::default() };
    let mut policy = search(settings, Some(&scenario));
    policy.base = Box::new(Copied(registry::build("price+tardiness").unwrap(), Arc::clone(&copies)));
    let mut sim = Simulator::new(world("shared", 0));
    let (mut spared, mut again, mut last) = (0, 0, None);
    for _ in 0..1500 {
        let Some(view) = sim.next_decision() else { break };
        let (before, seen) = (copies.load(Ordering::Relaxed), scene(&view));
        let decision = policy.decide(&view);
        let new = copies.load(Ordering::Relaxed) - before;
        // A wake-up of the scenario, every 5 ms: nothing has come, gone or become free.
        // Where it waits against its base, it does think again.
        if last == Some(seen) && matches!(decision, Decision::Wait { .. }) {
            spared += usize::from(new == 0);
            again += usize::from(new > 0);
        }
        last = matches!(decision, Decision::Wait { .. }).then_some(seen);
        sim.apply(decision).unwrap();
    }
    assert!(spared > 20 && spared > 5 * again, "{spared} spared, {again} not");
    assert!(copies.load(Ordering::Relaxed) > 50);
}

#[test]
fn a_patient_future_asks_less_and_costs_the_same() {
    let world = world("shared", 1);
    let played = |patient: bool| {
        let mut sim = Simulator::new(Arc::clone(&world));
        if patient {
            sim.be_patient();
        }
        let mut rule = registry::build("price+tardiness").unwrap();
        while let Some(view) = sim.next_decision() {
            let decision = rule.decide(&view);
            sim.apply(decision).unwrap();
        }
        (sim.decisions(), cost(&sim))
    };
    let ((often, usual), (seldom, patient)) = (played(false), played(true));
    assert!(4 * seldom < 3 * often, "asked {seldom} times in place of {often}");
    assert!((patient / usual - 1.0).abs() < 0.01, "{patient} in place of {usual}");
}

/// The first arrivals of what truly comes decide most; all of it decides as before.
#[test]
fn who_knows_the_future_may_look_at_the_next_arrivals_only() {
    let world = world("pool12", 1);
    let played = |horizon| {
        let settings = Settings { clairvoyant: true, candidates: 4, horizon, ..Settings::default() };
        play(&world, &mut search(settings, None), 0).unwrap()
    };
    let (whole, all, some) = (played(None), played(Some(1000)), played(Some(5)));
    assert_eq!(whole.digest(), all.digest());
    assert_ne!(whole.digest(), some.digest());
}

#[test]
fn without_time_it_decides_after_the_first_future() {
    let settings = Settings { ms: 1e-6, futures: 64, ..Settings::default() };
    let world = world("tiny", 5);
    let mut policy = search(settings, None);
    let sim = play(&world, &mut policy, 0).unwrap();
    assert!(sim.decisions() > 0);
}
