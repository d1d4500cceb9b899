//! The project's own trace format, as CSV with a header line or as JSONL with the same names as keys.
//!
//! | column | meaning |
//! |---|---|
//! | `job_id` | a number, kept as the job's label |
//! | `arrival_s` | seconds since the start |
//! | `duration_s`, `requested_s` | a rigid job's true and requested duration; either stands for both |
//! | `model`, `batch`, `samples` | a training job; `batch` counts the samples per step of the whole gang |
//! | `model` alone | an inference request |
//! | `devices` | size of the gang, 1 if absent |
//! | `procs` | processors asked for, as many as devices if absent |
//! | `deadline_s` | seconds from arrival, none if absent |
//! | `weight` | 1 if absent |
//!
//! An empty cell and a JSON null are absent. Times have nanosecond resolution; in CSV they are exact, unless
//! written with an exponent.

mod object;
mod row;

use std::borrow::Cow;

use super::sheet::{self, Lines};
use super::{ReadReport, TraceError, seconds};
use crate::catalog::Catalog;
use crate::job::{Job, Task, Truth, Workload};
use crate::suggest::suggestion;
use object::Object;
use row::Row;

/// Columns in the order in which they are written.
pub(super) const COLUMNS: [&str; 11] = [
    "job_id",
    "arrival_s",
    "duration_s",
    "requested_s",
    "model",
    "batch",
    "samples",
    "devices",
    "procs",
    "deadline_s",
    "weight",
];

/// Reads a CSV table; jobs come out in order of arrival, those of one moment in the order of the file.
///
/// # Errors
/// A column that is unknown, double or missing, a cell or row that cannot be used, a model that the catalogue
/// does not have, or no row at all.
pub fn parse_csv(text: &str, name: &str, catalog: &Catalog) -> Result<(Workload, ReadReport), TraceError> {
    let text = text.trim_start_matches('\u{feff}');
    let malformed = |error: csv::Error| sheet::malformed(&error, text, name);
    let mut lines = Lines::new(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut columns = Vec::new();
    for column in reader.headers().map_err(malformed)? {
        columns.push(known_column(column, &columns, name, 1)?);
    }
    let mut jobs = Vec::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let mut row = Row::new(name, lines.at(record.position()));
        for (column, value) in columns.iter().zip(record.iter()) {
            row.set(*column, Cow::Borrowed(value));
        }
        jobs.push(row.job(catalog)?);
    }
    finish(jobs, name)
}

/// Reads a table with one JSON object a line; blank lines are skipped. Otherwise as [`parse_csv`].
///
/// # Errors
/// As [`parse_csv`], and for a line that is not a JSON object of numbers and texts.
pub fn parse_jsonl(text: &str, name: &str, catalog: &Catalog) -> Result<(Workload, ReadReport), TraceError> {
    let mut jobs = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |message| TraceError::BadRow { name: name.into(), line: at + 1, message };
        let object: Object =
            serde_json::from_str(line).map_err(|error| bad(format!("not a JSON object: {error}")))?;
        let mut seen = Vec::new();
        let mut row = Row::new(name, at + 1);
        for (key, value) in object.0 {
            let column = known_column(&key, &seen, name, at + 1)?;
            seen.push(column);
            let value = match value {
                serde_json::Value::Null => continue,
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::String(text) => text,
                other => return Err(bad(format!("`{key}` is {other}; it must be a number or a text"))),
            };
            row.set(column, Cow::Owned(value));
        }
        jobs.push(row.job(catalog)?);
    }
    finish(jobs, name)
}

/// Writes a workload so that [`parse_csv`] gives it back, if it is in order of arrival and no deadline lies
/// before its arrival. The truth about a job that is not rigid is not written, nor what a job of [`Task::Steps`] computes. Panics on ids of another
/// catalogue.
pub fn to_csv(workload: &Workload, catalog: &Catalog) -> String {
    let mut text = COLUMNS.join(",");
    text.push('\n');
    for (job, truth) in workload.jobs.iter().zip(&workload.truths) {
        text.push_str(&cells(job, *truth, catalog).join(","));
        text.push('\n');
    }
    text
}

fn cells(job: &Job, truth: Truth, catalog: &Catalog) -> [String; COLUMNS.len()] {
    let mut cells: [String; COLUMNS.len()] = Default::default();
    cells[0] = job.label.to_string();
    cells[1] = seconds::write(job.arrival.0);
    match job.task {
        Task::Rigid { requested } => {
            if let Truth::Duration(duration) = truth {
                cells[2] = seconds::write(duration.0);
            }
            cells[3] = seconds::write(requested.0);
        }
        Task::Training { model, batch, samples } => {
            cells[4] = quoted(&catalog.training_model(model).name);
            cells[5] = batch.to_string();
            cells[6] = samples.to_string();
        }
        // The table has no columns for speeds that came with another trace.
        Task::Steps { .. } => {}
        Task::Request { model } => cells[4] = quoted(&catalog.inference_model(model).name),
    }
    cells[7] = job.gang.to_string();
    if job.procs != job.gang {
        cells[8] = job.procs.to_string();
    }
    if let Some(deadline) = job.deadline {
        cells[9] = seconds::write(deadline.since(job.arrival).0);
    }
    // The shortest text that reads back as the same number.
    cells[10] = job.weight.to_string();
    cells
}

fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.into() }
}

fn known_column(column: &str, seen: &[usize], name: &str, line: usize) -> Result<usize, TraceError> {
    let at = COLUMNS.iter().position(|known| *known == column).ok_or_else(|| TraceError::UnknownColumn {
        name: name.into(),
        line,
        column: column.into(),
        suggestion: suggestion(column, COLUMNS),
    })?;
    if seen.contains(&at) {
        let message = format!("column `{column}` is there twice; remove one");
        return Err(TraceError::BadRow { name: name.into(), line, message });
    }
    Ok(at)
}

fn finish(mut jobs: Vec<(Job, Truth)>, name: &str) -> Result<(Workload, ReadReport), TraceError> {
    if jobs.is_empty() {
        return Err(TraceError::Empty { name: name.into(), rows: 0 });
    }
    let mut report = ReadReport { rows: jobs.len(), kept: jobs.len(), ..ReadReport::default() };
    if !jobs.is_sorted_by_key(|(job, _)| job.arrival) {
        report.notes.push("rows were not in order of arrival and have been sorted".into());
        jobs.sort_by_key(|(job, _)| job.arrival);
    }
    let (jobs, truths) = jobs.into_iter().unzip();
    Ok((Workload { jobs, truths, ..Workload::default() }, report))
}

#[cfg(test)]
mod tests;
