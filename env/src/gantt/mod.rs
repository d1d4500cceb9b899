//! Schedules drawn: as text for tests and documents, as SVG for people.
//!
//! A simulation knows how many devices of a node a job holds, not which; the drawing deals them out, lowest first
//! and side by side where it can.

pub(crate) mod paint;
mod rows;
pub(crate) mod scale;
mod svg;
mod text;

pub use svg::{SvgOptions, svg};
pub use text::text;

use crate::sim::{Record, Simulator, State};
use crate::units::{JobId, NodeId, Time};
use crate::view::Placement;

/// A job or batch on neighbouring devices of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bar {
    /// The job, or the oldest request of the batch.
    job: JobId,
    /// Requests in the batch; 1 for a job.
    requests: u32,
    start: Time,
    /// The present, if it still runs.
    finish: Time,
    node: NodeId,
    /// First device of the node.
    lane: u32,
    /// Devices.
    lanes: u32,
}

/// What is to be drawn.
#[derive(Clone, Debug)]
struct Chart {
    /// By node, then device, then start.
    bars: Vec<Bar>,
    /// First submission.
    origin: Time,
    /// End of the last bar.
    end: Time,
    refused: Vec<JobId>,
    dropped: Vec<JobId>,
    waiting: Vec<JobId>,
}

/// A job, a slice of one, or a batch, before its devices are dealt out.
struct Run<'a> {
    job: JobId,
    requests: u32,
    start: Time,
    /// Until when its devices are held.
    held: Time,
    nodes: &'a Placement,
    /// The present, if it still runs.
    finish: Time,
}

impl Chart {
    /// Reads a simulation that has run, to its end or not.
    fn of(sim: &Simulator) -> Chart {
        let in_state = |state: State| -> Vec<JobId> {
            let records = sim.records().iter().enumerate();
            records.filter(move |(_, record)| record.state == state).map(|(at, _)| JobId(at as u32)).collect()
        };
        let origin = sim.world().workload.jobs.first().map_or(Time::ZERO, |job| job.arrival);
        let bars = deal(sim, &runs(sim));
        let end = bars.iter().map(|bar| bar.finish).max().unwrap_or(origin);
        let [refused, dropped, waiting] = [State::Refused, State::Dropped, State::Queued].map(in_state);
        Chart { bars, origin, end, refused, dropped, waiting }
    }
}

/// Slices of jobs, where jobs are sliced or were cut off.
fn slices(sim: &Simulator) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    for (at, record) in sim.records().iter().enumerate() {
        for slice in &record.slices {
            let (start, held) = (slice.start, slice.finish);
            let job = JobId(at as u32);
            runs.push(Run {
                job,
                requests: 1,
                start,
                held,
                nodes: &slice.nodes,
                finish: held.min(sim.now()),
            });
        }
    }
    runs
}

/// Jobs, their slices, and batches in order of start; those that take no time first, for they leave their devices at
/// once.
fn runs(sim: &Simulator) -> Vec<Run<'_>> {
    let mut runs = whole(sim);
    let sliced = slices(sim);
    if !sliced.is_empty() {
        runs.extend(sliced);
        runs.sort_by_key(|run| (run.start, run.held > run.start, run.job));
    }
    runs
}

/// What ran in one piece.
fn whole(sim: &Simulator) -> Vec<Run<'_>> {
    let jobs = &sim.world().workload.jobs;
    let in_one = |record: &Record| {
        record.slices.is_empty() && matches!(record.state, State::Running | State::Finished)
    };
    let records = sim.records().iter().enumerate().filter(|(_, record)| in_one(record));
    let mut all: Vec<(JobId, &Record)> = records.map(|(at, record)| (JobId(at as u32), record)).collect();
    let batch = |record: &Record| (record.finish, record.nodes.first().map(|share| share.node), record.batch);
    all.sort_by_key(|&(job, record)| {
        let model = jobs[job.index()].request_model();
        (record.start, record.finish > record.start, model, model.map(|_| batch(record)), job)
    });
    let mut runs = Vec::new();
    let mut rest = &all[..];
    // The members of a batch are neighbours now.
    while let Some(&(job, record)) = rest.first() {
        let request = jobs[job.index()].request_model().is_some();
        let requests = if request { record.batch.max(1) } else { 1 };
        let finish = if record.state == State::Running { sim.now() } else { record.finish };
        let Record { start, finish: held, nodes, .. } = record;
        runs.push(Run { job, requests, start: *start, held: *held, nodes, finish });
        rest = rest.get(requests as usize..).unwrap_or_default();
    }
    runs
}

fn deal(sim: &Simulator, runs: &[Run<'_>]) -> Vec<Bar> {
    let nodes = sim.world().cluster.nodes();
    // (nodes, devices): until when each device is held.
    let mut held: Vec<Vec<Time>> = nodes.iter().map(|node| vec![Time::ZERO; node.devices as usize]).collect();
    let mut bars = Vec::new();
    for run in runs {
        for share in run.nodes {
            let held = &mut held[share.node.index()];
            for (lane, lanes) in pieces(held, run.start, share.devices as usize) {
                held[lane..lane + lanes].fill(run.held);
                bars.push(Bar {
                    job: run.job,
                    requests: run.requests,
                    start: run.start,
                    finish: run.finish,
                    node: share.node,
                    lane: lane as u32,
                    lanes: lanes as u32,
                });
            }
        }
    }
    bars.sort_by_key(|bar| (bar.node, bar.lane, bar.lanes, bar.start, bar.job));
    bars
}

/// Free devices, (first, count): the lowest that lie side by side, or else the lowest.
fn pieces(held: &[Time], now: Time, need: usize) -> Vec<(usize, usize)> {
    let mut gaps: Vec<(usize, usize)> = Vec::new();
    for (lane, _) in held.iter().enumerate().filter(|(_, until)| **until <= now) {
        match gaps.last_mut() {
            Some((first, count)) if *first + *count == lane => *count += 1,
            _ => gaps.push((lane, 1)),
        }
    }
    if let Some(&(first, _)) = gaps.iter().find(|(_, count)| *count >= need) {
        return vec![(first, need)];
    }
    let mut missing = need;
    for (_, count) in &mut gaps {
        *count = missing.min(*count);
        missing -= *count;
    }
    gaps.retain(|&(_, count)| count > 0);
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_side_by_side_are_preferred() {
        let held = [0, 9, 0, 0, 9, 0].map(Time);
        assert_eq!(pieces(&held, Time(5), 1), [(0, 1)]);
        assert_eq!(pieces(&held, Time(5), 2), [(2, 2)]);
        assert_eq!(pieces(&held, Time(5), 3), [(0, 1), (2, 2)]);
        assert_eq!(pieces(&held, Time(9), 6), [(0, 6)]);
    }
}
