//! Who decides matters how much: the same workloads under Slurm and under several policies, with rows for
//! `docs/results`.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use super::JOBS;
use super::cluster::Cluster;
use super::play::{Arm, Run, play};
use super::workload::Workload;

/// Reads YARDMASTER_SLURM_POLICIES (rules, and file names in `checkpoints/`; `slurm` is Slurm alone), YARDMASTER_SLURM_SEEDS and YARDMASTER_SLURM_OUT, a
/// file that rows are added to.
#[test]
fn comparison_of_policies() {
    let read = |key: &str| std::env::var(key).ok();
    let Some(policies) = read("YARDMASTER_SLURM_POLICIES") else {
        println!("skipped: YARDMASTER_SLURM_POLICIES is not set");
        return;
    };
    let seeds = read("YARDMASTER_SLURM_SEEDS").unwrap_or_else(|| "1".into());
    let out = read("YARDMASTER_SLURM_OUT").map(PathBuf::from);
    for seed in seeds.split(',') {
        let workload = Workload::draw(seed.parse().unwrap(), JOBS);
        for policy in policies.split(';') {
            let arm = if policy == "slurm" { Arm::slurm() } else { Arm::yardmaster(policy) };
            let Some(cluster) = Cluster::start(&[]) else { return };
            let run = play(&cluster, &workload, &arm);
            println!(
                "seed {seed} {}: mean {:.2} s, makespan {:.1} s",
                arm.name,
                run.mean_s(),
                run.makespan_s()
            );
            if let Some(out) = &out {
                append(out, &arm, &workload, &run);
            }
        }
    }
}

fn append(out: &PathBuf, arm: &Arm, workload: &Workload, run: &Run) {
    let mut text = fs::read_to_string(out).unwrap_or_else(|_| {
        "decides,seed,job,model,node,arrival_s,wait_s,run_s,completion_s,best_s\n".into()
    });
    let first = run.rows[0].submit_s;
    for (row, job) in run.rows.iter().zip(&workload.jobs) {
        let best = job.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let (arrival, wait) = (row.submit_s - first, row.start_s - row.submit_s);
        let (ran, completion) = (row.end_s - row.start_s, row.end_s - row.submit_s);
        writeln!(
            text,
            "{},{},{},{},{},{arrival:.3},{wait:.3},{ran:.3},{completion:.3},{best:.3}",
            arm.name, workload.seed, row.job, row.model, row.node
        )
        .unwrap();
    }
    fs::write(out, text).unwrap();
}
