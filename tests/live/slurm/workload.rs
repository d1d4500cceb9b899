//! Jobs whose run time depends on the node, drawn by the generator that policies are trained with.

use std::time::Duration;

use yardmaster_env::catalog::Catalog;
use yardmaster_env::job::Task;
use yardmaster_env::spec::{Scenario, Split};
use yardmaster_env::units::JobId;

/// The scenario of the cluster that `scripts/slurm-cluster.sh` starts, in which a minute is to last [`MINUTE_S`].
const SCENARIO: &str = include_str!("../../data/slurm/loopback.toml");
/// Seconds that a minute of the scenario takes.
const MINUTE_S: f64 = 1.5;

/// One job.
pub(super) struct Job {
    /// After the first submission.
    pub(super) arrival: Duration,
    /// What it trains.
    pub(super) model: String,
    /// What it tells the adapter.
    pub(super) comment: String,
    /// How long it sleeps on the nodes gpu1, gpu2 and gpu3.
    pub(super) seconds: [f64; 3],
}

/// Jobs in order of submission.
pub(super) struct Workload {
    pub(super) seed: u64,
    pub(super) jobs: Vec<Job>,
}

impl Workload {
    /// The first `count` jobs of a test episode.
    pub(super) fn draw(seed: u64, count: usize) -> Workload {
        let scenario = Scenario::parse(SCENARIO, "loopback.toml").unwrap();
        let world = scenario.world(Split::Test.seed(seed, 0)).unwrap();
        let catalog = Catalog::builtin();
        let kinds = ["v100", "p100", "k80"].map(|name| catalog.kind(name).unwrap());
        let slots = kinds.map(|kind| world.cluster.kinds().binary_search(&kind).unwrap());
        let scale = MINUTE_S / 60.0;
        let first = world.workload.jobs[0].arrival;
        let job = |(at, job): (usize, &yardmaster_env::job::Job)| {
            let Task::Training { model, batch, samples } = job.task else { panic!("no training job") };
            let name = &catalog.training_model(model).name;
            let on = |slot| world.timing.spans(JobId(at as u32))[slot];
            // A job that does not run on a kind would fail there at once; the scenario has none.
            let seconds = slots.map(|slot| on(slot).as_secs_f64() * scale);
            Job {
                arrival: Duration::from_secs_f64(job.arrival.since(first).as_secs_f64() * scale),
                model: name.clone(),
                comment: format!("yardmaster:model={name},batch={batch},samples={}", samples as f64 * scale),
                seconds,
            }
        };
        let jobs: Vec<Job> = world.workload.jobs.iter().enumerate().take(count).map(job).collect();
        assert_eq!(jobs.len(), count);
        for job in &jobs {
            assert!(job.seconds.iter().all(|&seconds| seconds < 600.0), "{}: {:?}", job.model, job.seconds);
        }
        Workload { seed, jobs }
    }
}
