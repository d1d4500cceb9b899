//! Choices: of gang and batch, of variants, of nodes that are together or not.

use std::sync::Arc;

use yardmaster_env::catalog::Catalog;
use yardmaster_env::job::{Choice, Job, Workload};
use yardmaster_env::rules::{Rules, Spread};
use yardmaster_env::sim::{Illegal, Simulator, World};
use yardmaster_env::units::{JobId, Span};
use yardmaster_env::view::Decision;

use crate::script::*;

/// ResNet-50 with batches of 64 a device on 1, 2 or 4 devices of a V100 node: 281.266, 507.011 and 604.925 samples/s.
fn elastic() -> World {
    let choices = vec![Choice { gang: 2, batch: 128 }, Choice { gang: 4, batch: 256 }];
    let training = Job { choices, ..training("ResNet-50", 1, 64, 126 * 281_266) };
    let world = world(&[("v100", 4, 0)], workload(vec![training, job(63_000, 1, 1)]));
    world.with_rules(resume(0.0, None)).unwrap()
}

/// Alone 126,000 s. Two devices need 127 / 126 of the samples, as (8000 + 128) / (8000 + 64): 127 x 281,266 / 507.011
/// s. Four need 8,256 / 8,064.
#[test]
fn a_gang_takes_the_time_of_its_way() {
    let ways = [(1, Span::from_secs(126_000)), (2, Span(70_453_662_741_045)), (4, Span(59_979_855_353_970))];
    for (gang, expected) in ways {
        let world = elastic();
        let choice = Choice { gang, batch: 64 * gang };
        let way = world.timing.ways(0).iter().find(|way| way.choice == choice).unwrap();
        assert_eq!(way.span(0), Some(expected));
        let sim = play(world, &[(0.0, batch(0, &[(0, gang)], 64 * gang)), (63_000.0, start(1, 0))]);
        assert_eq!(ends(&sim)[0].since(at(0.0)), expected);
    }
}

#[test]
fn a_job_goes_on_with_another_gang() {
    let script = [
        (0.0, batch(0, &[(0, 1)], 64)),
        (63_000.0, preempt(0)),
        (63_000.0, batch(0, &[(0, 2)], 128)),
        (63_000.0, start(1, 0)),
    ];
    let sim = play(elastic(), &script);
    // Half is done: 276,871 whole steps of 553,743. The rest is (553,743 - 276,871) / 553,743 of 70,453.662741045 s.
    assert_eq!(ends(&sim)[0], at(63_000.0) + Span(35_226_894_986_372));
}

#[test]
fn a_gang_that_is_no_choice_is_refused() {
    let mut sim = Simulator::new(Arc::new(elastic()));
    assert!(sim.next_decision().is_some());
    for (gang, size) in [(3, 192), (2, 64), (1, 128), (4, 128)] {
        let refused = sim.apply(batch(0, &[(0, gang)], size));
        assert_eq!(refused, Err(Illegal::NoSuchWay { job: 0, gang, batch: size }));
    }
    let refused = sim.apply(batch(0, &[(0, 5)], 320));
    assert_eq!(refused, Err(Illegal::NotFree { node: 0, free: 4, need: 5 }));
    let mut rigid = Simulator::new(Arc::new(world(&[("v100", 4, 0)], workload(vec![job(0, 1, 1)]))));
    assert!(rigid.next_decision().is_some());
    let refused = rigid.apply(spread(0, &[(0, 2)]));
    assert_eq!(refused, Err(Illegal::WrongGang { job: 0, gang: 1, given: 2 }));
}

fn variant(size: u32, variant: u16) -> Decision {
    Decision::Start { job: JobId(0), nodes: on(&[(0, 1)]), batch: size, variant }
}

fn requests(model: &str, floor: f64) -> Simulator {
    let floors = vec![(Catalog::builtin().inference(model).unwrap(), floor)];
    let workload = Workload { floors, ..workload(vec![request(0.0, model); 8]) };
    let mut sim = Simulator::new(Arc::new(world(&[("v100", 1, 0)], workload)));
    assert!(sim.next_decision().is_some());
    sim
}

/// resnet50-q: 10.22 ms for eight, 7.03 ms at 0.999 of the accuracy. bert-qa: 38.3 ms; those that are faster have
/// 0.9681 and 0.9119.
#[test]
fn only_variants_that_are_accurate_enough_are_served() {
    for (chosen, micros) in [(0, 10_220), (1, 7_030)] {
        let mut sim = requests("resnet50-q", 0.98);
        follow(&mut sim, &[(0.0, variant(8, chosen))]);
        finish(&mut sim);
        assert_eq!(ends(&sim)[7].since(at(0.0)), Span::from_micros(micros));
        assert_eq!(sim.records()[7].variant, chosen);
    }
    let mut sim = requests("bert-qa", 0.98);
    let refused = sim.apply(variant(8, 1));
    assert_eq!(refused, Err(Illegal::WrongVariant { job: 0, variant: 1, known: 1 }));
    follow(&mut sim, &[(0.0, variant(8, 0))]);
    finish(&mut sim);
    assert_eq!(ends(&sim)[0], at(0.0383));
    // At 0.95 the first of them is accurate enough, the second is not.
    let mut sim = requests("bert-qa", 0.95);
    let refused = sim.apply(variant(8, 2));
    assert_eq!(refused, Err(Illegal::WrongVariant { job: 0, variant: 2, known: 2 }));
    follow(&mut sim, &[(0.0, variant(8, 1))]);
    finish(&mut sim);
    assert_eq!(ends(&sim)[0], at(0.0075));
}

#[test]
fn a_gang_that_is_spread_takes_longer() {
    let end = |nodes: &[(u32, u32)]| {
        let kinds = [("v100", 2, 0), ("v100", 2, 0), ("v100", 2, 1)];
        let rules = Rules { spread: Spread { nodes: 0.1, racks: 0.3 }, ..Rules::default() };
        let world = world(&kinds, workload(vec![job(0, 100, 2)])).with_rules(rules).unwrap();
        let mut sim = Simulator::new(Arc::new(world));
        follow(&mut sim, &[(0.0, spread(0, nodes))]);
        let expected = sim.view().running[0].expected_finish;
        finish(&mut sim);
        assert_eq!(ends(&sim)[0], expected);
        expected
    };
    assert_eq!(end(&[(0, 2)]), at(100.0));
    assert_eq!(end(&[(0, 1), (1, 1)]), at(110.0));
    assert_eq!(end(&[(0, 1), (2, 1)]), at(130.0));
}
