//! Scenarios: a cluster, a workload, a discipline and an objective, in a TOML file.
//!
//! A file is parsed once into a [`Scenario`] that cannot be wrong; from there a seed gives a world.

mod error;
mod options;
mod scale;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::aim::Aim;
use crate::catalog::{Catalog, Measured};
use crate::cluster::{Cluster, Node};
use crate::data::{Artefact, DataSpec};
use crate::job::{Job, Workload};
use crate::objective::Objective;
use crate::rules::{Prices, Rules, Spread};
use crate::serving::{Batches, Late, Serving, is_default};
use crate::sim::World;
use crate::suggest;
use crate::timing::Timing;
use crate::trace::swf;
use crate::units::{NodeId, Span, Time};
use crate::view::Discipline;
use crate::workload::{Class, Datasets, Elastic, Faults, Source, WorkloadError, classify, surprise_memory};
pub use error::SpecError;
pub use options::{AutoscaleSpec, LoadSpec, MemorySpec, NetworkSpec, Predictor, PreemptionSpec, RoundSpec};
pub use scale::originals;

/// A scenario as its file says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Unique among scenarios.
    pub name: String,
    /// One line on what it is for.
    pub about: String,
    /// How decisions are carried out.
    #[serde(default)]
    pub discipline: Discipline,
    /// After a plain wait the policy is asked again no later than this, in milliseconds. Without it a policy must
    /// not wait while nothing runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_ms: Option<f64>,
    /// What becomes of a request whose deadline passes while it waits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub late: Late,
    /// Which batch sizes may be served.
    #[serde(default, skip_serializing_if = "is_default")]
    pub batches: Batches,
    /// What cutting off costs, and whether a policy may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preemption: Option<PreemptionSpec>,
    /// What gangs pay for being spread over nodes and racks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spread: Spread,
    /// Machines that are switched on by need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub autoscale: Vec<AutoscaleSpec>,
    /// Memory of devices as a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySpec>,
    /// Models in device memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loads: Option<LoadSpec>,
    /// Data, caches and links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkSpec>,
    /// Data sets that training jobs read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datasets: Option<Datasets>,
    /// Choices of gang and batch that training jobs leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic: Option<Elastic>,
    /// Classes of importance that training jobs are drawn from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Class>,
    /// Discipline `rounds`: how long a round is, and an allocation stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<RoundSpec>,
    /// Relative accuracy that each of these models must keep; they are served by any variant that does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accuracy: BTreeMap<String, f64>,
    /// Whose word on the size of a job is taken.
    #[serde(default, skip_serializing_if = "is_default")]
    pub predictor: Predictor,
    /// What is to be made small.
    pub objective: Objective,
    /// What energy and money count in the objective besides.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prices: Prices,
    /// The rule that learned policies start from.
    pub prior: String,
    /// The machines.
    pub nodes: Vec<NodeSpec>,
    /// What arrives.
    pub workload: Source,
    /// What happens to the machines; nothing if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Faults>,
    /// Device kinds, models and speeds that the catalogue does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// Alike machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Their name; a number is added where there are several.
    pub name: String,
    /// Device kind in the catalogue.
    pub kind: String,
    /// How many machines.
    #[serde(default = "one")]
    pub count: u32,
    /// Devices of each.
    #[serde(default = "one")]
    pub devices: u32,
    /// How many of them stand in a rack; the racks of a group are its own. Without it, and in all such groups together,
    /// they stand in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_rack: Option<u32>,
    /// Memory of each device that models can be loaded into, in GB (10^9 bytes), where it is not what the catalogue says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_gb: Option<f64>,
    /// Room for artefacts on each, in GB, where it is not what `[network]` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_gb: Option<f64>,
    /// What each sends, and at the same time receives, in GB a second, where it is not what `[network]` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nic_gb_per_s: Option<f64>,
}

fn one() -> u32 {
    1
}

/// A scenario that can be simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    spec: Spec,
    cluster: Cluster,
    /// Nodes by the name of their group.
    groups: BTreeMap<String, Vec<NodeId>>,
    /// Digest of the scenario that this is a larger or smaller edition of.
    scaled_from: Option<String>,
    /// The catalogue with what was measured, if that was brought along.
    own: Option<Arc<Catalog>>,
}

