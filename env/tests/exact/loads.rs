//! Models that have to be loaded: each variant has 1,000 bytes of weights and 100 for each request, and comes at 100
//! bytes/s after 1 s, so that a load takes 11 s. On a V100 a request takes 5.79 ms to resnet50-q, 8 ms to bert-qa and
//! to bert-large.

use std::sync::Arc;

use yardmaster_env::catalog::Catalog;
use yardmaster_env::data::Retention;
use yardmaster_env::job::Job;
use yardmaster_env::loads::{Footprint, LoadRules};
use yardmaster_env::sim::{Illegal, Simulator, World, WorldError};
use yardmaster_env::units::{JobId, Span};

use crate::script::*;

const A: &str = "resnet50-q";
const B: &str = "bert-qa";
const C: &str = "bert-large";

fn loading(jobs: Vec<Job>, retention: Retention, memory: u64) -> Result<World, WorldError> {
    let models = Catalog::builtin().inference_models().iter();
    let footprint = Footprint { weights: 1000, per_request: 100 };
    world(&[("v100", 1, 0)], workload(jobs)).with_loads(LoadRules {
        retention,
        bytes_per_s: 100.0,
        latency: span(1.0),
        memory_bytes: vec![memory],
        models: models.map(|model| vec![footprint; model.variants.len()]).collect(),
    })
}

fn in_turn(begins: &[f64]) -> Vec<(f64, yardmaster_env::view::Decision)> {
    (0..).zip(begins).map(|(job, &begin)| (begin, batch(job, &[(0, 1)], 1))).collect()
}

/// Room for two models.
#[test]
fn the_first_batch_loads_and_the_least_recently_used_model_leaves() {
    let jobs = [A, A, B, A, C, A, B].map(|model| request(0.0, model)).to_vec();
    let mut sim = Simulator::new(Arc::new(loading(jobs, Retention::Reserve, 2300).unwrap()));
    assert!(sim.next_decision().is_some());
    assert_eq!(sim.view().setup(JobId(0), &on(&[(0, 1)])), span(11.0));
    // A is loaded, 11.00579, and stays, 11.01158; B is loaded, 22.01958; A is there, 22.02537; C evicts B, 33.03337;
    // A is there, 33.03916; B evicts C, 44.04716.
    let begins = [0.0, 11.00579, 11.01158, 22.01958, 22.02537, 33.03337, 33.03916];
    follow(&mut sim, &in_turn(&begins[..1]));
    assert_eq!((sim.view().running[0].ready, sim.view().running[0].fetching), (at(11.0), false));
    follow(&mut sim, &in_turn(&begins)[1..2]);
    assert_eq!(sim.view().running[0].ready, at(11.00579));
    follow(&mut sim, &in_turn(&begins)[2..]);
    finish(&mut sim);
    let expected = [11.00579, 11.01158, 22.01958, 22.02537, 33.03337, 33.03916, 44.04716];
    assert_eq!(ends(&sim), expected.map(at));
}

#[test]
fn on_demand_each_batch_loads() {
    let world = loading(vec![request(0.0, A); 2], Retention::OnDemand, 2300).unwrap();
    let sim = play(world, &in_turn(&[0.0, 11.00579]));
    assert_eq!(ends(&sim), [11.00579, 22.01158].map(at));
}

#[test]
fn memory_limits_batches() {
    // 1,000 + 3 x 100 fit, 1,000 + 4 x 100 do not.
    let world = loading(vec![request(0.0, A); 5], Retention::Reserve, 1350).unwrap();
    let mut sim = Simulator::new(Arc::new(world));
    assert!(sim.next_decision().is_some());
    let four = sim.apply(batch(0, &[(0, 1)], 4));
    assert_eq!(four, Err(Illegal::WrongBatch { job: 0, batch: 4, most: 3 }));
    assert_eq!(sim.apply(batch(0, &[(0, 1)], 3)), Ok(()));
    let error = loading(vec![request(0.0, A)], Retention::Reserve, 1099).unwrap_err();
    assert_eq!(error, WorldError::ModelTooLarge { node: "n0".into(), bytes: 1100, memory: 1099 });
}

#[test]
fn a_failed_node_has_nothing_loaded() {
    let mut workload = workload(vec![request(0.0, A), request(0.0, A)]);
    use yardmaster_env::rules::Change::{Fail, Join};
    workload.changes = changes(&[(12.0, 0, Fail), (13.0, 0, Join)]);
    let rules = loading(vec![], Retention::Reserve, 2300).unwrap().loads.unwrap();
    let world = world(&[("v100", 1, 0)], workload).with_loads(rules).unwrap();
    let sim = play(world, &in_turn(&[0.0, 13.0]));
    assert_eq!(ends(&sim), [11.00579, 24.00579].map(at));
}

/// 1,000 bytes of input at 100 bytes/s, and then the model.
#[test]
fn a_model_is_loaded_once_the_data_is_there() {
    let world = loading(vec![reads(request(0.0, A), &[0])], Retention::Reserve, 2300).unwrap();
    let mut sim = Simulator::new(Arc::new(with_data(world, data_setup(1, 1))));
    follow(&mut sim, &[(0.0, batch(0, &[(0, 1)], 1))]);
    assert_eq!(sim.view().running[0].ready, at(21.0));
    assert_eq!(sim.view().running[0].expected_finish, at(21.0) + Span::from_micros(5790));
    finish(&mut sim);
    assert_eq!(ends(&sim), [at(21.00579)]);
}
