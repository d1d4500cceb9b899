//! Whether some were served at the expense of others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::{SLOWDOWN_FLOOR_S, mean, percentile};
use crate::sim::World;

/// How evenly service was shared out.
///
/// The slowdown of a job here is its completion time / the shortest time in which it could have been done on the empty
/// cluster (a pipeline: its stages one after another), and at least 1. Jobs shorter than 10 s count as 10 s, requests
/// as they are.
///
/// Finish-time fairness rho (Mahajan et al., Themis, NSDI'20) is a job's completion time / the time it would have taken
/// alone on its share of the cluster; above 1 it would have been better off alone. N is the mean number of unfinished
/// jobs (a pipeline being one) while the job was in the system, itself included, and the share is 1/N of the devices of
/// each kind. There the job runs on the kind where it ends first; if its gang is larger than the share, the share counts
/// as the whole kind for that part of the time, so that it takes gang x N / devices times as long. Jobs shorter than 10 s
/// on their share count as 10 s. Requests have no rho: they are not run in shares but together, in batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fairness {
    /// Users with a finished job.
    pub users: usize,
    /// Jain's index of the users' mean slowdowns; 1 is even.
    pub jain_users_slowdown: f64,
    /// Jain's index of the jobs' slowdowns.
    pub jain_jobs_slowdown: f64,
    /// Jobs that have a rho.
    pub rho_jobs: usize,
    /// Mean of rho; 0 without jobs that have one.
    pub mean_rho: f64,
    /// 95th percentile of rho (nearest rank).
    pub p95_rho: f64,
    /// The largest.
    pub max_rho: f64,
}

impl Default for Fairness {
    /// Nobody was served.
    fn default() -> Fairness {
        let (jain_users_slowdown, jain_jobs_slowdown) = (1.0, 1.0);
        let (users, rho_jobs, mean_rho, p95_rho, max_rho) = Default::default();
        Fairness { users, jain_users_slowdown, jain_jobs_slowdown, rho_jobs, mean_rho, p95_rho, max_rho }
    }
}

impl Fairness {
    pub(super) fn of(done: &[Outcome<'_>], world: &World) -> Fairness {
        let slowdowns: Vec<f64> = done.iter().map(|outcome| slowdown(outcome, world)).collect();
        let mut by_user: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for (outcome, slowdown) in done.iter().zip(&slowdowns) {
            by_user.entry(outcome.job.user).or_default().push(*slowdown);
        }
        let users: Vec<f64> = by_user.values().map(|slowdowns| mean(slowdowns)).collect();
        let mut rhos = rhos(done, world);
        rhos.sort_by(f64::total_cmp);
        Fairness {
            users: users.len(),
            jain_users_slowdown: jain(&users),
            jain_jobs_slowdown: jain(&slowdowns),
            rho_jobs: rhos.len(),
            mean_rho: mean(&rhos),
            p95_rho: percentile(&rhos, 0.95),
            max_rho: percentile(&rhos, 1.0),
        }
    }
}

/// Jain's index (Jain, Chiu and Hawe 1984): (sum x)^2 / (n sum x^2), from 1/n where one has all to 1 where all have the
/// same; 1 of nothing.
pub fn jain(values: &[f64]) -> f64 {
    let (sum, squares) = values.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    if squares > 0.0 { sum * sum / (values.len() as f64 * squares) } else { 1.0 }
}

fn slowdown(outcome: &Outcome<'_>, world: &World) -> f64 {
    let floor = if outcome.job.request_model().is_some() { 1e-9 } else { SLOWDOWN_FLOOR_S };
    (outcome.completion_s / outcome.isolated_s(world, 1.0).max(floor)).max(1.0)
}

/// The rho of each job, requests apart.
fn rhos(done: &[Outcome<'_>], world: &World) -> Vec<f64> {
    let jobs: Vec<&Outcome<'_>> =
        done.iter().filter(|outcome| outcome.job.request_model().is_none()).collect();
    let Some(first) = jobs.iter().map(|outcome| outcome.submitted).min() else { return Vec::new() };
    let stay = |outcome: &&Outcome<'_>| {
        [outcome.submitted, outcome.finish].map(|moment| moment.since(first).as_secs_f64())
    };
    let stays: Vec<[f64; 2]> = jobs.iter().map(stay).collect();
    let shares = populations(&stays).into_iter().zip(&jobs);
    let isolated = |(users, outcome): (f64, &&Outcome<'_>)| {
        outcome.completion_s / outcome.isolated_s(world, users).max(SLOWDOWN_FLOOR_S)
    };
    shares.map(isolated).collect()
}

/// For each stay, the mean number of stays that go on during it, itself included.
fn populations(stays: &[[f64; 2]]) -> Vec<f64> {
    let [came, left] = [0, 1].map(|at| Ramp::new(stays.iter().map(|stay| stay[at]).collect()));
    let area = |time| came.area(time) - left.area(time);
    let one = |&[from, to]: &[f64; 2]| if to > from { (area(to) - area(from)) / (to - from) } else { 1.0 };
    stays.iter().map(|stay| one(stay).max(1.0)).collect()
}

/// Moments, and the integral of how many have passed.
struct Ramp {
    sorted: Vec<f64>,
    /// Sum of all moments before each.
    sums: Vec<f64>,
}

impl Ramp {
    fn new(mut sorted: Vec<f64>) -> Ramp {
        sorted.sort_by(f64::total_cmp);
        let mut sums = vec![0.0];
        sums.extend(sorted.iter().scan(0.0, |sum, moment| {
            *sum += moment;
            Some(*sum)
        }));
        Ramp { sorted, sums }
    }

    fn area(&self, time: f64) -> f64 {
        let passed = self.sorted.partition_point(|moment| *moment < time);
        passed as f64 * time - self.sums[passed]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn jain_of_equals_is_one_and_of_a_single_winner_one_in_n() {
        assert_eq!(jain(&[3.0, 3.0, 3.0]), 1.0);
        assert_eq!(jain(&[0.0, 5.0, 0.0, 0.0]), 0.25);
        assert_eq!(jain(&[1.0, 3.0]), 0.8);
        assert_eq!((jain(&[]), jain(&[0.0])), (1.0, 1.0));
    }

    /// `a` from 0 to 10 s, `b` from 4 to 8 s, `c` at 10 s for no time.
    #[test]
    fn the_population_is_averaged_over_a_stay() {
        assert_eq!(populations(&[[0.0, 10.0], [4.0, 8.0], [10.0, 10.0]]), [1.4, 2.0, 1.0]);
    }

    proptest! {
        #[test]
        fn jain_is_between_one_in_n_and_one(values in proptest::collection::vec(0.0..1e6, 1..50)) {
            let index = jain(&values);
            prop_assert!((1.0 / values.len() as f64 - 1e-12..=1.0 + 1e-12).contains(&index), "{}", index);
        }

        #[test]
        fn populations_are_those_counted_one_by_one(stays in proptest::collection::vec((0..50_u32, 0..50_u32), 1..30)) {
            let stays: Vec<[f64; 2]> =
                stays.iter().map(|&(from, length)| [f64::from(from), f64::from(from + length)]).collect();
            for (&[from, to], population) in stays.iter().zip(populations(&stays)) {
                let overlap: f64 =
                    stays.iter().map(|other| (to.min(other[1]) - from.max(other[0])).max(0.0)).sum();
                let expected = if to > from { overlap / (to - from) } else { 1.0 };
                prop_assert!((population - expected).abs() < 1e-9, "{} {}", population, expected);
            }
        }
    }
}
