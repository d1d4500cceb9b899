//! The artefacts of a cluster on the move: caches, transfers, and the runs that wait for them.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::cache::Cache;
use super::flow::{Flow, Flows};
use super::memo::Memo;
use super::replicas::Replicas;
use super::route::{Route, Source, Together, choose};
use super::spec::{ArtefactId, DataSpec};
use crate::units::{NodeId, Span, Time};

/// What a data plane did so far. Bytes are those on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Artefacts that a start found on its node.
    pub hits: u64,
    /// Artefacts that were on their way to the node for another run.
    pub joins: u64,
    /// Artefacts that had to be transferred.
    pub misses: u64,
    /// Of the misses, those that the cache had no room for: transferred and not kept.
    pub streamed: u64,
    /// Artefacts that made room for others.
    pub evictions: u64,
    /// Bytes from the central store, those of transfers that were given up included.
    pub storage_bytes: u64,
    /// Bytes from other nodes, those of transfers that were given up included.
    pub replica_bytes: u64,
    /// Of both, bytes of transfers that were given up or began again.
    pub wasted_bytes: u64,
}

/// A transfer under way, as [`DataPlane::transfers`] shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transfer {
    /// Where to.
    pub node: NodeId,
    /// What.
    pub artefact: ArtefactId,
    /// Where from.
    pub source: Source,
    /// Its size on the wire.
    pub wire_bytes: u64,
    /// Its rate on the wire in bytes per second, 0 before the first byte.
    pub bytes_per_s: f64,
    /// Its end, if no other begins or ends before.
    pub finish: Time,
}

/// Where an artefact is, seen from a node.
enum Presence<'a> {
    Here,
    Coming(&'a Flow),
    Away,
}

/// A run that has begun and is not released.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) tag: u64,
    /// Transfers it waits for. One that ended with its node stays counted: the run never becomes ready.
    pub(super) pending: u32,
    /// What it keeps from being evicted.
    pub(super) holds: SmallVec<[(NodeId, ArtefactId); 4]>,
}

/// The data of a cluster. A clone shares the [`DataSpec`], and each cache until one of the two changes it.
///
/// Time is told: calls with `now` first let everything happen that is due, so `now` must never run backwards.
#[derive(Clone, Debug, PartialEq)]
pub struct DataPlane {
    pub(super) spec: Arc<DataSpec>,
    now: Time,
    /// One for each node.
    pub(super) caches: Vec<Arc<Cache>>,
    pub(super) replicas: Replicas,
    pub(super) flows: Flows,
    /// Ascending by tag.
    pub(super) runs: Vec<Run>,
    ready: VecDeque<u64>,
    counters: Counters,
    /// How long each artefact takes alone to where it is away from.
    alone: Memo,
}

impl DataPlane {
    /// All caches empty, everything in the central store.
    pub fn new(spec: Arc<DataSpec>) -> DataPlane {
        let nodes = 0..spec.setup().nodes.len() as u32;
        DataPlane {
            caches: nodes.map(|node| Arc::new(Cache::new(spec.cache_bytes(NodeId(node))))).collect(),
            flows: Flows::new(spec.links()),
            now: Time::ZERO,
            replicas: Replicas::default(),
            runs: Vec::new(),
            ready: VecDeque::new(),
            counters: Counters::default(),
            alone: Memo::new(spec.setup().nodes.len(), spec.setup().artefacts.len()),
            spec,
        }
    }

    /// A plane that stands so at this moment.
    pub(super) fn restored(
        spec: Arc<DataSpec>,
        now: Time,
        caches: Vec<Cache>,
        flows: Vec<Flow>,
        runs: Vec<Run>,
    ) -> DataPlane {
        let mut plane = DataPlane::new(spec);
        for (at, cache) in caches.iter().enumerate() {
            let node = NodeId(at as u32);
            for entry in cache.entries().iter().filter(|entry| entry.present) {
                plane.replicas.insert(entry.id, plane.spec.node(node).rack, node);
            }
        }
        plane.now = now;
        plane.caches = caches.into_iter().map(Arc::new).collect();
        plane.flows = Flows::restored(plane.spec.links(), flows);
        plane.runs = runs;
        plane
    }

