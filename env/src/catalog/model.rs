//! What the catalogue says about models and sources, apart from speeds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Precision, Provenance};
use crate::units::Span;

const MIB: f64 = 1024.0 * 1024.0;

/// Which source each figure of an entry comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    usual: String,
    others: BTreeMap<String, String>,
}

impl Sources {
    /// `usual` for all figures but those that `others` names, figure to source.
    pub(super) fn new(usual: String, others: BTreeMap<String, String>) -> Sources {
        Sources { usual, others }
    }

    /// Id of the source of a figure, named as in the file.
    pub fn of(&self, figure: &str) -> &str {
        self.others.get(figure).unwrap_or(&self.usual)
    }
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Images and video.
    Vision,
    /// Text.
    Language,
    /// What to show to whom.
    Recommendation,
    /// Speech, heard or spoken.
    Speech,
    /// Time series.
    Forecasting,
    /// Acting in an environment.
    Control,
}

/// A model to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingModel {
    /// Unique among the training models.
    pub name: String,
    /// Task and data.
    pub description: String,
    /// What it is for.
    pub domain: Domain,
    /// The numbers its steps compute with.
    pub precision: Precision,
    /// Size of its parameters in single precision, in bytes.
    pub weights_bytes: u64,
    /// The part of them with dense gradients, which are kept, exchanged and optimised; embeddings have none.
    pub dense_bytes: u64,
    /// Operations of a forward and a backward pass over one sample.
    pub flop_per_sample: f64,
    /// What is kept between the two passes, in bytes for each sample.
    pub activation_bytes_per_sample: u64,
    /// Copies of the dense parameters that the optimiser keeps: 0 for plain SGD, 1 with momentum, 2 for Adam.
    pub optimiser_states: u32,
    /// Gradient noise scale in samples: the batch beyond which larger steps stop paying
    /// (McCandlish et al., 2018).
    pub noise_scale: f64,
    /// From a start, or a restart out of a checkpoint, to the first step.
    pub restart: Span,
    /// Processor cores that each device needs, so that reading and preparing samples does not slow it down.
    pub host_cores: u32,
    /// Whether generated workloads draw it when they draw from all models.
    pub default_mix: bool,
    /// Where each of [`TrainingModel::FIGURES`] comes from.
    pub sources: Sources,
}

impl TrainingModel {
    /// The figures that have a source, by their keys in the file.
    pub const FIGURES: [&'static str; 8] = [
        "weights_mib",
        "dense_mib",
        "gflop_per_sample",
        "activation_mib_per_sample",
        "optimiser_states",
        "noise_scale",
        "restart_s",
        "host_cores",
    ];

    /// [`TrainingModel::FIGURES`] with their values in the units of the file.
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let values = [
            self.weights_bytes as f64 / MIB,
            self.dense_bytes as f64 / MIB,
            self.flop_per_sample / 1e9,
            self.activation_bytes_per_sample as f64 / MIB,
            f64::from(self.optimiser_states),
            self.noise_scale,
            self.restart.as_secs_f64(),
            f64::from(self.host_cores),
        ];
        Self::FIGURES.into_iter().zip(values)
    }

    /// What a checkpoint has to hold: parameters and optimiser state, in bytes.
    pub fn checkpoint_bytes(&self) -> u64 {
        self.weights_bytes + self.dense_bytes * u64::from(self.optimiser_states)
    }

    /// What a sample is worth in steps of `batch` samples, against steps of `base`: `(noise + base) /
    /// (noise + batch)`, 1 at `base`.
    pub fn statistical_efficiency(&self, batch: u32, base: u32) -> f64 {
        (self.noise_scale + f64::from(base)) / (self.noise_scale + f64::from(batch))
    }
}

/// A model that answers requests: a family of variants of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct InferenceModel {
    /// Unique among the inference models.
    pub name: String,
    /// Task, precision and runtime.
    pub description: String,
    /// What it is for.
    pub domain: Domain,
    /// At least one; the first is the reference.
    pub variants: Vec<Variant>,
}

impl InferenceModel {
    /// The variant that the others are compared with.
    pub fn reference(&self) -> &Variant {
        &self.variants[0]
    }
}

/// A way to serve a model: a precision, or a pruned or distilled network.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Unique in the family.
    pub name: String,
    /// The numbers it computes with.
    pub precision: Precision,
    /// Size of its parameters, in bytes: what is copied to load it.
    pub weights_bytes: u64,
    /// Its quality on the task over that of the reference, above 0 and up to 1.
    pub accuracy: f64,
    /// Operations for one sample.
    pub flop_per_sample: f64,
    /// Working memory for each sample of a batch, in bytes.
    pub activation_bytes_per_sample: u64,
    /// Where each of [`Variant::FIGURES`] comes from.
    pub sources: Sources,
}

impl Variant {
    /// The figures that have a source, by their keys in the file.
    pub const FIGURES: [&'static str; 4] =
        ["weights_mib", "accuracy", "gflop_per_sample", "activation_mib_per_sample"];

    /// [`Variant::FIGURES`] with their values in the units of the file.
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let values = [
            self.weights_bytes as f64 / MIB,
            self.accuracy,
            self.flop_per_sample / 1e9,
            self.activation_bytes_per_sample as f64 / MIB,
        ];
        Self::FIGURES.into_iter().zip(values)
    }
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
    /// What its figures are; every cell that names it says the same.
    pub provenance: Provenance,
    /// How the figures were derived.
    pub derivation: String,
}
