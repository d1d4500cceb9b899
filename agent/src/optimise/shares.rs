//! Time slices shared out by linear programmes: the policies of Gavel (Narayanan et al., OSDI'20).
//!
//! An allocation says which part of the time each job `j` spends on each kind `k` of device, `x[j][k]`. All policies
//! keep to
//!
//! - `sum_k x[j][k] <= 1`: a job is in one place at a time;
//! - `sum_j gang[j] * x[j][k] <= devices[k]`.
//!
//! `r[j][k]` being the progress of a job in a second, as a part of what is left of it,
//!
//! - `max-min-fairness-perf` makes the least `gang[j] * sum_k r[j][k] * x[j][k] / sum_k r[j][k] * devices[k]` as large
//!   as it can be: progress against that in an equal share of all kinds. (The published policy divides by the share of
//!   a kind among all devices, which is the same up to a factor that all jobs have in common.)
//! - `min-total-duration-perf` makes the time until the last job ends, `max_j 1 / sum_k r[j][k] * x[j][k]`, as short
//!   as it can be, within 5 %. (Making it as short as it can be, by one programme, is better than published on one
//!   workload by 5 % of the mean completion time: docs/results/2026-11-21-gavel-allocations.)
//! - `finish-time-fairness-perf` makes the largest `rho` as small as it can be (Mahajan et al., NSDI'20): the time
//!   from a job's arrival to its expected end, over what it would be in an equal share. Found by bisection, since for
//!   a given `rho` the constraints are linear.
//!
//! Published policies without `-perf` take all kinds for equally fast, and are carried out with the kinds in random
//! order; they are not here. Where many allocations are optimal, the published ones come from the middle of them,
//! where an interior-point method ends, and so do these.

use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::JobId;
use yardmaster_env::view::{Decision, Discipline, Portion, View};

use super::programme::{Goal, Method, Optimum, Programme, ProgrammeError, Relation, Var};
use crate::heuristics::batching::Batching;
use crate::heuristics::composite::Composite;
use crate::heuristics::order::Order;
use crate::heuristics::placement::Placing;
use crate::policy::Policy;

/// The published search for the least duration begins between these.
const TIMES_S: [f64; 2] = [100.0, 1e6];
/// Nothing takes longer.
const LONGEST_S: f64 = 1e12;
/// The search ends when it is known within this factor.
const DURATION: f64 = 1.05;
/// How close the bisection comes to the least `rho`, as a factor.
const BISECTION: f64 = 1.001;
/// Solvers meet their bounds to about this much.
const TOLERANCE: f64 = 1e-6;

/// What an allocation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The least progress, against an equal share, is as large as it can be.
    MaxMinFairness,
    /// All jobs end as soon as they can.
    MinTotalDuration,
    /// The largest slowdown against an equal share is as small as it can be.
    FinishTimeFairness,
}

/// A policy of discipline `rounds` that gives allocations; elsewhere the order of arrival on the fastest device.
#[derive(Clone, Debug)]
pub struct Shares {
    aim: Aim,
    elsewhere: Composite,
}

impl Shares {
    /// With a name of the registry.
    pub fn new(name: impl Into<String>, aim: Aim) -> Shares {
        let elsewhere = Composite::new(name.into(), Order::Fcfs, Placing::Fastest, Batching::Largest);
        Shares { aim, elsewhere }
    }

    fn allocate(&self, view: &View<'_>) -> Result<Vec<Portion>, ProgrammeError> {
        let demands: Vec<Demand> = view.queue.iter().filter_map(|&job| Demand::of(view, job)).collect();
        let shares = match self.aim {
            Aim::MaxMinFairness => fairest(&demands, view.free_by_kind)?,
            Aim::MinTotalDuration => soonest(&demands, view.free_by_kind)?,
            Aim::FinishTimeFairness => finish_time_fairest(&demands, view.free_by_kind)?,
        };
        let portions = demands.iter().zip(shares).flat_map(|(demand, shares)| {
            let speeds = demand.speeds.iter().zip(shares);
            speeds.map(|(&(slot, _), share)| Portion { job: demand.job, slot, share })
        });
        Ok(portions.collect())
    }
}

