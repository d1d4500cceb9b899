//! Tests of the packing model.

use super::*;
use crate::units::Time;
use proptest::prelude::*;

fn node(cpu_milli: u32, gpus: u32, model: &str) -> Node {
    Node { name: "n".into(), cpu_milli, memory_mib: 1000, gpus, model: model.into() }
}

fn pod(cpu_milli: u32, num_gpu: u32, gpu_milli: u32, spec: &[&str]) -> Pod {
    Pod {
        row: 1,
        name: "p".into(),
        cpu_milli,
        memory_mib: 100,
        num_gpu,
        gpu_milli,
        gpu_spec: spec.iter().map(|&model| model.into()).collect(),
        created: Time::ZERO,
        deleted: None,
        scheduled: None,
    }
}

fn instance() -> Instance {
    let nodes = [node(8000, 2, "T4"), node(8000, 0, ""), node(4000, 1, "A10")];
    let pods = [
        pod(1000, 1, 400, &[]),
        pod(1000, 2, 1000, &[]),
        pod(1000, 0, 0, &[]),
        pod(1000, 1, 1000, &["A10", "G2"]),
        pod(1000, 1, 400, &[]),
    ];
    Instance::new(&nodes, &pods).unwrap()
}

#[test]
fn equal_pods_are_one_demand() {
    let instance = instance();
    assert_eq!((instance.demands.len(), instance.pods.len()), (4, 5));
    assert_eq!(instance.pods[0], instance.pods[4]);
    assert_eq!(instance.total_gpu_milli(), 3000);
}

#[test]
fn a_demand_fits_where_every_resource_does() {
    let instance = instance();
    let fits = |pod: usize| {
        let demand = &instance.demands[instance.pods[pod]];
        instance.rooms.iter().map(|room| room.fits(demand)).collect::<Vec<_>>()
    };
    assert_eq!(fits(0), [true, false, true]);
    assert_eq!(fits(1), [true, false, false]);
    assert_eq!(fits(2), [true, true, true]);
    assert_eq!(fits(3), [false, false, true]);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut instance = instance();
    let (share, whole) = (instance.pods[0], instance.pods[1]);
    instance.place(share, Place { node: 0, devices: 0b01 }).unwrap();
    assert_eq!(instance.rooms[0].gpus.as_slice(), [600, 1000]);
    assert_eq!(instance.rooms[0].sizes, 1);
    let before = instance.clone();
    for (demand, node, devices) in
        [(whole, 0, 0b11), (share, 9, 1), (share, 0, 0b11), (share, 0, 0b100), (share, 1, 1)]
    {
        let error = instance.place(demand, Place { node, devices }).unwrap_err();
        assert_eq!(error, PackingError::NoRoom { node, demand, devices });
    }
    assert_eq!(instance, before);
}

#[test]
fn an_experiment_needs_gpus_and_demand_for_them() {
    let (nodes, pods) = ([node(1, 1, "T4")], [pod(1, 1, 1, &[])]);
    assert_eq!(Instance::new(&[node(1, 0, "")], &pods), Err(PackingError::NoGpus));
    assert_eq!(Instance::new(&nodes, &[pod(1, 0, 0, &[])]), Err(PackingError::NoDemand));
    let names: Vec<String> = (0..65).map(|model| format!("m{model}")).collect();
    let many: Vec<Node> = names.iter().map(|model| node(1, 1, model)).collect();
    assert_eq!(Instance::new(&many, &pods), Err(PackingError::TooManyModels { models: 65 }));
}

#[test]
fn arrivals_reach_the_ratio_from_either_side() {
    let instance = instance();
    let demand = |arrivals: &Arrivals| -> u64 {
        arrivals.pods.iter().map(|&pod| instance.demands[pod].total_gpu_milli()).sum()
    };
    let more = Arrivals::draw(&instance, 10.0, 7);
    // The last pod may exceed the ratio by all but one of its GPUs.
    assert!((28_000..=31_000).contains(&demand(&more)), "{}", demand(&more));
    let less = Arrivals::draw(&instance, 0.3, 7);
    assert!(demand(&less) <= 900);
    let mut nodes = more.nodes.clone();
    nodes.sort_unstable();
    assert_eq!(nodes, [0, 1, 2]);
    assert_eq!(more, Arrivals::draw(&instance, 10.0, 7));
    assert_ne!(more, Arrivals::draw(&instance, 10.0, 8));
}

#[test]
fn a_curve_is_read_at_whole_percents() {
    let steps = [(100, 100), (104, 104), (200, 150), (500, 300)];
    let curve = Curve::of(&steps, 10_000, 5);
    let expected = [Some(1.02), Some(1.02), Some(1.5), Some(1.5), Some(3.0), Some(3.0)];
    for (point, known) in curve.allocated.iter().zip(expected) {
        assert!((point.unwrap() - known.unwrap()).abs() < 1e-9, "{curve:?}");
    }
    assert_eq!(curve.end(), curve.allocated[5].unwrap());
    let other = Curve { allocated: vec![None, Some(3.02)] };
    let both = mean(&[curve.clone(), other]);
    assert!((both.allocated[1].unwrap() - 2.02).abs() < 1e-9);
    assert_eq!(both.allocated[0], curve.allocated[0]);
    assert_eq!(mean(&[]).end(), 0.0);
}

proptest! {
    #[test]
    fn nothing_is_given_away_twice(
        choices in proptest::collection::vec((0..4_usize, 0..4_usize, 0..8_u32), 0..60)
    ) {
        let mut site = instance();
        let empty = site.clone();
        let mut taken = [0_u64; 3];
        for (demand, node, devices) in choices {
            if site.place(demand, Place { node, devices }).is_ok() {
                taken[node] += site.demands[demand].total_gpu_milli();
            }
        }
        for (node, taken) in taken.into_iter().enumerate() {
            prop_assert_eq!(site.rooms[node].total_gpu_milli() + taken, empty.rooms[node].total_gpu_milli());
            prop_assert!(site.rooms[node].gpus.iter().all(|&left| left <= GPU_MILLI));
        }
    }
}
