//! Device memory: which inference models are loaded on which device, and which must leave for another.
//!
//! A device does one thing at a time: a batch of a model, or work that brings no model, as a training job is. A model
//! that is loaded takes its weights, what runs takes its working memory besides. How long loading takes is the caller's
//! knowledge.

use std::sync::Arc;

use smallvec::SmallVec;

use super::mix;
use crate::units::NodeId;

/// What becomes of a model after its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// It stays loaded until its room is needed; the least recently used leaves first.
    Reserve,
    /// It is unloaded at once: the memory is free for others, and the next batch loads it again.
    OnDemand,
}

/// A variant of an inference model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Names it; opaque here.
    pub key: u32,
    /// Its weights.
    pub bytes: u64,
}

/// One device of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId {
    /// Its node.
    pub node: NodeId,
    /// Its number there, from 0.
    pub device: u32,
}

/// Where work would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// An idle device.
    pub device: DeviceId,
    /// The model has to be loaded first.
    pub load: bool,
    /// Bytes of other models that have to leave.
    pub evicts: u64,
}

/// What is loaded where.
#[derive(Clone, Debug, PartialEq)]
pub struct Residency {
    retention: Retention,
    /// The devices of node `n` are `first[n]..first[n + 1]`.
    first: Arc<[u32]>,
    devices: Vec<Device>,
    /// Starts so far.
    starts: u64,
}

/// How a device stands: what changes of it, to be written down and read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceState {
    /// The models on it, least recently used first.
    pub models: Vec<Model>,
    /// Whether something runs on it.
    pub busy: bool,
    /// The model of what runs, if it has one.
    pub runs: Option<u32>,
    /// Bytes of what runs, its model apart.
    pub working_bytes: u64,
    /// The number of its last start; 0 if there was none.
    pub used: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Device {
    memory: u64,
    busy: bool,
    /// Bytes of what runs, its model apart.
    working: u64,
    /// The model of what runs; `None` also where nothing does.
    runs: Option<u32>,
    /// Least recently used first.
    models: SmallVec<[Model; 2]>,
    /// The number of its last start; 0 if there was none.
    used: u64,
}

impl Residency {
    /// Nothing loaded. For each node: how many devices it has, and the bytes of memory of each.
    pub fn new(retention: Retention, nodes: &[(u32, u64)]) -> Residency {
        let mut first = vec![0];
        let mut devices = Vec::new();
        for &(count, memory) in nodes {
            let device =
                Device { memory, busy: false, working: 0, runs: None, models: SmallVec::new(), used: 0 };
            devices.extend((0..count).map(|_| device.clone()));
            first.push(devices.len() as u32);
        }
        Residency { retention, first: first.into(), devices, starts: 0 }
    }

    /// How the devices of a node stand, in their order.
    pub fn states(&self, node: NodeId) -> impl Iterator<Item = DeviceState> {
        self.of(node).map(|(_, device)| DeviceState {
            models: device.models.to_vec(),
            busy: device.busy,
            runs: device.runs,
            working_bytes: device.working,
            used: device.used,
        })
    }

    /// Lets a device stand so. `false`, and nothing has changed, if that cannot be: more than it has room for, a model
    /// twice, something that runs without its model, an idle device at work.
    pub fn set(&mut self, id: DeviceId, state: &DeviceState) -> bool {
        let known =
            id.node.index() + 1 < self.first.len() && (id.device as usize) < self.range(id.node).len();
        if !known {
            return false;
        }
        let models: SmallVec<[Model; 2]> = state.models.iter().copied().collect();
        let memory = self.device(id).memory;
        let taken = models.iter().try_fold(state.working_bytes, |sum, model| sum.checked_add(model.bytes));
        let once = |(at, model): (usize, &Model)| models[..at].iter().all(|other| other.key != model.key);
        let running = state.runs.is_none_or(|key| models.iter().any(|model| model.key == key));
        let idle = state.runs.is_none() && state.working_bytes == 0;
        let sound = models.iter().enumerate().all(once) && running && (state.busy || idle);
        if !sound || taken.is_none_or(|taken| taken > memory) {
            return false;
        }
        self.starts = self.starts.max(state.used);
        let DeviceState { busy, runs, working_bytes: working, used, .. } = *state;
        *self.device_mut(id) = Device { memory, busy, working, runs, models, used };
        true
    }

    /// The idle device that work should run on: a batch of a model, or work without one, and the bytes it needs
    /// besides. A device that holds the model comes before all others; then the one that loses least, then the one that
    /// was not used for longest. `None` if no device is idle, or none has that much memory.
    pub fn pick(&self, node: NodeId, model: Option<Model>, working_bytes: u64) -> Option<Pick> {
        let need = working_bytes.checked_add(model.map_or(0, |model| model.bytes))?;
        let fits = |&(_, device): &(DeviceId, &Device)| !device.busy && need <= device.memory;
        let weigh = |(id, device): (DeviceId, &Device)| {
            let load = model.is_some_and(|model| !device.holds(model.key));
            (load, device.evicts(model, need), device.used, id)
        };
        let best = self.of(node).filter(fits).map(weigh).min();
        best.map(|(load, evicts, _, device)| Pick { device, load, evicts })
    }

