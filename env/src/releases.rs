//! When devices come free, by the estimates: what "wait for a faster busy device" needs to know.

use crate::timing::KindSlot;
use crate::units::{Span, Time};
use crate::view::View;

/// Expected releases of devices by kind, earliest first. Reused from one decision to the next.
#[derive(Clone, Debug, Default)]
pub struct Releases {
    now: Time,
    free: Vec<u32>,
    /// By kind slot: (moment, devices).
    ends: Vec<Vec<(Time, u32)>>,
}

impl Releases {
    /// Reads what runs now. What outlives its estimate is expected to end at any moment.
    pub fn fill(&mut self, view: &View<'_>) {
        self.fill_with(view, 0.0);
    }

    /// As [`Releases::fill`]; what outlives its estimate is expected to go on for `overdue` times as long as it has run. Of
    /// lengths without a scale (Pareto with tail index 2) the mean rest is just what has passed: 1.
    pub fn fill_with(&mut self, view: &View<'_>, overdue: f64) {
        self.now = view.now;
        self.free.clear();
        self.free.extend_from_slice(view.free_by_kind);
        self.ends.resize_with(view.free_by_kind.len(), Vec::new);
        self.ends.iter_mut().for_each(Vec::clear);
        for running in view.running {
            let devices = running.devices();
            let late = running.expected_finish <= view.now && !running.fetching;
            let rest = if late { view.now.since(running.ready).scaled(overdue) } else { Span::ZERO };
            self.ends[running.slot].push((running.expected_finish.max(view.now + rest), devices));
        }
        self.ends.iter_mut().for_each(|ends| ends.sort_unstable());
    }

    /// How long until `gang` devices of a kind should be free; zero if they are, `None` if they never will be.
    pub fn wait(&self, slot: KindSlot, gang: u32) -> Option<Span> {
        let mut free = self.free[slot];
        if free >= gang {
            return Some(Span::ZERO);
        }
        for &(end, devices) in &self.ends[slot] {
            free += devices;
            if free >= gang {
                return Some(end.since(self.now));
            }
        }
        None
    }

    /// Expected releases of a kind: (moment, devices), earliest first.
    pub fn ends(&self, slot: KindSlot) -> &[(Time, u32)] {
        &self.ends[slot]
    }
}
