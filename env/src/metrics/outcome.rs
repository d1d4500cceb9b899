//! What became of each job, pipelines as one: from the submission of the first stage to the end of the last.

use crate::job::{Job, Task, Truth};
use crate::sim::{Record, Simulator, State, World};
use crate::timing::KindSlot;
use crate::units::{JobId, Span, Time};

use super::SLOWDOWN_FLOOR_S;

/// A finished job or pipeline.
#[derive(Clone, Debug)]
pub(super) struct Outcome<'a> {
    /// Its last stage.
    pub(super) id: JobId,
    /// The same.
    pub(super) job: &'a Job,
    /// When it was submitted; the first stage, if it is a pipeline.
    pub(super) submitted: Time,
    /// When it finished.
    pub(super) finish: Time,
    /// From submission to finish.
    pub(super) completion_s: f64,
    /// From submission to the first start.
    pub(super) wait_s: f64,
    /// For how long devices were occupied, all stages together.
    pub(super) run_s: f64,
}

impl Outcome<'_> {
    /// All jobs and pipelines that have finished, in order of submission of their last stages.
    pub(super) fn all(sim: &Simulator) -> Vec<Outcome<'_>> {
        ended(sim, State::Finished).map(|id| Outcome::of(sim, id)).collect()
    }

    fn of(sim: &Simulator, id: JobId) -> Outcome<'_> {
        let (jobs, records) = (&sim.world().workload.jobs, sim.records());
        let stages = || stages(sim.world(), id);
        let first = stages().last().unwrap_or(id).index();
        let (submitted, finish) = (jobs[first].arrival, records[id.index()].finish);
        Outcome {
            id,
            job: &jobs[id.index()],
            submitted,
            finish,
            completion_s: finish.since(submitted).as_secs_f64(),
            wait_s: records[first].start.since(submitted).as_secs_f64(),
            run_s: stages().map(|stage| records[stage.index()].run_time().as_secs_f64()).sum(),
        }
    }

    /// max(1, completion time / max(run time, 10 s)) (Feitelson et al., JSSPP'97).
    pub(super) fn bounded_slowdown(&self) -> f64 {
        (self.completion_s / self.run_s.max(SLOWDOWN_FLOOR_S)).max(1.0)
    }

    /// Whether it finished by its deadline; one without a deadline did.
    pub(super) fn is_in_time(&self) -> bool {
        self.job.deadline.is_none_or(|deadline| self.finish <= deadline)
    }

    /// Samples that it has trained on, all stages together.
    pub(super) fn samples(&self, world: &World) -> f64 {
        stages(world, self.id).map(|stage| samples(world, stage)).sum()
    }

    /// How long it takes alone on `1 / users` of the devices of each kind, in seconds: each stage runs on the kind where
    /// it ends first, and shares in time what it has too few devices of, for gang x users / devices times as long. With
    /// one user this is the shortest time on an empty cluster.
    pub(super) fn isolated_s(&self, world: &World, users: f64) -> f64 {
        let of_stage = |stage| {
            let gang = f64::from(world.workload.jobs[JobId::index(stage)].gang);
            let on = |(slot, span): (KindSlot, Span)| {
                let devices = f64::from(world.cluster.all_devices()[slot]);
                span.as_secs_f64() * (gang * users / devices).max(1.0)
            };
            true_spans(world, stage).map(on).min_by(f64::total_cmp).unwrap_or(0.0)
        };
        stages(world, self.id).map(of_stage).sum()
    }
}

/// The jobs in a state that stand for themselves or for a pipeline, being its last stage.
pub(super) fn ended(sim: &Simulator, state: State) -> impl Iterator<Item = JobId> + '_ {
    let ids = (0..).map(JobId).zip(sim.records());
    let here = ids.filter(move |(id, record): &(JobId, &Record)| {
        record.state == state && !sim.world().is_followed(*id)
    });
    here.map(|(id, _)| id)
}

/// A job and the stages before it, the last first.
fn stages(world: &World, id: JobId) -> impl Iterator<Item = JobId> + '_ {
    std::iter::successors(Some(id), |stage| world.workload.jobs[stage.index()].after)
}

fn samples(world: &World, stage: JobId) -> f64 {
    let factor = match world.workload.truths[stage.index()] {
        Truth::Steps(factor) | Truth::Needs { steps: factor, .. } => factor,
        Truth::AsEstimated | Truth::Duration(_) => 1.0,
    };
    match world.workload.jobs[stage.index()].task {
        Task::Training { samples, .. } => samples as f64 * factor,
        _ => 0.0,
    }
}

/// How long a job really takes on each kind that has devices enough and runs it; a request in a batch of its own.
fn true_spans(world: &World, id: JobId) -> impl Iterator<Item = (KindSlot, Span)> + '_ {
    let job = &world.workload.jobs[id.index()];
    let stream = job.request_model().and_then(|model| world.timing.stream_of(model));
    let slots = (0..world.timing.kinds()).filter(|&slot| world.cluster.all_devices()[slot] >= job.gang);
    slots.filter_map(move |slot| {
        let whole = match stream {
            Some(stream) => world.timing.batch(stream, slot, 1),
            None => world.timing.job(id.index(), slot),
        };
        let truth = |whole: Span| match world.workload.truths[id.index()] {
            Truth::AsEstimated => whole,
            Truth::Duration(actual) => actual,
            Truth::Steps(factor) | Truth::Needs { steps: factor, .. } => whole.scaled(factor),
        };
        whole.map(|whole| (slot, truth(whole)))
    })
}
