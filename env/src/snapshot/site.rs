//! The part of a snapshot that does not change, checked: names have become ids.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::spec::{ClusterSpec, MachineSpec, MemoryState, NetworkState, RulesSpec, StreamSpec, VariantSpec};
use super::{ByKind, FORMAT, MAX_DEVICES, MAX_NAMES, MAX_NODES, SnapshotError, parse};
use crate::catalog::{Catalog, DeviceClass};
use crate::cluster::{Cluster, Node};
use crate::data::{
    ArtefactId, Compression, DataSetup, DataSpec, NodeData, Rack, RackId, Retention, Storage, Switches,
};
use crate::loads::{Footprint, LoadRules, Loads};
use crate::objective::Objective;
use crate::rules::{Autoscale, Restarts, Resume, Rules};
use crate::timing::{KindSlot, Latencies, MAX_BATCH, Rows, Timing};
use crate::units::{InferenceId, KindId, NodeId, Span};
use crate::view::Discipline;

/// Machines, models and rules that cannot be wrong.
#[derive(Debug)]
pub struct Site {
    spec: ClusterSpec,
    cluster: Cluster,
    /// By kind slot.
    kinds: Vec<String>,
    nodes: HashMap<String, NodeId>,
    /// Without jobs.
    timing: Timing,
    /// Names of the models of streams, in their order.
    models: Vec<String>,
    rules: Rules,
    data: Option<Arc<DataSpec>>,
    artefacts: HashMap<String, ArtefactId>,
    loads: Option<Loads>,
}

/// Two sites are the same if they say the same.
impl PartialEq for Site {
    fn eq(&self, other: &Site) -> bool {
        self.spec == other.spec
    }
}

impl Site {
    /// Checks what a text says.
    ///
    /// # Errors
    /// As [`Site::new`], and text that is not JSON of this shape.
    pub fn from_json(text: &str) -> Result<Site, SnapshotError> {
        Site::new(parse(text)?)
    }

    /// Checks a cluster.
    ///
    /// # Errors
    /// Another format; names that are not known or stand twice; numbers out of range.
    pub fn new(spec: ClusterSpec) -> Result<Site, SnapshotError> {
        if spec.format != FORMAT {
            return Err(SnapshotError::Format { what: "the cluster", found: spec.format, reads: FORMAT });
        }
        for (what, count) in [("streams", spec.streams.len()), ("kinds", spec.kinds.len())] {
            if count > MAX_NAMES {
                let must = format!("at most {MAX_NAMES}");
                return Err(SnapshotError::range(format!("number of {what}"), count, must));
            }
        }
        let kinds = Kinds::of(&spec)?;
        let cluster = cluster(&spec, &kinds)?;
        let names: Vec<String> = cluster.kinds().iter().map(|&kind| kinds.name(kind).to_owned()).collect();
        let classes = cluster.kinds().iter().map(|&kind| kinds.class(kind)).collect();
        let streams = streams(&spec, &cluster, &names)?;
        let steps = steps(&spec, &names)?;
        let models = streams.iter().map(|(name, _)| name.clone()).collect();
        let streams = streams.into_iter().map(|(_, latencies)| latencies).collect();
        let timing = Timing::bare(cluster.kinds().to_vec(), classes, steps, streams);
        let nodes: HashMap<String, NodeId> =
            cluster.nodes().iter().map(|node| node.name.clone()).zip((0..).map(NodeId)).collect();
        let data = spec.data.as_ref().map(|network| data(network, &cluster)).transpose()?;
        let artefacts = spec.data.iter().flat_map(|network| &network.artefacts);
        let artefacts = artefacts.map(|artefact| artefact.name.clone()).zip((0..).map(ArtefactId)).collect();
        let rules = rules(&spec.rules, &nodes)?;
        spec.objective.as_ref().map_or(Ok(()), check_objective)?;
        let mut site =
            Site { cluster, kinds: names, nodes, timing, models, rules, data, artefacts, loads: None, spec };
        site.loads = site.spec.loads.as_ref().map(|memory| site.loads_of(memory)).transpose()?;
        site.check_discipline()?;
        Ok(site)
    }

