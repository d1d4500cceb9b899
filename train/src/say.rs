//! Standard output.

use std::io::{ErrorKind, Write, stdout};

use anyhow::{Context, Result};

/// Prints a text; a reader that has seen enough, such as `head`, is no error.
///
/// # Errors
/// Whatever else keeps the text from being printed.
pub fn say(text: &str) -> Result<()> {
    match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
