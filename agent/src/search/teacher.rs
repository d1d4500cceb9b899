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

    /// For decisions of which no scenario is known: futures are more of what has been seen.
    pub fn of_seen(count: usize, horizon: usize) -> Teacher {
        Teacher { futures: Futures::Seen, count, horizon }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use yardmaster_env::candidates::Candidates;
    use yardmaster_env::spec::{Split, builtin};
    use yardmaster_env::units::JobId;

    use super::*;
    use crate::registry;

    /// What all actions of some decisions cost more than what the rule does.
    fn taught(seed: u64) -> Vec<Vec<Option<(f64, f64)>>> {
        let scenario = builtin("tiny").unwrap();
        let teacher = Teacher::new(&scenario, 4, 10);
        let mut sim = Simulator::new(Arc::new(scenario.world(Split::Validation.seed(3, 1)).unwrap()));
        let mut rule = registry::build("mct").unwrap();
        let (mut candidates, mut found) = (Candidates::default(), Vec::new());
        while let Some(view) = sim.next_decision() {
            let own = rule.decide(&view);
            candidates.fill(&view);
            let others = (0..candidates.actions()).filter_map(|action| candidates.decision(&view, action));
            let illegal = Decision::Start { job: JobId(0), nodes: Default::default(), batch: 1, variant: 0 };
            let decisions: Vec<Decision> = [own.clone(), illegal].into_iter().chain(others).collect();
            let mut tail = || rule.fork().unwrap();
            found.push(teacher.regrets(&view, &decisions, &mut tail, seed).unwrap());
            sim.apply(own).unwrap();
        }
        found
    }

    #[test]
    fn regrets_are_relative_to_the_first_and_illegal_ones_have_none() {
        let taught = taught(7);
        assert!(taught.len() > 10);
        for regrets in &taught {
            assert_eq!(regrets[0], Some((0.0, 0.0)));
            assert_eq!(regrets[1], None);
            assert!(regrets[2..].iter().flatten().all(|(mean, error)| mean.is_finite() && *error >= 0.0));
        }
        let others = || taught.iter().flat_map(|regrets| regrets[2..].iter().flatten());
        let mean = others().map(|(mean, _)| mean).sum::<f64>() / others().count() as f64;
        assert!(mean > 0.0, "any action is as good as the rule's, by {mean}");
    }

    #[test]
    fn one_seed_gives_one_lesson() {
        assert_eq!(taught(7), taught(7));
        assert_ne!(taught(7), taught(8));
    }
}
