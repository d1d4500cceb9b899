//! One row of a table, from texts to a job.

use std::borrow::Cow;
use std::str::FromStr;

use super::{COLUMNS, TraceError, seconds};
use crate::catalog::Catalog;
use crate::job::{Job, Task, Truth};
use crate::suggest::suggestion;
use crate::units::{Span, Time};

const WHOLE: &str = "a whole number";
const ABOVE_0: &str = "a whole number above 0";

/// The cells of a row, by column.
pub(super) struct Row<'a> {
    cells: [Option<Cow<'a, str>>; COLUMNS.len()],
    name: &'a str,
    line: usize,
}

impl<'a> Row<'a> {
    pub(super) fn new(name: &'a str, line: usize) -> Row<'a> {
        Row { cells: Default::default(), name, line }
    }

    /// Fills a cell; an empty text leaves it absent.
    pub(super) fn set(&mut self, column: usize, value: Cow<'a, str>) {
        self.cells[column] = Some(value).filter(|value| !value.is_empty());
    }

    pub(super) fn job(&self, catalog: &Catalog) -> Result<(Job, Truth), TraceError> {
        let label = self.number("job_id", WHOLE)?.ok_or_else(|| self.missing("job_id"))?;
        let arrival = Time(self.seconds("arrival_s")?.ok_or_else(|| self.missing("arrival_s"))?.0);
        let (task, truth) = self.task(catalog)?;
        let gang = self.positive("devices")?.unwrap_or(1);
        if matches!(task, Task::Request { .. }) && gang != 1 {
            return Err(self.bad_cell("devices", "1 for an inference request".into()));
        }
        let procs = self.positive("procs")?.unwrap_or(gang);
        let deadline = self.seconds("deadline_s")?.map(|span| arrival + span);
        let weight = self.number("weight", "a number from 0")?.unwrap_or(1.0);
        if !(f64::is_finite(weight) && weight >= 0.0) {
            return Err(self.bad_cell("weight", "a number from 0".into()));
        }
        Ok((Job { procs, weight, deadline, ..Job::new(label, arrival, task, gang) }, truth))
    }

    fn task(&self, catalog: &Catalog) -> Result<(Task, Truth), TraceError> {
        let (duration, requested) = (self.seconds("duration_s")?, self.seconds("requested_s")?);
        let (batch, samples) = (self.positive("batch")?, self.number("samples", WHOLE)?);
        if samples == Some(0) {
            return Err(self.bad_cell("samples", ABOVE_0.into()));
        }
        match (self.text("model"), duration.or(requested), batch, samples) {
            (None, Some(either), None, None) => {
                let task = Task::Rigid { requested: requested.unwrap_or(either) };
                Ok((task, duration.map_or(Truth::AsEstimated, Truth::Duration)))
            }
            (Some(model), None, Some(batch), Some(samples)) => {
                let names = catalog.training_models().iter().map(|model| model.name.as_str());
                let id = catalog.training(model).ok_or_else(|| self.unknown_model("training", model, names))?;
                Ok((Task::Training { model: id, batch, samples }, Truth::AsEstimated))
            }
            (Some(model), None, None, None) => {
                let names = catalog.inference_models().iter().map(|model| model.name.as_str());
                let id = catalog.inference(model).ok_or_else(|| self.unknown_model("inference", model, names))?;
                Ok((Task::Request { model: id }, Truth::AsEstimated))
            }
            _ => Err(self.bad_row(
                "give `duration_s` or `requested_s` (rigid), or `model`, `batch` and `samples` (training), or `model` \
                 alone (request)",
            )),
        }
    }

    fn text(&self, column: &str) -> Option<&str> {
        let at = COLUMNS.iter().position(|known| *known == column)?;
        self.cells[at].as_deref()
    }

    fn number<T: FromStr>(&self, column: &'static str, must: &str) -> Result<Option<T>, TraceError> {
        let parse = |text: &str| text.parse().map_err(|_| self.bad_cell(column, must.into()));
        self.text(column).map(parse).transpose()
    }

    fn positive(&self, column: &'static str) -> Result<Option<u32>, TraceError> {
        match self.number(column, ABOVE_0)? {
            Some(0) => Err(self.bad_cell(column, ABOVE_0.into())),
            number => Ok(number),
        }
    }

    fn seconds(&self, column: &'static str) -> Result<Option<Span>, TraceError> {
        let parse =
            |text| seconds::parse(text).map(Span).ok_or_else(|| self.bad_cell(column, seconds::MUST.into()));
        self.text(column).map(parse).transpose()
    }

    fn unknown_model<'b>(&self, sort: &str, model: &str, names: impl Iterator<Item = &'b str>) -> TraceError {
        self.bad_cell("model", format!("one of the catalogue's {sort} models; {}", suggestion(model, names)))
    }

    fn bad_cell(&self, column: &'static str, must: String) -> TraceError {
        let value = self.text(column).unwrap_or_default().into();
        TraceError::BadCell { name: self.name.into(), line: self.line, column, value, must }
    }

    fn missing(&self, column: &str) -> TraceError {
        self.bad_row(&format!("`{column}` is missing; each job needs one"))
    }

    fn bad_row(&self, message: &str) -> TraceError {
        TraceError::BadRow { name: self.name.into(), line: self.line, message: message.into() }
    }
}
