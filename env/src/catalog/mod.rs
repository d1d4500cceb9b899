//! STUB
use crate::units::*;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceClass {
    Cpu,
    Gpu,
    Tpu,
}
pub struct Device {
    pub class: DeviceClass,
}
pub struct Catalog;
pub struct Speed {
    pub samples_per_s: f64,
}
impl Catalog {
    pub fn builtin() -> &'static Catalog {
        &Catalog
    }
    pub fn kind(&self, _: &str) -> Option<KindId> {
        Some(KindId(0))
    }

    pub fn training_speed(&self, _: TrainingId, _: KindId, _: u32, _: u32) -> Option<Speed> {
        None
    }
    pub fn max_batch(&self, _: InferenceId, _: KindId) -> u32 {
        0
    }
    pub fn device(&self, _: KindId) -> &Device {
        &Device { class: DeviceClass::Cpu }
    }
    pub fn latency(&self, _: InferenceId, _: KindId, _: u32) -> Option<Span> {
        None
    }
}
