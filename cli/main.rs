//! `yardmaster`: simulate, judge and inspect. Builds with nothing but Rust.

mod args;
mod bench;
mod input;
mod inspect;
mod list;
mod output;
mod report;
mod simulate;
mod speed;
mod train;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Command::Scenarios => list::scenarios(),
        Command::Policies => list::policies(),
        Command::Simulate(args) => simulate::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Train(args) => return train::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
