//! Tests of the sources: goldens, loads, properties and refusals.

use super::*;
use crate::catalog::Provenance;
use crate::cluster::Node;
use crate::job::{Task, Truth};
use crate::trace::table;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn cluster(kinds: &[(&str, u32)]) -> Cluster {
    let node = |(name, devices): &(&str, u32)| Node {
        name: (*name).into(),
        kind: Catalog::builtin().kind(name).unwrap(),
        devices: *devices,
        procs_per_device: 1,
        rack: 0,
    };
    Cluster::new(kinds.iter().map(node).collect())
}

fn pool12() -> Cluster {
    cluster(&[("v100", 4), ("p100", 4), ("k80", 4)])
}

fn source(toml: &str) -> Source {
    toml::from_str(toml).unwrap()
}

const TRAINING: &str = "[training]
jobs = 150
rate = { load = 0.8 }
gangs = [{ devices = 1, share = 0.74 }, { devices = 2, share = 0.1 }, { devices = 4, share = 0.16 }]";

const REQUESTS: &str = "[requests]
count = 2000
rate = { load = 0.7 }
process = { bursty = { factor = 3, share = 0.2, mean_burst_s = 0.3 } }
[[requests.streams]]
model = \"bert-6l\"
share = 1
deadline_ms = 30
[[requests.streams]]
model = \"resnet50\"
share = 2
deadline_ms = 40
weight = 2";

/// The first jobs of seed 1, and the digest of all.
fn golden(toml: &str, cluster: &Cluster, expected: &Expect) {
    let workload = source(toml).generate(Catalog::builtin(), cluster, 1).unwrap();
    let text = table::to_csv(&workload, Catalog::builtin());
    let head: Vec<&str> = text.lines().take(4).collect();
    let digest =
        Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    expected.assert_eq(&format!("{}\n{} jobs, sha256 {digest}\n", head.join("\n"), workload.len()));
}

