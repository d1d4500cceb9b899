//! The batch-queue disciplines against the published simulator, job for job.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;
use yardmaster_agent::policy::play;
use yardmaster_agent::registry;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::metrics::Metrics;
use yardmaster_env::objective::Objective;
use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::trace::swf;
use yardmaster_env::view::Discipline;

use crate::support::shared_data;

#[derive(Deserialize)]
struct Reference {
    records: Vec<Case>,
    corrected_baselines_mean_bsld_10_sequences: Corrected,
}

/// Means over the ten published sequences with the rules as they were meant, by trace, queue and rule.
#[derive(Deserialize)]
struct Corrected {
    #[serde(rename = "Lublin-1")]
    lublin_1: BTreeMap<String, BTreeMap<String, f64>>,
    #[serde(rename = "Lublin-2")]
    lublin_2: BTreeMap<String, BTreeMap<String, f64>>,
}

#[derive(Deserialize)]
struct Case {
    trace: String,
    sequence: usize,
    start_index: usize,
    length: usize,
    policy: String,
    backfill: bool,
    values: Values,
}

#[derive(Deserialize)]
struct Values {
    avg_bounded_slowdown: f64,
    avg_wait_s: f64,
    avg_turnaround_s: f64,
    utilization: f64,
    max_bounded_slowdown: f64,
}

/// Our name for a rule of the reference; its WFP3 and UNICEP are the published, defective ones.
fn our_name(policy: &str) -> &'static str {
    match policy {
        "FCFS" => "fcfs",
        "SJF" => "sjf",
        "Smallest" | "SMALLEST" | "SMALL" => "smallest",
        "F1" => "f1",
        "WFP3" => "wfp3-published",
        "UNICEP" => "unicep-published",
        other => panic!("the reference has a rule {other} that this test does not know"),
    }
}

#[test]
fn every_start_of_the_published_simulator_is_reproduced() {
    let (Some(reference), Some(starts)) =
        (shared_data("swf/reference.json"), shared_data("swf/reference_starts.json.gz"))
    else {
        return;
    };
    let reference: Reference = serde_json::from_str(&std::fs::read_to_string(reference).unwrap()).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(starts).unwrap()).read_to_string(&mut text).unwrap();
    let starts: BTreeMap<String, Vec<u64>> = serde_json::from_str(&text).unwrap();
    let mut traces = BTreeMap::new();
    for case in &reference.records {
        let trace = traces.entry(case.trace.clone()).or_insert_with(|| {
            let path = shared_data(&format!("swf/{}", case.trace)).unwrap();
            swf::parse(&std::fs::read_to_string(path).unwrap(), &case.trace).unwrap()
        });
        let backfill = u8::from(case.backfill);
        let key = format!("{}|{backfill}|{}|{}|{}", case.trace, case.sequence, case.start_index, case.policy);
        compare(case, trace, starts.get(&key).unwrap_or_else(|| panic!("no starts for {key}")));
    }
    assert_eq!(reference.records.len(), 252);
    println!("252 records identical");
}

/// Where the ten published sequences of 1,024 jobs start.
const PUBLISHED_STARTS: [usize; 10] = [1981, 2756, 4299, 8850, 3316, 2714, 5228, 7762, 4022, 7085];

#[test]
fn the_corrected_rules_reach_their_published_means() {
    let Some(reference) = shared_data("swf/reference.json") else { return };
    let reference: Reference = serde_json::from_str(&std::fs::read_to_string(reference).unwrap()).unwrap();
    let Corrected { lublin_1, lublin_2 } = reference.corrected_baselines_mean_bsld_10_sequences;
    for (file, expected) in [("lublin_256.swf", lublin_1), ("lublin_256_new2.swf", lublin_2)] {
        let path = shared_data(&format!("swf/{file}")).unwrap();
        let trace = swf::parse(&std::fs::read_to_string(path).unwrap(), file).unwrap();
        for (queue, discipline) in [("nobf", Discipline::Commit), ("bf", Discipline::CommitBackfill)] {
            for (theirs, ours) in [("WFP3fix", "wfp3"), ("UNICEPfix", "unicep"), ("SAF", "saf")] {
                let slowdown = |first: &usize| {
                    let sim = run(&trace, *first, 1024, discipline, ours);
                    Metrics::of(&sim).mean_bounded_slowdown
                };
                let mean = PUBLISHED_STARTS.iter().map(slowdown).sum::<f64>() / 10.0;
                let published = expected[queue][theirs];
                assert!(
                    (mean - published).abs() < 0.005 + 1e-9,
                    "{file} {queue} {ours}: {mean} is not {published}"
                );
            }
        }
    }
}

fn run(trace: &swf::SwfTrace, first: usize, jobs: usize, discipline: Discipline, policy: &str) -> Simulator {
    let catalog = Catalog::builtin();
    let cluster = trace.cluster(catalog.kind("processor").unwrap());
    let workload = trace.workload.slice(first, jobs);
    let world = World::new(catalog, cluster, workload, discipline, Objective::CompletionTime, None).unwrap();
    play(&Arc::new(world), &mut *registry::build(policy).unwrap(), 0).unwrap()
}

fn compare(case: &Case, trace: &swf::SwfTrace, expected: &[u64]) {
    let discipline = if case.backfill { Discipline::CommitBackfill } else { Discipline::Commit };
    let sim = run(trace, case.start_index, case.length, discipline, our_name(&case.policy));
    let label = format!("{} {} {} backfill {}", case.trace, case.sequence, case.policy, case.backfill);
    assert_eq!(expected.len(), sim.records().len(), "{label}");
    for (at, (record, &expected)) in sim.records().iter().zip(expected).enumerate() {
        assert_eq!(record.start.0, expected * 1_000_000_000, "{label}: start of job {at}");
    }
    let metrics = Metrics::of(&sim);
    let close = |ours: f64, theirs: f64, what: &str| {
        assert!((ours - theirs).abs() <= 1e-9 * theirs.abs(), "{label}: {what} {ours} instead of {theirs}");
    };
    close(metrics.mean_bounded_slowdown, case.values.avg_bounded_slowdown, "bounded slowdown");
    close(metrics.max_bounded_slowdown, case.values.max_bounded_slowdown, "largest bounded slowdown");
    close(metrics.mean_wait_s, case.values.avg_wait_s, "wait");
    close(metrics.mean_jct_s, case.values.avg_turnaround_s, "turnaround");
    close(metrics.utilization_to_last_start, case.values.utilization, "utilization");
}
