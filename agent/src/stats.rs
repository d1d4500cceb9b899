//! Means, intervals and paired ratios.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A value with a 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Lower and upper bound; equal to the value where a single sample allows no interval.
    pub ci95: [f64; 2],
}

impl Estimate {
    /// Whether the interval lies wholly below `bound`.
    pub fn below(&self, bound: f64) -> bool {
        self.ci95[1] < bound
    }
}

/// The mean with its t interval.
pub fn mean(values: &[f64]) -> Estimate {
    let value = average(values);
    around(value, deviation(values, value))
}

/// mean(values) / mean(base) for samples taken on the same seeds.
///
/// The interval is that of the mean of `values - ratio * base`, which has expectation 0, divided by the mean of
/// `base` (the delta method for a ratio of paired means).
pub fn paired_ratio(values: &[f64], base: &[f64]) -> Estimate {
    let below = average(base);
    if below == 0.0 {
        let same = average(values) == 0.0;
        let value = if same { 1.0 } else { f64::INFINITY };
        return Estimate { value, ci95: [value, value] };
    }
    let ratio = average(values) / below;
    let residues: Vec<f64> = values.iter().zip(base).map(|(value, base)| value - ratio * base).collect();
    around(ratio, deviation(&residues, 0.0) / below)
}

/// How many samples are strictly lower than their partner.
pub fn wins(values: &[f64], base: &[f64]) -> usize {
    values.iter().zip(base).filter(|(value, base)| value < base).count()
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Half the width of the 95 % t interval of a mean.
fn deviation(values: &[f64], mean: f64) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = StudentsT::new(0.0, 1.0, n - 1.0).map_or(f64::NAN, |t| t.inverse_cdf(0.975));
    t * (variance / n).sqrt()
}

fn around(value: f64, half: f64) -> Estimate {
    Estimate { value, ci95: [value - half.abs(), value + half.abs()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_t_interval_is_the_textbook_one() {
        // Mean 3, standard deviation sqrt(2.5), t(4, 0.975) = 2.776445.
        let estimate = mean(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(estimate.value, 3.0);
        let half = 2.776_445 * (2.5_f64 / 5.0).sqrt();
        assert!((estimate.ci95[1] - 3.0 - half).abs() < 1e-5, "{estimate:?}");
    }

    #[test]
    fn a_constant_factor_is_a_certain_ratio() {
        let base = [3.0, 5.0, 11.0];
        let values = base.map(|value| value * 0.8);
        let ratio = paired_ratio(&values, &base);
        assert!((ratio.value - 0.8).abs() < 1e-12);
        assert!(ratio.ci95[1] - ratio.ci95[0] < 1e-9, "{ratio:?}");
        assert!(ratio.below(1.0));
        assert_eq!(wins(&values, &base), 3);
    }

    #[test]
    fn nothing_to_divide_by_is_said() {
        assert_eq!(paired_ratio(&[0.0], &[0.0]).value, 1.0);
        assert!(paired_ratio(&[1.0], &[0.0]).value.is_infinite());
    }
}
