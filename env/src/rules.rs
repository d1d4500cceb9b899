//! What becomes of work and machines once something has been started: preemption, failures, machines that come and go,
//! gangs that are spread, and what devices cost. Each rule is off unless a scenario asks for it.

use std::ops::Add;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::job::{Job, Task};
use crate::units::{NodeId, Span, Time};

/// The rules of a world beyond its discipline; by default none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Whether a policy may preempt jobs. Requests are never preempted.
    pub preempt: bool,
    /// What a job that was cut off pays and keeps.
    pub resume: Resume,
    /// What a gang pays for being spread.
    pub spread: Spread,
    /// Machines that are added and removed by need.
    pub autoscale: Vec<Autoscale>,
    /// What energy and money count in the objective.
    pub prices: Prices,
    /// Whether estimates are corrected by how wrong the same users were before.
    pub calibrated: bool,
}

/// What a job that was cut off pays and keeps. Preempted, it saves its state and keeps all it has done; cut off by a
/// failure, it keeps what its last checkpoint holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// How long its devices are held at each start after the first before it goes on: saving, loading, warming up.
    pub restarts: Restarts,
    /// Computing time from one checkpoint to the next; without it a failure takes all.
    pub checkpoint: Option<Span>,
}

/// How long a restart takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restarts {
    /// As long for every job.
    Alike(Span),
    /// By the model that is trained; jobs without one restart at once.
    ByModel(Arc<[Span]>),
}

impl Default for Restarts {
    fn default() -> Restarts {
        Restarts::Alike(Span::ZERO)
    }
}

impl Restarts {
    /// As the catalogue says for each model.
    pub fn by_model(catalog: &Catalog) -> Restarts {
        Restarts::ByModel(catalog.training_models().iter().map(|model| model.restart).collect())
    }

    /// Of one job.
    pub fn of(&self, job: &Job) -> Span {
        match (self, job.task) {
            (Restarts::Alike(span), _) => *span,
            (Restarts::ByModel(spans), Task::Training { model, .. }) => {
                spans.get(model.index()).copied().unwrap_or_default()
            }
            (Restarts::ByModel(_), _) => Span::ZERO,
        }
    }
}

/// By what share a gang takes longer where its devices are not together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// On several nodes of one rack; 0.1 is a tenth longer.
    #[serde(default)]
    pub nodes: f64,
    /// On several racks.
    #[serde(default)]
    pub racks: f64,
}

impl Spread {
    /// Whether it makes a difference.
    pub fn matters(&self) -> bool {
        *self != Spread::default()
    }
}

/// A group of alike machines of which some are switched off while there is little to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscale {
    /// The machines, the first `least` of which stay.
    pub nodes: Vec<NodeId>,
    /// Machines that are never switched off.
    pub least: u32,
    /// One more is switched on once more than this many jobs and requests wait for each that is in service or on its
    /// way; above 0.
    pub waiting: f64,
    /// One that has had nothing to do for so long is switched off.
    pub idle: Span,
    /// From being switched on to being in service; it is paid for meanwhile.
    pub boot: Span,
}

/// What energy and money count in the objective, in its unit: an objective of completion time with `kwh = 600` holds
/// a kilowatt-hour to be worth as much as ten minutes of a job of weight 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Of a kilowatt-hour.
    #[serde(default)]
    pub kwh: f64,
    /// Of a US dollar.
    #[serde(default)]
    pub dollar: f64,
}

impl Add for Prices {
    type Output = Prices;

    fn add(self, other: Prices) -> Prices {
        Prices { kwh: self.kwh + other.kwh, dollar: self.dollar + other.dollar }
    }
}

/// What happens to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It fails: what runs there is cut off.
    Fail,
    /// It takes nothing new, and leaves when what runs there has ended.
    Drain,
    /// It comes (back) into service, with nothing on it.
    Join,
}

/// What happens to a machine when; part of an episode, so that all policies meet the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChange {
    /// When.
    pub at: Time,
    /// To which.
    pub node: NodeId,
    /// What.
    pub change: Change,
}
