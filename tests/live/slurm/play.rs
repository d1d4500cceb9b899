//! A workload on a cluster, in real time.

use std::fs;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::cluster::{Cluster, Yardmaster};
use super::workload::{Job, Workload};

/// What a job does: it sleeps for as long as it takes on its node, and notes where and when that was.
const SCRIPT: &str = r#"#!/bin/sh
case $SLURMD_NODENAME in
gpu1) seconds=$2 ;;
gpu2) seconds=$3 ;;
gpu3) seconds=$4 ;;
esac
begin=$(date +%s.%N)
sleep "$seconds"
echo "$SLURMD_NODENAME $begin $(date +%s.%N)" >"$1/$SLURM_JOB_ID.part"
mv "$1/$SLURM_JOB_ID.part" "$1/$SLURM_JOB_ID"
"#;

/// Who decides.
pub(super) struct Arm {
    /// In tables.
    pub(super) name: String,
    /// Arguments of `yardmaster slurm`; `None` leaves all to Slurm.
    yardmaster: Option<String>,
    restart: bool,
}

impl Arm {
    /// Slurm alone: `sched/backfill`, `select/cons_tres`, faster nodes first by their weights.
    pub(super) fn slurm() -> Arm {
        Arm { name: "slurm".into(), yardmaster: None, restart: false }
    }

    /// A rule, or a frozen policy of `checkpoints/` by its file name.
    pub(super) fn yardmaster(policy: &str) -> Arm {
        let arguments = if policy.ends_with(".safetensors") {
            format!("--checkpoint {}/checkpoints/{policy}", env!("CARGO_MANIFEST_DIR"))
        } else {
            format!("--policy {policy}")
        };
        Arm { name: format!("yardmaster {policy}"), yardmaster: Some(arguments), restart: false }
    }

    /// The same with slurmctld killed and started again when half of the jobs have been submitted.
    pub(super) fn with_restart(self) -> Arm {
        Arm { restart: true, ..self }
    }
}

/// What became of one job; moments in seconds since 1970.
pub(super) struct Row {
    pub(super) job: u32,
    pub(super) model: String,
    pub(super) node: String,
    pub(super) submit_s: f64,
    pub(super) start_s: f64,
    pub(super) end_s: f64,
}

/// What became of all.
pub(super) struct Run {
    /// Of jobs that completed, in order of submission.
    pub(super) rows: Vec<Row>,
    /// What `yardmaster slurm` said.
    pub(super) log: Option<String>,
}

impl Run {
    /// Mean of the times from submission to end.
    pub(super) fn mean_s(&self) -> f64 {
        self.rows.iter().map(|row| row.end_s - row.submit_s).sum::<f64>() / self.rows.len() as f64
    }

    /// From the first submission to the last end.
    pub(super) fn makespan_s(&self) -> f64 {
        let first = self.rows.iter().map(|row| row.submit_s).fold(f64::INFINITY, f64::min);
        self.rows.iter().map(|row| row.end_s).fold(0.0, f64::max) - first
    }
}

/// Submits a workload in real time and waits until all of it has completed.
pub(super) fn play(cluster: &Cluster, workload: &Workload, arm: &Arm) -> Run {
    fs::create_dir(cluster.path("out")).unwrap();
    fs::write(cluster.path("job.sh"), SCRIPT).unwrap();
    let yardmaster = arm.yardmaster.as_ref().map(|arguments| cluster.yardmaster(arguments));
    let begin = Instant::now();
    let mut submitted = Vec::new();
    for (at, job) in workload.jobs.iter().enumerate() {
        if arm.restart && at == workload.jobs.len() / 2 {
            check(&cluster.script("restart", &[]));
        }
        thread::sleep((begin + job.arrival).saturating_duration_since(Instant::now()));
        submitted.push((submit(cluster, job, yardmaster.is_some()), now_s()));
    }
    let done = |job: u32| cluster.path(&format!("out/{job}")).exists();
    let all = || submitted.iter().all(|&(job, _)| done(job));
    wait(cluster, yardmaster.as_ref(), all);
    cluster.until("all jobs are COMPLETED", || {
        let open = cluster.ok("squeue", &["--noheader", "--states=all", "--format=%T"]);
        open.lines().filter(|state| *state == "COMPLETED").count() == submitted.len()
    });
    let rows = submitted.iter().zip(&workload.jobs);
    let rows = rows.map(|(&(number, submit_s), job)| row(cluster, number, submit_s, job)).collect();
    Run { rows, log: yardmaster.map(|yardmaster| yardmaster.log()) }
}

fn submit(cluster: &Cluster, job: &Job, held: bool) -> u32 {
    let [v100, p100, k80] = job.seconds.map(|seconds| format!("{seconds:.3}"));
    let (name, comment) = (format!("--job-name={}", job.model), format!("--comment={}", job.comment));
    let (script, out) = (cluster.path("job.sh"), cluster.path("out"));
    let (script, out) = (script.to_str().unwrap(), out.to_str().unwrap());
    let mut arguments = vec!["--gres=gpu:1", "--time=15", &name, &comment];
    arguments.extend(held.then_some("--hold"));
    arguments.extend([script, out, &v100, &p100, &k80]);
    cluster.submit(&arguments)
}

fn wait(cluster: &Cluster, yardmaster: Option<&Yardmaster>, all: impl Fn() -> bool) {
    let limit = Duration::from_secs(400);
    let begin = Instant::now();
    while !all() {
        if begin.elapsed() > limit {
            let log = yardmaster.map(Yardmaster::log).unwrap_or_default();
            panic!("jobs are open after {limit:?}\n{log}\n{}", cluster.ok("squeue", &["--long"]));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn row(cluster: &Cluster, job: u32, submit_s: f64, of: &Job) -> Row {
    let text = fs::read_to_string(cluster.path(&format!("out/{job}"))).unwrap();
    let mut words = text.split_whitespace();
    let node = words.next().unwrap().to_owned();
    let [start_s, end_s] = [(); 2].map(|()| words.next().unwrap().parse().unwrap());
    Row { job, model: of.model.clone(), node, submit_s, start_s, end_s }
}

/// Stops where a script has failed.
pub(super) fn check(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[allow(clippy::disallowed_methods, reason = "jobs of Slurm note when they end on the same clock")]
fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
