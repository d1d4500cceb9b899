//! Sweeps: the same training with other settings and seeds, one run after another or several at once.
//!
//! A file says what differs; see [`plan::Spec`]. Each run is a process of its own in a folder of its own, so that an
//! interrupted sweep goes on where it was, and what fails does not take the others with it.

pub mod plan;
mod run;
mod summary;

use std::path::Path;

use anyhow::{Context, Result, bail};

use self::plan::{Plan, Spec};
use crate::curves::overlay;
use crate::say::say;

/// Runs what a file asks for, as far as it has not been done; leaves the runs, `summary.md`, `summary.json` and the curves
/// of each scenario in `out`.
///
/// # Errors
/// A file that asks for something impossible; runs that failed, after all others have been done and summed up.
pub fn sweep(file: &Path, out: &Path) -> Result<()> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let spec: Spec = toml::from_str(&text).with_context(|| format!("in {shown}"))?;
    let plan = Plan::new(&spec).with_context(|| format!("in {shown}"))?;
    let failures = run::all(&plan, out)?;
    let runs = summary::collect(&plan, out)?;
    let rows = summary::rows(&plan, &runs);
    let write = |name: &str, text: String| {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("summary.json", serde_json::to_string_pretty(&rows)? + "\n")?;
    let table = summary::table(&plan, &rows);
    write("summary.md", table.clone())?;
    for scenario in &plan.scenarios {
        let mine = runs.iter().filter(|run| run.task.scenario == *scenario);
        let curves: Vec<_> = mine.map(|run| (run.task.variant.as_str(), &run.history)).collect();
        if !curves.is_empty() {
            write(&format!("curves-{}.svg", plan::file_name(scenario)), overlay(scenario, &curves))?;
        }
    }
    say(&table)?;
    match failures.len() {
        0 => Ok(()),
        count => bail!("{count} of {} runs failed: {}", plan.tasks.len(), failures.join("; ")),
    }
}
