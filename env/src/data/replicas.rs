//! Which nodes have which artefacts.

use super::spec::{ArtefactId, RackId};
use crate::units::NodeId;

/// Sorted by artefact, then rack: the replicas of one rack stand together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Replicas {
    list: Vec<(ArtefactId, RackId, NodeId)>,
}

impl Replicas {
    pub(super) fn insert(&mut self, id: ArtefactId, rack: RackId, node: NodeId) {
        if let Err(at) = self.list.binary_search(&(id, rack, node)) {
            self.list.insert(at, (id, rack, node));
        }
    }

    pub(super) fn remove(&mut self, id: ArtefactId, rack: RackId, node: NodeId) {
        if let Ok(at) = self.list.binary_search(&(id, rack, node)) {
            self.list.remove(at);
        }
    }

    pub(super) fn remove_node(&mut self, node: NodeId) {
        self.list.retain(|&(_, _, holder)| holder != node);
    }

    /// The holders of an artefact: those of a rack first, then those of the racks after it in turn, so that racks
    /// without a replica do not all ask the same one.
    pub(super) fn nearest(&self, id: ArtefactId, rack: RackId) -> impl Iterator<Item = NodeId> {
        let start = self.list.partition_point(|&(artefact, ..)| artefact < id);
        let len = self.list[start..].partition_point(|&(artefact, ..)| artefact == id);
        let holders = &self.list[start..start + len];
        let (before, from) = holders.split_at(holders.partition_point(|&(_, other, _)| other < rack));
        from.iter().chain(before).map(|&(_, _, node)| node)
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_rack_comes_first_then_those_after_it() {
        let mut replicas = Replicas::default();
        let (a, b) = (ArtefactId(0), ArtefactId(1));
        for (id, rack, node) in [(a, 2, 5), (a, 0, 0), (b, 1, 2), (a, 1, 4), (a, 1, 3), (a, 1, 3)] {
            replicas.insert(id, RackId(rack), NodeId(node));
        }
        let nearest = |replicas: &Replicas, rack| -> Vec<u32> {
            replicas.nearest(a, RackId(rack)).map(|node| node.0).collect()
        };
        assert_eq!(nearest(&replicas, 1), [3, 4, 5, 0]);
        assert_eq!(nearest(&replicas, 9), [0, 3, 4, 5]);
        replicas.remove(a, RackId(1), NodeId(3));
        replicas.remove_node(NodeId(0));
        assert_eq!(nearest(&replicas, 2), [5, 4]);
        assert_eq!(replicas.len(), 3);
    }
}
