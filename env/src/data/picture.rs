//! A data plane in the open: what changes of it, to be written down and read again.

use std::sync::Arc;

use super::cache::Cache;
use super::error::DataError;
use super::flow::Flow;
use super::plane::{DataPlane, Run};
use super::route::{Source, way};
use super::spec::{ArtefactId, DataSpec};
use crate::units::{NodeId, Time};

/// Everything that changes of a [`DataPlane`], its counters apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// By node, what its cache has room for, least recently used first.
    pub caches: Vec<Vec<Cached>>,
    /// Transfers under way, in the order in which they began.
    pub transfers: Vec<Moving>,
    /// Runs that have begun and are not released, ascending by tag.
    pub runs: Vec<Holding>,
}

/// An artefact in a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Which.
    pub artefact: ArtefactId,
    /// Whether it is there; otherwise a transfer brings it.
    pub present: bool,
}

/// A transfer under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Moving {
    /// Where to.
    pub node: NodeId,
    /// What.
    pub artefact: ArtefactId,
    /// Where from.
    pub source: Source,
    /// Whether it is the compressed copy of the store.
    pub compressed: bool,
    /// Whether it goes into the cache; otherwise to the run that waits for it alone.
    pub kept: bool,
    /// Tags of the runs that wait for it, at least one.
    pub waiters: Vec<u64>,
    /// The first byte.
    pub starts: Time,
    /// When `left_bytes` were left.
    pub since: Time,
    /// Bytes on the wire that were left then.
    pub left_bytes: f64,
    /// Bytes per second on the wire; 0 before the first byte.
    pub bytes_per_s: f64,
    /// Its end, if no other begins or ends before.
    pub finish: Time,
}

/// What a run keeps and waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Its tag.
    pub tag: u64,
    /// Transfers that it waits for.
    pub pending: u32,
    /// What it keeps from being evicted, each once.
    pub holds: Vec<(NodeId, ArtefactId)>,
}

impl DataPlane {
    /// How things stand.
    pub fn picture(&self) -> Picture {
        let cached = |cache: &Arc<Cache>| {
            let entries = cache.entries().iter();
            entries.map(|entry| Cached { artefact: entry.id, present: entry.present }).collect()
        };
        let moving = |flow: &Flow| Moving {
            node: flow.node,
            artefact: flow.artefact,
            source: flow.route.source,
            compressed: flow.route.limit.is_finite(),
            kept: flow.kept,
            waiters: flow.waiters.to_vec(),
            starts: flow.starts,
            since: flow.since,
            left_bytes: flow.left,
            bytes_per_s: flow.rate,
            finish: flow.finish,
        };
        let holding = |run: &Run| Holding { tag: run.tag, pending: run.pending, holds: run.holds.to_vec() };
        Picture {
            caches: self.caches.iter().map(cached).collect(),
            transfers: self.flows.list().iter().map(moving).collect(),
            runs: self.runs.iter().map(holding).collect(),
        }
    }

    /// A plane that stands so. Ids of nodes and artefacts must be those of the spec.
    ///
    /// # Errors
    ///
    /// A cache that holds too much, a transfer that cannot be, something in use that is not there.
    pub fn of_picture(spec: Arc<DataSpec>, now: Time, picture: &Picture) -> Result<DataPlane, DataError> {
        let nodes = 0..spec.setup().nodes.len() as u32;
        let caches = nodes.map(|node| cache(&spec, NodeId(node), picture)).collect::<Result<Vec<_>, _>>()?;
        let flows = picture
            .transfers
            .iter()
            .map(|moving| flow(&spec, now, moving, picture))
            .collect::<Result<_, _>>()?;
        let sorted = picture.runs.windows(2).all(|pair| pair[0].tag < pair[1].tag);
        if !sorted {
            return Err(inconsistent("runs", "tags that do not ascend".into(), "each tag once, ascending"));
        }
        let runs = picture.runs.iter().map(|run| held(run, picture)).collect::<Result<_, _>>()?;
        Ok(DataPlane::restored(spec, now, caches, flows, runs))
    }
}

fn inconsistent(field: &str, value: String, must: &'static str) -> DataError {
    DataError::Range { field: field.to_owned(), value, must }
}

fn cache(spec: &DataSpec, node: NodeId, picture: &Picture) -> Result<Cache, DataError> {
    let field = || format!("cache of node {}", node.0);
    let empty = Vec::new();
    let entries = picture.caches.get(node.index()).unwrap_or(&empty);
    for entry in entries.iter().filter(|entry| !entry.present) {
        let brings =
            |moving: &Moving| moving.kept && moving.node == node && moving.artefact == entry.artefact;
        if !picture.transfers.iter().any(brings) {
            let value = spec.artefact(entry.artefact).name.clone();
            return Err(inconsistent(&field(), value, "there, or brought by a transfer"));
        }
    }
    let pins = |id: ArtefactId| {
        let holds = picture.runs.iter().flat_map(|run| &run.holds).filter(|hold| **hold == (node, id));
        let copies = picture.transfers.iter();
        let copies = copies.filter(|moving| moving.artefact == id && moving.source == Source::Replica(node));
        (holds.count() + copies.count()) as u32
    };
    let entry = |entry: &Cached| {
        (entry.artefact, spec.artefact(entry.artefact).bytes, pins(entry.artefact), entry.present)
    };
    Cache::restored(spec.cache_bytes(node), entries.iter().map(entry)).ok_or_else(|| {
        let value = format!("{} artefacts", entries.len());
        inconsistent(&field(), value, "each artefact once, and no more bytes than there is room for")
    })
}

