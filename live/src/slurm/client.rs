//! Slurm's own commands, each with a limit on how long it may take.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::error::SlurmError;

/// Whoever can run `squeue`, `sinfo` and `scontrol`.
pub trait Slurm {
    /// What a command prints.
    fn run(&mut self, command: &str, arguments: &[&str]) -> Result<String, SlurmError>;
}

/// The commands of this machine.
#[derive(Clone, Debug)]
pub struct Commands {
    /// How long one may take before it is ended.
    pub limit: Duration,
}

/// How often a command is looked after while it runs.
const LOOK: Duration = Duration::from_millis(5);

impl Slurm for Commands {
    fn run(&mut self, command: &str, arguments: &[&str]) -> Result<String, SlurmError> {
        let mut child = Command::new(command)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| SlurmError::Start { command: command.into(), source })?;
        // Read beside the wait: a full pipe would hold the command up.
        let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
        let begin = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if begin.elapsed() < self.limit => thread::sleep(LOOK),
                Ok(None) => return Err(self.end(child, command)),
                Err(source) => return Err(SlurmError::Start { command: command.into(), source }),
            }
        };
        // A reader that has panicked has read nothing.
        let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
        if status.success() {
            return Ok(out);
        }
        let said = err.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let said = said.map_or_else(|| status.to_string(), str::to_owned);
        Err(SlurmError::Failed { command: format!("{command} {}", arguments.join(" ")), said })
    }
}

impl Commands {
    fn end(&self, mut child: Child, command: &str) -> SlurmError {
        // It may have ended by itself by now, which is as good.
        _ = child.kill();
        _ = child.wait();
        SlurmError::Slow { command: command.into(), limit: self.limit }
    }
}

/// Reads a pipe to its end on a thread of its own.
fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until an error counts.
            _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(limit: Duration, script: &str) -> Result<String, String> {
        Commands { limit }.run("sh", &["-c", script]).map_err(|error| error.to_string())
    }

    #[test]
    fn output_error_and_time() {
        let long = Duration::from_secs(20);
        assert_eq!(run(long, "echo out; echo err >&2"), Ok("out\n".into()));
        let failed = run(long, "echo first >&2; echo last >&2; exit 3").unwrap_err();
        assert!(failed.ends_with(": last"), "{failed}");
        let slow = run(Duration::from_millis(50), "exec sleep 60").unwrap_err();
        assert!(slow.contains("did not answer within"), "{slow}");
        let absent = Commands { limit: long }.run("no-such-command", &[]).unwrap_err().to_string();
        assert!(absent.contains("is Slurm installed"), "{absent}");
    }

    #[test]
    fn much_output_does_not_hold_a_command_up() {
        let text = run(Duration::from_secs(20), "yes | head -c 1000000").unwrap();
        assert_eq!(text.len(), 1_000_000);
    }
}
