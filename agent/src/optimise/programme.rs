//! Linear programmes: variables with bounds, rows, and one linear function to be made small or large.

use good_lp::solvers::{Solution, SolverModel};
use good_lp::{Expression, ProblemVariables, ResolutionError, clarabel, constraint, microlp, variable};

/// Rows and bounds are met to this much, relative to the largest term of the row.
const TOLERANCE: f64 = 1e-6;

/// A variable of a programme: its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Var(pub usize);

/// How a row compares with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `=`
    Equal,
}

/// A linear constraint: the sum of `factor * variable` compared with a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Each variable at most once.
    pub terms: Vec<(Var, f64)>,
    /// How the sum compares.
    pub relation: Relation,
    /// With what.
    pub bound: f64,
}

/// Which way the objective goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// As small as possible.
    Minimise,
    /// As large as possible.
    Maximise,
}

/// Which point of the optima is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A vertex: the simplex method of microlp.
    Simplex,
    /// A point from the middle: the interior-point method of clarabel. For programmes that are known to have an
    /// optimum.
    Interior,
}

/// A linear programme.
#[derive(Clone, Debug, PartialEq)]
pub struct Programme {
    /// Which way.
    pub goal: Goal,
    /// By variable: its factor in the objective.
    pub objective: Vec<f64>,
    /// By variable: the least and the most it may be; infinite for no bound.
    pub bounds: Vec<(f64, f64)>,
    /// The constraints.
    pub rows: Vec<Row>,
}

/// An optimal point.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum {
    /// Of the objective.
    pub objective: f64,
    /// By variable.
    pub values: Vec<f64>,
}

impl Optimum {
    /// The value of one variable.
    pub fn value(&self, var: Var) -> f64 {
        self.values[var.0]
    }
}

/// Why a programme has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProgrammeError {
    /// No point meets all rows.
    #[error("no point meets all constraints")]
    Infeasible,
    /// The objective has no end.
    #[error("the objective can be improved without end")]
    Unbounded,
    /// The solver gave up, or its answer is wrong.
    #[error("the solver failed: {0}; numbers of very different size may be the cause")]
    Solver(String),
}

impl Programme {
    /// Without variables.
    pub fn new(goal: Goal) -> Programme {
        Programme { goal, objective: Vec::new(), bounds: Vec::new(), rows: Vec::new() }
    }

    /// A variable with its factor in the objective, and the least and the most it may be.
    pub fn add(&mut self, factor: f64, bounds: (f64, f64)) -> Var {
        self.objective.push(factor);
        self.bounds.push(bounds);
        Var(self.objective.len() - 1)
    }

    /// A constraint; one without terms is left out if it holds.
    pub fn constrain(&mut self, terms: Vec<(Var, f64)>, relation: Relation, bound: f64) {
        self.rows.push(Row { terms, relation, bound });
    }

    /// An optimal point, checked against all rows.
    ///
    /// # Errors
    /// There is none, or the solver has not found it.
    pub fn solve(&self, method: Method) -> Result<Optimum, ProgrammeError> {
        if self.rows.iter().any(|row| row.terms.iter().all(|(_, factor)| *factor == 0.0) && !row.holds(&[])) {
            return Err(ProgrammeError::Infeasible);
        }
        let values = match method {
            // With factors near 1, as its tolerances expect them.
            Method::Simplex => self.put_to(microlp, Row::scale),
            // Brings rows to scale by itself. How large they are decides which of many optima it ends in.
            Method::Interior => self.put_to(clarabel, |_| 1.0),
        };
        let values = values.map_err(|error| match error {
            ResolutionError::Infeasible => ProgrammeError::Infeasible,
            ResolutionError::Unbounded => ProgrammeError::Unbounded,
            other => ProgrammeError::Solver(other.to_string()),
        })?;
        self.check(&values)?;
        let objective = self.objective.iter().zip(&values).map(|(factor, value)| factor * value).sum();
        Ok(Optimum { objective, values })
    }

    /// The values that a solver finds for rows divided by a scale, moved into their bounds.
    fn put_to<S: good_lp::Solver>(
        &self,
        solver: S,
        scale: impl Fn(&Row) -> f64,
    ) -> Result<Vec<f64>, ResolutionError>
    where
        S::Model: SolverModel<Error = ResolutionError>,
    {
        let mut known = ProblemVariables::new();
        let bounds = self.bounds.iter();
        let vars: Vec<_> = bounds.map(|&(least, most)| known.add(variable().min(least).max(most))).collect();
        let sum = |terms: &mut dyn Iterator<Item = (usize, f64)>| {
            let mut sum = Expression::default();
            terms.for_each(|(at, factor)| sum.add_mul(factor, vars[at]));
            sum
        };
        let objective = sum(&mut self.objective.iter().copied().enumerate());
        let problem = match self.goal {
            Goal::Minimise => known.minimise(objective),
            Goal::Maximise => known.maximise(objective),
        };
        let mut model = problem.using(solver);
        for row in self.rows.iter().filter(|row| row.scale() > 0.0) {
            let scale = scale(row);
            let left = sum(&mut row.terms.iter().map(|(var, factor)| (var.0, factor / scale)));
            let bound = row.bound / scale;
            model.add_constraint(match row.relation {
                Relation::AtMost => constraint::leq(left, bound),
                Relation::AtLeast => constraint::geq(left, bound),
                Relation::Equal => constraint::eq(left, bound),
            });
        }
        let solution = model.solve()?;
        let inside = |(var, &(least, most)): (&good_lp::Variable, &(f64, f64))| {
            // Adding zero makes one of the two zeros.
            solution.value(*var).clamp(least, most) + 0.0
        };
        Ok(vars.iter().zip(&self.bounds).map(inside).collect())
    }

