//! Models in device memory: a batch needs its model on the device that serves it, and loading takes time.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::data::{DeviceId, Model, Pick, Residency, Retention};
use crate::units::{InferenceId, NodeId, Span};

/// How models come into device memory and stay there.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadRules {
    /// Whether a model stays once it has been loaded.
    pub retention: Retention,
    /// From host memory to the device, in bytes a second; above 0.
    pub bytes_per_s: f64,
    /// What each load takes besides.
    pub latency: Span,
    /// Memory of a device that models can use, in bytes, by node.
    pub memory_bytes: Vec<u64>,
    /// Sizes of each variant of each model, by [`InferenceId`], then the variant's place in the catalogue.
    pub models: Vec<Vec<Footprint>>,
}

/// What a variant takes of a device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Its weights, in bytes: what is loaded.
    pub weights: u64,
    /// What each request of a batch takes besides, in bytes.
    pub per_request: u64,
}

/// A batch of requests, as memory sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelBatch {
    /// The model.
    pub model: InferenceId,
    /// Its variant, as the catalogue lists them.
    pub variant: u16,
    /// Requests.
    pub batch: u32,
}

impl LoadRules {
    /// Footprints as the catalogue says.
    pub fn footprints(catalog: &Catalog) -> Vec<Vec<Footprint>> {
        let of = |model: &crate::catalog::InferenceModel| {
            let variants = model.variants.iter();
            variants
                .map(|variant| Footprint {
                    weights: variant.weights_bytes,
                    per_request: variant.activation_bytes_per_sample,
                })
                .collect()
        };
        catalog.inference_models().iter().map(of).collect()
    }

    /// Memory that a batch takes, its model included; no device has as much for a model that is not known.
    pub fn bytes(&self, batch: ModelBatch) -> u64 {
        let known = self
            .models
            .get(batch.model.index())
            .and_then(|variants| variants.get(usize::from(batch.variant)));
        known.map_or(u64::MAX, |size| size.weights.saturating_add(size.per_request * u64::from(batch.batch)))
    }

    /// Memory of the devices of a node; none if it is not described.
    pub fn memory(&self, node: usize) -> u64 {
        self.memory_bytes.get(node).copied().unwrap_or(0)
    }
}

/// Which models are loaded where.
#[derive(Clone, Debug, PartialEq)]
pub struct Loads {
    rules: Arc<LoadRules>,
    residency: Residency,
}

impl Loads {
    /// Nothing is loaded; `devices` are those of each node.
    pub fn new(rules: LoadRules, devices: impl Iterator<Item = u32>) -> Loads {
        let nodes: Vec<(u32, u64)> = devices.zip(rules.memory_bytes.iter().copied()).collect();
        let residency = Residency::new(rules.retention, &nodes);
        Loads { rules: Arc::new(rules), residency }
    }

    /// The same rules with other things loaded.
    pub(crate) fn with_residency(&self, residency: Residency) -> Loads {
        Loads { rules: Arc::clone(&self.rules), residency }
    }

    /// How models come and go.
    pub fn rules(&self) -> &LoadRules {
        &self.rules
    }

    /// A model as [`Residency`] knows it; the variant is its place in the catalogue.
    pub fn model(&self, model: InferenceId, variant: u16) -> Model {
        self.needs(ModelBatch { model, variant, batch: 0 }).0
    }

    /// The model and the variant behind a key of [`Loads::model`].
    pub fn named(key: u32) -> (InferenceId, u16) {
        (InferenceId((key >> 16) as u16), key as u16)
    }

    /// What is on each device.
    pub fn residency(&self) -> &Residency {
        &self.residency
    }

    /// How long a batch that is started on a node now has to wait for its model: nothing where a free device holds it.
    /// Where no device is free, what a load takes.
    pub fn time(&self, node: NodeId, batch: ModelBatch) -> Span {
        let (model, working) = self.needs(batch);
        let free = self.residency.pick(node, Some(model), working);
        if free.is_some_and(|pick| !pick.load) { Span::ZERO } else { self.load_time(model) }
    }

    /// Takes a free device of a node, for a batch of requests or for work without a model; the time until its model is
    /// there. `None` if no device is free.
    pub(crate) fn start(&mut self, node: NodeId, batch: Option<ModelBatch>) -> Option<(DeviceId, Span)> {
        let (model, working) = match batch {
            Some(batch) => {
                let (model, working) = self.needs(batch);
                (Some(model), working)
            }
            None => (None, 0),
        };
        let Pick { device, load, .. } = self.residency.pick(node, model, working)?;
        self.residency.start(device, model, working);
        let span = model.filter(|_| load).map_or(Span::ZERO, |model| self.load_time(model));
        Some((device, span))
    }

    pub(crate) fn finish(&mut self, devices: &[DeviceId]) {
        devices.iter().for_each(|&device| self.residency.finish(device));
    }

    /// A node has failed: nothing is on its devices any more.
    pub(crate) fn clear(&mut self, node: NodeId) {
        self.residency.clear(node);
    }

    fn load_time(&self, model: Model) -> Span {
        self.rules.latency + Span::from_secs_f64(model.bytes as f64 / self.rules.bytes_per_s)
    }

    /// The model, and what a batch takes besides.
    fn needs(&self, batch: ModelBatch) -> (Model, u64) {
        let bytes = self.rules.bytes(ModelBatch { batch: 0, ..batch });
        let key = u32::from(batch.model.0) << 16 | u32::from(batch.variant);
        (Model { key, bytes }, self.rules.bytes(batch) - bytes)
    }
}
