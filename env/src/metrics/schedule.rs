//! The schedule as rows: when and where each job ran.

use crate::sim::{Record, Simulator, State};
use crate::units::{JobId, Time};

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
    fn seconds_have_microsecond_digits() {
        assert_eq!(seconds_text(Time(1_234_567_891)), "1.234568");
        assert_eq!(seconds_text(Time(5)), "0.000000");
    }
}
