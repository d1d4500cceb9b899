//! Preemption: restarts, progress, estimates, and going on elsewhere.

use std::sync::Arc;

use yardmaster_env::catalog::Catalog;
use yardmaster_env::job::{Job, StepSpeeds, Task, Truth, Workload};
use yardmaster_env::rules::{Restarts, Resume, Rules};
use yardmaster_env::sim::{Illegal, Simulator, World};
use yardmaster_env::units::{JobId, Span, Time};

use crate::script::*;

fn one_device(jobs: Vec<Job>, restart: f64) -> World {
    world(&[("v100", 1, 0)], workload(jobs)).with_rules(resume(restart, None)).unwrap()
}

#[test]
fn a_preempted_job_pays_a_restart_and_keeps_its_progress() {
    let mut sim = Simulator::new(Arc::new(one_device(vec![job(0, 100, 1), job(40, 10, 1)], 5.0)));
    follow(&mut sim, &[(0.0, start(0, 0)), (40.0, preempt(0))]);
    let view = sim.next_decision().unwrap();
    // 100 - 40 = 60 s are left, and 5 s of restart come before them.
    assert_eq!(view.estimate(JobId(0), 0), Some(span(65.0)));
    assert_eq!(view.remaining(JobId(0), 0), Some(span(60.0)));
    assert_eq!(view.restart(JobId(1)), Span::ZERO);
    let progress = view.progress(JobId(0));
    assert_eq!((progress.steps, progress.slices, progress.received), (40_000_000_000, 1, span(40.0)));
    follow(&mut sim, &[(40.0, start(1, 0)), (50.0, start(0, 0))]);
    finish(&mut sim);
    // 50 + 5 + 60 = 115
    assert_eq!(ends(&sim), [at(115.0), at(50.0)]);
    assert_eq!(slices(&sim, 0), [(0.0, 40.0), (50.0, 115.0)]);
    let progress = sim.view().progress(JobId(0));
    assert_eq!((progress.slices, progress.received), (2, span(105.0)));
    let waste = sim.usage().waste;
    assert_eq!((waste.restarts_s, waste.failures_s, waste.preemptions), (5.0, 0.0, 1));
    // Held all the time: 40 + 10 + 65 device-seconds.
    near(sim.usage().busy_s[0], 115.0);
}

#[test]
fn each_preemption_costs_another_restart() {
    let jobs = vec![job(0, 100, 1), job(40, 10, 1), job(70, 10, 1)];
    let script = [
        (0.0, start(0, 0)),
        (40.0, preempt(0)),
        (40.0, start(1, 0)),
        (50.0, start(0, 0)),
        (70.0, preempt(2)),
        (70.0, start(2, 0)),
        (80.0, start(0, 0)),
    ];
    let sim = play(one_device(jobs, 5.0), &script);
    // From 50 on it restarts for 5 s and computes for 15 s: 55 s are done. 80 + 5 + 45 = 130.
    assert_eq!(ends(&sim), [at(130.0), at(50.0), at(80.0)]);
    assert_eq!(slices(&sim, 0), [(0.0, 40.0), (50.0, 70.0), (80.0, 130.0)]);
    assert_eq!((sim.usage().waste.restarts_s, sim.usage().waste.preemptions), (10.0, 2));
}

#[test]
fn nothing_is_done_during_a_restart() {
    let jobs = vec![job(0, 100, 1), job(40, 10, 1), job(52, 10, 1)];
    let script = [
        (0.0, start(0, 0)),
        (40.0, preempt(0)),
        (40.0, start(1, 0)),
        (50.0, start(0, 0)),
        (52.0, preempt(2)),
        (52.0, start(2, 0)),
        (62.0, start(0, 0)),
    ];
    let sim = play(one_device(jobs, 5.0), &script);
    // 40 s are done still: 62 + 5 + 60 = 127; 2 s of the first restart and 5 s of the second are lost.
    assert_eq!(ends(&sim)[0], at(127.0));
    assert_eq!(sim.usage().waste.restarts_s, 7.0);
}

