//! What a service is told at its start, checked before anything listens.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::policy::Source;

/// A token with fewer characters can be guessed.
pub const SHORTEST_TOKEN: usize = 16;

/// Settings of a service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who decides.
    pub policy: Source,
    /// Who is asked beside it, without effect.
    pub shadows: Vec<Source>,
    /// Which rule decides where the policy does not.
    pub fallback: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Longest time for a decision, after which the fallback decides.
    pub deadline: Duration,
    /// Misses in a row that open the circuit breaker.
    pub misses: u32,
    /// How long it then rests.
    pub rest: Duration,
    /// Threads that decide.
    pub workers: usize,
    /// While this file exists the fallback decides.
    pub disable_file: Option<PathBuf>,
    /// Oldest state that is decided about, if its sender says when it was taken.
    pub max_age: Duration,
    /// Largest body, in bytes.
    pub most_bytes: usize,
    /// How long a whole request may take to arrive.
    pub patience: Duration,
    /// Requests a second beyond which callers are turned away; 0 for no limit.
    pub most_per_second: u32,
    /// Connections at a time.
    pub connections: usize,
    /// How long open requests have to end once the service is told to stop.
    pub drain: Duration,
    /// Tokens of callers; any of them will do. Without one nobody is asked.
    pub tokens: Vec<String>,
    /// Certificate and key, and the authority of client certificates, as PEM files.
    pub tls: Option<Tls>,
    /// Lets anybody who reaches it ask.
    pub allow_unauthenticated: bool,
    /// The log of decisions.
    pub audit: Option<AuditFile>,
    /// One decision in so many is shown to the shadows.
    pub shadow_every: u64,
    /// A fire drill: while this file exists, each decision of the policy takes as many milliseconds longer as it says, so
    /// that the way back can be practised.
    pub drill: Option<PathBuf>,
}

/// Files of transport security.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Clients must have a certificate of this authority.
    pub client_ca: Option<PathBuf>,
}

/// Where decisions are logged.
#[derive(Clone, Debug)]
pub struct AuditFile {
    /// The file.
    pub path: PathBuf,
    /// Rotated beyond so many bytes.
    pub most_bytes: u64,
    /// Old files that are kept.
    pub keep: u32,
}

impl Config {
    /// Settings for loopback, where nothing else is said.
    pub fn new(policy: Source) -> Config {
        Config {
            policy,
            shadows: Vec::new(),
            fallback: "mct".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7077)),
            deadline: Duration::from_millis(50),
            misses: 5,
            rest: Duration::from_secs(5),
            workers: 1,
            disable_file: None,
            max_age: Duration::from_secs(60),
            most_bytes: 16 << 20,
            patience: Duration::from_secs(10),
            most_per_second: 0,
            connections: 1024,
            drain: Duration::from_secs(10),
            tokens: Vec::new(),
            tls: None,
            allow_unauthenticated: false,
            audit: None,
            shadow_every: 1,
            drill: None,
        }
    }

    /// Refuses to let strangers in: beyond loopback a token or client certificates are needed.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self) -> Result<(), ConfigError> {
        let knows = !self.tokens.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        if !self.listen.ip().is_loopback() && !knows && !self.allow_unauthenticated {
            return Err(ConfigError::Unauthenticated { listen: self.listen });
        }
        if let Some(token) = self.tokens.iter().find(|token| token.len() < SHORTEST_TOKEN) {
            return Err(ConfigError::ShortToken { length: token.len() });
        }
        if self.deadline.is_zero() || self.patience.is_zero() {
            return Err(ConfigError::NoTime);
        }
        Ok(())
    }
}

/// Settings that are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Anybody could ask.
    #[error(
        "{listen} can be reached from other machines: give --token-file or --client-ca, or say --allow-unauthenticated"
    )]
    Unauthenticated {
        /// Where it would listen.
        listen: SocketAddr,
    },
    /// A token that can be guessed.
    #[error("a token of {length} characters can be guessed, it must have at least {SHORTEST_TOKEN}")]
    ShortToken {
        /// Its length.
        length: usize,
    },
    /// A time of 0.
    #[error("--deadline-ms and --patience-s must be above 0")]
    NoTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_let_in_only_if_that_is_said() {
        let mut config = Config::new(Source::Rule("mct".into()));
        assert_eq!(config.check(), Ok(()));
        config.listen = SocketAddr::from(([0, 0, 0, 0], 7077));
        assert!(matches!(config.check(), Err(ConfigError::Unauthenticated { .. })));
        config.tokens = vec!["0123456789abcdef".into()];
        assert_eq!(config.check(), Ok(()));
        config.tokens = vec!["short".into()];
        assert_eq!(config.check(), Err(ConfigError::ShortToken { length: 5 }));
        config.tokens.clear();
        config.allow_unauthenticated = true;
        assert_eq!(config.check(), Ok(()));
    }
}
