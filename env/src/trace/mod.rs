//! Readers of recorded workloads.
//!
//! They take the text of a file, and its name only to say where a fault is. Nothing is repaired in silence:
//! each reader says in a [`ReadReport`] what it dropped or adjusted, and refuses what it cannot understand.

pub mod azure_llm;
pub mod gavel;
mod moment;
pub mod openb;
pub mod philly;
mod seconds;
mod sheet;
pub mod swf;
pub mod table;

use thiserror::Error;

use crate::job::{Job, Truth, Workload};
use crate::units::Time;

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

/// The layouts of CSV files that are told apart by their header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// The project's own; also what no other layout fits.
    Own,
    /// Philly's jobs.
    Philly,
    /// The nodes of openb: a cluster, not a workload.
    OpenbNodes,
    /// The pods of openb.
    OpenbPods,
    /// The requests of Azure's language models.
    AzureLlm,
}

impl TableFormat {
    /// The layout of a CSV text: the one that has most of its columns in the header, and more than one of them.
    pub fn of(text: &str) -> TableFormat {
        let header = header(text);
        let layouts: [(TableFormat, &[&str]); 6] = [
            (TableFormat::Own, &table::COLUMNS),
            (TableFormat::Philly, &philly::COLUMNS),
            (TableFormat::OpenbNodes, &openb::NODE_COLUMNS),
            (TableFormat::OpenbPods, &openb::POD_COLUMNS),
            (TableFormat::AzureLlm, &azure_llm::COLUMNS[0]),
            (TableFormat::AzureLlm, &azure_llm::COLUMNS[1]),
        ];
        let known = |columns: &[&str]| columns.iter().filter(|column| header.contains(column)).count();
        let (mut best, mut most) = (TableFormat::Own, 1);
        for (format, columns) in layouts {
            if known(columns) > most {
                (best, most) = (format, known(columns));
            }
        }
        best
    }
}

/// The columns of the first line.
fn header(text: &str) -> Vec<&str> {
    let line = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default();
    line.split(',').map(|column| column.trim().trim_matches('"')).collect()
}

/// The workload of these jobs, in order of arrival and counted from the first.
fn finish(
    mut jobs: Vec<(Job, Truth)>,
    mut report: ReadReport,
    name: &str,
) -> Result<(Workload, ReadReport), TraceError> {
    let Some(first) = jobs.iter().map(|(job, _)| job.arrival).min() else {
        return Err(TraceError::Empty { name: name.into(), rows: report.rows });
    };
    for (job, _) in &mut jobs {
        job.arrival = Time::ZERO + job.arrival.since(first);
    }
    report.kept = jobs.len();
    if !jobs.is_sorted_by_key(|(job, _)| job.arrival) {
        report.notes.push("rows were not in order of arrival and have been sorted".into());
        jobs.sort_by_key(|(job, _)| job.arrival);
    }
    let (jobs, truths) = jobs.into_iter().unzip();
    Ok((Workload { jobs, truths, ..Workload::default() }, report))
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

#[cfg(test)]
mod tests;
