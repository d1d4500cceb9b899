//! What a second of each kind of device is worth to a mix of jobs.

use super::programme::{Goal, Method, Programme, ProgrammeError, Relation, Var};

/// Prices of packing a mix of jobs onto kinds of devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// By kind: the price of a device for a second. What all devices together earn in a second is `rate`.
    pub kinds: Vec<f64>,
    /// Jobs per second that the devices can just sustain.
    pub rate: f64,
}

/// The dual prices of packing a mix of jobs onto kinds: what one more device of a kind adds to the rate that can be
/// sustained.
///
/// `devices` and the prices are by kind; `shares` are the parts of the mix, which need not add up to 1; `device_seconds` is
/// (jobs, kinds), `None` where a job does not run. The programme is the dual of `yardmaster_env::workload::capacity`:
///
/// minimise `sum_k devices[k] * w[k]` where `w[k] * device_seconds[j][k] >= p[j]` and `sum_j share[j] * p[j] = 1`,
///
/// `p` being what a job pays on the kinds that are worth it.
///
/// # Errors
/// No job has a share, one runs nowhere, or the solver fails.
pub fn capacity_prices(
    devices: &[f64],
    shares: &[f64],
    device_seconds: &[Vec<Option<f64>>],
) -> Result<Prices, ProgrammeError> {
    let all: f64 = shares.iter().sum();
    let times = || device_seconds.iter().flatten().flatten();
    // In units of the mean time all factors are near 1.
    let unit = times().sum::<f64>() / times().count().max(1) as f64;
    let mut programme = Programme::new(Goal::Minimise);
    let kinds: Vec<Var> =
        devices.iter().map(|&devices| programme.add(devices, (0.0, f64::INFINITY))).collect();
    let mut paid = Vec::new();
    for (&share, times) in shares.iter().zip(device_seconds).filter(|(share, _)| **share > 0.0) {
        let most = if times.iter().all(Option::is_none) { 0.0 } else { f64::INFINITY };
        let pays = programme.add(0.0, (0.0, most));
        paid.push((pays, share / all));
        for (&kind, seconds) in kinds.iter().zip(times).filter_map(|(kind, time)| Some((kind, (*time)?))) {
            programme.constrain(vec![(kind, seconds / unit), (pays, -1.0)], Relation::AtLeast, 0.0);
        }
    }
    programme.constrain(paid, Relation::Equal, 1.0);
    let optimum = programme.solve(Method::Interior)?;
    let price = |&kind: &Var| optimum.value(kind) / unit;
    Ok(Prices { kinds: kinds.iter().map(price).collect(), rate: optimum.objective / unit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(devices: &[f64], shares: &[f64], times: &[Vec<Option<f64>>], kinds: &[f64]) {
        let prices = capacity_prices(devices, shares, times).unwrap();
        let near = prices.kinds.iter().zip(kinds).all(|(one, other)| (one - other).abs() < 1e-6 * other);
        assert!(near && prices.kinds.len() == kinds.len(), "{prices:?}, expected {kinds:?}");
        let earned: f64 = devices.iter().zip(kinds).map(|(devices, price)| devices * price).sum();
        assert!((prices.rate / earned - 1.0).abs() < 1e-6, "{prices:?}");
    }

    #[test]
    fn of_one_sort_of_job_a_kind_is_worth_its_speed() {
        check(&[2.0, 4.0], &[1.0], &[vec![Some(100.0), Some(400.0)]], &[1.0 / 100.0, 1.0 / 400.0]);
    }

    /// Each sort has a kind of its own, 2 devices of 100 s and 4 of 200 s for half of the jobs each: both kinds are full at
    /// 0.04 a second. The first sort could use the second kind at 150 s, which makes it worth 2/3 of the first there.
    #[test]
    fn a_kind_that_others_could_use_has_a_higher_price() {
        let times = [vec![Some(100.0), Some(150.0)], vec![None, Some(200.0)]];
        // The first sort moves to the second kind: prices w with 100 w1 = 150 w2 = p1, 200 w2 = p2, p1 + p2 = 2.
        check(&[1.0, 8.0], &[1.0, 1.0], &times, &[3.0 / 350.0, 2.0 / 350.0]);
    }

    #[test]
    fn the_rate_is_the_capacity() {
        use yardmaster_env::cluster::{Cluster, Node};
        use yardmaster_env::units::KindId;
        use yardmaster_env::workload::{Demand, capacity};
        let node = |kind, devices| Node {
            name: format!("n{kind}"),
            kind: KindId(kind),
            devices,
            procs_per_device: 1,
            rack: 0,
        };
        let cluster = Cluster::new(vec![node(0, 3), node(1, 5)]);
        let times = [[120.0, 300.0], [90.0, 100.0], [500.0, 2000.0]];
        let shares = [0.5, 0.3, 0.2];
        let demand = |(share, times): (f64, [f64; 2])| Demand {
            share,
            device_seconds: vec![(KindId(0), times[0]), (KindId(1), times[1])],
        };
        let demands: Vec<Demand> = shares.into_iter().zip(times).map(demand).collect();
        let expected = capacity(&cluster, &demands).unwrap();
        let seconds: Vec<Vec<Option<f64>>> =
            times.iter().map(|times| times.iter().copied().map(Some).collect()).collect();
        let rate = capacity_prices(&[3.0, 5.0], &shares, &seconds).unwrap().rate;
        assert!((rate / expected - 1.0).abs() < 1e-6, "{rate}, expected {expected}");
    }

    #[test]
    fn a_job_that_runs_nowhere_has_no_price() {
        assert!(capacity_prices(&[1.0], &[1.0], &[vec![None]]).is_err());
    }
}
