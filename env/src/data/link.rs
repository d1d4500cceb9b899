//! The links of a cluster, the ways through them, and what is on them.

use smallvec::{SmallVec, smallvec};

use super::spec::{DataSetup, RackId};
use crate::units::NodeId;

/// Something that transfers share. The two directions of a cable are two links: they are full duplex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkId(pub(super) u32);

impl LinkId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the store sends passes this link.
pub(super) const STORAGE: LinkId = LinkId(0);

/// The links that a transfer passes, from the source on.
pub(super) type Path = SmallVec<[LinkId; 4]>;

/// What all links carry: the store, then two for each rack, then two for each node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Links {
    racks: u32,
    /// Bytes per second.
    capacities: Vec<f64>,
}

impl Links {
    pub(super) fn new(setup: &DataSetup) -> Links {
        let mut capacities = vec![setup.storage.bytes_per_s];
        capacities.extend(setup.racks.iter().flat_map(|rack| [rack.uplink_bytes_per_s; 2]));
        for node in &setup.nodes {
            // A copy for another node is read from the local disk and sent by the card; the slower one decides, as
            // nothing else uses either.
            capacities.push(node.disk_bytes_per_s.min(node.nic_bytes_per_s));
            capacities.push(node.nic_bytes_per_s);
        }
        Links { racks: setup.racks.len() as u32, capacities }
    }

    pub(super) fn len(&self) -> usize {
        self.capacities.len()
    }

    pub(super) fn capacity(&self, link: LinkId) -> f64 {
        self.capacities[link.index()]
    }

    /// From the central store to a node.
    pub(super) fn storage_to(&self, node: NodeId, rack: RackId) -> Path {
        smallvec![STORAGE, down(rack), self.receive(node)]
    }

    /// From one node to another; within a rack nothing passes the uplink.
    pub(super) fn between(&self, (from, source): (NodeId, RackId), (to, rack): (NodeId, RackId)) -> Path {
        match source == rack {
            true => smallvec![self.send(from), self.receive(to)],
            false => smallvec![self.send(from), up(source), down(rack), self.receive(to)],
        }
    }

    fn send(&self, node: NodeId) -> LinkId {
        LinkId(1 + 2 * self.racks + 2 * node.0)
    }

    fn receive(&self, node: NodeId) -> LinkId {
        LinkId(2 + 2 * self.racks + 2 * node.0)
    }
}

fn up(rack: RackId) -> LinkId {
    LinkId(1 + 2 * rack.0)
}

fn down(rack: RackId) -> LinkId {
    LinkId(2 + 2 * rack.0)
}

/// What is on one link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Load {
    /// Transfers, those that still wait for their first byte included.
    pub(super) flows: u32,
    /// Of these, those that wait.
    pub(super) waiting: u32,
    /// What the others use, in bytes per second.
    pub(super) used: f64,
}

impl Load {
    /// What `count` more transfers would have together of a link of this capacity, in bytes per second: an equal
    /// share, or what is left over. What transfers that wait leave over is not known yet.
    pub(super) fn available(&self, capacity: f64, count: u32) -> f64 {
        if self.flows == 0 {
            // Nobody else: most links, most of the time.
            return capacity;
        }
        let share = capacity * f64::from(count) / f64::from(self.flows + count);
        if self.waiting == 0 { share.max(capacity - self.used) } else { share }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::setup;

    #[test]
    fn links_are_distinct_and_carry_what_the_setup_says() {
        let mut setup = setup(2, 2);
        setup.nodes[1].disk_bytes_per_s = 50.0;
        setup.nodes[1].nic_bytes_per_s = 70.0;
        setup.racks[0].uplink_bytes_per_s = 30.0;
        setup.racks[1].uplink_bytes_per_s = 40.0;
        let links = Links::new(&setup);
        let path = links.between((NodeId(1), RackId(1)), (NodeId(0), RackId(0)));
        let capacities: Vec<f64> = path.iter().map(|&link| links.capacity(link)).collect();
        assert_eq!(capacities, [50.0, 40.0, 30.0, setup.nodes[0].nic_bytes_per_s]);
        assert_eq!(links.storage_to(NodeId(1), RackId(1)).as_slice(), [LinkId(0), LinkId(4), LinkId(8)]);
        assert_eq!(links.len(), 9);
    }

    #[test]
    fn a_newcomer_has_an_equal_share_or_what_is_left_over() {
        assert_eq!(Load { flows: 1, waiting: 0, used: 20.0 }.available(100.0, 1), 80.0);
        assert_eq!(Load { flows: 1, waiting: 0, used: 100.0 }.available(100.0, 1), 50.0);
        assert_eq!(Load { flows: 2, waiting: 1, used: 0.0 }.available(90.0, 1), 30.0);
        assert_eq!(Load { flows: 1, waiting: 0, used: 90.0 }.available(90.0, 2), 60.0);
    }
}
