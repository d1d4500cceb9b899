//! A learned policy: observe, score the candidates, take the best.

use std::sync::Arc;

use yardmaster_env::observe::{Observer, Schema};
use yardmaster_env::view::{Decision, View};

use crate::frozen::{Frozen, FrozenError};
use crate::net::{PolicyNet, Scratch};
use crate::policy::Policy;
use crate::registry::{self, RegistryError};

/// Why a frozen policy cannot decide here.
#[derive(Debug, thiserror::Error)]
pub enum LearnedError {
    /// It was trained on other features, or does not reproduce its golden outputs.
    #[error(transparent)]
    Frozen(#[from] FrozenError),
    /// Its prior is not in the registry.
    #[error("the policy's prior cannot be built: {0}")]
    Prior(#[from] RegistryError),
}

/// A network that decides. Ties go to the lowest action.
pub struct Learned {
    name: String,
    net: Arc<PolicyNet>,
    prior: Box<dyn Policy>,
    observer: Observer,
    scratch: Scratch,
}

impl Learned {
    /// A network with its prior rule; the caller vouches that it was trained on the current schema.
    pub fn new(name: impl Into<String>, net: Arc<PolicyNet>, prior: &str) -> Result<Learned, RegistryError> {
        let prior = registry::build(prior)?;
        Ok(Learned {
            name: name.into(),
            net,
            prior,
            observer: Observer::default(),
            scratch: Scratch::default(),
        })
    }

    /// A frozen policy, refused if its features are not ours or its golden outputs are not reproduced.
    pub fn from_frozen(name: impl Into<String>, frozen: &Frozen) -> Result<Learned, LearnedError> {
        frozen.check_schema(&Schema::current())?;
        frozen.verify_golden()?;
        Ok(Learned::new(name, Arc::new(frozen.net().clone()), &frozen.card().origin.prior)?)
    }
}

impl Policy for Learned {
    fn name(&self) -> &str {
        &self.name
    }

    fn fork(&self) -> Option<Box<dyn Policy>> {
        Some(Box::new(Learned {
            name: self.name.clone(),
            net: Arc::clone(&self.net),
            prior: self.prior.fork()?,
            observer: Observer::default(),
            scratch: Scratch::default(),
        }))
    }

    fn reset(&mut self, seed: u64) {
        self.prior.reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        let proposal = self.prior.decide(view);
        self.observer.observe(view, Some(proposal));
        let prior = self.observer.candidates.proposal();
        let action = self.net.choose(self.observer.observation(), prior, &mut self.scratch);
        let decision = action.and_then(|action| self.observer.candidates.decision(view, action));
        decision.unwrap_or(Decision::Wait { until: None })
    }
}
