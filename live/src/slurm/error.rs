//! What can go wrong between the adapter and Slurm.

use std::path::PathBuf;
use std::time::Duration;

/// Why Slurm's state could not be read, a change could not be made, or a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// A command could not be started.
    #[error("{command} cannot be started: {source}; is Slurm installed, and its bin folder on the PATH?")]
    Start {
        /// Which.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// A command ended with an error.
    #[error("{command}: {said}")]
    Failed {
        /// With its arguments.
        command: String,
        /// Its last words on the standard error, or how it ended.
        said: String,
    },
    /// A command took too long and was ended.
    #[error("{command} did not answer within {limit:?}")]
    Slow {
        /// Which.
        command: String,
        /// How long it was given.
        limit: Duration,
    },
    /// An answer is not what the command should print.
    #[error("{command} did not print what was expected: {why}")]
    Json {
        /// Which.
        command: String,
        /// What is wrong with it.
        why: String,
    },
    /// The answer holds an error of Slurm itself.
    #[error("{command}: {why}")]
    Reported {
        /// Which.
        command: String,
        /// Slurm's words.
        why: String,
    },
    /// The configuration is wrong.
    #[error("{}: {why}", path.display())]
    Config {
        /// Its file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        why: String,
    },
}

impl SlurmError {
    /// Whether a command failed for want of a controller, and the next one would too.
    pub(super) fn is_outage(&self) -> bool {
        // What Slurm's commands say when the controller is away, or goes away meanwhile.
        const AWAY: [&str; 5] = [
            "Unable to contact slurm controller",
            "Unexpected message received",
            "Zero Bytes were transmitted",
            "Socket timed out",
            "Connection refused",
        ];
        match self {
            SlurmError::Failed { said, .. } => AWAY.iter().any(|words| said.contains(words)),
            SlurmError::Slow { .. } | SlurmError::Start { .. } => true,
            SlurmError::Json { .. } | SlurmError::Reported { .. } | SlurmError::Config { .. } => false,
        }
    }
}
