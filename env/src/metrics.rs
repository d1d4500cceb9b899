//! What a finished schedule was worth, by the field's standard measures.

use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::sim::{Record, Simulator, State};
use crate::units::{JobId, Time};

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
    /// 99th percentile of completion time (nearest rank).
    pub p99_jct_s: f64,
    /// start - arrival.
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
    /// Mean requests per batch; 0 without requests.
    pub mean_batch: f64,
    /// The objective of the scenario.
    pub objective: f64,
    /// Decisions carried out.
    pub decisions: u64,
}

impl Metrics {
    /// Measures a simulation that has run to its end.
    pub fn of(sim: &Simulator) -> Metrics {
        let world = sim.world();
        let jobs = &world.workload.jobs;
        let done: Vec<(&Job, &Record)> =
            jobs.iter().zip(sim.records()).filter(|(_, record)| record.state == State::Finished).collect();
        let in_state = |state| sim.records().iter().filter(|record| record.state == state).count();
        let (refused, dropped) = (in_state(State::Refused), in_state(State::Dropped));
        let base = Metrics {
            jobs: done.len(),
            refused,
            dropped,
            deadlines: dropped,
            decisions: sim.decisions(),
            objective: sim.cost().score(),
            slo_attainment: if dropped > 0 { 0.0 } else { 1.0 },
            ..Metrics::default()
        };
        if done.is_empty() { base } else { base.measure(&done, world.cluster.procs() as f64) }
    }

    fn measure(mut self, done: &[(&Job, &Record)], procs: f64) -> Metrics {
        let count = done.len() as f64;
        let mean = |value: &dyn Fn(&Job, &Record) -> f64| {
            done.iter().map(|(job, record)| value(job, record)).sum::<f64>() / count
        };
        let jct = |job: &Job, record: &Record| (record.finish - job.arrival).as_secs_f64();
        let wait = |job: &Job, record: &Record| (record.start - job.arrival).as_secs_f64();
        self.mean_jct_s = mean(&jct);
        self.mean_wait_s = mean(&wait);
        self.mean_bounded_slowdown = mean(&bounded_slowdown);
        self.max_wait_s = done.iter().map(|(job, record)| wait(job, record)).fold(0.0, f64::max);
        self.max_bounded_slowdown =
            done.iter().map(|(job, record)| bounded_slowdown(job, record)).fold(0.0, f64::max);
        let mut times: Vec<f64> = done.iter().map(|(job, record)| jct(job, record)).collect();
        times.sort_by(f64::total_cmp);
        self.p50_jct_s = percentile(&times, 0.50);
        self.p99_jct_s = percentile(&times, 0.99);
        self.deadlines += done.iter().filter(|(job, _)| job.deadline.is_some()).count();
        let met =
            |(job, record): &&(&Job, &Record)| job.deadline.is_none_or(|deadline| record.finish <= deadline);
        self.slo_attainment = done.iter().filter(met).count() as f64 / (done.len() + self.dropped) as f64;
        self.use_of_devices(done, procs);
        self
    }

    fn use_of_devices(&mut self, done: &[(&Job, &Record)], procs: f64) {
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
        let share = |span: f64| if span > 0.0 { busy / (span * procs) } else { 0.0 };
        self.utilization = share(self.makespan_s);
        self.utilization_to_last_start = share(last(|record| record.start));
        let requests = || done.iter().filter(|(job, _)| job.request_model().is_some());
        let batches: f64 = requests().map(|(_, record)| 1.0 / f64::from(record.batch)).sum();
        self.mean_batch = if batches > 0.0 { requests().count() as f64 / batches } else { 0.0 };
    }
}

/// max(1, completion time / max(run time, 10 s)).
pub fn bounded_slowdown(job: &Job, record: &Record) -> f64 {
    let run = record.run_time().as_secs_f64();
    let jct = (record.finish - job.arrival).as_secs_f64();
    (jct / run.max(SLOWDOWN_FLOOR_S)).max(1.0)
}

/// The nearest-rank percentile of sorted values; 0 if there are none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// One row of the starts file.
#[derive(Clone, Debug, PartialEq)]
pub struct StartRow {
    /// The job.
    pub job: JobId,
    /// Its number in the trace.
    pub label: u64,
    /// Submitted.
    pub arrival: Time,
    /// Started.
    pub start: Time,
    /// Finished.
    pub finish: Time,
    /// `node` or `node*devices`, joined by `+`.
    pub nodes: String,
    /// Requests in its batch, or a training job's batch.
    pub batch: u32,
}

/// The schedule, one row a finished job, in order of arrival.
pub fn starts(sim: &Simulator) -> Vec<StartRow> {
    let world = sim.world();
    let rows = world.workload.jobs.iter().zip(sim.records()).enumerate();
    rows.filter(|(_, (_, record))| record.state == State::Finished)
        .map(|(at, (job, record))| StartRow {
            job: JobId(at as u32),
            label: job.label,
            arrival: job.arrival,
            start: record.start,
            finish: record.finish,
            nodes: nodes_text(sim, record),
            batch: record.batch,
        })
        .collect()
}

fn nodes_text(sim: &Simulator, record: &Record) -> String {
    let one = |share: &crate::view::Share| {
        let name = &sim.world().cluster.node(share.node).name;
        if share.devices == 1 { name.clone() } else { format!("{name}*{}", share.devices) }
    };
    record.nodes.iter().map(one).collect::<Vec<_>>().join("+")
}

/// Seconds with microsecond digits, exactly from the integer nanoseconds (rounded half up).
pub fn seconds_text(time: Time) -> String {
    let micros = (time.0 + 500) / 1000;
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(percentile(&values, 0.5), 2.0);
        assert_eq!(percentile(&values, 0.99), 4.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn seconds_have_microsecond_digits() {
        assert_eq!(seconds_text(Time(1_234_567_891)), "1.234568");
        assert_eq!(seconds_text(Time(5)), "0.000000");
    }
}
