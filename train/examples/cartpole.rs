//! Trains on CartPole-v1 and records what came of it: the proof that the learner learns.
//!
//! ```sh
//! cargo run --release -p yardmaster-train --example cartpole -- --preset standard --seeds 5 --out runs/cartpole
//! ```
//!
//! The folder gets a row for each seed, the learning curves as rows and as a picture, and a run folder for each seed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use yardmaster_env::plot::{Axis, Content, Curve, Panel, figure};
use yardmaster_train::clock;
use yardmaster_train::log::Log;
use yardmaster_train::rollout::Acting;
use yardmaster_train::vector::cartpole::{CartPole, MAX_STEPS};
use yardmaster_train::vector::{Config, Trainer, evaluate};

/// Seed of the evaluation episodes; training seeds are small numbers.
const EVALUATION_SEED: u64 = 1 << 40;
/// Points of a learning curve, at most.
const POINTS: u64 = 250;

/// Trains on CartPole-v1.
#[derive(Debug, Parser)]
struct Args {
    /// The settings.
    #[arg(long, value_enum, default_value = "standard")]
    preset: Preset,
    /// Settings that differ from the usual single-file ones, as TOML, instead of a preset; its file name names the folder.
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// Number of training seeds: 1, 2, 3, ...
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Steps to train on, instead of the preset's.
    #[arg(long)]
    steps: Option<u64>,
    /// Episodes that a trained policy is judged on.
    #[arg(long, default_value_t = 100)]
    episodes: u64,
    /// Folder for rows, curves and runs.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// The usual single-file settings: 4 environments x 128 steps, 500,000 steps.
    Standard,
    /// Tuned: 8 environments x 32 steps, 100,000 steps.
    Tuned,
    /// The work on which speeds are compared: 8 environments x 256 steps, minibatches of 64, 10 epochs.
    Matched,
    /// Many environments and large minibatches.
    LargeBatch,
}

impl Preset {
    fn config(self) -> Config {
        match self {
            Self::Standard => Config::standard(),
            Self::Tuned => Config::tuned(),
            Self::Matched => Config::matched(),
            Self::LargeBatch => Config::large_batch(),
        }
    }
}

/// What came of one seed.
struct Outcome {
    seed: u64,
    steps: u64,
    cpu_seconds: f64,
    /// Mean of the last 100 training episodes.
    last: f64,
    /// Returns of fresh episodes: actions drawn, and the best ones.
    drawn: Vec<f64>,
    best: Vec<f64>,
    curve: Vec<(f64, f64)>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (name, mut config) = settings(&args)?;
    config.total_timesteps = args.steps.unwrap_or(config.total_timesteps);
    let folder = args.out.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("config.toml"), toml::to_string(&config)?)?;
    let mut outcomes = Vec::new();
    for seed in 1..=args.seeds {
        let outcome = train(&Config { seed, ..config.clone() }, &folder, args.episodes)?;
        println!("{}", row(&outcome));
        outcomes.push(outcome);
    }
    println!("{}", summary(&outcomes));
    write(&folder, &name, &outcomes)
}

/// The name and the settings of the file, or of the preset.
fn settings(args: &Args) -> Result<(String, Config)> {
    let Some(path) = &args.config else {
        let value = args.preset.to_possible_value();
        return Ok((
            value.map_or_else(String::new, |value| value.get_name().to_owned()),
            args.preset.config(),
        ));
    };
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let config = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
    Ok((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), config))
}

