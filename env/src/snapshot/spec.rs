//! The part of a snapshot that does not change, as JSON says it: machines, models and rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::DeviceClass;
use crate::data::Artefact;
use crate::objective::Objective;
use crate::rules::{Prices, Spread};
use crate::serving::is_default;
use crate::view::Discipline;

/// Machines, models and rules: what is sent once. Checked when a [`super::Site`] is made of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// [`super::FORMAT`].
    pub format: u32,
    /// What it is called.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How decisions are carried out.
    #[serde(default)]
    pub discipline: Discipline,
    /// What is to be made small; without it misses where there are `streams`, or else completion time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// Device kinds that the catalogue does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<KindSpec>,
    /// The machines, in a fixed order.
    pub nodes: Vec<MachineSpec>,
    /// Inference models that requests may ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamSpec>,
    /// Steps per second by kind, for jobs whose task is `steps`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step_speeds: Vec<BTreeMap<String, f64>>,
    /// What may happen to what has been started.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rules: RulesSpec,
    /// Data, caches and links, if they matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<NetworkState>,
    /// Models in device memory, if they matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loads: Option<MemoryState>,
}

/// A device kind of this cluster alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindSpec {
    /// Unlike any in the catalogue.
    pub name: String,
    /// What sort of processor it is.
    pub class: DeviceClass,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSpec {
    /// Unique.
    pub name: String,
    /// Device kind, of the catalogue or of `kinds`.
    pub kind: String,
    /// How many devices it has.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub devices: u32,
    /// Processors that one device stands for; more than 1 only where devices are whole nodes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub procs_per_device: u32,
    /// Which rack it stands in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rack: u16,
}

/// An inference model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSpec {
    /// Its name, in the catalogue or not.
    pub model: String,
    /// Without `variants`: the catalogue's variants of at least this relative accuracy may serve; without it, the
    /// reference alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Its latencies as measured, instead of the catalogue's; the reference first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<VariantSpec>,
}

/// Latencies of one variant of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantSpec {
    /// Its place in the catalogue; 0 is the reference.
    #[serde(default, skip_serializing_if = "is_default")]
    pub variant: u16,
    /// Relative to the reference.
    #[serde(default = "one_f64")]
    pub accuracy: f64,
    /// By kind, how long one device takes for batches of 1, 2, 3, ... requests, in nanoseconds; `null` for a size that
    /// is not served. Where a kind is absent the model does not run.
    pub batch_ns: BTreeMap<String, Vec<Option<u64>>>,
}

/// What may happen to what has been started; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesSpec {
    /// Whether jobs may be cut off.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preempt: bool,
    /// How long any job takes to restart, in nanoseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart_ns: u64,
    /// Instead of it: by training model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_ns_by_model: Option<BTreeMap<String, u64>>,
    /// Computing time from one checkpoint to the next, in nanoseconds; without it a failure takes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_ns: Option<u64>,
    /// What gangs pay for being spread.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spread: Spread,
    /// Machines that are switched on and off by need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub autoscale: Vec<ScalingSpec>,
    /// What energy and money count in the objective.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prices: Prices,
    /// Whether estimates are corrected by how wrong the same users were before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub calibrated: bool,
}

/// See [`crate::rules::Autoscale`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub struct ScalingSpec {
    pub nodes: Vec<String>,
    pub least: u32,
    pub waiting: f64,
    pub idle_ns: u64,
    pub boot_ns: u64,
}

/// See [`crate::data::DataSetup`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub struct NetworkState {
    pub artefacts: Vec<Artefact>,
    /// One for each machine, in their order.
    pub nodes: Vec<NodeNetwork>,
    /// One for each rack.
    pub uplinks_bytes_per_s: Vec<f64>,
    pub storage_bytes_per_s: f64,
    pub storage_latency_ns: u64,
    pub link_latency_ns: u64,
    pub caching: bool,
    pub replication: bool,
    /// The store sends compressed copies, which are decompressed at this rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decompressed_bytes_per_s: Option<f64>,
}

/// See [`crate::data::NodeData`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub struct NodeNetwork {
    pub cache_bytes: u64,
    pub disk_bytes_per_s: f64,
    pub nic_bytes_per_s: f64,
    /// Among the uplinks.
    pub rack: u32,
}

/// See [`crate::loads::LoadRules`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryState {
    /// Whether a model stays once it has been loaded.
    pub keep: bool,
    /// From host memory to the device, in bytes a second.
    pub bytes_per_s: f64,
    /// What each load takes besides, in nanoseconds.
    pub latency_ns: u64,
    /// Memory of a device that models can use, by machine in their order.
    pub memory_bytes: Vec<u64>,
    /// What the variants of each stream's model take, by their place in the catalogue.
    pub models: BTreeMap<String, Vec<FootprintSpec>>,
}

/// See [`crate::loads::Footprint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FootprintSpec {
    /// Weights, in bytes.
    pub weights_bytes: u64,
    /// What each request of a batch takes besides, in bytes.
    pub per_request_bytes: u64,
}

pub(super) fn one() -> u32 {
    1
}

pub(super) fn one_f64() -> f64 {
    1.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_one(value: &u32) -> bool {
    *value == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_one_f64(value: &f64) -> bool {
    *value == 1.0
}
