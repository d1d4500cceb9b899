//! Rules that place pods for good, as the published packing experiment judges them.
//!
//! A rule scores every node where a pod fits with a whole number, as a Kubernetes score plug-in does, and the best
//! one takes it. Equal scores are common, and which node then wins shapes the result: here, as in the published
//! program, the first in a random order of the nodes that is drawn once a run.

mod classic;
mod fragmentation;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_env::packing::{Arrivals, Curve, Demand, Instance, PackingError, Place, Room};

pub use classic::{BestFit, DotProduct, GpuClustering, GpuPacking, RandomFit};
pub use fragmentation::{FragmentationGradient, Typical};

/// Which node, and which of its GPUs for a share.
pub trait Rule: Send + Sync {
    /// How well a demand goes where it fits; the highest score wins. It depends on nothing but these two.
    fn score(&self, room: &Room, demand: &Demand) -> i16;

    /// The GPU for a demand that takes a share of one; that with the least left where it fits, unless a rule knows better.
    fn device(&self, room: &Room, demand: &Demand, rng: &mut Xoshiro256PlusPlus) -> usize {
        let _ = rng;
        let fitting = (0..).zip(&room.gpus).filter(|(_, left)| **left >= demand.gpu_milli);
        fitting.min_by_key(|(_, left)| **left).map_or(0, |(device, _)| device)
    }

    /// Whether equal scores are drawn by lot at each pod.
    fn draws_lots(&self) -> bool {
        false
    }
}

/// The rules by name, with what they do.
pub const RULES: [(&str, &str); 6] = [
    ("random", "any node and any GPU where the pod fits"),
    ("dot-product", "the smallest product of request and what is left"),
    ("gpu-clustering", "beside pods of the same number of GPUs, on the fullest node"),
    ("gpu-packing", "GPUs that are in use, then nodes that are in use"),
    ("best-fit", "the least CPU and GPU left"),
    ("fgd", "the steepest descent of fragmentation"),
];

/// The rule of this name, for the pods of this experiment.
pub fn rule(name: &str, instance: &Instance) -> Option<Box<dyn Rule>> {
    Some(match name {
        "random" => Box::new(RandomFit),
        "dot-product" => Box::new(DotProduct),
        "gpu-clustering" => Box::new(GpuClustering),
        "gpu-packing" => Box::new(GpuPacking),
        "best-fit" => Box::new(BestFit),
        "fgd" => Box::new(FragmentationGradient::new(Typical::of(instance))),
        _ => return None,
    })
}

/// What a run gave away.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// Allocated against arrived GPUs.
    pub curve: Curve,
    /// Pods that arrived.
    pub pods: usize,
    /// Pods that found no place.
    pub refused: usize,
    /// The nodes at the end.
    pub rooms: Vec<Room>,
}

/// Lets a rule place the pods of one draw, up to `percents` percent of the cluster's GPUs.
///
/// # Errors
/// None, unless a rule chooses a GPU that is too full, which is a defect of the rule.
pub fn pack(
    instance: &Instance,
    rule: &dyn Rule,
    percents: usize,
    seed: u64,
) -> Result<Packed, PackingError> {
    let arrivals = Arrivals::draw(instance, percents as f64 / 100.0, seed);
    let mut site = instance.clone();
    let mut packer = Packer::new(rule, &site, arrivals.nodes, seed);
    let (mut arrived, mut allocated, mut refused) = (0, 0, 0);
    let mut steps = Vec::with_capacity(arrivals.pods.len());
    for &demand in &arrivals.pods {
        let wanted = site.demands[demand].total_gpu_milli();
        arrived += wanted;
        match packer.choose(&site, demand) {
            Some(place) => {
                site.place(demand, place)?;
                packer.forget(place.node);
                allocated += wanted;
            }
            None => refused += 1,
        }
        steps.push((arrived, allocated));
    }
    let curve = Curve::of(&steps, instance.total_gpu_milli(), percents);
    Ok(Packed { curve, pods: arrivals.pods.len(), refused, rooms: site.rooms })
}

/// A score that has to be computed anew.
const STALE: i16 = i16::MIN;
/// The demand does not fit.
const NO_ROOM: i16 = i16::MIN + 1;

/// The lowest score that a rule can give.
const LEAST: i16 = i16::MIN + 2;

/// A rule with its scores. A score depends on the node and the demand alone, so that a placement makes only those of
/// one node stale.
struct Packer<'a> {
    rule: &'a dyn Rule,
    /// In which equal scores are resolved.
    order: Vec<usize>,
    /// (nodes, demands)
    scores: Vec<i16>,
    demands: usize,
    rng: Xoshiro256PlusPlus,
}

impl<'a> Packer<'a> {
    fn new(rule: &'a dyn Rule, site: &Instance, order: Vec<usize>, seed: u64) -> Packer<'a> {
        let demands = site.demands.len();
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x7061_636b);
        Packer { rule, order, scores: vec![STALE; site.rooms.len() * demands], demands, rng }
    }

    fn choose(&mut self, site: &Instance, demand: usize) -> Option<Place> {
        let wanted = &site.demands[demand];
        let (mut best, mut equals, mut chosen) = (NO_ROOM, 0, None);
        for &node in &self.order {
            let score = &mut self.scores[node * self.demands + demand];
            if *score == STALE {
                let room = &site.rooms[node];
                *score = if room.fits(wanted) { self.rule.score(room, wanted).max(LEAST) } else { NO_ROOM };
            }
            if *score > best {
                (best, equals, chosen) = (*score, 1, Some(node));
            } else if *score == best && best > NO_ROOM && self.rule.draws_lots() {
                equals += 1;
                if self.rng.random_range(0..equals) == 0 {
                    chosen = Some(node);
                }
            }
        }
        let node = chosen?;
        let room = &site.rooms[node];
        let devices = match wanted.shares_gpu() {
            true => 1 << self.rule.device(room, wanted, &mut self.rng),
            false => room.whole_devices(wanted),
        };
        Some(Place { node, devices })
    }

    /// Makes the scores of a node stale.
    fn forget(&mut self, node: usize) {
        self.scores[node * self.demands..(node + 1) * self.demands].fill(STALE);
    }
}

#[cfg(test)]
mod tests;
