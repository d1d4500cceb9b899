//! How much device memory a model takes.
//!
//! Training: parameters + gradients + optimiser states + activations x batch + runtime, with four bytes for a
//! parameter and its gradient. Mixed precision comes to the same: two bytes each for the half-precision
//! parameter and gradient, four for the master copy. A gang adds one more copy of the gradients, the buckets
//! they are exchanged in. Inference: parameters + working memory x batch + runtime.

use super::{Catalog, Device, TrainingModel, Variant};
use crate::units::{InferenceId, TrainingId};

const MIB: u64 = 1024 * 1024;

/// Context of the driver, libraries with their workspaces, and what the allocator loses: judgement, within
/// the 0.5 to 1.5 GiB usually seen.
const TRAINING_RUNTIME: u64 = 1024 * MIB;

/// The same for a serving process: what remains of the memory in the profiles of Nexus (VGG-16 313 MiB,
/// YOLO9000 364 MiB) after weights and one sample.
const INFERENCE_RUNTIME: u64 = 320 * MIB;

impl Catalog {
    /// Memory of one device that trains a model alone with `batch_per_device` samples a step, in bytes.
    pub fn training_memory(&self, model: TrainingId, batch_per_device: u32) -> u64 {
        Shard { data: 1, model: 1 }.memory(self.training_model(model), batch_per_device)
    }

    /// Memory of each device of a gang that trains a model with `batch_per_device` samples each, in bytes.
    pub fn gang_training_memory(&self, model: TrainingId, gang: u32, batch_per_device: u32) -> u64 {
        Shard { data: gang, model: 1 }.memory(self.training_model(model), batch_per_device)
    }

    /// Memory of a device that serves a variant in batches of up to `batch`, in bytes.
    pub fn inference_memory(&self, model: InferenceId, variant: u16, batch: u32) -> u64 {
        served(&self.inference_model(model).variants[usize::from(variant)], batch)
    }
}

/// Bytes to serve a variant in batches.
pub(super) fn served(variant: &Variant, batch: u32) -> u64 {
    variant.weights_bytes + variant.activation_bytes_per_sample * u64::from(batch) + INFERENCE_RUNTIME
}

/// The largest batch whose memory fits on a device; 0 if not even one sample does.
pub(super) fn largest_served(variant: &Variant, device: &Device) -> u32 {
    let free = device.memory_bytes.saturating_sub(served(variant, 0));
    u32::try_from(free / variant.activation_bytes_per_sample.max(1)).unwrap_or(u32::MAX)
}

/// How a training job is divided: replicas that share the batch, and devices that share each replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) data: u32,
    pub(super) model: u32,
}

impl Shard {
    /// Bytes on each device, with `batch` samples a step for each replica.
    pub(super) fn memory(self, model: &TrainingModel, batch: u32) -> u64 {
        let buckets = if self.data > 1 { model.dense_bytes } else { 0 };
        let states = model.dense_bytes * (1 + u64::from(model.optimiser_states));
        let activations = model.activation_bytes_per_sample * u64::from(batch);
        let split = model.weights_bytes + states + buckets + activations;
        split.div_ceil(u64::from(self.model)) + TRAINING_RUNTIME
    }
}
