//! The tables of a scenario that switch parts of the world on; each is off where it is absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Spec;
use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::data::{Artefact, Compression, DataSetup, NodeData, Rack, RackId, Retention, Storage, Switches};
use crate::loads::LoadRules;
use crate::rules::{Autoscale, Restarts, Resume, Rules};
use crate::sim::RoundRules;
use crate::units::{InferenceId, NodeId, Span};

/// `[preemption]`: what cutting off costs, and whether a policy may.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreemptionSpec {
    /// Whether a policy may preempt; without, only failures cut off.
    #[serde(default = "yes")]
    pub allowed: bool,
    /// From each start after the first until the job goes on, in seconds; without it as the catalogue says for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_s: Option<f64>,
    /// Computing time from one checkpoint to the next, in seconds; without it a failure takes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_s: Option<f64>,
}

/// `[[autoscale]]`: machines that are switched on by need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoscaleSpec {
    /// Name of a group of nodes.
    pub nodes: String,
    /// Machines of it that are never switched off.
    #[serde(default)]
    pub least: u32,
    /// One more is switched on once more than this many wait for each that is in service or on its way.
    pub waiting: f64,
    /// One that has had nothing to do for so long is switched off, in seconds.
    pub idle_s: f64,
    /// From being switched on to being in service, in seconds.
    pub boot_s: f64,
}

/// `[memory]`: training jobs run out of memory where they need more than a device has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemorySpec {
    /// Sigma of the lognormal factor between expected and true needs; 0 for none.
    #[serde(default)]
    pub sigma: f64,
    /// From the moment a job computes until it runs out of memory, in seconds.
    pub fails_after_s: f64,
}

/// `[loads]`: models have to be loaded on the device that serves them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    /// Whether a model stays until its room is needed; without, it leaves after each batch.
    #[serde(default = "yes")]
    pub keep: bool,
    /// From host memory to the device, in GB (10^9 bytes) a second.
    pub gb_per_s: f64,
    /// What each load takes besides, in milliseconds.
    #[serde(default)]
    pub latency_ms: f64,
}

/// `[network]`: what a start needs has to be on its nodes. Bandwidths in GB (10^9 bytes) a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// What the central store gives out to all nodes together.
    pub storage_gb_per_s: f64,
    /// From a request to the store to its first byte, in milliseconds.
    #[serde(default)]
    pub storage_latency_ms: f64,
    /// What leaves a rack, and at the same time enters it.
    #[serde(default = "plenty")]
    pub uplink_gb_per_s: f64,
    /// Of each link on the way, in milliseconds.
    #[serde(default)]
    pub link_latency_ms: f64,
    /// What a node sends, and at the same time receives, where its group says nothing else.
    pub nic_gb_per_s: f64,
    /// How fast a node reads its disk for others.
    #[serde(default = "plenty")]
    pub disk_gb_per_s: f64,
    /// Room for artefacts on each node, in GB, where its group says nothing else.
    pub cache_gb: f64,
    /// Nodes keep artefacts after use.
    #[serde(default = "yes")]
    pub caching: bool,
    /// Nodes copy from other nodes.
    #[serde(default = "yes")]
    pub replication: bool,
    /// The store sends compressed copies where that is faster, and they are decompressed at this speed, in GB of output
    /// a second; without it nothing is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decompression_gb_per_s: Option<f64>,
}

/// `[rounds]`: durations of the discipline `rounds`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundSpec {
    /// How long a slice lasts at most, in seconds.
    pub quantum_s: f64,
    /// How long an allocation stands at least, in seconds.
    pub reallocate_s: f64,
}

impl RoundSpec {
    pub(super) fn rules(self) -> RoundRules {
        let [quantum, reallocate] = [self.quantum_s, self.reallocate_s].map(Span::from_secs_f64);
        RoundRules { quantum, reallocate }
    }
}

/// Whose word on the size of a job is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Predictor {
    /// Its owner's.
    #[default]
    User,
    /// Its owner's, corrected by what became of the owner's earlier claims.
    Calibrated,
}

fn yes() -> bool {
    true
}

/// More than anything else on the way, in GB a second.
fn plenty() -> f64 {
    1e9
}

