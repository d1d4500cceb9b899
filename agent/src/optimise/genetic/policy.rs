//! The genetic algorithm as a policy: it plans whenever jobs have come, and keeps to the plan until then.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use smallvec::smallvec;
use yardmaster_env::releases::Releases;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::JobId;
use yardmaster_env::view::{Decision, View};

use super::batch::{Batch, Goal, Item, Plan};
use super::{Settings, search};
use crate::heuristics::batching::Batching;
use crate::heuristics::completion::EarliestCompletion;
use crate::policy::Policy;

/// Jobs that are planned at a time, the shortest first; the others wait. Planning takes time in proportion.
const MOST_JOBS: usize = 48;

/// Starts jobs in the order and on the kinds of a plan. On each kind they start in its order, none overtaking another.
/// Requests are served as by `mct`, before jobs.
#[derive(Clone, Debug)]
pub struct Genetic {
    goal: Goal,
    settings: Settings,
    rng: Xoshiro256PlusPlus,
    releases: Releases,
    /// What is still to be started.
    plan: Vec<(JobId, KindSlot)>,
    /// The queue when it was made, less what has been started; ascending.
    known: Vec<JobId>,
    /// Serves requests, and moves on where the plan cannot.
    others: EarliestCompletion,
    eager: EarliestCompletion,
}

impl Genetic {
    /// With a name of the registry.
    pub fn new(name: impl Into<String>, goal: Goal, settings: Settings) -> Genetic {
        Genetic {
            goal,
            settings,
            rng: Xoshiro256PlusPlus::seed_from_u64(0),
            releases: Releases::default(),
            plan: Vec::new(),
            known: Vec::new(),
            others: EarliestCompletion::mct(name, Batching::Largest),
            eager: EarliestCompletion::eft("", Batching::Largest),
        }
    }

    /// Plans anew if jobs have come, or come back, since.
    fn catch_up(&mut self, view: &View<'_>) {
        self.plan.retain(|(job, _)| view.queue.contains(job));
        let new = view.queue.iter().any(|job| self.known.binary_search(job).is_err());
        if new || (self.plan.is_empty() && !view.queue.is_empty()) {
            self.plan = self.planned(view);
            self.known = view.queue.to_vec();
            self.known.sort_unstable();
        }
    }

    fn planned(&mut self, view: &View<'_>) -> Vec<(JobId, KindSlot)> {
        self.releases.fill(view);
        let ready_s: Vec<Vec<f64>> = (0..view.timing.kinds()).map(|slot| self.ready_s(view, slot)).collect();
        let item = |&job: &JobId| {
            let span_s = |slot| Some((view.estimate(job, slot)? + view.setup_on(job, slot)).as_secs_f64());
            let gang = view.job(job).gang as usize;
            let spans_s: Vec<Option<f64>> = (0..ready_s.len()).map(span_s).collect();
            let runs =
                spans_s.iter().zip(&ready_s).any(|(span, ready)| span.is_some() && ready.len() >= gang);
            runs.then_some((job, Item { gang, weight: view.job(job).weight, spans_s }))
        };
        let mut items: Vec<(JobId, Item)> = view.queue.iter().filter_map(item).collect();
        if items.is_empty() {
            return Vec::new();
        }
        keep_shortest(&mut items);
        let (ids, jobs): (Vec<JobId>, Vec<Item>) = items.into_iter().unzip();
        let batch = Batch { jobs, ready_s };
        let before = self.before(&ids, &batch);
        let plan = search(&batch, self.goal, self.settings, before.as_slice(), &mut self.rng);
        plan.order.iter().map(|&at| (ids[at], plan.kinds[at])).collect()
    }

    /// When each device of a kind is free, in seconds from now.
    fn ready_s(&self, view: &View<'_>, slot: KindSlot) -> Vec<f64> {
        let mut ready = vec![0.0; view.free_by_kind[slot] as usize];
        for &(end, devices) in self.releases.ends(slot) {
            ready.extend(std::iter::repeat_n(end.since(view.now).as_secs_f64(), devices as usize));
        }
        ready
    }

    /// The plan so far with the newcomers behind it, each where it is fastest.
    fn before(&self, ids: &[JobId], batch: &Batch) -> Option<Plan> {
        let at = |job: &JobId| ids.iter().position(|other| other == job);
        let kept: Vec<(usize, KindSlot)> =
            self.plan.iter().filter_map(|(job, slot)| Some((at(job)?, *slot))).collect();
        let mut kinds = vec![None; ids.len()];
        kept.iter().for_each(|&(at, slot)| kinds[at] = Some(slot));
        let fastest = |job: usize| {
            let span = |slot: &KindSlot| batch.jobs[job].spans_s[*slot].unwrap_or(f64::INFINITY);
            batch.kinds_of(job).min_by(|one, other| span(one).total_cmp(&span(other)))
        };
        let runs = |(job, kind): (usize, Option<KindSlot>)| {
            kind.filter(|slot| batch.kinds_of(job).any(|other| other == *slot)).or_else(|| fastest(job))
        };
        let mut order: Vec<usize> = kept.iter().map(|(at, _)| *at).collect();
        order.extend((0..ids.len()).filter(|&at| kinds[at].is_none()));
        let kinds: Option<Vec<KindSlot>> = kinds.iter().copied().enumerate().map(runs).collect();
        Some(Plan { order, kinds: kinds?, cost: f64::INFINITY }).filter(|_| !kept.is_empty())
    }

