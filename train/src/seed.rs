//! One seed for everything: each stream of random numbers derives from the run's seed and its own place.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a stream is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// An episode.
    Trace = 1,
    /// An environment's actions.
    Actions,
    /// The order of minibatches.
    Order,
    /// The first weights.
    Weights,
    /// What a teacher is asked about, and how it answers.
    Teacher,
}

/// The seed of stream `index` in `iteration`.
pub fn derive(seed: u64, purpose: Purpose, iteration: u64, index: u64) -> u64 {
    [purpose as u64, iteration, index].into_iter().fold(mix(seed), |state, part| mix(state ^ mix(part)))
}

/// The generator of that stream.
pub fn stream(seed: u64, purpose: Purpose, iteration: u64, index: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(derive(seed, purpose, iteration, index))
}

/// The finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
