//! What has changed since the last state, so that a large one need not be sent each time.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::state::{DataState, HistoryState, JobState, LoadState, RunState, State, Status};
use super::{ByKind, FORMAT, SnapshotError};

/// Changes from one state to the next, carried out in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// [`super::FORMAT`].
    pub format: u32,
    /// Of the new state; the old one's must be lower, where they are counted.
    #[serde(default)]
    pub sequence: u64,
    /// The present.
    pub now_ns: u64,
    /// See [`State::may_wait`].
    #[serde(default = "super::state::yes")]
    pub may_wait: bool,
    /// Jobs and requests that have ended, whether they ran or waited. A batch ends as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<u64>,
    /// Jobs that were cut off and wait again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut_off: Vec<u64>,
    /// Jobs that have arrived, or that are now to be told differently.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobState>,
    /// What has started, in order of start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub started: Vec<RunState>,
    /// See [`State::queue`]; absent it is that of arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Vec<u64>>,
    /// Machines that take nothing new; absent as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Vec<String>>,
    /// See [`State::in_service`].
    #[serde(default, skip_serializing_if = "ByKind::is_empty")]
    pub in_service: ByKind<u32>,
    /// See [`State::history`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryState>,
    /// See [`State::data`]; absent as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataState>,
    /// See [`State::loads`]; absent as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loads: Option<ByKind<Vec<LoadState>>>,
}

impl State {
    /// Carries changes out.
    ///
    /// # Errors
    /// Another format, time or counting that runs backwards, jobs that are not there. The state is then no longer to be
    /// used.
    pub fn advance(&mut self, delta: Delta) -> Result<(), SnapshotError> {
        if delta.format != FORMAT {
            return Err(SnapshotError::Format { what: "the change", found: delta.format, reads: FORMAT });
        }
        if delta.now_ns < self.now_ns {
            return Err(SnapshotError::range(
                "now_ns",
                delta.now_ns,
                format!("no earlier than {}", self.now_ns),
            ));
        }
        if delta.sequence <= self.sequence && self.sequence > 0 {
            return Err(SnapshotError::range("sequence", delta.sequence, format!("above {}", self.sequence)));
        }
        (self.now_ns, self.sequence, self.may_wait) = (delta.now_ns, delta.sequence, delta.may_wait);
        self.end(&delta.ended)?;
        self.cut_off(&delta.cut_off)?;
        delta.jobs.into_iter().for_each(|job| self.put(job));
        for (at, run) in delta.started.into_iter().enumerate() {
            let last = self.running.last().and_then(|last| last.sequence);
            let sequence = run.sequence.or(last.map(|last| last + 1)).or(Some(at as u64));
            self.running.push(RunState { sequence, ..run });
        }
        self.queue = delta.queue;
        self.closed = delta.closed.unwrap_or_else(|| std::mem::take(&mut self.closed));
        self.in_service = delta.in_service;
        self.history = delta.history;
        self.data = delta.data.or_else(|| self.data.take());
        self.loads = delta.loads.unwrap_or_else(|| std::mem::take(&mut self.loads));
        self.trim();
        Ok(())
    }

    fn end(&mut self, ended: &[u64]) -> Result<(), SnapshotError> {
        for id in ended {
            self.job_mut(*id, "ended")?.status = Status::Ended;
        }
        let ended: BTreeSet<u64> = ended.iter().copied().collect();
        if let Some(run) = self.running.iter().find(|run| {
            let gone = run.jobs.iter().filter(|id| ended.contains(id)).count();
            gone > 0 && gone < run.jobs.len()
        }) {
            return Err(SnapshotError::range(
                "ended",
                format!("a part of {:?}", run.jobs),
                "all requests of a batch",
            ));
        }
        self.running.retain(|run| !run.jobs.iter().any(|id| ended.contains(id)));
        Ok(())
    }

    fn cut_off(&mut self, stopped: &[u64]) -> Result<(), SnapshotError> {
        for id in stopped {
            let before = self.running.len();
            self.running.retain(|run| !run.jobs.contains(id));
            if self.running.len() == before {
                return Err(SnapshotError::range("cut_off", id, "a job that runs"));
            }
        }
        Ok(())
    }

    /// Adds a job in its place by arrival, or tells one that is known differently.
    fn put(&mut self, job: JobState) {
        match self.jobs.iter_mut().find(|known| known.id == job.id) {
            Some(known) => *known = job,
            None => {
                let at = self.jobs.partition_point(|known| known.arrival_ns <= job.arrival_ns);
                self.jobs.insert(at, job);
            }
        }
    }

    fn job_mut(&mut self, id: u64, field: &str) -> Result<&mut JobState, SnapshotError> {
        let found = self.jobs.iter_mut().find(|job| job.id == id);
        found.ok_or_else(|| SnapshotError::range(field, id, "the id of one of the jobs"))
    }
}
