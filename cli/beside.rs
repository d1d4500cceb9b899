//! Programs that are built apart and handed over to.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Runs a program beside this command, or on the search path; `built` says how it comes to be where it is not.
pub(crate) fn run(name: &str, arguments: &[OsString], built: &str) -> ExitCode {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join(name)));
    let program = beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(name));
    match Command::new(&program).args(arguments).status() {
        Ok(status) => status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)),
        Err(error) => {
            eprintln!(
                "error: cannot start {name}: {error}\n{built}\n\
                 then run this command again from target/release, or put {name} on the PATH."
            );
            ExitCode::FAILURE
        }
    }
}
