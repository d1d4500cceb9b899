//! Clusters that have been registered, with the last state of each.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use yardmaster_env::snapshot::{Delta, Site, Snapshot, SnapshotError, State};

/// Most clusters at a time.
pub const MOST: usize = 1024;

/// A cluster with its handle.
#[derive(Debug)]
pub struct Registered {
    site: Arc<Site>,
    last: Mutex<Option<Present>>,
}

/// What a caller tells of the present.
#[derive(Debug)]
pub enum News {
    /// All of it.
    State(Box<State>),
    /// What has changed since the last state.
    Delta(Box<Delta>),
}

/// The last state.
#[derive(Clone, Debug)]
struct Present {
    state: Arc<State>,
    /// The change that led to it, unless it was sent whole.
    delta: Option<Arc<Delta>>,
    snapshot: Arc<Snapshot>,
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
    /// Another one than the last, under the same number.
    #[error("sequence {sequence} was another state: count on for a new one; only the same may be sent again")]
    Renumbered {
        /// Of both.
        sequence: u64,
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

    /// Takes in what is so now, which is the last state from then on. What has arrived before is remembered, where it is
    /// not told. What was told last may be told again, by a caller who got no answer: it is the same snapshot.
    ///
    /// # Errors
    /// A state that cannot be or that has been overtaken, a change of nothing. The last state then stays.
    pub fn take(&self, news: News) -> Result<Arc<Snapshot>, StateError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &*last {
            if before.is_of(&news) {
                return Ok(Arc::clone(&before.snapshot));
            }
            news.check_count(before.state.sequence)?;
        }
        let present = news.after(last.as_ref(), &self.site)?;
        Ok(Arc::clone(&last.insert(present).snapshot))
    }

    /// The snapshot that [`Registered::take`] would make of it, for whoever only wants to look: the last state stays what
    /// it is, and a whole state may have any number.
    ///
    /// # Errors
    /// A state that cannot be, a change of nothing.
    pub fn look(&self, news: News) -> Result<Arc<Snapshot>, StateError> {
        // A copy, as decisions should not wait for this.
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match &last {
            Some(before) if before.is_of(&news) => Ok(Arc::clone(&before.snapshot)),
            before => Ok(news.after(before.as_ref(), &self.site)?.snapshot),
        }
    }
}

impl News {
    /// Refuses what is not newer than the last state. A whole state may leave off counting, a change of a state that is
    /// counted may not.
    fn check_count(&self, last: u64) -> Result<(), StateError> {
        let (sequence, counts) = match self {
            News::State(state) => (state.sequence, state.sequence > 0),
            News::Delta(delta) => (delta.sequence, true),
        };
        match sequence.cmp(&last) {
            Ordering::Less if counts => Err(StateError::Overtaken { sequence, last }),
            Ordering::Equal if last > 0 => Err(StateError::Renumbered { sequence }),
            _ => Ok(()),
        }
    }

    fn after(self, before: Option<&Present>, site: &Arc<Site>) -> Result<Present, StateError> {
        let (state, delta) = match (self, before) {
            (News::State(state), _) => (*state, None),
            (News::Delta(delta), Some(before)) => {
                let mut state = State::clone(&before.state);
                // What was told of the past is in the last snapshot, to which arrivals are added.
                state.advance(Delta::clone(&delta))?;
                (state, Some(Arc::from(delta)))
            }
            (News::Delta(_), None) => return Err(StateError::NoState),
        };
        let snapshot = match before {
            Some(before) => Snapshot::after(&before.snapshot, &state)?,
            None => Snapshot::new(site, &state)?,
        };
        Ok(Present { state: Arc::new(state), delta, snapshot: Arc::new(snapshot) })
    }
}

impl Present {
    /// Whether it is just what these news have made of the state before.
    fn is_of(&self, news: &News) -> bool {
        match (news, &self.delta) {
            (News::State(state), None) => *self.state == **state,
            (News::Delta(told), Some(known)) => **known == **told,
            _ => false,
        }
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
