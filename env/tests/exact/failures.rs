//! Machines that fail, are drained and come back.

use std::sync::Arc;

use yardmaster_env::job::Job;
use yardmaster_env::rules::Change::{Drain, Fail, Join};
use yardmaster_env::sim::{NodeState, Simulator, State, World};
use yardmaster_env::units::JobId;

use crate::script::*;

fn failing(
    nodes: &[(&str, u32, u16)],
    jobs: Vec<Job>,
    happens: &[(f64, u32, yardmaster_env::rules::Change)],
    checkpoint: Option<f64>,
) -> World {
    let mut workload = workload(jobs);
    workload.changes = changes(happens);
    world(nodes, workload).with_rules(resume(5.0, checkpoint)).unwrap()
}

const ONE: &[(&str, u32, u16)] = &[("v100", 1, 0)];

#[test]
fn what_the_last_checkpoint_holds_is_kept() {
    let world = failing(ONE, vec![job(0, 100, 1)], &[(70.0, 0, Fail), (80.0, 0, Join)], Some(30.0));
    let sim = play(world, &[(0.0, start(0, 0)), (80.0, start(0, 0))]);
    // Of 70 s, 60 s are in the second checkpoint: 80 + 5 + 40 = 125.
    assert_eq!(ends(&sim), [at(125.0)]);
    assert_eq!(slices(&sim, 0), [(0.0, 70.0), (80.0, 125.0)]);
    let waste = sim.usage().waste;
    assert_eq!((waste.failures_s, waste.restarts_s, waste.cut_off, waste.preemptions), (10.0, 5.0, 1, 0));
    // Nobody pays for the 10 s of repair.
    near(sim.usage().service_s[0], 115.0);
}

#[test]
fn without_checkpoints_all_is_lost() {
    let world = failing(ONE, vec![job(0, 100, 1)], &[(70.0, 0, Fail), (80.0, 0, Join)], None);
    let sim = play(world, &[(0.0, start(0, 0)), (80.0, start(0, 0))]);
    // 80 + 5 + 100 = 185
    assert_eq!(ends(&sim), [at(185.0)]);
    assert_eq!(sim.usage().waste.failures_s, 70.0);
}

#[test]
fn checkpoints_are_counted_from_where_it_goes_on() {
    let happens = [(70.0, 0, Fail), (80.0, 0, Join), (110.0, 0, Fail), (120.0, 0, Join)];
    let world = failing(ONE, vec![job(0, 100, 1)], &happens, Some(30.0));
    let sim = play(world, &[(0.0, start(0, 0)), (80.0, start(0, 0)), (120.0, start(0, 0))]);
    // From 85 to 110 there is no checkpoint: 60 s are kept still, 120 + 5 + 40 = 165; 10 + 25 s are lost.
    assert_eq!(ends(&sim), [at(165.0)]);
    assert_eq!((sim.usage().waste.failures_s, sim.usage().waste.restarts_s), (35.0, 10.0));
}

#[test]
fn a_gang_ends_with_one_of_its_nodes() {
    let two = [("v100", 1, 0), ("v100", 1, 0)];
    let jobs = vec![job(0, 100, 2), job(0, 10, 1)];
    let world = failing(&two, jobs, &[(70.0, 1, Fail), (80.0, 1, Join)], Some(30.0));
    // The device of the node that is well is free at once.
    let script =
        [(0.0, spread(0, &[(0, 1), (1, 1)])), (70.0, start(1, 0)), (80.0, spread(0, &[(0, 1), (1, 1)]))];
    let sim = play(world, &script);
    assert_eq!(ends(&sim), [at(125.0), at(80.0)]);
    // 10 s on two devices, and a restart of 5 s on two.
    assert_eq!((sim.usage().waste.failures_s, sim.usage().waste.restarts_s), (20.0, 10.0));
}

