//! A learned policy: observe, score the candidates, take the best.

use std::path::Path;
use std::sync::Arc;

use yardmaster_env::candidates::Candidates;
use yardmaster_env::observe::{Observation, Observer, Schema};
use yardmaster_env::view::{Decision, View};

use crate::frozen::{self, Frozen, FrozenError};
use crate::net::{PolicyNet, Scratch, first_highest};
use crate::policy::Policy;
use crate::registry::{self, RegistryError};

/// Why a frozen policy cannot decide here.
#[derive(Debug, thiserror::Error)]
pub enum LearnedError {
    /// It reads features that there are none of here, or does not reproduce its golden outputs.
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
        Ok(Learned::with_prior(name, net, registry::build(prior)?))
    }

    /// A network with its prior rule as it stands.
    pub fn with_prior(name: impl Into<String>, net: Arc<PolicyNet>, prior: Box<dyn Policy>) -> Learned {
        let (observer, scratch) = Default::default();
        Learned { name: name.into(), net, prior, observer, scratch }
    }

    /// The frozen policy of a file, named after it, checked as by [`Learned::from_frozen`].
    pub fn load(path: impl AsRef<Path>) -> Result<Learned, LearnedError> {
        let path = path.as_ref();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Learned::from_frozen(name, &frozen::load(path)?)
    }

    /// A frozen policy, refused if it reads features that are not computed here or its golden outputs are not reproduced.
    pub fn from_frozen(name: impl Into<String>, frozen: &Frozen) -> Result<Learned, LearnedError> {
        let frozen = frozen.reading(&Schema::current())?;
        frozen.verify_golden()?;
        Ok(Learned::new(name, Arc::new(frozen.net().clone()), &frozen.card().origin.prior)?)
    }

    /// Its network.
    pub fn net(&self) -> &PolicyNet {
        &self.net
    }

    /// Its network, to be kept.
    pub fn net_handle(&self) -> Arc<PolicyNet> {
        Arc::clone(&self.net)
    }

    /// What it makes of a moment, for itself and for those who ask why it decides so.
    pub fn weigh(&mut self, view: &View<'_>) -> Weighed<'_> {
        let proposal = self.prior.decide(view);
        self.observer.observe(view, Some(proposal));
        let (observation, prior) = (self.observer.observation(), self.observer.candidates.proposal());
        let logits = self.net.logits(observation, prior, &mut self.scratch);
        Weighed { observation, candidates: &self.observer.candidates, prior, logits }
    }
}

/// A moment as a network sees it, and what it makes of it.
#[derive(Clone, Copy, Debug)]
pub struct Weighed<'a> {
    /// What it sees.
    pub observation: &'a Observation,
    /// What the actions stand for.
    pub candidates: &'a Candidates,
    /// The prior rule's action, if one stands for it.
    pub prior: Option<usize>,
    /// (actions)
    pub logits: &'a [f32],
}

impl Weighed<'_> {
    /// What is decided: the action of the highest logit, the first of equals; to wait where there is none.
    pub fn decision(&self, view: &View<'_>) -> Decision {
        let decision = first_highest(self.logits).and_then(|action| self.candidates.decision(view, action));
        decision.unwrap_or(Decision::Wait { until: None })
    }
}

impl Policy for Learned {
    fn name(&self) -> &str {
        &self.name
    }

    fn fork(&self) -> Option<Box<dyn Policy>> {
        let prior = self.prior.fork()?;
        Some(Box::new(Learned::with_prior(self.name.clone(), Arc::clone(&self.net), prior)))
    }

    fn reset(&mut self, seed: u64) {
        self.prior.reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        self.weigh(view).decision(view)
    }
}
