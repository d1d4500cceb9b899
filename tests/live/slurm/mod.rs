//! `yardmaster slurm` with a real Slurm on loopback: munge, slurmctld and three nodes with GPUs of different types.

mod cluster;
mod comparison;
mod faults;
mod play;
mod workload;

use std::fmt::Write;

use self::cluster::Cluster;
use self::play::{Arm, play};
use self::workload::Workload;

/// Jobs of each run.
const JOBS: usize = 60;

#[test]
fn all_jobs_complete_under_slurm_and_under_yardmaster_through_a_restart() {
    let workload = Workload::draw(1, JOBS);
    let arms = [Arm::slurm(), Arm::yardmaster("mct").with_restart()];
    let mut report = String::new();
    for arm in arms {
        let Some(cluster) = Cluster::start(&[]) else { return };
        let run = play(&cluster, &workload, &arm);
        assert_eq!(run.rows.len(), JOBS, "every job has ended by itself, under {}", arm.name);
        if let Some(log) = &run.log {
            for row in &run.rows {
                // Slurm 22.05 may take GPUs for used after the restart that are free; a job that waits for them is freed.
                let said = format!("job {}: release on {}:", row.job, row.node);
                let freed = format!("job {}: free from its nodes:", row.job);
                assert!(
                    log.contains(&said) || log.contains(&freed),
                    "job {} ran on {}\n{log}",
                    row.job,
                    row.node
                );
            }
        }
        writeln!(report, "{}: mean completion time {:.2} s of {JOBS} jobs", arm.name, run.mean_s()).unwrap();
    }
    println!("{report}");
}
