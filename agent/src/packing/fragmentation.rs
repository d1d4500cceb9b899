//! Fragmentation gradient descent (Weng et al., USENIX ATC 2023, sections 3 and 4).

use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_env::packing::{Demand, Instance, Room};

use super::Rule;

/// Share of all pods, in percent, that the typical ones stand for.
const POPULAR_PERCENT: f64 = 95.0;

/// What a typical workload asks for: the most frequent demands and their shares, which sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Typical(Vec<(Demand, f64)>);

impl Typical {
    /// The most frequent demands of an experiment's pods that together make up 95 % of them. Memory is left out.
    pub fn of(instance: &Instance) -> Typical {
        let mut demands: Vec<Demand> = instance.pods.iter().map(|&pod| instance.demands[pod]).collect();
        demands.iter_mut().for_each(|demand| demand.memory_mib = 0);
        demands.sort_unstable();
        let mut counted: Vec<(usize, Demand)> =
            demands.chunk_by(|a, b| a == b).map(|same| (same.len(), same[0])).collect();
        counted.sort_unstable_by(|a, b| b.cmp(a));
        let enough = POPULAR_PERCENT * demands.len() as f64 / 100.0;
        let mut covered = 0;
        counted.retain(|(count, _)| {
            let more = (covered as f64) < enough;
            covered += if more { *count } else { 0 };
            more
        });
        let share = |count: usize| count as f64 / covered as f64;
        Typical(counted.into_iter().map(|(count, demand)| (demand, share(count))).collect())
    }

    /// How much of a node's free GPUs such a workload cannot use, in thousandths, expected over the demands: all that is
    /// left where a demand does not fit (or needs no GPU), otherwise what is left of the GPUs that are too full for it.
    pub fn fragmentation(&self, room: &Room) -> f64 {
        let total = room.total_gpu_milli() as f64;
        let usable = |(demand, share): &(Demand, f64)| {
            let hosts = demand.gpus > 0 && demand.cpu_milli <= room.cpu_milli && room.accepts(demand);
            if !hosts || room.devices_for(demand) < demand.gpus {
                return 0.0;
            }
            let fitting = room.gpus.iter().filter(|&&left| left >= demand.gpu_milli);
            share * fitting.map(|&left| f64::from(left)).sum::<f64>()
        };
        total - self.0.iter().map(usable).sum::<f64>()
    }
}

/// Places each pod where fragmentation falls the most, or grows the least.
pub struct FragmentationGradient {
    typical: Typical,
}

impl FragmentationGradient {
    /// The rule for pods like these.
    pub fn new(typical: Typical) -> FragmentationGradient {
        FragmentationGradient { typical }
    }

    /// The best score there, and the GPU that a share then takes.
    fn best(&self, room: &Room, demand: &Demand) -> (i16, usize) {
        let before = self.typical.fragmentation(room);
        let after = |devices: u32| {
            let mut room = room.clone();
            room.take(demand, devices);
            score(before - self.typical.fragmentation(&room))
        };
        if !demand.shares_gpu() {
            return (after(room.whole_devices(demand)), 0);
        }
        let mut best: Option<(i16, usize)> = None;
        for device in (0..room.gpus.len()).filter(|&device| room.gpus[device] >= demand.gpu_milli) {
            // GPUs with equally much left are equally good; the first is taken.
            if room.gpus[..device].contains(&room.gpus[device]) {
                continue;
            }
            let score = after(1 << device);
            if best.is_none_or(|(known, _)| score > known) {
                best = Some((score, device));
            }
        }
        best.unwrap_or_default()
    }
}

/// A fall of fragmentation, in thousandths of a GPU, as a whole number from 0 to 100: 100 / (1 + exp(-fall / 1000)).
fn score(fall: f64) -> i16 {
    (100.0 / (1.0 + libm::exp(-fall / 1000.0))) as i16
}

impl Rule for FragmentationGradient {
    fn score(&self, room: &Room, demand: &Demand) -> i16 {
        self.best(room, demand).0
    }

    fn device(&self, room: &Room, demand: &Demand, _: &mut Xoshiro256PlusPlus) -> usize {
        self.best(room, demand).1
    }
}
