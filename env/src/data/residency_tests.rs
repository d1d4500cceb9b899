//! Worked examples of device memory.

use super::{DeviceId, Model, Pick, Residency, Retention};
use crate::units::NodeId;

const NODE: NodeId = NodeId(0);

fn device(device: u32) -> DeviceId {
    DeviceId { node: NODE, device }
}

fn model(key: u32, bytes: u64) -> Option<Model> {
    Some(Model { key, bytes })
}

/// Runs one batch to its end.
fn run(residency: &mut Residency, at: u32, key: u32, bytes: u64) -> Vec<u32> {
    let gone = residency.start(device(at), model(key, bytes), 0);
    residency.check();
    residency.finish(device(at));
    gone.to_vec()
}

#[test]
fn a_model_goes_where_it_is_loaded_then_where_nothing_is_lost() {
    let mut residency = Residency::new(Retention::Reserve, &[(3, 10)]);
    run(&mut residency, 0, 7, 6);
    run(&mut residency, 1, 8, 6);
    assert_eq!(
        residency.pick(NODE, model(8, 6), 1),
        Some(Pick { device: device(1), load: false, evicts: 0 })
    );
    assert_eq!(residency.pick(NODE, model(9, 6), 0), Some(Pick { device: device(2), load: true, evicts: 0 }));
    run(&mut residency, 2, 9, 6);
    let oldest = Pick { device: device(0), load: true, evicts: 6 };
    assert_eq!(residency.pick(NODE, model(5, 6), 0), Some(oldest), "of equals the one that was idle longest");
}

#[test]
fn the_least_recently_used_model_leaves_first() {
    let mut residency = Residency::new(Retention::Reserve, &[(1, 10)]);
    run(&mut residency, 0, 1, 4);
    run(&mut residency, 0, 2, 4);
    run(&mut residency, 0, 1, 4);
    assert_eq!(residency.pick(NODE, model(3, 4), 2).map(|pick| pick.evicts), Some(4));
    assert_eq!(run(&mut residency, 0, 3, 4), [2]);
    assert_eq!(residency.loaded(device(0)).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(run(&mut residency, 0, 4, 10), [1, 3]);
}

#[test]
fn working_memory_displaces_other_models_and_is_given_back() {
    let mut residency = Residency::new(Retention::Reserve, &[(1, 10)]);
    run(&mut residency, 0, 1, 4);
    run(&mut residency, 0, 2, 4);
    let pick = residency.pick(NODE, model(2, 4), 3).unwrap();
    assert_eq!(pick, Pick { device: device(0), load: false, evicts: 4 });
    assert_eq!(residency.start(pick.device, model(2, 4), 3).as_slice(), [1]);
    assert_eq!(residency.used_bytes(device(0)), 7);
    residency.finish(device(0));
    assert_eq!(residency.used_bytes(device(0)), 4);
}

#[test]
fn a_busy_or_small_device_is_not_picked() {
    let mut residency = Residency::new(Retention::Reserve, &[(1, 10), (1, 20)]);
    assert_eq!(residency.pick(NODE, model(1, 8), 3), None);
    assert_eq!(residency.pick(NODE, model(1, u64::MAX), 3), None);
    assert!(residency.pick(NodeId(1), model(1, 8), 3).is_some());
    residency.start(device(0), model(1, 8), 0);
    assert_eq!(residency.pick(NODE, model(1, 8), 0), None);
    assert!(residency.holds(NODE, 1));
    assert_eq!((residency.idle_with(NODE, 1), residency.idle(NODE)), (0, 0));
    residency.finish(device(0));
    assert_eq!((residency.idle_with(NODE, 1), residency.idle(NODE)), (1, 1));
}

#[test]
fn work_without_a_model_goes_where_least_is_lost() {
    let mut residency = Residency::new(Retention::Reserve, &[(2, 10)]);
    run(&mut residency, 0, 1, 3);
    run(&mut residency, 1, 2, 6);
    let pick = residency.pick(NODE, None, 8).unwrap();
    assert_eq!(pick, Pick { device: device(0), load: false, evicts: 3 });
    assert_eq!(residency.start(pick.device, None, 8).as_slice(), [1]);
    residency.check();
    assert_eq!((residency.used_bytes(device(0)), residency.idle(NODE)), (8, 1));
    residency.finish(device(0));
    assert_eq!((residency.used_bytes(device(0)), residency.idle(NODE)), (0, 2));
    // Nothing is lost on either; device 1 was used before device 0.
    assert_eq!(residency.pick(NODE, None, 4).map(|pick| (pick.device, pick.evicts)), Some((device(1), 0)));
}

#[test]
fn on_demand_keeps_nothing() {
    let mut residency = Residency::new(Retention::OnDemand, &[(1, 10)]);
    run(&mut residency, 0, 1, 4);
    assert!(!residency.holds(NODE, 1));
    assert_eq!(residency.pick(NODE, model(1, 4), 0).map(|pick| pick.load), Some(true));
}

#[test]
fn signatures_ignore_the_order_of_devices() {
    let mut residency = Residency::new(Retention::Reserve, &[(2, 10), (2, 10), (2, 12)]);
    assert_eq!(residency.signature(NODE), residency.signature(NodeId(1)));
    assert_ne!(residency.signature(NODE), residency.signature(NodeId(2)));
    residency.start(device(0), model(5, 4), 0);
    residency.start(DeviceId { node: NodeId(1), device: 1 }, model(5, 4), 0);
    assert_eq!(residency.signature(NODE), residency.signature(NodeId(1)));
    residency.finish(device(0));
    assert_ne!(residency.signature(NODE), residency.signature(NodeId(1)));
    residency.clear(NODE);
    residency.clear(NodeId(1));
    assert_eq!(residency.signature(NODE), residency.signature(NodeId(1)));
    residency.check();
}
