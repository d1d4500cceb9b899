//! The best schedule of a few jobs on unrelated devices, by dynamic programming over sets of jobs.
//!
//! Each job takes one device from start to finish, and may not start before its release; how long it takes depends on
//! the device. The best way to run a set on one device is found by adding a job at the end of the best ways to run the
//! others; since an early end can be worth a higher cost, all ways are kept that are not worse in both (Held and Karp,
//! 1962, with a front for each set). The best way to spread a set over devices splits it into what the last device
//! runs and the rest. With `n` jobs and `m` devices that is `O(3^n m)`.
//!
//! It knows all releases beforehand, so that it is a bound for every policy that does not cut off jobs.

use yardmaster_env::sim::World;
use yardmaster_env::units::{Span, Time};

/// More jobs than this take minutes.
pub const MOST_JOBS: usize = 13;

/// Jobs and the devices that they can run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// By job: when it may start at the earliest.
    pub releases: Vec<Time>,
    /// (devices, jobs): how long a job takes; `None` where it does not run.
    pub spans: Vec<Vec<Option<Span>>>,
}

/// What is to be small.
pub enum Measure<'a> {
    /// The sum over jobs of what a job costs that ends at a moment. The later, the more, or as much.
    Sum(&'a dyn Fn(usize, Time) -> f64),
    /// The end of the last job.
    Makespan,
}

/// The best there is.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum {
    /// The sum, or the makespan in nanoseconds.
    pub cost: f64,
    /// (devices, jobs in their order).
    pub order: Vec<Vec<usize>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExactError {
    /// It would take too long.
    #[error("{jobs} jobs are too many for an exact answer, at most {MOST_JOBS}")]
    TooLarge {
        /// How many there are.
        jobs: usize,
    },
    /// A job runs on none of the devices.
    #[error("job {job} runs on none of the devices")]
    Nowhere {
        /// Its index.
        job: usize,
    },
}

impl Instance {
    /// The jobs of a world on its devices, with true durations; `None` if some job is a request, a gang or a later
    /// stage, or if its duration is not as estimated.
    pub fn of(world: &World) -> Option<Instance> {
        let jobs = &world.workload.jobs;
        let plain = |(at, job): (usize, &yardmaster_env::job::Job)| {
            let truth = world.workload.truths.get(at).copied().unwrap_or_default();
            let whole = job.gang == 1
                && job.after.is_none()
                && job.inputs.is_empty()
                && job.request_model().is_none();
            whole && truth == yardmaster_env::job::Truth::AsEstimated
        };
        if !jobs.iter().enumerate().all(plain) {
            return None;
        }
        let on = |slot| (0..jobs.len()).map(|job| world.timing.job(job, slot)).collect::<Vec<_>>();
        let kinds = world.cluster.all_devices().iter().enumerate();
        let spans = kinds.flat_map(|(slot, &devices)| vec![on(slot); devices as usize]).collect();
        Some(Instance { releases: jobs.iter().map(|job| job.arrival).collect(), spans })
    }

    /// The schedule of least cost.
    ///
    /// # Errors
    /// Too many jobs, or one that runs nowhere.
    pub fn optimum(&self, measure: &Measure<'_>) -> Result<Optimum, ExactError> {
        let jobs = self.releases.len();
        if jobs > MOST_JOBS {
            return Err(ExactError::TooLarge { jobs });
        }
        let mut spread = Spread::start(jobs, measure);
        for (at, spans) in self.spans.iter().enumerate() {
            // Devices that are alike have the same fronts.
            let known = (0..at).find(|&other| self.spans[other] == *spans);
            let line = match known {
                Some(other) => spread.lines[other].clone(),
                None => Line::of(&self.releases, spans, measure),
            };
            spread.add(line);
        }
        let all = (1 << jobs) - 1;
        if spread.best[all].is_infinite() {
            let nowhere = |job: &usize| self.spans.iter().all(|spans| spans[*job].is_none());
            return Err(ExactError::Nowhere { job: (0..jobs).find(nowhere).unwrap_or(0) });
        }
        Ok(spread.trace(all))
    }
}