#[test]
fn training_golden() {
    golden(
        TRAINING,
        &pool12(),
        &expect![[r#"
        job_id,arrival_s,duration_s,requested_s,model,batch,samples,devices,procs,deadline_s,weight
        0,6801.428825174,,,ResNet-18,256,119953355,1,,,1
        1,11145.227696994,,,ResNet-18,64,4146322,1,,,1
        2,34548.870413781,,,ResNet-50,128,755635,1,,,1
        150 jobs, sha256 056785e1155adf51
    "#]],
    );
}

#[test]
fn requests_golden() {
    golden(
        REQUESTS,
        &cluster(&[("v100", 2), ("t4", 2)]),
        &expect![[r#"
        job_id,arrival_s,duration_s,requested_s,model,batch,samples,devices,procs,deadline_s,weight
        0,0.00112502,,,bert-6l,,,1,,0.03,1
        1,0.002304578,,,bert-6l,,,1,,0.03,1
        2,0.002624502,,,bert-6l,,,1,,0.03,1
        2000 jobs, sha256 ae5e95bf5a6c91bd
    "#]],
    );
}

#[test]
fn lublin_golden() {
    golden(
        "[lublin]\njobs = 500",
        &cluster(&[("processor", 256)]),
        &expect![[r#"
        job_id,arrival_s,duration_s,requested_s,model,batch,samples,devices,procs,deadline_s,weight
        1,116,26,26,,,,1,,,1
        2,1707,10,10,,,,1,,,1
        3,2357,141,141,,,,1,,,1
        500 jobs, sha256 5dd099ad05fa0364
    "#]],
    );
}

#[test]
fn mix_golden() {
    let toml = "[[mix]]
[mix.training]
jobs = 10
rate = { load = 0.5 }
process = { sweeps = { mean_size = 4 } }
[[mix]]
[mix.requests]
count = 10
streams = [{ model = \"tft\", rate_per_s = 0.001 }]";
    golden(
        toml,
        &pool12(),
        &expect![[r#"
        job_id,arrival_s,duration_s,requested_s,model,batch,samples,devices,procs,deadline_s,weight
        0,453.460917562,,,tft,,,1,,,1
        1,639.876550112,,,tft,,,1,,,1
        2,1196.698875005,,,tft,,,1,,,1
        20 jobs, sha256 3c78a8cf6492f228
    "#]],
    );
}

/// Device-seconds offered per second, as a share of what the LP says the cluster can do, come out as asked.
#[test]
fn a_load_is_that_share_of_the_capacity() {
    let (catalog, cluster) = (Catalog::builtin(), pool12());
    let Source::Training(training) = source(TRAINING) else { panic!() };
    let limit = capacity(&cluster, &training.demands(catalog, &cluster).unwrap()).unwrap();
    let many = TrainingSource { jobs: 20_000, ..training };
    let workload = Source::Training(many).generate(catalog, &cluster, 2).unwrap();
    let rate = workload.len() as f64 / workload.jobs[workload.len() - 1].arrival.as_secs_f64();
    assert!((rate / limit - 0.8).abs() < 0.02, "{}", rate / limit);
}

#[test]
fn training_sizes_and_gangs_are_as_asked() {
    let (catalog, cluster) = (Catalog::builtin(), pool12());
    let Source::Training(training) = source(TRAINING) else { panic!() };
    let many = TrainingSource { jobs: 20_000, ..training };
    let workload = Source::Training(many).generate(catalog, &cluster, 2).unwrap();
    let v100 = catalog.kind("v100").unwrap();
    let mut long = 0;
    let mut types = std::collections::BTreeSet::new();
    for job in &workload.jobs {
        let Task::Training { model, batch, samples } = job.task else { panic!() };
        let minutes = samples as f64
            / catalog.training_speed(model, v100, job.gang, batch).unwrap().samples_per_s
            / 60.0;
        assert!((31.0..10_001.0).contains(&minutes), "{minutes}");
        long += usize::from(minutes > 1000.0);
        types.insert((model, batch / job.gang));
    }
    let share = |gang| workload.jobs.iter().filter(|job| job.gang == gang).count() as f64 / 20_000.0;
    assert!((long as f64 / 20_000.0 - 0.2).abs() < 0.01);
    assert!(
        (share(1) - 0.74).abs() < 0.01 && (share(2) - 0.1).abs() < 0.01 && (share(4) - 0.16).abs() < 0.01
    );
    assert_eq!(types.len(), 26);
}

#[test]
fn the_load_does_not_change_the_jobs() {
    let draw = |load: &str| {
        let text = TRAINING.replace("0.8", load);
        source(&text).generate(Catalog::builtin(), &pool12(), 3).unwrap()
    };
    let tasks = |workload: &Workload| workload.jobs.iter().map(|job| job.task).collect::<Vec<_>>();
    let (light, heavy) = (draw("0.4"), draw("0.8"));
    assert_eq!(tasks(&light), tasks(&heavy));
    assert!(light.jobs[149].arrival > heavy.jobs[149].arrival);
}

/// Users who are wrong change what they say of the jobs, and neither the jobs nor their arrivals.
#[test]
fn estimates_leave_the_truth_as_it_is() {
    let draw = |text: &str| source(text).generate(Catalog::builtin(), &pool12(), 3).unwrap();
    let wrong = TRAINING.replace("jobs = 150", "jobs = 150\nestimates = { sigma = 1.5, users = 7 }");
    let (honest, wrong) = (draw(TRAINING), draw(&wrong));
    for at in 0..honest.len() {
        let id = crate::units::JobId(at as u32);
        assert_eq!(honest.jobs[at].arrival, wrong.jobs[at].arrival);
        assert!(honest.jobs[at].user == 0 && (1..=7).contains(&wrong.jobs[at].user));
        let steps = honest.true_steps(id).abs_diff(wrong.true_steps(id));
        assert!(steps <= 1, "job {at} is {steps} steps off");
    }
    assert!(honest.jobs.iter().zip(&wrong.jobs).filter(|(one, other)| one.task != other.task).count() > 140);
}

#[test]
fn users_of_the_parts_of_a_mix_are_different_people() {
    let part =
        "[[mix]]\n[mix.training]\njobs = 40\nrate = { load = 0.5 }\nestimates = { sigma = 1, users = 2 }\n";
    let workload = source(&part.repeat(2)).generate(Catalog::builtin(), &pool12(), 3).unwrap();
    let users: std::collections::BTreeSet<u32> = workload.jobs.iter().map(|job| job.user).collect();
    assert_eq!(users, [1, 2, 3, 4].into());
}

/// The mix of requests changes with the segment, and the capacity is that of the mean mix.
#[test]
fn regimes_change_the_mix() {
    let regimes = "{ regimes = { segments = [
        { duration_s = 5, factor = 0.5 }, { duration_s = 5, factor = 1.5, shares = [9, 1] }] } }";
    let bursty = "{ bursty = { factor = 3, share = 0.2, mean_burst_s = 0.3 } }";
    let text = REQUESTS.replace(bursty, regimes).replace("count = 2000", "horizon_s = 100");
    let cluster = cluster(&[("v100", 2), ("t4", 2)]);
    let workload = source(&text).generate(Catalog::builtin(), &cluster, 1).unwrap();
    let resnet = Catalog::builtin().inference("resnet50");
    let share = |launch: bool| {
        let in_launch = |job: &&crate::job::Job| (job.arrival.as_secs_f64() % 10.0 >= 5.0) == launch;
        let jobs: Vec<_> = workload.jobs.iter().filter(in_launch).collect();
        let asked = jobs.iter().filter(|job| job.request_model() == resnet).count();
        (asked as f64 / jobs.len() as f64, jobs.len() as f64)
    };
    let ((day, by_day), (launch, in_launch)) = (share(false), share(true));
    assert!((day - 2.0 / 3.0).abs() < 0.02 && (launch - 0.1).abs() < 0.02, "{day} {launch}");
    assert!((in_launch / by_day - 3.0).abs() < 0.1, "{by_day} {in_launch}");
    let Source::Requests(requests) = source(&text) else { panic!() };
    let demands = requests.demands(Catalog::builtin(), &cluster).unwrap();
    assert!(
        (demands[1].share / demands[0].share - (2.5 * 2.0 / 3.0 + 0.75) / (2.5 / 3.0 + 6.75)).abs() < 1e-9
    );
    let limit = capacity(&cluster, &demands).unwrap();
    assert!((workload.len() as f64 / 100.0 / limit / 0.7 - 1.0).abs() < 0.03);
}

#[test]
fn a_recorded_rate_is_that_of_the_trace() {
    let process = "rate = \"recorded\"\nprocess = { trace = { gaps_s = [10, 0.5] } }";
    let text = TRAINING.replace("rate = { load = 0.8 }", process);
    let workload = source(&text).generate(Catalog::builtin(), &pool12(), 1).unwrap();
    let told: Vec<f64> = workload.jobs.iter().take(4).map(|job| job.arrival.as_secs_f64()).collect();
    assert_eq!(told, [10.0, 10.5, 20.5, 21.0]);
}

#[test]
fn kinds_with_scaled_speeds_count_too() {
    let cluster = cluster(&[("clx-9282", 4), ("t4", 4), ("v100", 2), ("tpu-v3", 2)]);
    let text = TRAINING.lines().take(3).collect::<Vec<_>>().join("\n");
    let Source::Training(training) = source(&text) else { panic!() };
    let demands = training.demands(Catalog::builtin(), &cluster).unwrap();
    assert!(demands.iter().all(|demand| demand.device_seconds.len() >= 3));
    let model = Catalog::builtin().training("LM").unwrap();
    let tpu = Catalog::builtin().kind("tpu-v3").unwrap();
    let speed = Catalog::builtin().training_speed(model, tpu, 1, 20).unwrap();
    assert_eq!(speed.provenance, Provenance::Estimated);
}

#[test]
fn faults_are_named() {
    let v100 = || cluster(&[("v100", 2)]);
    let cases = [
        (TRAINING.replace("load = 0.8", "load = -1"), pool12(), "`load` is -1; it must be a number above 0"),
        (TRAINING.replace("150", "0"), pool12(), "`jobs` is 0"),
        (TRAINING.into(), v100(), "a gang of 4 runs on no device kind of this cluster (v100)"),
        (TRAINING.into(), cluster(&[("processor", 9)]), "no device kind of this cluster (processor)"),
        (
            REQUESTS.replace("bert-6l", "bert-6"),
            v100(),
            "inference model `bert-6` is not in the catalogue; did you mean",
        ),
        (
            REQUESTS.replace("share = 1", "rate_per_s = 1"),
            v100(),
            "all have a `rate_per_s`, or all a `share`",
        ),
        (REQUESTS.replace("count = 2000", ""), v100(), "give `count` or `horizon_s`"),
        (REQUESTS.replace("count = 2000", "horizon_s = 1e9"), v100(), "at most 20 million"),
        (
            REQUESTS.replace("deadline_ms = 30", "deadline_ms = 1"),
            v100(),
            "`bert-6l` runs within its deadline on no",
        ),
        (REQUESTS.replace("factor = 3", "factor = 6"), v100(), "`factor` is 6"),
        (TRAINING.replace("{ load = 0.8 }", "\"recorded\""), pool12(), "but the process is no trace"),
        (
            TRAINING.replace("jobs = 150", "jobs = 9\nestimates = { sigma = 1, users = 0 }"),
            pool12(),
            "`users` is 0",
        ),
        ("mix = []".into(), v100(), "a mix needs at least one source"),
    ];
    for (text, cluster, expected) in cases {
        let error = source(&text).generate(Catalog::builtin(), &cluster, 1).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    let unknown = toml::from_str::<Source>(&TRAINING.replace("jobs", "job")).unwrap_err().to_string();
    assert!(unknown.contains("unknown field `job`"), "{unknown}");
}

fn process() -> impl Strategy<Value = Process> {
    prop_oneof![
        Just(Process::Poisson),
        (1.0..4.0, 0.01..0.25, 0.01..1e4_f64).prop_map(|(factor, share, mean_burst_s)| Process::Bursty {
            factor,
            share,
            mean_burst_s
        }),
        (1.0..30.0).prop_map(|mean_size| Process::Sweeps { mean_size }),
        (1.0..1e5_f64, 0.0..1.0, proptest::option::of(0.0..1.0))
            .prop_map(|(period_s, amplitude, phase)| Process::Diurnal { period_s, amplitude, phase }),
        (proptest::collection::vec(0.0..9.0, 1..20), any::<bool>()).prop_map(|(mut gaps_s, random)| {
            gaps_s.push(1.0);
            Process::Trace(Replay { gaps_s, start: if random { Start::Random } else { Start::First } })
        }),
        (proptest::collection::vec((100.0..1e5, 0.1..3.0, any::<bool>()), 1..5), any::<bool>()).prop_map(
            |(segments, random)| {
                let segment = |(duration_s, factor, sweeps)| {
                    let process = if sweeps { Process::Sweeps { mean_size: 4.0 } } else { Process::Poisson };
                    Segment { duration_s, factor, process, shares: None }
                };
                let segments = segments.into_iter().map(segment).collect();
                let (order, durations) = match random {
                    true => (Order::Random, Durations::Exponential),
                    false => (Order::Listed, Durations::Fixed),
                };
                Process::Regimes(Regimes { segments, order, durations })
            }
        ),
    ]
}

fn any_source() -> impl Strategy<Value = Source> {
    let rate = || prop_oneof![(0.05..2.0).prop_map(Rate::Load), (1e-5..1e-1).prop_map(Rate::PerSecond)];
    let estimates = (0.0..2.0, 1..9_u32, 0.0..1.0);
    let estimates = estimates.prop_map(|(sigma, users, noise)| Estimates { sigma, users, noise });
    let shape = (-1.0..2.0, 0.0..2.0, proptest::option::of(estimates));
    let training =
        (1..60_u32, rate(), process(), shape).prop_map(|(jobs, rate, process, (low, width, estimates))| {
            let sizes = vec![SizeClass { share: 1.0, log10_low: low, log10_high: low + width }];
            let gangs = [1, 2, 4].map(|devices| GangShare { devices, share: 1.0 }).to_vec();
            Source::Training(TrainingSource { jobs, rate, process, sizes, gangs, estimates })
        });
    let requests =
        (1..60_u32, rate(), process(), 30.0..90.0).prop_map(|(count, rate, process, deadline_ms)| {
            let stream = |model: &str| Stream {
                model: model.into(),
                share: Some(1.0),
                rate_per_s: None,
                deadline_ms: Some(deadline_ms),
                weight: 1.0,
            };
            let streams = ["bert-large", "tft", "resnet50"].map(stream).to_vec();
            Source::Requests(RequestSource {
                streams,
                rate: Some(rate),
                process,
                count: Some(count),
                horizon_s: None,
            })
        });
    let one = prop_oneof![training, requests].boxed();
    prop_oneof![3 => one.clone(), 1 => proptest::collection::vec(one, 1..4).prop_map(Source::Mix)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn workloads_are_sorted_positive_and_replayed(source in any_source(), seed: u64) {
        let catalog = Catalog::builtin();
        let cluster = cluster(&[("v100", 4), ("p100", 4), ("k80", 4), ("t4", 2)]);
        let workload = source.generate(catalog, &cluster, seed).unwrap();
        prop_assert!(!workload.is_empty() && workload.jobs.len() == workload.truths.len());
        prop_assert!(workload.jobs.is_sorted_by_key(|job| job.arrival));
        prop_assert!(workload.jobs.iter().enumerate().all(|(at, job)| job.label == at as u64));
        for job in &workload.jobs {
            match job.task {
                Task::Training { model, batch, samples } => {
                    let runs = |kind: &crate::units::KindId| catalog.training_speed(model, *kind, job.gang, batch).is_some();
                    prop_assert!(samples > 0 && cluster.kinds().iter().any(runs));
                }
                Task::Request { .. } => prop_assert!(job.deadline.unwrap() > job.arrival),
                Task::Rigid { .. } | Task::Steps { .. } => prop_assert!(false, "none was asked for"),
            }
        }
        prop_assert_eq!(&workload, &source.generate(catalog, &cluster, seed).unwrap());
        let text = toml::to_string(&source).unwrap();
        prop_assert_eq!(toml::from_str::<Source>(&text).unwrap(), source);
    }

    #[test]
    fn batch_queues_are_sorted_positive_and_replayed(procs in 1..2000_u32, jobs in 1..100_u32, seed: u64) {
        let source = Source::Lublin(LublinSource { jobs, population: Population::All, gap_factor: 1.0 });
        let cluster = cluster(&[("processor", procs)]);
        let workload = source.generate(Catalog::builtin(), &cluster, seed).unwrap();
        prop_assert!(workload.jobs.is_sorted_by_key(|job| job.arrival));
        prop_assert!(workload.jobs.iter().all(|job| job.procs >= 1 && job.procs <= procs));
        prop_assert!(workload.truths.iter().all(|truth| matches!(truth, Truth::Duration(run) if run.0 > 0)));
        prop_assert_eq!(&workload, &source.generate(Catalog::builtin(), &cluster, seed).unwrap());
    }
}
