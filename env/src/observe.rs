//! What a learned policy sees: features computed in one place, in training and live.
//!
//! Ratios and logarithms only, so that the same weights serve clusters and jobs of other sizes: times are taken
//! relative to `scale`, the geometric mean of the shortest service times that have arrived so far. Logarithms
//! come from `libm`, so that an observation is the same to the bit on each platform.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::candidates::Candidates;
use crate::catalog::DeviceClass;
use crate::job::Job;
use crate::releases::Releases;
use crate::units::Span;
use crate::view::View;

/// About the whole moment.
pub const GLOBAL: [&str; 10] = [
    "ln1p_works",
    "ln1p_waiting",
    "ln1p_queued_work_per_device",
    "free_share",
    "ln1p_free",
    "ln1p_running",
    "ln1p_next_release",
    "ln_offered_load",
    "request_share",
    "may_wait",
];

/// About one work group.
pub const JOB: [&str; 16] = [
    "ln_shortest",
    "ln1p_waited",
    "ln1p_waited_over_shortest",
    "ln_gang",
    "ln_count",
    "has_deadline",
    "slack",
    "ln_weight",
    "ln_second_over_best_kind",
    "ln_mean_over_best_kind",
    "rank_by_size",
    "rank_by_age",
    "is_request",
    "backlog_over_batch",
    "ln_earliest_completion",
    "ln_wait_cost",
];

/// About one node group.
pub const NODE: [&str; 12] = [
    "free_share",
    "ln1p_free",
    "ln1p_devices",
    "share_of_cluster",
    "ln1p_next_release",
    "ln1p_mean_remaining",
    "mean_ln_inefficiency",
    "preferred_share",
    "ln1p_preferred_work_per_device",
    "is_cpu",
    "is_gpu",
    "is_tpu",
];

/// About one candidate.
pub const PAIR: [&str; 14] = [
    "ln_span",
    "ln_inefficiency",
    "ln_regret_of_completion",
    "saves_by_waiting",
    "rank_by_span_here",
    "rank_by_inefficiency_here",
    "gang_over_free",
    "ln_batch",
    "batch_share",
    "ln_batch_gain",
    "meets_deadline",
    "slack",
    "backlog_left",
    "is_best_kind",
];

/// Names of the features, by group; their digest is the schema id that a frozen policy carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// About the whole moment.
    pub global: Vec<String>,
    /// About one work group.
    pub job: Vec<String>,
    /// About one node group.
    pub node: Vec<String>,
    /// About one candidate: this work group on this node group in this batch.
    pub pair: Vec<String>,
}

impl Schema {
    /// The features this version computes.
    pub fn current() -> Schema {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Schema { global: owned(&GLOBAL), job: owned(&JOB), node: owned(&NODE), pair: owned(&PAIR) }
    }

