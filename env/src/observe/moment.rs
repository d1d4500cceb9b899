//! What several features share.

use super::{ln, ln_seconds, seconds};
use crate::candidates::Candidates;
use crate::releases::Releases;
use crate::timing::KindSlot;
use crate::units::Span;
use crate::view::View;

/// One moment, measured once.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// ln of the scale of time, in seconds.
    pub ln_scale: f32,
    pub scale: f32,
    pub devices: f32,
    /// (works, kinds): ln seconds; infinite where the work does not run.
    pub ln_spans: Vec<f32>,
    /// (works): ln seconds on the best kind.
    pub ln_best: Vec<f32>,
    /// (works): ln seconds to the earliest completion over all kinds, busy ones included.
    pub ln_completion: Vec<f32>,
    /// (works): earliest completion in seconds.
    pub completion: Vec<f32>,
    /// (works): the same in ln seconds with data and models, which a node that is busy now may hold.
    pub ln_ready: Vec<f32>,
    /// (works, kinds): until data is there and the model loaded, in seconds.
    pub setups: Vec<f32>,
    /// (works): of a stream, ln of its recent rate over its lasting one, and requests a second; zero for jobs.
    pub rates: Vec<[f32; 2]>,
    /// (works): waiting jobs besides that need the same data.
    pub same_data: Vec<f32>,
    /// (nodes): until a device is free there, where that is known.
    pub(super) node_waits: Vec<Option<Span>>,
    /// (artefacts): waiting jobs that need it.
    pub(super) wanted: Vec<u32>,
    /// (kinds): what the mix of work that has arrived loses there on average, as ln of how much longer it takes.
    pub losses: Vec<f32>,
    /// (works): the least of ln inefficiency over the average loss of the kind.
    pub advantage: Vec<f32>,
    /// (works, kinds): device-seconds of a job in the way that takes least; infinite where it has no choice. Empty where no job has one.
    pub least_areas: Vec<f64>,
    /// (kinds, waiting works): `ln_spans` by kind, and how far they lie above the best.
    spans_here: Vec<f32>,
    excess_here: Vec<f32>,
}

impl Moment {
    pub(super) fn fill(&mut self, view: &View<'_>, candidates: &Candidates, releases: &Releases) {
        let history = view.history;
        let ln_scale = if history.arrivals > 0 { history.sum_ln_work / history.arrivals as f64 } else { 0.0 };
        self.ln_scale = ln_scale as f32;
        self.scale = libm::exp(ln_scale) as f32;
        self.devices = view.cluster.devices() as f32;
        self.ln_spans.clear();
        self.ln_spans.extend(candidates.spans.iter().map(|&span| ln_seconds(span)));
        let kinds = candidates.nodes.len();
        self.setups(view, candidates, kinds);
        self.rates.clear();
        let streams = candidates.works.iter().map(|work| work.stream);
        self.rates.extend(streams.map(|stream| stream.map_or([0.0; 2], |_| Moment::rates(view, stream))));
        self.completions(view, candidates, releases, kinds);
        self.ready_completions(view, candidates, kinds);
        self.same_data(view, candidates);
        self.least_areas(view, candidates, kinds);
        self.losses.clear();
        let loss = |slot: KindSlot| match history.losses.get(slot) {
            Some(&(work, lost)) if work > 0.0 => (lost / work) as f32,
            _ => 0.0,
        };
        self.losses.extend((0..kinds).map(loss));
        self.advantage.clear();
        for (spans, best) in self.ln_spans.chunks_exact(kinds).zip(&self.ln_best) {
            let over = spans.iter().zip(&self.losses).map(|(span, loss)| span - best - loss);
            self.advantage.push(over.fold(f32::INFINITY, f32::min));
        }
        self.by_kind(candidates, kinds);
    }

    fn setups(&mut self, view: &View<'_>, candidates: &Candidates, kinds: usize) {
        self.setups.clear();
        if view.data.is_none() && view.loads.is_none() {
            self.setups.resize(candidates.works.len() * kinds, 0.0);
            return;
        }
        for work in &candidates.works {
            let of = |slot| if work.run.is_some() { 0.0 } else { seconds(view.setup_on(work.job, slot)) };
            self.setups.extend((0..kinds).map(of));
        }
    }

