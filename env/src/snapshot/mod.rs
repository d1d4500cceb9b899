//! A moment as plain data: what a live system sends to be told what to do, and what an audit log keeps.
//!
//! A [`Snapshot`] owns everything that a [`View`] shows. It is made of JSON in two parts, of a [`View`], or by hand:
//!
//! - [`ClusterSpec`] says what does not change (machines, models, rules) and is checked once into a [`Site`];
//! - [`State`] says what is so now: jobs, runs, machines that are away, the past; and [`Delta`] what has changed since.
//!
//! Names stand for machines, kinds, models and artefacts; times are whole nanoseconds. Whatever is at odds with itself
//! is refused, with the field and its value.
//!
//! **Invariant: a policy decides on a snapshot as it does on the view that the snapshot is of.** Two things are not in
//! it: [`View::outlook`], as what is to come cannot be written down, and [`View::continuity`], as nobody vouches for it;
//! both only save time or serve planners, which [`Snapshot::simulator`] gives an outlook.
//!
//! ```
//! use std::sync::Arc;
//! use yardmaster_env::snapshot::{Site, Snapshot, State};
//!
//! let cluster = r#"{"format": 1, "nodes": [{"name": "a", "kind": "v100", "devices": 2}]}"#;
//! let state = r#"{"format": 1, "now_ns": 5000000000, "jobs": [
//!     {"id": 7, "arrival_ns": 0, "task": {"rigid": {"requested_ns": 60000000000}}}]}"#;
//! let site = Arc::new(Site::from_json(cluster)?);
//! let snapshot = Snapshot::new(&site, &State::from_json(state)?)?;
//! let view = snapshot.view();
//! assert_eq!((view.queue.len(), view.free), (1, &[2][..]));
//! # Ok::<(), yardmaster_env::snapshot::SnapshotError>(())
//! ```

mod arrivals;
mod decision;
mod delta;
mod error;
mod read;
mod read_data;
mod site;
mod spec;
mod state;
mod write;
mod write_site;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::DataPlane;
use crate::job::Job;
use crate::loads::Loads;
use crate::timing::Timing;
use crate::units::{JobId, Time};
use crate::view::{History, Progress, Running, Stream, View};

pub use decision::Told;
pub use delta::Delta;
pub use error::SnapshotError;
pub use site::Site;
pub use spec::{
    ClusterSpec, FootprintSpec, KindSpec, MachineSpec, MemoryState, NetworkState, NodeNetwork, RulesSpec,
    ScalingSpec, StreamSpec, VariantSpec,
};
pub use state::{
    CachedState, DataState, HistoryState, HoldingState, JobState, LoadState, LoadedState, ProgressState,
    RunState, ShareState, State, Status, TaskState, TransferState, WayState,
};

/// Version of the format; a reader takes exactly its own.
pub const FORMAT: u32 = 1;
/// Most machines of a cluster.
pub const MAX_NODES: usize = 100_000;
/// Most jobs of a state, those that have ended included.
pub const MAX_JOBS: usize = 1_000_000;
/// Most devices of a job.
pub const MAX_GANG: u32 = 1_000_000;
/// Most devices of a cluster.
pub const MAX_DEVICES: u64 = 100_000_000;
/// Most inference models, and most kinds of its own, of a cluster.
pub const MAX_NAMES: usize = 4096;
/// Jobs that have ended which are worth remembering: no rule looks back further.
pub const REMEMBERED: usize = 256;

/// Everything that a [`View`] shows, owned and consistent.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    site: Arc<Site>,
    sequence: u64,
    now: Time,
    timing: Timing,
    jobs: Vec<Job>,
    /// What the sender calls each job.
    ids: Vec<u64>,
    queue: Vec<JobId>,
    streams: Vec<Stream>,
    free: Vec<u32>,
    free_by_kind: Vec<u32>,
    running: Vec<Running>,
    history: History,
    progress: Vec<Progress>,
    corrections: Vec<f64>,
    in_service: Vec<u32>,
    data: Option<DataPlane>,
    loads: Option<Loads>,
    may_wait: bool,
}

/// Both parts in one text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// What does not change.
    pub cluster: ClusterSpec,
    /// What is so now.
    pub state: State,
}

