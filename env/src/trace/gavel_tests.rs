#![allow(clippy::unwrap_used, reason = "a fault in a test's own text may end the test")]

use super::*;

const INPUT: &str = r#"{
    "workload": "two", "cluster": {"v100": 6, "k80": 1}, "gpus_per_server": {"v100": 4, "k80": 1},
    "throughputs_file": "speeds.json", "round_s": 360, "min_time_between_allocation_resets_s": 1920,
    "jobs": [
        {"job_id": 7, "arrival_s": 2.5, "job_type": "A3C", "scale_factor": 1, "total_steps": 10},
        {"job_id": 8, "arrival_s": 0.0, "job_type": "LM (batch size 5)", "scale_factor": 2, "total_steps": 30},
        {"job_id": 9, "arrival_s": 3.0, "job_type": "A3C", "scale_factor": 1, "total_steps": 0}
    ]
}"#;
const SPEEDS: &str = r#"{
    "v100": {"('A3C', 1)": {"null": 2.0, "('A3C', 1)": [1.0, 1.0]}, "('LM (batch size 5)', 2)": {"null": 4.5}},
    "k80": {"('A3C', 1)": {"null": 0.5}, "('LM (batch size 5)', 2)": {"null": 0.0}}
}"#;

fn read(input: &str, speeds: &str) -> Result<GavelTrace, TraceError> {
    GavelInput::parse(input, "in.json")?.with_throughputs(speeds, "speeds.json", Catalog::builtin())
}

fn error(input: &str, speeds: &str) -> String {
    read(input, speeds).unwrap_err().to_string()
}

#[test]
fn cluster_jobs_and_speeds_are_read() {
    let trace = read(INPUT, SPEEDS).unwrap();
    let nodes: Vec<(&str, u32)> =
        trace.cluster.nodes().iter().map(|node| (node.name.as_str(), node.devices)).collect();
    assert_eq!(nodes, [("k80-0", 1), ("v100-0", 4), ("v100-1", 2)]);
    let jobs: Vec<(u64, Time, u32)> =
        trace.workload.jobs.iter().map(|job| (job.label, job.arrival, job.gang)).collect();
    assert_eq!(jobs, [(8, Time::ZERO, 2), (7, Time(2_500_000_000), 1)]);
    let v100 = Catalog::builtin().kind("v100").unwrap();
    let Task::Steps { speeds, steps } = trace.workload.jobs[0].task else { panic!() };
    let speeds = &trace.workload.speeds[speeds as usize];
    assert_eq!(
        (steps, speeds.name.as_str(), &speeds.by_kind[..]),
        (30, "LM (batch size 5)", &[(v100, 4.5)][..])
    );
    assert_eq!(trace.rounds, RoundRules::default());
    let report = trace.report;
    assert_eq!((report.rows, report.kept, report.dropped), (3, 2, vec![("no steps".to_owned(), 1)]));
    assert_eq!(report.notes.len(), 3);
    assert!(report.notes[1].contains("on k80, where they do not run: 1 jobs"), "{:?}", report.notes);
}

#[test]
fn faults_name_the_file_and_the_remedy() {
    let cut = &INPUT[..INPUT.len() / 2];
    assert!(
        error(cut, SPEEDS).starts_with("in.json: ") && error(cut, SPEEDS).contains("the file is cut off")
    );
    assert!(error(INPUT, "{").starts_with("speeds.json: "));
    let unknown = error(&INPUT.replace("A3C", "A4C"), SPEEDS);
    assert!(unknown.starts_with("speeds.json: no throughput of `('A4C', 1)` on `k80`"), "{unknown}");
    assert!(unknown.contains("did you mean `('A3C', 1)`?"), "{unknown}");
    let nowhere = error(INPUT, &SPEEDS.replace("4.5", "0.0"));
    assert!(nowhere.contains("job 8") && nowhere.contains("throughput 0 on every device kind"), "{nowhere}");
    assert!(error(INPUT, &SPEEDS.replace("4.5", "-1.0")).contains("must be a number from 0"));
    assert!(error(&INPUT.replace("\"k80\"", "\"k81\""), SPEEDS).contains("unknown device kind `k81`"));
    assert!(error(&INPUT.replace("speeds.json", "../speeds.json"), SPEEDS).contains("in the same folder"));
    assert!(
        error(&INPUT.replace("\"arrival_s\": 2.5", "\"arrival_s\": -1"), SPEEDS)
            .contains("`arrival_s` of job 7")
    );
    assert!(error(&INPUT.replace("\"scale_factor\": 2", "\"scale_factor\": 0"), SPEEDS).contains("job 8"));
    assert!(error(&INPUT.replace("\"round_s\": 360", "\"round_s\": 0"), SPEEDS).contains("`round_s` is `0`"));
    let none = INPUT
        .replace("\"total_steps\": 10", "\"total_steps\": 0")
        .replace("\"total_steps\": 30", "\"total_steps\": 0");
    assert!(error(&none, SPEEDS).contains("none of 3 rows"));
}
