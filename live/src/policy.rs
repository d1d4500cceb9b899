//! A policy that has been loaded and verified, and instances of it that decide.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use yardmaster_agent::frozen::{self, Card, Frozen, FrozenError};
use yardmaster_agent::learned::{Learned, LearnedError};
use yardmaster_agent::policy::Policy;
use yardmaster_agent::registry::{self, RegistryError};
use yardmaster_env::observe::Schema;
use yardmaster_env::snapshot::Snapshot;
use yardmaster_env::view::Decision;

use crate::reason::Reason;

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A frozen file.
    Checkpoint(PathBuf),
    /// A rule of the registry.
    Rule(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Checkpoint(path) => write!(f, "{}", path.display()),
            Source::Rule(name) => f.write_str(name),
        }
    }
}

/// Why a policy was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no frozen policy.
    #[error("{path} is not a usable frozen policy: {source}")]
    Frozen {
        /// Which.
        path: String,
        /// What is wrong.
        source: FrozenError,
    },
    /// It cannot decide here.
    #[error("{path}: {source}")]
    Learned {
        /// Which.
        path: String,
        /// What is wrong.
        source: LearnedError,
    },
    /// There is no such rule.
    #[error(transparent)]
    Rule(#[from] RegistryError),
}

/// A policy whose golden cases this program has reproduced, or a rule.
#[derive(Debug)]
pub struct Loaded {
    source: Source,
    name: String,
    digest: String,
    frozen: Option<Frozen>,
}

/// What is said about a policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct About {
    /// Its name: the stem of its file, or that of the rule.
    pub name: String,
    /// Where it comes from.
    pub source: String,
    /// Digest of its weights; empty for a rule.
    pub digest: String,
    /// What the file says about itself, its golden cases apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<serde_json::Value>,
}

impl Loaded {
    /// Loads and verifies: its features are computed here and every golden case is reproduced, or the rule exists.
    ///
    /// # Errors
    /// Anything else; nothing is loaded half.
    pub fn load(source: &Source) -> Result<Loaded, LoadError> {
        let loaded = match source {
            Source::Rule(name) => {
                Loaded { source: source.clone(), name: name.clone(), digest: String::new(), frozen: None }
            }
            Source::Checkpoint(path) => Loaded::read(path)?,
        };
        // Builds the prior too, and computes the golden cases.
        loaded.mind()?;
        Ok(loaded)
    }

    fn read(path: &Path) -> Result<Loaded, LoadError> {
        let shown = || path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read { path: shown(), source })?;
        let error = |source| LoadError::Frozen { path: shown(), source };
        let frozen = frozen::read(&bytes).map_err(error)?;
        let name = path.file_stem().map_or_else(shown, |stem| stem.to_string_lossy().into_owned());
        let digest = frozen.card().digest.clone();
        let frozen = Some(frozen.reading(&Schema::current()).map_err(error)?);
        Ok(Loaded { source: Source::Checkpoint(path.to_owned()), name, digest, frozen })
    }

    /// A new instance that decides.
    ///
    /// # Errors
    /// Golden cases that are not reproduced, a prior that does not exist.
    pub fn mind(&self) -> Result<Mind, LoadError> {
        let kind = match &self.frozen {
            Some(frozen) => {
                let learned = Learned::from_frozen(self.name.as_str(), frozen);
                let path = || self.source.to_string();
                Kind::Learned(Box::new(
                    learned.map_err(|source| LoadError::Learned { path: path(), source })?,
                ))
            }
            None => Kind::Rule(registry::build(&self.name)?),
        };
        let mut mind =
            Mind { kind, schema: self.frozen.as_ref().map(|frozen| Arc::new(frozen.card().clone())) };
        mind.policy().reset(0);
        Ok(mind)
    }

    /// Where it comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Digest of its weights; empty for a rule.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What is said about it.
    pub fn about(&self) -> About {
        let card = self.frozen.as_ref().and_then(|frozen| {
            let mut card = serde_json::to_value(frozen.card()).ok()?;
            card.as_object_mut()?.remove("golden");
            Some(card)
        });
        About { name: self.name.clone(), source: self.source.to_string(), digest: self.digest.clone(), card }
    }
}

enum Kind {
    Learned(Box<Learned>),
    Rule(Box<dyn Policy>),
}

/// An instance of a policy.
pub struct Mind {
    kind: Kind,
    schema: Option<Arc<Card>>,
}

impl Mind {
    /// Decides about a snapshot, and says why.
    pub fn decide(&mut self, snapshot: &Snapshot) -> (Decision, Reason) {
        let view = snapshot.view();
        match &mut self.kind {
            Kind::Rule(policy) => (policy.decide(&view), Reason::of_rule(policy.name())),
            Kind::Learned(learned) => {
                let net = learned.net_handle();
                let weighed = learned.weigh(&view);
                let decision = weighed.decision(&view);
                let mut reason = Reason::of_logits(weighed.logits, weighed.prior);
                if let Some((group, at)) = net.unfamiliar(weighed.observation) {
                    reason.unfamiliar = self.schema.as_ref().map(|card| feature(card, group, at));
                }
                (decision, reason)
            }
        }
    }

    /// The policy as such.
    pub fn policy(&mut self) -> &mut dyn Policy {
        match &mut self.kind {
            Kind::Rule(policy) => policy.as_mut(),
            Kind::Learned(learned) => learned.as_mut(),
        }
    }

    /// The learned policy, if it is one.
    pub fn learned(&mut self) -> Option<&mut Learned> {
        match &mut self.kind {
            Kind::Rule(_) => None,
            Kind::Learned(learned) => Some(learned),
        }
    }
}

fn feature(card: &Card, group: &str, at: usize) -> String {
    let schema = &card.origin.schema;
    let names = match group {
        "global" => &schema.global,
        "job" => &schema.job,
        "node" => &schema.node,
        _ => &schema.pair,
    };
    format!("{group}.{}", names.get(at).map_or("?", String::as_str))
}
