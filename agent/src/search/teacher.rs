//! What each of several decisions would cost: labels for a learner.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_env::sim::{Future, Outlook, Simulator};
use yardmaster_env::spec::Scenario;
use yardmaster_env::view::{Decision, View};

use super::futures::{Draw, Futures, generator};
use super::roll_out;
use crate::policy::Policy;

/// Tries decisions on futures that they share, as [`super::Search`] does, and tells the costs instead of choosing.
///
/// It imagines what a live scheduler could imagine, so that what it prefers can be learned from what a policy is shown;
/// or it looks at what truly comes, once. That is luck in each single case, and in the mean over many cases exactly
/// what is to be expected: nothing that imagination gets wrong (bursts, sizes, failures) is in it.
#[derive(Clone)]
pub struct Teacher {
    /// How many futures are imagined; 0 for the true one.
    count: usize,
    futures: Futures,
    horizon: usize,
}

impl Teacher {
    /// For decisions in this scenario, with so many imagined futures of so many arrivals; with none of them the true
    /// future is looked at, as many arrivals ahead.
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
        for number in 0..self.count.max(1) {
            let start = self.future(view, outlook, generator(seed, 0, number as u64));
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

    /// One future to try decisions on.
    fn future(&self, view: &View<'_>, outlook: Outlook<'_>, mut random: Xoshiro256PlusPlus) -> Simulator {
        if self.count == 0 {
            return outlook.clairvoyant_for(self.horizon);
        }
        let Draw { episode, since, arrivals } = self.futures.draw(view, self.horizon, &mut random);
        outlook.imagine(&Future {
            episode: episode.as_deref(),
            since,
            arrivals: &arrivals,
            seed: random.next_u64(),
        })
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
    fn without_imagination_the_true_future_tells_the_cost() {
        let scenario = builtin("tiny").unwrap();
        let mut sim = Simulator::new(Arc::new(scenario.world(Split::Validation.seed(3, 2)).unwrap()));
        let mut rule = registry::build("mct").unwrap();
        let (mut candidates, mut cut_off) = (Candidates::default(), 0);
        while let Some(view) = sim.next_decision() {
            let own = rule.decide(&view);
            candidates.fill(&view);
            let others = (0..candidates.actions()).filter_map(|action| candidates.decision(&view, action));
            let decisions: Vec<Decision> = [own.clone()].into_iter().chain(others).collect();
            let taught = |horizon| {
                let teacher = Teacher::new(&scenario, 0, horizon);
                teacher.regrets(&view, &decisions, &mut || rule.fork().unwrap(), 1).unwrap()
            };
            let outlook = view.outlook.unwrap();
            let cost = |decision: &Decision| {
                roll_out(outlook.clairvoyant(), decision.clone(), &mut *rule.fork().unwrap()).unwrap()
            };
            let whole = taught(usize::MAX);
            for (decision, regret) in decisions.iter().zip(&whole) {
                let (mean, error) = regret.unwrap();
                let expected = cost(decision) - cost(&own);
                assert!((mean - expected).abs() <= 1e-9 * expected.abs().max(1.0) && error == 0.0);
            }
            cut_off += usize::from(taught(1) != whole);
            sim.apply(own).unwrap();
        }
        assert!(cut_off > 0, "a horizon of one arrival tells as much as all");
    }

    #[test]
    fn one_seed_gives_one_lesson() {
        assert_eq!(taught(7), taught(7));
        assert_ne!(taught(7), taught(8));
    }
}
