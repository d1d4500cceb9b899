//! Units of tasks under capacities, as a linear programme.
//!
//! `x[j][w]` units of task `j` are had in way `w`, of which each needs `n[w][r]` of resource `r`, costs `c[w]` and
//! takes `t[w]` seconds. With `u[j] = sum_w x[j][w]`,
//!
//! - `demand[j] <= u[j] <= most[j]`, and
//! - without time, `sum n[w][r] * x[j][w] <= capacity[r]`: all units are there at the same time;
//! - within a time `T`, `sum t[w] * n[w][r] * x[j][w] <= capacity[r] * T`: units follow one another and may be cut,
//!   and `sum_w t[w] * x[j][w] <= at_once[j] * T`: no more units of a task at a time.
//!
//! | objective | programme |
//! |---|---|
//! | `minimum-cost` | minimise `sum c * x` |
//! | `minimum-completion-time` | minimise `T`, `u = demand` |
//! | `minimum-shortfall` | minimise `sum weight * (demand - u)`, `0 <= u <= demand` |
//! | `maximum-total` | maximise `sum weight * u` |
//! | `max-min-fairness` | maximise the least `u / weight`, then the second least, and so on |
//!
//! The least `T` is that of the best preemptive schedule where a way needs one device of one kind and `at_once` is 1
//! (Lawler and Labetoulle, 1978), and a lower bound of any schedule otherwise. Of allocations that are equally good in
//! the objective the cheapest is taken.

use serde::Serialize;

use super::error::AllocationError;
use super::explain;
use super::spec::{Objective, Task};
use super::water_filling;
use crate::optimise::programme::{Goal, Method, Optimum, Programme, ProgrammeError, Relation, Var};

/// What of an optimum the cheapest allocation may give up, as a factor.
const SLACK: f64 = 1e-9;

/// `[[tasks]]` with all that belongs to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Tasks {
    /// What is to be made small or large.
    pub objective: Objective,
    /// Capacities are for so long; `None` where time plays no part, or is what is made short.
    pub within_s: Option<f64>,
    /// Name and capacity.
    pub resources: Vec<(String, f64)>,
    /// At least one.
    pub tasks: Vec<Task>,
}

/// Who gets what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Allocation {
    /// What was made small or large.
    pub objective: Objective,
    /// Its value: cost, seconds, weighted shortfall, weighted units, or the least units over weight.
    pub value: f64,
    /// Seconds for which the resources are there, where time plays a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_s: Option<f64>,
    /// Of all units.
    pub cost: f64,
    /// In the order of the file.
    pub tasks: Vec<TaskRow>,
    /// In order of their names.
    pub resources: Vec<ResourceRow>,
    /// What the file probably did not mean.
    pub notes: Vec<String>,
}

/// What a task gets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskRow {
    /// Its name.
    pub name: String,
    /// What it gets.
    pub units: f64,
    /// What it must get.
    pub demand: f64,
    /// What it may get; `None` for no bound.
    pub most: Option<f64>,
    /// Of its units.
    pub cost: f64,
    /// By way, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<WayRow>,
}

/// Units in one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WayRow {
    /// Its name.
    pub name: String,
    /// Units.
    pub units: f64,
}

/// What is used of a resource: an amount, or its mean over the time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResourceRow {
    /// Its name.
    pub name: String,
    /// Used.
    pub used: f64,
    /// There is.
    pub capacity: f64,
}

/// How long the resources are there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Horizon {
    /// Everything is at the same time, or within a known time.
    Fixed(f64),
    /// As long as this variable says.
    Free(Var),
}

/// Variables and rows that every programme of tasks has.
pub(super) struct Model {
    /// Without an objective.
    pub(super) programme: Programme,
    /// Units: (tasks, ways).
    pub(super) units: Vec<Vec<Var>>,
    /// Row of each resource, then of each task with a bound `at_once`.
    pub(super) limits: Vec<Limit>,
}

/// A row that holds units to what there is.
pub(super) struct Limit {
    /// Its place in the programme.
    pub(super) row: usize,
    /// A resource, or else a task.
    pub(super) resource: bool,
    /// Of the resource or task.
    pub(super) index: usize,
}

/// An optimum, before it is told.
struct Best {
    /// Of the objective.
    value: f64,
    /// How long the resources are there, where time plays a part.
    within_s: Option<f64>,
    /// (tasks, ways)
    units: Vec<Vec<f64>>,
}

impl Tasks {
    pub(super) fn solve(&self, file: &str) -> Result<Allocation, AllocationError> {
        self.check_bounded(file)?;
        match self.optimum() {
            Ok(best) => Ok(self.report(&best)),
            Err(ProgrammeError::Infeasible) => Err(explain::infeasible(self, file)),
            Err(why) => Err(AllocationError::Programme { file: file.into(), why }),
        }
    }

