//! The nodes that are known and what runs on them, condensed to what a policy sees.
//!
//! A policy tells device kinds apart, not nodes. So a cluster of thousands of nodes becomes one of as many as there are
//! groups (kind, memory, rack), each with the devices of all its nodes, and a decision costs the same for any size. What is
//! condensed is made when nodes or pods change, not when a pod is scored.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use smallvec::SmallVec;
use yardmaster_env::cluster::{Cluster, Node as ClusterNode};
use yardmaster_env::units::{JobId, KindId, NodeId, Span, Time};
use yardmaster_env::view::{Running, Share, slot_of};

use super::config::Config;
use super::job::{GROUP, SECONDS};
use super::names::{Names, Walk};
use super::object::{Node, Pod};

/// Running pods of one kind are told apart by up to so many moments of release.
const RELEASES: usize = 16;

/// What is known of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownNode {
    /// What its devices are; `None` where no mapping says so.
    pub kind: Option<KindId>,
    /// How many it gives to pods.
    pub devices: u32,
    /// Memory of one, in MiB.
    pub memory_mib: Option<f64>,
    /// Where it stands.
    pub rack: Option<String>,
    /// Devices that known pods hold.
    pub used: u32,
}

/// The part of it that ranks a node, of which thousands are read for each pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Slot of its kind in the condensed cluster; none where its kind is not known.
    pub slot: Option<u16>,
    /// Number of its rack.
    pub rack: Option<u32>,
    /// How many devices it gives to pods.
    pub devices: u32,
    /// Those that no known pod holds.
    pub free: u32,
}

/// A pod that holds devices.
#[derive(Clone, Debug)]
struct Holder {
    /// Name of the node, which may be told later.
    node: String,
    devices: u32,
    start: Time,
    finish: Time,
}

/// A cluster as a policy sees it: one node for each group.
#[derive(Clone, Debug)]
pub struct Condensed {
    /// Groups as nodes.
    pub cluster: Cluster,
    /// Free devices by group.
    pub free: Vec<u32>,
    /// Free devices by kind slot.
    pub free_by_kind: Vec<u32>,
    /// What runs, in order of start; all of it stands for job 0.
    pub running: Vec<Running>,
}

/// All that is known.
#[derive(Debug, Default)]
pub struct Registry {
    names: Names,
    /// By number of the name, as `places` are.
    nodes: Vec<KnownNode>,
    places: Vec<Place>,
    /// Racks that nodes stand in, sorted; their places are their numbers.
    racks: Vec<String>,
    holders: Vec<Holder>,
    racks_of_groups: HashMap<String, BTreeSet<String>>,
    condensed: Option<Condensed>,
}

impl Registry {
    /// What is known of a node.
    pub fn node(&self, name: &str) -> Option<&KnownNode> {
        self.names.find(name).map(|number| &self.nodes[number])
    }

