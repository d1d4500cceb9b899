//! `yardmaster slurm` as a command, with programs in place of Slurm's that give recorded answers.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::support::{Bench, ours};

/// A folder with `squeue`, `sinfo` and `scontrol`; the last notes what it is told.
fn site() -> Bench {
    let bench = Bench::new();
    let recorded = |file: &str| ours(&format!("tests/data/slurm/{file}")).display().to_string();
    let (jobs, nodes) = (recorded("squeue-22.05.json"), recorded("sinfo-22.05.json"));
    let partitions = recorded("partitions-22.05.txt");
    for (program, script) in [
        ("squeue", format!("exec cat {jobs}")),
        ("sinfo", format!("case \"$*\" in *--json*) exec cat {nodes} ;; *) exec cat {partitions} ;; esac")),
        ("scontrol", "echo \"$@\" >>told".to_owned()),
    ] {
        bench.put(program, format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(bench.path(program), Permissions::from_mode(0o755)).unwrap();
    }
    bench
}

/// The command, which finds the programs in the folder before all others.
fn slurm(bench: &Bench, arguments: &str) -> Command {
    let mut command = bench.command(&format!("slurm {arguments}"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", bench.path("").display()));
    command
}

fn run(bench: &Bench, arguments: &str) -> (Output, String) {
    let output = slurm(bench, arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked") && output.stdout.is_empty(), "{said}");
    (output, said)
}

#[test]
fn a_dry_run_says_what_it_would_do_and_changes_nothing() {
    let bench = site();
    let (output, said) = run(&bench, "--policy mct --partition gpu --once --dry-run");
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("job 2: would release on gpu1: yardmaster: placed on gpu1 (v100) by mct"),
        "{said}"
    );
    assert!(!bench.list().contains(&"told".to_owned()));
    let (output, said) = run(&bench, "--policy mct --partition gpu --once");
    assert!(output.status.success(), "{said}");
    let told = bench.get("told");
    assert!(told.lines().any(|line| line == "release 2"), "{told}");
}

#[test]
fn nothing_is_done_while_the_disable_file_is_there() {
    let bench = site();
    bench.put("off", "");
    let (output, said) = run(&bench, "--policy mct --partition gpu --once --disable-file off");
    assert!(output.status.success() && said.contains("off is there: nothing is done"), "{said}");
    assert!(!bench.list().contains(&"told".to_owned()));
}

#[test]
fn a_partition_that_is_not_there_is_an_error_with_those_that_are() {
    let bench = site();
    // Without --once, too: it would wait in vain.
    for once in ["", "--once"] {
        let (output, said) = run(&bench, &format!("--policy mct --partition gup {once}"));
        assert_eq!(output.status.code(), Some(1), "{said}");
        let last = said.lines().last().unwrap();
        assert_eq!(last, "error: there is no partition \"gup\": name one that is there, gpu, debug, spare");
    }
    let (output, said) = run(&bench, "--policy mct --partition debug --once");
    assert!(output.status.success() && said.contains("debug, which has no node with GPUs"), "{said}");
}

#[test]
fn what_cannot_work_is_told_at_once() {
    let bench = site();
    bench.put("bad.toml", "patience_s = 60\nkind = 3\n");
    bench.put("p.safetensors", "nothing");
    for (arguments, wanted) in [
        ("--partition gpu", "--policy <NAME>|--checkpoint <FILE>"),
        ("--policy mct", "--partition <NAME>"),
        ("--policy mcd --partition gpu", "mct"),
        ("--checkpoint absent.safetensors --partition gpu", "absent.safetensors"),
        ("--checkpoint p.safetensors --partition gpu", "p.safetensors"),
        ("--policy mct --partition gpu --config absent.toml", "cannot read absent.toml"),
        ("--policy mct --partition gpu --config bad.toml", "bad.toml"),
        ("--policy mct --partition gpu --interval never", "--interval"),
    ] {
        let (output, said) = run(&bench, arguments);
        assert!(!output.status.success() && said.contains(wanted), "{arguments}: {said}\nlacks {wanted:?}");
    }
    let mut without = bench.command("slurm --policy mct --partition gpu --once");
    let output = without.env("PATH", "/nowhere").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("is Slurm installed"), "{said}");
}
