//! How much is given away against how much has been asked for.

/// Allocated against arrived, by whole percents of the cluster's GPUs.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Percent of the GPUs that are allocated when as many percent as the index have arrived; `None` where no
    /// arrival is near.
    pub allocated: Vec<Option<f64>>,
}

impl Curve {
    /// The curve of a run. A step is the thousandths of GPUs that had arrived and were allocated after a pod; a point
    /// is the mean of the steps that round to its percent or, without any, of those within one percent, as in the
    /// published analysis.
    pub fn of(steps: &[(u64, u64)], total_gpu_milli: u64, percents: usize) -> Curve {
        let percent = |milli: u64| 100.0 * milli as f64 / total_gpu_milli as f64;
        let mut sums = vec![(0.0, 0_u32); percents + 1];
        for &(arrived, allocated) in steps {
            let at = percent(arrived).round_ties_even() as usize;
            if let Some((sum, count)) = sums.get_mut(at) {
                *sum += percent(allocated);
                *count += 1;
            }
        }
        let near = |at: usize| {
            let window = if sums[at].1 > 0 { at..=at } else { at.saturating_sub(1)..=(at + 1).min(percents) };
            let (sum, count) = sums[window].iter().fold((0.0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
            (count > 0).then(|| sum / f64::from(count))
        };
        Curve { allocated: (0..=percents).map(near).collect() }
    }

    /// The last point that there is, in percent; 0 without any.
    pub fn end(&self) -> f64 {
        self.allocated.iter().rev().find_map(|point| *point).unwrap_or_default()
    }
}

/// The mean of several curves, point by point, over those that have the point.
pub fn mean(curves: &[Curve]) -> Curve {
    let percents = curves.iter().map(|curve| curve.allocated.len()).max().unwrap_or_default();
    let point = |at: usize| {
        let known: Vec<f64> =
            curves.iter().filter_map(|curve| curve.allocated.get(at).copied().flatten()).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    Curve { allocated: (0..percents).map(point).collect() }
}