    /// As it was told.
    pub fn spec(&self) -> &ClusterSpec {
        &self.spec
    }

    /// The machines.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What may happen to what has been started.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What is to be made small.
    pub fn objective(&self) -> Objective {
        let usual = if self.spec.streams.is_empty() { Objective::default() } else { Objective::SERVING };
        self.spec.objective.unwrap_or(usual)
    }

    /// How decisions are carried out.
    pub fn discipline(&self) -> Discipline {
        self.spec.discipline
    }

    /// The name of a device kind.
    pub fn kind(&self, slot: KindSlot) -> &str {
        &self.kinds[slot]
    }

    /// Names of the device kinds, by slot.
    pub fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// The name of a stream's model.
    pub fn model(&self, stream: usize) -> &str {
        &self.models[stream]
    }

    pub(super) fn timing(&self) -> &Timing {
        &self.timing
    }

    pub(super) fn data(&self) -> Option<&Arc<DataSpec>> {
        self.data.as_ref()
    }

    /// Devices on which nothing is loaded.
    pub(super) fn loads(&self) -> Option<&Loads> {
        self.loads.as_ref()
    }

    /// The machine of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn node(&self, name: &str, field: impl Fn() -> String) -> Result<NodeId, SnapshotError> {
        let names = || self.cluster.nodes().iter().map(|node| node.name.as_str());
        self.nodes.get(name).copied().ok_or_else(|| SnapshotError::unknown(field(), name, names()))
    }

    /// The slot of a kind.
    pub(super) fn slot(&self, name: &str, field: impl Fn() -> String) -> Result<KindSlot, SnapshotError> {
        slot(&self.kinds, name, field)
    }

    pub(super) fn stream(&self, name: &str, field: impl Fn() -> String) -> Result<usize, SnapshotError> {
        let names = || self.models.iter().map(String::as_str);
        let found = self.models.iter().position(|known| known == name);
        found.ok_or_else(|| SnapshotError::unknown(field(), name, names()))
    }

    pub(super) fn artefact(
        &self,
        name: &str,
        field: impl Fn() -> String,
    ) -> Result<ArtefactId, SnapshotError> {
        let names =
            || self.spec.data.iter().flat_map(|data| &data.artefacts).map(|artefact| artefact.name.as_str());
        self.artefacts.get(name).copied().ok_or_else(|| SnapshotError::unknown(field(), name, names()))
    }

    /// Sizes of the catalogue's models for those that are not told.
    fn loads_of(&self, memory: &MemoryState) -> Result<Loads, SnapshotError> {
        let nodes = self.cluster.nodes();
        if memory.memory_bytes.len() != nodes.len() {
            let must = format!("{}, one for each machine", nodes.len());
            return Err(SnapshotError::range(
                "number of loads.memory_bytes",
                memory.memory_bytes.len(),
                must,
            ));
        }
        check_rate("loads.bytes_per_s", memory.bytes_per_s)?;
        let mut models = LoadRules::footprints(Catalog::builtin());
        for (name, sizes) in &memory.models {
            let stream = self.stream(name, || "a name in loads.models".into())?;
            let model = self.timing.latencies()[stream].model;
            let of = |size: &super::FootprintSpec| Footprint {
                weights: size.weights_bytes,
                per_request: size.per_request_bytes,
            };
            models.resize(models.len().max(model.index() + 1), Vec::new());
            models[model.index()] = sizes.iter().map(of).collect();
        }
        let rules = LoadRules {
            retention: if memory.keep { Retention::Reserve } else { Retention::OnDemand },
            bytes_per_s: memory.bytes_per_s,
            latency: Span(memory.latency_ns),
            memory_bytes: memory.memory_bytes.clone(),
            models,
        };
        Ok(Loads::new(rules, nodes.iter().map(|node| node.devices)))
    }

    fn check_discipline(&self) -> Result<(), SnapshotError> {
        let bad = |value: &str, must: &str| Err(SnapshotError::range("discipline", value, must));
        match self.spec.discipline {
            Discipline::Free => Ok(()),
            Discipline::Rounds if !self.models.is_empty() => {
                bad("rounds", "one that serves requests, as there are streams")
            }
            discipline if discipline.commits() && (self.kinds.len() != 1 || !self.models.is_empty()) => bad(
                "commit or commit-backfill",
                "free or rounds, as a batch queue has one device kind and no streams",
            ),
            _ if self.data.is_some() || self.loads.is_some() => {
                bad("not free", "free where there are data or loads")
            }
            _ => Ok(()),
        }
    }
}

