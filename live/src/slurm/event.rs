//! What the adapter does and sees, for its log.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::jobs::JobKey;

/// A change to a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It gets its nodes and is released.
    Place {
        /// Names of the nodes.
        nodes: Vec<String>,
        /// What stands in its AdminComment.
        remark: String,
        /// Its priority, if that is ours to give.
        priority: Option<u32>,
    },
    /// It is released without nodes, so that Slurm places it.
    HandOver {
        /// Why.
        remark: String,
    },
    /// It was released for nodes where it did not start, and is freed from them.
    Free {
        /// Why.
        remark: String,
    },
    /// It stays held; its AdminComment says why.
    Note {
        /// Why.
        remark: String,
    },
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A change was made.
    Did(JobKey, Action),
    /// A change would have been made, were this no dry run.
    Would(JobKey, Action),
    /// A change could not be made; the job is as it was, or held with its nodes.
    Failed(JobKey, String),
    /// A job changed between decision and deed, and is left as it is.
    Changed(JobKey, String),
    /// A job waits although the policy would start it.
    Waits(JobKey, String),
    /// Something in Slurm's answer is passed over.
    Ignored(String),
    /// There is no such partition.
    NoPartition {
        /// Its name.
        name: String,
        /// The partitions that there are.
        others: Vec<String>,
        /// Whether it has been there before; if not, the name is likely wrong.
        was_there: bool,
    },
    /// Slurm's state could not be read, or Slurm refused to be changed; the next look is after this pause.
    Unreachable(String, Duration),
    /// It can be read again.
    Reachable,
    /// The policy failed, so many times in a row.
    PolicyFailed(String, u32),
    /// The policy has failed too often: jobs are released to Slurm for so long.
    PolicyPaused(Duration),
    /// The policy is asked again.
    PolicyBack,
    /// The disable file is there.
    Disabled(PathBuf),
    /// It is gone.
    Enabled,
}

impl Event {
    /// Whether somebody should look.
    pub fn is_warning(&self) -> bool {
        match self {
            Event::Did(_, Action::HandOver { .. } | Action::Free { .. } | Action::Note { .. }) => true,
            Event::Did(..) | Event::Would(..) | Event::Reachable | Event::PolicyBack | Event::Enabled => {
                false
            }
            Event::Changed(..) | Event::Waits(..) => false,
            _ => true,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Place { nodes, remark, priority: None } => {
                write!(f, "release on {}: {remark}", nodes.join(","))
            }
            Action::Place { nodes, remark, priority: Some(priority) } => {
                write!(f, "release on {} with priority {priority}: {remark}", nodes.join(","))
            }
            Action::HandOver { remark } => write!(f, "release to Slurm: {remark}"),
            Action::Free { remark } => write!(f, "free from its nodes: {remark}"),
            Action::Note { remark } => write!(f, "leave held: {remark}"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Did(job, action) => write!(f, "job {job}: {action}"),
            Event::Would(job, action) => write!(f, "job {job}: would {action}"),
            Event::Failed(job, why) => write!(f, "job {job}: left as it is: {why}"),
            Event::Changed(job, why) => write!(f, "job {job}: changed meanwhile, left as it is: {why}"),
            Event::Waits(job, why) => write!(f, "job {job}: waits: {why}"),
            Event::Ignored(what) => write!(f, "ignored: {what}"),
            Event::NoPartition { name, others, .. } if others.is_empty() => {
                write!(f, "there is no partition {name:?}, nor any other that this user may see")
            }
            Event::NoPartition { name, others, .. } => {
                write!(f, "there is no partition {name:?}: name one that is there, {}", others.join(", "))
            }
            Event::Unreachable(why, pause) => write!(f, "Slurm cannot be reached, again in {pause:?}: {why}"),
            Event::Reachable => write!(f, "Slurm can be reached again"),
            Event::PolicyFailed(why, times) => write!(f, "the policy failed ({times} in a row): {why}"),
            Event::PolicyPaused(pause) => {
                write!(f, "the policy is not asked for {pause:?}: jobs are released to Slurm")
            }
            Event::PolicyBack => write!(f, "the policy is asked again"),
            Event::Disabled(path) => write!(f, "{} is there: nothing is done", path.display()),
            Event::Enabled => write!(f, "the disable file is gone: at work again"),
        }
    }
}
