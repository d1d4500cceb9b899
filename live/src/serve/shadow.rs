//! Policies that are asked beside the one that decides, in the background and without effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use yardmaster_agent::explain::difference::difference;
use yardmaster_env::snapshot::Snapshot;
use yardmaster_env::view::Decision;

use super::metrics::Metrics;
use crate::policy::{LoadError, Loaded, Mind};
use crate::regret::Regret;

/// Decisions that may wait for the shadows before some are left out.
const WAITING: usize = 256;
/// Decides what follows a decision that is tried.
const TAIL: &str = "mct";

/// The shadows.
pub struct Shadows {
    loaded: Vec<Arc<Loaded>>,
    seen: SyncSender<(Arc<Snapshot>, Decision)>,
    every: u64,
    count: AtomicU64,
    metrics: Metrics,
}

impl Shadows {
    /// Asks these of one decision in `every`.
    ///
    /// # Errors
    /// A policy that cannot decide here, or no thread for them.
    pub fn start(loaded: Vec<Arc<Loaded>>, every: u64, metrics: Metrics) -> Result<Shadows, LoadError> {
        let minds = loaded.iter().map(|loaded| loaded.mind().map(|mind| (loaded.name().to_owned(), mind)));
        let minds: Vec<(String, Mind)> = minds.collect::<Result<_, _>>()?;
        let regret = Regret::new(TAIL)?;
        for loaded in &loaded {
            // From the first, so that a rate can be taken of differences that there have not been.
            metrics.shadow_compared.with_label_values(&[loaded.name()]);
            metrics.shadow_differs.with_label_values(&[loaded.name()]);
        }
        let (seen, receiver) = sync_channel(WAITING);
        let counts = metrics.clone();
        let started = std::thread::Builder::new()
            .name("shadow".into())
            .spawn(move || compare(minds, &regret, &receiver, &counts));
        started.map_err(|source| LoadError::Read { path: "a thread for shadows".into(), source })?;
        Ok(Shadows { loaded, seen, every: every.max(1), count: AtomicU64::new(0), metrics })
    }

    /// Who they are.
    pub fn loaded(&self) -> &[Arc<Loaded>] {
        &self.loaded
    }

    /// Shows them a decision. Nobody waits for them.
    pub fn show(&self, snapshot: &Arc<Snapshot>, decision: &Decision) {
        if !self.count.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every) {
            return;
        }
        if self.seen.try_send((Arc::clone(snapshot), decision.clone())).is_err() {
            self.metrics.shadow_skipped.inc();
        }
    }
}

fn compare(
    mut minds: Vec<(String, Mind)>,
    regret: &Regret,
    seen: &Receiver<(Arc<Snapshot>, Decision)>,
    metrics: &Metrics,
) {
    let mut differed = 0;
    for (snapshot, decision) in seen {
        for (name, mind) in &mut minds {
            let (own, _) = mind.decide(&snapshot);
            metrics.shadow_compared.with_label_values(&[name.as_str()]).inc();
            if difference(&snapshot.view(), &decision, &own).is_none() {
                continue;
            }
            metrics.shadow_differs.with_label_values(&[name.as_str()]).inc();
            differed += 1;
            if let Some(regret) = regret.of(&snapshot, &decision, &own, differed) {
                let add = |statistic: &str, value: f64| {
                    metrics.shadow_regret.with_label_values(&[name.as_str(), statistic]).add(value);
                };
                add("sum", regret);
                add("squares", regret * regret);
                add("count", 1.0);
            }
        }
    }
}
