//! The run folder's log: TensorBoard events, and the same rows as JSON lines.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use tensorboard_rs::summary_writer::SummaryWriter;

/// An iteration's numbers under their TensorBoard names.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Number of the iteration.
    pub iteration: u64,
    /// Decisions made so far.
    pub steps: u64,
    /// Names and values, in order.
    pub rows: Vec<(String, f64)>,
}

impl Metrics {
    /// No numbers yet.
    pub fn new(iteration: u64, steps: u64) -> Self {
        Self { iteration, steps, rows: Vec::new() }
    }

    /// Adds a number.
    pub fn push(&mut self, name: &str, value: f64) {
        self.rows.push((name.to_owned(), value));
    }

    /// The number of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.rows.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    fn line(&self) -> String {
        let mut row = Map::from_iter([
            ("iteration".to_owned(), self.iteration.into()),
            ("steps".to_owned(), self.steps.into()),
        ]);
        row.extend(self.rows.iter().map(|(name, value)| (name.clone(), Value::from(*value))));
        Value::Object(row).to_string()
    }
}

/// Writes both.
pub struct Log {
    path: PathBuf,
    events: SummaryWriter,
}

impl Log {
    /// Opens the log of a run that has done `iteration` iterations; rows after that, of a run that was killed, go.
    pub fn open(folder: &Path, iteration: u64) -> Result<Self> {
        let path = folder.join("metrics.jsonl");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let number = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("iteration")?.as_u64();
        let kept = text.lines().filter(|line| number(line).is_some_and(|number| number <= iteration));
        let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
        fs::write(&path, kept).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { events: SummaryWriter::new(folder), path })
    }

    /// Appends an iteration.
    pub fn write(&mut self, metrics: &Metrics) -> Result<()> {
        let mut file = fs::OpenOptions::new().append(true).open(&self.path)?;
        writeln!(file, "{}", metrics.line())?;
        for (name, value) in &metrics.rows {
            self.events.add_scalar(name, *value as f32, metrics.steps as usize);
        }
        self.events.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(iteration: u64) -> Metrics {
        let mut metrics = Metrics::new(iteration, iteration * 100);
        metrics.push("charts/score", 0.5);
        metrics
    }

    #[test]
    fn rows_after_the_checkpoint_go_and_come_back_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path(), 0).unwrap();
        (1..=3).for_each(|iteration| log.write(&metrics(iteration)).unwrap());
        drop(log);
        let mut log = Log::open(folder.path(), 2).unwrap();
        log.write(&metrics(3)).unwrap();
        let text = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
        let numbers =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["iteration"].as_u64());
        assert_eq!(numbers.collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
        assert!(text.lines().all(|line| line.contains("\"charts/score\":0.5")));
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().any(|name| name.to_string_lossy().contains("tfevents")));
    }
}
