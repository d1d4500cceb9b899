//! Device memory: which inference models are loaded on which device, and which must leave for another.
//!
//! A device does one batch at a time. A model that is loaded takes its weights, a batch that runs its working memory
//! besides. How long loading takes is the caller's knowledge.

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

/// One device of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId {
    /// Its node.
    pub node: NodeId,
    /// Its number there, from 0.
    pub device: u32,
}

/// Where a batch would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// An idle device.
    pub device: DeviceId,
    /// The model has to be loaded first.
    pub load: bool,
    /// Bytes of other models that have to leave.
    pub evicts: u64,
}

/// What is loaded where. A model is an opaque key, one for each variant, with the bytes of its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Residency {
    retention: Retention,
    /// The devices of node `n` are `first[n]..first[n + 1]`.
    first: Arc<[u32]>,
    devices: Vec<Device>,
    /// Starts so far.
    starts: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Device {
    memory: u64,
    /// Of the batch that runs.
    working: u64,
    /// The model of the batch that runs.
    busy: Option<u32>,
    /// Least recently used first.
    models: SmallVec<[Model; 2]>,
    /// The number of its last start; 0 if there was none.
    used: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Model {
    key: u32,
    bytes: u64,
}

impl Residency {
    /// Nothing loaded. For each node: how many devices it has, and the bytes of memory of each.
    pub fn new(retention: Retention, nodes: &[(u32, u64)]) -> Residency {
        let mut first = vec![0];
        let mut devices = Vec::new();
        for &(count, memory) in nodes {
            let device = Device { memory, working: 0, busy: None, models: SmallVec::new(), used: 0 };
            devices.extend((0..count).map(|_| device.clone()));
            first.push(devices.len() as u32);
        }
        Residency { retention, first: first.into(), devices, starts: 0 }
    }

    /// The idle device that a batch of a model should run on, `bytes` being its weights and `working_bytes` what the
    /// batch needs besides. One that holds the model comes before all others; then the one that loses least, then the
    /// one that was idle longest. `None` if no device is idle, or none has that much memory.
    pub fn pick(&self, node: NodeId, key: u32, bytes: u64, working_bytes: u64) -> Option<Pick> {
        let need = bytes.checked_add(working_bytes)?;
        let fits = |&(_, device): &(DeviceId, &Device)| device.busy.is_none() && need <= device.memory;
        let weigh = |(id, device): (DeviceId, &Device)| {
            let load = !device.holds(key);
            (load, device.evicts(key, need), device.used, id)
        };
        let best = self.of(node).filter(fits).map(weigh).min();
        best.map(|(load, evicts, _, device)| Pick { device, load, evicts })
    }

    /// Starts a batch on an idle device: others leave as far as they must, the model is loaded if it is not, the
    /// working memory is reserved. Gives the models that left.
    ///
    /// # Panics
    ///
    /// If the device is busy or too small; [`Residency::pick`] gives one that is neither.
    pub fn start(&mut self, id: DeviceId, key: u32, bytes: u64, working_bytes: u64) -> SmallVec<[u32; 2]> {
        self.starts += 1;
        let starts = self.starts;
        let device = self.device_mut(id);
        assert!(device.busy.is_none(), "{id:?} is busy");
        assert!(bytes.saturating_add(working_bytes) <= device.memory, "model {key} does not fit on {id:?}");
        device.models.retain(|model| model.key != key);
        let gone = device.make_room(bytes + working_bytes);
        device.models.push(Model { key, bytes });
        device.working = working_bytes;
        device.busy = Some(key);
        device.used = starts;
        gone
    }

    /// The batch on a device is done, or given up.
    pub fn finish(&mut self, id: DeviceId) {
        let on_demand = self.retention == Retention::OnDemand;
        let device = self.device_mut(id);
        let key = device.busy.take().expect("a batch that ends was started");
        device.working = 0;
        if on_demand {
            device.models.retain(|model| model.key != key);
        }
    }

    /// A node failed: nothing is loaded and nothing runs there.
    pub fn clear(&mut self, node: NodeId) {
        let range = self.range(node);
        for device in &mut self.devices[range] {
            device.models.clear();
            device.busy = None;
            device.working = 0;
        }
    }

    /// Whether a model is loaded on any device of a node, idle or busy.
    pub fn holds(&self, node: NodeId, key: u32) -> bool {
        self.of(node).any(|(_, device)| device.holds(key))
    }

    /// Idle devices of a node with this model loaded.
    pub fn idle_with(&self, node: NodeId, key: u32) -> u32 {
        self.of(node).filter(|(_, device)| device.busy.is_none() && device.holds(key)).count() as u32
    }

    /// Idle devices of a node.
    pub fn idle(&self, node: NodeId) -> u32 {
        self.of(node).filter(|(_, device)| device.busy.is_none()).count() as u32
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
            assert!(device.busy.is_none_or(|key| device.holds(key)), "a model runs and is not loaded");
            assert!(device.busy.is_some() || device.working == 0, "an idle device has working memory");
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

    fn taken(&self) -> u64 {
        self.working + self.models.iter().map(|model| model.bytes).sum::<u64>()
    }

    /// Bytes of other models that leave when a model and its batch need so much.
    fn evicts(&self, key: u32, need: u64) -> u64 {
        let others = self.models.iter().filter(|model| model.key != key);
        let total: u64 = others.clone().map(|model| model.bytes).sum();
        let mut left = total;
        for model in others {
            if left <= self.memory - need {
                break;
            }
            left -= model.bytes;
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
        let busy = self.busy.map_or(0, |key| u64::from(key) + 1);
        mix(mix(mix(self.memory) ^ busy).wrapping_add(models.fold(0, u64::wrapping_add)))
    }
}
