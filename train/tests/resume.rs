//! The trainer as a process: a run that is killed goes on as if nothing had been, and its export is accepted.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use yardmaster_agent::frozen;
use yardmaster_env::observe::Schema;

fn trainer(out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yardmaster-train"));
    command.args(["--scenario", "tiny", "--seed", "3", "--envs", "8", "--threads", "1"]);
    command.arg("--out").arg(out).args(more).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn iterations(run: &Path) -> usize {
    fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

/// Starts a run and kills it once it has done some iterations.
fn kill_after(run: &Path, count: usize) {
    let mut child = trainer(run, &["--steps", "8000"]).spawn().unwrap();
    let begin = Instant::now();
    while iterations(run) < count {
        assert!(begin.elapsed() < Duration::from_secs(120), "the run makes no progress");
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    // Nothing that the program does at its end was done.
    #[cfg(unix)]
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
    assert!(!status.success());
}

#[test]
fn a_killed_run_goes_on_bit_for_bit_and_exports_the_same_policy() {
    let folder = tempfile::tempdir().unwrap();
    let [straight, killed] = ["straight", "killed"].map(|name| folder.path().join(name));
    assert!(trainer(&straight, &["--steps", "8000"]).status().unwrap().success());
    kill_after(&killed, 12);
    let (done, all) = (iterations(&killed), iterations(&straight));
    assert!(done < all, "killed after {done} of {all} iterations");
    let checkpoint = fs::read(killed.join("last.safetensors")).unwrap();
    assert!(checkpoint != fs::read(straight.join("last.safetensors")).unwrap());
    assert!(trainer(&killed, &["--resume"]).status().unwrap().success());
    for file in ["last.safetensors", "best.safetensors"] {
        assert!(
            fs::read(straight.join(file)).unwrap() == fs::read(killed.join(file)).unwrap(),
            "{file} differs"
        );
    }
    assert_eq!(iterations(&straight), iterations(&killed));

    let policy = folder.path().join("not/yet/policy.safetensors");
    let mut export = Command::new(env!("CARGO_BIN_EXE_yardmaster-train"));
    export.arg("export").arg("--run").arg(&killed).arg("--out").arg(&policy).stdout(Stdio::null());
    assert!(export.status().unwrap().success());
    let frozen = frozen::read(&fs::read(&policy).unwrap()).unwrap();
    assert_eq!(frozen.card().origin.schema, Schema::current());
    frozen.verify_golden().unwrap();
    assert_eq!(frozen.card().origin.scenario, "tiny");
}

#[test]
fn a_run_is_not_overwritten_and_mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert!(trainer(&run, &["--steps", "500"]).status().unwrap().success());
    let complaint = |mut command: Command| {
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(complaint(trainer(&run, &["--steps", "500"])).contains("--resume"));
    assert!(complaint(trainer(&run, &["--resume", "--steps", "900"])).contains("other settings"));
    let mut unknown = Command::new(env!("CARGO_BIN_EXE_yardmaster-train"));
    unknown.args(["--scenario", "pool21", "--out"]).arg(folder.path().join("new"));
    assert!(complaint(unknown).contains("pool12"));
    let settings = folder.path().join("settings.toml");
    fs::write(&settings, "learning_rat = 0.1\n").unwrap();
    let mut typo = trainer(&folder.path().join("typo"), &["--config"]);
    typo.arg(&settings);
    assert!(complaint(typo).contains("learning_rat"));
}
