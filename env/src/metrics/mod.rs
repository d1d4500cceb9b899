//! What a finished schedule was worth, by the field's standard measures.
//!
//! A pipeline counts as one job: it is submitted with its first stage and finished with its last.

mod fairness;
mod machines;
mod outcome;
mod schedule;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use fairness::{Fairness, jain};
pub use machines::{KindUse, Machines, Wasted};
use outcome::{Outcome, ended};
pub use schedule::{StartRow, seconds_text, starts};

use crate::job::Job;
use crate::sim::{Record, Simulator, State, World};
use crate::units::Time;

/// Jobs shorter than this count as this long in a bounded slowdown (10 s, as in the literature).
pub const SLOWDOWN_FLOOR_S: f64 = 10.0;

/// Measures of one schedule. Times in seconds; means are over finished jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Finished jobs and requests.
    pub jobs: usize,
    /// Jobs that could never run on this cluster.
    pub refused: usize,
    /// Requests that left at their deadline without having been served.
    #[serde(default)]
    pub dropped: usize,
    /// Completion time: finish - arrival.
    pub mean_jct_s: f64,
    /// Median completion time (nearest rank).
    pub p50_jct_s: f64,
    /// 95th percentile of completion time (nearest rank).
    #[serde(default)]
    pub p95_jct_s: f64,
    /// 99th percentile of completion time (nearest rank).
    pub p99_jct_s: f64,
    /// First start - arrival.
    pub mean_wait_s: f64,
    /// The longest wait.
    pub max_wait_s: f64,
    /// Mean of max(1, completion time / max(run time, 10 s)).
    pub mean_bounded_slowdown: f64,
    /// The largest of them.
    pub max_bounded_slowdown: f64,
    /// Busy processor time / (processors * makespan).
    pub utilization: f64,
    /// The same with the last start in place of the last finish, as the RL-scheduling literature reports it; may
    /// exceed 1.
    pub utilization_to_last_start: f64,
    /// Last finish - first arrival.
    pub makespan_s: f64,
    /// Share of jobs, dropped requests among them, that met their deadline; a job without one has met it.
    pub slo_attainment: f64,
    /// Jobs that had a deadline.
    pub deadlines: usize,
    /// Those among them that met it.
    #[serde(default)]
    pub deadlines_met: usize,
    /// Goodput: jobs and requests that met their deadline, or had none, for each second of the episode.
    #[serde(default)]
    pub goodput_per_s: f64,
    /// Samples of training jobs that met their deadline, or had none, for each second of the episode.
    #[serde(default)]
    pub goodput_samples_per_s: f64,
    /// Mean requests per batch; 0 without requests.
    pub mean_batch: f64,
    /// The objective of the scenario.
    pub objective: f64,
    /// Decisions carried out.
    pub decisions: u64,
    /// What the machines did and what that cost.
    #[serde(flatten)]
    pub machines: Machines,
    /// How evenly service was shared out.
    #[serde(flatten)]
    pub fairness: Fairness,
    /// What came to nothing.
    #[serde(flatten)]
    pub wasted: Wasted,
}

impl Metrics {
    /// Measures a simulation that has run to its end.
    pub fn of(sim: &Simulator) -> Metrics {
        let world = sim.world();
        let done = Outcome::all(sim);
        let dropped = ended(sim, State::Dropped).count();
        let base = Metrics {
            jobs: done.len(),
            refused: ended(sim, State::Refused).count(),
            dropped,
            deadlines: dropped,
            decisions: sim.decisions(),
            objective: sim.cost().score(),
            slo_attainment: if dropped > 0 { 0.0 } else { 1.0 },
            machines: Machines::of(sim),
            fairness: Fairness::of(&done, world),
            wasted: Wasted::of(sim.usage()),
            ..Metrics::default()
        };
        if done.is_empty() { base } else { base.completion(&done).service(&done, world).occupation(sim) }
    }

    fn completion(mut self, done: &[Outcome<'_>]) -> Metrics {
        let values = |value: &dyn Fn(&Outcome<'_>) -> f64| done.iter().map(value).collect::<Vec<f64>>();
        let mut times = values(&|outcome| outcome.completion_s);
        let waits = values(&|outcome| outcome.wait_s);
        let slowdowns: Vec<f64> = done.iter().map(Outcome::bounded_slowdown).collect();
        self.mean_jct_s = mean(&times);
        self.mean_wait_s = mean(&waits);
        self.mean_bounded_slowdown = mean(&slowdowns);
        self.max_wait_s = waits.into_iter().fold(0.0, f64::max);
        self.max_bounded_slowdown = slowdowns.into_iter().fold(0.0, f64::max);
        times.sort_by(f64::total_cmp);
        self.p50_jct_s = percentile(&times, 0.50);
        self.p95_jct_s = percentile(&times, 0.95);
        self.p99_jct_s = percentile(&times, 0.99);
        self
    }

    fn service(mut self, done: &[Outcome<'_>], world: &World) -> Metrics {
        let in_time = || done.iter().filter(|outcome| outcome.is_in_time());
        let with_deadline = |outcome: &&Outcome<'_>| outcome.job.deadline.is_some();
        self.deadlines += done.iter().filter(with_deadline).count();
        self.deadlines_met = in_time().filter(with_deadline).count();
        let met = in_time().count() as f64;
        self.slo_attainment = met / (done.len() + self.dropped) as f64;
        // An episode of no length has no rate.
        let per_s = |count: f64| {
            if self.machines.episode_s > 0.0 { count / self.machines.episode_s } else { 0.0 }
        };
        self.goodput_per_s = per_s(met);
        self.goodput_samples_per_s = per_s(in_time().map(|outcome| outcome.samples(world)).sum());
        self
    }

    /// Of the devices, by all stages.
    fn occupation(mut self, sim: &Simulator) -> Metrics {
        let world = sim.world();
        let rows = world.workload.jobs.iter().zip(sim.records());
        let done: Vec<(&Job, &Record)> = rows.filter(|(_, record)| record.state == State::Finished).collect();
        let first = done.iter().map(|(job, _)| job.arrival).min().unwrap_or(Time::ZERO);
        let last = |moment: fn(&Record) -> Time| {
            let latest = done.iter().map(|(_, record)| moment(record)).max().unwrap_or(first);
            (latest - first).as_secs_f64()
        };
        // A batch occupies its device once, whatever the number of requests in it.
        let busy: f64 = done
            .iter()
            .map(|(job, record)| {
                let shared = if job.request_model().is_some() { f64::from(record.batch) } else { 1.0 };
                record.run_time().as_secs_f64() * f64::from(job.procs) / shared
            })
            .sum();
        self.makespan_s = last(|record| record.finish);
        let procs = world.cluster.procs() as f64;
        let share = |span: f64| if span > 0.0 { busy / (span * procs) } else { 0.0 };
        self.utilization = share(self.makespan_s);
        self.utilization_to_last_start = share(last(|record| record.start));
        let requests = || done.iter().filter(|(job, _)| job.request_model().is_some());
        let batches: f64 = requests().map(|(_, record)| 1.0 / f64::from(record.batch)).sum();
        self.mean_batch = if batches > 0.0 { requests().count() as f64 / batches } else { 0.0 };
        self
    }
}

/// Completion times of all finished jobs and pipelines, in seconds, sorted.
pub fn completion_times(sim: &Simulator) -> Vec<f64> {
    let mut times: Vec<f64> = Outcome::all(sim).iter().map(|outcome| outcome.completion_s).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// 0 of nothing.
fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The nearest-rank percentile of sorted values; 0 if there are none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}
