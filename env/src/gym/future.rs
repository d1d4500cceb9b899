//! What is still to come: privileged features for a critic that exists in training only.

use crate::sim::{Simulator, World};
use crate::units::{JobId, Span, Time};

/// Horizons in units of the scale.
const HORIZONS: [f64; 4] = [1.0, 3.0, 10.0, 30.0];

/// Number of privileged features: for each horizon of 1, 3, 10 and 30 times the scale, ln(1 + arrivals within it)
/// and ln(1 + their device-seconds / (devices x scale)); then the same two without a horizon.
pub const FUTURE: usize = 2 * HORIZONS.len() + 2;

/// The arrivals of an episode with prefix sums, so that a horizon costs one binary search.
#[derive(Clone, Debug)]
pub(super) struct Future {
    /// Jobs that can be served, in order, with the moment they are taken in.
    jobs: Vec<(JobId, Time)>,
    /// (jobs + 1): shortest device-seconds of all before.
    work: Vec<f64>,
    /// Geometric mean of the shortest device-seconds of all, which stands in until something has arrived.
    scale: f64,
    devices: f64,
}

impl Future {
    pub(super) fn new(world: &World) -> Future {
        let mut future = Future {
            jobs: Vec::with_capacity(world.workload.len()),
            work: vec![0.0],
            scale: 1.0,
            devices: f64::from(world.cluster.devices()),
        };
        let (mut sum, mut sum_ln) = (0.0, 0.0);
        let mut latest = Time::ZERO;
        for (at, job) in world.workload.jobs.iter().enumerate() {
            let id = JobId(at as u32);
            let Some(shortest) = world.shortest(id) else { continue };
            let work = (shortest.as_secs_f64() * f64::from(job.gang)).max(1e-9);
            sum += work;
            sum_ln += libm::log(work);
            // A job that was submitted before its predecessor in the list is taken in right after it.
            latest = latest.max(job.arrival);
            future.jobs.push((id, latest));
            future.work.push(sum);
        }
        if !future.jobs.is_empty() {
            future.scale = libm::exp(sum_ln / future.jobs.len() as f64);
        }
        future
    }

    /// Appends [`FUTURE`] values.
    pub(super) fn fill(&self, sim: &Simulator, out: &mut Vec<f32>) {
        let view = sim.view();
        let scale = match view.history.arrivals {
            0 => self.scale,
            arrivals => libm::exp(view.history.sum_ln_work / arrivals as f64),
        };
        let first = self.jobs.partition_point(|(id, _)| id.index() < sim.arrived());
        let mut push = |end: usize| {
            let work = (self.work[end] - self.work[first]) / (self.devices * scale);
            out.extend([(end - first) as f64, work].map(|value| libm::log1p(value.max(0.0)) as f32));
        };
        for horizon in HORIZONS {
            let end = view.now + Span::from_secs_f64(horizon * scale);
            push(first + self.jobs[first..].partition_point(|&(_, arrival)| arrival <= end));
        }
        push(self.jobs.len());
    }
}
