//! Machines that fail, are repaired, drained, join and leave.

use super::Simulator;
use crate::rules::Change;
use crate::units::{JobId, NodeId, Time};
use crate::view::Share;

/// Whether a machine takes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It does.
    Up,
    /// It finishes what runs there, and then leaves.
    Draining,
    /// It was switched on and will be up.
    Booting {
        /// When.
        until: Time,
    },
    /// It has failed and awaits repair.
    Failed,
    /// It has left or is switched off.
    Off,
}

impl NodeState {
    /// Whether it draws power and has to be paid for.
    pub fn is_paid(self) -> bool {
        !matches!(self, NodeState::Failed | NodeState::Off)
    }
}

/// What is known of each machine, aligned with the nodes of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    pub(super) states: Vec<NodeState>,
    /// Devices in use.
    pub(super) busy: Vec<u32>,
    /// Devices in use by kind slot.
    busy_by_kind: Vec<u32>,
    /// Since when none is.
    pub(super) idle_since: Vec<Time>,
    /// Changes before this one have happened.
    pub(super) changed: usize,
}

impl Nodes {
    pub(super) fn new(count: usize, kinds: usize, start: Time) -> Nodes {
        Nodes {
            states: vec![NodeState::Up; count],
            busy: vec![0; count],
            busy_by_kind: vec![0; kinds],
            idle_since: vec![start; count],
            changed: 0,
        }
    }

    pub(super) fn busy_by_kind(&self) -> &[u32] {
        &self.busy_by_kind
    }
}

impl Simulator {
    /// Whether each machine takes work, aligned with the nodes of the cluster.
    pub fn node_states(&self) -> &[NodeState] {
        &self.nodes.states
    }

    /// Takes devices of a machine that is up.
    pub(super) fn hold(&mut self, share: Share) {
        let (node, slot) = (share.node.index(), self.world.slot_of(share.node));
        self.free[node] -= share.devices;
        self.free_by_kind[slot] -= share.devices;
        self.nodes.busy[node] += share.devices;
        self.nodes.busy_by_kind[slot] += share.devices;
    }

    /// Gives them back.
    pub(super) fn give_back(&mut self, share: Share) {
        let (node, slot) = (share.node.index(), self.world.slot_of(share.node));
        self.nodes.busy[node] -= share.devices;
        self.nodes.busy_by_kind[slot] -= share.devices;
        if self.nodes.busy[node] == 0 {
            self.nodes.idle_since[node] = self.now;
        }
        match self.nodes.states[node] {
            NodeState::Up => {
                self.free[node] += share.devices;
                self.free_by_kind[slot] += share.devices;
            }
            NodeState::Draining if self.nodes.busy[node] == 0 => self.set_node(share.node, NodeState::Off),
            _ => {}
        }
    }

    /// When the next machine changes of itself or by what the episode says.
    pub(super) fn next_node_event(&self) -> Option<Time> {
        let change = self.world.workload.changes.get(self.nodes.changed).map(|change| change.at);
        let boot = self.nodes.states.iter().filter_map(|state| match state {
            NodeState::Booting { until } => Some(*until),
            _ => None,
        });
        if self.world.rules.autoscale.is_empty() {
            return change;
        }
        change.into_iter().chain(boot).chain(self.next_idle()).min().map(|time| time.max(self.now))
    }

    /// Lets happen what is due; whether that changed anything.
    pub(super) fn change_nodes(&mut self) -> bool {
        let before = self.digest;
        while let Some(&change) =
            self.world.workload.changes.get(self.nodes.changed).filter(|change| change.at <= self.now)
        {
            self.nodes.changed += 1;
            self.change(change.node, change.change);
        }
        if !self.world.rules.autoscale.is_empty() {
            self.autoscale();
        }
        self.digest != before
    }

    fn change(&mut self, node: NodeId, change: Change) {
        let state = self.nodes.states[node.index()];
        let next = match (change, state) {
            (Change::Fail, NodeState::Off | NodeState::Failed) => return,
            (Change::Fail, _) => NodeState::Failed,
            (Change::Drain, NodeState::Up) if self.nodes.busy[node.index()] > 0 => NodeState::Draining,
            (Change::Drain, NodeState::Up | NodeState::Booting { .. }) => NodeState::Off,
            (Change::Join, NodeState::Draining | NodeState::Failed) => NodeState::Up,
            // A machine that was switched off for want of work is not switched on by a repair.
            (Change::Join, NodeState::Off) if !self.is_scaled(node) => NodeState::Up,
            _ => return,
        };
        if next == NodeState::Failed {
            self.fail(node);
        }
        self.set_node(node, next);
    }

    /// Puts a machine into another state; its devices come and go with it.
    pub(super) fn set_node(&mut self, node: NodeId, state: NodeState) {
        let (at, slot) = (node.index(), self.world.slot_of(node));
        let devices = self.world.cluster.node(node).devices;
        self.free_by_kind[slot] -= self.free[at];
        self.free[at] = if state == NodeState::Up { devices - self.nodes.busy[at] } else { 0 };
        self.free_by_kind[slot] += self.free[at];
        let paid = (self.nodes.states[at].is_paid(), state.is_paid());
        match paid {
            (true, false) => self.usage.leave_service(slot, devices),
            (false, true) => self.usage.enter_service(slot, devices),
            _ => {}
        }
        self.nodes.states[at] = state;
        self.nodes.idle_since[at] = self.now;
        self.mix(7, JobId(node.0));
        self.waiting = false;
    }

    /// Cuts off what runs on a machine.
    fn fail(&mut self, node: NodeId) {
        while let Some(at) =
            self.running.iter().position(|run| run.nodes.iter().any(|share| share.node == node))
        {
            self.cut_off(at, super::life::Cut::Failure);
        }
        if let Some(data) = &mut self.data {
            data.lose(self.now, node);
        }
        if let Some(loads) = &mut self.loads {
            loads.clear(node);
        }
    }
}
