//! What does not change: artefacts, caches, links and switches.

use std::collections::BTreeSet;

use super::error::DataError;
use super::link::{LinkId, Links};
use serde::{Deserialize, Serialize};

use crate::units::{NodeId, Span};

/// Position of an artefact in its [`DataSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ArtefactId(pub u32);

impl ArtefactId {
    /// As an index into the artefacts.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Position of a rack in its [`DataSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RackId(pub u32);

impl RackId {
    /// As an index into the racks.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Something that a start needs on its node: weights, a data set, the output of another job. It never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Artefact {
    /// Unique in its spec.
    pub name: String,
    /// Size as used and as cached, at least 1.
    pub bytes: u64,
    /// Size over compressed size, at least 1; 1 means that compression does not help.
    pub compression_ratio: f64,
}

/// Where the artefacts of a node are kept and how they come there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeData {
    /// Room for artefacts on the local disk, in bytes; 0 keeps none.
    pub cache_bytes: u64,
    /// How fast the local disk is read, for copies to other nodes, in bytes per second.
    pub disk_bytes_per_s: f64,
    /// What the network card sends, and at the same time receives, in bytes per second.
    pub nic_bytes_per_s: f64,
    /// Where it stands.
    pub rack: RackId,
}

/// Nodes behind one switch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rack {
    /// What leaves it, and at the same time enters it, in bytes per second.
    pub uplink_bytes_per_s: f64,
}

/// The central store, which holds every artefact. It stands outside of all racks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Storage {
    /// What it gives out to all nodes together, in bytes per second.
    pub bytes_per_s: f64,
    /// From a request to the first byte, without the links.
    pub latency: Span,
}

/// Compressed copies in the central store. Caches keep artefacts ready for use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compression {
    /// How fast one transfer is decompressed, in bytes of output per second, as benchmarks of compressors count.
    pub decompressed_bytes_per_s: f64,
}

/// What may be used. Each can be switched off, so that its worth can be measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Switches {
    /// Nodes keep artefacts after use; without it each start transfers all of its own.
    pub caching: bool,
    /// Nodes copy from other nodes that have the artefact; without it only from the central store.
    pub replication: bool,
    /// The central store sends compressed copies where that is faster.
    pub compression: Option<Compression>,
}

/// A data plane as its scenario says it; [`DataSpec::new`] checks it.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSetup {
    /// What can be needed; an [`ArtefactId`] is an index into them.
    pub artefacts: Vec<Artefact>,
    /// One for each node of the cluster, in its order.
    pub nodes: Vec<NodeData>,
    /// A [`RackId`] is an index into them.
    pub racks: Vec<Rack>,
    /// The central store.
    pub storage: Storage,
    /// Of each link on the way.
    pub link_latency: Span,
    /// What may be used.
    pub switches: Switches,
}

/// A data plane that cannot be wrong: what does not change of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSpec {
    setup: DataSetup,
    links: Links,
}

impl DataSpec {
    /// Checks a setup.
    ///
    /// # Errors
    ///
    /// A bandwidth that is not finite and above 0, an empty artefact, a compression ratio below 1, an unknown rack,
    /// two artefacts of one name.
    pub fn new(setup: DataSetup) -> Result<DataSpec, DataError> {
        check_artefacts(&setup.artefacts)?;
        for (at, node) in setup.nodes.iter().enumerate() {
            check_node(at, node, setup.racks.len())?;
        }
        for (at, rack) in setup.racks.iter().enumerate() {
            check_rate(|| format!("uplink_bytes_per_s of rack {at}"), rack.uplink_bytes_per_s)?;
        }
        check_rate(|| "bytes_per_s of the storage".into(), setup.storage.bytes_per_s)?;
        if let Some(compression) = setup.switches.compression {
            let field = || "decompressed_bytes_per_s of the compression".into();
            check_rate(field, compression.decompressed_bytes_per_s)?;
        }
        let links = Links::new(&setup);
        Ok(DataSpec { setup, links })
    }

    /// As the scenario says it.
    pub fn setup(&self) -> &DataSetup {
        &self.setup
    }

