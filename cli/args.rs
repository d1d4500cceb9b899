//! The command line.

mod live;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use yardmaster_agent::explain::gain::Tail;
use yardmaster_env::aim::Aim;
use yardmaster_env::view::Discipline;

use crate::gateway::args::{Backend, Gateway, LiveCompare, LoadInfer, Profile};
pub(crate) use live::{Load, Replay, Serve};

/// Adaptive scheduling of neural-network jobs on heterogeneous clusters.
#[derive(Debug, Parser)]
#[command(name = "yardmaster", version, about, propagate_version = true)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the built-in scenarios
    Scenarios,
    /// List the policies and the rules they are composed of
    Policies,
    /// Run one policy through one episode or trace
    Simulate(Simulate),
    /// Compare policies on the same held-out episodes, or measure the speed of deciding
    Bench(Bench),
    /// Choose the parameters of rules on validation episodes
    Tune(Tune),
    /// Judge frozen policies on test episodes and write the table of a README
    Results(Results),
    /// Explain a decision of a frozen policy, or where it differs from a rule and what it gains there
    Explain(Explain),
    /// Describe a trace, a scenario, a frozen policy or the catalogue
    Inspect(Inspect),
    /// Translate a frozen policy for other runtimes (`yardmaster-train export` is what freezes one)
    Export(Export),
    /// Place pods for good and measure how much of the GPUs they can use
    Pack(Pack),
    /// Solve a static allocation: who gets how much of what, which node, which path
    Allocate(Allocate),
    /// Stand in front of inference back ends and let a policy batch and place requests
    Gateway(Gateway),
    /// Measure how long back ends take for batches and write a scenario with these speeds
    Profile(Profile),
    /// Send the requests of an episode to a server when they are due, and measure its answers
    LoadInfer(LoadInfer),
    /// Run policies live and in the simulator on the same arrivals, and compare
    LiveCompare(LiveCompare),
    /// Serve ONNX models as a back end (needs yardmaster-backend beside this command)
    #[command(disable_help_flag = true)]
    Backend(Backend),
    /// Let a policy place the held jobs of a Slurm partition
    Slurm(Slurm),
    /// Let a policy decide for a running system: a service that takes states and gives decisions
    Serve(Serve),
    /// Ask another policy about everything that an audit log holds
    Replay(Replay),
    /// Put load on a decision service and measure how long it takes to answer
    Load(Load),
    /// Train a policy (needs yardmaster-train beside this command)
    #[command(disable_help_flag = true)]
    Train(Train),
}

/// Run one policy through one episode or trace
#[derive(Debug, ClapArgs)]
pub(crate) struct Simulate {
    /// Scenario: a built-in name or a TOML file
    #[arg(long, value_name = "NAME|FILE.toml", required_unless_present = "trace", conflicts_with = "trace")]
    pub(crate) scenario: Option<String>,
    /// Trace: .swf, .csv (Philly, openb, Azure LLM or our own), .jsonl or .json (a Gavel input); .gz is unpacked
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Cluster for a .csv or .jsonl trace: that of this scenario, or an openb node list
    #[arg(long, value_name = "NAME|FILE.toml|FILE.csv", requires = "trace")]
    pub(crate) cluster: Option<String>,
    /// Policy, such as mct or sjf+wrr+largest (see `yardmaster policies`)
    #[arg(long, value_name = "NAME", required_unless_present = "checkpoint", conflicts_with = "checkpoint")]
    pub(crate) policy: Option<String>,
    /// Frozen policy
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Episode to generate, and every random choice of the policy
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Leave out the jobs before this one (counted from 0)
    #[arg(long, value_name = "I", default_value_t = 0)]
    pub(crate) first: usize,
    /// Take this many jobs
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// How decisions are carried out [default: the scenario's, or free]
    #[arg(long, value_enum)]
    pub(crate) queue: Option<Queue>,
    /// Write the measures as JSON (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Write every job's start and finish
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) starts: Option<PathBuf>,
    /// Draw the schedule (- for text on standard output)
    #[arg(long, value_name = "FILE.svg|-")]
    pub(crate) gantt: Option<PathBuf>,
}

/// How decisions are carried out.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Queue {
    /// Start anything that fits, or wait
    Free,
    /// The chosen job is next, however long it has to wait
    Commit,
    /// As commit; jobs that should end before it can start may overtake
    CommitBackfill,
    /// Time slices: what starts waits again after one quantum
    Rounds,
}

