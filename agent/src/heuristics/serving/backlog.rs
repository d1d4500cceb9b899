//! What waits for one model, seen so that any batch of its oldest requests is judged in constant time.

use yardmaster_env::job::Job;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{JobId, Span, Time};
use yardmaster_env::view::View;

/// The waiting requests of a stream, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Backlog<'a> {
    pub(super) stream: usize,
    pub(super) queue: &'a [JobId],
    jobs: &'a [Job],
    now: Time,
    /// From arrival to deadline of the oldest; `None` without a deadline.
    pub(super) patience: Option<Span>,
    /// Sums over the first requests, from 0: weights.
    weights: Vec<f64>,
    /// And weights times `exp(-slack / scale)` of those whose deadline has not passed, slack as of now.
    urgencies: Vec<f64>,
    /// The scale of urgency, in seconds; infinite without a deadline.
    scale_s: f64,
}

impl<'a> Backlog<'a> {
    /// The first `most` requests of a stream; `kappa` is the scale of urgency in units of the time from arrival to
    /// deadline. `None` if nothing waits.
    pub(super) fn new(view: &View<'a>, stream: usize, most: usize, kappa: f64) -> Option<Backlog<'a>> {
        let queue: &'a [JobId] = &view.streams[stream].queue;
        let oldest = view.job(*queue.first()?);
        let patience = oldest.deadline.map(|deadline| deadline.since(oldest.arrival));
        let scale_s = patience.map_or(f64::INFINITY, |patience| kappa * patience.as_secs_f64().max(1e-9));
        let (mut weights, mut urgencies) = (vec![0.0], vec![0.0]);
        for &request in queue.iter().take(most) {
            let job = view.job(request);
            // A stage in the middle of a pipeline bears no weight of its own.
            let weight = if job.weight > 0.0 { job.weight } else { 1.0 };
            weights.push(weights[weights.len() - 1] + weight);
            urgencies.push(urgencies[urgencies.len() - 1] + weight * urgency(job, view.now, scale_s));
        }
        Some(Backlog { stream, queue, jobs: view.jobs, now: view.now, patience, weights, urgencies, scale_s })
    }

    /// The request that has waited longest.
    pub(super) fn oldest(&self) -> &'a Job {
        self.job(0)
    }

    /// When a request, counted from 0, should be answered.
    pub(super) fn deadline(&self, at: usize) -> Option<Time> {
        self.job(at).deadline
    }

    fn job(&self, at: usize) -> &'a Job {
        &self.jobs[self.queue[at].index()]
    }

    /// How many of the first `batch` requests are late if they are answered at `finish`. Deadlines of a stream are taken
    /// to be in order of arrival.
    pub(super) fn late(&self, batch: u32, finish: Time) -> usize {
        self.queue[..batch as usize].partition_point(|&request| {
            self.jobs[request.index()].deadline.is_some_and(|deadline| deadline < finish)
        })
    }

    /// Weight of the requests from `first` to `end`, both counted from 0, `end` not included.
    pub(super) fn weight(&self, first: usize, end: usize) -> f64 {
        self.weights[end] - self.weights[first]
    }

    /// The same with each request weighted by `exp(-slack / scale)`, where slack is what is left to its deadline at
    /// `finish`; for requests that are in time then.
    pub(super) fn urgency(&self, first: usize, end: usize, finish: Time) -> f64 {
        let later = libm::exp(finish.since(self.now).as_secs_f64() / self.scale_s);
        (self.urgencies[end] - self.urgencies[first]) * later
    }

    /// The largest batch of a variant on a kind that takes at most a part of the time from arrival to deadline, and at
    /// least the smallest there is; 0 where the model does not run. Latencies are taken not to fall with the batch.
    pub(super) fn cap(&self, view: &View<'_>, slot: KindSlot, variant: u16, part: f64) -> u32 {
        let size = |batch| view.timing.variant_largest(self.stream, variant, slot, batch);
        let most = size(self.queue.len() as u32);
        let Some(limit) = self.patience.map(|patience| patience.scaled(part)) else { return most };
        let (mut least, mut beyond) = (size(1), most + 1);
        while beyond - least > 1 {
            let middle = least + (beyond - least) / 2;
            let span = view.timing.variant_batch(self.stream, variant, slot, size(middle));
            if span.is_some_and(|span| span <= limit) { least = middle } else { beyond = middle }
        }
        size(least.min(most))
    }
}

/// `exp(-slack / scale)`; 0 where the deadline has passed, 1 without one.
fn urgency(job: &Job, now: Time, scale_s: f64) -> f64 {
    match job.deadline {
        None => 1.0,
        Some(deadline) if deadline < now => 0.0,
        Some(deadline) => libm::exp(-deadline.since(now).as_secs_f64() / scale_s),
    }
}
