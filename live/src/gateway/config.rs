//! What a gateway stands in front of: a TOML file, parsed once into something that cannot be wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use yardmaster_env::spec::Scenario;
use yardmaster_env::units::InferenceId;

use super::client::Client;

/// No duration is longer.
const DAY_MS: u64 = 86_400_000;

/// The file as it is written. Durations are milliseconds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// The scenario with the machines and their measured speeds; a name is relative to this file.
    pub scenario: String,
    /// Where to listen.
    #[serde(default = "listen")]
    pub listen: String,
    /// Requests of one model that may wait; more are refused.
    #[serde(default = "max_queue")]
    pub max_queue: usize,
    /// A request that has waited so long without a deadline, and without being served, is given up.
    #[serde(default = "max_wait_ms")]
    pub max_wait_ms: u64,
    /// A back end that has not answered a batch after this has failed.
    #[serde(default = "call_timeout_ms")]
    pub call_timeout_ms: u64,
    /// Back ends that a request is sent to at most.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// How often back ends are asked whether they are ready.
    #[serde(default = "health_ms")]
    pub health_ms: u64,
    /// How long what has been taken in may take once the gateway is told to stop.
    #[serde(default = "drain_ms")]
    pub drain_ms: u64,
    /// How long a request may take to arrive.
    #[serde(default = "read_timeout_ms")]
    pub read_timeout_ms: u64,
    /// Connections at a time; more are closed at once.
    #[serde(default = "max_connections")]
    pub max_connections: usize,
    /// Requests that are larger are refused, in bytes.
    #[serde(default = "max_body_bytes")]
    pub max_body_bytes: usize,
    /// One for each node of the scenario that is to serve.
    pub backends: Vec<RawBackend>,
    /// What is served.
    pub models: Vec<RawModel>,
}

/// `[[backends]]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawBackend {
    /// Name of the node in the scenario.
    pub node: String,
    /// Where it is: `http://host:port`.
    pub url: String,
}

/// `[[models]]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawModel {
    /// Its name, in the scenario and at the back ends.
    pub name: String,
    /// From arrival to deadline where a request does not say; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<f64>,
}

fn listen() -> String {
    "127.0.0.1:8700".to_owned()
}
fn max_queue() -> usize {
    512
}
fn max_wait_ms() -> u64 {
    10_000
}
fn call_timeout_ms() -> u64 {
    5_000
}
fn attempts() -> u32 {
    3
}
fn health_ms() -> u64 {
    500
}
fn drain_ms() -> u64 {
    30_000
}
fn read_timeout_ms() -> u64 {
    10_000
}
fn max_connections() -> usize {
    4096
}
fn max_body_bytes() -> usize {
    4 << 20
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML of this form.
    #[error("{file}: {why}")]
    Syntax {
        /// Which file.
        file: String,
        /// What the parser says.
        why: String,
    },
    /// A value that cannot be.
    #[error("{file}: {what}")]
    Bad {
        /// Which file.
        file: String,
        /// What is wrong, and what would be right.
        what: String,
    },
}

/// A configuration that goes with its scenario.
#[derive(Clone, Debug)]
pub struct Config {
    /// As it was written.
    pub raw: RawConfig,
    /// The scenario that it names.
    pub scenario: Scenario,
    /// By node of the scenario; nodes without a back end take part in nothing.
    pub backends: Vec<Option<Client>>,
    /// What is served.
    pub models: Vec<Model>,
}

/// A model that is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// In the scenario's catalogue.
    pub id: InferenceId,
    /// From arrival to deadline where a request does not say.
    pub deadline: Option<Duration>,
}

impl RawConfig {
    /// With everything else as it usually is.
    pub fn new(scenario: String, backends: Vec<RawBackend>, models: Vec<RawModel>) -> RawConfig {
        RawConfig {
            scenario,
            listen: listen(),
            max_queue: max_queue(),
            max_wait_ms: max_wait_ms(),
            call_timeout_ms: call_timeout_ms(),
            attempts: attempts(),
            health_ms: health_ms(),
            drain_ms: drain_ms(),
            read_timeout_ms: read_timeout_ms(),
            max_connections: max_connections(),
            max_body_bytes: max_body_bytes(),
            backends,
            models,
        }
    }