/// A value that is out of range: its key, itself, and what it must be.
pub(super) type OutOfRange = (String, String, &'static str);

fn check(key: &str, value: f64, holds: bool, must: &'static str) -> Result<(), OutOfRange> {
    if holds && value.is_finite() { Ok(()) } else { Err((key.to_owned(), value.to_string(), must)) }
}

fn positive(key: &str, value: f64) -> Result<(), OutOfRange> {
    check(key, value, value > 0.0, "a number above 0")
}

fn from_zero(key: &str, value: f64) -> Result<(), OutOfRange> {
    check(key, value, value >= 0.0, "a number from 0")
}

impl Spec {
    /// Whether every value of these tables is in its range.
    pub(super) fn check_options(&self) -> Result<(), OutOfRange> {
        if let Some(preemption) = &self.preemption {
            from_zero("preemption.restart_s", preemption.restart_s.unwrap_or(0.0))?;
            positive("preemption.checkpoint_s", preemption.checkpoint_s.unwrap_or(1.0))?;
        }
        from_zero("spread.nodes", self.spread.nodes)?;
        from_zero("spread.racks", self.spread.racks)?;
        for rule in &self.autoscale {
            positive("autoscale.waiting", rule.waiting)?;
            positive("autoscale.idle_s", rule.idle_s)?;
            from_zero("autoscale.boot_s", rule.boot_s)?;
        }
        if let Some(memory) = &self.memory {
            from_zero("memory.sigma", memory.sigma)?;
            positive("memory.fails_after_s", memory.fails_after_s)?;
        }
        if let Some(loads) = &self.loads {
            positive("loads.gb_per_s", loads.gb_per_s)?;
            from_zero("loads.latency_ms", loads.latency_ms)?;
        }
        if let Some(rounds) = &self.rounds {
            positive("rounds.quantum_s", rounds.quantum_s)?;
            from_zero("rounds.reallocate_s", rounds.reallocate_s)?;
        }
        for (model, &floor) in &self.accuracy {
            check(&format!("accuracy.{model}"), floor, floor > 0.0 && floor <= 1.0, "above 0 and at most 1")?;
        }
        self.network.as_ref().map_or(Ok(()), NetworkSpec::check)
    }

    pub(super) fn rules(&self, groups: &BTreeMap<String, Vec<NodeId>>, catalog: &Catalog) -> Rules {
        let scale = |rule: &AutoscaleSpec| Autoscale {
            nodes: groups.get(&rule.nodes).cloned().unwrap_or_default(),
            least: rule.least,
            waiting: rule.waiting,
            idle: Span::from_secs_f64(rule.idle_s),
            boot: Span::from_secs_f64(rule.boot_s),
        };
        let resume = |spec: PreemptionSpec| Resume {
            restarts: match spec.restart_s {
                Some(seconds) => Restarts::Alike(Span::from_secs_f64(seconds)),
                None => Restarts::by_model(catalog),
            },
            checkpoint: spec.checkpoint_s.map(Span::from_secs_f64),
        };
        Rules {
            preempt: self.preemption.is_some_and(|spec| spec.allowed),
            resume: self.preemption.map(resume).unwrap_or_default(),
            spread: self.spread,
            autoscale: self.autoscale.iter().map(scale).collect(),
            calibrated: self.predictor == Predictor::Calibrated,
            ..Rules::default()
        }
    }

    /// Models whose variants may serve, with the accuracy that they must keep.
    pub(super) fn floors(&self, catalog: &Catalog) -> Result<Vec<(InferenceId, f64)>, OutOfRange> {
        let known = |(name, floor): (&String, &f64)| match catalog.inference(name) {
            Some(model) => Ok((model, *floor)),
            None => Err((format!("accuracy.{name}"), name.clone(), "the name of an inference model")),
        };
        self.accuracy.iter().map(known).collect()
    }
}

impl LoadSpec {
    pub(super) fn rules(&self, spec: &Spec, cluster: &Cluster, catalog: &Catalog) -> LoadRules {
        let memory_bytes = spec
            .each_node()
            .zip(cluster.nodes())
            .map(|(group, node)| {
                let own = group.memory_gb.map(|gb| (gb * 1e9) as u64);
                own.unwrap_or(catalog.device(node.kind).memory_bytes)
            })
            .collect();
        LoadRules {
            retention: if self.keep { Retention::Reserve } else { Retention::OnDemand },
            bytes_per_s: self.gb_per_s * 1e9,
            latency: Span::from_secs_f64(self.latency_ms / 1e3),
            memory_bytes,
            models: LoadRules::footprints(catalog),
        }
    }
}

impl NetworkSpec {
    fn check(&self) -> Result<(), OutOfRange> {
        positive("network.storage_gb_per_s", self.storage_gb_per_s)?;
        positive("network.uplink_gb_per_s", self.uplink_gb_per_s)?;
        positive("network.nic_gb_per_s", self.nic_gb_per_s)?;
        positive("network.disk_gb_per_s", self.disk_gb_per_s)?;
        from_zero("network.storage_latency_ms", self.storage_latency_ms)?;
        from_zero("network.link_latency_ms", self.link_latency_ms)?;
        from_zero("network.cache_gb", self.cache_gb)?;
        positive("network.decompression_gb_per_s", self.decompression_gb_per_s.unwrap_or(1.0))
    }

    pub(super) fn setup(&self, spec: &Spec, cluster: &Cluster, artefacts: Vec<Artefact>) -> DataSetup {
        let nodes = spec.each_node().zip(cluster.nodes()).map(|(group, node)| NodeData {
            cache_bytes: (group.cache_gb.unwrap_or(self.cache_gb) * 1e9) as u64,
            disk_bytes_per_s: self.disk_gb_per_s * 1e9,
            nic_bytes_per_s: group.nic_gb_per_s.unwrap_or(self.nic_gb_per_s) * 1e9,
            rack: RackId(u32::from(node.rack)),
        });
        let racks = cluster.nodes().iter().map(|node| node.rack + 1).max().unwrap_or(1);
        let rack = Rack { uplink_bytes_per_s: self.uplink_gb_per_s * 1e9 };
        let compression = |gb: f64| Compression { decompressed_bytes_per_s: gb * 1e9 };
        DataSetup {
            artefacts,
            nodes: nodes.collect(),
            racks: vec![rack; usize::from(racks)],
            storage: Storage {
                bytes_per_s: self.storage_gb_per_s * 1e9,
                latency: Span::from_secs_f64(self.storage_latency_ms / 1e3),
            },
            link_latency: Span::from_secs_f64(self.link_latency_ms / 1e3),
            switches: Switches {
                caching: self.caching,
                replication: self.replication,
                compression: self.decompression_gb_per_s.map(compression),
            },
        }
    }
}
