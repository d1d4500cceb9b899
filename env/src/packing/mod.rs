//! Static packing: pods arrive one by one, each is placed for good or refused, and nothing ever leaves.
//!
//! This is the allocation experiment of Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads
//! with Fragmentation Gradient Descent" (USENIX ATC 2023): how much of a cluster's GPUs can be given away before
//! what is left is too scattered to be of use. GPUs are shared in thousandths; a pod takes CPU, memory and either
//! nothing of a GPU, a share of one, or several whole ones. Time plays no part.

mod arrivals;
mod curve;

use smallvec::SmallVec;
use thiserror::Error;

use crate::trace::openb::{GPU_MILLI, Node, Pod};

pub use arrivals::Arrivals;
pub use curve::{Curve, mean};

/// What one pod asks for. Pods that ask for the same are one demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Memory.
    pub memory_mib: u32,
    /// GPUs that it is spread over.
    pub gpus: u32,
    /// Thousandths of each of them.
    pub gpu_milli: u32,
    /// The GPU models that it accepts, a bit each; 0 accepts all. Without GPUs it accepts every node.
    pub models: u64,
}

impl Demand {
    /// Thousandths of GPUs in all.
    pub fn total_gpu_milli(&self) -> u64 {
        u64::from(self.gpus) * u64::from(self.gpu_milli)
    }

    /// Whether it takes a part of one GPU.
    pub fn shares_gpu(&self) -> bool {
        self.gpus == 1 && self.gpu_milli < GPU_MILLI
    }
}

/// What is left of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Memory.
    pub memory_mib: u32,
    /// Thousandths left of each GPU.
    pub gpus: SmallVec<[u32; 8]>,
    /// The bit of its GPU model, 0 without GPUs.
    pub model: u64,
    /// Sizes of the pods with GPUs that run here: bit 0 for shares, bit n for n whole GPUs.
    pub sizes: u64,
}

impl Room {
    /// Thousandths left of all GPUs together.
    pub fn total_gpu_milli(&self) -> u64 {
        self.gpus.iter().map(|&left| u64::from(left)).sum()
    }

    /// Whether the node's GPUs are of a model that this demand accepts.
    pub fn accepts(&self, demand: &Demand) -> bool {
        demand.gpus == 0 || demand.models == 0 || demand.models & self.model != 0
    }

    /// GPUs with enough left for one part of this demand.
    pub fn devices_for(&self, demand: &Demand) -> u32 {
        self.gpus.iter().filter(|&&left| left >= demand.gpu_milli).count() as u32
    }

    /// Whether the demand can be placed here.
    pub fn fits(&self, demand: &Demand) -> bool {
        self.cpu_milli >= demand.cpu_milli
            && self.memory_mib >= demand.memory_mib
            && self.accepts(demand)
            && (demand.gpus == 0 || self.devices_for(demand) >= demand.gpus)
    }

    /// The GPUs for a demand of whole ones, as a bit each: the first that are free.
    pub fn whole_devices(&self, demand: &Demand) -> u32 {
        let free = (0..).zip(&self.gpus).filter(|(_, left)| **left == GPU_MILLI);
        free.take(demand.gpus as usize).fold(0, |mask, (device, _): (u32, _)| mask | 1 << device)
    }

    /// Takes the demand's CPU, memory and the named GPUs; it must fit.
    pub fn take(&mut self, demand: &Demand, devices: u32) {
        self.cpu_milli -= demand.cpu_milli;
        self.memory_mib -= demand.memory_mib;
        for (device, left) in self.gpus.iter_mut().enumerate() {
            if devices & (1 << device) != 0 {
                *left -= demand.gpu_milli;
            }
        }
        if demand.gpus > 0 {
            self.sizes |= size_bit(demand);
        }
    }
}

/// The bit of [`Room::sizes`] that stands for pods of this size.
pub fn size_bit(demand: &Demand) -> u64 {
    if demand.shares_gpu() { 1 } else { 1 << demand.gpus.min(63) }
}

/// Where a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the node.
    pub node: usize,
    /// Its GPUs, a bit each.
    pub devices: u32,
}

