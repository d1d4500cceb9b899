//! The rate that a cluster can just sustain for a mix of jobs.

use microlp::{ComparisonOp, OptimizationDirection, Problem};

use super::error::WorkloadError;
use crate::cluster::Cluster;
use crate::units::KindId;

/// One sort of job within a mix.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Its share of the jobs; shares need not add up to 1.
    pub share: f64,
    /// Devices times seconds that such a job takes on each kind on which it runs.
    pub device_seconds: Vec<(KindId, f64)>,
}

/// Jobs per second of this mix that the cluster can just sustain, if work may be split over kinds at will and
/// every device is always busy: the largest `lambda` with, for each sort `j` and each kind `k` in the
/// cluster,
///
/// `sum_k x[j][k] = lambda * share[j]` and `sum_j x[j][k] * device_seconds[j][k] <= devices[k]`.
///
/// # Errors
/// No demand at all, one that runs on no kind of the cluster, a number that is not above 0, or a failure of
/// the solver.
pub fn capacity(cluster: &Cluster, demands: &[Demand]) -> Result<f64, WorkloadError> {
    let total: f64 = demands.iter().map(|demand| demand.share).sum();
    let figures =
        || demands.iter().flat_map(|demand| demand.device_seconds.iter().map(|(_, seconds)| *seconds));
    let usable = |figure: f64| figure.is_finite() && figure > 0.0;
    if !usable(total) || demands.iter().any(|demand| demand.share < 0.0) || !figures().all(usable) {
        return Err(WorkloadError::Capacity("shares and device seconds must be numbers above 0".into()));
    }
    // In units of the mean demand all coefficients are near 1, which the solver's tolerances expect.
    let unit = figures().sum::<f64>() / figures().count() as f64;
    let mut problem = Problem::new(OptimizationDirection::Maximize);
    let lambda = problem.add_var(1.0, (0.0, f64::INFINITY));
    let mut used: Vec<Vec<(microlp::Variable, f64)>> = vec![Vec::new(); cluster.kinds().len()];
    for demand in demands.iter().filter(|demand| demand.share > 0.0) {
        let mut balance = vec![(lambda, -demand.share / total)];
        for (kind, seconds) in &demand.device_seconds {
            if let Ok(at) = cluster.kinds().binary_search(kind) {
                let rate = problem.add_var(0.0, (0.0, f64::INFINITY));
                balance.push((rate, 1.0));
                used[at].push((rate, seconds / unit));
            }
        }
        problem.add_constraint(balance.as_slice(), ComparisonOp::Eq, 0.0);
    }
    for (kind, terms) in cluster.kinds().iter().zip(&used) {
        problem.add_constraint(terms.as_slice(), ComparisonOp::Le, f64::from(cluster.devices_of(*kind)));
    }
    let failed = |what: String| WorkloadError::Capacity(what);
    let outcome = problem.solve().map_err(|error| failed(error.to_string()))?;
    let rate = outcome.solution().map_or(0.0, |solution| solution.var_value(lambda)) / unit;
    if usable(rate) { Ok(rate) } else { Err(failed("some job of the mix runs on no device of it".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Node;

    const A: KindId = KindId(0);
    const B: KindId = KindId(1);

    fn cluster() -> Cluster {
        let node = |name: &str, kind, devices| Node {
            name: name.into(),
            kind,
            devices,
            procs_per_device: 1,
            rack: 0,
        };
        Cluster::new(vec![node("a", A, 2), node("b", B, 4)])
    }

    fn demand(share: f64, device_seconds: &[(KindId, f64)]) -> Demand {
        Demand { share, device_seconds: device_seconds.to_vec() }
    }

    #[track_caller]
    fn check(demands: &[Demand], expected: f64) {
        let rate = capacity(&cluster(), demands).unwrap();
        assert!((rate / expected - 1.0).abs() < 1e-9, "{rate}, expected {expected}");
    }

    #[test]
    fn one_sort_uses_all_devices() {
        check(&[demand(1.0, &[(A, 100.0), (B, 400.0)])], 2.0 / 100.0 + 4.0 / 400.0);
    }

    #[test]
    fn each_sort_goes_where_it_is_comparatively_fast() {
        // Each on its own kind: 0.02 and 0.02 a second.
        check(&[demand(0.5, &[(A, 100.0), (B, 1e6)]), demand(0.5, &[(A, 1e6), (B, 200.0)])], 0.04);
        // The second sort runs on B alone and has three quarters of the jobs: 4 / 200 = 0.75 lambda.
        check(&[demand(1.0, &[(A, 1.0)]), demand(3.0, &[(B, 200.0)])], 4.0 / 200.0 / 0.75);
    }

    #[test]
    fn jobs_that_run_nowhere_are_refused() {
        assert!(capacity(&cluster(), &[demand(1.0, &[(KindId(7), 1.0)])]).is_err());
        assert!(capacity(&cluster(), &[demand(1.0, &[(A, 1.0)]), demand(1.0, &[])]).is_err());
        assert!(capacity(&cluster(), &[]).is_err());
        assert!(capacity(&cluster(), &[demand(1.0, &[(A, f64::NAN)])]).is_err());
    }
}
