//! How fast the learners are, in processor time, so that other programs on the machine hardly matter:
//!
//! ```sh
//! cargo run --release -p yardmaster-train --example speed -- --out speed.csv
//! ```
//!
//! On CartPole: the work on which learners are compared, and large batches, one thread each. In a scenario: playing and
//! updating with the settings that training has, on one thread and on two.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use yardmaster_agent::net::Dims;
use yardmaster_train::clock;
use yardmaster_train::log::Metrics;
use yardmaster_train::scheduling::environments;
use yardmaster_train::trainer::Trainer as SchedulingTrainer;
use yardmaster_train::vector::cartpole::CartPole;
use yardmaster_train::vector::{Config, Trainer};

/// Measures the learners.
#[derive(Debug, Parser)]
struct Args {
    /// The scenario of the scheduling learner.
    #[arg(long, default_value = "gpu36")]
    scenario: String,
    /// Repetitions of each case; the median counts.
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// File for the rows, CSV.
    #[arg(long)]
    out: PathBuf,
}

const PARTS: [&str; 4] = ["environment", "forward", "transfer", "learn"];

/// One measurement. The parts are elapsed seconds: on a shared machine their ratios tell, not their sums.
struct Row {
    case: String,
    repetition: usize,
    steps: u64,
    cpu_seconds: f64,
    parts: [f64; 4],
}

impl Row {
    fn rate(&self) -> f64 {
        self.steps as f64 / self.cpu_seconds
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut rows = Vec::new();
    for (case, config) in
        [("cartpole-matched", Config::matched()), ("cartpole-large-batch", Config::large_batch())]
    {
        for repetition in 1..=args.repetitions {
            rows.push(cartpole(case, repetition, &config)?);
        }
        tell(case, &rows, 1);
    }
    for threads in [1, 2] {
        let case = format!("{}-{threads}-threads", args.scenario);
        rows.extend(scheduling(&case, &args, threads)?);
        tell(&case, &rows, 2);
    }
    let lines = rows.iter().map(|row| {
        let [environment, forward, transfer, learn] = row.parts;
        let Row { case, repetition, steps, cpu_seconds, .. } = row;
        format!(
            "{case},{repetition},{steps},{cpu_seconds:.3},{:.0},{environment:.4},{forward:.4},{transfer:.4},{learn:.4}\n",
            row.rate()
        )
    });
    let head = format!("case,repetition,steps,cpu_seconds,steps_per_cpu_second,{}_s\n", PARTS.join("_s,"));
    let text: String = std::iter::once(head).chain(lines).collect();
    fs::write(&args.out, text).with_context(|| format!("cannot write {}", args.out.display()))
}

/// A short training from the start: at least 20 iterations, a tenth of the whole.
fn cartpole(case: &str, repetition: usize, config: &Config) -> Result<Row> {
    let envs = vec![CartPole::default(); config.num_envs];
    let mut trainer = Trainer::new(Config { seed: repetition as u64, ..config.clone() }, envs)?;
    let begin = seconds(clock::thread_seconds())?;
    let mut parts = [0.0; 4];
    for _ in 0..(config.iterations() / 10).max(20) {
        add(&mut parts, &trainer.iterate()?);
    }
    let cpu_seconds = seconds(clock::thread_seconds())? - begin;
    Ok(Row { case: case.to_owned(), repetition, steps: trainer.steps(), cpu_seconds, parts })
}

/// Consecutive iterations after a first one, which sets up what is kept.
fn scheduling(case: &str, args: &Args, threads: usize) -> Result<Vec<Row>> {
    let config = yardmaster_train::config::Config { threads, ..Default::default() };
    let world = environments(&args.scenario, &config)?;
    let mut trainer = SchedulingTrainer::new(config, world.envs, Dims::from(&world.schema), world.future)?;
    trainer.iterate()?;
    let mut measure = |repetition| {
        let (begin, steps) = (seconds(clock::process_seconds())?, trainer.progress().steps);
        let mut parts = [0.0; 4];
        add(&mut parts, &trainer.iterate()?);
        let cpu_seconds = seconds(clock::process_seconds())? - begin;
        let steps = trainer.progress().steps - steps;
        Ok(Row { case: case.to_owned(), repetition, steps, cpu_seconds, parts })
    };
    (1..=args.repetitions).map(&mut measure).collect()
}

fn add(parts: &mut [f64; 4], metrics: &Metrics) {
    for (sum, part) in parts.iter_mut().zip(PARTS) {
        *sum += metrics.get(&format!("performance/{part}_seconds")).unwrap_or(0.0);
    }
}

fn seconds(clock: Option<f64>) -> Result<f64> {
    clock.context("this system does not tell the processor time")
}

/// The median of a case, and what that is on so many cores.
fn tell(case: &str, rows: &[Row], cores: usize) {
    let mut rates: Vec<f64> = rows.iter().filter(|row| row.case == case).map(Row::rate).collect();
    rates.sort_by(f64::total_cmp);
    let median = rates[rates.len() / 2];
    let range = format!("{:.0} to {:.0}", rates[0], rates[rates.len() - 1]);
    println!(
        "{case}: {median:.0} steps per CPU second ({range}); {:.0} a second on {cores} cores",
        median * cores as f64
    );
}
