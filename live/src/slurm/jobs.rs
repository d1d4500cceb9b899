//! Jobs as `squeue --json` lists them.

use std::fmt;

use serde::Deserialize;

use super::error::SlurmError;
use super::gres::{self, Gpus};
use super::hostlist;
use super::json::{Answer, Count, Words};

/// Tasks of one waiting array that are looked at; the others follow as these start.
const MOST_TASKS: usize = 1000;

/// What `scontrol` calls a job: `42`, or `42_3` for a task of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey {
    /// Of the job or the array.
    pub job: u32,
    /// Of the task.
    pub task: Option<u32>,
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(f, "{}_{task}", self.job),
            None => write!(f, "{}", self.job),
        }
    }
}

/// What Slurm is doing with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits, and Slurm must not start it.
    Held {
        /// By whom: an administrator, or else its owner or a submit filter.
        by_admin: bool,
    },
    /// It waits to be started by Slurm.
    Pending,
    /// It occupies devices: it is being started, runs, is suspended, or cleans up.
    Active,
    /// It is over.
    Ended,
}

/// The GPUs that a job asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// So many on each of its nodes.
    PerNode(Gpus),
    /// So many in all.
    PerJob(Gpus),
    /// In a way that is not understood, which Slurm places best itself.
    Other,
    /// None.
    Nothing,
}

/// A job of Slurm. What is compared with [`SlurmJob::request`] must not change between a decision and its being
/// carried out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SlurmJob {
    /// Its name for `scontrol`.
    pub(super) key: JobKey,
    /// Where it stands.
    pub(super) phase: Phase,
    /// What its owner wants.
    pub(super) request: Request,
    /// Why it waits, in Slurm's word.
    pub(super) reason: String,
    /// The administrator's remark, ours included.
    pub(super) admin_comment: String,
    /// When it was submitted, in seconds since 1970.
    pub(super) submit_s: u64,
    /// When it started, or is expected to.
    pub(super) start_s: u64,
    /// Where it runs.
    pub(super) nodes: Vec<String>,
    /// How many GPUs it has on each of them.
    pub(super) gpus_by_node: Vec<u32>,
}

/// What the owner of a job wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    /// What the owner calls it.
    pub(super) name: String,
    /// Whose it is.
    pub(super) user_id: u32,
    /// In which partition.
    pub(super) partition: String,
    /// The owner's remark, where the mark and the estimate are.
    pub(super) comment: String,
    /// GPUs.
    pub(super) gpus: Ask,
    /// Nodes, at least 1.
    pub(super) nodes: u32,
    /// Processors in all.
    pub(super) cpus: u32,
    /// Memory on each node, in MiB; 0 if it does not matter.
    pub(super) memory_mib: u64,
    /// Features that its nodes must have: `a&b`.
    pub(super) features: String,
    /// Nodes that it must have.
    pub(super) required_nodes: Vec<String>,
    /// Nodes that it must not have.
    pub(super) excluded_nodes: Vec<String>,
    /// Which jobs have to end first.
    pub(super) dependency: String,
    /// A reservation that it wants.
    pub(super) reservation: String,
    /// How long it may run, in seconds; `None` without a limit.
    pub(super) time_limit_s: Option<u64>,
    /// When it must have finished, in seconds since 1970.
    pub(super) deadline_s: Option<u64>,
}

impl Request {
    /// Processors on each node.
    pub(super) fn cpus_per_node(&self) -> u32 {
        self.cpus.div_ceil(self.nodes.max(1))
    }
}

/// What Slurm writes; keys of all versions from openapi v0.0.38 on.
#[derive(Deserialize)]
struct RawJob {
    job_id: Count,
    #[serde(default)]
    array_job_id: Count,
    #[serde(default)]
    array_task_id: Count,
    #[serde(default)]
    array_task_string: Words,
    #[serde(default)]
    het_job_id: Count,
    job_state: Words,
    #[serde(default)]
    state_reason: Words,
    #[serde(default)]
    hold: bool,
    priority: Count,
    #[serde(default)]
    name: Words,
    #[serde(default)]
    user_id: Count,
    partition: String,
    #[serde(default)]
    comment: Words,
    #[serde(default)]
    admin_comment: Words,
    #[serde(default)]
    tres_per_node: Words,
    #[serde(default)]
    tres_per_job: Words,
    #[serde(default)]
    tres_per_socket: Words,
    #[serde(default)]
    tres_per_task: Words,
    #[serde(default)]
    node_count: Count,
    #[serde(default)]
    cpus: Count,
    #[serde(default)]
    memory_per_node: Count,
    #[serde(default)]
    memory_per_cpu: Count,
    #[serde(default)]
    features: Words,
    #[serde(default)]
    required_nodes: Words,
    #[serde(default)]
    excluded_nodes: Words,
    #[serde(default)]
    dependency: Words,
    #[serde(default)]
    resv_name: Words,
    #[serde(default)]
    time_limit: Count,
    #[serde(default)]
    deadline: Count,
    #[serde(default)]
    submit_time: Count,
    #[serde(default)]
    start_time: Count,
    #[serde(default)]
    nodes: Words,
    #[serde(default)]
    gres_detail: Words,
}

