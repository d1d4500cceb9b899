//! Tests of the SWF reader: the rules one by one, each kind of fault, and the shared traces where present.

use super::*;
use crate::testing::shared_data;

const HEAD: &str = "; MaxNodes: 4\n; MaxProcs: 8\n";

fn one(row: &str) -> Result<SwfTrace, TraceError> {
    parse(&format!("{HEAD}{row}\n"), "t.swf")
}

fn refused(text: &str) -> String {
    parse(text, "t.swf").unwrap_err().to_string()
}

#[test]
fn fields_become_a_job() {
    let trace = one("7 100 3 60 3 552.21 -1 5 90 -1 1 1 1 -1 -1 1 -1 -1").unwrap();
    let job = &trace.workload.jobs[0];
    assert_eq!((trace.max_nodes, trace.max_procs, trace.procs_per_node()), (4, 8, 2));
    assert_eq!((job.label, job.arrival, job.gang, job.procs), (7, Time::from_secs_f64(100.0), 3, 5));
    assert_eq!(job.task, Task::Rigid { requested: Span::from_secs(90) });
    assert_eq!(trace.workload.truths, [Truth::Duration(Span::from_secs(60))]);
    assert_eq!(trace.cluster(KindId(0)).procs(), 8);
}

#[test]
fn unknown_times_are_adjusted_and_reported() {
    let text = format!(
        "{HEAD}1 0 -1 -1 1 -1 -1 1 50\n2 0 -1 0 1 -1 -1 1 50\n\n3 0 -1 30.0 1 -1 -1 1 -1\n4 0 0 -1 1 0 0 0 -1\n"
    );
    let trace = parse(&text, "t.swf").unwrap();
    let seconds = |at: usize| match (trace.workload.jobs[at].task, trace.workload.truths[at]) {
        (Task::Rigid { requested }, Truth::Duration(run)) => (requested.as_secs_f64(), run.as_secs_f64()),
        other => panic!("not rigid: {other:?}"),
    };
    assert_eq!([seconds(0), seconds(1), seconds(2)], [(50.0, 10.0), (30.0, 30.0), (10.0, 10.0)]);
    assert_eq!((trace.report.rows, trace.report.kept), (4, 3));
    assert_eq!(trace.report.dropped, [("run time 0".to_string(), 1)]);
    assert_eq!(trace.report.notes.len(), 2);
}

#[test]
fn jobs_are_in_order_of_id_even_if_they_arrive_in_another() {
    let trace = parse(&format!("{HEAD}2 5 0 1 1 0 0 1 1\n1 9 0 1 1 0 0 1 1\n"), "t.swf").unwrap();
    let labels: Vec<u64> = trace.workload.jobs.iter().map(|job| job.label).collect();
    assert_eq!(labels, [1, 2]);
}

#[test]
fn max_procs_zero_or_absent_means_max_nodes() {
    for head in ["; MaxNodes: 4\n", "; MaxNodes: 4\n; MaxProcs: 0\n"] {
        let trace = parse(&format!("{head}1 0 0 1 1 0 0 1 1\n"), "t.swf").unwrap();
        assert_eq!(trace.max_procs, 4);
    }
}

#[test]
fn jobs_without_processors_are_dropped_and_too_large_ones_left_to_the_simulator() {
    let trace = parse(&format!("{HEAD}1 0 0 1 9 0 0 1 1\n2 0 0 1 -1 0 0 -1 1\n3 0 0 1 8 0 0 1 1\n"), "t.swf")
        .unwrap();
    assert_eq!(trace.report.kept, 2);
    assert_eq!(trace.report.dropped, [("no processors".to_string(), 1)]);
}

#[test]
fn faults_name_the_file_the_line_and_the_field() {
    let cases = [
        ("1 0 0 x5 1 0 0 1 1", "t.swf line 3: field 4 is `x5`"),
        ("1 0 0 5 1 1e3 0 1 1", "line 3: field 6 is `1e3`"),
        ("1 0 0 5 1 1.2.3 0 1 1", "field 6 is `1.2.3`"),
        ("1 0 0 5 1 0 0 1", "t.swf line 3: 8 fields, at least 9"),
        ("1 0.5 0 5 1 0 0 1 1", "field 2 (submit time) is `0.5`"),
        ("1 -4 0 5 1 0 0 1 1", "field 2 (submit time) is `-4`"),
        ("1 0 0 5 1 0 0 1 -7", "field 9 (requested time) is `-7`"),
        ("1 0 0 99999999999 1 0 0 1 1", "field 4 (run time) is `99999999999`"),
        ("-1 0 0 5 1 0 0 1 1", "field 1 (job id) is `-1`"),
    ];
    for (row, expected) in cases {
        let message = one(row).unwrap_err().to_string();
        assert!(message.contains(expected), "{message} lacks {expected}");
    }
}

#[test]
fn headers_are_checked() {
    let row = "1 0 0 1 1 0 0 1 1\n";
    assert!(refused(row).contains("no `MaxNodes`"));
    assert!(refused(&format!("; MaxNodes: 0\n{row}")).contains("`MaxNodes` is `0`"));
    assert!(refused(&format!("; MaxNodes: many\n{row}")).contains("`MaxNodes` is `many`"));
    assert!(
        refused(&format!("; MaxNodes: 4\n; MaxProcs: 6\n{row}"))
            .contains("MaxProcs 6 is not a multiple of MaxNodes 4")
    );
    assert!(refused(&format!("; MaxNodes: 4\n; MaxProcs: six\n{row}")).contains("`MaxProcs` is `six`"));
    assert!(refused(HEAD).contains("none of 0 rows"));
    assert!(refused(&format!("{HEAD}1 0 0 0 1 0 0 1 1\n")).contains("none of 1 rows"));
}

#[test]
fn the_committed_trace_reads() {
    let trace = parse(include_str!("../../../tests/data/small.swf"), "small.swf").unwrap();
    assert_eq!((trace.max_nodes, trace.max_procs), (16, 64));
    assert_eq!((trace.report.rows, trace.report.kept), (40, 39));
    assert!(trace.workload.jobs.iter().any(|job| !job.procs.is_multiple_of(trace.procs_per_node())));
}

#[test]
fn shared_traces_keep_the_expected_counts() {
    let files = [("lublin_256", 256, 10_000), ("lublin_256_new2", 256, 10_000), ("hpc2n_head", 240, 3_170)];
    for (file, nodes, kept) in files {
        let Some(text) = shared_data(&format!("swf/{file}.swf")) else { return };
        let trace = parse(&text, file).unwrap();
        assert_eq!((trace.max_nodes, trace.workload.len(), trace.report.kept), (nodes, kept, kept), "{file}");
    }
}

#[test]
fn a_last_row_that_breaks_off_is_refused() {
    let whole = "1 0 5 30 1 -1 -1 1 600 -1 1 1 1 -1 1 -1 -1 -1";
    let text = format!("{HEAD}{whole}\n{whole}");
    assert!(parse(&text, "t.swf").is_ok());
    let cut = refused(text.strip_suffix("0 -1 1 1 1 -1 1 -1 -1 -1").unwrap());
    assert_eq!(cut, "t.swf line 4: 9 fields, at least 18 are needed; the file may be cut off here");
}