impl Policy for Shares {
    fn name(&self) -> &str {
        self.elsewhere.name()
    }

    fn reset(&mut self, seed: u64) {
        self.elsewhere.reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        if view.discipline != Discipline::Rounds {
            return self.elsewhere.decide(view);
        }
        match self.allocate(view) {
            Ok(portions) if portions.iter().any(|portion| portion.share > 0.0) => {
                Decision::Allocate { portions, fill: true }
            }
            // Where the solver fails the round is filled in order of arrival, and the next one asks again.
            _ => self.elsewhere.decide(view),
        }
    }
}

/// What a job brings to the programmes.
#[derive(Clone, Debug, PartialEq)]
struct Demand {
    job: JobId,
    gang: f64,
    /// Seconds since it arrived.
    age_s: f64,
    /// Steps that are left to do.
    steps: f64,
    /// Kinds on which it runs, with what it makes there of the rest of its work in a second.
    speeds: Vec<(KindSlot, f64)>,
}

impl Demand {
    /// `None` for a job that runs nowhere.
    fn of(view: &View<'_>, job: JobId) -> Option<Demand> {
        let gang = view.job(job).gang;
        let slots = (0..view.timing.kinds()).filter(|&slot| view.free_by_kind[slot] >= gang);
        // An estimate can be used up before the job is done.
        let rest = |slot| view.remaining(job, slot).map(|rest| rest.as_secs_f64().max(1.0));
        let speeds: Vec<(KindSlot, f64)> =
            slots.filter_map(|slot| rest(slot).map(|rest| (slot, 1.0 / rest))).collect();
        let (slot, speed) = *speeds.first()?;
        let steps = view.timing.step_speed(job.index(), view.job(job), slot)? / speed;
        let age_s = view.waited(job).as_secs_f64();
        Some(Demand { job, gang: f64::from(gang), age_s, steps, speeds })
    }

    /// Progress in an equal share of all devices.
    fn equal_share(&self, devices: &[u32]) -> f64 {
        self.speeds.iter().map(|&(slot, speed)| speed * f64::from(devices[slot])).sum()
    }
}

fn fairest(demands: &[Demand], devices: &[u32]) -> Result<Vec<Vec<f64>>, ProgrammeError> {
    Ok(largest_least(demands, devices, |demand| demand.gang / demand.equal_share(devices))?.1)
}

/// The published search: halves the time in which all jobs can end until that is known within a factor, and takes the
/// allocation that was found for the last time that is long enough. It leaves slack of up to that factor, which the
/// interior-point method spreads over the jobs.
fn soonest(demands: &[Demand], devices: &[u32]) -> Result<Vec<Vec<f64>>, ProgrammeError> {
    let [mut short_s, mut long_s] = TIMES_S;
    let mut found = None;
    while found.is_none() || DURATION * short_s < long_s {
        if DURATION * short_s >= long_s {
            // Not even the longest was long enough.
            (short_s, long_s) = (long_s, 10.0 * long_s);
        }
        let middle_s = (short_s + long_s) / 2.0;
        match within(demands, devices, middle_s) {
            Ok(shares) => (found, long_s) = (Some(shares), middle_s),
            // At the edge of what is possible the solver may not know.
            Err(why) if middle_s > LONGEST_S => return Err(why),
            Err(_) => short_s = middle_s,
        }
    }
    Ok(found.unwrap_or_default())
}

/// Shares with which all jobs end within a time.
fn within(demands: &[Demand], devices: &[u32], time_s: f64) -> Result<Vec<Vec<f64>>, ProgrammeError> {
    let mut programme = Programme::new(Goal::Maximise);
    let shares = add_shares(&mut programme, demands, devices);
    for (demand, vars) in demands.iter().zip(&shares) {
        // In steps a second, as published: the size of a row decides which of many allocations comes out.
        let progress = vars.iter().zip(&demand.speeds).map(|(&var, (_, speed))| (var, speed * demand.steps));
        programme.constrain(progress.collect(), Relation::AtLeast, demand.steps / time_s);
    }
    Ok(values(&programme.solve(Method::Interior)?, &shares))
}

