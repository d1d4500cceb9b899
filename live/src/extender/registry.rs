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
    /// Devices that known pods hold; those of a node that is replaced are taken over.
    pub used: u32,
}

/// A pod that holds devices.
#[derive(Clone, Debug)]
struct Holder {
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
    nodes: HashMap<String, KnownNode>,
    holders: Vec<Holder>,
    racks: HashMap<String, BTreeSet<String>>,
    condensed: Option<Condensed>,
}

impl Registry {
    /// What is known of a node.
    pub fn node(&self, name: &str) -> Option<&KnownNode> {
        self.nodes.get(name)
    }

    /// How many nodes are known.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no node is known.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether pods of the group run in the rack.
    pub fn is_in_rack(&self, group: &str, rack: &str) -> bool {
        self.racks.get(group).is_some_and(|racks| racks.contains(rack))
    }

    /// The cluster as a policy sees it; `None` while no node with a known kind of devices is there.
    pub fn condensed(&self) -> Option<&Condensed> {
        self.condensed.as_ref()
    }

    /// Replaces all nodes.
    pub fn set_nodes(&mut self, config: &Config, nodes: &[Node]) {
        let before = std::mem::take(&mut self.nodes);
        let used = before.into_iter().map(|(name, node)| (name, node.used)).collect::<HashMap<_, _>>();
        self.add_nodes(config, nodes);
        for (name, node) in &mut self.nodes {
            node.used = used.get(name).copied().unwrap_or(0);
        }
        self.condense();
    }

    /// Adds or updates nodes.
    pub fn add_nodes(&mut self, config: &Config, nodes: &[Node]) {
        let mut changed = false;
        for node in nodes {
            let mut known = KnownNode::of(config, node);
            known.used = self.nodes.get(&node.metadata.name).map_or(0, |before| before.used);
            if self.nodes.get(&node.metadata.name) != Some(&known) {
                self.nodes.insert(node.metadata.name.clone(), known);
                changed = true;
            }
        }
        if changed {
            self.condense();
        }
    }

    /// Replaces all pods.
    pub fn set_pods(&mut self, config: &Config, pods: &[Pod], now: Time) {
        self.nodes.values_mut().for_each(|node| node.used = 0);
        self.racks.clear();
        self.holders.clear();
        for pod in pods.iter().filter(|pod| pod.holds_devices()) {
            let node = pod.spec.node_name.clone().unwrap_or_default();
            let devices = pod.devices(&config.resources);
            let rack = self.nodes.get(&node).and_then(|node| node.rack.clone());
            if let (Some(group), Some(rack)) = (pod.metadata.hint(GROUP), rack) {
                let group = format!("{}/{group}", pod.metadata.namespace);
                self.racks.entry(group).or_default().insert(rack);
            }
            if devices > 0 {
                if let Some(known) = self.nodes.get_mut(&node) {
                    known.used += devices;
                }
                let (start, finish) = held(config, pod, now);
                self.holders.push(Holder { node, devices, start, finish });
            }
        }
        self.condense();
    }

    /// Makes the policy's picture anew.
    fn condense(&mut self) {
        let mut groups: BTreeMap<(KindId, u64, &str), (u32, u32)> = BTreeMap::new();
        for node in self.nodes.values() {
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
        let place = |holder: &Holder| places.get(&self.nodes.get(&holder.node)?.group()?).copied();
        let running =
            running(&cluster, self.holders.iter().filter_map(|holder| Some((place(holder)?, holder))));
        let condensed = Condensed { cluster, free, free_by_kind, running };
        self.condensed = (!groups.is_empty()).then_some(condensed);
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
