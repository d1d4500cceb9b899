//! Static allocation: who gets how much of what, once, without a clock. `yardmaster allocate` solves a file.
//!
//! A file asks up to three questions, each with a model of its own:
//!
//! - `[[tasks]]` under `[capacities]`, with an `objective`: a linear programme, see [`tasks`];
//! - `[placement]`: which node gets the next tasks, see [`choice`];
//! - `[transfer]`: which path carries data, see [`choice`].

pub mod choice;
mod error;
mod explain;
mod spec;
pub mod tasks;
#[cfg(test)]
mod tests;
mod water_filling;

use serde::Serialize;

pub use choice::{Breakpoint, PathRow, Placed, Transfer};
pub use error::{AllocationError, Short};
pub use spec::{Objective, Question, Task, Way};
pub use tasks::{Allocation, ResourceRow, TaskRow, WayRow};

/// The answers to a file, in the order of its questions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Of `[[tasks]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Allocation>,
    /// Of `[placement]`: one row a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Vec<Placed>>,
    /// Of `[transfer]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
}

/// Reads and answers the text of a file that is called `file` in messages.
///
/// # Errors
/// The file is malformed, a value is out of its range, the demands do not fit (with what is missing), or there is no
/// end to what could be allocated.
pub fn solve(text: &str, file: &str) -> Result<Answer, AllocationError> {
    let question = Question::parse(text, file)?;
    let allocation = question.tasks.as_ref().map(|tasks| tasks.solve(file)).transpose()?;
    let placement = question.placement.as_ref().map(|nodes| nodes.place(file)).transpose()?;
    let transfer = question.transfer.as_ref().map(choice::Paths::choose);
    Ok(Answer { allocation, placement, transfer })
}