    /// What does not change.
    pub fn spec(&self) -> &Arc<DataSpec> {
        &self.spec
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether an artefact is in the cache of a node, ready for use.
    pub fn holds(&self, node: NodeId, artefact: ArtefactId) -> bool {
        self.caches[node.index()].get(artefact).is_some_and(|entry| entry.present)
    }

    /// The artefacts in the cache of a node, ready for use, least recently used first.
    pub fn contents(&self, node: NodeId) -> impl Iterator<Item = ArtefactId> {
        self.caches[node.index()].entries().iter().filter(|entry| entry.present).map(|entry| entry.id)
    }

    /// Bytes of a cache that are taken, those of transfers under way included.
    pub fn used_bytes(&self, node: NodeId) -> u64 {
        self.caches[node.index()].used()
    }

    /// Equal for nodes whose caches hold, and are about to hold, the same artefacts. The order of their use, rack,
    /// speed and capacity are not in it. Takes no time to speak of.
    pub fn signature(&self, node: NodeId) -> u64 {
        self.caches[node.index()].signature()
    }

    /// Transfers under way, in the order in which they began.
    pub fn transfers(&self) -> impl Iterator<Item = Transfer> {
        self.flows.list().iter().map(|flow| Transfer {
            node: flow.node,
            artefact: flow.artefact,
            source: flow.route.source,
            wire_bytes: flow.route.wire,
            bytes_per_s: flow.rate(),
            finish: flow.finish(),
        })
    }

    /// Bytes to be moved before these artefacts are on the node: neither there nor on their way, uncompressed.
    pub fn missing(&self, node: NodeId, artefacts: &[ArtefactId]) -> u64 {
        let away = |id: &ArtefactId| matches!(self.presence(node, *id), Presence::Away);
        distinct(artefacts).filter(away).map(|id| self.spec.artefact(id).bytes).sum()
    }

    /// How long it should take until these artefacts are on the node, if that began now: zero if they are. What is
    /// under way is taken to stay: newcomers get an equal share of each link, or what is left over if that is more.
    /// Exact for one artefact on idle links. Several end no earlier than the slowest of them alone, nor than the
    /// busiest link they share can do it; that is the estimate.
    pub fn estimate(&self, now: Time, node: NodeId, artefacts: &[ArtefactId]) -> Span {
        if let &[id] = artefacts {
            return match self.presence(node, id) {
                Presence::Here => Span::ZERO,
                Presence::Coming(flow) => flow.finish().since(now),
                Presence::Away => self.alone(node, id),
            };
        }
        let mut coming = Span::ZERO;
        let mut together = Together::default();
        for id in distinct(artefacts) {
            match self.presence(node, id) {
                Presence::Here => {}
                Presence::Coming(flow) => coming = coming.max(flow.finish().since(now)),
                Presence::Away => {
                    let (route, alone) = self.choose(node, id);
                    together.add(&route, alone);
                }
            }
        }
        coming.max(together.time(&self.spec, &self.flows))
    }

    /// When all that a run waits for should be there, if nothing else begins; `None` if it waits for nothing.
    pub fn ready_at(&self, tag: u64) -> Option<Time> {
        let awaited = self.flows.list().iter().filter(|flow| flow.waiters.contains(&tag));
        awaited.map(Flow::finish).max()
    }

    /// A run starts on a node and needs these artefacts: keeps what is there, begins the transfer of what is not, or
    /// joins one under way. True if the run must wait; its tag then comes out of [`DataPlane::pop_ready`] once
    /// nothing is missing. A gang on several nodes begins on each with one tag, all at one moment.
    ///
    /// Whatever this says, the run needs its [`DataPlane::release`]; until then no other may have its tag.
    pub fn begin(&mut self, now: Time, node: NodeId, artefacts: &[ArtefactId], tag: u64) -> bool {
        self.advance(now);
        let mut waits = false;
        let mut missing: SmallVec<[ArtefactId; 4]> = SmallVec::new();
        // What is here is pinned before anything makes room for what is not.
        for id in distinct(artefacts) {
            match self.presence(node, id) {
                Presence::Here => self.counters.hits += 1,
                Presence::Coming(_) => {
                    self.counters.joins += 1;
                    self.run(tag).pending += u32::from(self.flows.join(node, id, tag));
                    waits = true;
                }
                Presence::Away => {
                    missing.push(id);
                    continue;
                }
            }
            self.hold(node, id, tag);
        }
        // All ways are chosen before any is taken, as an estimate does.
        let routes: SmallVec<[(Route, Span); 4]> = missing.iter().map(|&id| self.choose(node, id)).collect();
        for (&id, route) in missing.iter().zip(routes) {
            self.fetch(node, id, route, tag);
            waits = true;
        }
        waits
    }

    /// The next moment at which anything happens here. It is the present just after a transfer without latency began.
    pub fn next(&self) -> Option<Time> {
        self.flows.next()
    }

    /// Lets everything happen that is due. What came of it is in [`DataPlane::pop_ready`].
    pub fn advance(&mut self, now: Time) {
        debug_assert!(now >= self.now, "time would run backwards from {} to {now}", self.now);
        while let Some(at) = self.flows.next().filter(|&at| at <= now) {
            self.alone.forget();
            for flow in self.flows.step(self.spec.links(), at) {
                self.complete(&flow);
            }
        }
        self.now = now;
    }

    /// The next run whose data is complete: by the time of its last transfer, then in the order in which the transfers
    /// began, then in that in which the runs did.
    pub fn pop_ready(&mut self) -> Option<u64> {
        self.ready.pop_front()
    }

    /// A run ended, was preempted or failed, wherever it got to: its transfers end unless others wait for them, and
    /// what it used may be evicted, as most recently used. Nothing happens if the tag is unknown.
    pub fn release(&mut self, now: Time, tag: u64) {
        self.advance(now);
        let Ok(at) = self.runs.binary_search_by_key(&tag, |run| run.tag) else { return };
        self.ready.retain(|&ready| ready != tag);
        for (node, id) in self.runs.remove(at).holds {
            let cache = self.cache(node);
            cache.unpin(id);
            cache.touch(id);
        }
        for flow in self.flows.leave(self.spec.links(), now, tag) {
            self.alone.forget();
            self.give_up(&flow);
            if flow.kept {
                self.cache(flow.node).remove(flow.artefact);
            }
        }
    }

    /// A node failed: its cache is empty, transfers to it end, those from it begin again from elsewhere. Runs that
    /// waited for the former never become ready; the caller releases the runs of the node, before or after.
    pub fn lose(&mut self, now: Time, node: NodeId) {
        self.advance(now);
        self.alone.forget();
        let from = |flow: &Flow| flow.route.source == Source::Replica(node);
        let gone = self.flows.remove(self.spec.links(), now, |flow| flow.node == node || from(flow));
        for flow in &gone {
            self.give_up(flow);
        }
        self.runs.iter_mut().for_each(|run| run.holds.retain(|hold| hold.0 != node));
        self.cache(node).clear();
        self.replicas.remove_node(node);
        for flow in gone.into_iter().filter(|flow| flow.node != node) {
            let route = self.choose(flow.node, flow.artefact);
            self.send(flow.node, flow.artefact, flow.kept, flow.waiters, route);
        }
    }

    /// A run wrote an artefact on this node, and to the central store: it is a replica here if there is room.
    pub fn publish(&mut self, now: Time, node: NodeId, artefact: ArtefactId) {
        self.advance(now);
        match self.presence(node, artefact) {
            Presence::Here => self.cache(node).touch(artefact),
            Presence::Coming(_) => {}
            Presence::Away => {
                if self.reserve(node, artefact) {
                    self.arrive(node, artefact);
                }
            }
        }
    }

    fn presence(&self, node: NodeId, id: ArtefactId) -> Presence<'_> {
        match self.caches[node.index()].get(id) {
            None => Presence::Away,
            Some(entry) if entry.present => Presence::Here,
            Some(_) => self.flows.bringing(node, id).map_or(Presence::Away, Presence::Coming),
        }
    }

