//! Every arrived job is in exactly one state; no device is ever over-committed.

use super::{Simulator, State};

impl Simulator {
    /// Checks everything in debug builds: after each event in a small world, in a large one after so many starts that
    /// the checks cost no more than the events.
    pub(super) fn debug_check(&self) {
        let interval = 1 + self.records.len() as u64 / 512;
        if cfg!(debug_assertions) && self.sequence.is_multiple_of(interval) {
            self.check();
        }
    }

    /// Checks everything, and that all work is done.
    pub(super) fn check_end(&self) {
        self.check();
        assert!(self.running.is_empty(), "{} jobs still run at the end", self.running.len());
        assert_eq!(self.arrived, self.records.len(), "not all jobs arrived");
        assert_eq!(self.census()[State::Queued as usize], 0, "jobs are left waiting at the end");
    }

    /// Jobs in each state: future, queued, running, finished, refused, dropped.
    fn census(&self) -> [usize; 6] {
        let mut census = [0; 6];
        for record in &self.records {
            census[record.state as usize] += 1;
        }
        census
    }

    fn check(&self) {
        let cluster = &self.world.cluster;
        let mut used = vec![0; cluster.nodes().len()];
        for share in self.running.iter().flat_map(|running| &running.nodes) {
            used[share.node.index()] += share.devices;
        }
        for (at, node) in cluster.nodes().iter().enumerate() {
            assert_eq!(used[at] + self.free[at], node.devices, "devices of node {} do not add up", node.name);
        }
        for (slot, &kind) in cluster.kinds().iter().enumerate() {
            let nodes = cluster.nodes().iter().zip(&self.free);
            let free: u32 = nodes.filter(|(node, _)| node.kind == kind).map(|(_, &free)| free).sum();
            assert_eq!(free, self.free_by_kind[slot], "free devices of kind slot {slot} do not add up");
        }
        let waiting = self.queue.len() + self.streams.iter().map(|stream| stream.queue.len()).sum::<usize>();
        let members: usize = self.running.iter().map(|running| running.members.len()).sum();
        assert_eq!(self.finishes.len(), self.running.len(), "each running job has one completion to come");
        let census = self.census();
        assert_eq!(census[State::Queued as usize], waiting, "queued jobs and the queues differ");
        assert_eq!(census[State::Running as usize], members, "running jobs and the running list differ");
        let arrived = self.records.len() - census[State::Future as usize];
        assert_eq!(arrived, self.arrived, "an arrived job has no state, or a future one has");
    }
}
