//! The time of a batch or a step from operations and bytes (Williams et al., Roofline, 2009).
//!
//! `time = overhead + max(operations / (peak x share), bytes / (bandwidth x share))`. Operations are those of
//! a sample times the batch. Bytes are the parameters once, and the working memory of each sample written and
//! read; training reads and writes parameters, gradients and optimiser states once a step.

use super::{Device, DeviceClass, TrainingModel, Variant};

/// What a class of devices reaches of its data sheet.
struct Reach {
    compute: f64,
    bandwidth: f64,
    overhead_s: f64,
}

/// Chosen so that the median over the measured cells of a class is near 1. On GPUs half of them are within a
/// factor of 1.7, and a fifth off by 2.7 and more (`estimate_tests.rs`). Too few are measured on tensor
/// processors to say.
fn inference(class: DeviceClass) -> Reach {
    match class {
        DeviceClass::Cpu => Reach { compute: 0.35, bandwidth: 0.6, overhead_s: 0.3e-3 },
        DeviceClass::Gpu => Reach { compute: 0.2, bandwidth: 0.2, overhead_s: 2e-3 },
        DeviceClass::Tpu => Reach { compute: 0.35, bandwidth: 0.6, overhead_s: 1e-3 },
    }
}

/// As [`inference`], for steps of training.
fn training(class: DeviceClass) -> Reach {
    match class {
        DeviceClass::Cpu => Reach { compute: 0.35, bandwidth: 0.6, overhead_s: 10e-3 },
        DeviceClass::Gpu => Reach { compute: 0.35, bandwidth: 0.6, overhead_s: 20e-3 },
        DeviceClass::Tpu => Reach { compute: 0.35, bandwidth: 0.6, overhead_s: 20e-3 },
    }
}

impl Reach {
    fn time(&self, peak: f64, bytes_per_s: f64, operations: f64, bytes: f64) -> Option<f64> {
        let compute = operations / (peak * self.compute);
        let traffic = bytes / (bytes_per_s * self.bandwidth);
        let time = self.overhead_s + compute.max(traffic);
        time.is_finite().then_some(time)
    }
}

/// Seconds to answer a batch; `None` where the device cannot compute in this precision.
pub(super) fn batch_seconds(variant: &Variant, device: &Device, batch: u32) -> Option<f64> {
    let batch = f64::from(batch);
    let bytes = variant.weights_bytes as f64 + 2.0 * batch * variant.activation_bytes_per_sample as f64;
    let operations = batch * variant.flop_per_sample;
    let peak = device.peak(variant.precision)?;
    inference(device.class).time(peak, device.memory_bytes_per_s, operations, bytes)
}

/// Seconds for a training step; `None` where the device cannot compute in this precision.
pub(super) fn step_seconds(model: &TrainingModel, device: &Device, batch: u32) -> Option<f64> {
    let batch = f64::from(batch);
    let kept = 2.0 * (2.0 + f64::from(model.optimiser_states)) * model.dense_bytes as f64;
    let bytes = kept + 2.0 * batch * model.activation_bytes_per_sample as f64;
    let operations = batch * model.flop_per_sample;
    let peak = device.peak(model.precision)?;
    training(device.class).time(peak, device.memory_bytes_per_s, operations, bytes)
}
