//! Readers of recorded workloads.
//!
//! They take the text of a file, and its name only to say where a fault is. Nothing is repaired in silence:
//! each reader says in a [`ReadReport`] what it dropped or adjusted, and refuses what it cannot understand.

pub mod gavel;
pub mod swf;
pub mod table;

use thiserror::Error;

/// What a reader did with the rows of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Rows that describe a job, kept or not.
    pub rows: usize,
    /// Rows that became jobs.
    pub kept: usize,
    /// Reasons for dropping a row, with the number of rows dropped for each.
    pub dropped: Vec<(String, usize)>,
    /// Other things to know: values that were adjusted, with their counts.
    pub notes: Vec<String>,
}

impl ReadReport {
    fn drop_row(&mut self, reason: &str) {
        match self.dropped.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => self.dropped.push((reason.into(), 1)),
        }
    }
}

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// A field holds something else than a decimal number.
    #[error(
        "{name} line {line}: field {field} is `{value}`, not a decimal number; repair or remove the line"
    )]
    NotANumber {
        /// Name of the file.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// Field, counted from 1.
        field: usize,
        /// What it holds.
        value: String,
    },
    /// A field holds a number that cannot be what it stands for.
    #[error("{name} line {line}: field {field} ({what}) is `{value}`; it must be {must}")]
    BadField {
        /// Name of the file.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// Field, counted from 1.
        field: usize,
        /// What the field stands for.
        what: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        must: &'static str,
    },
    /// A line ends too early.
    #[error("{name} line {line}: {found} fields, at least {need} are needed; the file may be cut off here")]
    Truncated {
        /// Name of the file.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// Fields found.
        found: usize,
        /// Fields needed.
        need: usize,
    },
    /// A header entry cannot be used.
    #[error("{name} line {line}: header `{key}` is `{value}`; it must be {must}")]
    BadHeader {
        /// Name of the file.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// The entry.
        key: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        must: &'static str,
    },
    /// The size of the cluster is not told.
    #[error("{name}: the header has no `MaxNodes`; add a line `; MaxNodes: <number of nodes>`")]
    NoMaxNodes {
        /// Name of the file.
        name: String,
    },
    /// Nodes would hold a fraction of a processor.
    #[error("{name}: MaxProcs {procs} is not a multiple of MaxNodes {nodes}; correct the header")]
    Indivisible {
        /// Name of the file.
        name: String,
        /// Processors of the cluster.
        procs: u32,
        /// Nodes of the cluster.
        nodes: u32,
    },
    /// A table has a column or key that means nothing here.
    #[error("{name} line {line}: unknown column `{column}`; {suggestion}")]
    UnknownColumn {
        /// Name of the file.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// The column or key.
        column: String,
        /// The nearest valid column, and all of them.
        suggestion: String,
    },
    /// A cell of a table cannot be used.
    #[error("{name} line {line}: `{column}` is `{value}`; it must be {must}")]
    BadCell {
        /// Name of the file.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// Its column or key.
        column: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        must: String,
    },
    /// The cells of a row do not go together.
    #[error("{name} line {line}: {message}")]
    BadRow {
        /// Name of the file.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong and what to do.
        message: String,
    },
    /// Not JSON, or something in it that is missing or does not belong there.
    #[error("{name}: {message}")]
    Json {
        /// Name of the file.
        name: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A value of a JSON file is out of its range.
    #[error("{name}: {what} is `{value}`; it must be {must}")]
    BadValue {
        /// Name of the file.
        name: String,
        /// Which value.
        what: String,
        /// What it is.
        value: String,
        /// What it may be.
        must: &'static str,
    },
    /// No job is left.
    #[error("{name}: none of {rows} rows is a job that can run; give a trace with at least one")]
    Empty {
        /// Name of the file.
        name: String,
        /// Rows read.
        rows: usize,
    },
}
