//! What each of several decisions would cost: labels for a learner.

use rand::Rng;
use yardmaster_env::sim::{Future, Simulator};
use yardmaster_env::spec::Scenario;
use yardmaster_env::view::{Decision, View};

use super::futures::{Draw, Futures, generator};
use super::roll_out;
use crate::policy::Policy;

/// Tries decisions on imagined futures that they share, as [`super::Search`] does, and tells the costs instead of
/// choosing. It knows what a live scheduler knows, so that what it prefers can be learned from what a policy is shown.
#[derive(Clone)]
pub struct Teacher {
    futures: Futures,
    count: usize,
    horizon: usize,
}

impl Teacher {
    /// For decisions in this scenario, with so many futures of so many arrivals.
    pub fn new(scenario: &Scenario, count: usize, horizon: usize) -> Teacher {
        Teacher { futures: Futures::of(scenario), count, horizon }
    }

    /// The mean cost of each decision over the futures, if `tail` decides all that follows: (decisions), `None` for one
    /// that turns out illegal. `None` as a whole where nobody can look ahead.
    pub fn costs(
        &self,
        view: &View<'_>,
        decisions: &[Decision],
        tail: &mut dyn FnMut() -> Box<dyn Policy>,
        seed: u64,
    ) -> Option<Vec<Option<f64>>> {
        let outlook = view.outlook?;
        let mut sums = vec![Some(0.0); decisions.len()];
        for number in 0..self.count {
            let mut random = generator(seed, 0, number as u64);
            let Draw { episode, since, arrivals } = self.futures.draw(view, self.horizon, &mut random);
            let future =
                Future { episode: episode.as_deref(), since, arrivals: &arrivals, seed: random.next_u64() };
            let start: Simulator = outlook.imagine(&future);
            for (sum, decision) in sums.iter_mut().zip(decisions) {
                let Some(so_far) = *sum else { continue };
                let cost = roll_out(start.clone(), decision.clone(), &mut *tail());
                *sum = cost.map(|cost| so_far + cost / self.count as f64);
            }
        }
        Some(sums)
    }
}
