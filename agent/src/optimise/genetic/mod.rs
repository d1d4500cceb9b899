//! A genetic algorithm for a batch of jobs: in which order, and on which kind of device each.
//!
//! A plan is a permutation of the jobs and a kind for each (Braun et al., 2001, for the kinds; order crossover of
//! Davis, 1985, for the permutation). The first generation holds the plan of min-min, the shortest jobs first, and the
//! plan before, the rest is random; the best two of a generation live on (elitism), the others are children of parents
//! chosen by tournaments of two. Every draw comes from the generator that is handed in.

pub mod batch;
mod policy;

use rand::{Rng, RngExt};

pub use batch::{Batch, Goal, Item, Plan};
pub use policy::Genetic;

/// How long it searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Plans in a generation, at least 4.
    pub population: usize,
    /// Generations after the first.
    pub generations: usize,
}

/// Plans that live on unchanged.
const ELITE: usize = 2;

/// The best plan that is found, never worse than any of `known` or min-min.
pub fn search(batch: &Batch, goal: Goal, settings: Settings, known: &[Plan], rng: &mut impl Rng) -> Plan {
    let mut breeder = Breeder { batch, goal, rng };
    let mut plans = breeder.first(settings.population.max(4), known);
    for _ in 0..settings.generations {
        // Stable, so that equals stay in their order.
        plans.sort_by(|one, other| one.cost.total_cmp(&other.cost));
        let mut next: Vec<Plan> = plans[..ELITE].to_vec();
        while next.len() < plans.len() {
            let (one, other) = (breeder.parent(&plans), breeder.parent(&plans));
            next.push(breeder.child(&plans[one], &plans[other]));
        }
        plans = next;
    }
    let best = plans.into_iter().min_by(|one, other| one.cost.total_cmp(&other.cost));
    best.unwrap_or_else(|| batch.min_min(goal))
}

struct Breeder<'a, R> {
    batch: &'a Batch,
    goal: Goal,
    rng: &'a mut R,
}

