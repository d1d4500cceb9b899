//! `yardmaster-backend`: an inference back end that runs ONNX models and speaks the Open Inference Protocol v2.
//!
//! It stands in for the servers behind the gateway, in tests and measurements. It is a program of its own because the
//! runtime (tract, all Rust) takes longer to build than the rest of the command.

mod device;
mod graph;
mod guard;
mod protocol;
mod runtime;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use device::{Device, Speed};
use runtime::Model;

/// The longest that a batch may be made to take, in milliseconds, and each of its rows: more is a slip of the pen.
const MAX_PACE_MS: f64 = 600_000.0;

/// Serve ONNX models by the Open Inference Protocol v2 over HTTP, one batch at a time
#[derive(Debug, Parser)]
#[command(name = "yardmaster-backend", version)]
struct Args {
    /// Models to serve, each under the name of its file; inputs and outputs are float32 with the batch in front
    #[arg(long, value_name = "FILE.onnx", required_unless_present = "write")]
    model: Vec<PathBuf>,
    /// Where to listen; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// What kind of device it calls itself; the name of the server in its metadata
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    kind: String,
    /// Largest batch that it takes
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    max_batch: u32,
    /// Run each batch so often and give the last answer: a slower device by real work
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
    /// Answer no batch sooner than after so many milliseconds: a slower device by sleeping, which leaves the
    /// processor to others, as an accelerator does
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    pace_ms: f64,
    /// With --pace-ms, so many milliseconds more for each row of the batch
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    pace_row_ms: f64,
    /// Write a small network with random weights to this file instead, and end
    #[arg(long, value_name = "FILE.onnx", requires = "network", conflicts_with = "model")]
    write: Option<PathBuf>,
    /// Which network to write
    #[arg(long, value_enum, requires = "write")]
    network: Option<Network>,
    /// Its weights
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Networks that can be written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Network {
    /// Input 64, three layers of 1024, output 10: 2.2 million weights, bound by memory in small batches
    Mlp,
    /// Image 1x16x16, three convolutions, output 10: 7 million operations, bound by arithmetic
    Conv,
    /// Input 8, one layer of 32, output 4: next to no work, for tests
    Tiny,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Its causes, and never a backtrace: what is wrong is a file or an argument.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    guard::install();
    if let (Some(path), Some(network)) = (&args.write, args.network) {
        return std::fs::write(path, network.graph(args.seed))
            .with_context(|| format!("cannot write {}", path.display()));
    }
    for (name, value) in [("--pace-ms", args.pace_ms), ("--pace-row-ms", args.pace_row_ms)] {
        ensure!(
            (0.0..=MAX_PACE_MS).contains(&value),
            "{name} {value}: give a number from 0 to {MAX_PACE_MS}"
        );
    }
    let models = Model::load_all(&args.model, args.max_batch)?;
    let speed = Speed { repeat: args.repeat, pace_s: args.pace_ms / 1e3, pace_row_s: args.pace_row_ms / 1e3 };
    let signatures = models.iter().map(Model::signature).collect();
    let device = Device::start(models, speed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(server::run(&args.listen, &args.kind, signatures, device))
}

impl Network {
    /// The ONNX file.
    fn graph(self, seed: u64) -> Vec<u8> {
        match self {
            Network::Mlp => graph::mlp(&[64, 1024, 1024, 1024, 10], seed),
            Network::Conv => graph::conv(16, &[1, 16, 32, 32], 10, seed),
            Network::Tiny => graph::mlp(&[8, 32, 4], seed),
        }
    }
}
