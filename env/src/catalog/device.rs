//! What the catalogue says about devices, models and sources, apart from speeds.

use serde::{Deserialize, Serialize};

/// What sort of processor a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceClass {
    /// A general-purpose processor or a whole server of them.
    Cpu,
    /// A graphics processor.
    Gpu,
    /// A tensor processor: an accelerator made for neural networks alone.
    Tpu,
}

/// A kind of device.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Unique in the catalogue.
    pub name: String,
    /// What exactly counts as one device.
    pub description: String,
    /// What sort of processor it is.
    pub class: DeviceClass,
    /// Memory for models and data, in bytes.
    pub memory_bytes: u64,
    /// Power when it has nothing to do, in watts.
    pub idle_w: f64,
    /// Power when it computes, in watts.
    pub busy_w: f64,
    /// Price of having it, in US dollars an hour.
    pub price_per_hour: f64,
    /// Id of the source of these figures.
    pub source: String,
    /// Keys of the figures that are judgement and not from that source.
    pub estimated: Vec<String>,
}

/// A model to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingModel {
    /// Unique among the training models.
    pub name: String,
    /// Task and data.
    pub description: String,
    /// Size of its parameters, in bytes.
    pub weights_bytes: u64,
    /// Id of the source of that size.
    pub source: String,
}

/// A model that answers requests.
#[derive(Clone, Debug, PartialEq)]
pub struct InferenceModel {
    /// Unique among the inference models.
    pub name: String,
    /// Task, precision and runtime.
    pub description: String,
    /// Size of its parameters, in bytes: what is copied to load it.
    pub weights_bytes: u64,
    /// Id of the source of that size.
    pub source: String,
}

/// Where figures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Unique in the catalogue.
    pub id: String,
    /// Whom to cite.
    pub citation: String,
    /// Terms of use.
    pub licence: String,
    /// How the figures were derived.
    pub derivation: String,
}
