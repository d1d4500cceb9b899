//! `yardmaster bench --speed`: how fast this build decides on this machine.

use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use yardmaster_agent::learned::Learned;
use yardmaster_agent::policy::{Policy, play};
use yardmaster_agent::registry;
use yardmaster_agent::speed::{
    NODES, QUEUED, RULES, batch_queue, crowded_moments, network, play_observed, stream_of_jobs,
};
use yardmaster_env::catalog::Catalog;
use yardmaster_env::objective::Objective;
use yardmaster_env::observe::Observer;
use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::view::Discipline;

use crate::args::Bench;
use crate::bench::field::learned_name;
use crate::input;
use crate::output::Output;

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    machine: String,
    clock: &'static str,
    repetitions: usize,
    rows: Vec<Row>,
}

/// One case.
#[derive(Serialize)]
struct Row {
    case: String,
    /// Median over the repetitions, in nanoseconds for one decision.
    ns_per_decision: f64,
    decisions_per_s: f64,
    /// At most so many nanoseconds are the goal, if there is one.
    goal_ns: Option<f64>,
    /// Of each repetition, in nanoseconds for one decision.
    all_ns: Vec<f64>,
}

/// Measures every case and prints a table.
pub(crate) fn run(args: &Bench) -> Result<()> {
    let [json] = Output::all([("--json", args.json.as_deref())])?;
    let mut policies = policies(&args.checkpoint)?;
    let mut bench = Speed { repetitions: args.repetitions, rows: Vec::new() };
    bench.rules(args.trace.as_deref())?;
    bench.moments(&mut policies)?;
    bench.scaling()?;
    let clock = if cpu_ns().is_some() { "CPU time of the thread" } else { "elapsed time" };
    let report = Report { machine: machine(), clock, repetitions: args.repetitions, rows: bench.rows };
    if !json.as_ref().is_some_and(Output::is_stdout) {
        Output::Stdout.write(text(&report))?;
    }
    match json {
        Some(json) => json.write(&(serde_json::to_string_pretty(&report)? + "\n")),
        None => Ok(()),
    }
}

/// The frozen ones of these files, or one of the usual size.
fn policies(checkpoints: &[PathBuf]) -> Result<Vec<Learned>> {
    if checkpoints.is_empty() {
        return Ok(vec![Learned::new("network", Arc::new(network()?), "mct")?]);
    }
    let load = |path: &PathBuf| {
        let refused = || format!("{} is not a usable frozen policy", path.display());
        Learned::from_frozen(learned_name(path), &input::policy(path)?).with_context(refused)
    };
    checkpoints.iter().map(load).collect()
}

struct Speed {
    repetitions: usize,
    rows: Vec<Row>,
}

impl Speed {
    /// A batch queue with a rule.
    fn rules(&mut self, trace: Option<&Path>) -> Result<()> {
        for (queue, discipline) in [("commit", Discipline::Commit), ("free", Discipline::Free)] {
            let world = match trace {
                Some(path) => recorded(path, discipline)?,
                None => batch_queue(10_000, discipline)?,
            };
            for rule in RULES {
                let mut policy = registry::build(rule)?;
                self.measure(&format!("batch queue, {queue}, {rule}"), Some(1e3), || {
                    Ok(play(&world, &mut *policy, 0)?.decisions())
                })?;
            }
        }
        Ok(())
    }

    /// Observation and these policies in fixed crowded moments.
    fn moments(&mut self, policies: &mut [Learned]) -> Result<()> {
        for nodes in [36].into_iter().chain(NODES) {
            let moments = crowded_moments(nodes)?;
            let mut observer = Observer::default();
            let goal = (nodes == 36).then_some(1e4);
            self.measure(&format!("observe, {QUEUED} queued, {nodes} nodes"), goal, || {
                Ok(each(&moments, |moment| _ = black_box(observer.observe(&moment.view(), None))))
            })?;
            let goal = [(36, 5e4), (4096, 1e6)].into_iter().find(|goal| goal.0 == nodes).map(|goal| goal.1);
            for policy in &mut *policies {
                let case = format!("{} decision, {QUEUED} queued, {nodes} nodes", policy.name());
                self.measure(&case, goal, || {
                    Ok(each(&moments, |moment| _ = black_box(policy.decide(&moment.view()))))
                })?;
            }
        }
        Ok(())
    }

    /// Whole episodes on growing clusters.
    fn scaling(&mut self) -> Result<()> {
        let mut smallest = [None; 2];
        for nodes in NODES {
            let world = stream_of_jobs(nodes)?;
            let mut policy = registry::build("mct")?;
            // The goal is to grow no faster than n log n.
            let factor = n_log_n(nodes) / n_log_n(NODES[0]);
            let goal = smallest[0].map(|ns: f64| ns * factor);
            let rule = self.measure(&format!("play mct, {nodes} nodes"), goal, || {
                Ok(play(&world, &mut *policy, 0)?.decisions())
            })?;
            let goal = smallest[1].map(|ns: f64| ns * factor);
            let observed = self.measure(&format!("play mct, observed, {nodes} nodes"), goal, || {
                Ok(play_observed(&world, &mut *policy)?)
            })?;
            smallest = [smallest[0].or(Some(rule)), smallest[1].or(Some(observed))];
        }
        Ok(())
    }

