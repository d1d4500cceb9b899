//! `yardmaster export`: a frozen policy for other runtimes.

use anyhow::{Context, Result};
use yardmaster_agent::onnx;
use yardmaster_env::observe::Schema;

use crate::args::{Export, ExportFormat};
use crate::input;
use crate::output::Output;

/// Runs the command.
pub(crate) fn run(args: &Export) -> Result<()> {
    let frozen = input::policy(&args.policy)?;
    let shown = args.policy.display();
    let frozen = frozen.reading(&Schema::current()).with_context(|| format!("{shown} cannot be exported"))?;
    let output = Output::open(&args.out)?;
    match args.format {
        ExportFormat::Onnx => output.write(onnx::to_bytes(&frozen)),
    }
}