impl From<Queue> for Discipline {
    fn from(queue: Queue) -> Discipline {
        match queue {
            Queue::Free => Discipline::Free,
            Queue::Commit => Discipline::Commit,
            Queue::CommitBackfill => Discipline::CommitBackfill,
            Queue::Rounds => Discipline::Rounds,
        }
    }
}

/// Compare policies on the same held-out episodes, or measure the speed of deciding
#[derive(Debug, ClapArgs)]
pub(crate) struct Bench {
    /// Scenarios, separated by commas: built-in names, TOML files, or all
    #[arg(long, value_name = "NAME", value_delimiter = ',', required_unless_present_any = ["speed", "trace"])]
    pub(crate) scenario: Vec<String>,
    /// A trace of your own in place of a scenario, as for simulate; with --speed a batch queue (.swf)
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    pub(crate) trace: Option<PathBuf>,
    /// Cluster for a trace that names none: that of this scenario, or an openb node list
    #[arg(long, value_name = "NAME|FILE.toml|FILE.csv", requires = "trace", conflicts_with_all = ["speed", "scenario"])]
    pub(crate) cluster: Option<String>,
    /// With --trace: an episode is a window of so many jobs in a row, without overlap [default: one of all jobs]
    #[arg(long, value_name = "N", requires = "trace", conflicts_with_all = ["speed", "scenario"])]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// With --jobs: the windows begin at these jobs, counted from 0, and may overlap, as in published protocols
    #[arg(long, value_name = "N", value_delimiter = ',', requires = "jobs", conflicts_with = "episodes")]
    pub(crate) starts: Vec<usize>,
    /// With --trace: how decisions are carried out [default: free]
    #[arg(long, value_enum, requires = "trace", conflicts_with_all = ["speed", "scenario"])]
    pub(crate) queue: Option<Queue>,
    /// What is to be made small, in place of the scenario's objective: completion-time, slowdown(floor_s=10),
    /// misses(latency=0.05), shared(latency=0.05,scale_s=3600), energy or cost, and for a mix +600*energy (kWh) or +2*cost (US
    /// dollars) [default: the scenario's; of a trace completion-time]
    #[arg(long, value_name = "a+k*b", conflicts_with = "speed")]
    pub(crate) objective: Option<Aim>,
    /// Policies, separated by commas; all stands for every rule that differs there
    #[arg(long, value_name = "a,b,c|all", default_value = "all")]
    pub(crate) policies: String,
    /// Frozen policies to compare with them
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Parameters that rules play with, from `tune`: files, each for one of the scenarios, or none [default: those that
    /// come with the command]
    #[arg(long, value_name = "FILE|none", value_delimiter = ',', conflicts_with_all = ["speed", "trace"])]
    pub(crate) tuned: Vec<PathBuf>,
    /// Test episodes; a single one allows no interval [default: 100, or as many windows as the trace has]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) episodes: Option<u64>,
    /// Which test episodes; any number gives others, never those of training or validation
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Further columns of the tables, separated by commas, as they are called in the JSON: energy_kwh, dollars,
    /// jain_users_slowdown ...
    #[arg(long, value_name = "a,b,c", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Write the results as JSON (- for standard output); an interrupted run goes on from FILE.partial
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Write the tables as Markdown (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write a row for each policy and episode (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) csv: Option<PathBuf>,
    /// Write a report with pictures: one page that needs no network (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) html: Option<PathBuf>,
    /// Measure how many decisions a second this machine makes instead; with --checkpoint, with these policies
    #[arg(long, conflicts_with_all = ["scenario", "episodes", "markdown", "csv", "html", "columns"])]
    pub(crate) speed: bool,
    /// With --speed: measure each case so often and take the median
    #[arg(long, value_name = "N", default_value = "9", value_parser = repetitions)]
    pub(crate) repetitions: usize,
}

/// Choose the parameters of rules on validation episodes, which are never those of `bench`
///
/// All combinations where there are at most 64, else one parameter after the other; the worse half of the candidates is
/// dropped before more episodes are spent on the rest. What is best then plays as many other episodes, and is taken only if it
/// is better there than the rule as it was, by a paired 95 % interval. Parameters that a name gives, as in `timeout(ms=2)`, stay.
#[derive(Debug, ClapArgs)]
pub(crate) struct Tune {
    /// Scenario: a built-in name or a TOML file; or several with commas between, for one tuning that is to suit them all
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub(crate) scenario: String,
    /// Policies, separated by commas, or all that have parameters
    #[arg(long, value_name = "a,b,c|all", default_value = "all")]
    pub(crate) policies: String,
    /// Validation episodes to choose on; as many others confirm
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    pub(crate) episodes: u64,
    /// Which validation episodes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write what was chosen, for `bench --tuned` (- for standard output)
    #[arg(long, value_name = "FILE.toml|-")]
    pub(crate) out: PathBuf,
}

/// Judge frozen policies on test episodes and write the table of a README
///
/// Each policy plays in the scenarios that its card names (on their own number of nodes, where it names others too), against fcfs, sjf, wrr and the best rule of the scenario, which
/// is chosen on validation episodes among all rules with tuned parameters. An interrupted run goes on from OUT.partial.
#[derive(Debug, ClapArgs)]
pub(crate) struct Results {
    /// Frozen policies
    #[arg(value_name = "FILE.safetensors", required = true)]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// A Markdown file whose part between `<!-- table` and `<!-- end of table -->` is written anew
    #[arg(long, value_name = "FILE.md")]
    pub(crate) out: PathBuf,
    /// Put the rows into this folder, as test.json.gz and validation.json.gz, and the table as table.md
    #[arg(long, value_name = "DIR")]
    pub(crate) rows: Option<PathBuf>,
    /// Another Markdown file with such a part, for a table with a row for each scenario that has a policy of its own
    #[arg(long, value_name = "FILE.md")]
    pub(crate) summary: Option<PathBuf>,
    /// Draw the ratios to the best rules with their intervals
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) svg: Option<PathBuf>,
    /// Where policies play whose card names no scenario: built-in names or TOML files, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) scenarios: Vec<String>,
    /// Rows of `bench --json` with look-ahead on the same test episodes, perhaps .gz, to be compared with
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) search: Vec<PathBuf>,
    /// Test episodes
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    pub(crate) episodes: u64,
    /// Validation episodes that the best rule is chosen on
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    pub(crate) validation: u64,
    /// Which test and validation episodes
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Explain a decision of a frozen policy, or where it differs from a rule and what it gains there
///
/// With --decision: the candidates with their probabilities, what each feature adds to them, what rules would have done,
/// and the state of the cluster. Without: how often the policy differs from the rule, in what, and what that gains,
/// measured at a sample of such decisions: both are taken, and the same tail goes on to the end of the episode as it
/// truly comes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Explain {
    /// Frozen policy
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: PathBuf,
    /// Scenario: a built-in name or a TOML file
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub(crate) scenario: String,
    /// Which test episodes, as for bench
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// With --decision: number of the episode, counted from 0; the first is that of simulate
    #[arg(long, value_name = "N", default_value_t = 0, requires = "decision")]
    pub(crate) episode: u64,
    /// Explain this decision of the policy in that episode, counted from 0
    #[arg(long, value_name = "K")]
    pub(crate) decision: Option<usize>,
    /// Test episodes to be compared in [default: 20]
    #[arg(long, value_name = "N", conflicts_with = "decision", value_parser = clap::value_parser!(u64).range(2..=100_000))]
    pub(crate) episodes: Option<u64>,
    /// The rule to compare with [default: the best in validation of those tuned for the scenario]
    #[arg(long, value_name = "NAME")]
    pub(crate) rule: Option<String>,
    /// Decisions to measure of each kind of difference, at most [default: 500]
    #[arg(long, value_name = "N", conflicts_with = "decision", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) samples: Option<u64>,
    /// Who goes on after a decision that is measured [default: rule, with which the gains add up to the whole]
    #[arg(long, value_enum, conflicts_with = "decision")]
    pub(crate) tail: Option<GoesOn>,
    /// With --decision: candidates and features to show; JSON has all of them [default: 8]
    #[arg(long, value_name = "N", requires = "decision", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) top: Option<u64>,
    /// Write everything as JSON (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Write the text as Markdown (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) markdown: Option<PathBuf>,
}