/// The largest least progress, that of each job being weighed, and the shares for it: (demands, kinds on which it
/// runs).
fn largest_least(
    demands: &[Demand],
    devices: &[u32],
    mut weight: impl FnMut(&Demand) -> f64,
) -> Result<(f64, Vec<Vec<f64>>), ProgrammeError> {
    let mut programme = Programme::new(Goal::Maximise);
    let least = programme.add(1.0, (f64::NEG_INFINITY, f64::INFINITY));
    let shares = add_shares(&mut programme, demands, devices);
    for (demand, vars) in demands.iter().zip(&shares) {
        let weight = weight(demand);
        let progress = vars.iter().zip(&demand.speeds).map(|(&var, (_, speed))| (var, speed * weight));
        let terms = progress.chain([(least, -1.0)]).collect();
        programme.constrain(terms, Relation::AtLeast, 0.0);
    }
    let optimum = programme.solve(Method::Interior)?;
    Ok((optimum.value(least), values(&optimum, &shares)))
}

/// The shares at a point, without the noise of the solver: (demands, kinds on which it runs).
fn values(optimum: &Optimum, shares: &[Vec<Var>]) -> Vec<Vec<f64>> {
    let value = |var: &Var| optimum.value(*var).clamp(0.0, 1.0);
    shares.iter().map(|vars| vars.iter().map(value).collect()).collect()
}

/// Variables for the shares (demands, kinds on which it runs), and the constraints that all allocations keep to.
fn add_shares(programme: &mut Programme, demands: &[Demand], devices: &[u32]) -> Vec<Vec<Var>> {
    let mut used: Vec<Vec<(Var, f64)>> = vec![Vec::new(); devices.len()];
    let mut shares = Vec::with_capacity(demands.len());
    for demand in demands {
        let mut vars = Vec::with_capacity(demand.speeds.len());
        for &(slot, _) in &demand.speeds {
            let var = programme.add(0.0, (0.0, f64::INFINITY));
            used[slot].push((var, demand.gang));
            vars.push(var);
        }
        shares.push(vars);
    }
    for (terms, &devices) in used.into_iter().zip(devices).filter(|(terms, _)| !terms.is_empty()) {
        programme.constrain(terms, Relation::AtMost, f64::from(devices));
    }
    for vars in &shares {
        programme.constrain(vars.iter().map(|&var| (var, 1.0)).collect(), Relation::AtMost, 1.0);
    }
    shares
}

