//! Tests of scenarios and their seeds.

use super::*;

#[test]
fn every_builtin_scenario_is_valid_and_bears_its_name() {
    for (name, _) in BUILTIN {
        let scenario = builtin(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.spec().name, *name);
    }
}

#[test]
fn prices_are_read_and_must_not_be_negative() {
    let tiny = BUILTIN.iter().find(|(name, _)| *name == "tiny").map_or("", |(_, text)| *text);
    let scenario = Scenario::parse(&format!("{tiny}\n[prices]\nkwh = 0.5\n"), "own").unwrap();
    assert_eq!(scenario.spec().prices, Prices { kwh: 0.5, dollar: 0.0 });
    assert_eq!(scenario.world(1).unwrap().rules.prices, scenario.spec().prices);
    assert_ne!(scenario.digest(), builtin("tiny").unwrap().digest());
    let error = Scenario::parse(&format!("{tiny}\n[prices]\ndollar = -1\n"), "own").unwrap_err();
    assert_eq!(error.to_string(), "own: prices.dollar is -1, it must be a number from 0");
}

#[test]
fn energy_and_cost_are_objectives_of_a_scenario() {
    for (kind, unit) in [("energy", "kWh"), ("cost", "USD")] {
        let (_, tiny) = BUILTIN.iter().find(|(name, _)| *name == "tiny").unwrap();
        let text = tiny.replace("completion-time", kind);
        let objective = Scenario::parse(&text, kind).unwrap().spec().objective;
        assert_eq!((objective.name(), objective.unit()), (kind, unit));
    }
}

#[test]
fn faults_come_on_top_of_the_same_jobs() {
    let (_, text) = BUILTIN[0];
    let with = |table: &str| Scenario::parse(&format!("{text}\n[faults]\n{table}"), "mine.toml");
    let plain = Scenario::parse(text, "mine.toml").unwrap();
    let faulty = with("mtbf_h = 2\nmaintenance = { every_h = 3, length_h = 1 }").unwrap();
    assert_ne!(plain.digest(), faulty.digest());
    let (plain, faulty) = (plain.world(7).unwrap().workload, faulty.world(7).unwrap().workload);
    assert_eq!((&plain.jobs, plain.changes.len()), (&faulty.jobs, 0));
    assert!(faulty.changes.len() > 4);
    let error = with("mtbf_h = -2").unwrap_err().to_string();
    assert_eq!(error, "mine.toml: `mtbf_h` is -2; it must be a number above 0");
}

#[test]
fn splits_never_overlap_and_episodes_differ() {
    let mut seen = std::collections::HashSet::new();
    for split in [Split::Train, Split::Validation, Split::Test] {
        for base in 0..3 {
            for number in 0..1000 {
                assert!(seen.insert(split.seed(base, number)));
            }
        }
    }
}

#[test]
fn a_scenario_brings_its_own_speeds() {
    let text = |measured: &str| {
        format!(
            r#"
            name = "own"
            about = "own"
            objective = {{ kind = "misses", latency = 0.05 }}
            prior = "mct"
            nodes = [{{ name = "desk", kind = "desk" }}]
            [workload.requests]
            count = 5
            rate = {{ load = 0.5 }}
            streams = [{{ model = "own", share = 1.0, deadline_ms = 9.0 }}]
            [measured]
            how = "by hand"
            devices = [{{ name = "desk", class = "cpu" }}]
            latencies = [{{ model = "own", device = "desk", batch = 1, latency_us = {measured} }}]
            "#
        )
    };
    let scenario = Scenario::parse(&text("1500.0"), "own").unwrap();
    let world = scenario.world(1).unwrap();
    assert_eq!(world.timing.batch(0, 0, 1), Some(Span::from_micros(1500)));
    assert_eq!(scenario.catalog().kind("desk"), Some(world.cluster.kinds()[0]));
    // What is written is read as the same scenario.
    let again = toml::to_string(scenario.spec()).unwrap();
    assert_eq!(Scenario::parse(&again, "again").unwrap().digest(), scenario.digest());
    let error = Scenario::parse(&text("0.0"), "own").unwrap_err().to_string();
    assert_eq!(error, "own: [measured] latency_us of \"own\" on \"desk\" is 0, it must be a number above 0");
}
