//! Tests of outages: their statistics, their order, and refusals.

use super::*;
use crate::cluster::Node;
use crate::units::KindId;
use proptest::prelude::*;

fn cluster(nodes: u16) -> Cluster {
    let node =
        |at| Node { name: format!("n{at}"), kind: KindId(0), devices: 2, procs_per_device: 1, rack: 0 };
    Cluster::new((0..nodes).map(node).collect())
}

fn faults(toml: &str) -> Faults {
    toml::from_str(toml).unwrap()
}

/// Hours at which each machine goes and comes, by cause.
fn hours(changes: &[NodeChange], node: u32) -> Vec<(Change, f64)> {
    let own = changes.iter().filter(|change| change.node == NodeId(node));
    own.map(|change| (change.change, change.at.as_secs_f64() / HOUR_S)).collect()
}

#[test]
fn failures_and_repairs_have_their_means() {
    for (repair, shape) in [("{ mean_h = 5 }", 1.0), ("{ mean_h = 5, sigma = 1 }", 0.7)] {
        let text = format!("mtbf_h = 100\nshape = {shape}\nhorizon_h = 20000\nrepair = {repair}");
        let changes = faults(&text).generate(&cluster(50), Time::ZERO, 1).unwrap();
        let (mut up, mut down, mut failures) = (0.0, 0.0, 0.0);
        for node in 0..50 {
            let mut last = 0.0;
            for pair in hours(&changes, node).chunks(2) {
                let [(Change::Fail, from), (Change::Join, to)] = pair else { panic!("{pair:?}") };
                up += from - last;
                down += to - from;
                failures += 1.0;
                last = *to;
            }
        }
        let (up, down) = (up / failures, down / failures);
        assert!((up / 100.0 - 1.0).abs() < 0.05, "up for {up} h");
        assert!((down / 5.0 - 1.0).abs() < 0.05, "down for {down} h");
    }
}

#[test]
fn maintenance_takes_one_machine_after_another() {
    let plan = faults("horizon_h = 45\nmaintenance = { first_h = 5, every_h = 10, length_h = 2 }");
    let changes = plan.generate(&cluster(3), Time::ZERO, 1).unwrap();
    let told: Vec<_> =
        changes.iter().map(|it| (it.node.0, it.at.as_secs_f64() / HOUR_S, it.change)).collect();
    let (out, back) = (Change::Drain, Change::Join);
    let expected = [
        [(0, 5.0, out), (0, 7.0, back)],
        [(1, 15.0, out), (1, 17.0, back)],
        [(2, 25.0, out), (2, 27.0, back)],
        [(0, 35.0, out), (0, 37.0, back)],
    ];
    assert_eq!(told, expected.concat());
}

#[test]
fn without_a_horizon_the_last_arrival_is_the_last_moment() {
    let plan = faults("maintenance = { every_h = 1, length_h = 1 }");
    let drains =
        |hours: u64| plan.generate(&cluster(2), Time(hours * 3_600_000_000_000), 1).unwrap().len() / 2;
    assert_eq!((drains(0), drains(7)), (0, 7));
}

#[test]
fn values_out_of_range_are_named() {
    for (toml, expected) in [
        ("mtbf_h = 0", "`mtbf_h` is 0; it must be a number above 0"),
        ("shape = 0.1", "`shape` is 0.1; it must be from 0.2 to 10"),
        ("repair = { mean_h = -1 }", "`mean_h` is -1"),
        ("repair = { mean_h = 1, sigma = 6 }", "`sigma` is 6; it must be from 0 to 5"),
        ("maintenance = { every_h = 1, length_h = 2 }", "`length_h` is 2; it must be at most every_h"),
        ("mtbf_h = 1e-9\nhorizon_h = 1", "`expected number of outages` is 3000000000; it must be at most"),
        ("horizon_h = -1", "`horizon_h` is -1"),
    ] {
        let error = faults(toml).generate(&cluster(3), Time::ZERO, 1).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error} is not {expected}");
    }
    assert!(toml::from_str::<Faults>("mtbf = 1").unwrap_err().to_string().contains("unknown field `mtbf`"));
}

fn any_faults() -> impl Strategy<Value = Faults> {
    let repair = (0.1..20.0, proptest::option::of(0.0..2.0));
    let plan = (0.0..50.0, 1.0..30.0, 0.1..1.0).prop_map(|(first_h, every_h, part)| Maintenance {
        first_h,
        every_h,
        length_h: every_h * part,
    });
    (proptest::option::of(5.0..500.0), 0.5..3.0, repair, proptest::option::of(plan), 1.0..300.0).prop_map(
        |(mtbf_h, shape, (mean_h, sigma), maintenance, horizon)| Faults {
            mtbf_h,
            shape,
            repair: Repair { mean_h, sigma },
            maintenance,
            horizon_h: Some(horizon),
        },
    )
}

proptest! {
    #[test]
    fn machines_go_and_come_in_turn(faults in any_faults(), nodes in 1..9_u16, seed: u64) {
        let changes = faults.generate(&cluster(nodes), Time::ZERO, seed).unwrap();
        prop_assert!(changes.is_sorted_by_key(|change| change.at));
        for node in 0..u32::from(nodes) {
            let own = hours(&changes, node);
            prop_assert!(own.len().is_multiple_of(2));
            for pair in own.chunks(2) {
                prop_assert!(pair[0].0 != Change::Join && pair[1].0 == Change::Join);
                prop_assert!(pair[0].1 <= faults.horizon_h.unwrap());
            }
        }
        prop_assert_eq!(&changes, &faults.generate(&cluster(nodes), Time::ZERO, seed).unwrap());
        prop_assert_eq!(toml::from_str::<Faults>(&toml::to_string(&faults).unwrap()).unwrap(), faults);
    }
}
