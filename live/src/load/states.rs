//! States to ask about: moments of a scenario at which so many jobs wait.

use std::sync::Arc;

use yardmaster_agent::policy::Policy;
use yardmaster_agent::registry::{self, RegistryError};
use yardmaster_env::sim::Simulator;
use yardmaster_env::snapshot::{ClusterSpec, Snapshot, SnapshotError, State, Status};
use yardmaster_env::spec::{Scenario, SpecError, Split};
use yardmaster_env::view::Decision;

/// Why there are no states.
#[derive(Debug, thiserror::Error)]
pub enum StatesError {
    /// The scenario has no such episode.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A state that cannot be told.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The rule that fills the machines is missing.
    #[error(transparent)]
    Rule(#[from] RegistryError),
    /// Never so many wait.
    #[error("in {scenario:?} there are never {queued} that wait, {most} at most")]
    TooFew {
        /// Its name.
        scenario: String,
        /// Wanted.
        queued: usize,
        /// Found.
        most: usize,
    },
}

/// A cluster with states of it.
#[derive(Clone, Debug)]
pub struct States {
    /// What is registered.
    pub cluster: ClusterSpec,
    /// As a live system would send them: what waits or runs, nothing that has ended and no history.
    pub states: Vec<State>,
}

impl States {
    /// At most `count` moments of test episodes at which at least `queued` jobs wait. The machines are left idle until
    /// then; after each moment the rule `mct` starts something.
    ///
    /// # Errors
    /// A scenario where so many never wait.
    pub fn of(scenario: &Scenario, queued: usize, count: usize, seed: u64) -> Result<States, StatesError> {
        let mut rule = registry::build("mct")?;
        let (mut cluster, mut states, mut most) = (None, Vec::new(), 0);
        for episode in 0..8 {
            let world = scenario.world(Split::Test.seed(seed, episode))?;
            let mut sim = Simulator::new(Arc::new(world));
            while let Some(view) = sim.next_decision() {
                let waiting =
                    view.queue.len() + view.streams.iter().map(|stream| stream.queue.len()).sum::<usize>();
                most = most.max(waiting);
                let full = waiting >= queued;
                if full && waiting <= queued + queued / 8 {
                    let snapshot = Snapshot::of(&view)?;
                    cluster.get_or_insert_with(|| snapshot.site().spec().clone());
                    states.push(lean(snapshot.state()));
                }
                let decision = match view.may_wait && !full {
                    true => Decision::Wait { until: None },
                    false => rule.decide(&view),
                };
                if states.len() == count || sim.apply(decision).is_err() {
                    break;
                }
            }
            if states.len() == count {
                break;
            }
        }
        let name = &scenario.spec().name;
        match cluster {
            Some(cluster) => Ok(States { cluster: ClusterSpec { name: name.clone(), ..cluster }, states }),
            None => Err(StatesError::TooFew { scenario: name.clone(), queued, most }),
        }
    }

    /// Bodies for `/v1/decide`, by the handle of the cluster.
    pub fn bodies(&self) -> Vec<String> {
        let body =
            |state: &State| serde_json::json!({ "handle": self.cluster.name, "state": state }).to_string();
        self.states.iter().map(body).collect()
    }
}

fn lean(mut state: State) -> State {
    state.jobs.retain(|job| job.status != Status::Ended);
    for job in &mut state.jobs {
        job.after = None;
    }
    State { history: None, ..state }
}