    fn optimum(&self) -> Result<Best, ProgrammeError> {
        if self.objective == Objective::MaxMinFairness {
            let (value, units) = water_filling::fill(self)?;
            return Ok(Best { value, within_s: self.within_s, units });
        }
        let (mut model, horizon) = self.with_objective();
        let best = model.programme.solve(Method::Simplex)?;
        let chosen = self.cheapest(&mut model, &best)?;
        let within_s = match horizon {
            Horizon::Free(time) => Some(best.value(time)),
            Horizon::Fixed(_) => self.within_s,
        };
        Ok(Best { value: best.objective, within_s, units: model.values(&chosen) })
    }

    /// The programme of an objective that is linear.
    fn with_objective(&self) -> (Model, Horizon) {
        let mut programme = Programme::new(match self.objective {
            Objective::MaximumTotal => Goal::Maximise,
            _ => Goal::Minimise,
        });
        let horizon = match self.objective {
            Objective::MinimumCompletionTime => Horizon::Free(programme.add(1.0, (0.0, f64::INFINITY))),
            _ => Horizon::Fixed(self.within_s.unwrap_or(1.0)),
        };
        let mut model = self.model(programme, horizon);
        for (task, vars) in self.tasks.iter().zip(&model.units) {
            let sum: Vec<(Var, f64)> = vars.iter().map(|&var| (var, 1.0)).collect();
            let programme = &mut model.programme;
            match self.objective {
                Objective::MinimumCompletionTime => programme.constrain(sum, Relation::Equal, task.demand),
                Objective::MinimumShortfall => {
                    let missing = programme.add(task.weight, (0.0, task.demand));
                    let all = sum.into_iter().chain([(missing, 1.0)]).collect();
                    programme.constrain(all, Relation::Equal, task.demand);
                }
                Objective::MinimumCost | Objective::MaximumTotal | Objective::MaxMinFairness => {
                    for (var, way) in vars.iter().zip(&task.ways) {
                        let total = self.objective == Objective::MaximumTotal;
                        programme.objective[var.0] = if total { task.weight } else { way.cost };
                    }
                    keep_between(programme, sum, task.demand, task.most);
                }
            }
        }
        (model, horizon)
    }

    /// The units under what there is. Demands and bounds are left to the caller.
    pub(super) fn model(&self, mut programme: Programme, horizon: Horizon) -> Model {
        let units: Vec<Vec<Var>> = self
            .tasks
            .iter()
            .map(|task| task.ways.iter().map(|_| programme.add(0.0, (0.0, f64::INFINITY))).collect())
            .collect();
        let mut limits = Vec::new();
        let limit = |programme: &mut Programme, mut terms: Vec<(Var, f64)>, there_is: f64| {
            let bound = match horizon {
                Horizon::Fixed(time_s) => there_is * time_s,
                Horizon::Free(time) => {
                    terms.push((time, -there_is));
                    0.0
                }
            };
            programme.constrain(terms, Relation::AtMost, bound);
            programme.rows.len() - 1
        };
        for (index, &(_, capacity)) in self.resources.iter().enumerate() {
            let row = limit(&mut programme, self.use_of(index, &units), capacity);
            limits.push(Limit { row, resource: true, index });
        }
        for (index, (task, vars)) in self.tasks.iter().zip(&units).enumerate() {
            if task.at_once.is_finite() {
                let terms = vars.iter().zip(&task.ways).map(|(&var, way)| (var, way.time_s)).collect();
                let row = limit(&mut programme, terms, task.at_once);
                limits.push(Limit { row, resource: false, index });
            }
        }
        Model { programme, units, limits }
    }

    /// What the units use of a resource, times the seconds for which they do.
    fn use_of(&self, resource: usize, units: &[Vec<Var>]) -> Vec<(Var, f64)> {
        let ways = self.tasks.iter().zip(units).flat_map(|(task, vars)| task.ways.iter().zip(vars));
        let need =
            |way: &super::Way| way.needs.iter().find(|(index, _)| *index == resource).map(|(_, need)| *need);
        ways.filter_map(|(way, &var)| Some((var, need(way)? * way.time_s))).collect()
    }

