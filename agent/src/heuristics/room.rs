//! Who is next in a batch queue whose choice is binding: whoever is done soonest for its width, the time until there is
//! room included.
//!
//! Where the chosen job is started before any other, to choose one that does not fit leaves the machine to drain. Orders that
//! look at the jobs alone (SJF, SAF, F1) do that all the time. Here the wait until enough processors should be free counts
//! as well, as `wait` times the wait + the time the job takes, times its processors to the `width`. With a large `wait` whatever
//! fits comes before whatever does not: list scheduling (Graham 1969), which backfills without being asked to.

use smallvec::smallvec;
use yardmaster_env::releases::Releases;
use yardmaster_env::units::JobId;
use yardmaster_env::view::{Decision, View};

use super::Work;
use super::batching::Batching;
use super::composite::Composite;
use super::order::Order;
use super::placement::Placing;
use crate::policy::Policy;

/// The least of (`wait` x time until there is room + time) x processors^`width` first.
#[derive(Clone, Debug)]
pub struct Room {
    wait: f64,
    width: f64,
    releases: Releases,
    /// The same without waits, for everything but batch queues: who does not fit is passed over there.
    elsewhere: Composite,
}

impl Room {
    /// With these weights.
    pub fn new(name: impl Into<String>, wait: f64, width: f64, batching: Batching) -> Room {
        let elsewhere = Composite::new(name, Order::Saf { width }, Placing::Fastest, batching);
        Room { wait, width, releases: Releases::default(), elsewhere }
    }

    fn cost(&self, view: &View<'_>, job: JobId) -> f64 {
        let work = Work { job, stream: None };
        let shortest = work.shortest(view).as_secs_f64();
        let kinds = 0..view.timing.kinds();
        let waits = kinds.filter_map(|slot| self.releases.wait(slot, view.job(job).gang));
        let wait = waits.min().map_or(f64::INFINITY, |wait| wait.as_secs_f64());
        (self.wait * wait + shortest) * libm::pow(f64::from(view.job(job).procs), self.width)
    }
}

impl Policy for Room {
    fn name(&self) -> &str {
        self.elsewhere.name()
    }

    fn fork(&self) -> Option<Box<dyn Policy>> {
        Some(Box::new(self.clone()))
    }

    fn reset(&mut self, seed: u64) {
        self.elsewhere.reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        if !view.discipline.commits() {
            return self.elsewhere.decide(view);
        }
        self.releases.fill(view);
        let costs = view.queue.iter().map(|&job| (self.cost(view, job), job));
        // Of equals the one that has waited longest.
        let least = costs.reduce(|least, next| if next.0 < least.0 { next } else { least });
        least.map_or(Decision::Wait { until: None }, |(_, job)| Decision::Reserve { order: smallvec![job] })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use yardmaster_env::sim::Simulator;
    use yardmaster_env::spec::{Split, builtin};

    use super::*;
    use crate::registry;

    #[test]
    fn what_fits_comes_before_what_does_not() {
        let scenario = builtin("hpc-256").unwrap();
        let mut sim = Simulator::new(Arc::new(scenario.world(Split::Validation.seed(1, 0)).unwrap()));
        let mut rule = registry::build("room(wait=1000)").unwrap();
        let mut chosen = [0; 2];
        while let Some(view) = sim.next_decision() {
            let fits = view.queue.iter().any(|&job| view.fits(job, 0));
            let decision = rule.decide(&view);
            let Decision::Reserve { order } = &decision else { panic!("a batch queue takes an order") };
            assert!(!fits || view.fits(order[0], 0), "{:?} does not fit, others do", order[0]);
            chosen[usize::from(fits)] += 1;
            sim.apply(decision).unwrap();
        }
        assert!(chosen[0] > 10 && chosen[1] > 10, "{chosen:?}");
    }

    #[test]
    fn without_a_weight_of_waits_it_is_smallest_area_first() {
        let scenario = builtin("hpc-256").unwrap();
        let world = Arc::new(scenario.world(Split::Validation.seed(1, 1)).unwrap());
        let digest = |name: &str| {
            let mut rule = registry::build(name).unwrap();
            crate::policy::play(&world, &mut *rule, 0).unwrap().cost().score()
        };
        assert_eq!(digest("room(wait=0)"), digest("saf"));
        assert!(digest("room") < digest("saf"), "{} and {}", digest("room"), digest("saf"));
    }
}