/// Bisection for the least `rho` with which every job can end in time. In an equal share a job has as much of each
/// kind as its part of all jobs, and no more than all of its time.
fn finish_time_fairest(demands: &[Demand], devices: &[u32]) -> Result<Vec<Vec<f64>>, ProgrammeError> {
    let jobs = demands.len() as f64;
    let isolated = |demand: &Demand| {
        let parts = demand
            .speeds
            .iter()
            .map(|&(slot, speed)| (f64::from(devices[slot]) / (jobs * demand.gang), speed));
        let all: f64 = parts.clone().map(|(part, _)| part).sum();
        parts.map(|(part, speed)| part * speed).sum::<f64>() / all.max(1.0)
    };
    // What a job would need in all, from its arrival on, in an equal share.
    let equal_s: Vec<f64> = demands.iter().map(|demand| demand.age_s + 1.0 / isolated(demand)).collect();
    let within = |rho: f64| -> Result<Option<Vec<Vec<f64>>>, ProgrammeError> {
        let left_s: Vec<f64> =
            demands.iter().zip(&equal_s).map(|(demand, equal_s)| rho * equal_s - demand.age_s).collect();
        if left_s.iter().any(|left| *left <= 0.0) {
            return Ok(None);
        }
        let mut left = left_s.iter();
        let (least, shares) = largest_least(demands, devices, |_| left.next().copied().unwrap_or(1.0))?;
        Ok((least >= 1.0 - TOLERANCE).then_some(shares))
    };
    let (mut low, mut high) = (0.0, 1.0);
    let mut best = within(high)?;
    while best.is_none() {
        (low, high) = (high, 2.0 * high);
        best = within(high)?;
    }
    while high > BISECTION * low && high > TOLERANCE {
        let middle = (low + high) / 2.0;
        match within(middle)? {
            Some(shares) => (high, best) = (middle, Some(shares)),
            None => low = middle,
        }
    }
    Ok(best.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job that takes so many seconds on each kind.
    fn demand(gang: u32, age_s: f64, rests_s: &[f64]) -> Demand {
        let speeds = rests_s.iter().enumerate().map(|(slot, rest)| (slot, 1.0 / rest)).collect();
        Demand { job: JobId(0), gang: f64::from(gang), age_s, steps: 1000.0, speeds }
    }

    type Policy = fn(&[Demand], &[u32]) -> Result<Vec<Vec<f64>>, ProgrammeError>;

    #[track_caller]
    fn check(policy: Policy, demands: &[Demand], devices: &[u32], expected: &[&[f64]], tolerance: f64) {
        let shares = policy(demands, devices).unwrap();
        let pairs = shares.iter().flatten().zip(expected.iter().copied().flatten());
        assert!(pairs.clone().count() == expected.concat().len());
        assert!(pairs.into_iter().all(|(one, other)| (one - other).abs() <= tolerance), "{shares:?}");
    }

    #[test]
    fn fair_shares_are_equal_in_device_time() {
        check(fairest, &[demand(1, 0.0, &[9.0]), demand(1, 0.0, &[7.0])], &[1], &[&[0.5], &[0.5]], 1e-6);
        // The pair gets both devices half of the time, the other one of them all of the time.
        check(fairest, &[demand(2, 0.0, &[9.0]), demand(1, 0.0, &[9.0])], &[2], &[&[0.5], &[1.0]], 1e-6);
    }

    #[test]
    fn jobs_go_where_they_are_comparatively_fast() {
        let demands = [demand(1, 0.0, &[10.0, 20.0]), demand(1, 0.0, &[20.0, 10.0])];
        for policy in [fairest, finish_time_fairest] {
            check(policy, &demands, &[1, 1], &[&[1.0, 0.0], &[0.0, 1.0]], 0.01);
        }
    }

    /// 4,000 s of work on one device: a quarter and three quarters, within the 5 % that the search leaves. Times that are
    /// beyond its first range too.
    #[test]
    fn long_jobs_get_more_so_that_all_end_together() {
        check(soonest, &[demand(1, 0.0, &[1e3]), demand(1, 0.0, &[3e3])], &[1], &[&[0.25], &[0.75]], 0.04);
        let beyond = [demand(1, 0.0, &[3e6]), demand(1, 0.0, &[9e6])];
        check(soonest, &beyond, &[1], &[&[0.25], &[0.75]], 0.04);
    }

    /// Both have the slowdown of an equal share, whatever their age.
    #[test]
    fn on_one_device_an_equal_share_is_fair_in_finish_times() {
        let demands = [demand(1, 30.0, &[10.0]), demand(1, 0.0, &[40.0])];
        check(finish_time_fairest, &demands, &[1], &[&[0.5], &[0.5]], 0.01);
    }

    #[test]
    fn nobody_gets_more_than_there_is() {
        let demands: Vec<Demand> =
            (1..12).map(|at| demand(1 + at % 3, f64::from(at), &[f64::from(at), 9.0])).collect();
        for policy in [fairest, soonest, finish_time_fairest] {
            let shares = policy(&demands, &[3, 4]).unwrap();
            assert!(shares.iter().all(|shares| shares.iter().sum::<f64>() <= 1.0 + 1e-6), "{shares:?}");
            for (slot, devices) in [3.0, 4.0].into_iter().enumerate() {
                let used: f64 =
                    demands.iter().zip(&shares).map(|(demand, shares)| demand.gang * shares[slot]).sum();
                assert!(used <= devices + 1e-6, "{used} of {devices}");
            }
        }
    }
}