    /// The first job of the plan that no earlier one on its kind holds back.
    fn next(&mut self, view: &View<'_>) -> Option<Decision> {
        let mut held = vec![false; view.timing.kinds()];
        for at in 0..self.plan.len() {
            let (job, slot) = self.plan[at];
            if held[slot] {
                continue;
            }
            let nodes = if view.fits(job, slot) { view.place_job(job, slot) } else { None };
            let Some(nodes) = nodes else {
                held[slot] = true;
                continue;
            };
            self.plan.remove(at);
            // If it comes back it has to be planned again.
            self.known.retain(|known| *known != job);
            return Some(Decision::Start { job, nodes, batch: view.default_batch(job), variant: 0 });
        }
        None
    }
}

/// The shortest jobs for their weight, on the kind where each is shortest.
fn keep_shortest(items: &mut Vec<(JobId, Item)>) {
    let key = |(_, item): &(JobId, Item)| {
        let shortest = item.spans_s.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        shortest / item.weight.max(1e-9)
    };
    items.sort_by(|one, other| key(one).total_cmp(&key(other)));
    items.truncate(MOST_JOBS);
}

impl Policy for Genetic {
    fn name(&self) -> &str {
        self.others.name()
    }

    fn reset(&mut self, seed: u64) {
        self.rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        self.plan.clear();
        self.known.clear();
        self.others.reset(seed);
        self.eager.reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        self.catch_up(view);
        if view.discipline.commits() {
            return match self.plan.first() {
                Some(&(job, _)) => Decision::Reserve { order: smallvec![job] },
                None => self.others.decide(view),
            };
        }
        let mut wait = Decision::Wait { until: None };
        if view.streams.iter().any(|stream| !stream.queue.is_empty()) {
            let requests = View { queue: &[], ..*view };
            wait = self.others.decide(&requests);
            if matches!(wait, Decision::Start { .. }) {
                return wait;
            }
        }
        if let Some(start) = self.next(view) {
            return start;
        }
        // The plan counts on devices that are not there, such as those of a node that has failed.
        let stuck = view.running.is_empty() && matches!(wait, Decision::Wait { until: None });
        if stuck { self.eager.decide(view) } else { wait }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use yardmaster_env::metrics::Metrics;
    use yardmaster_env::sim::{Simulator, World};
    use yardmaster_env::spec;
    use yardmaster_env::view::Discipline;

    use crate::policy::play;
    use crate::registry;

    fn run(world: &Arc<World>, seed: u64) -> Simulator {
        play(world, &mut *registry::build("ga(population=8,generations=8)").unwrap(), seed).unwrap()
    }

    /// Every decision is legal and every job ends, whatever can happen to jobs and machines.
    #[test]
    fn all_jobs_end_in_every_sort_of_world() {
        for name in ["tiny", "gang", "preempt", "locality", "elastic", "estimates", "hpc-256"] {
            let world = Arc::new(spec::builtin(name).unwrap().world(3).unwrap());
            let metrics = Metrics::of(&run(&world, 1));
            assert_eq!(metrics.jobs + metrics.refused, world.workload.jobs.len(), "{name}");
        }
    }

    #[test]
    fn it_plays_under_every_discipline() {
        for discipline in [Discipline::Commit, Discipline::CommitBackfill, Discipline::Rounds] {
            let mut world = spec::builtin("tiny").unwrap().world(3).unwrap();
            world.discipline = discipline;
            let world = Arc::new(world);
            assert_eq!(Metrics::of(&run(&world, 1)).jobs, world.workload.jobs.len(), "{discipline:?}");
        }
    }

    #[test]
    fn the_seed_decides_and_the_plan_is_better_than_haste() {
        let world = Arc::new(spec::builtin("pool12").unwrap().world(3).unwrap());
        let mean_s = |sim: &Simulator| Metrics::of(sim).mean_jct_s;
        let [one, again, other] = [1, 1, 2].map(|seed| mean_s(&run(&world, seed)));
        assert_eq!(one, again);
        assert_ne!(one, other);
        let eager = play(&world, &mut *registry::build("eft").unwrap(), 1).unwrap();
        assert!(one < mean_s(&eager), "{one} and {}", mean_s(&eager));
    }
}
