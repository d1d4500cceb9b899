//! `yardmaster train`: hands over to the trainer, which links libtorch and is a program of its own.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::args::Train;

const NAME: &str = "yardmaster-train";

/// Runs the trainer beside this command, or on the search path, with the same arguments.
pub(crate) fn run(args: &Train) -> ExitCode {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join(NAME)));
    let program = beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(NAME));
    match Command::new(&program).args(&args.arguments).status() {
        Ok(status) => status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)),
        Err(error) => {
            eprintln!(
                "error: cannot start {NAME}: {error}\n\
                 The trainer needs libtorch and is built apart. In the source folder:\n  \
                 scripts/libtorch.sh\n  cargo build --release -p yardmaster-train\n\
                 then run this command again from target/release, or put {NAME} on the PATH."
            );
            ExitCode::FAILURE
        }
    }
}
