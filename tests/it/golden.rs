//! The small committed trace against start times from an independent program (`tests/golden/batch_queue.py`).

use std::collections::BTreeMap;

use crate::support::{Bench, ours, small_swf};

const GOLDEN: &str = "tests/golden/small.json";

#[test]
fn every_start_on_the_small_trace_is_that_of_the_independent_program() {
    let golden: BTreeMap<String, Vec<u64>> =
        serde_json::from_str(&std::fs::read_to_string(ours(GOLDEN)).unwrap()).unwrap();
    assert_eq!(golden.len(), 12);
    let bench = Bench::new();
    for (run, expected) in &golden {
        let (policy, queue) = run.split_once(' ').unwrap();
        let trace = small_swf();
        bench.ok(&format!("simulate --trace {trace} --policy {policy} --queue {queue} --starts starts.csv"));
        let starts: Vec<u64> = bench.get("starts.csv").lines().skip(1).map(start).collect();
        assert_eq!(&starts, expected, "{run}");
    }
}

/// The start of a row in whole seconds.
fn start(row: &str) -> u64 {
    let field = row.split(',').nth(2).unwrap();
    field.strip_suffix(".000000").unwrap_or_else(|| panic!("{field} is not whole")).parse().unwrap()
}

#[test]
fn the_golden_file_is_what_the_program_prints() {
    let program = ours("tests/golden/batch_queue.py");
    let Ok(output) = std::process::Command::new("python3").arg(program).arg(small_swf()).output() else {
        println!("skipped: python3 is absent");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), std::fs::read_to_string(ours(GOLDEN)).unwrap());
}
