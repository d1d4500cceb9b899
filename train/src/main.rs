//! The command that trains a policy and exports it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use yardmaster_agent::frozen::{self, Frozen};
use yardmaster_agent::net::Dims;
use yardmaster_env::observe::Schema;
use yardmaster_train::config::Config;
use yardmaster_train::curves::{self, History};
use yardmaster_train::log::{Log, Metrics};
use yardmaster_train::say::say;
use yardmaster_train::scheduling::{Scheduling, World, aimed, benchmark, environments};
use yardmaster_train::trainer::Trainer;
use yardmaster_train::{clock, device, parity, settings, sweep};

/// A teacher copies a simulation for each action that it tries: a sixth of a run's time went into the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The test episodes of a card.
const TEST_EPISODES: u64 = 100;
const TEST_SEED: u64 = 1;
const LAST: &str = "last.safetensors";
const BEST: &str = "best.safetensors";
const SETTINGS: &str = "config.toml";
const CURVES: &str = "curves.svg";

/// Trains scheduling policies.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    train: Option<Train>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Freezes a run's best policy into one file.
    Export {
        /// The run's folder.
        #[arg(long)]
        run: PathBuf,
        /// The file to write, usually *.safetensors.
        #[arg(long)]
        out: PathBuf,
    },
    /// Trains with other settings and seeds, as a file says, and sums up; what has been done is not done again.
    Sweep {
        /// What to run: scenarios, seeds, settings (README.md describes it).
        file: PathBuf,
        /// The folder of the runs and of what came of them.
        #[arg(long)]
        out: PathBuf,
    },
    /// Prints every setting with its usual value, as a file for --config.
    Settings,
}

#[derive(Debug, Args)]
struct Train {
    /// The scenario to train in, or several that take turns: `pool12,mix`; needed unless the settings name it.
    #[arg(long)]
    scenario: Option<String>,
    /// The run's folder.
    #[arg(long)]
    out: PathBuf,
    /// Decisions to train on.
    #[arg(long)]
    steps: Option<u64>,
    /// Seed of everything.
    #[arg(long)]
    seed: Option<u64>,
    /// Environments; each plays one episode an iteration.
    #[arg(long)]
    envs: Option<usize>,
    /// Threads; the result does not depend on them.
    #[arg(long)]
    threads: Option<usize>,
    /// Go on with the run in the folder.
    #[arg(long)]
    resume: bool,
    /// What is to be made small, in place of the scenario's objective, such as completion-time+600*energy.
    #[arg(long)]
    objective: Option<String>,
    /// Settings, as TOML (`yardmaster-train settings` prints all); the options here take precedence.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// What the run's folder says about the run.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    scenario: String,
    command: String,
    revision: String,
    config: Config,
}

