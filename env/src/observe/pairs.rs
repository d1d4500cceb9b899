//! Features of the candidates.

use super::moment::Moment;
use super::{Observation, Pair, flag, late_share, ln, ln_seconds, ln1p, seconds, slack};
use crate::candidates::{Candidate, Candidates};
use crate::job::Choice;
use crate::units::Span;
use crate::view::View;

impl Moment {
    /// Appends the candidates and [`super::PAIR`] for each.
    pub(super) fn pairs(&self, view: &View<'_>, candidates: &Candidates, out: &mut Observation) {
        let kinds = candidates.nodes.len();
        for (action, candidate) in candidates.list.iter().enumerate() {
            let (at, slot) = (candidate.work, candidates.nodes[candidate.node].slot);
            let work = &candidates.works[at];
            let job = view.job(work.job);
            let (span, ln_span, ln_one) = self.span(view, candidates, candidate);
            // In the way it was submitted, or if it does not run so here, in the way at hand.
            let full =
                Some(self.ln_spans[at * kinds + slot]).filter(|full| full.is_finite()).unwrap_or(ln_span);
            let full_span = Some(candidates.spans[at * kinds + slot]).filter(|&full| full != Span::MAX);
            let setup = self.setups[at * kinds + slot];
            let total = span + Span::from_secs_f64(f64::from(setup));
            let total_s = seconds(total).max(1e-9);
            // Ranks among the works on this kind: the size order, and who is at home here.
            let [by_span, by_inefficiency] =
                self.ranks_here(candidates.waiting, slot, full, full - self.ln_best[at]);
            // Other work has its batch already, which then is the largest.
            let share = work
                .stream
                .map_or(1.0, |_| candidate.batch as f32 / work.most(view, slot).unwrap_or(1) as f32);
            let batch = if work.stream.is_some() { candidate.batch as f32 } else { 1.0 };
            let [_, rate] = self.rates[at];
            out.pairs.push(Pair { job: at as u32, node: candidate.node as u32 });
            out.pair_features.extend([
                ln_span - self.ln_scale,
                full - self.ln_best[at],
                full - self.ln_completion[at],
                (seconds(full_span.unwrap_or(span)) - self.completion[at]).max(0.0) / self.scale,
                by_span,
                by_inefficiency,
                candidate.gang as f32 / candidates.nodes[candidate.node].free.max(1) as f32,
                ln(batch),
                share,
                ln(batch) + ln_one - ln_span,
                flag(job.deadline.is_none_or(|deadline| view.now + total <= deadline)),
                slack(view, job, total_s),
                if work.stream.is_some() { ln1p((work.count - candidate.batch) as f32) } else { 0.0 },
                flag(full <= self.ln_best[at]),
                full - self.ln_best[at] - self.losses[slot] - self.advantage[at],
                ln1p(setup / self.scale),
                ln1p(setup / seconds(span).max(1e-9)),
                flag(candidates.proposal() == Some(action)),
                flag(work.run.is_some()),
                work.stream.map_or(0.0, |stream| late_share(view, stream, candidate.batch, total)),
                ln1p(rate * total_s / batch),
                work.stream.map_or(1.0, |stream| view.timing.accuracy(stream, candidate.variant) as f32),
                // Whoever has to wait may find what it needs where it waits for.
                if setup > 0.0 { ln(total_s) } else { ln_span } - self.ln_ready[at],
                ln(candidate.gang as f32),
                self.ln_efficiency(view, candidates, candidate),
            ]);
        }
    }

    /// ln of the least device-seconds that the job takes on the kind in any of its ways over those that it takes in this one; 0 for work
    /// without a choice.
    fn ln_efficiency(&self, view: &View<'_>, candidates: &Candidates, candidate: &Candidate) -> f32 {
        let slot = candidates.nodes[candidate.node].slot;
        let least = self.least_areas.get(candidate.work * candidates.nodes.len() + slot);
        let Some(least) = least.filter(|least| least.is_finite()) else { return 0.0 };
        let choice = Choice { gang: candidate.gang, batch: candidate.batch };
        let way = view
            .timing
            .ways(candidates.works[candidate.work].job.index())
            .iter()
            .find(|way| way.choice == choice);
        way.and_then(|way| way.area(slot)).map_or(0.0, |area| ln((least / area) as f32))
    }

    /// How long a candidate takes, in ln seconds too, and ln seconds of a single request.
    fn span(&self, view: &View<'_>, candidates: &Candidates, candidate: &Candidate) -> (Span, f32, f32) {
        let (at, slot) = (candidate.work, candidates.nodes[candidate.node].slot);
        let work = &candidates.works[at];
        let place = at * candidates.nodes.len() + slot;
        match work.stream {
            None if work.run.is_some() || view.timing.ways(work.job.index()).is_empty() => {
                (candidates.spans[place], self.ln_spans[place], self.ln_spans[place])
            }
            None => {
                let span = candidate.span(view, work, slot).unwrap_or(candidates.best[at]);
                (span, ln_seconds(span), ln_seconds(span))
            }
            Some(stream) => {
                let span = candidate.span(view, work, slot).unwrap_or(candidates.best[at]);
                let one = view.timing.variant_batch(stream, candidate.variant, slot, 1).unwrap_or(span);
                (span, ln_seconds(span), ln_seconds(one))
            }
        }
    }
}
