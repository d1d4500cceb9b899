//! In which order pods arrive and nodes are looked at.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Instance;

/// One draw of the published experiment: pods in a random order, repeated until they ask for a given share of the
/// cluster's GPUs; nodes in a random order, which breaks ties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// Pods as they arrive, each an index into [`Instance::demands`].
    pub pods: Vec<usize>,
    /// A permutation of the nodes.
    pub nodes: Vec<usize>,
}

impl Arrivals {
    /// Draws the arrivals of `seed` up to `ratio` times the cluster's GPUs: too little demand is filled up with pods
    /// drawn with replacement, from too much pods are taken away at random. As in the published program, filling up
    /// ends before the first pod that would exceed the ratio with one of its GPUs.
    pub fn draw(instance: &Instance, ratio: f64, seed: u64) -> Arrivals {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut nodes: Vec<usize> = (0..instance.rooms.len()).collect();
        shuffle(&mut nodes, &mut rng);
        let mut pods = instance.pods.clone();
        shuffle(&mut pods, &mut rng);
        let target = ratio * instance.total_gpu_milli() as f64;
        let asked = |pod: usize| instance.demands[pod].total_gpu_milli();
        let mut demand: u64 = pods.iter().map(|&pod| asked(pod)).sum();
        while demand as f64 > target {
            demand -= asked(pods.remove(below(pods.len(), &mut rng)));
        }
        while let Some(&next) = instance.pods.get(below(instance.pods.len(), &mut rng)) {
            if (demand + u64::from(instance.demands[next].gpu_milli)) as f64 > target {
                break;
            }
            demand += asked(next);
            pods.push(next);
        }
        Arrivals { pods, nodes }
    }
}

/// Uniform among `0..count`; 0 if there are none.
fn below(count: usize, rng: &mut Xoshiro256PlusPlus) -> usize {
    // 32 bits, so that the draw does not depend on the size of a pointer.
    rng.random_range(0..(count as u32).max(1)) as usize
}

fn shuffle(items: &mut [usize], rng: &mut Xoshiro256PlusPlus) {
    for at in (1..items.len()).rev() {
        items.swap(at, below(at + 1, rng));
    }
}
