//! Features against what they are meant to say, in shipped scenarios.

use std::sync::Arc;

use super::*;
use crate::sim::Simulator;
use crate::spec::{Split, builtin};

/// Shows `check` some moments of an episode in which whatever fits first is started.
fn moments(scenario: &str, mut check: impl FnMut(&View<'_>, &Observer)) {
    let scenario = builtin(scenario).unwrap();
    let mut sim = Simulator::new(Arc::new(scenario.world(Split::Validation.seed(1, 3)).unwrap()));
    let mut observer = Observer::default();
    for _ in 0..400 {
        let Some(view) = sim.next_decision() else { break };
        observer.observe(&view, None);
        check(&view, &observer);
        let decision = observer.candidates.decision(&view, 0).unwrap();
        sim.apply(decision).unwrap();
    }
}

/// A feature of a row.
fn of(names: &[&str], values: &[f32], row: usize, name: &str) -> f32 {
    values[row * names.len() + names.iter().position(|own| *own == name).unwrap()]
}

#[test]
fn what_waiting_costs_follows_the_objective() {
    for (scenario, floor) in [("pool12", None), ("sweeps", Some(600.0))] {
        let mut seen = 0;
        moments(scenario, |view, observer| {
            let scale = (view.history.sum_ln_work / view.history.arrivals as f64).exp();
            for (row, work) in observer.candidates.works.iter().enumerate() {
                let shortest = observer.candidates.best[row].as_secs_f64();
                let expected = floor.map_or(0.0, |floor: f64| (scale / shortest.max(floor)).ln());
                let rate = of(&JOB, &observer.observation().jobs, row, "ln_cost_rate");
                assert!((f64::from(rate) - expected).abs() < 1e-4, "{scenario}: {rate}, not {expected}");
                let late = of(&JOB, &observer.observation().jobs, row, "ln1p_cost_of_lateness");
                assert_eq!(late, 0.0, "{:?} has no deadline", work.job);
                seen += 1;
            }
        });
        assert!(seen > 100);
    }
    moments("serving-burst", |view, observer| {
        for (row, work) in observer.candidates.works.iter().enumerate() {
            let late = of(&JOB, &observer.observation().jobs, row, "ln1p_cost_of_lateness");
            assert_eq!(late, ln1p(view.job(work.job).weight as f32));
        }
    });
}

#[test]
fn of_each_gang_the_fastest_batch_is_offered_with_what_it_takes() {
    let (mut offered, mut most, mut least) = (0, 0.0_f32, 0.0_f32);
    moments("elastic", |view, observer| {
        let observation = observer.observation();
        for (row, candidate) in observer.candidates.list.iter().enumerate() {
            let (work, slot) =
                (&observer.candidates.works[candidate.work], observer.candidates.nodes[candidate.node].slot);
            if work.run.is_some() {
                continue;
            }
            let ways: Vec<_> = view.estimates(work.job, slot).collect();
            let (chosen, span) = ways
                .iter()
                .find(|(way, _)| (way.choice.gang, way.choice.batch) == (candidate.gang, candidate.batch))
                .expect("a candidate is a way");
            let same_gang = ways.iter().filter(|(way, _)| way.choice.gang == candidate.gang);
            assert!(same_gang.clone().all(|(_, other)| other >= span), "{candidate:?} of {ways:?}");
            offered += same_gang.count();
            let areas = ways.iter().filter_map(|(way, _)| way.area(slot));
            let expected = areas.fold(f64::INFINITY, f64::min) / chosen.area(slot).expect("it runs there");
            let efficiency = of(&PAIR, &observation.pair_features, row, "ln_efficiency");
            assert!(
                (efficiency - expected.ln() as f32).abs() < 1e-4,
                "{efficiency}, not the logarithm of {expected}"
            );
            assert_eq!(of(&PAIR, &observation.pair_features, row, "ln_gang"), ln(candidate.gang as f32));
            (most, least) = (most.max(efficiency), least.min(efficiency));
        }
        // Nothing that fits is left out.
        for (at, work) in observer.candidates.works.iter().enumerate().take(observer.candidates.waiting) {
            for (node, group) in observer.candidates.nodes.iter().enumerate() {
                let fits = |way: &&crate::timing::Way| {
                    way.choice.gang <= group.free && way.span(group.slot).is_some()
                };
                let mut gangs: Vec<u32> =
                    view.ways(work.job).filter(fits).map(|way| way.choice.gang).collect();
                gangs.sort_unstable();
                gangs.dedup();
                let mine = |candidate: &&crate::candidates::Candidate| {
                    (candidate.work, candidate.node) == (at, node)
                };
                assert_eq!(observer.candidates.list.iter().filter(mine).count(), gangs.len());
            }
        }
    });
    assert!(offered > 1000 && most == 0.0 && least < -0.5, "{offered} {most} {least}");
}

#[test]
fn others_of_the_same_data_are_those_in_the_queue() {
    let mut most = 0.0_f32;
    moments("locality", |view, observer| {
        for (row, work) in observer.candidates.works.iter().enumerate() {
            let data = &view.job(work.job).inputs;
            let same = view.queue.iter().filter(|&&job| view.job(job).inputs == *data).count();
            let found = of(&JOB, &observer.observation().jobs, row, "ln1p_others_of_same_data");
            assert_eq!(found, ln1p(same as f32 - 1.0));
            most = most.max(found);
        }
    });
    assert!(most > 1.0, "nothing shares data");
}

#[test]
fn a_busy_node_that_holds_what_is_needed_may_be_worth_waiting_for() {
    for scenario in ["locality", "serving-swap"] {
        let (mut pays, mut does_not) = (0, 0);
        moments(scenario, |_, observer| {
            let observation = observer.observation();
            for (row, pair) in observation.pairs.iter().enumerate() {
                let regret = of(&PAIR, &observation.pair_features, row, "ln_regret_of_ready_completion");
                let batch = of(&PAIR, &observation.pair_features, row, "batch_share");
                // A start in the largest batch is one of the ways to be done that are compared.
                assert!(
                    batch < 1.0 || regret > -1e-4,
                    "{scenario}: {pair:?} ends {regret} before the earliest"
                );
                if regret > 0.1 { pays += 1 } else { does_not += 1 }
            }
        });
        assert!(pays > 10 && does_not > 10, "{scenario}: {pays} and {does_not}");
    }
}

#[test]
fn without_data_and_models_readiness_is_completion() {
    moments("pool12", |_, observer| {
        let observation = observer.observation();
        for row in 0..observer.candidates.works.len() {
            let [ready, completion] = ["ln_earliest_ready_completion", "ln_wait_cost"]
                .map(|name| of(&JOB, &observation.jobs, row, name));
            assert_eq!(ready, completion);
        }
    });
}
