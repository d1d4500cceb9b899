//! Measured speeds of models on devices, with their sources.
//!
//! Each speed says whether it was `measured`, `scaled` from a measurement or `estimated`, and where it comes
//! from. Between the batch sizes of a table the time per step (or the latency) is interpolated linearly;
//! beyond the largest and below the smallest there is nothing, since memory limits and kernels change there.
//!
//! Who wants an answer all the same asks for an estimate ([`Catalog::estimate_latency`],
//! [`Catalog::estimate_training_speed`], [`Catalog::parallel_plan`]), which says how it was made. Memory is a
//! model of its own ([`Catalog::training_memory`], [`Catalog::inference_memory`]).

mod coverage;
mod device;
mod error;
mod estimate;
mod measured;
mod memory;
mod model;
mod parallel;
mod read;
mod roofline;
mod table;

use std::sync::OnceLock;

pub use coverage::Coverage;
pub use device::{Device, DeviceClass, Peaks, Precision};
pub use error::CatalogError;
pub use estimate::{Estimate, Method};
pub use measured::{MEASURED, Measured, MeasuredDevice, MeasuredError, MeasuredLatency};
pub use model::{Domain, InferenceModel, Source, Sources, TrainingModel, Variant};
pub use parallel::Plan;
pub use table::{Cell, Provenance};

use crate::units::{InferenceId, KindId, Span, TrainingId};
use table::Table;

/// The texts a catalogue is read from; the crate's own ones are in [`CatalogText::BUILTIN`].
#[derive(Clone, Copy, Debug)]
pub struct CatalogText<'a> {
    /// TOML: an array `device`.
    pub devices: &'a str,
    /// TOML: the arrays `training` and `inference`.
    pub models: &'a str,
    /// TOML: one table for each source.
    pub sources: &'a str,
    /// CSV: `model,device,gang,batch,samples_per_s,provenance,source`.
    pub training: &'a str,
    /// CSV: `model,variant,device,gang,batch,latency_us,provenance,source`; gang is 1, and no variant is the
    /// reference (the column may be left out).
    pub inference: &'a str,
}

impl CatalogText<'static> {
    /// The catalogue that comes with the crate.
    pub const BUILTIN: CatalogText<'static> = CatalogText {
        devices: include_str!("../../catalog/devices.toml"),
        models: include_str!("../../catalog/models.toml"),
        sources: include_str!("../../catalog/sources.toml"),
        training: include_str!("../../catalog/training.csv"),
        inference: include_str!("../../catalog/inference.csv"),
    };
}

/// Device kinds, models and the speeds of the ones on the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    devices: Vec<Device>,
    training: Vec<TrainingModel>,
    inference: Vec<InferenceModel>,
    sources: Vec<Source>,
    speeds: Table,
    latencies: Table,
}

/// How fast a model trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Samples per second of the whole gang, above 0.
    pub samples_per_s: f64,
    /// The weakest provenance of the cells it was computed from.
    pub provenance: Provenance,
}

/// What a training job runs: a model at a batch size for one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobType {
    /// The model.
    pub model: TrainingId,
    /// Samples per step of one device.
    pub batch: u32,
}

