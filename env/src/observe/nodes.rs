//! Features of the node groups.

use super::moment::Moment;
use super::{flag, ln1p, seconds};
use crate::candidates::Candidates;
use crate::catalog::DeviceClass;
use crate::releases::Releases;
use crate::view::View;

impl Moment {
    /// Appends [`super::NODE`] for each node group.
    pub(super) fn nodes(
        &self,
        view: &View<'_>,
        candidates: &Candidates,
        releases: &Releases,
        out: &mut Vec<f32>,
    ) {
        let kinds = candidates.nodes.len();
        let works = candidates.waiting;
        for group in &candidates.nodes {
            let slot = group.slot;
            let ends = releases.ends(slot);
            let remaining: f32 = ends.iter().map(|&(end, n)| seconds(end.since(view.now)) * n as f32).sum();
            let busy = (group.devices - group.free).max(1) as f32;
            // When one more device than now will be free, and two more.
            let release = |more| releases.wait(slot, group.free + more).map_or(0.0, seconds);
            let next = if group.free > 0 { 0.0 } else { release(1) };
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
                self.losses[slot],
                ln1p(release(1) / self.scale),
                ln1p(release(2) / self.scale),
            ]);
        }
    }
}
