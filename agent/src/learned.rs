//! A learned policy: observe, score the candidates, take the best.

use std::sync::Arc;

use yardmaster_env::observe::{Observation, Observer, Schema};
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

/// What a network's action stands for: the observation of a moment with the prior rule's action.
///
/// Training and live use go through this one type, so that they see the same numbers.
pub struct Eyes {
    observer: Observer,
    prior: Box<dyn Policy>,
    prior_action: Option<usize>,
}

impl Eyes {
    /// Eyes with the prior rule of this name.
    pub fn new(prior: &str) -> Result<Eyes, RegistryError> {
        Ok(Eyes { observer: Observer::default(), prior: registry::build(prior)?, prior_action: None })
    }

    /// Forgets past episodes.
    pub fn reset(&mut self, seed: u64) {
        self.prior.reset(seed);
    }

    /// Observes a moment.
    pub fn look(&mut self, view: &View<'_>) {
        self.observer.observe(view);
        let decision = self.prior.decide(view);
        self.prior_action = self.observer.candidates.action_of(view, &decision);
    }

    /// The last observation.
    pub fn observation(&self) -> &Observation {
        self.observer.observation()
    }

    /// The action that the prior rule takes, if it is among the candidates.
    pub fn prior(&self) -> Option<usize> {
        self.prior_action
    }

    /// The decision that an action of the last observation stands for.
    pub fn decision(&self, view: &View<'_>, action: usize) -> Option<Decision> {
        self.observer.candidates.decision(view, action)
    }
}

/// A network that decides. Ties go to the lowest action.
pub struct Learned {
    name: String,
    net: Arc<PolicyNet>,
    eyes: Eyes,
    scratch: Scratch,
}

impl Learned {
    /// A network with its prior rule; the caller vouches that it was trained on the current schema.
    pub fn new(name: impl Into<String>, net: Arc<PolicyNet>, prior: &str) -> Result<Learned, RegistryError> {
        Ok(Learned { name: name.into(), net, eyes: Eyes::new(prior)?, scratch: Scratch::default() })
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

    fn reset(&mut self, seed: u64) {
        self.eyes.reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        self.eyes.look(view);
        let action = self.net.choose(self.eyes.observation(), self.eyes.prior(), &mut self.scratch);
        action.and_then(|action| self.eyes.decision(view, action)).unwrap_or(Decision::Wait { until: None })
    }
}