    /// For the names of a request, one after another: what it finds is a position in [`Registry::nodes`] and
    /// [`Registry::places`].
    pub fn walk(&self) -> Walk<'_> {
        self.names.walk()
    }

    /// All nodes.
    pub fn nodes(&self) -> &[KnownNode] {
        &self.nodes
    }

    /// What ranks them.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// How many nodes are known.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no node is known.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// In which racks pods of the group run, by number of the rack; empty if in none.
    pub fn racks_of(&self, group: &str) -> Vec<bool> {
        let Some(racks) = self.racks_of_groups.get(group) else { return Vec::new() };
        self.racks.iter().map(|rack| racks.contains(rack)).collect()
    }

    /// The cluster as a policy sees it; `None` while no node with a known kind of devices is there.
    pub fn condensed(&self) -> Option<&Condensed> {
        self.condensed.as_ref()
    }

    /// Replaces all nodes.
    pub fn set_nodes(&mut self, config: &Config, nodes: &[Node]) {
        (self.names, self.nodes) = Default::default();
        for node in nodes {
            self.put(KnownNode::of(config, node), &node.metadata.name);
        }
        self.condense();
    }

    /// Adds or updates nodes.
    pub fn add_nodes(&mut self, config: &Config, nodes: &[Node]) {
        let mut changed = false;
        for node in nodes {
            let known = self.node(&node.metadata.name);
            let used = known.map_or(0, |before| before.used);
            let now = KnownNode { used, ..KnownNode::of(config, node) };
            if known != Some(&now) {
                self.put(now, &node.metadata.name);
                changed = true;
            }
        }
        if changed {
            self.condense();
        }
    }

    fn put(&mut self, node: KnownNode, name: &str) {
        let number = self.names.add(name);
        match self.nodes.get_mut(number) {
            Some(known) => *known = node,
            None => self.nodes.push(node),
        }
    }

    /// Replaces all pods.
    pub fn set_pods(&mut self, config: &Config, pods: &[Pod], now: Time) {
        self.racks_of_groups.clear();
        self.holders.clear();
        for pod in pods.iter().filter(|pod| pod.holds_devices()) {
            let node = pod.spec.node_name.clone().unwrap_or_default();
            let devices = pod.devices(&config.resources);
            let rack = self.node(&node).and_then(|node| node.rack.clone());
            if let (Some(group), Some(rack)) = (pod.metadata.hint(GROUP), rack) {
                let group = format!("{}/{group}", pod.metadata.namespace);
                self.racks_of_groups.entry(group).or_default().insert(rack);
            }
            if devices > 0 {
                let (start, finish) = held(config, pod, now);
                self.holders.push(Holder { node, devices, start, finish });
            }
        }
        self.condense();
    }

    /// Counts the devices that are held: the node of each holder, where it is known.
    fn count_used(&mut self) -> Vec<Option<usize>> {
        self.nodes.iter_mut().for_each(|node| node.used = 0);
        let nodes: Vec<_> = self.holders.iter().map(|holder| self.names.find(&holder.node)).collect();
        for (holder, node) in self.holders.iter().zip(&nodes) {
            if let Some(node) = *node {
                let used = &mut self.nodes[node].used;
                *used = used.saturating_add(holder.devices);
            }
        }
        nodes
    }

    /// Makes the policy's picture anew.
    fn condense(&mut self) {
        let held = self.count_used();
        let mut groups: BTreeMap<(KindId, u64, &str), (u32, u32)> = BTreeMap::new();
        for node in &self.nodes {
            let Some(key) = node.group().filter(|_| node.devices > 0) else { continue };
            let (devices, free) = groups.entry(key).or_default();
            *devices += node.devices;
            *free += node.free();
        }
        let mut racks: Vec<&str> = groups.keys().map(|(_, _, rack)| *rack).collect();
        racks.sort_unstable();
        racks.dedup();
        let as_node =
            |(&(kind, memory, rack), &(devices, _)): (&(KindId, u64, &str), &(u32, u32))| ClusterNode {
                name: format!("{rack}/{memory}"),
                kind,
                devices,
                procs_per_device: 1,
                rack: racks.binary_search(&rack).map_or(0, |at| u16::try_from(at).unwrap_or(u16::MAX)),
            };
        let cluster = Cluster::new(groups.iter().map(as_node).collect());
        let free: Vec<u32> = groups.values().map(|(_, free)| *free).collect();
        let places: BTreeMap<_, _> =
            groups.keys().enumerate().map(|(at, key)| (*key, NodeId(at as u32))).collect();
        let mut free_by_kind = vec![0; cluster.kinds().len()];
        for (at, free) in free.iter().enumerate() {
            free_by_kind[slot_of(&cluster, NodeId(at as u32))] += free;
        }
        let place = |node: Option<usize>| places.get(&self.nodes[node?].group()?).copied();
        let holders = held.into_iter().zip(&self.holders);
        let running = running(&cluster, holders.filter_map(|(node, holder)| Some((place(node)?, holder))));
        let condensed = Condensed { cluster, free, free_by_kind, running };
        self.condensed = (!groups.is_empty()).then_some(condensed);
        self.place();
    }

    /// Works out what ranks the nodes, after what is condensed.
    fn place(&mut self) {
        let mut racks: Vec<String> = self.nodes.iter().filter_map(|node| node.rack.clone()).collect();
        racks.sort_unstable();
        racks.dedup();
        let kinds = self.condensed.as_ref().map_or(&[][..], |condensed| condensed.cluster.kinds());
        let place = |node: &KnownNode| Place {
            slot: node.kind.and_then(|kind| u16::try_from(kinds.binary_search(&kind).ok()?).ok()),
            rack: node.rack.as_ref().and_then(|rack| u32::try_from(racks.binary_search(rack).ok()?).ok()),
            devices: node.devices,
            free: node.free(),
        };
        self.places = self.nodes.iter().map(place).collect();
        self.racks = racks;
    }
}

