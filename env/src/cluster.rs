//! Nodes and their devices.

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::units::{KindId, NodeId};

/// A machine with devices of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique in its cluster.
    pub name: String,
    /// What its devices are.
    pub kind: KindId,
    /// How many it has.
    pub devices: u32,
    /// Processors that one device stands for; more than 1 only in traces whose devices are whole nodes.
    pub procs_per_device: u32,
    /// Which rack it stands in.
    #[serde(default)]
    pub rack: u16,
}

/// The machines of a site, in a fixed order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    nodes: Vec<Node>,
    /// Device kinds present, ascending.
    kinds: Vec<KindId>,
    /// Devices of each kind, aligned with `kinds`.
    devices: Vec<u32>,
    /// Nodes of each kind, ascending, aligned with `kinds`.
    by_kind: Vec<Vec<NodeId>>,
}

impl Cluster {
    /// A cluster of these nodes.
    pub fn new(nodes: Vec<Node>) -> Cluster {
        let mut kinds: Vec<KindId> = nodes.iter().map(|node| node.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let count =
            |kind: &KindId| nodes.iter().filter(|node| node.kind == *kind).map(|node| node.devices).sum();
        let devices = kinds.iter().map(count).collect();
        let mut by_kind = vec![Vec::new(); kinds.len()];
        for (at, node) in nodes.iter().enumerate() {
            if let Ok(slot) = kinds.binary_search(&node.kind) {
                by_kind[slot].push(NodeId(at as u32));
            }
        }
        Cluster { nodes, kinds, devices, by_kind }
    }

    /// One pool of `devices` alike, as a batch-queue trace describes it.
    pub fn pool(kind: KindId, devices: u32, procs_per_device: u32) -> Cluster {
        Cluster::new(vec![Node { name: "pool".into(), kind, devices, procs_per_device, rack: 0 }])
    }

    /// All nodes; a [`NodeId`] is an index into them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Device kinds present, ascending.
    pub fn kinds(&self) -> &[KindId] {
        &self.kinds
    }

    /// The nodes with devices of the kind at this position of [`kinds`](Cluster::kinds), ascending.
    pub fn nodes_of(&self, slot: usize) -> &[NodeId] {
        &self.by_kind[slot]
    }

    /// The name of the kind at this position of [`kinds`](Cluster::kinds), for people: that of the built-in catalogue, or
    /// of the first node where a scenario has brought the kind along.
    pub fn kind_name(&self, slot: usize) -> String {
        let known = self.kinds.get(slot).and_then(|kind| Catalog::builtin().devices().get(kind.index()));
        let node = || self.by_kind.get(slot)?.first().map(|&node| self.node(node).name.clone());
        known.map(|known| known.name.clone()).or_else(node).unwrap_or_default()
    }

    /// Devices of a kind in the whole cluster.
    pub fn devices_of(&self, kind: KindId) -> u32 {
        self.kinds.binary_search(&kind).map_or(0, |at| self.devices[at])
    }

    /// Devices of each kind, aligned with [`kinds`](Cluster::kinds).
    pub fn all_devices(&self) -> &[u32] {
        &self.devices
    }

    /// Devices in the whole cluster.
    pub fn devices(&self) -> u32 {
        self.devices.iter().sum()
    }

    /// Processors in the whole cluster.
    pub fn procs(&self) -> u64 {
        self.nodes.iter().map(|node| u64::from(node.devices) * u64::from(node.procs_per_device)).sum()
    }
}
