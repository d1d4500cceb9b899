//! Models in device memory: a batch needs its model on the device that serves it, and loading takes time.

use smallvec::SmallVec;

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
    /// Size of each model, by [`InferenceId`].
    pub model_bytes: Vec<u64>,
}

/// Which models are loaded where.
#[derive(Clone, Debug, PartialEq)]
pub struct Loads {
    rules: std::sync::Arc<LoadRules>,
    residency: Residency,
}

impl Loads {
    /// Nothing is loaded; `devices` are those of each node.
    pub fn new(rules: LoadRules, devices: impl Iterator<Item = u32>) -> Loads {
        let nodes: Vec<(u32, u64)> = devices.zip(rules.memory_bytes.iter().copied()).collect();
        let residency = Residency::new(rules.retention, &nodes);
        Loads { rules: std::sync::Arc::new(rules), residency }
    }

    /// What is on each device.
    pub fn residency(&self) -> &Residency {
        &self.residency
    }

    /// How long a batch of a model that is started on a node now has to wait for its model: nothing where a free
    /// device holds it. Where no device is free or large enough, what a load takes.
    pub fn time(&self, node: NodeId, model: InferenceId) -> Span {
        let free = self.residency.pick(node, Some(self.model(model)), 0);
        if free.is_some_and(|pick| !pick.load) { Span::ZERO } else { self.load_time(model) }
    }

    /// How long it takes to load a model.
    pub fn load_time(&self, model: InferenceId) -> Span {
        let bytes = self.rules.model_bytes[model.index()] as f64;
        self.rules.latency + Span::from_secs_f64(bytes / self.rules.bytes_per_s)
    }

    /// Whether a model fits on the devices of a node.
    pub fn fits(&self, node: NodeId, model: InferenceId) -> bool {
        self.rules.model_bytes[model.index()] <= self.rules.memory_bytes[node.index()]
    }

    /// Takes a free device of a node, for a batch of a model or for work without one; the time until its model is
    /// there. `None` if no device is free.
    pub(crate) fn start(&mut self, node: NodeId, model: Option<InferenceId>) -> Option<(DeviceId, Span)> {
        let key = model.map(|model| self.model(model));
        let Pick { device, load, .. } = self.residency.pick(node, key, 0)?;
        self.residency.start(device, key, 0);
        let span = model.filter(|_| load).map_or(Span::ZERO, |model| self.load_time(model));
        Some((device, span))
    }

    pub(crate) fn finish(&mut self, devices: &SmallVec<[DeviceId; 2]>) {
        devices.iter().for_each(|&device| self.residency.finish(device));
    }

    /// A node has failed: nothing is on its devices any more.
    pub(crate) fn clear(&mut self, node: NodeId) {
        self.residency.clear(node);
    }

    fn model(&self, model: InferenceId) -> Model {
        Model { key: u32::from(model.0), bytes: self.rules.model_bytes[model.index()] }
    }
}
