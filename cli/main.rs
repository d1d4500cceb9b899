//! `yardmaster`: simulate, judge and inspect. Builds with nothing but Rust.

mod allocate;
mod args;
mod bench;
mod catalog;
mod columns;
mod distributions;
mod explain;
mod export;
mod file;
mod html;
mod input;
mod inspect;
mod list;
mod load;
mod output;
mod pack;
mod published;
mod replay;
mod report;
mod results;
mod rows_csv;
mod serve;
mod silence;
mod simulate;
mod speed;
mod summary;
mod train;
mod tune;

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
        Command::Tune(args) => tune::run(&args),
        Command::Results(args) => results::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Allocate(args) => allocate::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Train(args) => return train::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", message(&error));
            ExitCode::FAILURE
        }
    }
}

/// What went wrong and why, without a cause that an outer message already tells.
fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).map(|cause| cause.trim_end().to_owned()) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