    /// How long the fastest way takes.
    fn alone(&self, node: NodeId, id: ArtefactId) -> Span {
        let time = self.alone.get(node, id, || self.choose(node, id).1);
        debug_assert_eq!(time, self.choose(node, id).1, "a change was not told");
        time
    }

    fn choose(&self, node: NodeId, id: ArtefactId) -> (Route, Span) {
        choose(&self.spec, &self.flows, &self.replicas, node, id)
    }

    /// Begins a transfer for a run, into the cache if there is room.
    fn fetch(&mut self, node: NodeId, id: ArtefactId, route: (Route, Span), tag: u64) {
        self.counters.misses += 1;
        let kept = self.reserve(node, id);
        match kept {
            true => self.hold(node, id, tag),
            false => self.counters.streamed += 1,
        }
        self.run(tag).pending += 1;
        self.send(node, id, kept, smallvec![tag], route);
    }

    /// Puts a transfer on the links. Its source stays as long as it takes.
    fn send(
        &mut self,
        node: NodeId,
        id: ArtefactId,
        kept: bool,
        waiters: SmallVec<[u64; 2]>,
        route: (Route, Span),
    ) {
        if let Source::Replica(source) = route.0.source {
            self.cache(source).pin(id);
        }
        self.alone.forget();
        self.flows.begin(self.now, (node, id, kept), waiters, route);
    }