/// The kinds of the catalogue, and then those of a cluster alone.
struct Kinds<'a> {
    catalog: &'static Catalog,
    own: &'a [super::KindSpec],
}

impl<'a> Kinds<'a> {
    fn of(spec: &'a ClusterSpec) -> Result<Kinds<'a>, SnapshotError> {
        let catalog = Catalog::builtin();
        for (at, kind) in spec.kinds.iter().enumerate() {
            let again = spec.kinds[..at].iter().any(|other| other.name == kind.name);
            if again || kind.name.is_empty() || catalog.kind(&kind.name).is_some() {
                let must = "a name of its own, which neither the catalogue nor another kind has";
                return Err(SnapshotError::range(
                    format!("kinds[{at}].name"),
                    format!("{:?}", kind.name),
                    must,
                ));
            }
        }
        Ok(Kinds { catalog, own: &spec.kinds })
    }

    fn find(&self, name: &str) -> Option<KindId> {
        let own = || self.own.iter().position(|kind| kind.name == name);
        let after = self.catalog.devices().len();
        self.catalog.kind(name).or_else(|| own().map(|at| KindId((after + at) as u16)))
    }

    fn own(&self, kind: KindId) -> Option<&super::KindSpec> {
        self.own.get(kind.index().checked_sub(self.catalog.devices().len())?)
    }

    fn name(&self, kind: KindId) -> &str {
        self.own(kind).map_or_else(|| self.catalog.device(kind).name.as_str(), |own| own.name.as_str())
    }

    fn class(&self, kind: KindId) -> DeviceClass {
        self.own(kind).map_or_else(|| self.catalog.device(kind).class, |own| own.class)
    }
}

fn cluster(spec: &ClusterSpec, kinds: &Kinds<'_>) -> Result<Cluster, SnapshotError> {
    if spec.nodes.is_empty() || spec.nodes.len() > MAX_NODES {
        return Err(SnapshotError::range(
            "number of nodes",
            spec.nodes.len(),
            format!("from 1 to {MAX_NODES}"),
        ));
    }
    let mut names = BTreeSet::new();
    let mut nodes = Vec::with_capacity(spec.nodes.len());
    for (at, MachineSpec { name, kind, devices, procs_per_device, rack }) in spec.nodes.iter().enumerate() {
        if name.is_empty() || !names.insert(name) {
            return Err(SnapshotError::range(
                format!("nodes[{at}].name"),
                format!("{name:?}"),
                "a name that no other has",
            ));
        }
        let Some(kind) = kinds.find(kind) else {
            let known = kinds.catalog.devices().iter().map(|device| device.name.as_str());
            let known = known.chain(kinds.own.iter().map(|kind| kind.name.as_str()));
            return Err(SnapshotError::unknown(format!("kind of node {name:?}"), kind, known));
        };
        for (what, value) in [("devices", *devices), ("procs_per_device", *procs_per_device)] {
            if value == 0 || value > 1_000_000 {
                return Err(SnapshotError::range(
                    format!("{what} of node {name:?}"),
                    value,
                    "from 1 to 1000000",
                ));
            }
        }
        nodes.push(Node {
            name: name.clone(),
            kind,
            devices: *devices,
            procs_per_device: *procs_per_device,
            rack: *rack,
        });
    }
    let devices: u64 = nodes.iter().map(|node| u64::from(node.devices)).sum();
    if devices > MAX_DEVICES {
        return Err(SnapshotError::range("number of devices", devices, format!("at most {MAX_DEVICES}")));
    }
    Ok(Cluster::new(nodes))
}

pub(super) fn slot(
    kinds: &[String],
    name: &str,
    field: impl Fn() -> String,
) -> Result<KindSlot, SnapshotError> {
    let found = kinds.iter().position(|kind| kind == name);
    found.ok_or_else(|| SnapshotError::unknown(field(), name, kinds.iter().map(String::as_str)))
}

/// Names and latencies, ascending by model.
fn streams(
    spec: &ClusterSpec,
    cluster: &Cluster,
    kinds: &[String],
) -> Result<Vec<(String, Latencies)>, SnapshotError> {
    let catalog = Catalog::builtin();
    let mut streams: Vec<(String, Latencies)> = Vec::new();
    for (at, stream) in spec.streams.iter().enumerate() {
        let StreamSpec { model: name, accuracy, variants } = stream;
        let known = catalog.inference(name);
        if streams.iter().any(|(other, _)| other == name) {
            return Err(SnapshotError::range(
                format!("streams[{at}].model"),
                format!("{name:?}"),
                "named once",
            ));
        }
        let model = known.unwrap_or(InferenceId((catalog.inference_models().len() + at) as u16));
        let latencies = match (variants.is_empty(), known) {
            (true, Some(_)) => Latencies::new(catalog, cluster.kinds(), model, *accuracy),
            (true, None) => {
                let names = catalog.inference_models().iter().map(|model| model.name.as_str());
                return Err(SnapshotError::unknown(
                    format!("streams[{at}].model without variants"),
                    name,
                    names,
                ));
            }
            (false, _) => {
                let variants = variants.iter().map(|variant| rows(name, variant, kinds));
                Latencies { model, variants: variants.collect::<Result<_, _>>()? }
            }
        };
        streams.push((name.clone(), latencies));
    }
    streams.sort_by_key(|(_, latencies)| latencies.model);
    Ok(streams)
}

fn rows(model: &str, spec: &VariantSpec, kinds: &[String]) -> Result<Rows, SnapshotError> {
    let mut by_kind = vec![Vec::new(); kinds.len()];
    for (kind, spans) in &spec.batch_ns {
        let field = || format!("batch_ns of stream {model:?}");
        let slot = slot(kinds, kind, field)?;
        if spans.len() > MAX_BATCH as usize || spans.iter().flatten().any(|&span| span == 0) {
            let must = format!("at most {MAX_BATCH} times above 0");
            return Err(SnapshotError::range(field(), format!("{} sizes on {kind}", spans.len()), must));
        }
        by_kind[slot] = spans.iter().map(|span| span.map_or(Span::MAX, Span)).collect();
    }
    if !(0.0..=10.0).contains(&spec.accuracy) {
        return Err(SnapshotError::range(
            format!("accuracy of stream {model:?}"),
            spec.accuracy,
            "from 0 to 10",
        ));
    }
    Ok(Rows { variant: spec.variant, accuracy: spec.accuracy, by_kind })
}

fn steps(spec: &ClusterSpec, kinds: &[String]) -> Result<Vec<Vec<f64>>, SnapshotError> {
    let row = |(at, speeds): (usize, &ByKind<f64>)| {
        let mut row = vec![0.0; kinds.len()];
        for (kind, &speed) in speeds {
            let field = || format!("step_speeds[{at}].{kind}");
            check_rate(&field(), speed)?;
            row[slot(kinds, kind, field)?] = speed;
        }
        Ok(row)
    };
    spec.step_speeds.iter().enumerate().map(row).collect()
}

pub(super) fn check_rate(field: &str, value: f64) -> Result<(), SnapshotError> {
    if value > 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(SnapshotError::range(field, value, "a finite number above 0"))
    }
}

