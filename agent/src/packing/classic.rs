//! The rules that fragmentation gradient descent is compared with, as the artefact of Weng et al. (2023) has them.
//!
//! Scores are cut down to whole numbers from 0 to 100, which makes many nodes equal. CPU is measured in the largest
//! node of the published cluster, 128 cores, GPUs in its eight.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_env::packing::{Demand, Room, size_bit};

use super::Rule;

const MAX_CPU_MILLI: f64 = 128_000.0;
const MAX_GPU_MILLI: f64 = 8_000.0;

/// Any node and any GPU where the demand fits.
pub struct RandomFit;

impl Rule for RandomFit {
    fn score(&self, _: &Room, _: &Demand) -> i16 {
        0
    }

    fn device(&self, room: &Room, demand: &Demand, rng: &mut Xoshiro256PlusPlus) -> usize {
        let fitting: Vec<usize> =
            (0..room.gpus.len()).filter(|&device| room.gpus[device] >= demand.gpu_milli).collect();
        fitting[rng.random_range(0..fitting.len() as u32) as usize]
    }

    fn draws_lots(&self) -> bool {
        true
    }
}

/// The smallest product of what is asked for and what is left, over CPU and GPUs: after Tetris (Grandl et al.,
/// SIGCOMM 2014), but with the opposite sign, as the artefact has it.
pub struct DotProduct;

impl Rule for DotProduct {
    fn score(&self, room: &Room, demand: &Demand) -> i16 {
        let cpu = f64::from(room.cpu_milli) / MAX_CPU_MILLI * (f64::from(demand.cpu_milli) / MAX_CPU_MILLI);
        let gpu =
            room.total_gpu_milli() as f64 / MAX_GPU_MILLI * (demand.total_gpu_milli() as f64 / MAX_GPU_MILLI);
        (100.0 * (1.0 - (cpu + gpu) / 2.0)) as i16
    }
}

/// Beside pods of the same size (Xiao et al., Gandiva, OSDI 2018): first nodes that have only such, then nodes that
/// have some, then empty ones, then the others; among these the fullest.
pub struct GpuClustering;

impl Rule for GpuClustering {
    fn score(&self, room: &Room, demand: &Demand) -> i16 {
        if demand.gpus == 0 {
            return 0;
        }
        let size = size_bit(demand);
        let class = match room.sizes {
            only if only == size => 75,
            mixed if mixed & size != 0 => 50,
            0 => 25,
            _ => 0,
        };
        class + (25 * (8000 - room.total_gpu_milli() as i64) / 8000) as i16
    }
}

/// Free GPUs are kept together (as in MLaaS in the Wild, Weng et al., NSDI 2022): first GPUs that are shared already, the fullest
/// first, then free GPUs of a node in use, then nodes that are free.
pub struct GpuPacking;

impl Rule for GpuPacking {
    fn score(&self, room: &Room, demand: &Demand) -> i16 {
        if demand.gpus == 0 {
            return 0;
        }
        let free = room.gpus.iter().filter(|&&left| left == 1000).count();
        if free == room.gpus.len() {
            return (33 - free as i16).max(free as i16);
        }
        let mut left: Vec<u32> = room.gpus.iter().copied().filter(|&left| left >= demand.gpu_milli).collect();
        left.sort_unstable();
        left.truncate(demand.gpus as usize);
        match left.iter().filter(|&&left| left == 1000).count() as i16 {
            0 => (100 - left.iter().map(|&left| left as i16 / 10).sum::<i16>() / 10).max(50),
            whole => (50 - whole).max(33),
        }
    }
}

/// The least CPU and GPU left after the placement, each measured in the largest node.
pub struct BestFit;

impl Rule for BestFit {
    fn score(&self, room: &Room, demand: &Demand) -> i16 {
        let cpu = f64::from(room.cpu_milli - demand.cpu_milli) / MAX_CPU_MILLI;
        let gpu = (room.total_gpu_milli() - demand.total_gpu_milli()) as f64 / MAX_GPU_MILLI;
        ((1.0 - (0.5 * cpu + 0.5 * gpu)) * 100.0) as i16
    }
}
