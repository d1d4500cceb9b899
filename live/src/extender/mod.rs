//! Kubernetes: the scheduler-extender verbs, answered by a policy.
//!
//! kube-scheduler asks once a pod, after its own filters: which of these nodes are impossible (`filter`), and how good is
//! each of the others (`prioritize`)? A policy that starts jobs on kinds of devices answers with scores from 0 to 10. Nothing
//! but `routes` waits or reads a clock; each verb is a function from a request and the moment to a response, and its caller brings
//! the bytes.
//!
//! Errors of `filter` fail the pod, errors of `prioritize` are ignored by the scheduler. So whatever is not known is let
//! through with the score 0: a node without a record, a device that no kind stands for, a pod without a hint. `filter`
//! keeps back only what can never work.
//!
//! - `wire`: requests and responses, in both spellings of their keys
//! - `object`: what is read of nodes and pods
//! - `config`: what their labels mean
//! - `names`: their names, found in the order of the last time
//! - `registry`: the nodes that are known and what runs on them, condensed to what a policy sees
//! - `job`: a pod as a job
//! - `score`: from a policy's opinion to scores
//! - `answer`: paths and statuses, for whatever server carries them
//! - `metrics`: what is counted
//! - `bind`: binds a pod, where that is asked for
//! - `routes`: the same beside the routes of the decision service
//! - `folder`: nodes and pods from files that somebody else writes

pub mod answer;
pub mod bind;
pub mod config;
pub mod folder;
pub mod job;
pub mod metrics;
pub mod names;
pub mod object;
pub mod registry;
pub mod routes;
pub mod score;
pub mod wire;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use yardmaster_env::units::Time;

use self::bind::Binder;
use self::config::Config;
use self::job::Wanted;
use self::object::{Node, Pod};
use self::registry::Registry;
use self::score::{Outcome, Scorer};
use self::wire::{Arguments, FilterResult};
use crate::policy::{LoadError, Loaded};

/// The verbs, with all they need. Shared by threads.
pub struct Extender {
    config: Config,
    registry: RwLock<Registry>,
    policy: Mutex<Option<Followed>>,
    fallback: Mutex<Scorer>,
    disabled: AtomicBool,
    binder: Option<Binder>,
}

/// The policy of a service, and what scores with it.
struct Followed {
    loaded: Arc<Loaded>,
    scorer: Scorer,
}

/// Scores, and how they came about.
#[derive(Debug)]
pub struct Prioritized {
    /// One for each node of the request, in its order; see [`wire::host_priorities`].
    pub scores: Vec<u8>,
    /// What the policy said.
    pub outcome: Outcome,
    /// Why the fallback has scored, if it has: `no-policy`, `disabled` or `panic`.
    pub fallback_reason: Option<&'static str>,
}

impl Extender {
    /// An extender that knows no node yet. `fallback` scores as long as there is no policy, while it is disabled, and where
    /// it panics.
    pub fn new(config: Config, fallback: Scorer) -> Extender {
        let (registry, policy, disabled) = Default::default();
        Extender { config, registry, policy, fallback: Mutex::new(fallback), disabled, binder: None }
    }

    /// Lets it bind pods too.
    pub fn with_binder(self, binder: Binder) -> Extender {
        Extender { binder: Some(binder), ..self }
    }

    /// What labels and annotations mean.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Scores with this policy from now on, if it does not already. The one before stays where this cannot decide.
    pub fn follow(&self, loaded: &Arc<Loaded>) -> Result<(), LoadError> {
        let mut policy = lock(&self.policy);
        match &mut *policy {
            Some(followed) if Arc::ptr_eq(&followed.loaded, loaded) => {}
            Some(followed) => {
                followed.scorer.replace(loaded.mind()?);
                followed.loaded = Arc::clone(loaded);
            }
            None => {
                *policy = Some(Followed { loaded: Arc::clone(loaded), scorer: Scorer::new(loaded.mind()?) });
            }
        }
        Ok(())
    }

    /// Lets the fallback score, or the policy again.
    pub fn disable(&self, disabled: bool) {
        self.disabled.store(disabled, Ordering::Relaxed);
    }

    /// Replaces all nodes by those of a list.
    pub fn set_nodes(&self, nodes: &[Node]) {
        self.write(|registry| registry.set_nodes(&self.config, nodes));
    }

    /// Replaces all pods by those of a list: what runs where.
    pub fn set_pods(&self, pods: &[Pod], now: Time) {
        self.write(|registry| registry.set_pods(&self.config, pods, now));
    }

    /// How many nodes are known.
    pub fn known(&self) -> usize {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many of them have devices whose kind is known: only those are scored above 0.
    pub fn usable(&self) -> usize {
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        registry.places().iter().filter(|place| place.slot.is_some() && place.devices > 0).count()
    }

    /// Keeps back the nodes on which the pod can never run.
    pub fn filter<'a>(&self, request: &'a Arguments<'a>) -> FilterResult<'a> {
        self.learn(request);
        let wanted = match Wanted::of(&self.config, &request.pod) {
            Ok(wanted) => wanted,
            Err(error) => return FilterResult::error(error.to_string()),
        };
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let mut failed = BTreeMap::new();
        let mut walk = registry.walk();
        let fits = |name: &str| {
            let node = walk.find(name).map(|number| &registry.nodes()[number]);
            match node.and_then(|node| wanted.impossible_on(node)) {
                Some(reason) => {
                    failed.insert(name.to_owned(), format!("yardmaster: {reason}"));
                    false
                }
                None => true,
            }
        };
        let kept = FilterResult::keep(request, fits);
        kept.with_failed(failed)
    }

    /// Scores every node of the request, 0 where nothing is known.
    pub fn prioritize(&self, request: &Arguments<'_>, now: Time) -> Result<Prioritized, job::HintError> {
        self.learn(request);
        let wanted = Wanted::of(&self.config, &request.pod)?;
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        let score =
            |scorer: &mut Scorer| scorer.score(&registry, &wanted, (request.names(), request.len()), now);
        let by_policy = self.by_policy(score);
        let fallback_reason = by_policy.as_ref().err().copied();
        let (scores, outcome) = by_policy.unwrap_or_else(|_| score(&mut lock(&self.fallback)));
        Ok(Prioritized { scores, outcome, fallback_reason })
    }

    /// What the policy makes of it, or why it does not.
    fn by_policy<T>(&self, ask: impl FnOnce(&mut Scorer) -> T) -> Result<T, &'static str> {
        if self.disabled.load(Ordering::Relaxed) {
            return Err("disabled");
        }
        let mut policy = lock(&self.policy);
        let followed = policy.as_mut().ok_or("no-policy")?;
        // What a panic leaves behind is buffers, which the next decision fills anew.
        catch_unwind(AssertUnwindSafe(|| ask(&mut followed.scorer))).map_err(|_| "panic")
    }

    /// Takes in what the scheduler sent in full, where it does.
    fn learn(&self, request: &Arguments<'_>) {
        if let Some(nodes) = request.full_nodes() {
            self.write(|registry| registry.add_nodes(&self.config, nodes));
        }
    }

    fn write(&self, change: impl FnOnce(&mut Registry)) {
        change(&mut self.registry.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A panic elsewhere leaves nothing half done that would matter here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
