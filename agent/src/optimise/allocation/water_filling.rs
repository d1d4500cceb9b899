//! Max-min fairness: all levels rise together, and those that cannot rise further stay (Bertsekas and Gallager, "Data
//! Networks", section 6.5.2, for capacities of any shape).

use super::tasks::{Horizon, Model, Tasks, keep_between};
use crate::optimise::programme::{Goal, Method, Programme, ProgrammeError, Relation, Var};

/// A level that can rise by less than this part of it stays.
const TOLERANCE: f64 = 1e-7;

/// The least level, and the units of all: (tasks, ways).
pub(super) fn fill(tasks: &Tasks) -> Result<(f64, Vec<Vec<f64>>), ProgrammeError> {
    let mut filling = Filling { tasks, settled: vec![None; tasks.tasks.len()] };
    let mut least = None;
    loop {
        let (level, units) = filling.rise()?;
        least.get_or_insert(level);
        filling.settle(level)?;
        if filling.settled.iter().all(Option::is_some) {
            return Ok((least.unwrap_or(level), units));
        }
    }
}

struct Filling<'a> {
    tasks: &'a Tasks,
    /// By task: the level at which it stays.
    settled: Vec<Option<f64>>,
}

impl Filling<'_> {
    /// The highest level that all others can have, and units with which they have it.
    fn rise(&self) -> Result<(f64, Vec<Vec<f64>>), ProgrammeError> {
        let mut programme = Programme::new(Goal::Maximise);
        let level = programme.add(1.0, (0.0, f64::INFINITY));
        let mut model = self.model(programme);
        for (at, sum) in self.sums(&model).into_iter().enumerate() {
            if self.settled[at].is_none() {
                let terms = sum.into_iter().chain([(level, -self.tasks.tasks[at].weight)]).collect();
                model.programme.constrain(terms, Relation::AtLeast, 0.0);
            }
        }
        let optimum = model.programme.solve(Method::Simplex)?;
        Ok((optimum.value(level), model.values(&optimum)))
    }

    /// Settles the tasks that cannot get beyond this level while all others keep it: at least one.
    fn settle(&mut self, level: f64) -> Result<(), ProgrammeError> {
        let mut highest = Vec::new();
        for at in (0..self.settled.len()).filter(|&at| self.settled[at].is_none()) {
            highest.push((at, self.highest(at, level)?));
        }
        let margin = TOLERANCE * level.max(1.0);
        let lowest = highest.iter().map(|(_, top)| *top).fold(f64::INFINITY, f64::min);
        for (at, top) in highest {
            if top <= level + margin || top <= lowest {
                self.settled[at] = Some(level);
            }
        }
        Ok(())
    }

    /// How high one task can get while the others keep a level.
    fn highest(&self, at: usize, level: f64) -> Result<f64, ProgrammeError> {
        let mut model = self.model(Programme::new(Goal::Maximise));
        let weight = self.tasks.tasks[at].weight;
        for &var in &model.units[at] {
            model.programme.objective[var.0] = 1.0 / weight;
        }
        for (other, sum) in self.sums(&model).into_iter().enumerate() {
            if self.settled[other].is_none() && other != at {
                // A little less than the level, so that the noise of the solver leaves it possible.
                let units = level * self.tasks.tasks[other].weight * (1.0 - TOLERANCE * 0.01);
                model.programme.constrain(sum, Relation::AtLeast, units);
            }
        }
        Ok(model.programme.solve(Method::Simplex)?.objective)
    }

    /// Units under all limits, demands and settled levels.
    fn model(&self, programme: Programme) -> Model {
        let horizon = Horizon::Fixed(self.tasks.within_s.unwrap_or(1.0));
        let mut model = self.tasks.model(programme, horizon);
        for (at, sum) in self.sums(&model).into_iter().enumerate() {
            let task = &self.tasks.tasks[at];
            let settled =
                self.settled[at].map_or(0.0, |level| level * task.weight * (1.0 - TOLERANCE * 0.01));
            keep_between(&mut model.programme, sum, task.demand.max(settled), task.most);
        }
        model
    }

    fn sums(&self, model: &Model) -> Vec<Vec<(Var, f64)>> {
        model.units.iter().map(|vars| vars.iter().map(|&var| (var, 1.0)).collect()).collect()
    }
}