    /// Starts work on an idle device: other models leave as far as they must, its own is loaded if it is not, the
    /// working memory is reserved. Gives the models that left.
    ///
    /// # Panics
    ///
    /// If the device is busy or too small; [`Residency::pick`] gives one that is neither.
    pub fn start(&mut self, id: DeviceId, model: Option<Model>, working_bytes: u64) -> SmallVec<[u32; 2]> {
        self.starts += 1;
        let starts = self.starts;
        let device = self.device_mut(id);
        let need = working_bytes.saturating_add(model.map_or(0, |model| model.bytes));
        assert!(!device.busy, "{id:?} is busy");
        assert!(need <= device.memory, "{id:?} has {} bytes, the work needs {need}", device.memory);
        device.runs = model.map(|model| model.key);
        device.models.retain(|loaded| Some(loaded.key) != device.runs);
        let gone = device.make_room(need);
        device.models.extend(model);
        device.working = working_bytes;
        device.busy = true;
        device.used = starts;
        gone
    }

    /// The work on a device is done, or given up.
    pub fn finish(&mut self, id: DeviceId) {
        let on_demand = self.retention == Retention::OnDemand;
        let device = self.device_mut(id);
        debug_assert!(device.busy, "work that ends was started");
        let ran = device.stop();
        if on_demand {
            device.models.retain(|model| Some(model.key) != ran);
        }
    }

    /// A node failed: nothing is loaded and nothing runs there.
    pub fn clear(&mut self, node: NodeId) {
        let range = self.range(node);
        for device in &mut self.devices[range] {
            device.models.clear();
            device.stop();
        }
    }

    /// Whether a model is loaded on any device of a node, idle or busy.
    pub fn holds(&self, node: NodeId, key: u32) -> bool {
        self.of(node).any(|(_, device)| device.holds(key))
    }

    /// Idle devices of a node with this model loaded.
    pub fn idle_with(&self, node: NodeId, key: u32) -> u32 {
        self.of(node).filter(|(_, device)| !device.busy && device.holds(key)).count() as u32
    }

    /// Idle devices of a node.
    pub fn idle(&self, node: NodeId) -> u32 {
        self.of(node).filter(|(_, device)| !device.busy).count() as u32
    }

    /// The models on a device, least recently used first.
    pub fn loaded(&self, id: DeviceId) -> impl Iterator<Item = u32> {
        self.device(id).models.iter().map(|model| model.key)
    }

    /// Bytes of a device that models and working memory take.
    pub fn used_bytes(&self, id: DeviceId) -> u64 {
        self.device(id).taken()
    }

    /// Equal for nodes whose devices, in any order, have the same memory, models and work. The order in which models
    /// were used is not in it.
    pub fn signature(&self, node: NodeId) -> u64 {
        self.of(node).map(|(_, device)| device.signature()).fold(0, u64::wrapping_add)
    }

    /// Checks everything, for debug builds and tests.
    ///
    /// # Panics
    ///
    /// If a device is over-committed, or runs a model that it does not hold.
    pub fn check(&self) {
        for device in &self.devices {
            assert!(
                device.taken() <= device.memory,
                "{} bytes on a device of {}",
                device.taken(),
                device.memory
            );
            assert!(device.runs.is_none_or(|key| device.holds(key)), "a model runs and is not loaded");
            let idle = device.working == 0 && device.runs.is_none();
            assert!(device.busy || idle, "an idle device has working memory or a model that runs");
        }
    }

    fn range(&self, node: NodeId) -> std::ops::Range<usize> {
        self.first[node.index()] as usize..self.first[node.index() + 1] as usize
    }

    fn of(&self, node: NodeId) -> impl Iterator<Item = (DeviceId, &Device)> {
        let id = move |device| DeviceId { node, device };
        (0..).map(id).zip(&self.devices[self.range(node)])
    }

    fn device(&self, id: DeviceId) -> &Device {
        &self.devices[self.range(id.node)][id.device as usize]
    }

    fn device_mut(&mut self, id: DeviceId) -> &mut Device {
        let range = self.range(id.node);
        &mut self.devices[range][id.device as usize]
    }
}

impl Device {
    fn holds(&self, key: u32) -> bool {
        self.models.iter().any(|model| model.key == key)
    }

    /// Becomes idle; the model that ran.
    fn stop(&mut self) -> Option<u32> {
        self.busy = false;
        self.working = 0;
        self.runs.take()
    }

    fn taken(&self) -> u64 {
        self.working + self.models.iter().map(|model| model.bytes).sum::<u64>()
    }

    /// Bytes of other models that leave when work with its model needs so much.
    fn evicts(&self, model: Option<Model>, need: u64) -> u64 {
        let others = self.models.iter().filter(|other| model.is_none_or(|model| model.key != other.key));
        let total: u64 = others.clone().map(|model| model.bytes).sum();
        let mut left = total;
        for other in others {
            if left <= self.memory - need {
                break;
            }
            left -= other.bytes;
        }
        total - left
    }

    /// Unloads models, least recently used first, until so much is free.
    fn make_room(&mut self, need: u64) -> SmallVec<[u32; 2]> {
        let mut gone = SmallVec::new();
        while self.taken() > self.memory - need {
            gone.push(self.models.remove(0).key);
        }
        gone
    }

    fn signature(&self) -> u64 {
        let models = self.models.iter().map(|model| mix(u64::from(model.key)));
        let runs = self.runs.map_or(u64::from(self.busy), |key| u64::from(key) + 2);
        mix(mix(mix(self.memory) ^ runs).wrapping_add(models.fold(0, u64::wrapping_add)))
    }
}