/// Sets of jobs are bits.
type Set = usize;

/// A way to run a set on one device.
#[derive(Clone, Copy, Debug)]
struct Way {
    end: Time,
    cost: f64,
    /// The job that comes last, and which way for the others comes before it.
    last: usize,
    before: usize,
}

/// By set: the ways to run it on one device that are not worse than another in both end and cost, ascending by end.
#[derive(Clone, Debug)]
struct Line {
    fronts: Vec<Vec<Way>>,
}

impl Line {
    fn of(releases: &[Time], spans: &[Option<Span>], measure: &Measure<'_>) -> Line {
        let mut fronts = vec![Vec::new(); 1 << releases.len()];
        fronts[0].push(Way { end: Time::ZERO, cost: 0.0, last: 0, before: 0 });
        for set in 1..fronts.len() {
            let mut ways = Vec::new();
            for last in (0..releases.len()).filter(|job| set & (1 << job) != 0) {
                let Some(span) = spans[last] else { continue };
                for (before, way) in fronts[set & !(1 << last)].iter().enumerate() {
                    let end = way.end.max(releases[last]) + span;
                    let cost = match measure {
                        Measure::Sum(cost) => way.cost + cost(last, end),
                        Measure::Makespan => end.0 as f64,
                    };
                    ways.push(Way { end, cost, last, before });
                }
            }
            fronts[set] = front(ways);
        }
        Line { fronts }
    }

    /// The least cost of a set; infinite if some job of it does not run here.
    fn cost(&self, set: Set) -> f64 {
        // The later the end, the lower the cost.
        self.fronts[set].last().map_or(f64::INFINITY, |way| way.cost)
    }

    fn order(&self, mut set: Set) -> Vec<usize> {
        let mut order = Vec::new();
        let mut at = self.fronts[set].len().saturating_sub(1);
        while set != 0 {
            let way = self.fronts[set][at];
            order.push(way.last);
            (set, at) = (set & !(1 << way.last), way.before);
        }
        order.reverse();
        order
    }
}

/// Those that no other beats in both end and cost.
fn front(mut ways: Vec<Way>) -> Vec<Way> {
    ways.sort_by(|one, other| one.end.cmp(&other.end).then(one.cost.total_cmp(&other.cost)));
    let mut least = f64::INFINITY;
    ways.retain(|way| {
        let better = way.cost < least;
        least = least.min(way.cost);
        better
    });
    ways
}

/// By set: the least cost on the devices so far.
struct Spread {
    sum: bool,
    best: Vec<f64>,
    lines: Vec<Line>,
    /// By device, then set: the part that the device runs.
    parts: Vec<Vec<Set>>,
}

impl Spread {
    fn start(jobs: usize, measure: &Measure<'_>) -> Spread {
        let mut best = vec![f64::INFINITY; 1 << jobs];
        best[0] = 0.0;
        Spread { sum: matches!(measure, Measure::Sum(_)), best, lines: Vec::new(), parts: Vec::new() }
    }

    fn add(&mut self, line: Line) {
        let mut best = self.best.clone();
        let mut parts = vec![0; best.len()];
        for set in 1..best.len() {
            // All parts of the set but the empty one.
            let mut part = set;
            while part != 0 {
                let (others, here) = (self.best[set & !part], line.cost(part));
                let cost = if self.sum { others + here } else { others.max(here) };
                if cost < best[set] {
                    (best[set], parts[set]) = (cost, part);
                }
                part = (part - 1) & set;
            }
        }
        self.best = best;
        self.parts.push(parts);
        self.lines.push(line);
    }

