//! The adapter against recorded answers of Slurm 22.05 (`tests/data/slurm`), without Slurm.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use yardmaster_agent::policy::Policy;
use yardmaster_agent::registry;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::view::{Decision, View};

use super::jobs::{self, Ask, Phase};
use super::nodes::{self, Listed};
use super::*;

const SQUEUE: &str = include_str!("../../../tests/data/slurm/squeue-22.05.json");
const SINFO: &str = include_str!("../../../tests/data/slurm/sinfo-22.05.json");
/// `sinfo --all --noheader --format=%R` of a cluster with a partition without nodes, too.
const PARTITIONS: &str = include_str!("../../../tests/data/slurm/partitions-22.05.txt");
/// A second after the last submission.
const NOW: Duration = Duration::from_secs(1_795_290_310);

/// Slurm as a list of answers. The last answer to `squeue` is given again and again; refusals name a job.
#[derive(Default)]
struct Recorded {
    squeue: VecDeque<String>,
    sinfo: String,
    calls: Vec<String>,
    /// Calls with the first of these fail with the second.
    refuse: Option<(&'static str, &'static str)>,
}

#[derive(Clone)]
struct Fake(Rc<RefCell<Recorded>>);

impl Fake {
    fn new(answers: &[&str]) -> Fake {
        let squeue = answers.iter().map(ToString::to_string).collect();
        Fake(Rc::new(RefCell::new(Recorded { squeue, sinfo: SINFO.into(), ..Recorded::default() })))
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().calls)
    }
}

impl Slurm for Fake {
    fn run(&mut self, command: &str, arguments: &[&str]) -> Result<String, SlurmError> {
        let mut recorded = self.0.borrow_mut();
        match command {
            "squeue" if recorded.squeue.len() > 1 => Ok(recorded.squeue.pop_front().unwrap()),
            "squeue" => Ok(recorded.squeue[0].clone()),
            "sinfo" if arguments.contains(&"--format=%R") => Ok(PARTITIONS.into()),
            "sinfo" => Ok(recorded.sinfo.clone()),
            _ => {
                let call = arguments.join(" ");
                let refused = recorded.refuse.filter(|(word, _)| call.contains(word));
                recorded.calls.push(call);
                let failed = |(_, said): (_, &str)| SlurmError::Failed {
                    command: "scontrol".into(),
                    said: said.into(),
                };
                refused.map_or(Ok(String::new()), |refusal| Err(failed(refusal)))
            }
        }
    }
}

/// An adapter with its log.
struct Bench {
    slurm: Fake,
    adapter: Adapter<Fake>,
    said: Vec<String>,
}

impl Bench {
    fn new(answers: &[&str], policy: Box<dyn Policy>, change: impl FnOnce(&mut Settings)) -> Bench {
        let slurm = Fake::new(answers);
        let mut settings = Settings {
            partition: "gpu".into(),
            interval: Duration::from_secs(2),
            disable_file: None,
            dry_run: false,
            config: Config::default(),
        };
        change(&mut settings);
        Bench { adapter: Adapter::new(slurm.clone(), policy, settings), slurm, said: Vec::new() }
    }

    fn mct(answers: &[&str]) -> Bench {
        Bench::new(answers, registry::build("mct").unwrap(), |_| ())
    }

    fn look(&mut self, seconds: u64) -> Duration {
        let said = &mut self.said;
        self.adapter.look(NOW + Duration::from_secs(seconds), &mut |event| said.push(event.to_string()))
    }

    fn said(&self, words: &str) -> usize {
        self.said.iter().filter(|line| line.contains(words)).count()
    }
}

/// The recorded jobs after a change to the one of this number.
fn with(job: u64, change: impl Fn(&mut Value)) -> String {
    let mut answer: Value = serde_json::from_str(SQUEUE).unwrap();
    let jobs = answer["jobs"].as_array_mut().unwrap();
    change(jobs.iter_mut().find(|value| value["job_id"] == json!(job)).unwrap());
    answer.to_string()
}

/// The recorded jobs without those of these numbers.
fn without(numbers: &[u64]) -> String {
    let mut answer: Value = serde_json::from_str(SQUEUE).unwrap();
    let keep = |job: &Value| !numbers.iter().any(|number| job["job_id"] == json!(number));
    answer["jobs"].as_array_mut().unwrap().retain(keep);
    answer.to_string()
}