/// Why a placement is impossible.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PackingError {
    /// The bits of a mask are used up.
    #[error("{models} GPU models; at most 64 can be told apart")]
    TooManyModels {
        /// Models found.
        models: usize,
    },
    /// Nothing to share out.
    #[error("the nodes have no GPU")]
    NoGpus,
    /// Nothing to share it out to.
    #[error("no pod asks for a GPU")]
    NoDemand,
    /// The demand does not fit there.
    #[error("node {node} has no room for demand {demand} on GPUs {devices:#b}")]
    NoRoom {
        /// Index of the node.
        node: usize,
        /// Index of the demand.
        demand: usize,
        /// The GPUs chosen, a bit each.
        devices: u32,
    },
}

/// Nodes and pods of an experiment, before anything is placed.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The nodes, empty.
    pub rooms: Vec<Room>,
    /// What pods ask for, each once.
    pub demands: Vec<Demand>,
    /// The pods in the order of their list, each an index into `demands`.
    pub pods: Vec<usize>,
}

impl Instance {
    /// The experiment with these nodes and pods.
    ///
    /// # Errors
    /// More than 64 GPU models, nodes without any GPU, or pods that ask for none.
    pub fn new(nodes: &[Node], pods: &[Pod]) -> Result<Instance, PackingError> {
        let mut models: Vec<&str> = nodes.iter().map(|node| node.model.as_str()).collect();
        models.extend(pods.iter().flat_map(|pod| &pod.gpu_spec).map(String::as_str));
        models.retain(|model| !model.is_empty());
        models.sort_unstable();
        models.dedup();
        if models.len() > 64 {
            return Err(PackingError::TooManyModels { models: models.len() });
        }
        let bit = |model: &str| models.binary_search(&model).map_or(0, |at| 1 << at);
        let wanted: Vec<Demand> = pods.iter().map(|pod| demand(pod, bit)).collect();
        let mut demands = wanted.clone();
        demands.sort_unstable();
        demands.dedup();
        let kind = |demand: &Demand| demands.binary_search(demand).unwrap_or_default();
        let pods = wanted.iter().map(kind).collect();
        let instance = Instance { rooms: nodes.iter().map(|node| room(node, bit)).collect(), demands, pods };
        match (instance.total_gpu_milli(), instance.demands.iter().any(|demand| demand.gpus > 0)) {
            (0, _) => Err(PackingError::NoGpus),
            (_, false) => Err(PackingError::NoDemand),
            _ => Ok(instance),
        }
    }

    /// Thousandths of GPUs of all nodes together.
    pub fn total_gpu_milli(&self) -> u64 {
        self.rooms.iter().map(Room::total_gpu_milli).sum()
    }

    /// Places a demand, an index into [`Instance::demands`]; panics where there is none.
    ///
    /// # Errors
    /// A node that does not exist or has no room, or GPUs that are not as many as asked for or too full; nothing
    /// has changed then.
    pub fn place(&mut self, demand: usize, place: Place) -> Result<(), PackingError> {
        let wanted = self.demands[demand];
        let no_room = PackingError::NoRoom { node: place.node, demand, devices: place.devices };
        let Some(room) = self.rooms.get_mut(place.node) else { return Err(no_room) };
        let has = |device: u32| room.gpus.get(device as usize).is_some_and(|&left| left >= wanted.gpu_milli);
        let devices_fit = (0..32).filter(|device| place.devices & (1 << device) != 0).all(has);
        if !room.fits(&wanted) || place.devices.count_ones() != wanted.gpus || !devices_fit {
            return Err(no_room);
        }
        room.take(&wanted, place.devices);
        Ok(())
    }
}

fn demand(pod: &Pod, bit: impl Fn(&str) -> u64) -> Demand {
    Demand {
        cpu_milli: pod.cpu_milli,
        memory_mib: pod.memory_mib,
        gpus: pod.num_gpu,
        gpu_milli: pod.gpu_milli,
        models: pod.gpu_spec.iter().map(|model| bit(model)).fold(0, |all, one| all | one),
    }
}

fn room(node: &Node, bit: impl Fn(&str) -> u64) -> Room {
    Room {
        cpu_milli: node.cpu_milli,
        memory_mib: node.memory_mib,
        gpus: SmallVec::from_elem(GPU_MILLI, node.gpus as usize),
        model: bit(&node.model),
        sizes: 0,
    }
}

#[cfg(test)]
mod tests;
