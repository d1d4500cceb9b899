//! Means, intervals, paired ratios, and which differences are more than chance.

mod bootstrap;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

pub use bootstrap::{Bootstrap, RESAMPLES};

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

/// Two-sided p value of the paired t test: how likely means at least so different are where there is no difference. 1
/// where a single pair, or none, tells nothing.
pub fn paired_p(values: &[f64], base: &[f64]) -> f64 {
    let differences: Vec<f64> = values.iter().zip(base).map(|(value, base)| value - base).collect();
    let (n, mean) = (differences.len() as f64, average(&differences));
    if n < 2.0 || mean == 0.0 {
        return 1.0;
    }
    let t = mean.abs() / (variance(&differences, mean) / n).sqrt();
    StudentsT::new(0.0, 1.0, n - 1.0).map_or(1.0, |law| 2.0 * law.cdf(-t))
}

/// Two-sided p value of the hypothesis that the ratio of paired means is 1: a t test of its logarithm, whose standard
/// error is that of the mean of `values - ratio * base` / the mean of `values` (the delta method). The same in both
/// directions. As [`paired_p`] where a mean is 0 and has no logarithm.
pub fn ratio_p(values: &[f64], base: &[f64]) -> f64 {
    let (above, below, n) = (average(values), average(base), values.len() as f64);
    let ratio = above / below;
    if !(above > 0.0 && below > 0.0) {
        return paired_p(values, base);
    }
    if n < 2.0 || ratio == 1.0 {
        return 1.0;
    }
    let residues: Vec<f64> = values.iter().zip(base).map(|(value, base)| value - ratio * base).collect();
    let error = (variance(&residues, 0.0) / n).sqrt() / above;
    let t = libm::log(ratio).abs() / error;
    StudentsT::new(0.0, 1.0, n - 1.0).map_or(1.0, |law| 2.0 * law.cdf(-t))
}

/// P values adjusted for their number by the step-down procedure of Holm (1979): calling those below 0.05 significant
/// errs in at least one of them with a probability of at most 5 %, whatever they have to do with each other.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&one, &other| p_values[one].total_cmp(&p_values[other]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut highest = 0.0_f64;
    for (rank, &at) in order.iter().enumerate() {
        highest = highest.max((p_values.len() - rank) as f64 * p_values[at]).min(1.0);
        adjusted[at] = highest;
    }
    adjusted
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
    let t = StudentsT::new(0.0, 1.0, n - 1.0).map_or(f64::NAN, |t| t.inverse_cdf(0.975));
    t * (variance(values, mean) / n).sqrt()
}

/// Of a sample of at least two.
fn variance(values: &[f64], mean: f64) -> f64 {
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
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

    /// The sleep data of Student (1908): t = -4.0621 with 9 degrees of freedom.
    #[test]
    fn the_paired_t_test_is_students_own() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        assert!((paired_p(&first, &second) - 0.002_833).abs() < 1e-6, "{}", paired_p(&first, &second));
        assert_eq!(paired_p(&first, &second), paired_p(&second, &first));
    }

    /// Episodes of very different scale: the ratio is sure where the difference is not.
    #[test]
    fn a_ratio_is_judged_like_its_interval_and_in_both_directions_alike() {
        let base = [1.0, 100.0, 10.0, 1000.0, 3.0];
        let values = [1.3, 118.0, 13.0, 1230.0, 3.4];
        let p = ratio_p(&values, &base);
        assert!((p - ratio_p(&base, &values)).abs() < 1e-12);
        assert!(p < 1e-3 && paired_p(&values, &base) > 0.2, "{p}");
        assert!(paired_ratio(&values, &base).ci95[0] > 1.0);
        let near = [1.2, 150.0, 8.0, 960.0, 4.0];
        assert!(ratio_p(&near, &base) > 0.05 && paired_ratio(&near, &base).ci95[1] > 1.0);
        assert_eq!((ratio_p(&base, &base), ratio_p(&[0.0, 0.0], &[0.0, 0.0])), (1.0, 1.0));
        assert_eq!(ratio_p(&[0.0, 0.0, 0.0], &[1.0, 1.0, 1.0]), 0.0);
    }

    #[test]
    fn what_cannot_be_told_apart_has_p_one_and_a_constant_difference_zero() {
        assert_eq!(paired_p(&[1.0], &[2.0]), 1.0);
        assert_eq!(paired_p(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), 1.0);
        assert_eq!(paired_p(&[1.0, 2.0, 3.0], &[2.0, 3.0, 4.0]), 0.0);
    }

    /// Four p values that many textbooks adjust.
    #[test]
    fn holm_steps_down() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(
            adjusted.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-12),
            "{adjusted:?}"
        );
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn nothing_to_divide_by_is_said() {
        assert_eq!(paired_ratio(&[0.0], &[0.0]).value, 1.0);
        assert!(paired_ratio(&[1.0], &[0.0]).value.is_infinite());
    }
}