#[test]
fn jobs_are_read_as_slurm_22_05_writes_them() {
    let (jobs, unreadable) = jobs::parse(SQUEUE).unwrap();
    assert!(unreadable.is_empty(), "{unreadable:?}");
    let job = |name: &str| jobs.iter().find(|job| job.key.to_string() == name).unwrap();
    assert_eq!(jobs.len(), 14, "twelve, and two more tasks of an array");
    assert_eq!(job("1").phase, Phase::Held { by_admin: false });
    assert_eq!(job("1").request.time_limit_s, Some(600));
    assert_eq!(job("6_3").request.name, "sweep");
    assert_eq!(
        (job("5").phase, &job("5").nodes[..], &job("5").gpus_by_node[..]),
        (Phase::Active, &["gpu1".to_owned()][..], &[1][..])
    );
    assert_eq!(job("9").request.required_nodes, ["gpu2"]);
    assert!(job("9").admin_comment.starts_with("yardmaster: placed"));
    assert_eq!(job("10").phase, Phase::Ended);
    assert_eq!(job("8").request.gpus, Ask::Nothing);
    assert!(matches!(&job("11").request.gpus, Ask::PerJob(gpus) if gpus.count == 2));
    assert!(job("7").request.dependency.starts_with("afterok:5"));
}

#[test]
fn the_spellings_of_later_versions_mean_the_same() {
    let framed = |value: &mut Value| {
        let frame = |number: &Value| json!({ "set": true, "infinite": false, "number": number });
        for key in
            ["priority", "submit_time", "time_limit", "node_count", "cpus", "array_job_id", "start_time"]
        {
            value[key] = frame(&value[key].clone());
        }
        value["array_task_id"] = json!({ "set": false, "infinite": false, "number": 0 });
        value["job_state"] = json!([value["job_state"]]);
        value["tres_per_node"] = json!("gres/gpu=1");
        value["hold"] = json!(true);
    };
    let (old, _) = jobs::parse(SQUEUE).unwrap();
    let (new, unreadable) = jobs::parse(&with(1, framed)).unwrap();
    assert!(unreadable.is_empty(), "{unreadable:?}");
    assert_eq!(old, new);
}

#[test]
fn nodes_are_read_and_a_drained_one_is_not_used() {
    let Listed::Nodes(nodes, unreadable) = nodes::parse("sinfo", SINFO).unwrap() else { panic!("no nodes") };
    assert!(unreadable.is_empty(), "{unreadable:?}");
    let shown: Vec<(&str, u32, bool)> =
        nodes.iter().map(|node| (node.name.as_str(), node.gpus[0].count, node.usable)).collect();
    assert_eq!(shown, [("gpu1", 4, true), ("gpu2", 4, true), ("gpu3", 4, true), ("gpu4", 2, false)]);
}

#[test]
fn one_look_places_what_can_be_placed_and_leaves_the_rest() {
    let mut bench = Bench::mct(&[SQUEUE]);
    assert_eq!(bench.look(0), Duration::from_secs(2));
    let calls = bench.slurm.calls();
    let released: Vec<&str> = calls.iter().filter_map(|call| call.strip_prefix("release ")).collect();
    // Short ones first; the long ones, 1 and 3, wait for a V100.
    for job in ["2", "6_1", "6_2", "6_3", "8", "11", "12"] {
        assert!(released.contains(&job), "{job} of {released:?}\n{:#?}", bench.said);
    }
    // Nor 4, which is held for reasons of its own, nor 7, whose predecessor runs.
    assert_eq!(released.len(), 7, "{released:?}");
    let of = |job: &str| calls.iter().find(|call| call.starts_with(&format!("update JobId={job} "))).unwrap();
    let placed = "ReqNodeList=gpu1 AdminComment=yardmaster: placed on gpu1 (v100) by mct, 20.0 s expected";
    assert!(of("2").contains(placed), "{}", of("2"));
    // What cannot be placed is released without nodes, and its remark says why.
    assert!(
        of("8").contains("left to Slurm: it asks for no GPU") && !of("8").contains("ReqNodeList"),
        "{}",
        of("8")
    );
    assert!(of("12").contains("voodoo2") && !of("12").contains("ReqNodeList"), "{}", of("12"));
    // Six GPUs are free on gpu1 and gpu2; what is placed there stays within them.
    let on = |node: &str| calls.iter().filter(|call| call.contains(&format!("ReqNodeList={node} "))).count();
    assert!(on("gpu4") == 0 && on("gpu1") <= 3 && on("gpu2") <= 3, "{calls:#?}");
    // Each release comes after the nodes.
    for (at, call) in calls.iter().enumerate() {
        if let Some(job) = call.strip_prefix("release ") {
            assert!(calls[at - 1].starts_with(&format!("update JobId={job} ")), "{calls:#?}");
        }
    }
}

