//! Random draws that are the same on every platform: one named generator, and logarithms from `libm`.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// xoshiro256++ with the distributions that the generators need.
#[derive(Clone, Debug)]
pub(crate) struct Random(Xoshiro256PlusPlus);

/// The seed of part `index` of what `seed` generates; SplitMix64's mixing keeps the parts apart.
pub fn derive_seed(seed: u64, index: u64) -> u64 {
    let mut mixed = seed.wrapping_add((index.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Uniform in [0, 1), with 53 random bits.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in (0, 1], so that its logarithm is finite.
    fn above_zero(&mut self) -> f64 {
        1.0 - self.uniform()
    }

    /// Uniform in [low, high).
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform among `0..count`; 0 if there are none.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// Exponential.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(self.above_zero())
    }

    /// Geometric on 1, 2, ...; `mean` is at least 1.
    pub(super) fn geometric(&mut self, mean: f64) -> u64 {
        if mean <= 1.0 {
            return 1;
        }
        1 + (libm::log(self.above_zero()) / libm::log1p(-1.0 / mean)) as u64
    }

    /// An index drawn in proportion to the weights, which are not negative and not all 0.
    pub(super) fn pick(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.uniform() * weights.clone().sum::<f64>();
        let mut last = 0;
        for (at, weight) in weights.enumerate().filter(|(_, weight)| *weight > 0.0) {
            if left < weight {
                return at;
            }
            left -= weight;
            last = at;
        }
        last
    }

    /// Standard normal, by the polar method.
    pub(crate) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * libm::sqrt(-2.0 * libm::log(square) / square);
            }
        }
    }

    /// Weibull with this mean and a shape above 0; a shape of 1 is the exponential.
    pub(super) fn weibull(&mut self, mean: f64, shape: f64) -> f64 {
        let scale = mean / libm::tgamma(1.0 + 1.0 / shape);
        scale * libm::pow(-libm::log(self.above_zero()), 1.0 / shape)
    }

    /// Lognormal with this mean; `sigma` is the standard deviation of its natural logarithm.
    pub(super) fn lognormal(&mut self, mean: f64, sigma: f64) -> f64 {
        mean * libm::exp(sigma * (self.normal() - 0.5 * sigma))
    }

    /// Gamma with a shape of at least 1, by the method of Marsaglia and Tsang (2000).
    pub(super) fn gamma(&mut self, shape: f64, scale: f64) -> f64 {
        debug_assert!(shape >= 1.0, "shape {shape} is below 1");
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        loop {
            let x = self.normal();
            let v = 1.0 + c * x;
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            if libm::log(self.above_zero()) < 0.5 * x * x + d * (1.0 - v + libm::log(v)) {
                return d * v * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_variance(mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let draws: Vec<f64> = (0..200_000).map(|_| draw()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        (mean, draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / draws.len() as f64)
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut random = Random::new(1);
        let close = |(mean, variance): (f64, f64), m: f64, v: f64| {
            assert!((mean - m).abs() < 0.02 * m.max(1.0), "mean {mean}, expected {m}");
            assert!((variance - v).abs() < 0.04 * v.max(1.0), "variance {variance}, expected {v}");
        };
        close(mean_and_variance(|| random.uniform()), 0.5, 1.0 / 12.0);
        close(mean_and_variance(|| random.exponential(3.0)), 3.0, 9.0);
        close(mean_and_variance(|| random.geometric(8.0) as f64), 8.0, 56.0);
        close(mean_and_variance(|| random.normal()), 0.0, 1.0);
        close(mean_and_variance(|| random.gamma(4.2, 0.94)), 4.2 * 0.94, 4.2 * 0.94 * 0.94);
        close(mean_and_variance(|| random.weibull(3.0, 1.0)), 3.0, 9.0);
        // Of shape 2 the variance is (4 / pi - 1) of the square of the mean.
        close(mean_and_variance(|| random.weibull(3.0, 2.0)), 3.0, 9.0 * (4.0 / core::f64::consts::PI - 1.0));
        close(mean_and_variance(|| random.lognormal(2.0, 0.5)), 2.0, 4.0 * (libm::exp(0.25) - 1.0));
        close(mean_and_variance(|| random.pick([1.0, 0.0, 3.0].into_iter()) as f64), 1.5, 0.75);
        assert_eq!(random.geometric(1.0), 1);
    }

    #[test]
    fn derived_seeds_differ() {
        let seeds: std::collections::BTreeSet<u64> = (0..1000).map(|at| derive_seed(7, at)).collect();
        assert_eq!(seeds.len(), 1000);
    }
}