    /// One artefact.
    pub fn artefact(&self, id: ArtefactId) -> &Artefact {
        &self.setup.artefacts[id.index()]
    }

    /// The artefact of this name.
    pub fn find(&self, name: &str) -> Option<ArtefactId> {
        let at = self.setup.artefacts.iter().position(|artefact| artefact.name == name)?;
        Some(ArtefactId(at as u32))
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &NodeData {
        &self.setup.nodes[id.index()]
    }

    /// What may be used.
    pub fn switches(&self) -> Switches {
        self.setup.switches
    }

    /// What a cache holds, in bytes; nothing where caching is off.
    pub(super) fn cache_bytes(&self, id: NodeId) -> u64 {
        if self.setup.switches.caching { self.node(id).cache_bytes } else { 0 }
    }

    /// The links between nodes and the store.
    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    /// What a link carries, in bytes per second.
    pub(super) fn capacity(&self, link: LinkId) -> f64 {
        self.links.capacity(link)
    }
}

fn check_artefacts(artefacts: &[Artefact]) -> Result<(), DataError> {
    let mut names = BTreeSet::new();
    for Artefact { name, bytes, compression_ratio } in artefacts {
        if !names.insert(name) {
            return Err(DataError::Duplicate { name: name.clone() });
        }
        if *bytes == 0 {
            let field = format!("bytes of artefact {name:?}");
            return Err(DataError::Range { field, value: "0".into(), must: "at least 1" });
        }
        if !(*compression_ratio >= 1.0 && compression_ratio.is_finite()) {
            let field = format!("compression_ratio of artefact {name:?}");
            return Err(DataError::Range {
                field,
                value: compression_ratio.to_string(),
                must: "finite and at least 1",
            });
        }
    }
    Ok(())
}

fn check_node(at: usize, node: &NodeData, racks: usize) -> Result<(), DataError> {
    if node.rack.index() >= racks {
        return Err(DataError::UnknownRack { node: at, rack: node.rack.0, racks });
    }
    check_rate(|| format!("disk_bytes_per_s of node {at}"), node.disk_bytes_per_s)?;
    check_rate(|| format!("nic_bytes_per_s of node {at}"), node.nic_bytes_per_s)
}

/// A rate of zero would never end a transfer, an infinite one would end it in no time.
fn check_rate(field: impl FnOnce() -> String, value: f64) -> Result<(), DataError> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(DataError::Range { field: field(), value: value.to_string(), must: "finite and above 0" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::setup;

    fn refusal(change: impl FnOnce(&mut DataSetup)) -> String {
        let mut setup = setup(2, 1);
        change(&mut setup);
        DataSpec::new(setup).unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_field_and_value() {
        assert_eq!(
            refusal(|setup| setup.nodes[1].nic_bytes_per_s = 0.0),
            "nic_bytes_per_s of node 1 is 0, it must be finite and above 0"
        );
        assert_eq!(
            refusal(|setup| setup.storage.bytes_per_s = f64::NAN),
            "bytes_per_s of the storage is NaN, it must be finite and above 0"
        );
        assert_eq!(
            refusal(|setup| setup.nodes[0].rack = RackId(4)),
            "rack of node 0 is 4, there are 1 racks, numbered from 0"
        );
        assert_eq!(
            refusal(|setup| setup.artefacts[0].compression_ratio = 0.5),
            "compression_ratio of artefact \"a\" is 0.5, it must be finite and at least 1"
        );
        assert_eq!(
            refusal(|setup| setup.artefacts[1].bytes = 0),
            "bytes of artefact \"b\" is 0, it must be at least 1"
        );
        assert_eq!(
            refusal(|setup| setup.artefacts[1].name = "a".into()),
            "artefact \"a\" is defined twice, remove one"
        );
    }

    #[test]
    fn artefacts_are_found_by_name() {
        let spec = DataSpec::new(setup(1, 1)).unwrap();
        assert_eq!(spec.find("b"), Some(ArtefactId(1)));
        assert_eq!(spec.find("nothing"), None);
    }
}