fn check_amount(field: &str, value: f64) -> Result<(), SnapshotError> {
    if value >= 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(SnapshotError::range(field, value, "a finite number from 0"))
    }
}

fn check_objective(objective: &Objective) -> Result<(), SnapshotError> {
    match *objective {
        Objective::Slowdown { floor_s } => check_amount("objective.floor_s", floor_s),
        Objective::Misses { latency } => check_amount("objective.latency", latency),
        Objective::Shared { latency, scale_s } => {
            check_amount("objective.latency", latency)?;
            check_rate("objective.scale_s", scale_s)
        }
        Objective::CompletionTime | Objective::Energy | Objective::Cost => Ok(()),
    }
}

fn rules(spec: &RulesSpec, nodes: &HashMap<String, NodeId>) -> Result<Rules, SnapshotError> {
    let amounts = [
        ("rules.spread.nodes", spec.spread.nodes),
        ("rules.spread.racks", spec.spread.racks),
        ("rules.prices.kwh", spec.prices.kwh),
        ("rules.prices.dollar", spec.prices.dollar),
    ];
    amounts.iter().try_for_each(|(field, value)| check_amount(field, *value))?;
    let restarts = match &spec.restart_ns_by_model {
        None => Restarts::Alike(Span(spec.restart_ns)),
        Some(by_model) => Restarts::ByModel(restarts(by_model)?),
    };
    let mut autoscale = Vec::new();
    for scaling in &spec.autoscale {
        check_rate("rules.autoscale.waiting", scaling.waiting)?;
        let node = |name: &String| {
            let names = nodes.keys().map(String::as_str);
            nodes
                .get(name)
                .copied()
                .ok_or_else(|| SnapshotError::unknown("rules.autoscale.nodes", name, names))
        };
        autoscale.push(Autoscale {
            nodes: scaling.nodes.iter().map(node).collect::<Result<_, _>>()?,
            least: scaling.least,
            waiting: scaling.waiting,
            idle: Span(scaling.idle_ns),
            boot: Span(scaling.boot_ns),
        });
    }
    let resume = Resume { restarts, checkpoint: spec.checkpoint_ns.map(Span) };
    let RulesSpec { preempt, spread, prices, calibrated, .. } = *spec;
    Ok(Rules { preempt, resume, spread, autoscale, prices, calibrated })
}