    fn least_areas(&mut self, view: &View<'_>, candidates: &Candidates, kinds: usize) {
        self.least_areas.clear();
        if !view.timing.has_ways() {
            return;
        }
        for work in &candidates.works {
            let first = self.least_areas.len();
            self.least_areas.resize(first + kinds, f64::INFINITY);
            for way in view.ways(work.job) {
                for (slot, least) in self.least_areas[first..].iter_mut().enumerate() {
                    *least = way.area(slot).map_or(*least, |area| area.min(*least));
                }
            }
        }
    }

    fn completions(&mut self, view: &View<'_>, candidates: &Candidates, releases: &Releases, kinds: usize) {
        self.ln_best.clear();
        self.completion.clear();
        self.ln_completion.clear();
        for (at, work) in candidates.works.iter().enumerate() {
            let gang = view.job(work.job).gang;
            let spans = &candidates.spans[at * kinds..][..kinds];
            // The best span is one of them, and so is its logarithm, which is dear.
            let best = spans.iter().position(|span| *span == candidates.best[at]);
            let ln_best = best.map_or(f32::INFINITY, |slot| self.ln_spans[at * kinds + slot]);
            self.ln_best.push(ln_best);
            let ends = spans.iter().enumerate().filter(|(_, span)| **span != Span::MAX);
            let completion = match work.run {
                Some(_) => None,
                None => {
                    ends.filter_map(|(slot, &span)| releases.wait(slot, gang).map(|wait| wait + span)).min()
                }
            };
            let completion = completion.unwrap_or(candidates.best[at]);
            self.completion.push(seconds(completion));
            let waits = completion != candidates.best[at];
            self.ln_completion.push(if waits { ln_seconds(completion) } else { ln_best });
        }
    }

    fn by_kind(&mut self, candidates: &Candidates, kinds: usize) {
        self.spans_here.clear();
        self.excess_here.clear();
        for slot in 0..kinds {
            let waiting = self.ln_spans.chunks_exact(kinds).zip(&self.ln_best).take(candidates.waiting);
            for (spans, best) in waiting {
                self.spans_here.push(spans[slot]);
                self.excess_here.push(spans[slot] - best);
            }
        }
    }

    /// A span in units of the scale.
    pub(super) fn relative(&self, span: Span) -> f32 {
        seconds(span) / self.scale
    }

    /// Shortest device-seconds of a work group, all its members together.
    pub(super) fn work(&self, view: &View<'_>, candidates: &Candidates, work: usize) -> f32 {
        let group = &candidates.works[work];
        // A stream's members share batches; its span is that of the largest.
        let batches = match group.stream {
            Some(_) => 1.0,
            None => group.count as f32,
        };
        seconds(candidates.best[work]) * view.job(group.job).gang as f32 * batches
    }

    /// Shares of the waiting work that take less on a kind, and that are more at home there.
    pub(super) fn ranks_here(&self, waiting: usize, slot: KindSlot, ln_span: f32, excess: f32) -> [f32; 2] {
        let here = slot * waiting..(slot + 1) * waiting;
        [rank(&self.spans_here[here.clone()], ln_span), rank(&self.excess_here[here], excess)]
    }

    /// ln of a stream's recent rate over its lasting one, and requests a second; of all work without a stream.
    pub(super) fn rates(view: &View<'_>, stream: Option<usize>) -> [f32; 2] {
        let [fast, .., slow] = view.history.forecast.averages(view.now, stream);
        let burst = if slow > 0.0 && fast > 0.0 { ln((fast / slow) as f32) } else { 0.0 };
        [burst.clamp(-5.0, 5.0), fast as f32]
    }
}

/// Share of `values` below `value`, by counting.
pub(super) fn rank(values: &[f32], value: f32) -> f32 {
    let below: u32 = values.iter().map(|&other| u32::from(other < value)).sum();
    below as f32 / values.len().max(1) as f32
}
