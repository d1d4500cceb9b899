//! `yardmaster train`: hands over to the trainer, which links libtorch and is a program of its own.

use std::process::ExitCode;

use crate::args::Train;
use crate::beside;

/// Runs the trainer with the same arguments.
pub(crate) fn run(args: &Train) -> ExitCode {
    beside::run(
        "yardmaster-train",
        &args.arguments,
        "The trainer needs libtorch and is built apart. In the source folder:\n  \
         scripts/libtorch.sh\n  cargo build --release -p yardmaster-train",
    )
}
