//! Every rule of the registry on small worlds of every sort: legal, deterministic, and done in the end.

#![allow(clippy::unwrap_used, reason = "a fault may end a test")]

use std::sync::Arc;

use yardmaster_agent::policy::play;
use yardmaster_agent::registry;
use yardmaster_env::sim::{Simulator, State, World};
use yardmaster_env::spec::{self, Scenario, Split};
use yardmaster_env::view::Discipline;

/// Nodes of two kinds, and some of several devices.
const NODES: &str = r#"
name = "small"
about = "for tests"
objective = { kind = "completion-time" }
prior = "mct"
nodes = [
    { name = "v100", kind = "v100", count = 2, devices = 2 },
    { name = "t4", kind = "t4", count = 3 },
    { name = "k80", kind = "k80", count = 1, devices = 4 },
]
"#;

const TRAINING: &str = r#"
[workload.training]
jobs = 30
rate = { load = 1.1 }
"#;

const GANGS: &str = r#"gangs = [{ devices = 1, share = 0.6 }, { devices = 2, share = 0.2 }, { devices = 4, share = 0.2 }]
"#;

const PREEMPTION: &str = r#"
[preemption]
restart_s = 300.0
"#;

const ELASTIC: &str = r#"
[elastic]
gangs = [1, 2, 4]
batches = [0.5, 1.0]

[memory]
fails_after_s = 60.0
sigma = 0.3

[spread]
nodes = 0.1
"#;

const DATA: &str = r#"
[network]
storage_gb_per_s = 0.6
nic_gb_per_s = 0.1
cache_gb = 1500.0

[datasets]
count = 6
least_gb = 100.0
most_gb = 900.0
popularity = 8.0
"#;

const FAULTS: &str = r#"
[faults]
mtbf_h = 60.0
shape = 0.8
repair = { mean_h = 2.0, sigma = 1.0 }
"#;

const MIXED: &str = r#"
[[workload.mix]]
[workload.mix.training]
jobs = 15
rate = { per_second = 0.5 }
sizes = [{ share = 1.0, log10_low = -1.5, log10_high = -0.5 }]

[[workload.mix]]
[workload.mix.requests]
count = 150
rate = { per_second = 20.0 }
streams = [{ model = "resnet50", share = 1.0, deadline_ms = 60.0 }, { model = "bert-large", share = 1.0, deadline_ms = 100.0 }]
"#;

fn worlds() -> Vec<(&'static str, String)> {
    let with = |parts: &[&str]| NODES.to_owned() + &parts.concat();
    vec![
        ("plain", with(&[TRAINING])),
        ("gangs", with(&[TRAINING, GANGS])),
        ("preemption", with(&[PREEMPTION, TRAINING, GANGS])),
        ("elastic", with(&[PREEMPTION, ELASTIC, TRAINING])),
        ("data", with(&[PREEMPTION, DATA, TRAINING, GANGS])),
        ("faults", with(&[PREEMPTION, ELASTIC, DATA, FAULTS, TRAINING])),
        ("serving", with(&[PREEMPTION, MIXED])),
    ]
}

fn world(text: &str, number: u64) -> World {
    Scenario::parse(text, "small.toml").unwrap().world(Split::Test.seed(7, number)).unwrap()
}

/// All rules alone, with every other number that tuning tries, and in some combinations.
fn policies() -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in registry::entries() {
        names.push(entry.name.to_owned());
        for parameter in entry.parameters {
            let values = [parameter.tries.first(), parameter.tries.last()];
            let others = values.into_iter().flatten().filter(|value| **value != parameter.default);
            names.extend(others.map(|value| format!("{}({}={value})", entry.name, parameter.name)));
        }
    }
    let moving = ["preempt=0.85,migrate=0.85", "preempt=1,migrate=1,width=0.5", "spare=2,long_h=0,migrate=1"];
    names.extend(moving.iter().map(|values| format!("price({values})")));
    names.extend(
        ["easy+srpt", "conservative+las", "srpt+round-robin", "rr+fragmentation-gradient"].map(Into::into),
    );
    names
}

/// Plays an episode; a policy that decides without end fails the test.
fn play_within(world: &Arc<World>, policy: &str, most: u64) -> Simulator {
    let mut rule = registry::build(policy).unwrap();
    let mut sim = Simulator::new(Arc::clone(world));
    rule.reset(1);
    while let Some(view) = sim.next_decision() {
        let decision = rule.decide(&view);
        sim.apply(decision).unwrap_or_else(|why| panic!("{policy}: {why}"));
        assert!(sim.decisions() < most, "{policy} still decides after {most} decisions");
    }
    sim
}

#[test]
fn every_rule_finishes_every_sort_of_world() {
    for (name, text) in worlds() {
        for number in 0..2 {
            let world = Arc::new(world(&text, number));
            for policy in policies() {
                let sim = play_within(&world, &policy, 200_000);
                let done = |state| matches!(state, State::Finished | State::Dropped);
                assert!(sim.records().iter().all(|record| done(record.state)), "{policy} on {name} {number}");
            }
        }
    }
}

#[test]
fn every_rule_answers_the_other_disciplines() {
    for discipline in [Discipline::Commit, Discipline::CommitBackfill, Discipline::Rounds] {
        let mut world = world(&(NODES.to_owned() + TRAINING), 0);
        world.discipline = discipline;
        let world = Arc::new(world);
        for policy in policies() {
            let sim = play_within(&world, &policy, 100_000);
            assert!(sim.records().iter().all(|record| record.state == State::Finished), "{policy}");
        }
    }
}

#[test]
fn a_rule_is_deterministic() {
    for (name, text) in worlds() {
        let world = Arc::new(world(&text, 3));
        for policy in ["matching", "price(preempt=0.85,migrate=0.85,width=0.5)", "fcfs+random-fit", "min-min"]
        {
            // The same policy after a reset, and another one.
            let mut rule = registry::build(policy).unwrap();
            let digests = [0, 1].map(|_| play(&world, &mut *rule, 5).unwrap().digest());
            let fresh = play(&world, &mut *registry::build(policy).unwrap(), 5).unwrap().digest();
            assert_eq!(digests, [fresh, fresh], "{policy} on {name}");
        }
    }
}

/// The family contains minimum completion time, schedule for schedule.
#[test]
fn price_with_neutral_numbers_is_mct() {
    let neutral = "price(alpha=1,beta=0,fetch=1,spare=0,overdue=0,narrow=0,preempt=0,migrate=0,width=-1)";
    for name in
        ["pool12", "gang", "mix", "locality", "elastic", "estimates", "shared", "serving-burst", "preempt"]
    {
        let world = Arc::new(spec::builtin(name).unwrap().world(Split::Test.seed(0, 0)).unwrap());
        let digest = |policy| play(&world, &mut *registry::build(policy).unwrap(), 0).unwrap().digest();
        assert_eq!(digest(neutral), digest("mct"), "{name}");
    }
}
