//! Serving rules on schedules that were worked out by hand, and in random worlds.
//!
//! The hand-made worlds have one V100 that serves ResNet-50 with Clockwork's measured latencies: 3.322, 5.271, 7.495 and
//! 12.439 ms for 1, 2, 4 and 8 requests.

#![allow(clippy::unwrap_used, reason = "a fault may end a test")]

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use yardmaster_agent::policy::play;
use yardmaster_agent::registry::{self, entries};
use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::{Cluster, Node};
use yardmaster_env::data::Retention;
use yardmaster_env::job::{Job, Task, Truth, Workload};
use yardmaster_env::loads::LoadRules;
use yardmaster_env::objective::Objective;
use yardmaster_env::rules::Rules;
use yardmaster_env::serving::{Batches, Late, Serving};
use yardmaster_env::sim::{Simulator, State, World};
use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::Discipline;

const CLOCKWORK: &str = "resnet50-v2";

fn micros(count: u64) -> Span {
    Span::from_micros(count)
}

fn cluster(kinds: &[&str]) -> Cluster {
    let catalog = Catalog::builtin();
    let node = |(at, kind): (usize, &&str)| Node {
        name: format!("n{at}"),
        kind: catalog.kind(kind).unwrap(),
        devices: 1,
        procs_per_device: 1,
        rack: 0,
    };
    Cluster::new(kinds.iter().enumerate().map(node).collect())
}

/// A request for `model` that arrives and has its deadline so many microseconds after the start and its arrival.
fn request(label: u64, model: &str, arrival_us: u64, deadline_us: u64) -> Job {
    let model = Catalog::builtin().inference(model).unwrap();
    let arrival = Time::ZERO + micros(arrival_us);
    let job = Job::new(label, arrival, Task::Request { model }, 1);
    Job { deadline: Some(arrival + micros(deadline_us)), ..job }
}

/// A job without a model.
fn job(label: u64, arrival_us: u64, length_us: u64) -> Job {
    Job::new(label, Time::ZERO + micros(arrival_us), Task::Rigid { requested: micros(length_us) }, 1)
}

fn built(kinds: &[&str], jobs: Vec<Job>, serving: Serving, hold: Option<Span>) -> World {
    let mut workload = Workload::default();
    jobs.into_iter().for_each(|job| workload.push(job, Truth::AsEstimated));
    let objective = Objective::Shared { latency: 0.05, scale_s: 1.0 };
    let catalog = Catalog::builtin();
    let world = World::new(catalog, cluster(kinds), workload, Discipline::Free, objective, hold).unwrap();
    world.with_serving(catalog, serving).unwrap()
}

/// Late requests are served, in the batches that were measured.
fn world(kinds: &[&str], jobs: Vec<Job>) -> World {
    built(kinds, jobs, Serving { late: Late::Serve, batches: Batches::Measured }, Some(Span::from_secs(1)))
}

fn run(world: World, policy: &str) -> Simulator {
    play(&Arc::new(world), &mut *registry::build(policy).unwrap(), 0).unwrap()
}

/// When each job started, in microseconds.
fn starts(world: World, policy: &str) -> Vec<u64> {
    run(world, policy).records().iter().map(|record| record.start.0 / 1000).collect()
}

#[test]
fn symphony_goes_when_one_request_more_would_be_too_many() {
    let alone = || world(&["v100"], vec![request(0, CLOCKWORK, 0, 20_000)]);
    // 20 ms less the 5.271 ms of a batch of two.
    assert_eq!(starts(alone(), "symphony(margin=0)"), [14_729]);
    assert_eq!(starts(alone(), "symphony(margin=2)"), [12_729]);
    let joined =
        world(&["v100"], vec![request(0, CLOCKWORK, 0, 20_000), request(1, CLOCKWORK, 10_000, 20_000)]);
    // With two waiting the next size is four: 20 - 7.495.
    assert_eq!(starts(joined, "symphony(margin=0)"), [12_505, 12_505]);
    // Too late for more than one from the beginning.
    let urgent = world(&["v100"], vec![request(0, CLOCKWORK, 0, 4_000)]);
    assert_eq!(starts(urgent, "symphony(margin=0)"), [0]);
}