    /// The first 16 hexadecimal digits of the SHA-256 of all names.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for (group, names) in
            [("global", &self.global), ("job", &self.job), ("node", &self.node), ("pair", &self.pair)]
        {
            hash.update(format!("{group}:{}\n", names.join(",")));
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

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

/// What several features share.
#[derive(Clone, Debug, Default)]
struct Moment {
    /// ln of the scale of time, in seconds.
    ln_scale: f32,
    scale: f32,
    devices: f32,
    /// (works, kinds): ln seconds; infinite where the work does not run.
    ln_spans: Vec<f32>,
    /// (works): ln seconds on the best kind.
    ln_best: Vec<f32>,
    /// (works): ln seconds to the earliest completion over all kinds, busy ones included.
    ln_completion: Vec<f32>,
    /// (works): earliest completion in seconds.
    completion: Vec<f32>,
    /// (kinds, works): `ln_spans` by kind, and how far they lie above the best.
    spans_here: Vec<f32>,
    excess_here: Vec<f32>,
}

impl Observer {
    /// Lists the candidates of this moment and computes their features.
    pub fn observe(&mut self, view: &View<'_>) -> &Observation {
        self.candidates.fill(view);
        self.releases.fill(view);
        self.moment.fill(view, &self.candidates, &self.releases);
        let observation = &mut self.observation;
        observation.wait = self.candidates.wait;
        global_features(view, &self.candidates, &self.moment, &mut observation.global);
        observation.jobs.clear();
        observation.nodes.clear();
        observation.pair_features.clear();
        observation.pairs.clear();
        self.moment.jobs(view, &self.candidates, &mut observation.jobs);
        self.moment.nodes(view, &self.candidates, &self.releases, &mut observation.nodes);
        self.moment.pairs(view, &self.candidates, observation);
        observation
    }

    /// The last observation.
    pub fn observation(&self) -> &Observation {
        &self.observation
    }
}

fn global_features(view: &View<'_>, candidates: &Candidates, moment: &Moment, out: &mut Vec<f32>) {
    let devices = moment.devices;
    let free: u32 = view.free_by_kind.iter().sum();
    let waiting: u32 = candidates.works.iter().map(|work| work.count).sum();
    let requests = candidates.works.iter().filter(|work| work.stream.is_some()).count();
    let work: f32 = (0..candidates.works.len()).map(|work| moment.work(view, candidates, work)).sum();
    let next = view.running.iter().map(|running| running.expected_finish.since(view.now)).min();
    let elapsed = view.history.first.map_or(0.0, |first| view.now.since(first).as_secs_f64() as f32);
    let offered = (view.history.sum_work as f32 + moment.scale) / ((elapsed + moment.scale) * devices);
    out.clear();
    out.extend([
        ln1p(candidates.works.len() as f32),
        ln1p(waiting as f32),
        ln1p(work / (devices * moment.scale)),
        free as f32 / devices,
        ln1p(free as f32),
        ln1p(view.running.len() as f32),
        next.map_or(0.0, |next| ln1p(moment.relative(next))),
        ln(offered),
        requests as f32 / candidates.works.len().max(1) as f32,
        flag(view.may_wait),
    ]);
}

impl Moment {
    fn fill(&mut self, view: &View<'_>, candidates: &Candidates, releases: &Releases) {
        let history = view.history;
        let ln_scale = if history.arrivals > 0 { history.sum_ln_work / history.arrivals as f64 } else { 0.0 };
        self.ln_scale = ln_scale as f32;
        self.scale = libm::exp(ln_scale) as f32;
        self.devices = view.cluster.devices() as f32;
        self.ln_spans.clear();
        self.ln_spans.extend(candidates.spans.iter().map(|&span| ln_seconds(span)));
        self.ln_best.clear();
        self.completion.clear();
        self.ln_completion.clear();
        let kinds = candidates.nodes.len();
        for (at, work) in candidates.works.iter().enumerate() {
            let gang = view.job(work.job).gang;
            let spans = &candidates.spans[at * kinds..][..kinds];
            // The best span is one of them, and so is its logarithm, which is dear.
            let best = spans.iter().position(|span| *span == candidates.best[at]);
            let ln_best = best.map_or(f32::INFINITY, |slot| self.ln_spans[at * kinds + slot]);
            self.ln_best.push(ln_best);
            let ends = spans.iter().enumerate().filter(|(_, span)| **span != Span::MAX);
            let completion =
                ends.filter_map(|(slot, &span)| releases.wait(slot, gang).map(|wait| wait + span)).min();
            let completion = completion.unwrap_or(candidates.best[at]);
            self.completion.push(seconds(completion));
            let waits = completion != candidates.best[at];
            self.ln_completion.push(if waits { ln_seconds(completion) } else { ln_best });
        }
        self.by_kind(kinds);
    }

    fn by_kind(&mut self, kinds: usize) {
        self.spans_here.clear();
        self.excess_here.clear();
        for slot in 0..kinds {
            for (spans, best) in self.ln_spans.chunks_exact(kinds).zip(&self.ln_best) {
                self.spans_here.push(spans[slot]);
                self.excess_here.push(spans[slot] - best);
            }
        }
    }

    /// A span in units of the scale.
    fn relative(&self, span: Span) -> f32 {
        seconds(span) / self.scale
    }

    /// Shortest device-seconds of a work group, all its members together.
    fn work(&self, view: &View<'_>, candidates: &Candidates, work: usize) -> f32 {
        let group = &candidates.works[work];
        // A stream's members share batches; its span is that of the largest.
        let batches = match group.stream {
            Some(_) => 1.0,
            None => group.count as f32,
        };
        seconds(candidates.best[work]) * view.job(group.job).gang as f32 * batches
    }

    /// Share of `values` below `value`, by counting.
    fn rank(values: &[f32], value: f32) -> f32 {
        let below: u32 = values.iter().map(|&other| u32::from(other < value)).sum();
        below as f32 / values.len().max(1) as f32
    }

    fn jobs(&mut self, view: &View<'_>, candidates: &Candidates, out: &mut Vec<f32>) {
        let kinds = candidates.nodes.len();
        let count = candidates.works.len() as f32;
        for (at, work) in candidates.works.iter().enumerate() {
            let job = view.job(work.job);
            let waited = seconds(view.waited(work.job));
            let shortest = seconds(candidates.best[at]).max(1e-9);
            let runs = self.ln_spans[at * kinds..][..kinds].iter().copied().filter(|span| span.is_finite());
            let (mut second, mut sum, mut n) = (f32::INFINITY, 0.0, 0.0);
            let mut best = f32::INFINITY;
            for span in runs {
                (best, second) = if span < best { (span, best) } else { (best, second.min(span)) };
                sum += span;
                n += 1.0;
            }
            let backlog = work.stream.map_or(0.0, |_| {
                let most = (0..kinds).filter_map(|slot| work.most(view, slot)).max().unwrap_or(1);
                work.count as f32 / most as f32
            });
            out.extend([
                self.ln_best[at] - self.ln_scale,
                ln1p(waited / self.scale),
                ln1p(waited / shortest),
                ln(job.gang as f32),
                ln(work.count as f32),
                flag(job.deadline.is_some()),
                slack(view, job, shortest),
                ln(job.weight.max(1e-6) as f32),
                if second.is_finite() { second - best } else { 0.0 },
                if n > 0.0 { sum / n - best } else { 0.0 },
                Self::rank(&self.ln_best, self.ln_best[at]),
                at as f32 / count,
                flag(work.stream.is_some()),
                backlog,
                self.ln_completion[at] - self.ln_scale,
                self.ln_completion[at] - self.ln_best[at],
            ]);
        }
    }

    fn nodes(&mut self, view: &View<'_>, candidates: &Candidates, releases: &Releases, out: &mut Vec<f32>) {
        let kinds = candidates.nodes.len();
        let works = candidates.works.len();
        for group in &candidates.nodes {
            let slot = group.slot;
            let ends = releases.ends(slot);
            let remaining: f32 = ends.iter().map(|&(end, n)| seconds(end.since(view.now)) * n as f32).sum();
            let busy = (group.devices - group.free).max(1) as f32;
            let next = if group.free > 0 { 0.0 } else { releases.wait(slot, 1).map_or(0.0, seconds) };
            let (mut inefficiency, mut runs, mut preferred, mut work) = (0.0, 0.0, 0.0, 0.0);
            for at in 0..works {
                let span = self.ln_spans[at * kinds + slot];
                if span.is_finite() {
                    inefficiency += span - self.ln_best[at];
                    runs += 1.0;
                }
                if span <= self.ln_best[at] {
                    preferred += 1.0;
                    work += self.work(view, candidates, at);
                }
            }
            let class = view.timing.class(slot);
            out.extend([
                group.free as f32 / group.devices.max(1) as f32,
                ln1p(group.free as f32),
                ln1p(group.devices as f32),
                group.devices as f32 / self.devices,
                ln1p(next / self.scale),
                ln1p(remaining / (busy * self.scale)),
                inefficiency / f32::max(runs, 1.0),
                preferred / works.max(1) as f32,
                ln1p(work / (group.devices.max(1) as f32 * self.scale)),
                flag(class == DeviceClass::Cpu),
                flag(class == DeviceClass::Gpu),
                flag(class == DeviceClass::Tpu),
            ]);
        }
    }

    fn pairs(&self, view: &View<'_>, candidates: &Candidates, out: &mut Observation) {
        let kinds = candidates.nodes.len();
        let works = candidates.works.len();
        for candidate in &candidates.list {
            let (at, slot) = (candidate.work, candidates.nodes[candidate.node].slot);
            let work = &candidates.works[at];
            let job = view.job(work.job);
            let full = self.ln_spans[at * kinds + slot];
            let (span, ln_span, ln_one) = match work.stream {
                None => (candidates.spans[at * kinds + slot], full, full),
                Some(stream) => {
                    let timing = view.timing;
                    let span = timing.batch(stream, slot, candidate.batch).unwrap_or(Span::MAX);
                    let one = timing.batch(stream, slot, 1).unwrap_or(Span::MAX);
                    (span, ln_seconds(span), ln_seconds(one))
                }
            };
            // Ranks among the works on this kind: the size order, and who is at home here.
            let by_span = Self::rank(&self.spans_here[slot * works..][..works], full);
            let by_inefficiency =
                Self::rank(&self.excess_here[slot * works..][..works], full - self.ln_best[at]);
            // Other work has its batch already, which then is the largest.
            let share = work
                .stream
                .map_or(1.0, |_| candidate.batch as f32 / work.most(view, slot).unwrap_or(1) as f32);
            let batch = if work.stream.is_some() { candidate.batch as f32 } else { 1.0 };
            out.pairs.push(Pair { job: at as u32, node: candidate.node as u32 });
            out.pair_features.extend([
                ln_span - self.ln_scale,
                full - self.ln_best[at],
                full - self.ln_completion[at],
                (seconds(candidates.spans[at * kinds + slot]) - self.completion[at]).max(0.0) / self.scale,
                by_span,
                by_inefficiency,
                job.gang as f32 / candidates.nodes[candidate.node].free.max(1) as f32,
                ln(batch),
                share,
                ln(batch) + ln_one - ln_span,
                flag(job.deadline.is_none_or(|deadline| view.now + span <= deadline)),
                slack(view, job, seconds(span).max(1e-9)),
                if work.stream.is_some() { ln1p((work.count - candidate.batch) as f32) } else { 0.0 },
                flag(full <= self.ln_best[at]),
            ]);
        }
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
    libm::log1pf(value.max(0.0))
}

fn flag(value: bool) -> f32 {
    f32::from(u8::from(value))
}