/// Who goes on after a decision that is measured.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum GoesOn {
    /// The rule
    #[default]
    Rule,
    /// The policy
    Policy,
}

impl From<GoesOn> for Tail {
    fn from(tail: GoesOn) -> Tail {
        match tail {
            GoesOn::Rule => Tail::Rule,
            GoesOn::Policy => Tail::Policy,
        }
    }
}

fn repetitions(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| "give a whole number from 1 to 1000".to_owned())
}

/// Describe a trace, a scenario, a frozen policy or the catalogue
#[derive(Debug, ClapArgs)]
pub(crate) struct Inspect {
    /// A trace or node list (.swf, .csv, .jsonl, .json, perhaps .gz), a scenario (.toml or built-in name), a frozen
    /// policy (.safetensors), or `catalog`: devices, models and their speeds
    #[arg(value_name = "FILE|catalog")]
    pub(crate) what: PathBuf,
    /// Cluster for a .csv or .jsonl trace: that of this scenario, or an openb node list
    #[arg(long, value_name = "NAME|FILE.toml|FILE.csv")]
    pub(crate) cluster: Option<String>,
    /// Write the catalogue as JSON (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Draw the arrivals and sizes of the jobs
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) svg: Option<PathBuf>,
}

/// Translate a frozen policy for other runtimes
///
/// The frozen file stays what a deployment loads: it alone has the golden outputs that are checked. To freeze the best
/// checkpoint of a training run is another command, `yardmaster-train export --run DIR --out FILE.safetensors`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// The frozen policy
    #[arg(value_name = "FILE.safetensors")]
    pub(crate) policy: PathBuf,
    /// What to translate it to
    #[arg(long, value_enum)]
    pub(crate) format: ExportFormat,
    /// The file to write (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) out: PathBuf,
}

