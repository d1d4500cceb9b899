//! What is to be run: jobs as a live scheduler knows them, and the truth it does not.

use serde::{Deserialize, Serialize};

use crate::data::{Artefact, ArtefactId};
use crate::rules::NodeChange;
use crate::serving::{Clients, is_default};
use crate::units::{InferenceId, JobId, KindId, Span, Time, TrainingId};

/// A unit of work as its owner submitted it; everything here is known to a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The number the trace or generator gave it; not an index.
    pub label: u64,
    /// When it was submitted.
    pub arrival: Time,
    /// What it computes.
    pub task: Task,
    /// Devices it occupies, all of one kind, from start to finish. An inference request has 1.
    pub gang: u32,
    /// Processors asked for; differs from `gang` only in traces whose devices are whole nodes.
    pub procs: u32,
    /// How much its completion time, slowdown or miss counts in the objective.
    pub weight: f64,
    /// When it should be finished, if that matters.
    pub deadline: Option<Time>,
    /// The stage before it, if it is part of a pipeline: an earlier job, which must have finished before this one can
    /// start. The last stage bears the weight of the pipeline, the others 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<JobId>,
    /// What must be on its nodes before it computes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ArtefactId>,
    /// What it leaves on its first node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<ArtefactId>,
    /// Other gangs and batches it may run with; a policy chooses one at each start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user: u32,
}

/// A gang, and the batch that it trains with as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Devices.
    pub gang: u32,
    /// Samples per step over the whole gang.
    pub batch: u32,
}

impl Choice {
    /// Samples per step of each device.
    pub fn per_device(self) -> u32 {
        self.batch.div_ceil(self.gang.max(1))
    }
}

/// What a job computes, which decides how long it takes where.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// Takes the same time on every device: a trace that tells only durations.
    Rigid {
        /// The duration its user asked for; the true one may differ.
        requested: Span,
    },
    /// Trains `model` on `samples` samples in steps of `batch`.
    Training {
        /// The model, with its measured speeds.
        model: TrainingId,
        /// Samples per step over the whole gang.
        batch: u32,
        /// Samples to process in all.
        samples: u64,
    },
    /// Runs `steps` steps at speeds that came with the trace.
    Steps {
        /// Index into [`Workload::speeds`].
        speeds: u32,
        /// Steps in all.
        steps: u64,
    },
    /// Asks for one answer from `model`; requests of one model can share a batch.
    Request {
        /// The model, with its measured batch latencies.
        model: InferenceId,
    },
}

impl Job {
    /// A job with unit weight, one processor per device and no deadline.
    pub fn new(label: u64, arrival: Time, task: Task, gang: u32) -> Job {
        Job {
            label,
            arrival,
            task,
            gang,
            procs: gang,
            weight: 1.0,
            deadline: None,
            after: None,
            inputs: Vec::new(),
            output: None,
            choices: Vec::new(),
            user: 0,
        }
    }

    /// The inference model it asks, if it is a request.
    pub fn request_model(&self) -> Option<InferenceId> {
        match self.task {
            Task::Request { model } => Some(model),
            _ => None,
        }
    }

    /// Tells the models of training jobs apart, whatever else a job may be.
    pub(crate) fn model_number(&self) -> u32 {
        match self.task {
            Task::Training { model, .. } => 1 + u32::from(model.0),
            _ => 0,
        }
    }

    /// The job as whole steps, as its owner describes it: a rigid job has one a nanosecond; a request has none.
    pub fn steps(&self) -> u64 {
        match self.task {
            Task::Rigid { requested } => requested.0,
            Task::Training { batch, samples, .. } => samples.div_ceil(u64::from(batch.max(1))),
            Task::Steps { steps, .. } => steps,
            Task::Request { .. } => 0,
        }
    }
}

/// How fast jobs of one type and gang size run, as a trace tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepSpeeds {
    /// What these jobs are called.
    pub name: String,
    /// Devices of each.
    pub gang: u32,
    /// Steps per second of the whole gang by device kind, above 0; where a kind is absent they do not run.
    pub by_kind: Vec<(KindId, f64)>,
}

