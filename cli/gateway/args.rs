//! Arguments of the gateway and of what measures it.

use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs};

/// Stand in front of inference back ends and let a policy batch and place requests
///
/// Speaks the Open Inference Protocol v2 on both sides (docs/gateway.md). A request may say x-deadline-ms in its header.
#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("decides").required(true).args(["policy", "checkpoint"])))]
pub(crate) struct Gateway {
    /// What it stands in front of; `profile --gateway` writes one
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: PathBuf,
    /// Policy, such as mct or fcfs+timeout(ms=5) (see `yardmaster policies`)
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// Frozen policy
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// The rule that decides where the policy fails
    #[arg(long, value_name = "NAME", default_value = "mct")]
    pub(crate) fallback: String,
    /// Where to listen, in place of what the configuration says; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Listen where others than this machine can reach it, though it asks nobody who he is
    #[arg(long)]
    pub(crate) expose: bool,
}

/// Measure how long back ends take for batches and write a scenario with these speeds
///
/// `simulate`, `bench`, `tune` and `train` take it as `--scenario`, and a gateway as its configuration's `scenario`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Profile {
    /// Back end, by URL (http://host:port); without a name it is called as it calls itself
    #[arg(long, value_name = "[NAME=]URL", required = true)]
    pub(crate) backend: Vec<String>,
    /// Model that all of them serve
    #[arg(long, value_name = "NAME", required = true)]
    pub(crate) model: Vec<String>,
    /// Batch sizes, ascending from 1; between them the scenario interpolates, beyond the largest nothing is served
    #[arg(long, value_name = "a,b,c", value_delimiter = ',', default_value = "1,2,4,8,16")]
    pub(crate) batches: Vec<u32>,
    /// How often each batch is measured; the median counts
    #[arg(long, value_name = "N", default_value = "21", value_parser = repetitions)]
    pub(crate) repetitions: usize,
    /// Where the scenario goes
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) out: PathBuf,
    /// Write a gateway's configuration, too
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) gateway: Option<PathBuf>,
    /// Requests of an episode of the scenario
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) requests: u32,
    /// Load of the scenario, as a share of what the back ends can just sustain
    #[arg(long, value_name = "SHARE", default_value_t = 0.6)]
    pub(crate) load: f64,
    /// Requests come in bursts of so many times the mean rate, a fifth of the time [default: Poisson]
    #[arg(long, value_name = "FACTOR")]
    pub(crate) burst: Option<f64>,
    /// The deadline of a model, as a multiple of what the slowest back end takes for one request
    #[arg(long, value_name = "X", default_value_t = 3.0)]
    pub(crate) slack: f64,
}

/// Send the requests of an episode to a server when they are due, and measure its answers
///
/// An open loop: nothing waits for the answer before, and latencies count from when a request was due.
#[derive(Debug, ClapArgs)]
pub(crate) struct LoadInfer {
    /// A gateway or a back end: http://host:port
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// Scenario whose requests are sent: a built-in name or a TOML file
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub(crate) scenario: String,
    /// Which episode, as for simulate
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Write the measures as JSON (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Write a row for each request
    #[arg(long, value_name = "FILE.csv|-")]
    pub(crate) csv: Option<PathBuf>,
}

/// Run policies live and in the simulator on the same arrivals, and compare
///
/// The back ends of the configuration must run. For each policy and episode a gateway is started, loaded and ended.
#[derive(Debug, ClapArgs)]
pub(crate) struct LiveCompare {
    /// Configuration of the gateway
    #[arg(long, value_name = "FILE.toml", required_unless_present = "rows")]
    pub(crate) config: Option<PathBuf>,
    /// Make the tables of an earlier run (its --json) again, without running anything
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["config", "policies", "checkpoint", "json"])]
    pub(crate) rows: Option<PathBuf>,
    /// Policies, separated by commas
    #[arg(long, value_name = "a,b,c", default_value = "fcfs,wrr,mct+timeout,mct,tardiness")]
    pub(crate) policies: String,
    /// Frozen policies
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Whom all others are compared with, on the same arrivals [default: the last that is named]
    #[arg(long, value_name = "NAME")]
    pub(crate) against: Option<String>,
    /// Episodes
    #[arg(long, value_name = "N", default_value = "5", value_parser = repetitions)]
    pub(crate) episodes: usize,
    /// The first episode
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write every row as JSON (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Write the tables as Markdown [default: standard output]
    #[arg(long, value_name = "FILE|-")]
    pub(crate) markdown: Option<PathBuf>,
}

/// Serve ONNX models as a back end (needs yardmaster-backend beside this command)
#[derive(Debug, ClapArgs)]
pub(crate) struct Backend {
    /// Arguments for yardmaster-backend
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<std::ffi::OsString>,
}

fn repetitions(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=10_000).contains(number));
    number.ok_or_else(|| "give a number from 1 to 10000".to_owned())
}