/// Which episodes a seed belongs to. The sets never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Learned from.
    Train,
    /// Tuned on, and checkpoints chosen by.
    Validation,
    /// Reported on.
    Test,
}

impl Split {
    /// The split that a seed is of; seeds that were not made by [`Split::seed`] may belong to none, and count as test.
    pub fn of(seed: u64) -> Split {
        match seed >> 62 {
            0 => Split::Train,
            1 => Split::Validation,
            _ => Split::Test,
        }
    }

    /// The seed of episode `number`, for a base seed that anyone may choose. The two highest bits name the split.
    pub fn seed(self, base: u64, number: u64) -> u64 {
        let tag = match self {
            Split::Train => 0,
            Split::Validation => 1,
            Split::Test => 2,
        };
        (tag << 62) | (mix(mix(base) ^ number) >> 2)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection that scatters neighbouring numbers.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Scenario {
    /// Reads a scenario file; `file` is its name in errors. One that is made of a trace needs [`Scenario::parse_with`].
    ///
    /// # Errors
    /// What is wrong in the file.
    pub fn parse(text: &str, file: &str) -> Result<Scenario, SpecError> {
        Scenario::parse_with(text, file, |trace| {
            Err(format!("its trace {trace} is in another file, which is not read here"))
        })
    }

    /// As [`Scenario::parse`]; a trace that the scenario names is asked for with `read`, which gives the text of a file
    /// or says why it cannot.
    ///
    /// # Errors
    /// What is wrong in either file.
    pub fn parse_with(
        text: &str,
        file: &str,
        read: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Scenario, SpecError> {
        let mut spec: Spec = toml::from_str(text)
            .map_err(|why| SpecError::Syntax { file: file.to_owned(), why: why.to_string() })?;
        if let Source::Recorded(source) = spec.workload {
            let fail = |why: String| SpecError::Trace { file: file.to_owned(), why };
            let trace = read(&source.file).map_err(fail)?;
            let trace = swf::parse(&trace, &source.file).map_err(|why| fail(why.to_string()))?;
            spec.workload = Source::Recorded(source.with_trace(trace.workload));
        }
        Scenario::new(spec, file)
    }

    /// Checks a specification by generating an episode of it.
    pub fn new(spec: Spec, file: &str) -> Result<Scenario, SpecError> {
        let measured = |why| SpecError::Measured { file: file.to_owned(), why };
        let own = spec.measured.as_ref().map(|own| Catalog::builtin().with_measured(own).map(Arc::new));
        let own = own.transpose().map_err(measured)?;
        let catalog = own.as_deref().unwrap_or(Catalog::builtin());
        let range =
            |what: String, value: String, must| SpecError::Range { file: file.to_owned(), what, value, must };
        if let Some(hold) = spec.hold_ms.filter(|hold| !(*hold > 0.0 && hold.is_finite())) {
            return Err(range("hold_ms".into(), hold.to_string(), "above 0"));
        }
        spec.check_options().map_err(|(what, value, must)| range(what, value, must))?;
        for (what, price) in [("prices.kwh", spec.prices.kwh), ("prices.dollar", spec.prices.dollar)] {
            if !(price >= 0.0 && price.is_finite()) {
                return Err(range(what.into(), price.to_string(), "a number from 0"));
            }
        }
        let mut nodes = Vec::new();
        let mut groups: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
        let mut racks = 1;
        for group in &spec.nodes {
            let kind = catalog.kind(&group.kind).ok_or_else(|| SpecError::UnknownKind {
                file: file.to_owned(),
                node: group.name.clone(),
                kind: group.kind.clone(),
                near: suggest::suggestion(
                    &group.kind,
                    catalog.devices().iter().map(|device| device.name.as_str()),
                ),
            })?;
            for (what, value) in [("count", group.count), ("devices", group.devices)] {
                if value == 0 || value > 100_000 {
                    let what = format!("{what} of node {:?}", group.name);
                    return Err(range(what, value.to_string(), "from 1 to 100000"));
                }
            }
            group.check().map_err(|(what, value, must)| range(what, value, must))?;
            for number in 0..group.count {
                let rack = group.per_rack.map_or(0, |per_rack| racks + (number / per_rack) as u16);
                groups.entry(group.name.clone()).or_default().push(NodeId(nodes.len() as u32));
                let name =
                    if group.count == 1 { group.name.clone() } else { format!("{}-{number}", group.name) };
                nodes.push(Node { name, kind, devices: group.devices, procs_per_device: 1, rack });
            }
            racks += group.per_rack.map_or(0, |per_rack| group.count.div_ceil(per_rack) as u16);
        }
        for rule in &spec.autoscale {
            if !groups.contains_key(&rule.nodes) {
                return Err(range(
                    "autoscale.nodes".into(),
                    rule.nodes.clone(),
                    "the name of a group of nodes",
                ));
            }
        }
        let scenario = Scenario { cluster: Cluster::new(nodes), spec, groups, scaled_from: None, own };
        let splits: &[Split] = match scenario.spec.workload {
            // Each split has another part of a trace, which may be too short.
            Source::Recorded(_) => &[Split::Train, Split::Validation, Split::Test],
            _ => &[Split::Validation],
        };
        for split in splits {
            scenario.world(split.seed(0, 0)).map_err(|why| why.with_file(file))?;
        }
        Ok(scenario)
    }

    /// The episode of a seed.
    pub fn world(&self, seed: u64) -> Result<World, SpecError> {
        let catalog = self.catalog();
        let file = || self.spec.name.clone();
        let mut workload =
            self.workload(catalog, seed).map_err(|why| SpecError::Workload { file: file(), why })?;
        let hold = self.spec.hold_ms.map(|ms| Span::from_secs_f64(ms / 1e3));
        let Spec { discipline, objective, late, batches, prices, .. } = self.spec;
        self.dress(catalog, &mut workload, seed)?;
        let artefacts = workload.artefacts.clone();
        let world = World::new(catalog, self.cluster.clone(), workload, discipline, objective, hold)
            .and_then(|world| world.with_serving(catalog, Serving { late, batches }))
            .and_then(|world| world.with_rounds(self.spec.rounds.map(RoundSpec::rules).unwrap_or_default()))
            .and_then(|world| world.with_rules(Rules { prices, ..self.spec.rules(&self.groups, catalog) }));
        let world = world.map_err(|why| SpecError::World { file: file(), why })?;
        self.equip(catalog, world, artefacts)
    }

    /// Gives the jobs what they bring besides their size.
    fn dress(&self, catalog: &Catalog, workload: &mut Workload, seed: u64) -> Result<(), SpecError> {
        let Spec { datasets, elastic, memory, .. } = &self.spec;
        let file = || self.spec.name.clone();
        workload.floors = self.spec.floors(catalog).map_err(|(what, value, must)| SpecError::Range {
            file: file(),
            what,
            value,
            must,
        })?;
        let given = datasets
            .as_ref()
            .map_or(Ok(()), |datasets| datasets.give(workload, seed))
            .and_then(|()| elastic.as_ref().map_or(Ok(()), |elastic| elastic.give(workload)))
            .and_then(|()| memory.map_or(Ok(()), |memory| surprise_memory(workload, memory.sigma, seed)));
        let shortest = |job: &Job| {
            Timing::new(catalog, &self.cluster, std::slice::from_ref(job)).shortest(
                0,
                job.gang,
                &self.cluster,
            )
        };
        given
            .and_then(|()| classify(&self.spec.classes, workload, shortest, seed))
            .map_err(|why| SpecError::Workload { file: file(), why })
    }

    /// Adds memory, models and data to a world.
    fn equip(
        &self,
        catalog: &Catalog,
        mut world: World,
        artefacts: Vec<Artefact>,
    ) -> Result<World, SpecError> {
        let Spec { loads, memory, network, .. } = &self.spec;
        let failed = |why| SpecError::World { file: self.spec.name.clone(), why };
        if let Some(memory) = memory {
            let fails_after = Span::from_secs_f64(memory.fails_after_s);
            world = world.with_memory(catalog, fails_after).map_err(failed)?;
        }
        if let Some(loads) = loads {
            world = world.with_loads(loads.rules(&self.spec, &self.cluster, catalog)).map_err(failed)?;
        }
        if let Some(network) = network {
            let setup = network.setup(&self.spec, &self.cluster, artefacts);
            let data = DataSpec::new(setup);
            let data = data.map_err(|why| SpecError::Data { file: self.spec.name.clone(), why })?;
            world = world.with_data(data).map_err(failed)?;
        }
        Ok(world)
    }

    fn workload(&self, catalog: &Catalog, seed: u64) -> Result<Workload, WorkloadError> {
        let mut workload = self.spec.workload.generate(catalog, &self.cluster, seed)?;
        if let Some(faults) = &self.spec.faults {
            // The requests of a closed loop have no moment of arrival yet.
            let sent = workload.jobs[..workload.sent_at_first()].last();
            let last = sent.map_or(Time::ZERO, |job| job.arrival);
            workload.changes = faults.generate(&self.cluster, last, seed)?;
        }
        Ok(workload)
    }

    /// As its file says it.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The machines.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What its kinds and models are: the built-in catalogue, with what the file has measured behind it.
    pub fn catalog(&self) -> &Catalog {
        self.own.as_deref().unwrap_or(Catalog::builtin())
    }

    /// The same scenario under another discipline.
    pub fn with_discipline(&self, discipline: Discipline) -> Result<Scenario, SpecError> {
        let name = self.spec.name.clone();
        Scenario::new(Spec { discipline, ..self.spec.clone() }, &name)
    }

    /// The same scenario, judged by something else.
    ///
    /// # Errors
    /// Prices that no scenario takes.
    pub fn with_aim(&self, aim: Aim) -> Result<Scenario, SpecError> {
        let (name, Aim { objective, prices }) = (self.spec.name.clone(), aim);
        Scenario::new(Spec { objective, prices, ..self.spec.clone() }, &name)
    }

    /// The first 16 hexadecimal digits of the SHA-256 of what the scenario says, its name and description apart.
    pub fn digest(&self) -> String {
        let meaning = Spec { name: String::new(), about: String::new(), ..self.spec.clone() };
        // Serialising plain data with string keys cannot fail.
        let text = serde_json::to_string(&meaning).unwrap_or_default();
        Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Spec {
    /// The group of each node, in order of the nodes.
    pub(crate) fn each_node(&self) -> impl Iterator<Item = &NodeSpec> {
        self.nodes.iter().flat_map(|group| std::iter::repeat_n(group, group.count as usize))
    }
}

impl NodeSpec {
    fn check(&self) -> Result<(), options::OutOfRange> {
        let positive = |what: &str, value: Option<f64>, least: f64| match value {
            Some(value) if !(value.is_finite() && value >= least) => {
                Err((format!("{what} of node {:?}", self.name), value.to_string(), "a number above 0"))
            }
            _ => Ok(()),
        };
        positive("per_rack", self.per_rack.map(f64::from), 1.0)?;
        positive("memory_gb", self.memory_gb, 1e-9)?;
        positive("cache_gb", self.cache_gb, 1e-9)?;
        positive("nic_gb_per_s", self.nic_gb_per_s, 1e-9)
    }
}

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),*]
    };
}

/// The scenarios that come with the crate: name and file.
pub const BUILTIN: &[(&str, &str)] = builtin![
    "tiny",
    "pool12",
    "gang",
    "sweeps",
    "gpu36",
    "serving-poisson",
    "serving-burst",
    "serving-hetero",
    "one-server",
    "hpc-256",
    "preempt",
    "locality",
    "mix",
    "serving-swap",
    "elastic",
    "edge",
    "estimates",
    "shift",
    "shift-serving",
    "shared",
    "datacenter",
];

/// The built-in scenario of this name; `pool12@4` is `pool12` on four times the nodes, see [`Scenario::scaled`].
///
/// # Errors
/// A name or a factor that there is not.
pub fn builtin(name: &str) -> Result<Scenario, SpecError> {
    if let Some((base, factor)) = name.split_once('@') {
        let base = builtin(base)?;
        let factor = factor.parse().map_err(|_| SpecError::Unknown {
            name: name.to_owned(),
            near: format!("write {}@2 for twice the nodes", base.spec.name),
        })?;
        return base.scaled(factor);
    }
    let found = BUILTIN.iter().find(|(known, _)| *known == name);
    let (_, text) = found.ok_or_else(|| SpecError::Unknown {
        name: name.to_owned(),
        near: suggest::suggestion(name, BUILTIN.iter().map(|(known, _)| *known)),
    })?;
    Scenario::parse(text, name)
}

#[cfg(test)]
mod tests;