#[test]
fn a_dry_run_changes_nothing_and_says_it_once() {
    let mut bench =
        Bench::new(&[SQUEUE], registry::build("mct").unwrap(), |settings| settings.dry_run = true);
    bench.look(0);
    bench.look(0);
    assert_eq!(bench.slurm.calls(), Vec::<String>::new());
    assert_eq!(bench.said("job 2: would release on gpu1"), 1, "{:#?}", bench.said);
}

#[test]
fn nothing_happens_while_the_disable_file_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("off");
    std::fs::write(&file, "").unwrap();
    let mut bench = Bench::new(&[SQUEUE], registry::build("mct").unwrap(), |settings| {
        settings.disable_file = Some(file.clone());
    });
    bench.look(0);
    bench.look(2);
    assert_eq!((bench.slurm.calls(), bench.said("nothing is done")), (Vec::new(), 1));
    std::fs::remove_file(&file).unwrap();
    bench.look(4);
    assert!(bench.said("at work again") == 1 && !bench.slurm.calls().is_empty());
}

#[test]
fn a_job_that_changed_since_the_decision_is_left() {
    let held_back = with(2, |job| job["comment"] = json!(""));
    let cancelled = without(&[11]);
    for (fresh, job, why) in [(held_back, 2, "something else"), (cancelled, 11, "it is gone")] {
        let mut bench = Bench::mct(&[SQUEUE, &fresh]);
        bench.look(0);
        assert_eq!(
            bench.said(&format!("job {job}: changed meanwhile, left as it is")),
            1,
            "{:#?}",
            bench.said
        );
        assert_eq!(bench.said(why), 1, "{:#?}", bench.said);
        assert!(!bench.slurm.calls().contains(&format!("release {job}")));
    }
}

#[test]
fn a_place_that_was_taken_since_the_decision_is_not_used() {
    let taken = with(4, |job| {
        job["job_state"] = json!("RUNNING");
        job["nodes"] = json!("gpu1");
        job["gres_detail"] = json!(["gpu:v100:3(IDX:1-3)"]);
    });
    let mut bench = Bench::mct(&[SQUEUE, &taken]);
    bench.look(0);
    assert!(bench.said("gpu1 has no longer room") > 0, "{:#?}", bench.said);
    assert!(!bench.slurm.calls().iter().any(|call| call.contains("ReqNodeList=gpu1")));
}

#[test]
fn looks_are_further_apart_while_slurm_is_away() {
    let down = r#"{"errors": [{"error": "Unable to contact slurm controller"}], "jobs": []}"#;
    let mut bench = Bench::mct(&[down, down, "not JSON", down, down, down, SQUEUE]);
    let pauses: Vec<u64> = (0..6).map(|_| bench.look(0).as_secs()).collect();
    assert_eq!(pauses, [4, 8, 16, 32, 60, 60]);
    assert_eq!(bench.slurm.calls(), Vec::<String>::new());
    assert_eq!(bench.look(0), Duration::from_secs(2));
    assert_eq!((bench.said("Slurm can be reached again"), bench.said("cannot be reached, again")), (1, 6));
}

#[test]
fn a_refusal_of_slurm_leaves_the_job_and_the_others_go_on() {
    let mut bench = Bench::mct(&[SQUEUE]);
    bench.slurm.0.borrow_mut().refuse = Some(("JobId=2 ", "no"));
    bench.look(0);
    assert_eq!(bench.said("job 2: left as it is: scontrol: no"), 1, "{:#?}", bench.said);
    let calls = bench.slurm.calls();
    assert!(!calls.contains(&"release 2".into()) && calls.contains(&"release 11".into()));
}

