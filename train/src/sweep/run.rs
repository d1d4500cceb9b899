//! The runs of a sweep, as processes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use super::plan::{Plan, Task};
use crate::config::Config;
use crate::curves::History;

/// The frozen policy of a run, where test episodes are asked for.
pub(super) const POLICY: &str = "policy.safetensors";

/// Does what has not been done; gives what failed.
pub(super) fn all(plan: &Plan, out: &Path) -> Result<Vec<String>> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    // What was made with other settings is told before anything runs.
    for task in &plan.tasks {
        check(task, &out.join(task.folder()))?;
    }
    let worker = || {
        while let Some(task) = plan.tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = one(task, &out.join(task.folder()), plan.test) {
                let name = task.folder().display().to_string();
                eprintln!("{name}: FAILED: {error:#}");
                failures.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{name}: {error:#}"));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.min(plan.tasks.len()) {
            scope.spawn(worker);
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort();
    Ok(failures)
}

/// The settings file of a run, beside its folder.
fn settings(folder: &Path) -> PathBuf {
    folder.with_extension("toml")
}

/// Refuses a folder that holds a run with other settings.
fn check(task: &Task, folder: &Path) -> Result<()> {
    let path = settings(folder);
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let shown = path.display();
    let before: Config = toml::from_str(&text).with_context(|| format!("in {shown}"))?;
    ensure!(
        task.config.continues(&before),
        "{} was made with other settings ({shown}): remove it, or give another --out",
        folder.display()
    );
    Ok(())
}

fn one(task: &Task, folder: &Path, test: bool) -> Result<()> {
    let name = task.folder().display().to_string();
    let done =
        |folder: &Path| History::read(folder).is_ok_and(|history| history.steps() >= task.config.steps);
    if !(done(folder) && folder.join("curves.svg").is_file()) {
        eprintln!("{name}: training");
        train(task, folder)?;
    }
    let policy = folder.join(POLICY);
    if test && !policy.is_file() {
        eprintln!("{name}: test episodes");
        let mut export = program()?;
        export.arg("export").arg("--run").arg(folder).arg("--out").arg(&policy);
        finish(export, folder)?;
    }
    Ok(())
}

fn train(task: &Task, folder: &Path) -> Result<()> {
    let path = settings(folder);
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    fs::write(&path, toml::to_string(&task.config)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let mut train = program()?;
    train.arg("--scenario").arg(&task.scenario).arg("--out").arg(folder).arg("--config").arg(&path);
    if folder.join("last.safetensors").is_file() {
        train.arg("--resume");
    } else if folder.exists() {
        // It was interrupted before there was anything to go on from.
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    finish(train, folder)
}

/// This program.
fn program() -> Result<Command> {
    Ok(Command::new(std::env::current_exe().context("cannot tell which program this is")?))
}

/// Waits for a process, whose output goes into a log beside the folder.
fn finish(mut command: Command, folder: &Path) -> Result<()> {
    let path = folder.with_extension("log");
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let status = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).status();
    let status = status.context("cannot start a run")?;
    let text = fs::read_to_string(&path).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    ensure!(status.success(), "{status}: {last} (all in {})", path.display());
    Ok(())
}
