//! Which constraints an impossible allocation breaks, and by how much.

use super::error::{AllocationError, Short};
use super::spec::Objective;
use super::tasks::{Horizon, Model, Tasks, keep_between};
use crate::optimise::programme::{Goal, Method, Programme, ProgrammeError, Relation, Var};

/// Less than this part of what there is, is noise of the solver.
const NOISE: f64 = 1e-7;

/// What is missing, least in all, each relative to what there is.
pub(super) fn infeasible(tasks: &Tasks, file: &str) -> AllocationError {
    match elastic(tasks).and_then(|short| Ok((short, fitting(tasks)?))) {
        Ok((short, fits)) => AllocationError::Infeasible { file: file.into(), short, fits },
        Err(why) => AllocationError::Programme { file: file.into(), why },
    }
}

/// The elastic relaxation: every limit may be exceeded at a price, and demands are met at the least price (Chinneck,
/// "Feasibility and Infeasibility in Optimization", 2008).
fn elastic(tasks: &Tasks) -> Result<Vec<Short>, ProgrammeError> {
    let mut programme = Programme::new(Goal::Minimise);
    let horizon = horizon(tasks, &mut programme);
    let mut model = tasks.model(programme, horizon);
    keep_demands(&mut model, tasks);
    let mut excess = Vec::new();
    for limit in &model.limits {
        let bound = model.programme.rows[limit.row].bound;
        let price = if bound > 0.0 { 1.0 / bound } else { 1.0 };
        let var = model.programme.add(price, (0.0, f64::INFINITY));
        model.programme.rows[limit.row].terms.push((var, -1.0));
        excess.push(var);
    }
    let optimum = model.programme.solve(Method::Simplex)?;
    let mut short = Vec::new();
    for (limit, var) in model.limits.iter().zip(excess) {
        let allowed = model.programme.rows[limit.row].bound;
        if optimum.value(var) > NOISE * allowed.max(NOISE) {
            let constraint = name(tasks, limit.resource, limit.index);
            short.push(Short { constraint, allowed, needed: allowed + optimum.value(var) });
        }
    }
    Ok(short)
}

/// The largest part of every demand that fits.
fn fitting(tasks: &Tasks) -> Result<f64, ProgrammeError> {
    let mut programme = Programme::new(Goal::Maximise);
    let part = programme.add(1.0, (0.0, 1.0));
    let horizon = horizon(tasks, &mut programme);
    let mut model = tasks.model(programme, horizon);
    for (task, vars) in tasks.tasks.iter().zip(&model.units) {
        let sum = vars.iter().map(|&var| (var, 1.0)).chain([(part, -task.demand)]).collect();
        model.programme.constrain(sum, Relation::AtLeast, 0.0);
    }
    Ok(model.programme.solve(Method::Simplex)?.value(part))
}

fn keep_demands(model: &mut Model, tasks: &Tasks) {
    for (task, vars) in tasks.tasks.iter().zip(&model.units) {
        let sum: Vec<(Var, f64)> = vars.iter().map(|&var| (var, 1.0)).collect();
        keep_between(&mut model.programme, sum, task.demand, task.most);
    }
}

/// Where the time is what is made short, it costs nothing here: only a capacity of 0 is then too little.
fn horizon(tasks: &Tasks, programme: &mut Programme) -> Horizon {
    match tasks.objective {
        Objective::MinimumCompletionTime => Horizon::Free(programme.add(0.0, (0.0, f64::INFINITY))),
        _ => Horizon::Fixed(tasks.within_s.unwrap_or(1.0)),
    }
}

fn name(tasks: &Tasks, resource: bool, index: usize) -> String {
    let time = tasks.within_s.map_or(String::new(), |time_s| format!(" for {time_s} s"));
    if resource {
        let (name, capacity) = &tasks.resources[index];
        let seconds = if tasks.within_s.is_some() {
            format!(" ({capacity}{time}, in unit-seconds)")
        } else {
            String::new()
        };
        format!("the capacity of {name:?}{seconds}")
    } else {
        let task = &tasks.tasks[index];
        format!("what task {:?} can do{time} with at_once = {} (in seconds)", task.name, task.at_once)
    }
}
