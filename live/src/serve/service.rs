//! The decision service without its sockets: states in, answers out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use yardmaster_agent::explain::moment::{Explained, Witness, explain_view};
use yardmaster_agent::registry;
use yardmaster_env::snapshot::{ClusterSpec, Delta, Site, Snapshot, State, Told};

use super::breaker::{Breaker, Circuit};
use super::clusters::{Clusters, News, Registered, StateError};
use super::config::Config;
use super::metrics::Metrics;
use super::shadow::Shadows;
use super::worker::{Decided, Fault, Workers, decide};
use crate::audit::{Audit, Entry};
use crate::clock::unix_ms;
use crate::policy::{About, LoadError, Loaded, Mind, Source};
use crate::reason::Reason;

/// Questions that may wait for the deciding threads.
const WAITING: usize = 256;
/// What is kept of the deadline for the fallback to decide in.
const RESERVE: f64 = 0.2;

/// What is asked: a whole state, a state of a cluster that is known, or a change of its last state.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The cluster, where it is not registered.
    cluster: Option<Box<ClusterSpec>>,
    /// The handle of one that is.
    handle: Option<String>,
    state: Option<Box<State>>,
    delta: Option<Box<Delta>>,
    /// Decisions wanted at most; by default one.
    most: Option<usize>,
    /// When the state was taken, in milliseconds since 1970.
    taken_unix_ms: Option<u64>,
}

/// The answer to a [`Question`].
#[derive(Debug, Serialize)]
struct Answered<'a> {
    decisions: Vec<OneDecision>,
    /// `policy` or `fallback`.
    by: &'static str,
    /// Why the fallback decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback_reason: Option<&'static str>,
    policy: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    digest: &'a str,
    sequence: u64,
}

#[derive(Debug, Serialize)]
struct OneDecision {
    #[serde(flatten)]
    told: Told,
    reason: Reason,
}

/// Why a request is not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// For metrics.
    pub reason: &'static str,
    /// For the caller.
    pub message: String,
}

impl Refusal {
    /// With this status and message.
    pub fn new(status: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, reason, message: message.into() }
    }
}

impl From<StateError> for Refusal {
    fn from(why: StateError) -> Refusal {
        match &why {
            StateError::Snapshot(_) => Refusal::new(422, "invalid", why.to_string()),
            StateError::Overtaken { .. } => Refusal::new(409, "stale", why.to_string()),
            StateError::Renumbered { .. } => Refusal::new(409, "renumbered", why.to_string()),
            StateError::NoState => Refusal::new(409, "no-state", why.to_string()),
        }
    }
}

