//! Times in buckets that are wider the longer the times: any quantile to one part in 128.

/// Buckets of one power of two.
const PARTS: u64 = 128;

/// Counts of nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: f64,
}

/// The bucket of a value: exact below [`PARTS`], then so many to each power of two.
fn bucket(value: u64) -> usize {
    let shift = (64 - value.leading_zeros()).saturating_sub(PARTS.trailing_zeros() + 1);
    (u64::from(shift) * PARTS + (value >> shift)) as usize
}

/// The largest value of a bucket.
fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / PARTS).saturating_sub(1);
    ((bucket - shift * PARTS) << shift) | ((1 << shift) - 1)
}

impl Histogram {
    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        let at = bucket(value);
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
        self.total += 1;
        self.sum += value as f64;
    }

    /// Adds all values of another.
    pub fn add(&mut self, other: &Histogram) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
        self.total += other.total;
        self.sum += other.sum;
    }

    /// The mean, 0 of nothing.
    pub fn mean(&self) -> f64 {
        self.sum / self.total.max(1) as f64
    }

    /// The value that a share of all does not exceed; 0 of nothing.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map_or(0, highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_one_after_the_other_and_narrow() {
        let mut last = 0;
        for value in (0..20_000).chain((20_000..1 << 40).step_by(1_234_567_891)).chain([u64::MAX]) {
            let at = bucket(value);
            assert!(at >= last && highest(at) >= value, "{value}");
            assert!(highest(at) - value <= value / PARTS, "{value} is counted as {}", highest(at));
            last = at;
        }
        assert_eq!(bucket(255) + 1, bucket(256));
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        (1..=500).for_each(|value| one.record(value * 1000));
        (501..=1000).for_each(|value| other.record(value * 1000));
        one.add(&other);
        for (share, value) in [(0.5, 500e3), (0.99, 990e3), (1.0, 1000e3)] {
            let ratio = one.quantile(share) as f64 / value;
            assert!((1.0..1.01).contains(&ratio), "{share}: {ratio}");
        }
        assert_eq!(one.mean(), 500_500.0);
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }
}