    /// Solvers can be wrong; their answers are cheap to check.
    fn check(&self, values: &[f64]) -> Result<(), ProgrammeError> {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(ProgrammeError::Solver(format!("variable {at} is {}", values[at])));
        }
        match self.rows.iter().position(|row| !row.holds(values)) {
            None => Ok(()),
            Some(at) => {
                let (sum, bound) = (self.rows[at].sum(values), self.rows[at].bound);
                Err(ProgrammeError::Solver(format!("row {at} adds up to {sum}, its bound is {bound}")))
            }
        }
    }
}

impl Row {
    /// The largest factor.
    fn scale(&self) -> f64 {
        self.terms.iter().map(|(_, factor)| factor.abs()).fold(0.0, f64::max)
    }

    /// The left side at a point.
    pub fn sum(&self, values: &[f64]) -> f64 {
        self.terms.iter().map(|&(var, factor)| factor * values.get(var.0).copied().unwrap_or(0.0)).sum()
    }

    fn holds(&self, values: &[f64]) -> bool {
        let size = |&(var, factor): &(Var, f64)| (factor * values.get(var.0).copied().unwrap_or(0.0)).abs();
        let largest = self.terms.iter().map(size).fold(self.bound.abs().max(self.scale()), f64::max);
        let over = self.sum(values) - self.bound;
        match self.relation {
            Relation::AtMost => over <= TOLERANCE * largest,
            Relation::AtLeast => -over <= TOLERANCE * largest,
            Relation::Equal => over.abs() <= TOLERANCE * largest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Maximise 3x + 5y under x <= 4, 2y <= 12, 3x + 2y <= 18: 36 at (2, 6) (Hillier and Lieberman's glass works).
    fn glass_works() -> Programme {
        let mut programme = Programme::new(Goal::Maximise);
        let [x, y] = [3.0, 5.0].map(|factor| programme.add(factor, (0.0, f64::INFINITY)));
        programme.constrain(vec![(x, 1.0)], Relation::AtMost, 4.0);
        programme.constrain(vec![(y, 2.0)], Relation::AtMost, 12.0);
        programme.constrain(vec![(x, 3.0), (y, 2.0)], Relation::AtMost, 18.0);
        programme
    }

    #[test]
    fn both_methods_find_a_unique_optimum() {
        for method in [Method::Simplex, Method::Interior] {
            let optimum = glass_works().solve(method).unwrap();
            assert!((optimum.objective - 36.0).abs() < 1e-6, "{method:?}: {optimum:?}");
            assert!((optimum.value(Var(0)) - 2.0).abs() < 1e-6, "{method:?}: {optimum:?}");
        }
    }

    #[test]
    fn of_many_optima_one_method_takes_a_vertex_and_the_other_the_middle() {
        let mut programme = Programme::new(Goal::Maximise);
        let [x, y] = [1.0, 1.0].map(|factor| programme.add(factor, (0.0, 1.0)));
        programme.constrain(vec![(x, 1.0), (y, 1.0)], Relation::AtMost, 1.0);
        let vertex = programme.solve(Method::Simplex).unwrap().values;
        assert!(vertex == [1.0, 0.0] || vertex == [0.0, 1.0], "{vertex:?}");
        let middle = programme.solve(Method::Interior).unwrap().values;
        assert!(middle.iter().all(|value| (value - 0.5).abs() < 1e-3), "{middle:?}");
    }

    #[test]
    fn what_has_no_answer_says_why() {
        let mut infeasible = glass_works();
        infeasible.constrain(vec![(Var(0), 1.0)], Relation::AtLeast, 5.0);
        assert_eq!(infeasible.solve(Method::Simplex), Err(ProgrammeError::Infeasible));
        let mut unbounded = glass_works();
        unbounded.add(1.0, (0.0, f64::INFINITY));
        assert_eq!(unbounded.solve(Method::Simplex), Err(ProgrammeError::Unbounded));
        let mut empty_row = glass_works();
        empty_row.constrain(Vec::new(), Relation::AtLeast, 1.0);
        assert_eq!(empty_row.solve(Method::Simplex), Err(ProgrammeError::Infeasible));
    }

    #[test]
    fn rows_of_bytes_are_as_good_as_rows_of_devices() {
        let mut programme = Programme::new(Goal::Maximise);
        let x = programme.add(1.0, (0.0, f64::INFINITY));
        programme.constrain(vec![(x, 4e9)], Relation::AtMost, 1e12);
        assert!((programme.solve(Method::Simplex).unwrap().value(x) - 250.0).abs() < 1e-6);
    }
}
