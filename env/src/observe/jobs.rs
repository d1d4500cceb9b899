//! Features of the work groups.

use super::aims::cost_of_lateness;
use super::moment::{Moment, rank};
use super::{flag, late_share, ln, ln1p, seconds, slack};
use crate::candidates::{Candidates, WorkGroup};
use crate::view::View;

impl Moment {
    /// Appends [`super::JOB`] for each work group.
    pub(super) fn jobs(&self, view: &View<'_>, candidates: &Candidates, out: &mut Vec<f32>) {
        let kinds = candidates.nodes.len();
        let waiting = candidates.waiting;
        for (at, work) in candidates.works.iter().enumerate() {
            let job = view.job(work.job);
            let waited = if work.run.is_some() { 0.0 } else { seconds(view.waited(work.job)) };
            let shortest = seconds(candidates.best[at]).max(1e-9);
            let [second, mean] = over_best(&self.ln_spans[at * kinds..][..kinds]);
            let setups = &self.setups[at * kinds..][..kinds];
            let [burst, rate] = self.rates[at];
            out.extend([
                self.ln_best[at] - self.ln_scale,
                ln1p(waited / self.scale),
                ln1p(waited / shortest),
                ln(job.gang as f32),
                ln(work.count as f32),
                flag(job.deadline.is_some()),
                slack(view, job, shortest),
                ln(job.weight.max(1e-6) as f32),
                second,
                mean,
                rank(&self.ln_best[..waiting], self.ln_best[at]),
                if work.run.is_some() { 0.0 } else { at as f32 / waiting as f32 },
                flag(work.stream.is_some()),
                backlog(view, work, kinds),
                self.ln_completion[at] - self.ln_scale,
                self.ln_completion[at] - self.ln_best[at],
                flag(work.run.is_some()),
                burst,
                ln1p(rate * shortest),
                work.stream.map_or(0.0, |stream| late_share(view, stream, work.count, candidates.best[at])),
                ln1p(setups.iter().copied().fold(f32::INFINITY, f32::min) / shortest),
                self.ln_cost_rate(view, work.job),
                cost_of_lateness(view, job),
                ln1p(self.same_data[at]),
                self.ln_ready[at] - self.ln_best[at],
            ]);
        }
    }
}

/// How far the second best kind and the mean of the kinds lie above the best one, of spans in ln seconds.
fn over_best(ln_spans: &[f32]) -> [f32; 2] {
    let (mut best, mut second, mut sum, mut count) = (f32::INFINITY, f32::INFINITY, 0.0, 0.0);
    for span in ln_spans.iter().copied().filter(|span| span.is_finite()) {
        (best, second) = if span < best { (span, best) } else { (best, second.min(span)) };
        sum += span;
        count += 1.0;
    }
    [if second.is_finite() { second - best } else { 0.0 }, if count > 0.0 { sum / count - best } else { 0.0 }]
}

/// Requests that wait, in largest batches.
fn backlog(view: &View<'_>, work: &WorkGroup, kinds: usize) -> f32 {
    if work.stream.is_none() {
        return 0.0;
    }
    let most = (0..kinds).filter_map(|slot| work.most(view, slot)).max().unwrap_or(1);
    work.count as f32 / most as f32
}
