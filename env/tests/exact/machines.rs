//! Machines that are switched on and off by need.

use yardmaster_env::rules::{Autoscale, Rules};
use yardmaster_env::sim::{NodeState, World};
use yardmaster_env::units::NodeId;

use crate::script::*;

/// Two nodes of which one stays; a second boots for 20 s once more than one job waits for each, and leaves when it has
/// idled for 30 s.
fn scaled() -> World {
    let rule = Autoscale {
        nodes: vec![NodeId(0), NodeId(1)],
        least: 1,
        waiting: 1.0,
        idle: span(30.0),
        boot: span(20.0),
    };
    let rules = Rules { autoscale: vec![rule], ..Rules::default() };
    let jobs = vec![job(0, 100, 1), job(0, 100, 1), job(0, 100, 1), job(220, 10, 1)];
    world(&[("v100", 1, 0), ("v100", 1, 0)], workload(jobs)).with_rules(rules).unwrap()
}

#[test]
fn a_machine_boots_when_work_piles_up_and_leaves_when_it_idles() {
    let mut sim = yardmaster_env::sim::Simulator::new(std::sync::Arc::new(scaled()));
    assert_eq!(sim.node_states(), [NodeState::Up, NodeState::Off]);
    follow(&mut sim, &[(0.0, start(0, 0))]);
    assert_eq!(sim.node_states()[1], NodeState::Booting { until: at(20.0) });
    assert_eq!((sim.view().in_service, sim.view().free), (&[2][..], &[0, 0][..]));
    follow(&mut sim, &[(20.0, start(1, 1)), (100.0, start(2, 0)), (220.0, start(3, 0))]);
    assert_eq!(sim.node_states(), [NodeState::Up, NodeState::Off]);
    finish(&mut sim);
    assert_eq!(ends(&sim), [100.0, 120.0, 200.0, 230.0].map(at));
    // The first serves until 230; the second is paid from 0, and is idle from 120 to 150. A V100 is 2.48 dollars an
    // hour.
    near(sim.usage().service_s[0], 230.0 + 150.0);
    near(sim.usage().busy_s[0], 310.0);
    near(sim.usage().dollars, 2.48 * 380.0 / 3600.0);
    // 300 W busy, 40 W idle, booting included.
    near(sim.usage().energy_j / 1e3, (300.0 * 310.0 + 40.0 * 70.0) / 1e3);
}
