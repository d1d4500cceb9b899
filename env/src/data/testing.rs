//! A small data plane for tests.

use std::sync::Arc;

use super::{
    Artefact, ArtefactId, DataPlane, DataSetup, DataSpec, NodeData, Rack, RackId, Storage, Switches,
};
use crate::units::{NodeId, Span, Time};

/// The artefacts of [`setup`].
pub(super) const A: ArtefactId = ArtefactId(0);
pub(super) const B: ArtefactId = ArtefactId(1);
pub(super) const C: ArtefactId = ArtefactId(2);

/// Nodes in racks by turns, each with a cache of 1000 bytes, disk and card of 100 bytes per second; uplinks of 400,
/// a store of 200; no latency; artefacts `a`, `b` and `c` of 400 bytes, four times smaller compressed; everything
/// on but compression.
pub(super) fn setup(nodes: u32, racks: u32) -> DataSetup {
    let artefact = |name: &str| Artefact { name: name.into(), bytes: 400, compression_ratio: 4.0 };
    let node = |at| NodeData {
        cache_bytes: 1000,
        disk_bytes_per_s: 100.0,
        nic_bytes_per_s: 100.0,
        rack: RackId(at % racks),
    };
    DataSetup {
        artefacts: ["a", "b", "c"].map(artefact).into(),
        nodes: (0..nodes).map(node).collect(),
        racks: vec![Rack { uplink_bytes_per_s: 400.0 }; racks as usize],
        storage: Storage { bytes_per_s: 200.0, latency: Span::ZERO },
        link_latency: Span::ZERO,
        switches: Switches { caching: true, replication: true, compression: None },
    }
}

/// The plane of a valid setup.
pub(super) fn plane(setup: DataSetup) -> DataPlane {
    DataPlane::new(Arc::new(DataSpec::new(setup).unwrap()))
}

/// A whole second.
pub(super) fn at(seconds: u64) -> Time {
    Time::ZERO + Span::from_secs(seconds)
}

/// Runs until nothing is under way; when each run became ready.
pub(super) fn drain(plane: &mut DataPlane) -> Vec<(u64, Time)> {
    let mut ready = Vec::new();
    while let Some(next) = plane.next() {
        plane.advance(next);
        plane.check();
        ready.extend(std::iter::from_fn(|| plane.pop_ready()).map(|tag| (tag, next)));
    }
    ready
}

/// The node of this number.
pub(super) fn node(number: u32) -> NodeId {
    NodeId(number)
}
