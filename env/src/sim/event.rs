//! Completions to come, earliest first; of those at the same time, the one that started first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::units::Time;

#[derive(Clone, Debug, Default)]
pub(super) struct Finishes {
    heap: BinaryHeap<Reverse<(Time, u64)>>,
}

impl Finishes {
    pub(super) fn push(&mut self, time: Time, sequence: u64) {
        self.heap.push(Reverse((time, sequence)));
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((time, _))| *time)
    }

    /// The start sequence of the next completion.
    pub(super) fn pop(&mut self) -> Option<u64> {
        self.heap.pop().map(|Reverse((_, sequence))| sequence)
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}
