//! A scenario file that uses what sources and faults can do at once: it is read, written, generated and played.

#![allow(clippy::unwrap_used, reason = "a fault may end a test")]

use std::sync::Arc;

use yardmaster_env::candidates::Candidates;
use yardmaster_env::sim::{Simulator, State};
use yardmaster_env::spec::{Scenario, Split};

const FILE: &str = r#"
name = "everything"
about = "training by day, requests in regimes, machines that fail"
objective = { kind = "completion-time" }
prior = "mct"

[[nodes]]
name = "v100"
kind = "v100"
count = 4

[[nodes]]
name = "t4"
kind = "t4"
count = 4

[[workload.mix]]
[workload.mix.training]
jobs = 40
rate = { load = 0.5 }
process = { diurnal = { period_s = 86400.0, amplitude = 0.9 } }
sizes = [{ share = 1.0, log10_low = 1.0, log10_high = 2.5 }]
estimates = { sigma = 1.5, users = 5 }

[[workload.mix]]
[workload.mix.requests]
count = 600
rate = { per_second = 0.005 }
streams = [{ model = "resnet50", share = 2.0 }, { model = "tft", share = 1.0 }]
[workload.mix.requests.process.regimes]
order = "random"
durations = "exponential"
segments = [
    { duration_s = 20000.0, factor = 0.4 },
    { duration_s = 5000.0, factor = 3.0, process = { sweeps = { mean_size = 8.0 } }, shares = [1.0, 9.0] },
]

[[workload.mix]]
[workload.mix.training]
jobs = 10
rate = "recorded"
process = { trace = { gaps_s = [7200.0, 60.0, 60.0], start = "random" } }

[faults]
mtbf_h = 40.0
shape = 0.8
repair = { mean_h = 2.0, sigma = 1.0 }
maintenance = { first_h = 5.0, every_h = 12.0, length_h = 3.0 }
"#;

#[test]
fn it_is_read_and_written() {
    let scenario = Scenario::parse(FILE, "everything.toml").unwrap();
    let text = toml::to_string(scenario.spec()).unwrap();
    let again = Scenario::parse(&text, "again.toml").unwrap();
    assert_eq!((again.spec(), again.digest()), (scenario.spec(), scenario.digest()));
}

#[test]
fn every_episode_can_be_played_to_its_end_and_is_foreseen() {
    let scenario = Scenario::parse(FILE, "everything.toml").unwrap();
    for episode in 0..5 {
        let world = Arc::new(scenario.world(Split::Test.seed(0, episode)).unwrap());
        assert_eq!(world.workload.len(), 650);
        assert!(!world.workload.changes.is_empty());
        let mut sim = Simulator::new(Arc::clone(&world));
        let mut candidates = Candidates::default();
        while let Some(view) = sim.next_decision() {
            let forecast = &view.history.forecast;
            let streams = (0..view.streams.len()).map(Some).chain([None]);
            let rates = streams.map(|stream| forecast.rate(view.now, stream, 3600.0));
            assert!(rates.into_iter().all(|rate| rate.is_finite() && rate >= 0.0));
            candidates.fill(&view);
            let decision = candidates.decision(&view, 0).unwrap();
            sim.apply(decision).unwrap();
        }
        assert!(sim.records().iter().all(|record| record.state == State::Finished));
    }
}

/// What a stream's forecast has learned in the simulator is what it learns from the stream's own arrivals.
#[test]
fn the_forecast_of_a_view_has_seen_what_arrived() {
    let scenario = Scenario::parse(FILE, "everything.toml").unwrap();
    let world = Arc::new(scenario.world(Split::Test.seed(0, 9)).unwrap());
    let mut sim = Simulator::new(Arc::clone(&world));
    let mut candidates = Candidates::default();
    while let Some(view) = sim.next_decision() {
        candidates.fill(&view);
        let decision = candidates.decision(&view, 0).unwrap();
        sim.apply(decision).unwrap();
    }
    let view = sim.view();
    let mut expected = yardmaster_env::forecast::Forecast::new(view.streams.len());
    for job in view.jobs {
        let asks = |stream: &yardmaster_env::view::Stream| job.request_model() == Some(stream.model);
        expected.arrive(job.arrival, view.streams.iter().position(asks));
    }
    assert_eq!(view.history.forecast, expected);
}