    /// Reads a file; `file` is its name in errors.
    ///
    /// # Errors
    /// What is not TOML of this form.
    pub fn parse(text: &str, file: &str) -> Result<RawConfig, ConfigError> {
        let syntax =
            |error: toml::de::Error| ConfigError::Syntax { file: file.into(), why: error.to_string() };
        toml::from_str(text).map_err(syntax)
    }

    /// Checks it against the scenario that it names; `file` is its name in errors.
    ///
    /// # Errors
    /// Nodes and models that the scenario does not have or that are named twice, addresses and numbers that cannot be.
    pub fn check(self, scenario: Scenario, file: &str) -> Result<Config, ConfigError> {
        let bad = |what: String| ConfigError::Bad { file: file.to_owned(), what };
        let least = [
            ("max_queue", self.max_queue as u64),
            ("max_wait_ms", self.max_wait_ms),
            ("call_timeout_ms", self.call_timeout_ms),
            ("attempts", u64::from(self.attempts)),
            ("health_ms", self.health_ms),
            ("read_timeout_ms", self.read_timeout_ms),
            ("max_connections", self.max_connections as u64),
            ("max_body_bytes", self.max_body_bytes as u64),
        ];
        if let Some((key, _)) = least.iter().find(|(_, value)| *value == 0) {
            return Err(bad(format!("{key} is 0, it must be at least 1")));
        }
        let mut times = least.into_iter().chain([("drain_ms", self.drain_ms)]);
        if let Some((key, value)) = times.find(|(key, value)| key.ends_with("_ms") && *value > DAY_MS) {
            return Err(bad(format!("{key} is {value}, it must be at most {DAY_MS}, a day")));
        }
        if self.max_connections > Semaphore::MAX_PERMITS {
            let most = Semaphore::MAX_PERMITS;
            return Err(bad(format!(
                "max_connections is {}, it must be at most {most}",
                self.max_connections
            )));
        }
        let nodes = scenario.cluster().nodes();
        let mut backends: Vec<Option<Client>> = vec![None; nodes.len()];
        for RawBackend { node, url } in &self.backends {
            let at = nodes.iter().position(|known| known.name == *node);
            let known = || nodes.iter().map(|known| known.name.as_str()).collect::<Vec<_>>().join(", ");
            let none = || format!("backend {node:?} is no node of {}, which has {}", self.scenario, known());
            let at = at.ok_or_else(|| bad(none()))?;
            let client = Client::new(url).map_err(|why| bad(format!("backend {node:?}: {why}")))?;
            if backends[at].replace(client).is_some() {
                return Err(bad(format!("backend {node:?} is named twice")));
            }
        }
        if self.backends.is_empty() || self.models.is_empty() {
            return Err(bad("it needs at least one of [[backends]] and one of [[models]]".to_owned()));
        }
        let models = self.models.iter().map(|model| model.check(&scenario).map_err(bad));
        let models = models.collect::<Result<Vec<_>, _>>()?;
        for (at, model) in models.iter().enumerate() {
            if models[..at].iter().any(|other| other.id == model.id) {
                return Err(bad(format!("model {:?} is named twice", model.name)));
            }
        }
        Ok(Config { raw: self, scenario, backends, models })
    }
}

impl RawModel {
    fn check(&self, scenario: &Scenario) -> Result<Model, String> {
        let RawModel { name, deadline_ms } = self;
        let (catalog, kinds) = (scenario.catalog(), scenario.cluster().kinds());
        let id =
            catalog.inference(name).ok_or_else(|| format!("model {name:?} is unknown to the scenario"))?;
        if !kinds.iter().any(|&kind| catalog.max_batch(id, kind) > 0) {
            return Err(format!("model {name:?} has no measured speed on any node of the scenario"));
        }
        if let Some(ms) = deadline_ms.filter(|ms| !(*ms > 0.0 && *ms <= DAY_MS as f64)) {
            return Err(format!(
                "deadline_ms of model {name:?} is {ms}, it must be above 0 and at most {DAY_MS}"
            ));
        }
        let deadline = deadline_ms.map(|ms| Duration::from_secs_f64(ms / 1e3));
        Ok(Model { name: name.clone(), id, deadline })
    }
}
