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

    /// What each decision costs more than the first, over the futures and with `tail` deciding all that follows: mean and
    /// standard error (decisions); `None` for one that turns out illegal. `None` as a whole where nobody can look ahead
    /// or the first is illegal.
    pub fn regrets(
        &self,
        view: &View<'_>,
        decisions: &[Decision],
        tail: &mut dyn FnMut() -> Box<dyn Policy>,
        seed: u64,
    ) -> Option<Vec<Option<(f64, f64)>>> {
        let outlook = view.outlook?;
        let mut costs: Vec<Option<Vec<f64>>> = vec![Some(Vec::with_capacity(self.count)); decisions.len()];
        for number in 0..self.count {
            let mut random = generator(seed, 0, number as u64);
            let Draw { episode, since, arrivals } = self.futures.draw(view, self.horizon, &mut random);
            let future =
                Future { episode: episode.as_deref(), since, arrivals: &arrivals, seed: random.next_u64() };
            let start: Simulator = outlook.imagine(&future);
            for (costs, decision) in costs.iter_mut().zip(decisions) {
                let Some(so_far) = costs else { continue };
                match roll_out(start.clone(), decision.clone(), &mut *tail()) {
                    Some(cost) => so_far.push(cost),
                    None => *costs = None,
                }
            }
        }
        let own = costs.first()?.clone()?;
        Some(costs.iter().map(|costs| Some(difference(costs.as_ref()?, &own))).collect())
    }
}

/// Mean of the paired differences, and its standard error.
fn difference(costs: &[f64], own: &[f64]) -> (f64, f64) {
    let count = costs.len().max(1) as f64;
    let gaps = || costs.iter().zip(own).map(|(cost, own)| cost - own);
    let mean = gaps().sum::<f64>() / count;
    let square = gaps().map(|gap| (gap - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, (square / count).sqrt())
}