    /// Among the optima one that costs least.
    fn cheapest(&self, model: &mut Model, best: &Optimum) -> Result<Optimum, ProgrammeError> {
        let costs = self.tasks.iter().flat_map(|task| &task.ways).any(|way| way.cost > 0.0);
        if !costs || self.objective == Objective::MinimumCost {
            return Ok(best.clone());
        }
        let programme = &mut model.programme;
        let objective = std::mem::replace(&mut programme.objective, vec![0.0; best.values.len()]);
        let terms = objective.into_iter().enumerate().map(|(at, factor)| (Var(at), factor)).collect();
        let slack = SLACK * best.objective.abs();
        match programme.goal {
            Goal::Minimise => programme.constrain(terms, Relation::AtMost, best.objective + slack),
            Goal::Maximise => programme.constrain(terms, Relation::AtLeast, best.objective - slack),
        }
        programme.goal = Goal::Minimise;
        for (var, way) in model.units.iter().flatten().zip(self.tasks.iter().flat_map(|task| &task.ways)) {
            programme.objective[var.0] = way.cost;
        }
        programme.solve(Method::Simplex)
    }

    /// Refuses tasks that nothing bounds, where more of them is better.
    fn check_bounded(&self, file: &str) -> Result<(), AllocationError> {
        let wanted = |task: &Task| match self.objective {
            Objective::MaximumTotal => task.weight > 0.0,
            Objective::MaxMinFairness => true,
            _ => false,
        };
        let endless = |task: &&Task| {
            let free = task.ways.iter().any(|way| way.needs.is_empty());
            wanted(task) && free && task.most.is_infinite() && task.at_once.is_infinite()
        };
        match self.tasks.iter().find(endless) {
            None => Ok(()),
            Some(Task { line, name, .. }) => {
                Err(AllocationError::Unbounded { file: file.into(), line: *line, task: name.clone() })
            }
        }
    }

    fn report(&self, best: &Best) -> Allocation {
        let cost_of = |task: &Task, units: &[f64]| -> f64 {
            task.ways.iter().zip(units).map(|(way, units)| way.cost * units).sum()
        };
        let row = |(task, units): (&Task, &Vec<f64>)| TaskRow {
            name: task.name.clone(),
            units: units.iter().sum(),
            demand: task.demand,
            most: Some(task.most).filter(|most| most.is_finite()),
            cost: cost_of(task, units),
            ways: match task.ways.as_slice() {
                [_] => Vec::new(),
                ways => {
                    let row = |(way, &units): (&super::Way, &f64)| WayRow { name: way.name.clone(), units };
                    ways.iter().zip(units).map(row).collect()
                }
            },
        };
        let tasks: Vec<TaskRow> = self.tasks.iter().zip(&best.units).map(row).collect();
        Allocation {
            objective: self.objective,
            value: best.value,
            within_s: best.within_s,
            cost: tasks.iter().map(|row| row.cost).sum(),
            tasks,
            resources: self.resource_rows(best.within_s, &best.units),
            notes: self.notes(),
        }
    }

    fn resource_rows(&self, within_s: Option<f64>, units: &[Vec<f64>]) -> Vec<ResourceRow> {
        let values: Vec<f64> = units.iter().flatten().copied().collect();
        let numbered: Vec<Vec<Var>> = {
            let mut next = (0..).map(Var);
            units.iter().map(|ways| next.by_ref().take(ways.len()).collect()).collect()
        };
        let mean = |at: usize| {
            let used: f64 =
                self.use_of(at, &numbered).iter().map(|&(var, factor)| factor * values[var.0]).sum();
            let time_s = within_s.unwrap_or(1.0);
            if time_s > 0.0 { used / time_s } else { 0.0 }
        };
        let row = |(at, (name, capacity)): (usize, &(String, f64))| ResourceRow {
            name: name.clone(),
            used: mean(at),
            capacity: *capacity,
        };
        self.resources.iter().enumerate().map(row).collect()
    }

    /// What the file probably did not mean.
    fn notes(&self) -> Vec<String> {
        let lowers = matches!(
            self.objective,
            Objective::MinimumCost | Objective::MinimumCompletionTime | Objective::MinimumShortfall
        );
        if lowers && self.tasks.iter().all(|task| task.demand == 0.0) {
            return vec![
                "a demand is missing: no task has a `demand`, so that nothing at all is best".into(),
            ];
        }
        Vec::new()
    }
}

impl Model {
    /// Units at a point: (tasks, ways).
    pub(super) fn values(&self, optimum: &Optimum) -> Vec<Vec<f64>> {
        self.units.iter().map(|vars| vars.iter().map(|&var| optimum.value(var)).collect()).collect()
    }
}

/// Rows for `least <= sum <= most`, where they say something.
pub(super) fn keep_between(programme: &mut Programme, sum: Vec<(Var, f64)>, least: f64, most: f64) {
    if most.is_finite() {
        programme.constrain(sum.clone(), Relation::AtMost, most);
    }
    if least > 0.0 {
        programme.constrain(sum, Relation::AtLeast, least);
    }
}