impl Snapshot {
    /// The snapshot of a view.
    ///
    /// # Errors
    /// A view that is at odds with itself.
    pub fn of(view: &View<'_>) -> Result<Snapshot, SnapshotError> {
        let site = Arc::new(Site::new(ClusterSpec::of(view))?);
        let state = State::of(view, &site);
        Snapshot::new(&site, &state)
    }

    /// As [`Snapshot::new`], where the state tells no history and others came before: what has arrived since is added to
    /// what is remembered. A state from before the last one, as after a clock was set back, begins anew.
    ///
    /// # Errors
    /// As [`Snapshot::new`].
    pub fn after(before: &Snapshot, state: &State) -> Result<Snapshot, SnapshotError> {
        if Time(state.now_ns) < before.now {
            return Snapshot::new(&before.site, state);
        }
        let mut known = before.ids.clone();
        known.sort_unstable();
        let history = |snapshot: &Snapshot| {
            let mut history = before.history.clone();
            for (at, job) in snapshot.jobs.iter().enumerate() {
                if known.binary_search(&snapshot.ids[at]).is_err() {
                    arrivals::arrive(&mut history, at, job, &snapshot.timing, snapshot.site.cluster());
                }
            }
            history
        };
        Snapshot::with_history(&before.site, state, history)
    }

    /// Reads both parts from one text, `{"cluster": ..., "state": ...}`.
    ///
    /// # Errors
    /// Text that is no such thing, or says something that cannot be.
    pub fn from_json(text: &str) -> Result<Snapshot, SnapshotError> {
        let Document { cluster, state } = parse(text)?;
        Snapshot::new(&Arc::new(Site::new(cluster)?), &state)
    }

    /// Both parts as one text, which [`Snapshot::from_json`] reads.
    pub fn to_json(&self) -> String {
        json(&Document { cluster: self.site.spec().clone(), state: self.state() })
    }

    /// The part that changes.
    pub fn state(&self) -> State {
        State {
            sequence: self.sequence,
            ..State::of_jobs(&self.view(), &self.site, |job| self.ids[job.index()])
        }
    }

    /// What a policy is shown.
    pub fn view(&self) -> View<'_> {
        View {
            now: self.now,
            cluster: self.site.cluster(),
            timing: &self.timing,
            jobs: &self.jobs,
            queue: &self.queue,
            continuity: None,
            streams: &self.streams,
            free: &self.free,
            free_by_kind: &self.free_by_kind,
            running: &self.running,
            history: &self.history,
            progress: &self.progress,
            corrections: &self.corrections,
            in_service: &self.in_service,
            rules: self.site.rules(),
            data: self.data.as_ref(),
            loads: self.loads.as_ref(),
            objective: self.site.objective(),
            discipline: self.site.discipline(),
            may_wait: self.may_wait,
            outlook: None,
        }
    }

    /// What does not change.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// The sender's count.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What the sender calls a job.
    pub fn id(&self, job: JobId) -> u64 {
        self.ids[job.index()]
    }
}

impl State {
    /// Reads JSON; what it says is checked by [`Snapshot::new`].
    ///
    /// # Errors
    /// Text that is not JSON of this shape.
    pub fn from_json(text: &str) -> Result<State, SnapshotError> {
        parse(text)
    }

    /// Leaves out jobs that have ended beyond the last [`REMEMBERED`] arrivals. No rule looks back further; rules that
    /// remember jobs by their place (`ga`, `aimd`) begin anew where places have shifted.
    pub fn trim(&mut self) {
        let old = self.jobs.len().saturating_sub(REMEMBERED);
        let running: std::collections::BTreeSet<u64> =
            self.running.iter().flat_map(|run| run.jobs.iter().copied()).collect();
        let mut at = 0;
        self.jobs.retain(|job| {
            at += 1;
            at > old || job.status != Status::Ended || running.contains(&job.id)
        });
        let known: std::collections::BTreeSet<u64> = self.jobs.iter().map(|job| job.id).collect();
        for job in &mut self.jobs {
            job.after = job.after.filter(|before| known.contains(before));
        }
    }
}

/// JSON of plain data with string keys, which cannot fail.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, SnapshotError> {
    serde_json::from_str(text).map_err(|why| SnapshotError::Syntax(why.to_string()))
}

/// By kind name.
type ByKind<T> = BTreeMap<String, T>;

#[cfg(test)]
mod tests;