/// The jobs that a text of `squeue --json` lists, and what could not be read, each in one sentence. A job that cannot be
/// read is left to Slurm; what it occupies is seen at its nodes.
pub(super) fn parse(text: &str) -> Result<(Vec<SlurmJob>, Vec<String>), SlurmError> {
    let values = Answer::parse("squeue --json", text)?.jobs("squeue --json")?;
    let (mut jobs, mut unreadable) = (Vec::with_capacity(values.len()), Vec::new());
    for value in values {
        let id = value.get("job_id").map_or_else(|| "without a number".to_owned(), ToString::to_string);
        match serde_json::from_value::<RawJob>(value) {
            Ok(raw) => raw.into_jobs(&mut jobs),
            Err(error) => unreadable.push(format!("job {id} cannot be read: {error}")),
        }
    }
    jobs.sort_by_key(|job| (job.submit_s, job.key));
    Ok((jobs, unreadable))
}

impl RawJob {
    /// One job, or one for each task of an array that waits.
    fn into_jobs(self, jobs: &mut Vec<SlurmJob>) {
        let array = self.array_job_id.or_zero() as u32;
        let own = match (array, self.array_task_id.get()) {
            (1.., Some(task)) => JobKey { job: array, task: Some(task as u32) },
            _ => JobKey { job: self.job_id.or_zero() as u32, task: None },
        };
        let tasks = match own.task {
            None => hostlist::tasks(&self.array_task_string.joined(), MOST_TASKS),
            Some(_) => Vec::new(),
        };
        let job = self.into_job(own);
        if tasks.is_empty() {
            jobs.push(job);
            return;
        }
        let task = |task| SlurmJob { key: JobKey { task: Some(task), ..own }, ..job.clone() };
        jobs.extend(tasks.into_iter().map(task));
    }

    fn into_job(self, key: JobKey) -> SlurmJob {
        let nodes = self.node_count.or_zero().max(1) as u32;
        let cpus = self.cpus.or_zero() as u32;
        let per_cpu = self.memory_per_cpu.or_zero() * u64::from(cpus.div_ceil(nodes));
        SlurmJob {
            key,
            phase: self.phase(),
            reason: self.state_reason.joined(),
            admin_comment: self.admin_comment.joined(),
            submit_s: self.submit_time.or_zero(),
            start_s: self.start_time.or_zero(),
            nodes: hostlist::expand(&self.nodes.joined()),
            gpus_by_node: self.gres_detail.0.iter().map(|detail| gres::count(detail)).collect(),
            request: Request {
                gpus: self.ask(),
                name: self.name.joined(),
                user_id: self.user_id.or_zero() as u32,
                partition: self.partition,
                comment: self.comment.joined(),
                nodes,
                cpus,
                memory_mib: self.memory_per_node.or_zero().max(per_cpu),
                features: self.features.joined(),
                required_nodes: hostlist::expand(&self.required_nodes.joined()),
                excluded_nodes: hostlist::expand(&self.excluded_nodes.joined()),
                dependency: self.dependency.joined(),
                reservation: self.resv_name.joined(),
                time_limit_s: self
                    .time_limit
                    .get()
                    .filter(|&minutes| minutes > 0)
                    .map(|minutes| minutes * 60),
                deadline_s: self.deadline.get().filter(|&deadline| deadline > 0),
            },
        }
    }

    fn phase(&self) -> Phase {
        const ENDED: [&str; 10] = [
            "BOOT_FAIL",
            "CANCELLED",
            "COMPLETED",
            "DEADLINE",
            "FAILED",
            "NODE_FAIL",
            "OUT_OF_MEMORY",
            "PREEMPTED",
            "REVOKED",
            "TIMEOUT",
        ];
        let is = |state: &str| self.job_state.0.iter().any(|word| word == state);
        if is("PENDING") {
            let held = self.hold || self.priority.get() == Some(0);
            let by_admin = self.state_reason.joined().contains("JobHeldAdmin");
            return if held { Phase::Held { by_admin } } else { Phase::Pending };
        }
        let over = ENDED.iter().any(|state| is(state)) && !is("COMPLETING");
        if over { Phase::Ended } else { Phase::Active }
    }

    fn ask(&self) -> Ask {
        let asks = [&self.tres_per_node, &self.tres_per_job, &self.tres_per_socket, &self.tres_per_task];
        let asks = asks.map(|words| gres::parse(&words.joined()));
        let [Some(node), Some(job), Some(socket), Some(task)] = asks else { return Ask::Other };
        // Parts of a heterogeneous job start together, which a placement of one of them would break.
        if !socket.is_empty() || !task.is_empty() || self.het_job_id.or_zero() > 0 {
            return Ask::Other;
        }
        match (node.as_slice(), job.as_slice()) {
            ([], []) => Ask::Nothing,
            ([gpus], []) if gpus.count > 0 => Ask::PerNode(gpus.clone()),
            ([], [gpus]) if gpus.count > 0 => Ask::PerJob(gpus.clone()),
            _ => Ask::Other,
        }
    }
}