#[test]
fn progress_is_kept_in_terms_of_the_truth_and_shown_in_terms_of_the_claim() {
    let mut world = one_device(vec![job(0, 100, 1), job(40, 10, 1)], 5.0);
    world.workload.truths[0] = Truth::Duration(Span::from_secs(80));
    let mut sim = Simulator::new(Arc::new(world));
    follow(&mut sim, &[(0.0, start(0, 0)), (40.0, preempt(0)), (40.0, start(1, 0))]);
    assert_eq!(sim.view().estimate(JobId(0), 0), Some(span(65.0)));
    follow(&mut sim, &[(50.0, start(0, 0))]);
    assert_eq!(sim.view().running[0].ready, at(55.0));
    assert_eq!(sim.view().running[0].expected_finish, at(115.0));
    finish(&mut sim);
    // 50 + 5 + (80 - 40) = 95
    assert_eq!(ends(&sim)[0], at(95.0));
}

/// 1,000 steps, 10 a second on the first kind and 20 on the second.
#[test]
fn a_job_goes_on_where_it_is_faster() {
    let catalog = Catalog::builtin();
    let kinds = ["p100", "v100"].map(|name| catalog.kind(name).unwrap());
    let by_kind = vec![(kinds[0], 10.0), (kinds[1], 20.0)];
    let long = Job::new(0, Time::ZERO, Task::Steps { speeds: 0, steps: 1000 }, 1);
    let speeds = vec![StepSpeeds { name: "s".into(), gang: 1, by_kind }];
    let workload = Workload { speeds, ..workload(vec![long, job(40, 10, 1)]) };
    let world = world(&[("p100", 1, 0), ("v100", 1, 0)], workload).with_rules(resume(5.0, None)).unwrap();
    let script = [(0.0, start(0, 0)), (40.0, preempt(0)), (40.0, start(1, 0)), (40.0, start(0, 1))];
    let sim = play(world, &script);
    // 400 steps are done, 600 are left: 40 + 5 + 600 / 20 = 75.
    assert_eq!(ends(&sim), [at(75.0), at(50.0)]);
}

/// 1,676,460 samples of ResNet-50 in batches of 64: 167.646 samples/s on a P100, 281.266 on a V100; restarts by the
/// catalogue, 100 s.
#[test]
fn training_goes_on_where_it_is_faster() {
    let workload = workload(vec![training("ResNet-50", 1, 64, 1_676_460), job(5000, 1, 1)]);
    let restarts = Restarts::by_model(Catalog::builtin());
    let rules = Rules { preempt: true, resume: Resume { restarts, checkpoint: None }, ..Rules::default() };
    let world = world(&[("p100", 1, 0), ("v100", 1, 0)], workload).with_rules(rules).unwrap();
    let script = [
        (0.0, batch(0, &[(0, 1)], 64)),
        (5000.0, preempt(0)),
        (5000.0, batch(0, &[(1, 1)], 64)),
        (5000.0, start(1, 0)),
    ];
    let sim = play(world, &script);
    // 10,000 s on the P100, of which 5,000: 13,097 whole steps of 26,195. The whole takes 1,676,460 / 281.266 =
    // 5,960.407585702 s on the V100, the rest of (26,195 - 13,097) / 26,195 of that 2,980.317562799 s.
    assert_eq!(ends(&sim)[0], at(5000.0) + span(100.0) + Span(2_980_317_562_799));
    assert_eq!(sim.usage().waste.restarts_s, 100.0);
}

#[test]
fn what_has_just_begun_and_what_is_no_run_is_not_preempted() {
    let mut sim = Simulator::new(Arc::new(one_device(vec![job(0, 100, 1), job(0, 10, 1)], 5.0)));
    follow(&mut sim, &[(0.0, start(0, 0))]);
    assert_eq!(sim.apply(preempt(0)), Err(Illegal::NotPreemptible { run: 0 }));
    assert_eq!(sim.apply(preempt(7)), Err(Illegal::NoSuchRun { run: 7 }));
    let mut plain = Simulator::new(Arc::new(world(&[("v100", 1, 0)], workload(vec![job(0, 1, 1)]))));
    follow(&mut plain, &[(0.0, start(0, 0))]);
    assert_eq!(plain.apply(preempt(0)), Err(Illegal::NoPreemption));
}
