//! What must not go wrong, with a real Slurm: an outage, a stop, jobs of odd shapes, jobs of others.

use std::fs;
use std::time::Duration;

use super::cluster::Cluster;
use super::play::check;

/// A job that does nothing for a second.
const WORK: &str = "--wrap=sleep 1";
const MARK: &str = "--comment=yardmaster:v100=1,p100=2,k80=4";

#[test]
fn a_dry_run_changes_nothing_and_the_disable_file_stops_everything() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let job = cluster.submit(&["--hold", "--gres=gpu:1", MARK, WORK]);
    let mut dry = cluster.yardmaster("--policy mct --dry-run --once");
    assert!(dry.wait(), "{}", dry.log());
    assert!(dry.log().contains(&format!("job {job}: would release on gpu1")), "{}", dry.log());
    assert_eq!(cluster.job(job, "state_reason"), "JobHeldUser");
    assert_eq!(cluster.job(job, "admin_comment"), "");
    let mut elsewhere = cluster.command(env!("CARGO_BIN_EXE_yardmaster"));
    let elsewhere = elsewhere.args(["slurm", "--policy", "mct", "--partition", "gup"]).output().unwrap();
    let said = String::from_utf8_lossy(&elsewhere.stderr);
    assert_eq!(elsewhere.status.code(), Some(1), "{said}");
    assert!(said.contains("error: there is no partition \"gup\": name one that is there, gpu\n"), "{said}");

    let off = cluster.path("off");
    fs::write(&off, "").unwrap();
    let yardmaster = cluster.yardmaster("--policy mct --disable-file off");
    cluster.until("it says that it is stopped", || yardmaster.log().contains("nothing is done"));
    assert_eq!(cluster.job(job, "state_reason"), "JobHeldUser");
    fs::remove_file(&off).unwrap();
    cluster.until("the job has completed", || cluster.job(job, "job_state") == "COMPLETED");
    assert_eq!(cluster.job(job, "nodes"), "gpu1");
    let comment = cluster.job(job, "admin_comment");
    assert!(comment.starts_with("yardmaster: placed on gpu1 (v100) by mct"), "{comment}");
}

#[test]
fn an_outage_of_slurmctld_is_survived_and_no_job_is_lost() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let yardmaster = cluster.yardmaster("--policy mct");
    let before = cluster.submit(&["--hold", "--gres=gpu:1", MARK, WORK]);
    cluster.until("the first job runs or is over", || cluster.job(before, "job_state") != "PENDING");
    // Held by its owner for a reason of his own: never touched.
    let private = cluster.submit(&["--hold", "--gres=gpu:1", WORK]);
    check(&cluster.script("stop", &[]));
    cluster.until("the outage is noticed", || yardmaster.log().contains("Slurm cannot be reached"));
    check(&cluster.script("restart", &[]));
    let after = cluster.submit(&["--hold", "--gres=gpu:1", MARK, WORK]);
    for job in [before, after] {
        cluster.until("the jobs have completed", || cluster.job(job, "job_state") == "COMPLETED");
    }
    assert!(yardmaster.log().contains("Slurm can be reached again"), "{}", yardmaster.log());
    assert_eq!(cluster.job(private, "state_reason"), "JobHeldUser");
}

#[test]
fn jobs_of_every_shape_complete() {
    let Some(cluster) = Cluster::start(&["gpu1:v100:2", "gpu2:p100:2", "gpu3:p100:2", "gpu4:voodoo2:2"])
    else {
        return;
    };
    let held = |more: &[&str]| {
        let fixed = ["--hold", WORK];
        cluster.submit(&fixed.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let typed = held(&["--gres=gpu:p100:2", "--comment=yardmaster"]);
    let spread = held(&["--gres=gpu:2", "--nodes=2", "--comment=yardmaster:p100=1"]);
    let pair = held(&["--gpus=2", MARK]);
    let array = held(&["--array=1-3", "--gres=gpu:1", MARK]);
    let first = held(&["--gres=gpu:1", MARK]);
    let second = held(&[&format!("--dependency=afterok:{first}"), "--gres=gpu:1", MARK]);
    // What the adapter cannot place is Slurm's to place.
    let elsewhere = held(&["--gres=gpu:voodoo2:1", "--comment=yardmaster"]);
    let host = held(&["--comment=yardmaster"]);
    let garbled = held(&["--gres=gpu:1", "--comment=yardmaster:v100=soon"]);
    let yardmaster = cluster.yardmaster("--policy mct");
    // Of a held job Slurm notices about once a minute that what it depends on has ended.
    cluster.within(Duration::from_secs(150), "all have completed", || {
        let states = cluster.ok("squeue", &["--noheader", "--states=all", "--array", "--format=%T"]);
        states.lines().count() == 11 && states.lines().all(|state| state == "COMPLETED")
    });
    let log = yardmaster.log();
    assert_eq!(cluster.job(spread, "nodes"), "gpu[2-3]", "{log}");
    for job in [pair, first, second, typed] {
        assert!(log.contains(&format!("job {job}: release on ")), "{log}");
    }
    for task in 1..=3 {
        assert!(log.contains(&format!("job {array}_{task}: release on ")), "{log}");
    }
    for job in [elsewhere, host, garbled] {
        assert!(log.contains(&format!("job {job}: release to Slurm: yardmaster: left to Slurm: ")), "{log}");
    }
    assert!(log.contains("node gpu4: GPU type \"voodoo2\" is no device"), "{log}");
}