impl StepSpeeds {
    /// Steps per second of the whole gang; `None` where the job does not run.
    pub fn on(&self, kind: KindId) -> Option<f64> {
        let found = self.by_kind.iter().find(|(known, _)| *known == kind);
        found.map(|&(_, speed)| speed).filter(|&speed| speed > 0.0 && speed.is_finite())
    }
}

/// What the simulator knows about a job and a policy does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Truth {
    /// Takes exactly as long as the catalogue or the user says.
    #[default]
    AsEstimated,
    /// A rigid job's true duration.
    Duration(Span),
    /// So many times the steps that its owner says.
    Steps(f64),
    /// So many times the steps and the memory that is expected.
    Needs {
        /// Of the steps that its owner says.
        steps: f64,
        /// Of the memory that the catalogue says.
        memory: f64,
    },
}

impl Truth {
    /// True memory over the expected one.
    pub fn memory_factor(self) -> f64 {
        if let Truth::Needs { memory, .. } = self { memory } else { 1.0 }
    }
}

/// Jobs in order of arrival, with the truth about each; what a simulation replays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// As submitted.
    pub jobs: Vec<Job>,
    /// As they will turn out, aligned with `jobs`.
    pub truths: Vec<Truth>,
    /// Speeds that came with the trace; see [`Task::Steps`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub speeds: Vec<StepSpeeds>,
    /// Who sends the jobs, if they come from a closed loop: all but the first request of each client then arrive at
    /// [`Time::MAX`], until the simulator knows better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,
    /// Models that may be served by any variant of at least this relative accuracy; the others are served by their
    /// reference alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floors: Vec<(InferenceId, f64)>,
    /// What jobs read and write; an [`ArtefactId`] is an index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artefacts: Vec<Artefact>,
    /// What happens to the machines, in order of time. Machines are in service until something happens to them; one
    /// that is to join later leaves at time 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<NodeChange>,
}

impl Workload {
    /// Adds a job and the truth about it.
    pub fn push(&mut self, job: Job, truth: Truth) {
        self.jobs.push(job);
        self.truths.push(truth);
    }

    /// Number of jobs.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// How many jobs have a moment of arrival before anything has happened.
    pub fn sent_at_first(&self) -> usize {
        self.clients.map_or(self.len(), |clients| self.len().min(clients.count as usize))
    }

    /// The jobs `[first, first + count)`, clipped to the workload. A closed loop is started anew.
    pub fn slice(&self, first: usize, count: usize) -> Workload {
        let first = first.min(self.len());
        let end = first.saturating_add(count).min(self.len());
        let kept = if self.clients.is_some() { 0..end - first } else { first..end };
        let (mut jobs, truths) = (self.jobs[kept.clone()].to_vec(), self.truths[kept.clone()].to_vec());
        for job in &mut jobs {
            // A pipeline that is cut begins with the first stage that is left.
            job.after = job
                .after
                .and_then(|before| before.index().checked_sub(kept.start))
                .map(|at| JobId(at as u32));
        }
        Workload {
            jobs,
            truths,
            speeds: self.speeds.clone(),
            clients: self.clients,
            floors: self.floors.clone(),
            artefacts: self.artefacts.clone(),
            changes: self.changes.clone(),
        }
    }

    /// The steps that a job really takes; see [`Job::steps`].
    pub fn true_steps(&self, id: JobId) -> u64 {
        match (self.jobs[id.index()].task, self.truths[id.index()]) {
            (Task::Rigid { .. }, Truth::Duration(duration)) => duration.0,
            (_, Truth::Steps(factor) | Truth::Needs { steps: factor, .. }) => {
                ((self.jobs[id.index()].steps() as f64 * factor) as u64).max(1)
            }
            _ => self.jobs[id.index()].steps(),
        }
    }
}