    /// Times `case`, which says how many decisions it made, after one round that warms it up. Gives the median.
    fn measure(
        &mut self,
        case: &str,
        goal_ns: Option<f64>,
        mut run: impl FnMut() -> Result<u64>,
    ) -> Result<f64> {
        // Rounds of this length, so that the grain of the clock of CPU time (some milliseconds) does not show.
        const ROUND_NS: f64 = 1e8;
        let begin = Instant::now();
        let decisions = run()?;
        let warm_up = begin.elapsed().as_nanos() as f64;
        let rounds = (ROUND_NS / warm_up.max(1.0)).ceil().clamp(1.0, 1e5) as u64;
        let mut all_ns = Vec::new();
        for _ in 0..self.repetitions {
            let mut many = || (0..rounds).try_fold(0, |sum, _| run().map(|decisions| sum + decisions));
            let (ns, decisions) = timed(&mut many)?;
            all_ns.push(ns / decisions.max(1) as f64);
        }
        debug_assert!(decisions > 0, "{case} decides nothing");
        let mut sorted = all_ns.clone();
        sorted.sort_by(f64::total_cmp);
        let ns_per_decision = sorted[sorted.len() / 2];
        let decisions_per_s = 1e9 / ns_per_decision;
        self.rows.push(Row { case: case.to_owned(), ns_per_decision, decisions_per_s, goal_ns, all_ns });
        Ok(ns_per_decision)
    }
}

fn recorded(path: &Path, discipline: Discipline) -> Result<Arc<World>> {
    let trace = input::trace(path, None)?;
    let objective = Objective::CompletionTime;
    let cluster =
        trace.cluster.with_context(|| format!("{} does not say which machines it ran on", path.display()))?;
    let world = World::new(Catalog::builtin(), cluster, trace.workload, discipline, objective, None)?;
    Ok(Arc::new(world))
}

fn each(moments: &[Simulator], measured: impl FnMut(&Simulator)) -> u64 {
    moments.iter().for_each(measured);
    moments.len() as u64
}

fn n_log_n(nodes: usize) -> f64 {
    nodes as f64 * (nodes as f64).ln()
}

/// Nanoseconds that `run` takes, and what it gives.
fn timed(run: &mut impl FnMut() -> Result<u64>) -> Result<(f64, u64)> {
    let (begin, cpu) = (Instant::now(), cpu_ns());
    let decisions = run()?;
    let elapsed = begin.elapsed().as_nanos() as f64;
    let busy = cpu.zip(cpu_ns()).map(|(before, after)| (after - before) as f64);
    Ok((busy.filter(|busy| *busy > 0.0).unwrap_or(elapsed), decisions))
}

/// Time that this thread has run, where the system tells: other programs then disturb less.
fn cpu_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The processor in one line.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let name = name.map_or("unknown processor", |(_, name)| name);
    format!("{name}, {cores} cores, {} {}", std::env::consts::OS, std::env::consts::ARCH)
}

fn text(report: &Report) -> String {
    let mut table = Table::new();
    let header = ["case", "median per decision", "decisions per second", "goal", "reached"];
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
    for row in &report.rows {
        let goal = row.goal_ns.map_or("-".to_owned(), |ns| format!("{:.3} us", ns / 1e3));
        let reached = row.goal_ns.map_or("-", |goal| if row.ns_per_decision <= goal { "yes" } else { "no" });
        table.add_row([
            row.case.clone(),
            format!("{:.3} us", row.ns_per_decision / 1e3),
            format!("{:.0}", row.decisions_per_s),
            goal,
            reached.to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{}\n{}, median of {}\n", report.machine, report.clock, report.repetitions);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{table}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_policy_is_measured_under_its_own_name() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pool12.safetensors");
        let mut policies = policies(&[file]).unwrap();
        let mut bench = Speed { repetitions: 1, rows: Vec::new() };
        bench.moments(&mut policies).unwrap();
        let cases: Vec<&str> = bench.rows.iter().map(|row| row.case.as_str()).collect();
        for nodes in [36].into_iter().chain(NODES) {
            let case = format!("pool12 decision, {QUEUED} queued, {nodes} nodes");
            let row = bench.rows.iter().find(|row| row.case == case);
            let row = row.unwrap_or_else(|| panic!("no {case} in {cases:?}"));
            assert!(row.ns_per_decision > 0.0 && row.all_ns.len() == 1);
        }
    }
}