fn restarts(by_model: &ByKind<u64>) -> Result<Arc<[Span]>, SnapshotError> {
    let catalog = Catalog::builtin();
    let mut spans = vec![Span::ZERO; catalog.training_models().len()];
    for (name, &span) in by_model {
        let names = catalog.training_models().iter().map(|model| model.name.as_str());
        let model = catalog.training(name);
        let model = model.ok_or_else(|| SnapshotError::unknown("rules.restart_ns_by_model", name, names))?;
        spans[model.index()] = Span(span);
    }
    Ok(spans.into())
}

fn data(network: &NetworkState, cluster: &Cluster) -> Result<Arc<DataSpec>, SnapshotError> {
    if network.nodes.len() != cluster.nodes().len() {
        let must = format!("{}, one for each machine", cluster.nodes().len());
        return Err(SnapshotError::range("number of data.nodes", network.nodes.len(), must));
    }
    let node = |node: &super::NodeNetwork| NodeData {
        cache_bytes: node.cache_bytes,
        disk_bytes_per_s: node.disk_bytes_per_s,
        nic_bytes_per_s: node.nic_bytes_per_s,
        rack: RackId(node.rack),
    };
    let setup = DataSetup {
        artefacts: network.artefacts.clone(),
        nodes: network.nodes.iter().map(node).collect(),
        racks: network
            .uplinks_bytes_per_s
            .iter()
            .map(|&uplink_bytes_per_s| Rack { uplink_bytes_per_s })
            .collect(),
        storage: Storage {
            bytes_per_s: network.storage_bytes_per_s,
            latency: Span(network.storage_latency_ns),
        },
        link_latency: Span(network.link_latency_ns),
        switches: Switches {
            caching: network.caching,
            replication: network.replication,
            compression: network
                .decompressed_bytes_per_s
                .map(|decompressed_bytes_per_s| Compression { decompressed_bytes_per_s }),
        },
    };
    let spec =
        DataSpec::new(setup).map_err(|why| SnapshotError::range("data", why, "a network that can be"))?;
    Ok(Arc::new(spec))
}
