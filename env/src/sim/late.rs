//! Requests whose deadline passes while they wait, where the scenario drops them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Simulator, State};
use crate::serving::Late;
use crate::units::{JobId, Time};

/// Deadlines of requests that have joined a queue, earliest first; those that have left it since are skipped.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(Time, JobId)>>);

impl Simulator {
    /// Remembers the deadline of a request that has just joined its queue, if it will be dropped there.
    pub(super) fn watch(&mut self, request: JobId) {
        let deadline = self.world.workload.jobs[request.index()].deadline;
        if let (Late::Drop, Some(deadline)) = (self.world.serving.late, deadline) {
            self.deadlines.0.push(Reverse((deadline, request)));
        }
    }

    /// When the next request will be dropped if it is not started before.
    pub(super) fn next_expiry(&mut self) -> Option<Time> {
        while let Some(&Reverse((deadline, request))) = self.deadlines.0.peek() {
            if self.records[request.index()].state == State::Queued {
                return Some(deadline);
            }
            self.deadlines.0.pop();
        }
        None
    }

    /// Drops the next request whose deadline has come; `false` if there is none. What starts at its deadline would end
    /// after it, so the request leaves before anything is decided.
    pub(super) fn drop_next(&mut self) -> bool {
        if self.next_expiry().is_none_or(|deadline| deadline > self.now) {
            return false;
        }
        let Some(Reverse((_, request))) = self.deadlines.0.pop() else { return false };
        self.leave_queue(request);
        self.give_up(request);
        self.drop_next_stages(request);
        self.answer();
        self.debug_check();
        true
    }

    fn leave_queue(&mut self, request: JobId) {
        let Some(stream) = self.stream_of(request) else { return };
        let queue = &mut self.streams[stream].queue;
        // Requests join in order of their ids.
        if let Ok(at) = queue.binary_search(&request) {
            queue.remove(at);
        }
    }
}