#[test]
fn a_batch_is_as_large_as_the_oldest_deadline_allows() {
    let four = |deadline: u64| (0..4).map(|at| request(at, CLOCKWORK, 0, deadline)).collect::<Vec<_>>();
    // 7.495 ms for four, 5.271 ms for two.
    assert_eq!(starts(world(&["v100"], four(7_495)), "deadline"), [0; 4]);
    assert_eq!(starts(world(&["v100"], four(7_494)), "deadline"), [0, 0, 5_271, 5_271]);
    assert_eq!(starts(world(&["v100"], four(5_270)), "deadline")[..2], [0, 3_322]);
    // Nobody can be in time: all go at once.
    assert_eq!(starts(world(&["v100"], four(1_000)), "deadline"), [0; 4]);
    // The first is late anyway and rides along with the second, whose deadline allows two.
    let late = [1_000, 6_000, 6_000, 6_000];
    let late = (0..).zip(late).map(|(at, deadline)| request(at, CLOCKWORK, 0, deadline)).collect();
    assert_eq!(starts(world(&["v100"], late), "deadline"), [0, 0, 5_271, 5_271]);
}

/// The batches in order of start.
fn batches(sim: &Simulator) -> Vec<usize> {
    let mut sizes: Vec<(u64, usize)> = Vec::new();
    for record in sim.records() {
        match sizes.iter_mut().find(|(start, _)| *start == record.start.0) {
            Some((_, size)) => *size += 1,
            None => sizes.push((record.start.0, 1)),
        }
    }
    sizes.into_iter().map(|(_, size)| size).collect()
}

