//! What a learned policy sees: features computed in one place, in training and live.
//!
//! Ratios and logarithms only, so that the same weights serve clusters and jobs of other sizes: times are taken
//! relative to `scale`, the geometric mean of the shortest service times that have arrived so far. Logarithms
//! come from `libm`, so that an observation is the same to the bit on each platform.

mod aims;
mod global;
mod jobs;
mod moment;
mod nodes;
mod pairs;
mod ready;
mod schema;

use self::moment::Moment;
pub use self::schema::{GLOBAL, JOB, NODE, PAIR, Schema};
use crate::candidates::Candidates;
use crate::job::Job;
use crate::releases::Releases;
use crate::units::Span;
use crate::view::{Decision, View};

/// A candidate's work group and node group, as rows of the observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Row in `jobs`.
    pub job: u32,
    /// Row in `nodes`.
    pub node: u32,
}

/// One decision in numbers. Ragged: the counts of jobs, nodes and candidates differ from one to the next.
///
/// Action `i < pairs.len()` is candidate `i`; where `wait` holds, action `pairs.len()` is to wait. Only legal
/// actions are listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// (global features)
    pub global: Vec<f32>,
    /// (jobs, job features), row-major
    pub jobs: Vec<f32>,
    /// (nodes, node features), row-major
    pub nodes: Vec<f32>,
    /// (candidates, pair features), row-major
    pub pair_features: Vec<f32>,
    /// (candidates)
    pub pairs: Vec<Pair>,
    /// Whether waiting is allowed.
    pub wait: bool,
}

impl Observation {
    /// Number of legal actions.
    pub fn actions(&self) -> usize {
        self.pairs.len() + usize::from(self.wait)
    }
}

/// Computes observations; owns every buffer, so a decision allocates nothing once they have grown.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    /// The actions that the observation's rows stand for.
    pub candidates: Candidates,
    /// Expected releases of devices.
    pub releases: Releases,
    observation: Observation,
    moment: Moment,
}

impl Observer {
    /// Lists the candidates of this moment, with what a rule proposes if there is one, and computes their features.
    pub fn observe(&mut self, view: &View<'_>, proposal: Option<Decision>) -> &Observation {
        self.candidates.fill_all(view, proposal);
        self.releases.fill(view);
        self.moment.fill(view, &self.candidates, &self.releases);
        let (candidates, moment, out) = (&self.candidates, &self.moment, &mut self.observation);
        out.wait = candidates.wait;
        out.global.clear();
        out.jobs.clear();
        out.nodes.clear();
        out.pair_features.clear();
        out.pairs.clear();
        moment.global(view, candidates, &mut out.global);
        moment.jobs(view, candidates, &mut out.jobs);
        moment.nodes(view, candidates, &self.releases, &mut out.nodes);
        moment.pairs(view, candidates, out);
        &self.observation
    }

    /// The last observation.
    pub fn observation(&self) -> &Observation {
        &self.observation
    }
}

/// Time to spare before the deadline if started now, relative to `span` seconds, squashed into (-1, 1); 0 without
/// a deadline.
fn slack(view: &View<'_>, job: &Job, span: f32) -> f32 {
    let Some(deadline) = job.deadline else { return 0.0 };
    let left = deadline.as_secs_f64() - view.now.as_secs_f64();
    let spare = left as f32 / span - 1.0;
    spare / (1.0 + spare.abs())
}

/// Share of the requests of a stream, from the oldest on, whose deadline lies before `end`; of `count` of them.
fn late_share(view: &View<'_>, stream: usize, count: u32, span: Span) -> f32 {
    let queue = &view.streams[stream].queue;
    let batch = &queue[..queue.len().min(count as usize)];
    let end = view.now + span;
    // Requests of a stream have the same time from arrival to deadline, nearly always: they become late in order.
    let late =
        batch.partition_point(|&request| view.job(request).deadline.is_some_and(|deadline| deadline < end));
    late as f32 / batch.len().max(1) as f32
}

fn seconds(span: Span) -> f32 {
    span.as_secs_f64() as f32
}

fn ln_seconds(span: Span) -> f32 {
    if span == Span::MAX { f32::INFINITY } else { ln(seconds(span)) }
}

fn ln(value: f32) -> f32 {
    // Most gangs, counts and weights are 1.
    if value == 1.0 { 0.0 } else { libm::logf(value.max(1e-9)) }
}

fn ln1p(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { libm::log1pf(value.max(0.0)) }
}

fn flag(value: bool) -> f32 {
    f32::from(u8::from(value))
}

#[cfg(test)]
mod tests;