fn main() -> ExitCode {
    let result = match Cli::parse() {
        Cli { command: Some(Command::Export { run, out }), .. } => export(&run, &out),
        Cli { command: Some(Command::Sweep { file, out }), .. } => sweep::sweep(&file, &out),
        Cli { command: Some(Command::Settings), .. } => settings::reference().and_then(|text| say(&text)),
        Cli { train: Some(args), .. } => train(&args),
        Cli { .. } => unreachable!("clap asks for --scenario or a subcommand"),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn train(args: &Train) -> Result<()> {
    let config = given(args)?;
    config.check()?;
    device::choose(&config.device)?;
    let names =
        config.scenario.clone().context("where to train? give --scenario, or `scenario` in the settings")?;
    let world = environments(&names, &config)?;
    let mut trainer = start(args, &names, &config, world)?;
    let progress = trainer.progress();
    let mut log = Log::open(&args.out, progress.iteration)?;
    let bar = bar(config.steps);
    let mut cpu_before = 0.0;
    while !trainer.done() {
        let mut metrics = trainer.iterate()?;
        if trainer.validate(&mut metrics)? {
            trainer.save(&args.out.join(BEST))?;
        }
        if let Some(now) = clock::process_seconds() {
            // Validation and, in the first iteration, the start of the program included.
            metrics.push("performance/cpu_seconds", now - cpu_before);
            cpu_before = now;
        }
        log.write(&metrics)?;
        let due = trainer.done() || metrics.iteration.is_multiple_of(config.checkpoint_every);
        if due && trainer.can_save() {
            trainer.save(&args.out.join(LAST))?;
        }
        show(&bar, &metrics);
    }
    bar.finish();
    let title = format!("{names}, seed {}", config.seed);
    let curves = curves::of_run(&title, &History::read(&args.out)?);
    fs::write(args.out.join(CURVES), curves).with_context(|| format!("cannot write the curves of {title}"))
}

/// The settings of the run to resume or of the file, with those of the options.
fn given(args: &Train) -> Result<Config> {
    let mut config = match (&args.config, args.resume) {
        (Some(path), _) => toml::from_str(&read(path)?).with_context(|| format!("in {}", path.display()))?,
        (None, true) => run(&args.out)?.config,
        (None, false) => Config::default(),
    };
    config.scenario = args.scenario.clone().or(config.scenario);
    config.steps = args.steps.unwrap_or(config.steps);
    config.seed = args.seed.unwrap_or(config.seed);
    config.envs = args.envs.unwrap_or(config.envs);
    config.threads = args.threads.unwrap_or(config.threads);
    config.objective = args.objective.clone().or(config.objective);
    Ok(config)
}

fn start(args: &Train, names: &str, config: &Config, world: World) -> Result<Trainer<Scheduling>> {
    let (about, last) = (args.out.join(SETTINGS), args.out.join(LAST));
    if args.resume {
        let scenario = run(&args.out)?.scenario;
        ensure!(scenario == names, "the run in {} is in scenario `{scenario}`", args.out.display());
    } else {
        ensure!(!about.exists(), "{} holds a run: --resume goes on with it", args.out.display());
    }
    // A run that was stopped while the teacher was asked has saved nothing: it begins again, and is told the same.
    let trainer = if last.exists() {
        Trainer::resume(config, world.envs, &last)?
    } else {
        let mut trainer = Trainer::new(config.clone(), world.envs, Dims::from(&world.schema), world.future)?;
        if let Some(file) = &config.start {
            begin_with(&mut trainer, Path::new(file)).with_context(|| format!("start = \"{file}\""))?;
        }
        trainer
    };
    if !args.resume {
        fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
        let run = Run {
            scenario: names.to_owned(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            revision: revision(),
            config: config.clone(),
        };
        fs::write(&about, toml::to_string(&run)?)?;
    }
    Ok(trainer.with_validation(world.validate))
}

/// Gives a new run the weights of a frozen policy.
fn begin_with(trainer: &mut Trainer<Scheduling>, file: &Path) -> Result<()> {
    let frozen = frozen::load(file)?.reading(&Schema::current())?;
    trainer.start_from(frozen.net())
}

fn export(folder: &Path, out: &Path) -> Result<()> {
    let run = run(folder)?;
    // Before the test episodes are played, which takes minutes for many scenarios.
    let parent = out.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    // Nobody teaches any more.
    let alone = Config { tutors: Vec::new(), tutor: 0, ..run.config.clone() };
    let world = environments(&run.scenario, &alone)?;
    let best = folder.join(BEST);
    let path = if best.exists() { best } else { folder.join(LAST) };
    let trainer = Trainer::resume(&run.config, world.envs, &path)?;
    let mut origin = world.origin;
    (origin.command, origin.revision) = (run.command, run.revision);
    (origin.seed, origin.steps) = (run.config.seed, trainer.progress().steps);
    let net = trainer.policy()?;
    let scenarios = aimed(&run.scenario, &run.config)?;
    origin.benchmark = benchmark(&scenarios, &net, &origin.prior, TEST_EPISODES, TEST_SEED)?;
    origin.benchmark["training_cpu_s"] = History::read(folder)?.cpu_s().into();
    let frozen = parity::export(out, &trainer.learner().settled(), net, origin, &world.states)?;
    let steps = frozen.card().origin.steps;
    let made = format!("{}: {steps} decisions of training, from {}\n", out.display(), path.display());
    say(&(made + &worth(&frozen)))
}

/// How the policy stands against each rule, a line each.
fn worth(frozen: &Frozen) -> String {
    let origin = &frozen.card().origin;
    let worths = origin.benchmarks().into_iter();
    let ratios = worths.filter_map(|(scenario, worth)| Some((scenario, worth["ratio_to"].as_object()?)));
    let each = ratios.flat_map(|(scenario, ratios)| ratios.iter().map(move |ratio| (scenario, ratio)));
    let line = |(scenario, (rule, ratio)): (&str, (&String, &serde_json::Value))| {
        let [low, high] = [0, 1].map(|end| ratio["ci95"][end].as_f64().unwrap_or(f64::NAN));
        let value = ratio["ratio"].as_f64().unwrap_or(f64::NAN);
        let verdict = match (high < 1.0, low > 1.0) {
            (true, _) => "better",
            (_, true) => "WORSE",
            _ => "not separated",
        };
        format!("  {scenario}: policy / {rule}: {value:.4} [{low:.4}, {high:.4}] {verdict}\n")
    };
    each.map(line).collect()
}

fn run(folder: &Path) -> Result<Run> {
    let path = folder.join(SETTINGS);
    toml::from_str(&read(&path)?).with_context(|| format!("in {}", path.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The git revision of the folder that the command runs in.
fn revision() -> String {
    let output = Process::new("git").args(["describe", "--always", "--dirty", "--abbrev=40"]).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or("unknown".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}

fn bar(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} decisions {eta} {msg}");
    ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, metrics: &Metrics) {
    let number = |name| metrics.get(name).unwrap_or(f64::NAN);
    bar.set_position(metrics.steps);
    bar.set_message(format!(
        "score {:.4} entropy {:.3} SPS {:.0}",
        number("charts/score"),
        number("losses/entropy"),
        number("charts/SPS")
    ));
}