/// What a frozen policy can be translated to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// ONNX, for onnxruntime and others: batches of decisions, masks as inputs, the card in metadata_props
    Onnx,
}

/// Place pods for good and measure how much of the GPUs they can use
///
/// Pods arrive in random order until they ask for the given share of the cluster's GPUs, as in the experiment of "Beware
/// of Fragmentation" (USENIX ATC 2023).
#[derive(Debug, ClapArgs)]
pub(crate) struct Pack {
    /// openb node list
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) nodes: PathBuf,
    /// openb pod list
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) pods: PathBuf,
    /// Rules, separated by commas, or all: random, dot-product, gpu-clustering, gpu-packing, best-fit, fgd
    #[arg(long, value_name = "a,b,c|all", default_value = "all")]
    pub(crate) policy: String,
    /// Runs of each rule
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// Seed of the first run; the others follow
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub(crate) seed: u64,
    /// How much arrives, in percent of the cluster's GPUs
    #[arg(long, value_name = "PERCENT", default_value_t = 130, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) demand: u16,
    /// Published curves (analysis_allo_discrete.csv) to compare with; rows of the pod list's name are taken
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) published: Option<PathBuf>,
    /// Write every run as JSON (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Write the table as Markdown (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) markdown: Option<PathBuf>,
    /// Draw the curves
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) svg: Option<PathBuf>,
}

/// Solve a static allocation: who gets how much of what, which node, which path
///
/// The file says what there is, what is wanted and what is to be made small or large; README.md describes it, and
/// docs/allocate has examples.
#[derive(Debug, ClapArgs)]
pub(crate) struct Allocate {
    /// The question
    #[arg(value_name = "FILE.toml")]
    pub(crate) file: PathBuf,
    /// Write the answer as JSON (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
}

/// Let a policy place the held jobs of a Slurm partition
///
/// Reads squeue --json and sinfo --json, decides, and releases jobs on the nodes that the policy chose. Only jobs that are
/// held and whose comment has the mark (`sbatch -H --comment=yardmaster`) are touched; docs/slurm.md is the guide.
#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("decides").required(true).args(["policy", "checkpoint"])))]
pub(crate) struct Slurm {
    /// Frozen policy
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Rule, such as mct or sjf (see `yardmaster policies`)
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// Partition whose held jobs are placed
    #[arg(long, value_name = "NAME")]
    pub(crate) partition: String,
    /// Time between two looks at Slurm
    #[arg(long, value_name = "2s|500ms", default_value = "2s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Do nothing while this file exists
    #[arg(long, value_name = "FILE")]
    pub(crate) disable_file: Option<PathBuf>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Look once and end; fails if Slurm cannot be reached
    #[arg(long)]
    pub(crate) once: bool,
    /// What to know of the site: types of GPUs, marks, run times
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
}

/// A span from 10 milliseconds to an hour.
fn interval(text: &str) -> Result<Duration, String> {
    let seconds = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(millis), _) => millis.parse::<f64>().map(|millis| millis / 1e3),
        (None, Some(seconds)) => seconds.parse(),
        (None, None) => text.parse(),
    };
    let seconds = seconds.ok().filter(|seconds| (0.01..=3600.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "give a time from 10ms to 3600s, such as 2s".to_owned())
}

/// Train a policy
#[derive(Debug, ClapArgs)]
pub(crate) struct Train {
    /// Arguments for yardmaster-train
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<std::ffi::OsString>,
}
