//! Why a file has no allocation.

use std::fmt::Write;

use crate::optimise::programme::ProgrammeError;

/// Why a file has no allocation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AllocationError {
    /// Not TOML, or a key that does not belong there.
    #[error("{file}: {why}")]
    Syntax {
        /// Which file.
        file: String,
        /// What the parser says, with the line.
        why: String,
    },
    /// A value out of its range, or one that is missing.
    #[error("{file} line {line}: {what}")]
    Value {
        /// Which file.
        file: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong and what would be right.
        what: String,
    },
    /// The demands do not fit into the capacities.
    #[error("{file}: the demands do not fit: {}{}", list(.short), part(*.fits))]
    Infeasible {
        /// Which file.
        file: String,
        /// What would have to give way, least in all relative to what there is.
        short: Vec<Short>,
        /// The part of every demand that would fit.
        fits: f64,
    },
    /// A task could get more and more.
    #[error(
        "{file} line {line}: task {task:?} can grow without end: give it `most`, or `needs` that a capacity limits"
    )]
    Unbounded {
        /// Which file.
        file: String,
        /// Where the task stands.
        line: usize,
        /// Its name.
        task: String,
    },
    /// No node has room.
    #[error(
        "{file}: task {task} fits on no node: {node:?}, the least loaded, has load {} of {capacity} and would be {} over",
        rounded(*.load),
        rounded(*.over)
    )]
    Full {
        /// Which file.
        file: String,
        /// The number of the task, from 1.
        task: usize,
        /// The node with the least load.
        node: String,
        /// Its load.
        load: f64,
        /// What it can bear.
        capacity: f64,
        /// By how much it would be exceeded.
        over: f64,
    },
    /// The solver has failed.
    #[error("{file}: {why}")]
    Programme {
        /// Which file.
        file: String,
        /// How.
        why: ProgrammeError,
    },
}

/// A constraint that cannot be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Short {
    /// Which, such as `capacity of "gpu"`.
    pub constraint: String,
    /// What it allows.
    pub allowed: f64,
    /// What the demands need.
    pub needed: f64,
}

fn list(short: &[Short]) -> String {
    let mut text = String::new();
    for (at, Short { constraint, allowed, needed }) in short.iter().enumerate() {
        let separator = if at > 0 { "; " } else { "" };
        let more = rounded(needed - allowed);
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{constraint} is {}, {more} too little", rounded(*allowed));
        let _ = write!(text, " (they need {})", rounded(*needed));
    }
    text
}

fn part(fits: f64) -> String {
    format!("; {:.1} % of every demand would fit", 100.0 * fits)
}

/// Without the noise of the solver.
fn rounded(value: f64) -> f64 {
    let scale = 10f64.powi(8 - value.abs().max(1e-12).log10().ceil() as i32);
    (value * scale).round() / scale
}
