//! What a schedule costs, as an integral that a reward can be cut from.

use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::rules::Prices;
use crate::units::{Span, Time};

/// Weight of latency among misses, unless told otherwise.
pub const LATENCY: f64 = 0.05;

/// What is to be made small, for each unit of weight that arrives. Energy and money can be added to any objective: see
/// [`Prices`].
///
/// Energy and cost alone do not reward waiting for ever. The machines in service draw power and cost money until the
/// last job has finished, and only then an episode ends; what a job itself takes is spent sooner or later. Where
/// autoscaling lets all machines leave, waiting is free, and still saves nothing. This holds of whole, undiscounted
/// episodes: a learner that discounts, or whose episodes are truncated, gains from putting work off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Objective {
    /// Weighted mean completion time, in seconds.
    #[default]
    CompletionTime,
    /// Weighted mean of completion time / max(shortest service time, `floor_s`).
    Slowdown {
        /// Jobs shorter than this count as this long, in seconds.
        floor_s: f64,
    },
    /// Weighted share of jobs that miss their deadline, plus `latency` times completion time / deadline.
    Misses {
        /// Weight of the latency term; a small one separates schedules that miss equally often.
        latency: f64,
    },
    /// For a cluster that trains and serves: as `Misses` for what has a deadline, and for what has none its completion
    /// time in units of `scale_s`. Weighted mean over both; weights say which comes first.
    Shared {
        /// Weight of the latency term of what has a deadline.
        latency: f64,
        /// What is as bad as a miss for work without a deadline, in seconds, above 0.
        scale_s: f64,
    },
    /// Energy of all machines in service from the first submission to the last completion, in kilowatt-hours.
    Energy,
    /// Price of all machines in service over that time, in US dollars.
    Cost,
}

impl Objective {
    /// What is usual where requests with deadlines are served.
    pub const SERVING: Objective = Objective::Misses { latency: LATENCY };

    /// One word for tables, as in a scenario: `completion-time`, `slowdown`, `misses`, `energy` or `cost`.
    pub fn name(&self) -> &'static str {
        match self {
            Objective::CompletionTime => "completion-time",
            Objective::Slowdown { .. } => "slowdown",
            Objective::Misses { .. } => "misses",
            Objective::Shared { .. } => "shared",
            Objective::Energy => "energy",
            Objective::Cost => "cost",
        }
    }

    /// The unit of [`CostMeter::score`].
    pub fn unit(&self) -> &'static str {
        match self {
            Objective::CompletionTime => "s",
            Objective::Slowdown { .. } => "x",
            Objective::Misses { .. } => "share",
            Objective::Shared { .. } => "cost",
            Objective::Energy => "kWh",
            Objective::Cost => "USD",
        }
    }

    /// What energy and money count in it.
    pub fn prices(&self) -> Prices {
        match self {
            Objective::Energy => Prices { kwh: 1.0, dollar: 0.0 },
            Objective::Cost => Prices { kwh: 0.0, dollar: 1.0 },
            _ => Prices::default(),
        }
    }

    /// Cost per second that a job is in the system; `shortest` is its service time on the best kind.
    pub fn rate(&self, job: &Job, shortest: Span) -> f64 {
        job.weight
            * match self {
                Objective::CompletionTime => 1.0,
                Objective::Slowdown { floor_s } => 1.0 / shortest.as_secs_f64().max(*floor_s),
                Objective::Shared { scale_s, .. } if job.deadline.is_none() => 1.0 / scale_s,
                Objective::Misses { latency } | Objective::Shared { latency, .. } => match job.deadline {
                    Some(deadline) => latency / (deadline - job.arrival).as_secs_f64().max(1e-9),
                    None => 0.0,
                },
                Objective::Energy | Objective::Cost => 0.0,
            }
    }

    /// Cost that falls due at once when it is known that the job finishes at `finish`.
    pub fn at_start(&self, job: &Job, finish: Time) -> f64 {
        match (self, job.deadline) {
            (Objective::Misses { .. } | Objective::Shared { .. }, Some(deadline)) if finish > deadline => {
                job.weight
            }
            _ => 0.0,
        }
    }
}

/// Adds up the cost of a running schedule. The cost rate is constant between events.
#[derive(Clone, Debug, PartialEq)]
pub struct CostMeter {
    objective: Objective,
    total: f64,
    rate: f64,
    weight: f64,
    last: Time,
}

impl CostMeter {
    /// Nothing in the system at `start`.
    pub fn new(objective: Objective, start: Time) -> CostMeter {
        CostMeter { objective, total: 0.0, rate: 0.0, weight: 0.0, last: start }
    }

    /// Lets time run to `now`.
    pub fn advance(&mut self, now: Time) {
        self.total += self.rate * (now - self.last).as_secs_f64();
        self.last = now;
    }

    /// A job arrives; `shortest` is its service time on its best kind.
    pub fn enter(&mut self, job: &Job, shortest: Span) {
        self.rate += self.objective.rate(job, shortest);
        self.weight += job.weight;
        // A batch queue may take a job in after its submit time; the wait until then counts as well.
        self.total += self.objective.rate(job, shortest) * self.last.since(job.arrival).as_secs_f64();
    }

    /// A job is started and will finish at `finish`.
    pub fn start(&mut self, job: &Job, finish: Time) {
        self.total += self.objective.at_start(job, finish);
    }

    /// What was started is cut off, and will not finish at `finish` after all.
    pub fn revoke(&mut self, job: &Job, finish: Time) {
        self.total -= self.objective.at_start(job, finish);
    }

    /// Adds what machines cost.
    pub fn charge(&mut self, cost: f64) {
        self.total += cost;
    }

    /// A request is dropped at its deadline: a miss.
    pub fn drop(&mut self, job: &Job, shortest: Span) {
        self.total += self.objective.at_start(job, Time::MAX);
        self.leave(job, shortest);
    }

    /// A job finishes.
    pub fn leave(&mut self, job: &Job, shortest: Span) {
        self.rate -= self.objective.rate(job, shortest);
    }

    /// Cost so far, in weighted units of the objective.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Cost per unit of weight that has arrived: the objective itself once all jobs have finished.
    pub fn score(&self) -> f64 {
        if self.weight > 0.0 { self.total / self.weight } else { 0.0 }
    }
}