fn train(config: &Config, folder: &Path, episodes: u64) -> Result<Outcome> {
    let run = folder.join(format!("seed-{}", config.seed));
    fs::create_dir_all(&run)?;
    let mut log = Log::open(&run, 0)?;
    let mut trainer = Trainer::new(config.clone(), vec![CartPole::default(); config.num_envs])?;
    let (mut cpu_seconds, mut curve, mut last) = (0.0, Vec::new(), f64::NAN);
    let spacing = config.iterations().div_ceil(POINTS);
    while !trainer.done() {
        let begin = clock::thread_seconds();
        let metrics = trainer.iterate()?;
        cpu_seconds += clock::thread_seconds().zip(begin).map_or(f64::NAN, |(end, begin)| end - begin);
        last = metrics.get("charts/episodic_return").unwrap_or(last);
        if metrics.iteration.is_multiple_of(spacing) || trainer.done() {
            curve.push((metrics.steps as f64, last));
            log.write(&metrics)?;
        }
    }
    let judge = |acting| {
        let (net, weights) = (trainer.net(), &trainer.adam().params);
        evaluate(&mut CartPole::default(), net, weights, acting, (episodes, EVALUATION_SEED))
    };
    let (drawn, best) = (judge(Acting::Sample)?, judge(Acting::Greedy)?);
    Ok(Outcome { seed: config.seed, steps: trainer.steps(), cpu_seconds, last, drawn, best, curve })
}

const HEAD: &str =
    "seed,steps,cpu_seconds,steps_per_cpu_second,last_100_mean,drawn_mean,drawn_min,best_mean,best_min";

fn row(outcome: &Outcome) -> String {
    let Outcome { seed, steps, cpu_seconds, last, drawn, best, .. } = outcome;
    let least = |returns: &[f64]| returns.iter().copied().fold(f64::INFINITY, f64::min);
    format!(
        "{seed},{steps},{cpu_seconds:.2},{:.0},{last:.2},{:.2},{},{:.2},{}",
        *steps as f64 / cpu_seconds,
        mean(drawn),
        least(drawn),
        mean(best),
        least(best)
    )
}

/// Means over seeds with the standard deviation between them.
fn summary(outcomes: &[Outcome]) -> String {
    let over = |number: &dyn Fn(&Outcome) -> f64| {
        let numbers: Vec<f64> = outcomes.iter().map(number).collect();
        let centre = mean(&numbers);
        let squares: f64 = numbers.iter().map(|number| (number - centre).powi(2)).sum();
        format!("{centre:.2} +- {:.2}", (squares / (numbers.len() as f64 - 1.0).max(1.0)).sqrt())
    };
    format!(
        "last 100 training episodes {}, fresh episodes with drawn actions {}, with the best actions {}",
        over(&|outcome| outcome.last),
        over(&|outcome| mean(&outcome.drawn)),
        over(&|outcome| mean(&outcome.best))
    )
}

fn write(folder: &Path, name: &str, outcomes: &[Outcome]) -> Result<()> {
    let lines = outcomes.iter().map(row);
    let rows: Vec<String> = std::iter::once(HEAD.to_owned()).chain(lines).collect();
    fs::write(folder.join("rows.csv"), rows.join("\n") + "\n")?;
    let point = |seed: u64| move |&(steps, value): &(f64, f64)| format!("{seed},{steps},{value:.2}\n");
    let points = outcomes.iter().flat_map(|outcome| outcome.curve.iter().map(point(outcome.seed)));
    let curves: String = std::iter::once("seed,steps,last_100_mean\n".to_owned()).chain(points).collect();
    fs::write(folder.join("curves.csv"), curves)?;
    let curve = |outcome: &Outcome| Curve {
        name: format!("seed {}", outcome.seed),
        points: outcome.curve.clone(),
        colour: (outcome.seed - 1) as usize,
        dotted: false,
    };
    let steps = outcomes.iter().map(|outcome| outcome.steps).max().unwrap_or(1);
    let panel = Panel {
        title: "mean return of the last 100 training episodes".to_owned(),
        x: Axis::linear("steps", 0.0, steps as f64),
        y: Axis::linear("return", 0.0, MAX_STEPS as f64 * 1.02),
        content: Content::Curves(outcomes.iter().map(curve).collect()),
        height: 320,
    };
    let title = format!("CartPole-v1, settings {name}, {} seeds", outcomes.len());
    fs::write(folder.join("curves.svg"), figure(&title, &[panel], &[summary(outcomes)]))?;
    Ok(())
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}
