//! What is remembered of arrivals, from the jobs themselves.

use smallvec::SmallVec;

use crate::cluster::Cluster;
use crate::forecast::Forecast;
use crate::job::Job;
use crate::timing::Timing;
use crate::units::Span;
use crate::view::History;

/// The history of these jobs, in order of arrival, as if nothing had been before.
pub(super) fn remember(jobs: &[Job], timing: &Timing, cluster: &Cluster) -> History {
    let forecast = Forecast::new(timing.models().len());
    let mut history = History { forecast, ..History::default() };
    (0..jobs.len()).for_each(|at| arrive(&mut history, at, &jobs[at], timing, cluster));
    history
}

/// Takes in the job at a place of the table. One that runs nowhere is none.
pub(super) fn arrive(history: &mut History, at: usize, job: &Job, timing: &Timing, cluster: &Cluster) {
    let stream = job.request_model().and_then(|model| timing.stream_of(model));
    let span = |slot| match stream {
        Some(stream) => timing.batch(stream, slot, 1),
        None => timing.job(at, slot),
    };
    let spans: SmallVec<[Option<Span>; 8]> = (0..timing.kinds()).map(span).collect();
    let room = spans.iter().zip(cluster.all_devices()).filter(|(_, devices)| **devices >= job.gang);
    let Some(shortest) = room.filter_map(|(span, _)| *span).min() else { return };
    history.arrive(job.arrival, job.gang, shortest, &spans, stream);
}