impl<R: Rng> Breeder<'_, R> {
    fn first(&mut self, size: usize, known: &[Plan]) -> Vec<Plan> {
        let mut plans = vec![self.batch.min_min(self.goal)];
        plans.push(self.shortest_first(&plans[0].kinds.clone()));
        plans.extend(
            known
                .iter()
                .take(size - plans.len())
                .map(|plan| self.priced(plan.order.clone(), plan.kinds.clone())),
        );
        while plans.len() < size {
            let order = self.shuffled();
            let kinds = (0..self.batch.jobs.len()).map(|job| self.kind(job)).collect();
            plans.push(self.priced(order, kinds));
        }
        plans
    }

    fn shortest_first(&self, kinds: &[usize]) -> Plan {
        let mut order: Vec<usize> = (0..self.batch.jobs.len()).collect();
        let shortest: Vec<f64> = order.iter().map(|&job| self.batch.shortest_s(job)).collect();
        order.sort_by(|&one, &other| shortest[one].total_cmp(&shortest[other]));
        self.priced(order, kinds.to_vec())
    }

    fn priced(&self, order: Vec<usize>, kinds: Vec<usize>) -> Plan {
        let cost = self.batch.cost(&order, &kinds, self.goal);
        Plan { order, kinds, cost }
    }

    /// Fisher and Yates.
    fn shuffled(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.batch.jobs.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, self.rng.random_range(0..=at));
        }
        order
    }

    /// Any kind on which a job runs.
    fn kind(&mut self, job: usize) -> usize {
        let mut kinds = self.batch.kinds_of(job);
        let count = kinds.clone().count();
        kinds.nth(self.rng.random_range(0..count.max(1))).unwrap_or(0)
    }

    /// The better of two.
    fn parent(&mut self, plans: &[Plan]) -> usize {
        let [one, other] = [(); 2].map(|()| self.rng.random_range(0..plans.len()));
        if plans[other].cost < plans[one].cost { other } else { one }
    }

    fn child(&mut self, one: &Plan, other: &Plan) -> Plan {
        let mut order = self.crossed(&one.order, &other.order);
        let pairs = one.kinds.iter().zip(&other.kinds);
        let mut kinds: Vec<usize> = Vec::with_capacity(order.len());
        for (&one, &other) in pairs {
            kinds.push(if self.rng.random_bool(0.5) { one } else { other });
        }
        let jobs = order.len();
        if self.rng.random_bool(0.5) {
            // A job moves to another place.
            let job = order.remove(self.rng.random_range(0..jobs));
            order.insert(self.rng.random_range(0..jobs), job);
        }
        if self.rng.random_bool(0.5) {
            let job = self.rng.random_range(0..jobs);
            kinds[job] = self.kind(job);
        }
        self.priced(order, kinds)
    }

    /// A stretch of the one, and around it the rest in the order of the other.
    fn crossed(&mut self, one: &[usize], other: &[usize]) -> Vec<usize> {
        let [from, to] = [(); 2].map(|()| self.rng.random_range(0..=one.len()));
        let stretch = &one[from.min(to)..from.max(to)];
        let mut taken = vec![false; one.len()];
        stretch.iter().for_each(|&job| taken[job] = true);
        let mut rest = other.iter().copied().filter(|&job| !taken[job]);
        let mut order: Vec<usize> = rest.by_ref().take(from.min(to)).collect();
        order.extend_from_slice(stretch);
        order.extend(rest);
        order
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use yardmaster_env::units::{Span, Time};

    use super::*;
    use crate::optimise::exact::{Instance, Measure};

    const SETTINGS: Settings = Settings { population: 40, generations: 80 };

    /// Jobs of whole seconds on two kinds of one and two devices.
    fn batch(jobs: usize, rng: &mut Xoshiro256PlusPlus) -> Batch {
        let mut item = || {
            let spans_s = (0..2).map(|_| Some(f64::from(rng.random_range(1..60u32)))).collect();
            Item { gang: 1, weight: 1.0, spans_s }
        };
        Batch { jobs: (0..jobs).map(|_| item()).collect(), ready_s: vec![vec![0.0], vec![0.0; 2]] }
    }

    fn exact(batch: &Batch) -> [f64; 2] {
        let kinds = batch.ready_s.iter().enumerate();
        let on = |slot: usize| -> Vec<Option<Span>> {
            batch.jobs.iter().map(|item| item.spans_s[slot].map(Span::from_secs_f64)).collect()
        };
        let spans = kinds.flat_map(|(slot, devices)| vec![on(slot); devices.len()]).collect();
        let instance = Instance { releases: vec![Time::ZERO; batch.jobs.len()], spans };
        let total = Measure::Sum(&|_, end: Time| end.as_secs_f64());
        [instance.optimum(&total).unwrap().cost, instance.optimum(&Measure::Makespan).unwrap().cost / 1e9]
    }

    #[test]
    fn small_batches_come_close_to_the_optimum_and_never_below_it() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        for (at, goal) in [Goal::CompletionTime, Goal::Makespan].into_iter().enumerate() {
            let (mut worst, mut min_min): (f64, f64) = (1.0, 1.0);
            for _ in 0..20 {
                let batch = batch(7, &mut rng);
                let best = exact(&batch)[at];
                let plan = search(&batch, goal, SETTINGS, &[], &mut rng);
                assert!(plan.cost >= best - 1e-9, "{plan:?} is better than {best}");
                assert_eq!(plan.cost, batch.cost(&plan.order, &plan.kinds, goal));
                worst = worst.max(plan.cost / best);
                min_min = min_min.max(batch.min_min(goal).cost / best);
            }
            println!("{goal:?}: at worst {worst:.3} of the optimum, min-min {min_min:.3}");
            assert!(worst < 1.05 && worst < min_min, "{goal:?}: {worst}, min-min {min_min}");
        }
    }

    #[test]
    fn a_plan_is_a_permutation_and_the_seed_decides_it() {
        let batch = batch(30, &mut Xoshiro256PlusPlus::seed_from_u64(1));
        let plan = |seed| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            search(&batch, Goal::CompletionTime, SETTINGS, &[], &mut rng)
        };
        let mut order = plan(1).order;
        order.sort_unstable();
        assert!(order.into_iter().eq(0..30));
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn what_is_known_is_not_lost() {
        let batch = batch(12, &mut Xoshiro256PlusPlus::seed_from_u64(3));
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        let good = search(&batch, Goal::Makespan, SETTINGS, &[], &mut rng);
        let brief = Settings { population: 4, generations: 0 };
        assert!(
            search(&batch, Goal::Makespan, brief, std::slice::from_ref(&good), &mut rng).cost <= good.cost
        );
    }
}
