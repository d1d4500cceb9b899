//! Clusters that have been registered, with the last state of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use yardmaster_env::snapshot::{Delta, Site, Snapshot, SnapshotError, State};

/// Most clusters at a time.
pub const MOST: usize = 1024;

/// A cluster with its handle.
#[derive(Debug)]
pub struct Registered {
    site: Arc<Site>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    state: Option<State>,
    snapshot: Option<Arc<Snapshot>>,
}

/// Why a state is not decided about.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StateError {
    /// It makes no sense.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// An older one than the last.
    #[error("sequence is {sequence}, after {last}: a state that has been overtaken is not decided about")]
    Overtaken {
        /// Of this.
        sequence: u64,
        /// Of the last.
        last: u64,
    },
    /// A change of nothing.
    #[error("there is no state that this could be a change of: send a whole one first")]
    NoState,
}

impl Registered {
    /// No state yet.
    pub fn new(site: Arc<Site>) -> Registered {
        Registered { site, last: Mutex::default() }
    }

    /// What does not change.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// A whole state. What has arrived before is remembered, where the state does not tell it.
    ///
    /// # Errors
    /// A state that cannot be, or that has been overtaken; the last one then stays.
    pub fn put(&self, state: State) -> Result<Arc<Snapshot>, StateError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.state.as_ref().map_or(0, |state| state.sequence);
        if state.sequence <= before && state.sequence > 0 {
            return Err(StateError::Overtaken { sequence: state.sequence, last: before });
        }
        let snapshot = Arc::new(match &last.snapshot {
            Some(before) => Snapshot::after(before, &state)?,
            None => Snapshot::new(&self.site, &state)?,
        });
        *last = Last { state: Some(state), snapshot: Some(Arc::clone(&snapshot)) };
        Ok(snapshot)
    }

    /// A change of the last state.
    ///
    /// # Errors
    /// As [`Registered::put`]; there is no last state.
    pub fn change(&self, delta: Delta) -> Result<Arc<Snapshot>, StateError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(state), Some(before)) = (&last.state, &last.snapshot) else {
            return Err(StateError::NoState);
        };
        if delta.sequence <= state.sequence && state.sequence > 0 {
            return Err(StateError::Overtaken { sequence: delta.sequence, last: state.sequence });
        }
        let mut state = state.clone();
        // What was told of the past is in the last snapshot, to which arrivals are added.
        state.advance(delta)?;
        let snapshot = Arc::new(Snapshot::after(before, &state)?);
        *last = Last { state: Some(state), snapshot: Some(Arc::clone(&snapshot)) };
        Ok(snapshot)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Clusters(Mutex<BTreeMap<String, Arc<Registered>>>);

impl Clusters {
    /// Registers a cluster; one of the same handle is replaced, and keeps its last state if it says the same. `None` if
    /// there are too many.
    pub fn register(&self, handle: &str, site: Site) -> Option<Arc<Registered>> {
        let mut clusters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = clusters.get(handle).filter(|known| *known.site == site) {
            return Some(Arc::clone(known));
        }
        if clusters.len() >= MOST && !clusters.contains_key(handle) {
            return None;
        }
        let registered = Arc::new(Registered::new(Arc::new(site)));
        clusters.insert(handle.to_owned(), Arc::clone(&registered));
        Some(registered)
    }

    /// The cluster of a handle.
    pub fn find(&self, handle: &str) -> Option<Arc<Registered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(handle).cloned()
    }

    /// Handles and numbers of machines.
    pub fn list(&self) -> Vec<(String, usize)> {
        let clusters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.iter().map(|(handle, known)| (handle.clone(), known.site.cluster().nodes().len())).collect()
    }
}