#[test]
fn aimd_adds_one_after_a_full_batch_in_time_and_backs_off_after_a_miss() {
    let all = |deadline: u64| (0..16).map(|at| request(at, CLOCKWORK, 0, deadline)).collect::<Vec<_>>();
    // Caps 1, 2, 3 (served as 2), 4, 5, 6; the last three are no full batch.
    let sim = run(world(&["v100"], all(1_000_000)), "aimd");
    assert_eq!(batches(&sim), [1, 2, 2, 4, 4, 2, 1]);
    // Caps 1, 4, 7 (served as 4).
    assert_eq!(batches(&run(world(&["v100"], all(1_000_000)), "aimd(add=3)")), [1, 4, 4, 4, 2, 1]);
    // A batch of four takes 7.495 ms: a miss at 7 ms, so caps 1, 4, 4 * 0.5 = 2, which is in time: 5.
    assert_eq!(batches(&run(world(&["v100"], all(7_000)), "aimd(add=3,backoff=0.5)")), [1, 4, 2, 4, 2, 2, 1]);
    // With the wait counted, all but the first batch miss 7 ms: the cap falls back to one.
    let waits = run(world(&["v100"], all(7_000)), "aimd(add=3,backoff=0.5,waits=1)");
    assert_eq!(batches(&waits), [1, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
}

/// Two models on one V100 that is busy with a request of the first until `3.322 ms`; then one of each waits.
fn two(second: &str, patience: [u64; 2]) -> World {
    let jobs = vec![
        request(0, CLOCKWORK, 0, 100_000),
        request(1, CLOCKWORK, 1_000, patience[0]),
        request(2, second, 1_000, patience[1]),
    ];
    world(&["v100"], jobs)
}

fn span(world: &World, model: &str) -> f64 {
    let stream = world.timing.stream_of(Catalog::builtin().inference(model).unwrap()).unwrap();
    world.timing.batch(stream, 0, 1).unwrap().as_secs_f64()
}

/// Which of the two goes first.
fn first(world: World, policy: &str) -> usize {
    let starts = starts(world, policy);
    if starts[1] < starts[2] { 1 } else { 2 }
}

#[test]
fn the_index_serves_most_requests_in_time_per_device_second() {
    let ample = two("bert-large", [100_000, 100_000]);
    let (small, large) = (span(&ample, CLOCKWORK), span(&ample, "bert-large"));
    // One request each: the shorter has the higher index, 1 / 3.322 ms, whatever the deadlines.
    assert!(small < large, "{small} {large}");
    assert_eq!(first(ample, "index"), 1);
    assert_eq!(first(two("bert-large", [100_000, 20_000]), "index"), 1);
    // Too late, it is worth 0.05, and 0.05 / 3.322 ms is less than 1 request in the time of the other.
    assert!(0.05 / small < 1.0 / large);
    assert_eq!(first(two("bert-large", [1_000, 100_000]), "index"), 2);
}

#[test]
fn tardiness_serves_the_urgent_and_passes_over_the_late() {
    // Urgency at the end of the batch: exp(-slack / (0.15 * patience)) / seconds; 2.322 ms have passed.
    let worth = |seconds: f64, patience: f64| {
        let slack = patience - 0.002_322 - seconds;
        ((-slack / (0.15 * patience)).exp() + 0.003) / seconds
    };
    let world = two("bert-large", [100_000, 20_000]);
    let (small, large) = (span(&world, CLOCKWORK), span(&world, "bert-large"));
    assert!(worth(large, 0.02) > worth(small, 0.1), "the longer one is worth more");
    assert_eq!(first(world, "tardiness"), 2);
    assert!(worth(small, 0.02) > worth(large, 0.1));
    assert_eq!(first(two("bert-large", [20_000, 100_000]), "tardiness"), 1);
    // The first is late already, and worth 0.053 / 3.322 ms. The other has a slack of a millisecond at its end.
    let tight = (large * 1e6) as u64 + 3_322;
    assert!(worth(large, tight as f64 / 1e6) > 0.053 / small);
    assert_eq!(first(two("bert-large", [500, tight]), "tardiness"), 2);
    // With the least slack first, the late one would come last too, though it is the shorter.
    assert_eq!(first(two("bert-large", [500, 20_000]), "tightest"), 2);
    assert_eq!(first(two("bert-large", [30_000, 25_000]), "tightest"), 2);
    assert_eq!(first(two("bert-large", [25_000, 30_000]), "tightest"), 1);
}

#[test]
fn max_weight_weighs_the_backlog_and_gc_mu_the_delay() {
    let catalog = Catalog::builtin();
    let stream = |world: &World, model| world.timing.stream_of(catalog.inference(model).unwrap()).unwrap();
    // Behind a request of the first model, one more of it and eight of the second.
    let jobs = || {
        let mut jobs = vec![request(0, CLOCKWORK, 0, 100_000), request(1, CLOCKWORK, 1_000, 100_000)];
        jobs.extend((2..10).map(|at| request(at, "bert-large", 1_000, 100_000)));
        jobs
    };
    let world = world(&["v100"], jobs());
    let span = |model, batch| world.timing.batch(stream(&world, model), 0, batch).unwrap().as_secs_f64();
    let (one, many) = (span(CLOCKWORK, 1), span("bert-large", 8));
    assert!(1.0 * 1.0 / one < 8.0 * 8.0 / many && many < 0.07, "{one} {many}");
    assert_eq!(first(world.clone(), "max-weight"), 2);
    // The marginal cost of a squared delay over a patience P is 2 (waited + compute) / P^2, and a batch of requests per
    // device-second comes on top.
    let marginal =
        |patience: f64, compute: f64| 2.0 * (0.002_322 + compute) / (patience * patience) / compute;
    let world = two("bert-large", [100_000, 20_000]);
    let large = {
        let at = stream(&world, "bert-large");
        world.timing.batch(at, 0, 1).unwrap().as_secs_f64()
    };
    assert!(marginal(0.02, large) > marginal(0.1, one));
    assert_eq!(first(world, "gc-mu"), 2);
    assert!(marginal(0.1, large) < marginal(0.02, one));
    assert_eq!(first(two("bert-large", [20_000, 100_000]), "gc-mu"), 1);
}

fn with_loads(world: World, gigabytes: f64) -> World {
    let nodes = world.cluster.nodes().len();
    let loads = LoadRules {
        retention: Retention::Reserve,
        bytes_per_s: 12e9,
        latency: Span::ZERO,
        memory_bytes: vec![(gigabytes * 1e9) as u64; nodes],
        models: LoadRules::footprints(Catalog::builtin()),
    };
    world.with_loads(loads).unwrap()
}

#[test]
fn keep_warm_loads_a_model_when_enough_wait_for_it_or_it_is_high_time() {
    // bert-large is loaded for the first request, which is late anyway; then two come for the small model.
    let jobs = |patience: u64| {
        vec![
            request(0, "bert-large", 0, 1_000),
            request(1, CLOCKWORK, 100_000, patience),
            request(2, CLOCKWORK, 101_000, patience),
        ]
    };
    let starts = |policy: &str| starts(with_loads(world(&["v100"], jobs(90_000)), 2.0), policy);
    assert_eq!(starts("keep-warm(backlog=1)")[1], 100_000);
    assert_eq!(starts("keep-warm(backlog=2)")[1..], [101_000, 101_000]);
    // 190 ms less the load and a batch of two; held to the nanosecond.
    let world = with_loads(world(&["v100"], jobs(90_000)), 2.0);
    let model = Catalog::builtin().inference(CLOCKWORK).unwrap();
    let bytes = LoadRules::footprints(Catalog::builtin())[model.index()][0].weights;
    let load = Span::from_secs_f64(bytes as f64 / 12e9);
    let last = Time::ZERO + micros(190_000 - 5_271);
    let sim = run(world, "keep-warm(backlog=3)");
    assert_eq!(sim.records()[1].start, Time(last.0 - load.0));
}

#[test]
fn long_jobs_leave_devices_for_requests_and_short_ones_do_not() {
    let jobs = |length| {
        vec![
            request(0, CLOCKWORK, 0, 20_000),
            job(1, 10_000, length),
            job(2, 10_000, length),
            request(3, CLOCKWORK, 11_000, 20_000),
        ]
    };
    let on_two = |length| world(&["v100", "v100"], jobs(length));
    // The second job starts once the first has ended.
    assert_eq!(starts(on_two(100_000), "fcfs+tardiness"), [0, 10_000, 110_000, 11_000]);
    // Without spare devices the request waits for the jobs.
    assert_eq!(starts(on_two(100_000), "fcfs+tardiness(spare=0)"), [0, 10_000, 10_000, 110_000]);
    // Jobs that are shorter than a request can wait may take all.
    assert_eq!(starts(on_two(15_000), "fcfs+tardiness"), [0, 10_000, 10_000, 25_000]);
    // A lone device is not kept for ever.
    assert_eq!(starts(world(&["v100"], jobs(100_000)), "fcfs+tardiness")[1], 10_000);
}

#[test]
fn nothing_is_kept_for_requests_that_have_become_rare() {
    // One every 5 ms, then two jobs: 20 ms after the last request, or after more than a hundred gaps.
    let starts = |quiet: u64, policy: &str| {
        let mut jobs: Vec<Job> = (0..40).map(|at| request(at, CLOCKWORK, at * 5_000, 20_000)).collect();
        let then = 39 * 5_000 + quiet;
        jobs.extend([job(40, then, 100_000), job(41, then, 100_000)]);
        let starts = starts(world(&["v100", "v100"], jobs), policy);
        (starts[40] - then, starts[41] - then)
    };
    assert_eq!(starts(600_000, "fcfs+tardiness(lull=0.01)"), (0, 0));
    assert_eq!(starts(600_000, "fcfs+tardiness"), (0, 100_000), "one device stays free for ever");
    assert_eq!(starts(20_000, "fcfs+tardiness(lull=0.01)"), (0, 100_000), "requests may still come");
}

#[test]
fn a_job_is_cut_off_for_a_request_that_would_be_late() {
    let jobs = |patience| vec![job(0, 0, 100_000), request(1, CLOCKWORK, 10_000, patience)];
    let starts = |patience: u64, policy: &str| {
        let rules = Rules { preempt: true, ..Rules::default() };
        starts(world(&["v100"], jobs(patience)).with_rules(rules).unwrap(), policy)
    };
    assert_eq!(starts(20_000, "tardiness(preempt=1)")[1], 10_000);
    assert_eq!(starts(20_000, "tardiness(preempt=0)")[1], 100_000);
    // In time behind the job, or late whatever happens: nothing is gained.
    assert_eq!(starts(95_000, "tardiness(preempt=1)")[1], 100_000);
    assert_eq!(starts(3_000, "tardiness(preempt=1)")[1], 100_000);
}

/// A random world: kinds, (gap, kind of work, patience, weight), options.
#[derive(Clone, Debug)]
struct Case {
    nodes: Vec<u8>,
    work: Vec<(u64, u8, u64, u8)>,
    late: bool,
    measured: bool,
    loads: bool,
    preempt: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let work = (0..6_000_u64, 0..5_u8, 0..60_000_u64, 0..3_u8);
    let options = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (vec(0..2_u8, 1..4), vec(work, 1..60), options).prop_map(
        |(nodes, work, (late, measured, loads, preempt))| Case {
            nodes,
            work,
            late,
            measured,
            loads,
            preempt,
        },
    )
}

impl Case {
    fn world(&self) -> World {
        let kinds: Vec<&str> = self.nodes.iter().map(|&at| ["v100", "t4"][usize::from(at)]).collect();
        let mut now = 0;
        let mut jobs = Vec::new();
        for (label, &(gap, which, patience, weight)) in (0..).zip(&self.work) {
            now += gap;
            let made = match which {
                0 => job(label, now, patience),
                1 => Job { deadline: None, ..request(label, CLOCKWORK, now, 0) },
                at => request(
                    label,
                    ["resnet50", "bert-6l", "wide-and-deep"][usize::from(at) - 2],
                    now,
                    patience,
                ),
            };
            jobs.push(Job { weight: f64::from(weight), ..made });
        }
        let late = if self.late { Late::Drop } else { Late::Serve };
        let batches = if self.measured { Batches::Measured } else { Batches::Any };
        let world = built(&kinds, jobs, Serving { late, batches }, None);
        let world = if self.loads { with_loads(world, 2.0) } else { world };
        world.with_rules(Rules { preempt: self.preempt, ..Rules::default() }).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_serving_and_batching_rule_ends_a_random_world(case in case()) {
        let world = Arc::new(case.world());
        let rules = entries().into_iter().filter(|entry| ["serving", "batching"].contains(&entry.part));
        let mut names: Vec<String> = rules.map(|entry| format!("mct+{}", entry.name)).collect();
        names.extend([
            "fcfs+tardiness(preempt=1,spare=2)".to_owned(),
            "index(variants=1,beta=1,patience=1)".to_owned(),
            "sjf+wrr+max-weight(variants=2,preempt=1,patience=0)".to_owned(),
            "edf+aimd(waits=1)".to_owned(),
        ]);
        for name in names {
            // An illegal decision is an error; work that is left over would be an endless loop or a state.
            let sim = play(&world, &mut *registry::build(&name).unwrap(), 0);
            let sim = sim.map_err(|defect| TestCaseError::fail(format!("{name}: {defect}")))?;
            let over = |state| matches!(state, State::Finished | State::Dropped | State::Refused);
            prop_assert!(sim.records().iter().all(|record| over(record.state)), "{}", name);
        }
    }
}
