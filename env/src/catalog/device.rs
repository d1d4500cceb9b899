//! What the catalogue says about a device kind.

use serde::{Deserialize, Serialize};

use super::Sources;

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

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

/// The numbers a model computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision; what frameworks make of it where nothing else is asked for, TF32 included.
    Fp32,
    /// Half precision or bfloat16; in training, mixed with single.
    Fp16,
    /// Eight-bit integers.
    Int8,
}

/// Most operations per second, dense, by width of the data; 0 where there are no instructions for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Peaks {
    /// Of [`Precision::Fp32`].
    pub fp32: f64,
    /// Of [`Precision::Fp16`].
    pub fp16: f64,
    /// Of [`Precision::Int8`].
    pub int8: f64,
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
    /// Bandwidth of that memory, in bytes per second; 0 where nobody runs models on it.
    pub memory_bytes_per_s: f64,
    /// Operations per second.
    pub peaks: Peaks,
    /// What it can send to its neighbours in one direction, in bytes per second; 0 where gangs make no sense.
    pub link_bytes_per_s: f64,
    /// Power when it has nothing to do, in watts.
    pub idle_w: f64,
    /// Power when it computes, in watts.
    pub busy_w: f64,
    /// Price of having it, in US dollars an hour.
    pub price_per_hour: f64,
    /// Where each of [`Device::FIGURES`] comes from.
    pub sources: Sources,
}

impl Device {
    /// The figures that have a source, by their keys in the file.
    pub const FIGURES: [&'static str; 9] = [
        "memory_gib",
        "memory_gb_per_s",
        "fp32_tflops",
        "fp16_tflops",
        "int8_tops",
        "link_gb_per_s",
        "idle_w",
        "busy_w",
        "price_per_hour",
    ];

    /// [`Device::FIGURES`] with their values in the units of the file.
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let values = [
            self.memory_bytes as f64 / GIB,
            self.memory_bytes_per_s / 1e9,
            self.peaks.fp32 / 1e12,
            self.peaks.fp16 / 1e12,
            self.peaks.int8 / 1e12,
            self.link_bytes_per_s / 1e9,
            self.idle_w,
            self.busy_w,
            self.price_per_hour,
        ];
        Self::FIGURES.into_iter().zip(values)
    }

    /// Most operations per second on a model of this precision: those of the width, or of a wider one where
    /// the device has nothing faster for it. `None` where it cannot compute with such numbers.
    pub fn peak(&self, precision: Precision) -> Option<f64> {
        let Peaks { fp32, fp16, int8 } = self.peaks;
        let peak = match precision {
            Precision::Fp32 => fp32,
            Precision::Fp16 => fp16.max(fp32),
            Precision::Int8 => int8.max(fp16).max(fp32),
        };
        (peak > 0.0).then_some(peak)
    }
}
