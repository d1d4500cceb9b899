//! Time slices against Gavel's published simulator, job for job.

use std::sync::Arc;

use yardmaster_agent::policy::play;
use yardmaster_agent::registry;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::metrics::Metrics;
use yardmaster_env::objective::Objective;
use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::trace::gavel::GavelInput;
use yardmaster_env::view::Discipline;

use crate::support::shared_data;

/// The reference was computed in floating point; ours is rounded to a nanosecond once a round.
const TOLERANCE_S: f64 = 1e-5;

fn text(file: &str) -> Option<String> {
    shared_data(&format!("gavel/{file}")).map(|path| std::fs::read_to_string(path).unwrap())
}

fn simulate(workload: &str, policy: &str) -> Option<Simulator> {
    let name = format!("{workload}.input.json");
    let input = GavelInput::parse(&text(&name)?, &name).unwrap();
    let speeds = text(input.throughputs_file())?;
    let catalog = Catalog::builtin();
    let trace = input.with_throughputs(&speeds, input.throughputs_file(), catalog).unwrap();
    let (discipline, objective) = (Discipline::Rounds, Objective::CompletionTime);
    let world = World::new(catalog, trace.cluster, trace.workload, discipline, objective, None).unwrap();
    let world = world.with_rounds(trace.rounds).unwrap();
    Some(play(&Arc::new(world), &mut *registry::build(policy).unwrap(), 0).unwrap())
}

/// Job number and completion time in seconds.
fn reference(workload: &str, policy: &str) -> Option<Vec<(u64, f64)>> {
    let rows = text(&format!("{workload}.{policy}.jct.csv"))?;
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[0].parse().unwrap(), cells[2].parse().unwrap())
    };
    Some(rows.lines().skip(1).map(row).collect())
}

/// Plays the workload and compares each completion with the published one.
fn check(workload: &str, published: &str, policy: &str) {
    let (Some(sim), Some(expected)) = (simulate(workload, policy), reference(workload, published)) else {
        return;
    };
    let jobs = &sim.world().workload.jobs;
    assert_eq!(expected.len(), jobs.len(), "{workload}");
    let mut largest: f64 = 0.0;
    for (label, finish_s) in expected {
        let at = jobs.iter().position(|job| job.label == label).unwrap();
        let difference = (sim.records()[at].finish.as_secs_f64() - finish_s).abs();
        assert!(difference <= TOLERANCE_S, "{workload} {policy}: job {label} is off by {difference} s");
        largest = largest.max(difference);
    }
    println!("{workload} {policy}: {} jobs, largest difference {largest:.1e} s", jobs.len());
    aggregates(workload, published, &Metrics::of(&sim));
}

/// Mean completion time, makespan and utilization as published.
fn aggregates(workload: &str, published: &str, metrics: &Metrics) {
    let Some(rows) = text("results.csv") else { return };
    let mut lines = rows.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let row = lines.find(|row| (row[0], row[1]) == (workload, published)).unwrap();
    let value = |name: &str| -> f64 {
        let column = header.iter().position(|column| *column == name).unwrap();
        row[column].parse().unwrap()
    };
    let close = |ours: f64, theirs: f64, what: &str| {
        assert!((ours - theirs).abs() <= 1e-9 * theirs, "{workload}: {what} {ours} instead of {theirs}");
    };
    close(metrics.mean_jct_s, value("avg_jct_s"), "mean completion time");
    close(metrics.makespan_s, 3600.0 * value("makespan_h"), "makespan");
    close(metrics.utilization, value("utilization"), "utilization");
}

#[test]
fn fifo_on_one_kind_is_reproduced() {
    check("homog36_v100_single200", "fifo", "fifo");
    // With one kind there is no faster one.
    check("homog36_v100_single200", "fifo", "fifo-perf");
}

#[test]
fn fifo_perf_on_three_kinds_is_reproduced() {
    check("cont36_single300", "fifo_perf", "fifo-perf");
}

#[test]
fn fifo_perf_with_gangs_is_reproduced() {
    check("phys48_makespan100", "fifo_perf", "fifo-perf");
}