impl Catalog {
    /// The catalogue that comes with the crate, parsed once.
    ///
    /// # Panics
    /// Never: a test reads the embedded text, which is fixed when the crate is built.
    pub fn builtin() -> &'static Catalog {
        static BUILTIN: OnceLock<Catalog> = OnceLock::new();
        BUILTIN.get_or_init(|| match Catalog::parse(CatalogText::BUILTIN) {
            Ok(catalog) => catalog,
            Err(error) => panic!("the embedded catalogue does not parse: {error}"),
        })
    }

    /// Reads a catalogue.
    ///
    /// # Errors
    /// Text that is not TOML or CSV of the expected shape, names that are not defined or defined twice,
    /// values that are negative or not finite, a cell given twice.
    pub fn parse(text: CatalogText<'_>) -> Result<Catalog, CatalogError> {
        read::catalog(text)
    }

    /// The device kind of this name.
    pub fn kind(&self, name: &str) -> Option<KindId> {
        self.devices.iter().position(|device| device.name == name).map(|at| KindId(at as u16))
    }

    /// A device kind. Panics on an id of another catalogue.
    pub fn device(&self, kind: KindId) -> &Device {
        &self.devices[kind.index()]
    }

    /// All device kinds; a [`KindId`] is an index into them.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The training model of this name.
    pub fn training(&self, name: &str) -> Option<TrainingId> {
        self.training.iter().position(|model| model.name == name).map(|at| TrainingId(at as u16))
    }

    /// A training model. Panics on an id of another catalogue.
    pub fn training_model(&self, model: TrainingId) -> &TrainingModel {
        &self.training[model.index()]
    }

    /// All training models; a [`TrainingId`] is an index into them.
    pub fn training_models(&self) -> &[TrainingModel] {
        &self.training
    }

    /// The inference model of this name.
    pub fn inference(&self, name: &str) -> Option<InferenceId> {
        self.inference.iter().position(|model| model.name == name).map(|at| InferenceId(at as u16))
    }

    /// An inference model. Panics on an id of another catalogue.
    pub fn inference_model(&self, model: InferenceId) -> &InferenceModel {
        &self.inference[model.index()]
    }

    /// All inference models; an [`InferenceId`] is an index into them.
    pub fn inference_models(&self) -> &[InferenceModel] {
        &self.inference
    }

    /// The source of this id.
    pub fn source(&self, id: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }

    /// How a figure of a device, model or variant came about: what its source says.
    pub fn provenance(&self, sources: &Sources, figure: &str) -> Provenance {
        // Every id that an entry names was looked up when it was read.
        self.source(sources.of(figure)).map_or(Provenance::Estimated, |source| source.provenance)
    }

    /// All sources.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// How fast a gang of devices of one kind trains a model with steps of `batch` samples over the whole
    /// gang.
    ///
    /// `None` where nothing is known: another gang size, a batch outside the table, or a model that does not
    /// fit.
    pub fn training_speed(&self, model: TrainingId, kind: KindId, gang: u32, batch: u32) -> Option<Speed> {
        let curve = self.speeds.curve(model.0, 0, kind, gang)?;
        let (step_s, provenance) = curve.interpolate(batch, |batch, speed| batch / speed)?;
        Some(Speed { samples_per_s: f64::from(batch) / step_s, provenance })
    }

    /// How long one device takes to answer a batch of requests with the reference variant; `None` where nothing
    /// is known.
    pub fn latency(&self, model: InferenceId, kind: KindId, batch: u32) -> Option<Span> {
        self.variant_latency(model, 0, kind, batch)
    }

    /// How long one device takes to answer a batch with a variant; `None` where nothing is known.
    pub fn variant_latency(
        &self,
        model: InferenceId,
        variant: u16,
        kind: KindId,
        batch: u32,
    ) -> Option<Span> {
        let (us, _) = self.latencies.curve(model.0, variant, kind, 1)?.interpolate(batch, |_, us| us)?;
        Some(Span::from_secs_f64(us * 1e-6))
    }

    /// Whether the table has a row of the reference variant for exactly this batch size.
    pub fn has_latency(&self, model: InferenceId, kind: KindId, batch: u32) -> bool {
        self.variant_has_latency(model, 0, kind, batch)
    }

    /// Whether the table has a row of a variant for exactly this batch size.
    pub fn variant_has_latency(&self, model: InferenceId, variant: u16, kind: KindId, batch: u32) -> bool {
        self.latencies.curve(model.0, variant, kind, 1).is_some_and(|curve| curve.has(batch))
    }

    /// The weakest provenance of the cells that [`Catalog::latency`] uses.
    pub fn latency_provenance(&self, model: InferenceId, kind: KindId, batch: u32) -> Option<Provenance> {
        self.variant_provenance(model, 0, kind, batch)
    }

    /// The weakest provenance of the cells that [`Catalog::variant_latency`] uses.
    pub fn variant_provenance(
        &self,
        model: InferenceId,
        variant: u16,
        kind: KindId,
        batch: u32,
    ) -> Option<Provenance> {
        let curve = self.latencies.curve(model.0, variant, kind, 1)?;
        curve.interpolate(batch, |_, us| us).map(|(_, provenance)| provenance)
    }

    /// The largest batch whose latency is known for the reference variant; 0 where it does not run.
    pub fn max_batch(&self, model: InferenceId, kind: KindId) -> u32 {
        self.variant_max_batch(model, 0, kind)
    }

    /// The largest batch whose latency is known for a variant; 0 where it does not run.
    pub fn variant_max_batch(&self, model: InferenceId, variant: u16, kind: KindId) -> u32 {
        self.latencies.curve(model.0, variant, kind, 1).map_or(0, table::Curve::max_batch)
    }

    /// Model and batch of each training speed measured on one device, ascending, for the models of the default
    /// mix. More models in the catalogue leave generated workloads as they are.
    pub fn job_types(&self) -> Vec<JobType> {
        let measured = |cell: &Cell| {
            let in_mix = self.training[usize::from(cell.model)].default_mix;
            in_mix && cell.gang == 1 && cell.provenance == Provenance::Measured && cell.value > 0.0
        };
        let mut types: Vec<JobType> = self
            .speeds
            .cells()
            .filter(|cell| measured(cell))
            .map(|cell| JobType { model: TrainingId(cell.model), batch: cell.batch })
            .collect();
        types.sort_unstable();
        types.dedup();
        types
    }

    /// All training cells; values are samples per second, 0 where the model does not run.
    pub fn training_cells(&self) -> impl Iterator<Item = &Cell> {
        self.speeds.cells()
    }

    /// All inference cells; values are microseconds.
    pub fn inference_cells(&self) -> impl Iterator<Item = &Cell> {
        self.latencies.cells()
    }
}

#[cfg(test)]
mod estimate_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod tests;