    fn trace(&self, all: Set) -> Optimum {
        let mut left = all;
        let mut order = vec![Vec::new(); self.lines.len()];
        for (device, line) in self.lines.iter().enumerate().rev() {
            let part = self.parts[device][left];
            order[device] = line.order(part);
            left &= !part;
        }
        Optimum { cost: self.best[all], order }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(releases: &[u64], spans: &[&[u64]]) -> Instance {
        let row = |row: &&[u64]| row.iter().map(|&span| (span > 0).then_some(Span(span))).collect();
        Instance {
            releases: releases.iter().copied().map(Time).collect(),
            spans: spans.iter().map(row).collect(),
        }
    }

    fn total(instance: &Instance) -> Optimum {
        let releases = instance.releases.clone();
        instance.optimum(&Measure::Sum(&|job, end: Time| end.since(releases[job]).0 as f64)).unwrap()
    }

    #[test]
    fn one_device_runs_the_shortest_first() {
        let optimum = total(&instance(&[0, 0, 0], &[&[3, 1, 2]]));
        assert_eq!(optimum, Optimum { cost: 1.0 + 3.0 + 6.0, order: vec![vec![1, 2, 0]] });
    }

    /// A long job is there at 0, two short ones come at 1: waiting for them costs less than starting at once.
    #[test]
    fn it_pays_to_wait_for_a_short_job() {
        let optimum = total(&instance(&[0, 1, 1], &[&[10, 1, 2]]));
        assert_eq!(optimum, Optimum { cost: 1.0 + 3.0 + 14.0, order: vec![vec![1, 2, 0]] });
    }

    /// Both jobs prefer the first device; together they end sooner on two. A job that does not run there stays away.
    #[test]
    fn devices_are_shared_by_what_they_are_good_at() {
        let two = instance(&[0, 0], &[&[2, 3], &[9, 4]]);
        assert_eq!(total(&two), Optimum { cost: 6.0, order: vec![vec![0], vec![1]] });
        assert_eq!(two.optimum(&Measure::Makespan).unwrap().cost, 4.0);
        let nowhere = instance(&[0, 0], &[&[2, 0], &[9, 0]]);
        assert_eq!(nowhere.optimum(&Measure::Makespan), Err(ExactError::Nowhere { job: 1 }));
        let many = instance(&[0; 14], &[&[1; 14]]);
        assert_eq!(many.optimum(&Measure::Makespan), Err(ExactError::TooLarge { jobs: 14 }));
    }

    /// Against trying every assignment and every order.
    #[test]
    fn no_schedule_is_better() {
        let mut state = 1u64;
        let mut draw = |end: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % end
        };
        for _ in 0..40 {
            let releases: Vec<u64> = (0..5).map(|_| draw(8)).collect();
            let spans: Vec<Vec<u64>> = (0..2).map(|_| (0..5).map(|_| 1 + draw(9)).collect()).collect();
            let instance = instance(&releases, &[&spans[0], &spans[1]]);
            let mut best = [u64::MAX; 2];
            permutations(&mut vec![0, 1, 2, 3, 4], 0, &mut |order| {
                for devices in 0..32u32 {
                    let mut clock = [0u64; 2];
                    let mut sum = 0;
                    for &job in order {
                        let device = (devices >> job & 1) as usize;
                        clock[device] = clock[device].max(releases[job]) + spans[device][job];
                        sum += clock[device] - releases[job];
                    }
                    best = [best[0].min(sum), best[1].min(clock[0].max(clock[1]))];
                }
            });
            assert_eq!(total(&instance).cost, best[0] as f64, "{instance:?}");
            assert_eq!(instance.optimum(&Measure::Makespan).unwrap().cost, best[1] as f64, "{instance:?}");
        }
    }

    fn permutations(jobs: &mut Vec<usize>, from: usize, visit: &mut impl FnMut(&[usize])) {
        if from == jobs.len() {
            return visit(jobs);
        }
        for at in from..jobs.len() {
            jobs.swap(from, at);
            permutations(jobs, from + 1, visit);
            jobs.swap(from, at);
        }
    }
}
