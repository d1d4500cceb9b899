//! Estimates that are corrected by how wrong users were.

use std::sync::Arc;

use yardmaster_env::job::{Job, Truth};
use yardmaster_env::rules::Rules;
use yardmaster_env::sim::Simulator;
use yardmaster_env::units::{JobId, Span};

use crate::script::*;

/// Three jobs of user 7 claim 10 s and take 40 s. Of the logarithm, the spreads are 0.5 for everyone, 1 for users, 1 for
/// models of a user and 0.3 for jobs: what is to be learned has the variance 0.25 + 1 + 1 = 2.25, and three jobs tell it
/// with 0.09 / 3 = 0.03. So it is ln 4 x 2.25 / (2.25 + 0.03) = ln 4 x 75 / 76, and of another user ln 4 x 0.25 / 2.28 =
/// ln 4 x 25 / 228.
#[test]
fn a_claim_is_corrected_by_those_before_it() {
    let arrivals = [(0, 7), (0, 7), (0, 7), (119, 7), (120, 7), (120, 8)];
    let jobs = arrivals.map(|(arrival, user)| Job { user, ..job(arrival, 10, 1) });
    let mut workload = workload(jobs.to_vec());
    workload.truths = vec![Truth::Duration(Span::from_secs(40)); 6];
    let rules = Rules { calibrated: true, ..Rules::default() };
    let world = world(&[("v100", 1, 0)], workload).with_rules(rules).unwrap();
    let mut sim = Simulator::new(Arc::new(world));
    assert_eq!(sim.next_decision().unwrap().estimate(JobId(0), 0), Some(span(10.0)));
    follow(&mut sim, &[(0.0, start(0, 0)), (40.0, start(1, 0)), (80.0, start(2, 0))]);
    assert_eq!(sim.next_decision().unwrap().now, at(120.0));
    let estimate = |job| sim.view().estimate(JobId(job), 0).unwrap().as_secs_f64();
    // 10 s x 4^(75/76) and 10 s x 4^(25/228)
    near(estimate(4), 39.276_985_586);
    near(estimate(5), 11.641_671_756);
    // What had arrived before the third had ended knows of two jobs: 4^(2.25 / (2.25 + 0.045)) = 4^(50/51).
    near(estimate(3), 38.927_354_801);
    follow(&mut sim, &[(120.0, start(4, 0))]);
    assert_eq!(sim.view().running[0].expected_finish, at(120.0) + Span(39_276_985_586));
    follow(&mut sim, &[(160.0, start(3, 0)), (200.0, start(5, 0))]);
    finish(&mut sim);
    // The truth is as it was.
    assert_eq!(ends(&sim)[4], at(160.0));
}
