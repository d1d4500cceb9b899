//! Counts of numbers by intervals.

use crate::gantt::scale::nice;

/// Most intervals of one histogram, whatever the values are.
const MAX_BINS: usize = 2000;

/// How many numbers lie in each of several adjoining intervals.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Borders of the intervals, ascending: one more than there are intervals.
    pub edges: Vec<f64>,
    /// Numbers in `[edges[i], edges[i + 1])`; the last interval includes its upper border.
    pub counts: Vec<usize>,
    /// Numbers outside all intervals, NaN among them.
    pub outside: usize,
}

impl Histogram {
    /// Counts the values between these borders, at least two.
    pub fn new(values: &[f64], edges: Vec<f64>) -> Histogram {
        let bins = edges.len().saturating_sub(1);
        let (mut counts, mut outside) = (vec![0; bins], 0);
        for &value in values {
            let at = edges.partition_point(|&edge| edge <= value);
            let last = at == edges.len() && edges.last() == Some(&value);
            match (if last { bins } else { at }).checked_sub(1).and_then(|at| counts.get_mut(at)) {
                Some(count) if !value.is_nan() => *count += 1,
                _ => outside += 1,
            }
        }
        Histogram { edges, counts, outside }
    }

    /// The intervals with their counts.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64, usize)> + '_ {
        self.edges.windows(2).zip(&self.counts).map(|(pair, &count)| (pair[0], pair[1], count))
    }
}

/// Borders from 0 to `high` in steps of `unit` times a round number, at most `bins` intervals of them.
pub fn even(high: f64, unit: f64, bins: usize) -> Vec<f64> {
    let bins = bins.clamp(1, MAX_BINS);
    let high = if high.is_finite() { high.max(0.0) } else { 0.0 };
    let step = if high > 0.0 { unit * nice(high / unit / bins as f64) } else { unit };
    let steps = ((high / step).ceil() as usize).clamp(1, bins);
    (0..=steps).map(|at| at as f64 * step).collect()
}

/// Borders from below `low` to above `high`: in each decade those at these multiples of its power of ten, which
/// ascend from 1 and stay below 10. Both are positive.
pub fn decades(low: f64, high: f64, multiples: &[f64]) -> Vec<f64> {
    let decade = |value: f64| libm::floor(libm::log10(value.clamp(1e-12, 1e18))) as i32;
    let all: Vec<f64> = (decade(low)..=decade(high) + 1)
        .flat_map(|power| multiples.iter().map(move |&multiple| multiple * libm::pow(10.0, f64::from(power))))
        .collect();
    // Borders that no value reaches are left off.
    let first = all.partition_point(|&edge| edge <= low).saturating_sub(1);
    let last = all.partition_point(|&edge| edge <= high).clamp(first + 1, all.len() - 1);
    all[first..=last].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_once() {
        let histogram = Histogram::new(&[0.0, 0.5, 1.0, 2.0, -1.0, 2.1, f64::NAN], vec![0.0, 1.0, 2.0]);
        assert_eq!((histogram.counts.as_slice(), histogram.outside), (&[2, 2][..], 3));
        assert_eq!(histogram.bins().next(), Some((0.0, 1.0, 2)));
    }

    #[test]
    fn borders_are_round_and_few() {
        assert_eq!(even(95.0, 1.0, 10), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0]);
        assert_eq!(even(0.0, 60.0, 10), [0.0, 60.0]);
        assert_eq!(even(f64::INFINITY, 1.0, 0), [0.0, 1.0]);
        assert_eq!(decades(3.0, 40.0, &[1.0, 2.0, 5.0]), [2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(decades(1.0, 1.0, &[1.0]), [1.0, 10.0]);
        assert_eq!(decades(0.5, 0.5, &[1.0, 5.0]), [0.5, 1.0]);
    }

    #[test]
    fn every_positive_value_is_inside() {
        let values = [1e-9, 1e-3, 0.3, 7.0, 1e4, 3.7e9, 1.8e10];
        for low in values {
            for high in values.into_iter().filter(|high| *high >= low) {
                let histogram = Histogram::new(&[low, high], decades(low, high, &[1.0, 3.0]));
                assert_eq!(histogram.outside, 0, "{low} {high} {:?}", histogram.edges);
            }
        }
    }
}
