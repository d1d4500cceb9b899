//! A long queue is shown in part: several cheap orders each give their first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Candidates, MAX_WORKS};
use crate::units::Span;
use crate::view::View;

impl Candidates {
    /// Keeps [`MAX_WORKS`] work groups: the one that a rule proposes, and in turn the oldest, the smallest, the most
    /// urgent and the choosiest.
    pub(super) fn cap(&mut self, view: &View<'_>, proposed: Option<usize>) {
        let mut ranks = std::mem::take(&mut self.ranks);
        ranks.iter_mut().for_each(Vec::clear);
        let kinds = view.timing.kinds();
        let measured = self.spans.chunks_exact(kinds).zip(&self.best);
        for (at, (work, (spans, best))) in self.works.iter().zip(measured).enumerate() {
            let job = view.job(work.job);
            let area = best.0.saturating_mul(u64::from(job.gang));
            let deadline = job.deadline.map_or(u64::MAX, |deadline| deadline.0);
            // The bits of positive floats have their order; the complement puts the highest first.
            let choosiness = !choosiness(spans, *best).to_bits();
            let keys = [area, deadline, choosiness];
            ranks.iter_mut().zip(keys).for_each(|(rank, key)| rank.push(Reverse((key, at))));
        }
        // Each order gives a few only, so that sorting it whole would be wasted.
        let mut heaps = ranks.map(BinaryHeap::from);
        self.keep.clear();
        self.keep.resize(self.works.len(), false);
        proposed.into_iter().for_each(|at| self.keep[at] = true);
        let mut left = MAX_WORKS - usize::from(proposed.is_some());
        // The groups are in order of age already.
        for oldest in 0..self.works.len() {
            let firsts = heaps.iter_mut().filter_map(|heap| heap.pop().map(|Reverse((_, at))| at));
            for at in [oldest].into_iter().chain(firsts) {
                if left > 0 && !std::mem::replace(&mut self.keep[at], true) {
                    left -= 1;
                }
            }
            if left == 0 {
                break;
            }
        }
        self.drop_others();
        self.ranks = heaps.map(BinaryHeap::into_vec);
    }

    /// Removes the work groups that are not kept, with their spans.
    fn drop_others(&mut self) {
        let kinds = self.spans.len() / self.works.len();
        let mut kept = 0;
        for at in (0..self.works.len()).filter(|&at| self.keep[at]) {
            self.works.swap(kept, at);
            self.best[kept] = self.best[at];
            self.spans.copy_within(at * kinds..(at + 1) * kinds, kept * kinds);
            kept += 1;
        }
        self.works.truncate(kept);
        self.best.truncate(kept);
        self.spans.truncate(kept * kinds);
    }
}

/// How much work loses on its worst kind against its best.
fn choosiness(spans: &[Span], best: Span) -> f64 {
    let worst = spans.iter().max().map_or(0, |span| span.0);
    worst as f64 / best.0.max(1) as f64
}
