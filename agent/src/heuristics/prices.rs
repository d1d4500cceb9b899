//! What a second on a device of each kind is worth: the dual prices of packing the jobs seen lately onto the kinds.
//!
//! The linear programme is that of the capacity of a heterogeneous cluster (Al-Azzoni and Down 2008, after Armony and
//! Bambos 2003): jobs of sort `j` arrive at rate `lambda * share[j]`, of which `x[j][k]` go to kind `k`, and no kind may
//! work more than all of the time. Its dual asks for prices `w[k]` at which a mean job costs most:
//!
//! maximise `sum_j share[j] * v[j]` subject to `v[j] <= w[k] * t[j][k]` for all `j, k` and `sum_k devices[k] * w[k] = 1`,
//!
//! where `t[j][k]` are device-seconds. A kind that everything is fast on is dear; sending a job there that is not
//! comparatively fast there costs others more than it saves.

use std::collections::BTreeMap;

use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};
use yardmaster_env::job::Job;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::Span;
use yardmaster_env::view::View;

/// Jobs that make up the mix: the last to have arrived.
const LATELY: usize = 256;

/// The prices are computed anew when this part of the mix may have changed.
const CHANGE: f64 = 0.125;

/// Sorts of jobs are told apart by their speeds relative to their best kind, to so many steps in a factor of e.
const STEPS: f64 = 64.0;

/// Prices of the device kinds, computed anew when enough has arrived.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    /// By kind slot; empty until there is a mix, and where there is nothing to choose.
    by_kind: Vec<f64>,
    /// Jobs that had arrived when they were computed.
    seen: usize,
    /// They stay as they are, once there are any.
    fixed: bool,
}

impl Prices {
    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Prices::default();
    }

    /// These prices for ever: the mix of a few imagined arrivals tells nothing new, and a programme to be solved in each
    /// future would cost more than all else.
    pub fn fix(&mut self) {
        self.fixed = !self.by_kind.is_empty();
    }

    /// Takes in what has arrived.
    pub fn update(&mut self, view: &View<'_>) {
        if self.fixed {
            return;
        }
        let arrived = view.jobs.len();
        let enough = (arrived.min(LATELY) as f64 * CHANGE).ceil() as usize;
        if arrived == self.seen || arrived < self.seen + enough {
            return;
        }
        self.seen = arrived;
        if let Some(prices) = prices(view, &mix(view)) {
            self.by_kind = prices;
        }
    }

    /// The price of a second on a device of a kind, in that of a mean device; 1 until there is a mix.
    pub fn of(&self, slot: KindSlot) -> f64 {
        self.by_kind.get(slot).copied().unwrap_or(1.0)
    }

    /// The same; `None` until there is a mix.
    pub fn known(&self, slot: KindSlot) -> Option<f64> {
        self.by_kind.get(slot).copied()
    }
}

/// Device-seconds by kind of the jobs seen lately, those of one sort added up; 0 where they do not run.
fn mix(view: &View<'_>) -> Vec<Vec<f64>> {
    let mut sorts: BTreeMap<Vec<u64>, Vec<f64>> = BTreeMap::new();
    let first = view.jobs.len().saturating_sub(LATELY);
    for at in first..view.jobs.len() {
        let seconds: Vec<f64> =
            (0..view.timing.kinds()).map(|slot| device_seconds(view, at, slot).unwrap_or(0.0)).collect();
        let least = seconds.iter().copied().filter(|&time| time > 0.0).fold(f64::INFINITY, f64::min);
        if !least.is_finite() {
            continue;
        }
        let relative =
            |time: &f64| if *time > 0.0 { (libm::log(time / least) * STEPS) as u64 } else { u64::MAX };
        let sum =
            sorts.entry(seconds.iter().map(relative).collect()).or_insert_with(|| vec![0.0; seconds.len()]);
        sum.iter_mut().zip(&seconds).for_each(|(sum, time)| *sum += time);
    }
    sorts.into_values().collect()
}

fn device_seconds(view: &View<'_>, at: usize, slot: KindSlot) -> Option<f64> {
    let job: &Job = &view.jobs[at];
    let model = job.request_model().and_then(|model| view.timing.stream_of(model));
    let span = match model {
        Some(stream) => {
            let batch = view.timing.max_batch(stream, slot);
            let span = view.timing.batch(stream, slot, batch)?;
            Span(span.0 / u64::from(batch.max(1)))
        }
        None => view.timing.job(at, slot)?,
    };
    Some((span.as_secs_f64() * f64::from(job.gang)).max(1e-9))
}

/// The prices at which the mix costs most, relative to the mean device; `None` if the solver fails.
fn prices(view: &View<'_>, mix: &[Vec<f64>]) -> Option<Vec<f64>> {
    let devices: Vec<f64> = view.in_service.iter().map(|&devices| f64::from(devices)).collect();
    let total: f64 = mix.iter().flatten().sum();
    if mix.is_empty() || devices.len() < 2 {
        return None;
    }
    let mut problem = Problem::new(OptimizationDirection::Maximize);
    let price: Vec<Variable> = devices.iter().map(|_| problem.add_var(0.0, (0.0, f64::INFINITY))).collect();
    for seconds in mix {
        let value = problem.add_var(1.0, (0.0, f64::INFINITY));
        for (&price, &time) in price.iter().zip(seconds).filter(|(_, time)| **time > 0.0) {
            // In units of all work, which keeps coefficients within what the solver expects.
            problem.add_constraint([(value, 1.0), (price, -time / total)], ComparisonOp::Le, 0.0);
        }
    }
    let budget: Vec<(Variable, f64)> = price.iter().copied().zip(devices.iter().copied()).collect();
    problem.add_constraint(budget.as_slice(), ComparisonOp::Eq, devices.iter().sum());
    let outcome = problem.solve().ok()?;
    let solution = outcome.solution()?;
    Some(price.iter().map(|&price| solution.var_value(price).max(0.0)).collect())
}
