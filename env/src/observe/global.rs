//! Features of the whole moment.

use super::moment::Moment;
use super::{flag, ln, ln1p, seconds};
use crate::candidates::Candidates;
use crate::view::View;

impl Moment {
    /// Appends [`super::GLOBAL`].
    pub(super) fn global(&self, view: &View<'_>, candidates: &Candidates, out: &mut Vec<f32>) {
        let devices = self.devices;
        let free: u32 = view.free_by_kind.iter().sum();
        let works = &candidates.works[..candidates.waiting];
        let waiting: u32 = works.iter().map(|work| work.count).sum();
        let requests = works.iter().filter(|work| work.stream.is_some()).count();
        let work: f32 = (0..works.len()).map(|work| self.work(view, candidates, work)).sum();
        let next = view.running.iter().map(|running| running.expected_finish.since(view.now)).min();
        let elapsed = view.history.first.map_or(0.0, |first| seconds(view.now.since(first)));
        let offered = (view.history.sum_work as f32 + self.scale) / ((elapsed + self.scale) * devices);
        let [burst, rate] = Moment::rates(view, None);
        let mean_work = view.history.sum_work as f32 / view.history.arrivals.max(1) as f32;
        let proposal = candidates.proposal();
        let proposed = proposal.and_then(|action| candidates.list.get(action));
        let cuts = proposed.is_some_and(|candidate| candidates.works[candidate.work].run.is_some());
        out.extend([
            ln1p(works.len() as f32),
            ln1p(waiting as f32),
            ln1p(work / (devices * self.scale)),
            free as f32 / devices,
            ln1p(free as f32),
            ln1p(view.running.len() as f32),
            next.map_or(0.0, |next| ln1p(self.relative(next))),
            ln(offered),
            requests as f32 / works.len().max(1) as f32,
            flag(view.may_wait),
            burst,
            ln1p(rate * mean_work / devices),
            flag(proposal.is_some() && proposed.is_none()),
            flag(cuts),
        ]);
    }
}
