//! When work could be done if it waits for the data or the model that a busy node holds, and who else needs that data.

use super::ln_seconds;
use super::moment::Moment;
use crate::candidates::{Candidates, WorkGroup};
use crate::timing::KindSlot;
use crate::units::{NodeId, Span};
use crate::view::{Share, View};

impl Moment {
    /// Fills `ln_ready`. After `setups` and `completions`.
    pub(super) fn ready_completions(&mut self, view: &View<'_>, candidates: &Candidates, kinds: usize) {
        self.ln_ready.clear();
        if view.data.is_none() && view.loads.is_none() {
            self.ln_ready.extend(&self.ln_completion);
            return;
        }
        self.wait_for_nodes(view);
        for (at, work) in candidates.works.iter().enumerate() {
            if work.run.is_some() {
                self.ln_ready.push(self.ln_completion[at]);
                continue;
            }
            let spans = &candidates.spans[at * kinds..][..kinds];
            let setups = &self.setups[at * kinds..][..kinds];
            let slots = spans.iter().enumerate().filter(|(_, span)| **span != Span::MAX);
            let ready = slots.filter_map(|(slot, &span)| {
                let now = (view.free_by_kind[slot] >= view.job(work.job).gang)
                    .then(|| Span::from_secs_f64(f64::from(setups[slot])));
                let later = self.first_released(view, work, slot);
                now.into_iter().chain(later).min().map(|wait| wait + span)
            });
            self.ln_ready.push(ready.min().map_or(self.ln_completion[at], ln_seconds));
        }
    }

    /// Until a device of each busy node is expected to be free.
    fn wait_for_nodes(&mut self, view: &View<'_>) {
        self.node_waits.clear();
        self.node_waits.resize(view.free.len(), None);
        for run in view.running {
            let wait = view.left_of(run);
            for share in run.nodes.iter().filter(|share| view.free[share.node.index()] == 0) {
                let known = &mut self.node_waits[share.node.index()];
                *known = Some(known.map_or(wait, |least| least.min(wait)));
            }
        }
    }

    /// The least time until work computes on a node of a kind that is busy now, what is missing there included. A gang
    /// that takes several devices waits for the first of them here, which is less than it will.
    fn first_released(&self, view: &View<'_>, work: &WorkGroup, slot: KindSlot) -> Option<Span> {
        let nodes = view.cluster.nodes_of(slot).iter();
        let waits = nodes.filter_map(|&node| Some((node, self.node_waits[node.index()]?)));
        waits.map(|(node, wait)| wait + missing(view, work, node)).min()
    }

    /// Fills `same_data`.
    pub(super) fn same_data(&mut self, view: &View<'_>, candidates: &Candidates) {
        self.same_data.clear();
        self.same_data.resize(candidates.works.len(), 0.0);
        let Some(data) = view.data else { return };
        self.wanted.clear();
        self.wanted.resize(data.spec().setup().artefacts.len(), 0);
        for &job in view.queue {
            view.job(job).inputs.iter().for_each(|input| self.wanted[input.index()] += 1);
        }
        for (most, work) in self.same_data.iter_mut().zip(&candidates.works) {
            let own = u32::from(work.run.is_none() && work.stream.is_none());
            let inputs = view.job(work.job).inputs.iter();
            *most = inputs.map(|input| self.wanted[input.index()] - own).max().unwrap_or(0) as f32;
        }
    }
}

/// How long a node that is busy would be held before the work computes, once it is free.
fn missing(view: &View<'_>, work: &WorkGroup, node: NodeId) -> Span {
    let model = view.job(work.job).request_model();
    let held = model.zip(view.loads).is_some_and(|(model, loads)| {
        let variant = view.served_as(model, node, None);
        loads.residency().holds(node, loads.model(model, variant).key)
    });
    if held { Span::ZERO } else { view.setup(work.job, &[Share { node, devices: 1 }]) }
}