/// resnet50-q on a V100: 5.79 ms alone, 6.61 ms for two.
#[test]
fn a_batch_on_a_node_that_fails_is_served_again_in_order() {
    let jobs = vec![request(0.0, "resnet50-q"); 3];
    let mut sim = Simulator::new(Arc::new(failing(ONE, jobs, &[(0.005, 0, Fail), (0.01, 0, Join)], None)));
    follow(&mut sim, &[(0.0, batch(0, &[(0, 1)], 2))]);
    assert_eq!(sim.next_decision().unwrap().now, at(0.01));
    assert_eq!(sim.view().streams[0].queue, [0, 1, 2].map(JobId));
    follow(&mut sim, &[(0.01, batch(0, &[(0, 1)], 2)), (0.01661, batch(2, &[(0, 1)], 1))]);
    finish(&mut sim);
    // 10 + 6.61 = 16.61 ms, then 16.61 + 5.79 = 22.4 ms; requests restart nothing.
    assert_eq!(ends(&sim), [at(0.01661), at(0.01661), at(0.0224)]);
    near(sim.usage().waste.failures_s, 0.005);
    assert_eq!((sim.usage().waste.cut_off, sim.usage().waste.restarts_s), (1, 0.0));
}

#[test]
fn a_drained_node_ends_what_runs_and_takes_nothing_new() {
    let jobs = vec![job(0, 50, 1), job(30, 10, 1)];
    let world = failing(ONE, jobs, &[(20.0, 0, Drain), (60.0, 0, Join)], None);
    let mut sim = Simulator::new(Arc::new(world));
    follow(&mut sim, &[(0.0, start(0, 0))]);
    // The policy is asked when it could preempt, from the arrival at 30 on.
    assert_eq!(sim.next_decision().unwrap().now, at(30.0));
    assert_eq!((sim.node_states(), sim.view().free), (&[NodeState::Draining][..], &[0][..]));
    assert_eq!(sim.view().in_service, [1]);
    follow(&mut sim, &[(60.0, start(1, 0))]);
    assert_eq!(sim.node_states(), [NodeState::Up]);
    finish(&mut sim);
    assert_eq!(ends(&sim), [at(50.0), at(70.0)]);
    // In service from 0 to 50 and from 60 to 70.
    near(sim.usage().service_s[0], 60.0);
    assert_eq!(sim.usage().waste.cut_off, 0);
}

#[test]
fn a_node_that_joins_again_while_it_drains_keeps_what_runs() {
    let jobs = vec![job(0, 50, 1), job(30, 10, 1)];
    let world = failing(&[("v100", 2, 0)], jobs, &[(20.0, 0, Drain), (40.0, 0, Join)], None);
    let sim = play(world, &[(0.0, start(0, 0)), (40.0, start(1, 0))]);
    assert_eq!(ends(&sim), [at(50.0), at(50.0)]);
    near(sim.usage().service_s[0], 100.0);
}

/// 1,000 bytes at 100 bytes/s.
#[test]
fn a_node_that_fails_loses_what_it_has_fetched() {
    let jobs = vec![reads(job(0, 100, 1), &[0])];
    let world = failing(ONE, jobs, &[(4.0, 0, Fail), (6.0, 0, Join)], Some(30.0));
    let mut sim = Simulator::new(Arc::new(with_data(world, data_setup(1, 1))));
    follow(&mut sim, &[(0.0, start(0, 0)), (6.0, start(0, 0))]);
    assert_eq!(sim.records()[0].state, State::Transferring);
    let counters = *sim.view().data.unwrap().counters();
    assert_eq!((counters.misses, counters.wasted_bytes), (2, 400));
    finish(&mut sim);
    // 6 + 10 to fetch + 5 to restart + 100 = 121; the 4 s before the failure and the 15 s before it computes count as
    // waste where they were held for nothing: 4 s then, 5 s of restart later.
    assert_eq!(ends(&sim), [at(121.0)]);
    assert_eq!((sim.usage().waste.restarts_s, sim.usage().waste.failures_s), (9.0, 0.0));
}
