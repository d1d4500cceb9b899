//! The part of a snapshot that changes, as JSON says it: jobs, runs, machines that are away, the past.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::spec::{is_one, is_one_f64, one, one_f64};
use crate::forecast::Forecast;
use crate::job::Choice;
use crate::serving::is_default;

/// What is so now. Checked when a [`super::Snapshot`] is made of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// [`super::FORMAT`].
    pub format: u32,
    /// Ascends from state to state, where the sender counts; 0 where it does not.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sequence: u64,
    /// The present, in nanoseconds since a start that the sender chooses.
    pub now_ns: u64,
    /// Whether the policy may decide to wait for the next event.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub may_wait: bool,
    /// Jobs and requests that wait or run, in order of arrival, and as many that have ended as are remembered.
    pub jobs: Vec<JobState>,
    /// The order of those that wait, requests apart, where it is not that of arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Vec<u64>>,
    /// What runs, in order of start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<RunState>,
    /// Machines that take nothing new: down, drained, or on their way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<String>,
    /// Devices in service by kind, where they are not those of machines that are open or on which something runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub in_service: BTreeMap<String, u32>,
    /// What has arrived so far; without it, the jobs that are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryState>,
    /// Where data is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataState>,
    /// By machine: what is loaded on each of its devices, in their order. Devices of machines that are absent are idle
    /// and empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub loads: BTreeMap<String, Vec<LoadState>>,
}

/// A job or request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobState {
    /// Unique among the jobs of a state.
    pub id: u64,
    /// When it was submitted.
    pub arrival_ns: u64,
    /// Whether it waits; what is in `running` runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: Status,
    /// What it computes.
    pub task: TaskState,
    /// Devices that it needs.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub gang: u32,
    /// Processors asked for; by default its devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub procs: Option<u32>,
    /// How much it counts.
    #[serde(default = "one_f64", skip_serializing_if = "is_one_f64")]
    pub weight: f64,
    /// When it should be finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ns: Option<u64>,
    /// By kind, how long it should take from start to finish, with its own gang; absent where it does not run. Without
    /// it, what its task says by the catalogue. Not for requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_ns: Option<BTreeMap<String, u64>>,
    /// By what factor that is corrected; see [`crate::rules::Rules::calibrated`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<f64>,
    /// The stage before it, if it is part of a pipeline: a job that is listed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Names of the artefacts that must be on its nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// Name of the artefact that it leaves on its first node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Other gangs and batches that it may run with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// All ways to run it, where it has a choice, the one that it was submitted with first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<WayState>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user: u32,
    /// What it has received, if it was cut off before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressState>,
}

/// Whether a job that does not run waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits, or runs.
    #[default]
    Waiting,
    /// It waits for another job, and cannot start.
    Blocked,
    /// It has ended, one way or another.
    Ended,
}

/// What a job computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum TaskState {
    /// Something of which only the time is known that its user asked for.
    Rigid {
        /// That time.
        requested_ns: u64,
    },
    /// A model is trained.
    Training {
        /// Its name in the catalogue.
        model: String,
        /// Samples per step over the whole gang.
        batch: u32,
        /// Samples in all.
        samples: u64,
    },
    /// Steps at a speed that the cluster lists.
    Steps {
        /// Which of its `step_speeds`, from 0.
        speeds: u32,
        /// Steps in all.
        steps: u64,
    },
    /// One answer of a model is asked.
    Request {
        /// One of the cluster's `streams`.
        model: String,
    },
}

/// See [`crate::timing::Way`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub struct WayState {
    pub gang: u32,
    pub batch: u32,
    /// By kind; absent where it does not run.
    pub takes_ns: BTreeMap<String, u64>,
    pub memory_bytes: u64,
}

/// See [`crate::view::Progress`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub struct ProgressState {
    pub steps: u64,
    pub slices: u32,
    pub received_ns: u64,
    #[serde(default)]
    pub turn: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_many: Option<u32>,
}

/// A job or batch that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// The job, or the requests of the batch.
    pub jobs: Vec<u64>,
    /// Requests served together, by default those listed; a training job's batch, by default its own; 1 for a rigid job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// The variant that serves the requests, as decisions count them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub variant: u16,
    /// When it started.
    pub start_ns: u64,
    /// When it begins or began to compute; by default when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_ns: Option<u64>,
    /// Whether its data is still on the way.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fetching: bool,
    /// When it should finish; by default what it takes after it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_finish_ns: Option<u64>,
    /// Where.
    pub nodes: Vec<ShareState>,
    /// Order of start, ascending; what decisions to cut it off name. By default its place in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}

/// Devices of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareState {
    /// Its name.
    pub node: String,
    /// How many.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub devices: u32,
}

/// See [`crate::view::History`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub struct HistoryState {
    pub arrivals: u64,
    pub sum_ln_work: f64,
    pub sum_work: f64,
    /// By kind, in the cluster's order.
    pub losses: Vec<(f64, f64)>,
    pub first_ns: Option<u64>,
    pub forecast: Forecast,
}

/// See [`crate::data::Picture`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataState {
    /// By machine, names of the artefacts in its cache, least recently used first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub caches: BTreeMap<String, Vec<CachedState>>,
    /// Transfers under way, in the order in which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<TransferState>,
    /// What runs keep from being evicted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<HoldingState>,
}

/// An artefact in a cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CachedState {
    /// Its name.
    pub artefact: String,
    /// It is on its way: a transfer brings it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub coming: bool,
}

/// See [`crate::data::Moving`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub struct TransferState {
    pub artefact: String,
    /// Machine.
    pub to: String,
    /// Machine; the central store if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub compressed: bool,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub kept: bool,
    /// Sequences of the runs that wait for it.
    pub waiters: Vec<u64>,
    pub starts_ns: u64,
    pub since_ns: u64,
    pub left_bytes: f64,
    pub bytes_per_s: f64,
    pub finish_ns: u64,
}

/// See [`crate::data::Holding`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldingState {
    /// Sequence of the run.
    pub run: u64,
    /// Transfers that it waits for.
    pub pending: u32,
    /// Machine and artefact.
    pub holds: Vec<(String, String)>,
}

/// What is on a device; see [`crate::data::DeviceState`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadState {
    /// Models on it, least recently used first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<LoadedState>,
    /// Whether something runs on it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub busy: bool,
    /// The model of what runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<LoadedState>,
    /// Memory of what runs, its model apart.
    #[serde(default, skip_serializing_if = "is_default")]
    pub working_bytes: u64,
    /// Number of its last start, ascending over all devices; 0 if there was none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub used: u64,
}

/// A loaded variant of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadedState {
    /// Its name.
    pub model: String,
    /// Its place in the catalogue; 0 is the reference.
    #[serde(default, skip_serializing_if = "is_default")]
    pub variant: u16,
}

pub(super) fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}
