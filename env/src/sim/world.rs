//! What is simulated, checked as a whole.

use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::job::{Job, Workload};
use crate::objective::Objective;
use crate::serving::{Batches, Late, Serving};
use crate::timing::{KindSlot, Timing};
use crate::units::{JobId, Span};
use crate::view::Discipline;

/// What is simulated; shared by all simulations of the same episode.
#[derive(Clone, Debug)]
pub struct World {
    /// The machines.
    pub cluster: Cluster,
    /// What arrives, and the truth about it.
    pub workload: Workload,
    /// Estimated service times.
    pub timing: Timing,
    /// How decisions are carried out.
    pub discipline: Discipline,
    /// What a schedule costs.
    pub objective: Objective,
    /// After a wait without a moment the policy is asked again no later than this.
    pub hold: Option<Span>,
    /// Discipline `rounds`: how long a round is, and an allocation stands.
    pub rounds: RoundRules,
    /// Which batch sizes there are, and what becomes of late requests.
    pub serving: Serving,
}

/// Durations of the discipline `rounds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundRules {
    /// How long a slice lasts at most.
    pub quantum: Span,
    /// How long an allocation stands at least.
    pub reallocate: Span,
}

impl Default for RoundRules {
    /// 360 s and 1,920 s, as published for Gavel (OSDI'20).
    fn default() -> RoundRules {
        RoundRules { quantum: Span::from_secs(360), reallocate: Span::from_secs(1_920) }
    }
}

/// A world that cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// The batch-queue disciplines know one pool of alike devices.
    #[error(
        "discipline commit needs nodes of one device kind, the cluster has {kinds}: use the discipline free"
    )]
    CommitNeedsOneKind {
        /// Kinds in the cluster.
        kinds: usize,
    },
    /// Inference requests need to be batched, which the batch-queue disciplines cannot.
    #[error("discipline commit cannot serve inference requests: use the discipline free")]
    CommitNeedsJobs,
    /// A batch of requests cannot be cut off and resumed.
    #[error("discipline rounds cannot serve inference requests: use the discipline free")]
    RoundsNeedJobs,
    /// A round of no length would last for ever.
    #[error("the round has no length: make it longer than 0 s")]
    NoQuantum,
    /// No devices at all.
    #[error("the cluster has no devices")]
    NoDevices,
    /// A policy that waits would be asked again at the same moment, for ever.
    #[error("the longest hold is 0: leave it out or make it longer")]
    NoHold,
    /// Dropping must cost something.
    #[error("late requests cannot be dropped by the objective {objective}: use misses, which counts them")]
    DropsCostNothing {
        /// The objective.
        objective: &'static str,
    },
    /// A job that no placement or no cost could be given for.
    #[error("job {label} has {what}: a gang is at least 1 device, a weight a number from 0")]
    BadJob {
        /// Its number in the trace.
        label: u64,
        /// What is wrong with it.
        what: String,
    },
}

impl World {
    /// Builds the timing table and checks that the parts go together.
    pub fn new(
        catalog: &Catalog,
        cluster: Cluster,
        workload: Workload,
        discipline: Discipline,
        objective: Objective,
        hold: Option<Span>,
    ) -> Result<World, WorldError> {
        if cluster.devices() == 0 {
            return Err(WorldError::NoDevices);
        }
        if hold == Some(Span::ZERO) {
            return Err(WorldError::NoHold);
        }
        workload.jobs.iter().try_for_each(check_job)?;
        let timing = Timing::of(catalog, &cluster, &workload);
        if discipline == Discipline::Rounds && timing.models().len() > 0 {
            return Err(WorldError::RoundsNeedJobs);
        }
        if discipline.commits() {
            if cluster.kinds().len() != 1 {
                return Err(WorldError::CommitNeedsOneKind { kinds: cluster.kinds().len() });
            }
            if timing.models().len() > 0 {
                return Err(WorldError::CommitNeedsJobs);
            }
        }
        let rounds = RoundRules::default();
        let serving = Serving::default();
        Ok(World { cluster, workload, timing, discipline, objective, hold, rounds, serving })
    }

    /// The same world with other rules of serving; `catalog` is the one it was built with.
    ///
    /// # Errors
    /// Dropping, where the objective does not count misses.
    pub fn with_serving(mut self, catalog: &Catalog, serving: Serving) -> Result<World, WorldError> {
        if serving.late == Late::Drop && !matches!(self.objective, Objective::Misses { .. }) {
            return Err(WorldError::DropsCostNothing { objective: self.objective.name() });
        }
        if serving.batches == Batches::Measured {
            self.timing.keep_measured_batches(catalog);
        }
        self.serving = serving;
        Ok(self)
    }

    /// The same world with other rounds.
    ///
    /// # Errors
    /// A quantum of 0.
    pub fn with_rounds(self, rounds: RoundRules) -> Result<World, WorldError> {
        if rounds.quantum == Span::ZERO { Err(WorldError::NoQuantum) } else { Ok(World { rounds, ..self }) }
    }

    /// The shortest time in which the job can be served, on an empty cluster; `None` if it cannot be served at all.
    pub fn shortest(&self, id: JobId) -> Option<Span> {
        let job = &self.workload.jobs[id.index()];
        let slots = 0..self.timing.kinds();
        match job.request_model().and_then(|model| self.timing.stream_of(model)) {
            Some(stream) => slots.filter_map(|slot| self.timing.batch(stream, slot, 1)).min(),
            None => {
                let enough =
                    |slot: &KindSlot| self.cluster.devices_of(self.cluster.kinds()[*slot]) >= job.gang;
                slots.filter(enough).filter_map(|slot| self.timing.job(id.index(), slot)).min()
            }
        }
    }
}

fn check_job(job: &Job) -> Result<(), WorldError> {
    let bad = |what| Err(WorldError::BadJob { label: job.label, what });
    if job.gang == 0 {
        return bad("a gang of 0".to_owned());
    }
    if !(job.weight >= 0.0 && job.weight.is_finite()) {
        return bad(format!("the weight {}", job.weight));
    }
    Ok(())
}