    /// Makes room for an artefact; whether there is any.
    fn reserve(&mut self, node: NodeId, id: ArtefactId) -> bool {
        let bytes = self.spec.artefact(id).bytes;
        let Some(evicted) = self.cache(node).reserve(id, bytes) else { return false };
        let rack = self.spec.node(node).rack;
        self.counters.evictions += evicted.len() as u64;
        self.alone.forget();
        evicted.into_iter().for_each(|id| self.replicas.remove(id, rack, node));
        true
    }

    /// From now on the node has the artefact, for itself and others.
    fn arrive(&mut self, node: NodeId, id: ArtefactId) {
        self.alone.forget();
        self.cache(node).arrive(id);
        self.replicas.insert(id, self.spec.node(node).rack, node);
    }

    fn complete(&mut self, flow: &Flow) {
        self.leave_source(flow);
        self.count(flow.route.source, flow.route.wire);
        if flow.kept {
            self.arrive(flow.node, flow.artefact);
        }
        for &tag in &flow.waiters {
            let run = self.run(tag);
            run.pending -= 1;
            if run.pending == 0 {
                self.ready.push_back(tag);
            }
        }
    }

    /// Counts what a transfer moved in vain.
    fn give_up(&mut self, flow: &Flow) {
        self.leave_source(flow);
        let moved = flow.moved(self.now);
        self.count(flow.route.source, moved);
        self.counters.wasted_bytes += moved;
    }

    fn leave_source(&mut self, flow: &Flow) {
        if let Source::Replica(source) = flow.route.source {
            self.cache(source).unpin(flow.artefact);
        }
    }

    fn count(&mut self, source: Source, bytes: u64) {
        match source {
            Source::Storage => self.counters.storage_bytes += bytes,
            Source::Replica(_) => self.counters.replica_bytes += bytes,
        }
    }

    /// Keeps an artefact in its place until the run is released.
    fn hold(&mut self, node: NodeId, id: ArtefactId, tag: u64) {
        let cache = self.cache(node);
        cache.touch(id);
        cache.pin(id);
        self.run(tag).holds.push((node, id));
    }

    fn run(&mut self, tag: u64) -> &mut Run {
        let at = self.runs.binary_search_by_key(&tag, |run| run.tag).unwrap_or_else(|at| {
            self.runs.insert(at, Run { tag, pending: 0, holds: SmallVec::new() });
            at
        });
        &mut self.runs[at]
    }

    fn cache(&mut self, node: NodeId) -> &mut Cache {
        Arc::make_mut(&mut self.caches[node.index()])
    }
}

/// Each artefact once.
fn distinct(artefacts: &[ArtefactId]) -> impl Iterator<Item = ArtefactId> {
    let first = |&(at, id): &(usize, &ArtefactId)| !artefacts[..at].contains(id);
    artefacts.iter().enumerate().filter(first).map(|(_, &id)| id)
}