#[test]
fn an_outage_in_the_middle_of_a_round_ends_the_round() {
    let mut bench = Bench::mct(&[SQUEUE]);
    let outage = "slurm_update error: Unable to contact slurm controller (connect failure)";
    bench.slurm.0.borrow_mut().refuse = Some(("JobId=2 ", outage));
    assert_eq!(bench.look(0), Duration::from_secs(4));
    assert_eq!(bench.said("Slurm cannot be reached, again in 4s"), 1, "{:#?}", bench.said);
    let calls = bench.slurm.calls();
    assert!(
        calls.last().unwrap().contains("JobId=2 ") && !calls.contains(&"release 11".into()),
        "{calls:#?}"
    );
    bench.slurm.0.borrow_mut().refuse = None;
    bench.look(4);
    assert!(bench.slurm.calls().contains(&"release 11".into()));
}

/// Wants to be asked again at this very moment.
struct Restless;

impl Policy for Restless {
    fn name(&self) -> &str {
        "restless"
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        Decision::Wait { until: Some(view.now) }
    }
}

#[test]
fn a_policy_cannot_make_the_adapter_look_all_the_time() {
    let mut bench = Bench::new(&[SQUEUE], Box::new(Restless), |_| ());
    assert_eq!(bench.look(0), Duration::from_millis(500));
}

#[test]
fn a_job_whose_release_failed_is_placed_again() {
    let half = with(2, |job| {
        job["required_nodes"] = json!("gpu3");
        job["admin_comment"] = json!("ticket 7; yardmaster: placed on gpu3 (k80) by mct");
    });
    let mut bench = Bench::mct(&[&half]);
    bench.look(0);
    let calls = bench.slurm.calls();
    let update = calls.iter().find(|call| call.starts_with("update JobId=2 ")).unwrap();
    assert!(
        update.contains("ReqNodeList=gpu1 AdminComment=ticket 7; yardmaster: placed on gpu1"),
        "{update}"
    );
    assert!(calls.contains(&"release 2".into()));
}

#[test]
fn a_job_that_does_not_start_is_freed_after_a_while() {
    let stuck = with(1, |job| {
        job["priority"] = json!(1000);
        job["state_reason"] = json!("Resources");
        job["required_nodes"] = json!("gpu3");
        job["admin_comment"] = json!("yardmaster: placed on gpu3 (k80) by mct");
    });
    let mut bench = Bench::mct(&[&stuck]);
    bench.look(0);
    assert!(!bench.slurm.calls().iter().any(|call| call.contains("JobId=1 ")));
    bench.look(59);
    assert!(!bench.slurm.calls().iter().any(|call| call.contains("JobId=1 ")));
    bench.look(60);
    let calls = bench.slurm.calls();
    let freed = calls.iter().find(|call| call.starts_with("update JobId=1 ")).unwrap();
    assert!(
        freed.contains("ReqNodeList= AdminComment=yardmaster: not started on gpu3 within 60s (Resources)"),
        "{freed}"
    );
}

/// Panics, or decides nonsense.
struct Broken(bool);

impl Policy for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        assert!(self.0, "out of ideas");
        let job = view.running[0].members[0];
        Decision::Start { job, nodes: view.running[0].nodes.clone(), batch: 1, variant: 0 }
    }
}

#[test]
fn after_failures_of_the_policy_slurm_decides() {
    for illegal in [false, true] {
        let mut bench = Bench::new(&[SQUEUE], Box::new(Broken(illegal)), |settings| {
            settings.config =
                Config::parse("policy_failures = 2", Path::new("slurm.toml"), Catalog::builtin()).unwrap();
        });
        bench.look(0);
        assert!(!bench.slurm.calls().contains(&"release 1".into()), "one failure is no reason");
        bench.look(2);
        assert_eq!(bench.said("the policy is not asked for 300s"), 1, "{:#?}", bench.said);
        assert_eq!(
            bench.said(if illegal { "does not wait" } else { "out of ideas" }),
            2,
            "{:#?}",
            bench.said
        );
        bench.look(4);
        let calls = bench.slurm.calls();
        let update = calls.iter().find(|call| call.starts_with("update JobId=1 ")).unwrap();
        assert!(
            update.contains("left to Slurm: the policy has failed") && !update.contains("ReqNodeList"),
            "{update}"
        );
        assert!(calls.contains(&"release 1".into()) && !calls.contains(&"release 4".into()));
    }
}

#[test]
fn what_cannot_be_placed_may_stay_held() {
    let mut bench = Bench::new(&[SQUEUE], registry::build("mct").unwrap(), |settings| {
        settings.config =
            Config::parse("otherwise = 'leave'", Path::new("slurm.toml"), Catalog::builtin()).unwrap();
    });
    bench.look(0);
    let calls = bench.slurm.calls();
    assert!(!calls.contains(&"release 8".into()) && calls.contains(&"release 2".into()));
    assert!(
        calls.contains(&"update JobId=8 AdminComment=yardmaster: left held: it asks for no GPU".into()),
        "{calls:#?}"
    );
}

