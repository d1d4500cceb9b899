//! Stages one after another, what they hand on, and what they count.

use std::sync::Arc;

use yardmaster_env::catalog::Catalog;
use yardmaster_env::data::{ArtefactId, DataSetup, Storage, Switches};
use yardmaster_env::job::Job;
use yardmaster_env::objective::Objective;
use yardmaster_env::serving::{Late, Serving};
use yardmaster_env::sim::{Illegal, Simulator, State, World};
use yardmaster_env::units::{JobId, Span};
use yardmaster_env::view::Discipline;

use crate::script::*;

/// Stages of 10, 20 and 30 s, each of which hands 1,000 bytes to the next; only the last has weight. Two nodes copy
/// from each other at 100 bytes/s; the store gives 50 bytes/s.
fn three_stages() -> World {
    let stages = [10, 20, 30].into_iter().zip(0..).map(|(seconds, number): (u64, u32)| Job {
        weight: if number == 2 { 1.0 } else { 0.0 },
        after: number.checked_sub(1).map(JobId),
        output: (number < 2).then_some(ArtefactId(number)),
        ..reads(job(0, seconds, 1), &number.checked_sub(1).map_or(vec![], |input| vec![input]))
    });
    let setup = data_setup(2, 2);
    let setup = DataSetup {
        storage: Storage { bytes_per_s: 50.0, latency: Span::ZERO },
        switches: Switches { replication: true, ..setup.switches },
        ..setup
    };
    with_data(world(&[("v100", 1, 0), ("v100", 1, 0)], workload(stages.collect())), setup)
}

#[test]
fn a_stage_waits_for_the_one_before_it() {
    let mut sim = Simulator::new(Arc::new(three_stages()));
    assert!(sim.next_decision().is_some());
    assert_eq!(sim.view().queue, [JobId(0)]);
    assert_eq!(sim.records()[1].state, State::Blocked);
    assert_eq!(sim.apply(start(1, 0)), Err(Illegal::NotWaiting { job: 1 }));
    // On one node nothing is fetched: 10 + 20 + 30.
    follow(&mut sim, &[(0.0, start(0, 0)), (10.0, start(1, 0)), (30.0, start(2, 0))]);
    finish(&mut sim);
    assert_eq!(ends(&sim), [at(10.0), at(30.0), at(60.0)]);
    // Only the weight of the last stage counts, from the arrival of the pipeline on.
    near(sim.cost().score(), 60.0);
    assert_eq!(sim.view().data.unwrap().counters().hits, 2);
}

#[test]
fn what_a_stage_hands_on_is_fetched_where_it_is_not() {
    let mut sim = Simulator::new(Arc::new(three_stages()));
    follow(&mut sim, &[(0.0, start(0, 0))]);
    assert_eq!(sim.next_decision().unwrap().now, at(10.0));
    assert_eq!(sim.view().setup(JobId(1), &on(&[(0, 1)])), Span::ZERO);
    assert_eq!(sim.view().setup(JobId(1), &on(&[(1, 1)])), span(10.0));
    // 10, then 10 to copy 1,000 bytes at 100 bytes/s and 20; the third stage finds its input.
    follow(&mut sim, &[(10.0, start(1, 1)), (40.0, start(2, 1))]);
    finish(&mut sim);
    assert_eq!(ends(&sim), [at(10.0), at(40.0), at(70.0)]);
    let counters = sim.view().data.unwrap().counters();
    assert_eq!((counters.hits, counters.misses, counters.replica_bytes), (1, 1, 1000));
}

/// Three requests in a chain, due at 3 ms, behind a job that holds the only device for 10 ms.
#[test]
fn the_stages_after_a_dropped_one_are_dropped() {
    let mut jobs = vec![Job { after: None, ..job(0, 1, 1) }];
    for number in 1..4_u32 {
        let after = (number > 1).then(|| JobId(number - 1));
        let weight = if number == 3 { 1.0 } else { 0.0 };
        jobs.push(Job { after, weight, deadline: Some(at(0.003)), ..request(0.0, "resnet50-q") });
    }
    let catalog = Catalog::builtin();
    let cluster = cluster(catalog, &[("v100", 1, 0)]);
    let objective = Objective::Misses { latency: 0.0 };
    let world = World::new(catalog, cluster, workload(jobs), Discipline::Free, objective, None).unwrap();
    let world = world.with_serving(catalog, Serving { late: Late::Drop, ..Serving::default() }).unwrap();
    let sim = play(world, &[(0.0, start(0, 0))]);
    assert_eq!(sim.records()[0].state, State::Finished);
    for record in &sim.records()[1..] {
        assert_eq!((record.state, record.finish), (State::Dropped, at(0.003)));
    }
    // One miss over a weight of 1 for the pipeline and 1 for the job.
    near(sim.cost().score(), 0.5);
}

/// Two requests share a batch, and each has an input of its own.
#[test]
fn a_batch_waits_for_the_inputs_of_all_its_members() {
    let jobs = vec![reads(request(0.0, "resnet50-q"), &[0]), reads(request(0.0, "resnet50-q"), &[1])];
    let world = with_data(world(&[("v100", 1, 0)], workload(jobs)), data_setup(1, 2));
    let sim = play(world, &[(0.0, batch(0, &[(0, 1)], 2))]);
    // 2,000 bytes at 100 bytes/s, then 6.61 ms.
    assert_eq!(ends(&sim), [at(20.00661); 2]);
}