/// Everything that a request needs.
pub struct Service {
    config: Config,
    policy: ArcSwap<Loaded>,
    fallback: Mutex<Mind>,
    workers: Workers,
    breaker: Mutex<Breaker>,
    clusters: Clusters,
    shadows: Option<Shadows>,
    audit: Option<Audit>,
    metrics: Metrics,
    disabled: AtomicBool,
    looked: Mutex<Option<Instant>>,
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A policy cannot be used.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// The log cannot be written.
    #[error("cannot write {path}: {source}")]
    Audit {
        /// Which file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system gives no threads.
    #[error("cannot start the deciding threads: {0}")]
    Threads(std::io::Error),
    /// The metrics cannot be registered.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

impl Service {
    /// Loads and verifies everything.
    ///
    /// # Errors
    /// A policy, shadow or fallback that cannot be used; a log that cannot be written.
    pub fn start(config: Config) -> Result<Service, StartError> {
        let metrics = Metrics::new()?;
        let policy = Arc::new(Loaded::load(&config.policy)?);
        let fallback = Loaded::load(&Source::Rule(config.fallback.clone()))?.mind()?;
        let shadows = config.shadows.iter().map(|source| Loaded::load(source).map(Arc::new));
        let shadows: Vec<Arc<Loaded>> = shadows.collect::<Result<_, _>>()?;
        let shadows = match shadows.is_empty() {
            true => None,
            false => Some(Shadows::start(shadows, config.shadow_every, metrics.clone())?),
        };
        let audit = config.audit.as_ref().map(|file| {
            let opened = Audit::open(&file.path, file.most_bytes, file.keep);
            opened.map_err(|source| StartError::Audit { path: file.path.display().to_string(), source })
        });
        let service = Service {
            policy: ArcSwap::new(policy),
            fallback: Mutex::new(fallback),
            workers: Workers::new(config.workers, WAITING, config.drill.as_deref())
                .map_err(StartError::Threads)?,
            breaker: Mutex::new(Breaker::new(config.misses, config.rest)),
            clusters: Clusters::default(),
            shadows,
            audit: audit.transpose()?,
            metrics,
            disabled: AtomicBool::new(false),
            looked: Mutex::new(None),
            config,
        };
        service.metrics.started.set(unix_ms() as f64 / 1e3);
        service.metrics.ready.set(1);
        service.tell_policies();
        Ok(service)
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The policy that decides now.
    pub fn policy(&self) -> Arc<Loaded> {
        self.policy.load_full()
    }

    /// Clusters that are known.
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// What is said about the policies, as JSON.
    pub fn policies(&self) -> serde_json::Value {
        let shadows = self.shadows.iter().flat_map(Shadows::loaded);
        let shadows: Vec<About> = shadows.map(|loaded| loaded.about()).collect();
        serde_json::json!({
            "active": self.policy.load().about(),
            "shadows": shadows,
            "fallback": self.config.fallback,
            "circuit": self.circuit().name(),
            "disabled": self.is_disabled(),
        })
    }

    /// Loads the policy again, from where it came or from another file, and swaps it in; whoever is being answered is
    /// answered by the old one. It stays if the new one cannot be verified.
    ///
    /// # Errors
    /// What is wrong with the new one.
    pub fn reload(&self, source: Option<Source>) -> Result<About, LoadError> {
        let source = source.unwrap_or_else(|| self.policy.load().source().clone());
        match Loaded::load(&source) {
            Ok(loaded) => {
                let about = loaded.about();
                self.policy.store(Arc::new(loaded));
                self.breaker().succeed();
                self.metrics.reloads.with_label_values(&["ok"]).inc();
                self.tell_policies();
                tracing::info!(policy = about.name, digest = about.digest, "policy loaded");
                Ok(about)
            }
            Err(why) => {
                self.metrics.reloads.with_label_values(&["failed"]).inc();
                tracing::error!(%why, "the policy was not loaded, the old one stays");
                Err(why)
            }
        }
    }

    fn tell_policies(&self) {
        self.metrics.policy.reset();
        let shadows =
            self.shadows.iter().flat_map(Shadows::loaded).map(|loaded| ("shadow", Arc::clone(loaded)));
        for (role, loaded) in std::iter::once(("active", self.policy())).chain(shadows) {
            self.metrics.policy.with_label_values(&[role, loaded.name(), loaded.digest()]).set(1.0);
        }
    }

    /// Registers a cluster under its name, or under one made of what it says.
    ///
    /// # Errors
    /// One that cannot be; too many.
    pub fn register(&self, body: &[u8]) -> Result<String, Refusal> {
        let spec: ClusterSpec = parse(body)?;
        let handle = match spec.name.is_empty() {
            true => format!("{:016x}", fnv1a(body)),
            false => spec.name.clone(),
        };
        let site = Site::new(spec).map_err(|why| Refusal::new(422, "invalid", why.to_string()))?;
        let full =
            || Refusal::new(507, "clusters", format!("there are {} clusters already", super::clusters::MOST));
        self.clusters.register(&handle, site).ok_or_else(full)?;
        Ok(handle)
    }

    /// Refuses a state that was taken too long ago, if its sender says when.
    fn check_age(&self, question: &Question) -> Result<(), Refusal> {
        let Some(taken) = question.taken_unix_ms else { return Ok(()) };
        let (age, most) = (unix_ms().saturating_sub(taken), self.config.max_age.as_millis());
        if u128::from(age) > most {
            let message = format!("the state is {age} ms old, the limit is {most} ms");
            return Err(Refusal::new(409, "stale", message));
        }
        Ok(())
    }

    /// What is asked about: the handle of a cluster, the cluster, and what is told of it.
    fn subject(&self, question: &mut Question) -> Result<(String, Arc<Registered>, News), Refusal> {
        let (handle, registered) = match (&question.handle, question.cluster.take()) {
            (Some(handle), None) => {
                let unknown = || {
                    let message =
                        format!("no cluster has the handle {handle:?}: register it at /v1/clusters");
                    Refusal::new(404, "unknown-handle", message)
                };
                (handle.clone(), self.clusters.find(handle).ok_or_else(unknown)?)
            }
            (None, Some(spec)) => {
                let name = spec.name.clone();
                let site = Site::new(*spec).map_err(|why| Refusal::new(422, "invalid", why.to_string()))?;
                (name, Arc::new(Registered::new(Arc::new(site))))
            }
            _ => return Err(Refusal::new(400, "malformed", "give either `handle` or `cluster`")),
        };
        let news = match (question.state.take(), question.delta.take()) {
            (Some(state), None) => News::State(state),
            (None, Some(delta)) => News::Delta(delta),
            _ => return Err(Refusal::new(400, "malformed", "give either `state` or `delta`")),
        };
        Ok((handle, registered, news))
    }

    /// Decides; the answer is JSON.
    ///
    /// # Errors
    /// A question that cannot be answered.
    pub async fn decide(&self, body: &[u8], asked: Instant) -> Result<String, Refusal> {
        let mut question: Question = parse(body)?;
        self.check_age(&question)?;
        let (handle, cluster, news) = self.subject(&mut question)?;
        let snapshot = cluster.take(news)?;
        let most = question.most.unwrap_or(1).clamp(1, 4096);
        let loaded = self.policy.load_full();
        let (decided, fallback_reason) = match self.ask(&snapshot, &loaded, most, asked).await {
            Ok(decided) => (decided, None),
            Err(reason) => (self.fall_back(&snapshot, most, reason)?, Some(reason)),
        };
        self.count(&decided, fallback_reason);
        if let (Some(shadows), Some(first)) = (&self.shadows, decided.first()) {
            shadows.show(&snapshot, &first.decision);
        }
        let by_policy = fallback_reason.is_none();
        let decisions = decided.into_iter().map(|one| OneDecision { told: one.told, reason: one.reason });
        let answer = Answered {
            decisions: decisions.collect(),
            by: if by_policy { "policy" } else { "fallback" },
            fallback_reason,
            policy: if by_policy { loaded.name() } else { &self.config.fallback },
            digest: if by_policy { loaded.digest() } else { "" },
            sequence: snapshot.sequence(),
        };
        let answer =
            serde_json::to_string(&answer).map_err(|why| Refusal::new(500, "internal", why.to_string()))?;
        self.log(handle, &snapshot, &answer);
        self.metrics.took(asked.elapsed());
        Ok(answer)
    }

    fn log(&self, handle: String, snapshot: &Arc<Snapshot>, answer: &str) {
        let Some(audit) = &self.audit else { return };
        let Ok(answer) = RawValue::from_string(answer.to_owned()) else { return };
        if !audit.log(Entry { time_ms: unix_ms(), handle, snapshot: Arc::clone(snapshot), answer }) {
            self.metrics.audit_lost.inc();
        }
    }

    fn count(&self, decided: &Decided, fallback_reason: Option<&'static str>) {
        for one in decided {
            let act = match one.told {
                Told::Start { .. } => "start",
                Told::Reserve { .. } => "reserve",
                Told::Allocate { .. } => "allocate",
                Told::Preempt { .. } => "preempt",
                Told::Wait { .. } => "wait",
            };
            self.metrics.decisions.with_label_values(&[act]).inc();
        }
        if let Some(reason) = fallback_reason {
            self.metrics.fallbacks.with_label_values(&[reason]).inc();
        }
        if decided.iter().any(|one| one.reason.unfamiliar.is_some()) {
            self.metrics.unfamiliar.inc();
        }
    }

    /// Asks the policy, unless something speaks against it; otherwise says what.
    async fn ask(
        &self,
        snapshot: &Arc<Snapshot>,
        loaded: &Arc<Loaded>,
        most: usize,
        asked: Instant,
    ) -> Result<Decided, &'static str> {
        if self.is_disabled() {
            return Err("disabled");
        }
        if !self.breaker().admit(Instant::now()) {
            return Err("circuit-open");
        }
        let limit = self.config.deadline.mul_f64(1.0 - RESERVE).saturating_sub(asked.elapsed());
        let answer = match self.workers.ask(Arc::clone(snapshot), Arc::clone(loaded), most) {
            Ok(answer) => tokio::time::timeout(limit, answer).await,
            Err(_) => return Err(self.miss("busy")),
        };
        match answer {
            Ok(Ok(Ok(decided))) => {
                self.breaker().succeed();
                self.metrics.circuit_open.set(0);
                Ok(decided)
            }
            Err(_) => Err(self.miss("deadline")),
            Ok(Ok(Err(Fault::Illegal(why)))) => {
                tracing::error!(why, "the policy decided against the rules");
                Err(self.miss("illegal"))
            }
            Ok(Ok(Err(_)) | Err(_)) => Err(self.miss("panic")),
        }
    }

    fn miss(&self, reason: &'static str) -> &'static str {
        let now = Instant::now();
        let mut breaker = self.breaker();
        breaker.miss(now);
        if breaker.circuit(now) == Circuit::Open {
            self.metrics.circuit_open.set(1);
            tracing::warn!(reason, "the policy is not asked for a while");
        }
        reason
    }

    /// How the circuit breaker stands.
    pub fn circuit(&self) -> Circuit {
        self.breaker().circuit(Instant::now())
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fall_back(
        &self,
        snapshot: &Arc<Snapshot>,
        most: usize,
        reason: &'static str,
    ) -> Result<Decided, Refusal> {
        let mut mind = self.fallback.lock().unwrap_or_else(PoisonError::into_inner);
        let decided = decide(&mut mind, snapshot, most);
        let failed = |fault| {
            let message = format!("the policy did not decide ({reason}), nor could the fallback: {fault:?}");
            Refusal::new(500, "fallback", message)
        };
        decided.map_err(failed)
    }

    /// Whether the disable file exists; looked at ten times a second at most.
    pub fn is_disabled(&self) -> bool {
        let Some(file) = &self.config.disable_file else { return false };
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if looked.is_none_or(|before| now.duration_since(before) > Duration::from_millis(100)) {
            *looked = Some(now);
            self.disabled.store(file.exists(), Ordering::Relaxed);
        }
        self.disabled.load(Ordering::Relaxed)
    }

    /// Explains what the policy would decide, or has just decided; without effect on anything.
    ///
    /// # Errors
    /// A question that cannot be answered; a policy that is a rule.
    pub fn explain(&self, body: &[u8]) -> Result<Explained, Refusal> {
        let mut question: Question = parse(body)?;
        let (_, cluster, news) = self.subject(&mut question)?;
        let snapshot = cluster.look(news)?;
        let failed = |why: &dyn std::fmt::Display| Refusal::new(500, "internal", why.to_string());
        let mut mind = self.policy.load().mind().map_err(|why| failed(&why))?;
        let no_net =
            || Refusal::new(422, "rule", "the policy is a rule, which says no more than its decision");
        let learned = mind.learned().ok_or_else(no_net)?;
        let policy = registry::build(&self.config.fallback).map_err(|why| failed(&why))?;
        let mut witnesses = [Witness { role: "fallback".into(), policy }];
        Ok(explain_view(learned, &mut witnesses, &snapshot.view(), 0))
    }

    /// Returns once the log is written.
    pub fn flush(&self) {
        if let Some(audit) = &self.audit {
            audit.flush();
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|why| Refusal::new(400, "malformed", format!("not what is expected: {why}")))
}

/// FNV-1a, for a handle that two clusters do not share by accident.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
