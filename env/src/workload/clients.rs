//! Inference requests of a closed loop of clients, as a load generator sends them.

use serde::{Deserialize, Serialize};

use super::error::{WorkloadError, check, not_negative, positive};
use super::kind_names;
use super::requests::named;
use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::job::{Job, Task, Truth, Workload};
use crate::serving::Clients;
use crate::units::{Span, Time};

/// Clients that each send one request at a time to one model. Nothing is left to chance: all begin at time 0, and each
/// sends its next request when the one before has been answered (or dropped) and it has thought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSource {
    /// Name of the inference model.
    pub model: String,
    /// How many clients there are.
    pub clients: u32,
    /// Requests of all clients together, after which they stop.
    pub count: u32,
    /// From an answer to the next request of the same client, in milliseconds.
    #[serde(default)]
    pub think_ms: f64,
    /// Time from arrival to deadline, in milliseconds; none if absent.
    #[serde(default)]
    pub deadline_ms: Option<f64>,
    /// Weight of each request.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

impl ClientSource {
    pub(super) fn generate(&self, catalog: &Catalog, cluster: &Cluster) -> Result<Workload, WorkloadError> {
        let model = named(catalog, &self.model)?;
        check("clients", f64::from(self.clients), self.clients > 0, "at least 1")?;
        let weight = positive("weight", self.weight)?;
        if cluster.kinds().iter().all(|&kind| catalog.max_batch(model, kind) == 0) {
            let what = format!("`{}` runs", self.model);
            return Err(WorkloadError::NotRunnable { what, kinds: kind_names(catalog, cluster) });
        }
        let span = |ms: f64| Span::from_secs_f64(ms * 1e-3);
        let clients = Clients {
            count: self.clients,
            think: span(not_negative("think_ms", self.think_ms)?),
            deadline: self.deadline_ms.map(|ms| positive("deadline_ms", ms)).transpose()?.map(span),
        };
        let mut workload = Workload { clients: Some(clients), ..Workload::default() };
        for label in 0..self.count {
            let arrival = if label < self.clients { Time::ZERO } else { Time::MAX };
            let deadline = clients.deadline.map(|span| arrival + span);
            let job = Job::new(u64::from(label), arrival, Task::Request { model }, 1);
            workload.push(Job { deadline, weight, ..job }, Truth::AsEstimated);
        }
        Ok(workload)
    }
}