#[test]
fn several_starts_have_falling_priorities_if_the_site_wants() {
    let mut bench = Bench::new(&[SQUEUE], registry::build("mct").unwrap(), |settings| {
        settings.config =
            Config::parse("priority = 1000", Path::new("slurm.toml"), Catalog::builtin()).unwrap();
    });
    bench.look(0);
    let calls = bench.slurm.calls();
    let given: Vec<&str> =
        calls.iter().filter_map(|call| call.split_once("Priority=").map(|(_, value)| value)).collect();
    assert!(given.len() >= 4 && given[..3] == ["1000", "999", "998"], "{calls:#?}");
}

#[test]
fn what_a_node_says_of_its_gpus_in_use_is_not_believed() {
    let mut bench = Bench::mct(&[SQUEUE]);
    let sinfo = SINFO.replace("gpu:v100:1(IDX:0)", "gpu:v100:4(IDX:0-3)");
    assert_ne!(sinfo, SINFO);
    // As Slurm 22.05 leaves it after a restart of slurmctld, for ever.
    bench.slurm.0.borrow_mut().sinfo = sinfo;
    bench.look(0);
    assert!(bench.slurm.calls().iter().any(|call| call.contains("ReqNodeList=gpu1")), "{:#?}", bench.said);
}

#[test]
fn an_unknown_type_of_gpu_takes_its_node_out_and_is_said_once() {
    let mut bench = Bench::mct(&[SQUEUE]);
    let sinfo = SINFO.replace("gpu:v100:", "gpu:voodoo2:");
    bench.slurm.0.borrow_mut().sinfo = sinfo;
    bench.look(0);
    bench.look(2);
    assert_eq!(
        bench.said("node gpu1: GPU type \"voodoo2\" is no device of the catalogue"),
        1,
        "{:#?}",
        bench.said
    );
    assert!(!bench.slurm.calls().iter().any(|call| call.contains("ReqNodeList=gpu1")));
}

#[test]
fn a_partition_without_nodes_is_said_to_be_empty() {
    let mct = registry::build("mct").unwrap();
    let mut bench = Bench::new(&[SQUEUE], mct, |settings| settings.partition = "debug".into());
    bench.look(0);
    bench.look(2);
    assert_eq!(bench.slurm.calls(), Vec::<String>::new());
    assert_eq!(bench.said, ["ignored: partition debug, which has no node with GPUs that are known"]);
}

#[test]
fn a_partition_that_is_not_there_is_said_with_those_that_are() {
    let mct = registry::build("mct").unwrap();
    let mut bench = Bench::new(&[SQUEUE], mct, |settings| settings.partition = "gup".into());
    bench.look(0);
    bench.look(2);
    assert_eq!(bench.slurm.calls(), Vec::<String>::new());
    assert_eq!(bench.said, ["there is no partition \"gup\": name one that is there, gpu, debug, spare"]);
}

#[test]
fn a_partition_that_goes_away_is_said_once_each_time() {
    let mct = registry::build("mct").unwrap();
    let mut bench = Bench::new(&[SQUEUE], mct, |settings| settings.partition = "cpu".into());
    let with_cpu = SINFO.replace("\"gpu\"", "\"cpu\"");
    let mut gone = Vec::new();
    for (at, sinfo) in [&*with_cpu, SINFO, SINFO, &with_cpu, SINFO].into_iter().enumerate() {
        bench.slurm.0.borrow_mut().sinfo = sinfo.into();
        bench.adapter.look(NOW, &mut |event| {
            if let Event::NoPartition { was_there, .. } = event {
                gone.push((at, was_there));
            }
        });
    }
    assert_eq!(gone, [(1, true), (4, true)]);
}

#[test]
fn a_job_that_cannot_be_read_stops_nothing() {
    let mut bench = Bench::mct(&[&with(1, |job| job["partition"] = json!(7))]);
    bench.look(0);
    assert_eq!(bench.said("ignored: job 1 cannot be read"), 1, "{:#?}", bench.said);
    let calls = bench.slurm.calls();
    assert!(calls.contains(&"release 2".into()) && !calls.contains(&"release 1".into()));
}
