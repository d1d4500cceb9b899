//! Where an artefact comes from and in which form: what should be fastest, as the links are loaded now.

use smallvec::SmallVec;

use super::flow::{Flows, transfer_time};
use super::link::{LinkId, Path};
use super::replicas::Replicas;
use super::spec::{Artefact, ArtefactId, DataSpec};
use crate::units::{NodeId, Span};

/// Replicas that are weighed for one transfer, the nearest first; more would not make a choice better, only slower.
const MAX_REPLICAS: usize = 8;

/// What gives an artefact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The central store, which holds everything.
    Storage,
    /// The cache of another node.
    Replica(NodeId),
}

/// One way to get an artefact.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Route {
    pub(super) source: Source,
    pub(super) path: Path,
    /// Until the first byte.
    pub(super) latency: Span,
    /// Bytes to move, compressed if they are.
    pub(super) wire: u64,
    /// What decompression takes, in bytes per second of `wire`; infinite without it.
    pub(super) limit: f64,
}

impl Route {
    /// What it gets among the transfers there are, in bytes per second.
    fn rate(&self, spec: &DataSpec, flows: &Flows) -> f64 {
        let available = |&link: &LinkId| flows.load(link).available(spec.capacity(link), 1);
        self.path.iter().map(available).fold(self.limit, f64::min)
    }

    /// How long it takes at this rate.
    fn time(&self, rate: f64) -> Span {
        self.latency + transfer_time(self.wire as f64, rate)
    }
}

/// The fastest of the ways weighed so far.
struct Fastest {
    route: Route,
    rate: f64,
    time: Span,
}

impl Fastest {
    /// Whether a way could not take less time: it begins no sooner and has no fewer bytes, at no higher rate. Most
    /// replicas are as far away as each other.
    fn rules_out(&self, route: &Route, rate: f64) -> bool {
        rate <= self.rate && route.latency >= self.route.latency && route.wire >= self.route.wire
    }
}

/// The fastest way to get an artefact to a node, with the time it should take; the nearer replica where two are equal,
/// and any replica before the store.
pub(super) fn choose(
    spec: &DataSpec,
    flows: &Flows,
    replicas: &Replicas,
    node: NodeId,
    id: ArtefactId,
) -> (Route, Span) {
    let mut best: Option<Fastest> = None;
    let mut weigh = |route: Route| {
        let rate = route.rate(spec, flows);
        if best.as_ref().is_some_and(|best| best.rules_out(&route, rate)) {
            return;
        }
        let time = route.time(rate);
        if best.as_ref().is_none_or(|best| time < best.time) {
            best = Some(Fastest { route, rate, time });
        }
    };
    let rack = spec.node(node).rack;
    if spec.switches().replication {
        replicas.nearest(id, rack).take(MAX_REPLICAS).for_each(|source| weigh(copy(spec, source, node, id)));
    }
    let raw = store(spec, node, id);
    compressed(spec, &raw, id).into_iter().for_each(&mut weigh);
    // Last, so that it must be better than both; it is there in any case.
    weigh(raw);
    let best = best.expect("the store has everything");
    (best.route, best.time)
}

/// The way from a source, compressed or not; `None` for a compressed copy that there is not.
pub(super) fn way(
    spec: &DataSpec,
    source: Source,
    node: NodeId,
    id: ArtefactId,
    is_compressed: bool,
) -> Option<Route> {
    match (source, is_compressed) {
        (Source::Storage, false) => Some(store(spec, node, id)),
        (Source::Storage, true) => compressed(spec, &store(spec, node, id), id),
        (Source::Replica(from), false) if from != node => Some(copy(spec, from, node, id)),
        (Source::Replica(_), _) => None,
    }
}

fn copy(spec: &DataSpec, from: NodeId, to: NodeId, id: ArtefactId) -> Route {
    let place = |node: NodeId| (node, spec.node(node).rack);
    let path = spec.links().between(place(from), place(to));
    let latency = spec.setup().link_latency * path.len() as u64;
    let wire = spec.artefact(id).bytes;
    Route { source: Source::Replica(from), path, latency, wire, limit: f64::INFINITY }
}

fn store(spec: &DataSpec, node: NodeId, id: ArtefactId) -> Route {
    let path = spec.links().storage_to(node, spec.node(node).rack);
    // The first link is the store itself, whose latency is its own.
    let links = path.len() as u64 - 1;
    let latency = spec.setup().storage.latency + spec.setup().link_latency * links;
    Route { source: Source::Storage, path, latency, wire: spec.artefact(id).bytes, limit: f64::INFINITY }
}

/// The same way with the compressed copy, if there is one.
fn compressed(spec: &DataSpec, raw: &Route, id: ArtefactId) -> Option<Route> {
    let Artefact { bytes, compression_ratio: ratio, .. } = *spec.artefact(id);
    let compression = spec.switches().compression.filter(|_| ratio > 1.0)?;
    let wire = (bytes as f64 / ratio).ceil() as u64;
    Some(Route { wire, limit: compression.decompressed_bytes_per_s / ratio, ..raw.clone() })
}

/// Several transfers to one node that begin together: what each takes alone, and what they put on links they share.
#[derive(Default)]
pub(super) struct Together {
    links: SmallVec<[Shared; 8]>,
    slowest: Span,
}

struct Shared {
    link: LinkId,
    /// The least of those that pass it: it works from then on.
    latency: Span,
    bytes: f64,
    count: u32,
}

impl Together {
    pub(super) fn add(&mut self, route: &Route, alone: Span) {
        self.slowest = self.slowest.max(alone);
        for &link in &route.path {
            let bytes = route.wire as f64;
            match self.links.iter_mut().find(|shared| shared.link == link) {
                Some(shared) => {
                    shared.latency = shared.latency.min(route.latency);
                    shared.bytes += bytes;
                    shared.count += 1;
                }
                None => self.links.push(Shared { link, latency: route.latency, bytes, count: 1 }),
            }
        }
    }

    /// Until all are complete: no earlier than the slowest alone, nor than the busiest link can do it.
    pub(super) fn time(&self, spec: &DataSpec, flows: &Flows) -> Span {
        let busy = |shared: &Shared| {
            let rate = flows.load(shared.link).available(spec.capacity(shared.link), shared.count);
            shared.latency + transfer_time(shared.bytes, rate)
        };
        self.links.iter().filter(|shared| shared.count > 1).map(busy).fold(self.slowest, Span::max)
    }
}
