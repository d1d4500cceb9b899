//! Every arrived job is in exactly one state; no device is ever over-committed.

use super::{NodeState, Simulator, State};

/// Up to so many jobs and nodes together, a debug build checks everything after each event; beyond, after each
/// [`INTERVAL`]th start, and what can be told from counters after each event.
const SMALL: usize = 512;
const INTERVAL: u64 = 64;

/// How many jobs are in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Census([usize; State::COUNT]);

impl Census {
    /// All are still to come.
    pub(super) fn new(jobs: usize) -> Census {
        let mut census = Census([0; State::COUNT]);
        census.0[State::Future as usize] = jobs;
        census
    }

    /// A job changes its state.
    pub(super) fn move_one(&mut self, from: State, to: State) {
        self.0[from as usize] -= 1;
        self.0[to as usize] += 1;
    }

    /// So many jobs are still to come.
    pub(super) fn expect(&mut self, jobs: usize) {
        self.0[State::Future as usize] = jobs;
    }

    fn of(&self, state: State) -> usize {
        self.0[state as usize]
    }
}

impl Simulator {
    /// Checks in debug builds: everything in a small world, see [`SMALL`].
    pub(super) fn debug_check(&self) {
        if cfg!(debug_assertions) {
            self.check_counts();
            let small = self.records.len() + self.free.len() <= SMALL;
            if small || self.sequence.is_multiple_of(INTERVAL) {
                self.check();
            }
        }
    }

    /// Checks everything, and that all work is done.
    pub(super) fn check_end(&self) {
        self.check_counts();
        self.check();
        assert!(self.running.is_empty(), "{} jobs still run at the end", self.running.len());
        assert_eq!(self.arrived, self.records.len(), "not all jobs arrived");
        let waiting = self.census.of(State::Queued) + self.census.of(State::Blocked);
        assert_eq!(waiting, 0, "jobs are left waiting at the end");
    }

    /// What takes no look at single jobs and nodes.
    fn check_counts(&self) {
        let waiting = self.queue.len() + self.streams.iter().map(|stream| stream.queue.len()).sum::<usize>();
        let computing = self.running.iter().filter(|run| !run.fetching).count();
        assert_eq!(self.finishes.len(), computing, "each running job has one completion to come");
        assert_eq!(self.census.of(State::Queued), waiting, "queued jobs and the queues differ");
        let arrived = self.records.len() - self.census.of(State::Future);
        assert_eq!(arrived, self.arrived, "an arrived job has no state, or a future one has");
    }

    fn check(&self) {
        let cluster = &self.world.cluster;
        let mut used = vec![0; cluster.nodes().len()];
        for share in self.running.iter().flat_map(|running| &running.nodes) {
            used[share.node.index()] += share.devices;
        }
        for (at, node) in cluster.nodes().iter().enumerate() {
            assert_eq!(used[at], self.nodes.busy[at], "devices in use on node {} do not add up", node.name);
            let up = self.nodes.states[at] == NodeState::Up;
            let free = if up { node.devices - used[at] } else { 0 };
            assert_eq!(free, self.free[at], "free devices of node {} do not add up", node.name);
        }
        for (slot, &kind) in cluster.kinds().iter().enumerate() {
            let nodes = cluster.nodes().iter().zip(&self.free);
            let free: u32 = nodes.filter(|(node, _)| node.kind == kind).map(|(_, &free)| free).sum();
            assert_eq!(free, self.free_by_kind[slot], "free devices of kind slot {slot} do not add up");
        }
        let members: usize = self.running.iter().map(|running| running.members.len()).sum();
        let held = self.census.of(State::Running) + self.census.of(State::Transferring);
        assert_eq!(held, members, "running jobs and the running list differ");
        let mut census = Census([0; State::COUNT]);
        self.records.iter().for_each(|record| census.0[record.state as usize] += 1);
        assert_eq!(census, self.census, "the records and their count differ");
        self.queue.check(&self.world);
        if let Some(data) = &self.data {
            data.check();
        }
        if let Some(loads) = &self.loads {
            loads.residency().check();
        }
    }
}
