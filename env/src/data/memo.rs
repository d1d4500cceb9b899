//! How long each artefact takes to each node alone, remembered until the links or the replicas change.
//!
//! A rule that weighs data asks this of every waiting job and node at each decision; most of the answers are those of the
//! decision before.

use std::sync::atomic::{AtomicU64, Ordering};

use super::spec::ArtefactId;
use crate::units::{NodeId, Span};

/// Nothing is remembered where there are more pairs of a node and an artefact: a table is copied with its data plane.
const MOST: usize = 4096;

/// The table. Who only looks may fill it too, from several threads: all write the same.
#[derive(Debug)]
pub(super) struct Memo {
    artefacts: usize,
    /// Counts the changes, from 1.
    generation: u64,
    /// (nodes, artefacts)
    known: Vec<Known>,
}

/// A time in nanoseconds, and the generation that it is true in.
#[derive(Debug, Default)]
struct Known {
    generation: AtomicU64,
    time: AtomicU64,
}

impl Memo {
    pub(super) fn new(nodes: usize, artefacts: usize) -> Memo {
        let pairs = nodes.saturating_mul(artefacts);
        let known = (0..if pairs > MOST { 0 } else { pairs }).map(|_| Known::default());
        Memo { artefacts, generation: 1, known: known.collect() }
    }

    /// The time of a pair; it is worked out if it is not known.
    pub(super) fn get(&self, node: NodeId, id: ArtefactId, work_out: impl FnOnce() -> Span) -> Span {
        let Some(known) = self.known.get(node.index() * self.artefacts + id.index()) else {
            return work_out();
        };
        // The time is written before the generation that says it is there, and read after it.
        if known.generation.load(Ordering::Acquire) == self.generation {
            return Span(known.time.load(Ordering::Relaxed));
        }
        let time = work_out();
        known.time.store(time.0, Ordering::Relaxed);
        known.generation.store(self.generation, Ordering::Release);
        time
    }

    /// The links or the replicas have changed.
    pub(super) fn forget(&mut self) {
        self.generation += 1;
    }
}

impl Clone for Memo {
    fn clone(&self) -> Memo {
        let copy = |known: &Known| Known {
            generation: AtomicU64::new(known.generation.load(Ordering::Acquire)),
            time: AtomicU64::new(known.time.load(Ordering::Relaxed)),
        };
        Memo { known: self.known.iter().map(copy).collect(), ..*self }
    }
}

/// What is remembered is no part of how things stand.
impl PartialEq for Memo {
    fn eq(&self, _other: &Memo) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_worked_out_once_until_something_changes() {
        let (a, b) = (ArtefactId(0), ArtefactId(1));
        let mut memo = Memo::new(2, 2);
        assert_eq!(memo.get(NodeId(1), a, || Span(7)), Span(7));
        assert_eq!(memo.get(NodeId(1), a, || unreachable!("it is known")), Span(7));
        assert_eq!(memo.get(NodeId(1), b, || Span(8)), Span(8));
        assert_eq!(memo.clone().get(NodeId(1), b, || unreachable!("a copy knows it too")), Span(8));
        memo.forget();
        assert_eq!(memo.get(NodeId(1), a, || Span(9)), Span(9));
    }

    #[test]
    fn nothing_is_remembered_of_a_large_world() {
        let memo = Memo::new(MOST, 2);
        assert_eq!(memo.get(NodeId(0), ArtefactId(0), || Span(7)), Span(7));
        assert_eq!(memo.get(NodeId(0), ArtefactId(0), || Span(8)), Span(8));
    }
}