fn flow(spec: &DataSpec, now: Time, moving: &Moving, picture: &Picture) -> Result<Flow, DataError> {
    let name = &spec.artefact(moving.artefact).name;
    let field = || format!("transfer of {name:?} to node {}", moving.node.0);
    let in_cache = |node: NodeId, present: bool| {
        let cached = Cached { artefact: moving.artefact, present };
        picture.caches.get(node.index()).is_some_and(|cache| cache.contains(&cached))
    };
    if moving.kept && !in_cache(moving.node, false) {
        return Err(inconsistent(&field(), "without its room".into(), "in the cache as not there yet"));
    }
    if let Source::Replica(source) = moving.source
        && !in_cache(source, true)
    {
        return Err(inconsistent(&field(), format!("from node {}", source.0), "from a node that has it"));
    }
    let amounts = [("left_bytes", moving.left_bytes), ("bytes_per_s", moving.bytes_per_s)];
    if let Some((what, value)) = amounts.iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
        return Err(inconsistent(
            &format!("{what} of the {}", field()),
            value.to_string(),
            "a number from 0",
        ));
    }
    if moving.bytes_per_s > 0.0 && moving.since.max(moving.starts) > now {
        return Err(inconsistent(&field(), "under way before its first byte".into(), "begun by now"));
    }
    if moving.waiters.is_empty() {
        return Err(inconsistent(&field(), "awaited by nobody".into(), "awaited by at least one run"));
    }
    let route = way(spec, moving.source, moving.node, moving.artefact, moving.compressed);
    let route = route.ok_or_else(|| {
        inconsistent(&field(), "compressed, or from itself".into(), "a way that the data plane offers")
    })?;
    Ok(Flow {
        node: moving.node,
        artefact: moving.artefact,
        route,
        kept: moving.kept,
        waiters: moving.waiters.iter().copied().collect(),
        starts: moving.starts,
        left: moving.left_bytes,
        since: moving.since,
        rate: moving.bytes_per_s,
        finish: moving.finish,
    })
}

fn held(run: &Holding, picture: &Picture) -> Result<Run, DataError> {
    for (node, id) in &run.holds {
        let there = |cached: &Cached| cached.artefact == *id;
        if !picture.caches.get(node.index()).is_some_and(|cache| cache.iter().any(there)) {
            let field = format!("run {}", run.tag);
            let value = format!("artefact {} on node {}", id.0, node.0);
            return Err(inconsistent(&field, value, "in use only where a cache has it"));
        }
    }
    let awaited = picture.transfers.iter().filter(|moving| moving.waiters.contains(&run.tag)).count();
    if (run.pending as usize) < awaited {
        let field = format!("pending of run {}", run.tag);
        return Err(inconsistent(
            &field,
            run.pending.to_string(),
            "no fewer than the transfers it waits for",
        ));
    }
    Ok(Run { tag: run.tag, pending: run.pending, holds: run.holds.iter().copied().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{A, B, at, node, plane, setup};

    fn busy() -> DataPlane {
        let mut plane = plane(setup(3, 2));
        plane.begin(at(0), node(0), &[A, B], 1);
        plane.begin(at(1), node(1), &[A], 2);
        plane.begin(at(2), node(1), &[A], 3);
        plane.advance(at(3));
        plane
    }

    #[test]
    fn a_plane_of_its_picture_is_the_same_and_goes_on_alike() {
        let mut plane = busy();
        for _ in 0..8 {
            let mut copy = DataPlane::of_picture(Arc::clone(plane.spec()), at(3), &plane.picture()).unwrap();
            copy.check();
            assert_eq!(copy.picture(), plane.picture());
            let question = |plane: &DataPlane| plane.estimate(at(3), node(2), &[A, B]);
            assert_eq!(question(&copy), question(&plane));
            let Some(next) = plane.next() else { break };
            let mut here = plane.clone();
            here.advance(next);
            copy.advance(next);
            assert_eq!(copy.picture(), here.picture(), "after {next}");
            plane.release(at(3), 2);
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let plane = busy();
        let refused = |change: &dyn Fn(&mut Picture)| {
            let mut picture = plane.picture();
            change(&mut picture);
            DataPlane::of_picture(Arc::clone(plane.spec()), at(3), &picture).unwrap_err().to_string()
        };
        assert!(refused(&|picture| picture.caches[0].clear()).contains("transfer of"));
        assert!(refused(&|picture| picture.transfers.clear()).contains("brought by a transfer"));
        assert!(refused(&|picture| picture.transfers[0].waiters.clear()).contains("awaited by nobody"));
        assert!(refused(&|picture| picture.transfers[0].left_bytes = f64::NAN).contains("left_bytes"));
        assert!(refused(&|picture| picture.runs[0].holds.push((node(2), A))).contains("run 1"));
        assert!(refused(&|picture| picture.runs.reverse()).contains("ascend"));
        assert!(refused(&|picture| picture.runs[0].pending = 0).contains("pending of run 1"));
    }
}
