//! Worked examples and laws of max-min fairness.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use smallvec::SmallVec;

use super::fair::{Demand, rates};
use super::link::{LinkId, Path};

fn path(links: &[u32]) -> Path {
    links.iter().map(|&link| LinkId(link)).collect()
}

fn fill(capacities: &[f64], demands: &[(Path, f64)]) -> Vec<f64> {
    let demands: Vec<Demand<'_>> =
        demands.iter().map(|(path, limit)| Demand { path, limit: *limit }).collect();
    rates(|link| capacities[link.index()], &demands)
}

const ANY: f64 = f64::INFINITY;

#[test]
fn a_transfer_that_is_slowed_elsewhere_leaves_its_share_to_others() {
    // Bertsekas and Gallager: one passes both links, one each of them.
    let demands = [(path(&[0, 1]), ANY), (path(&[0]), ANY), (path(&[1]), ANY)];
    assert_eq!(fill(&[10.0, 40.0], &demands), [5.0, 5.0, 35.0]);
}

#[test]
fn a_limited_transfer_leaves_the_rest_to_others() {
    let demands = [(path(&[0]), 2.0), (path(&[0]), ANY), (path(&[0]), ANY)];
    assert_eq!(fill(&[12.0], &demands), [2.0, 5.0, 5.0]);
    assert!(fill(&[12.0], &[]).is_empty());
}

fn demands() -> impl Strategy<Value = (Vec<f64>, Vec<(Path, f64)>)> {
    let limit = prop_oneof![3 => Just(ANY), 1 => 0.01..100.0];
    let links = btree_set(0..6_u32, 1..5).prop_map(|links| links.into_iter().map(LinkId).collect());
    (vec(0.1..1000.0, 6), vec((links.prop_map(|links: SmallVec<[LinkId; 4]>| links), limit), 1..30))
}

proptest! {
    /// No link is over-committed, and no rate could rise without lowering one that is no higher: each transfer has
    /// its limit, or a full link on which none is faster.
    #[test]
    fn rates_are_max_min_fair((capacities, demands) in demands()) {
        let rates = fill(&capacities, &demands);
        let on = |link: LinkId| {
            demands.iter().zip(&rates).filter(move |((path, _), _)| path.contains(&link)).map(|(_, rate)| *rate)
        };
        for (at, capacity) in capacities.iter().enumerate() {
            prop_assert!(on(LinkId(at as u32)).sum::<f64>() <= capacity * (1.0 + 1e-9));
        }
        for ((path, limit), rate) in demands.iter().zip(&rates) {
            prop_assert!(*rate > 0.0 && rate <= limit);
            let bottleneck = |link: &LinkId| {
                let full = on(*link).sum::<f64>() >= capacities[link.index()] * (1.0 - 1e-9);
                full && on(*link).all(|other| other <= rate * (1.0 + 1e-9))
            };
            prop_assert!(rate == limit || path.iter().any(bottleneck), "{rate} of {limit}");
        }
    }
}