impl KnownNode {
    fn of(config: &Config, node: &Node) -> KnownNode {
        let none = BTreeMap::new();
        let labels = node.metadata.labels.as_ref().unwrap_or(&none);
        KnownNode {
            kind: config.kind(labels),
            devices: config.devices(node),
            memory_mib: config.memory_mib(labels),
            rack: labels.get(&config.rack_label).cloned(),
            used: 0,
        }
    }

    /// Devices that no known pod holds.
    pub fn free(&self) -> u32 {
        self.devices.saturating_sub(self.used)
    }

    /// Kind, memory in MiB and rack: nodes that agree in these are alike.
    fn group(&self) -> Option<(KindId, u64, &str)> {
        Some((self.kind?, self.memory_mib.unwrap_or(0.0) as u64, self.rack.as_deref().unwrap_or("")))
    }
}

/// From when until when a pod holds its devices, as far as it says. One that is over its time is taken to go on for another
/// tenth of it.
fn held(config: &Config, pod: &Pod, now: Time) -> (Time, Time) {
    let start = pod.start().unwrap_or(now).min(now);
    let hint = pod.metadata.hint(SECONDS).and_then(|text| text.parse::<f64>().ok());
    let length = hint.map_or(config.default_length, Span::from_secs_f64);
    (start, (start + length).max(now + length.scaled(0.1)))
}

/// What runs on each kind, as at most [`RELEASES`] runs whose ends are about the same.
fn running<'a>(cluster: &Cluster, holders: impl Iterator<Item = (NodeId, &'a Holder)>) -> Vec<Running> {
    let mut by_kind: BTreeMap<usize, Vec<(NodeId, &Holder)>> = BTreeMap::new();
    for (group, holder) in holders {
        by_kind.entry(slot_of(cluster, group)).or_default().push((group, holder));
    }
    let mut running = Vec::new();
    for (slot, mut holders) in by_kind {
        holders.sort_by_key(|(_, holder)| holder.finish);
        running.extend(holders.chunks(holders.len().div_ceil(RELEASES)).map(|alike| together(slot, alike)));
    }
    running.sort_by_key(|run: &Running| run.start);
    running.iter_mut().zip(0..).for_each(|(run, sequence)| run.sequence = sequence);
    running
}

/// One run for several that end at about the same time. That it stands for several nodes matters to nobody: a policy asks
/// how many devices of a kind are released when.
fn together(slot: usize, holders: &[(NodeId, &Holder)]) -> Running {
    let start = holders.iter().map(|(_, holder)| holder.start).min().unwrap_or_default();
    let devices = holders.iter().map(|(_, holder)| holder.devices).sum();
    let (node, middle) = holders[holders.len() / 2];
    Running {
        members: SmallVec::from_slice(&[JobId(0)]),
        batch: 1,
        variant: 0,
        start,
        ready: start,
        fetching: false,
        expected_finish: middle.finish,
        nodes: SmallVec::from_slice(&[Share { node, devices }]),
        slot,
        sequence: 0,
    }
}
