//! What must hold where requests are served late or dropped, by open streams or by clients, in random decisions.

#![allow(clippy::unwrap_used, reason = "a fault may end a test")]

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use yardmaster_env::candidates::Candidates;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::{Cluster, Node};
use yardmaster_env::job::{Job, Task, Truth, Workload};
use yardmaster_env::metrics::Metrics;
use yardmaster_env::objective::Objective;
use yardmaster_env::serving::{Batches, Clients, Late, Serving};
use yardmaster_env::sim::{Simulator, State, World, WorldError};
use yardmaster_env::units::{JobId, Span, Time};
use yardmaster_env::view::{Decision, Discipline};

const LATENCY: f64 = 0.25;

/// A world of requests and the choices made in it.
#[derive(Clone, Debug)]
struct Case {
    /// Kind (V100 or T4) of each node.
    nodes: Vec<bool>,
    /// (ms since the request before, model, ms to the deadline, weight)
    requests: Vec<(u64, bool, Option<u64>, u8)>,
    /// (clients, think ms): the requests are then sent by clients.
    clients: Option<(u32, u64)>,
    late: Late,
    batches: Batches,
    hold: bool,
    /// Taken in turn, modulo the number of actions.
    choices: Vec<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    let gap = prop_oneof![2 => Just(0_u64), 2 => 0..6_u64];
    let request = (gap, any::<bool>(), proptest::option::weighted(0.8, 0..40_u64), 1..4_u8);
    let clients = proptest::option::weighted(0.4, (1..9_u32, 0..5_u64));
    let late = prop_oneof![1 => Just(Late::Serve), 3 => Just(Late::Drop)];
    let batches = prop_oneof![Just(Batches::Any), Just(Batches::Measured)];
    let world = (vec(any::<bool>(), 1..4), vec(request, 1..80), clients);
    (world, late, batches, any::<bool>(), vec(0..1000_usize, 1..40)).prop_map(
        |((nodes, requests, clients), late, batches, hold, choices)| Case {
            nodes,
            requests,
            clients,
            late,
            batches,
            hold,
            choices,
        },
    )
}

fn millis(count: u64) -> Span {
    Span::from_micros(1000) * count
}

impl Case {
    fn world(&self) -> Arc<World> {
        let catalog = Catalog::builtin();
        let kind = |v100: bool| catalog.kind(if v100 { "v100" } else { "t4" }).unwrap();
        let node = |(at, &v100): (usize, &bool)| Node {
            name: format!("n{at}"),
            kind: kind(v100),
            devices: 1,
            procs_per_device: 1,
            rack: 0,
        };
        let cluster = Cluster::new(self.nodes.iter().enumerate().map(node).collect());
        let mut workload = Workload::default();
        // With clients all deadlines are alike.
        let deadline = self.requests[0].2.map(millis);
        workload.clients =
            self.clients.map(|(count, think)| Clients { count, think: millis(think), deadline });
        let mut now = Time::ZERO;
        for (label, &(gap, which, deadline, weight)) in (0..).zip(&self.requests) {
            let model = catalog.inference(if which { "resnet50" } else { "resnet50-v2" }).unwrap();
            now += millis(gap);
            let arrival = match workload.clients {
                Some(clients) if label < u64::from(clients.count) => Time::ZERO,
                Some(_) => Time::MAX,
                None => now,
            };
            let span = workload.clients.map_or(deadline.map(millis), |clients| clients.deadline);
            let mut job = Job::new(label, arrival, Task::Request { model }, 1);
            job.deadline = span.map(|span| arrival + span);
            job.weight = f64::from(weight);
            workload.push(job, Truth::AsEstimated);
        }
        let hold = self.hold.then(|| millis(3));
        let objective = Objective::Misses { latency: LATENCY };
        let world = World::new(catalog, cluster, workload, Discipline::Free, objective, hold).unwrap();
        let serving = Serving { late: self.late, batches: self.batches };
        Arc::new(world.with_serving(catalog, serving).unwrap())
    }

    fn play(
        &self,
        mut judge: impl FnMut(&Simulator) -> Result<(), TestCaseError>,
    ) -> Result<Simulator, TestCaseError> {
        let mut sim = Simulator::new(self.world());
        let mut candidates = Candidates::default();
        while let Some(view) = sim.next_decision() {
            candidates.fill(&view);
            prop_assert!(candidates.actions() > 0, "a decision without actions");
            let at = sim.decisions() as usize;
            // In the long run work is preferred to waiting.
            let patient = at < 20 * self.requests.len();
            let action =
                if patient { self.choices[at % self.choices.len()] % candidates.actions() } else { 0 };
            let decision = candidates.decision(&sim.view(), action).unwrap();
            judge(&sim)?;
            prop_assert_eq!(sim.apply(decision), Ok(()));
        }
        Ok(sim)
    }
}

/// Where a request stands, from what a policy sees.
fn seen(sim: &Simulator, id: JobId) -> (usize, usize) {
    let view = sim.view();
    let queued = view.streams.iter().filter(|stream| stream.queue.contains(&id)).count();
    let running = view.running.iter().filter(|running| running.members.contains(&id)).count();
    (queued, running)
}

/// Cases of each property: 300, or what YARDMASTER_CASES says (the long mode has 10,000).
fn cases() -> u32 {
    let asked = std::env::var("YARDMASTER_CASES").ok();
    asked.map_or(300, |cases| cases.parse().expect("YARDMASTER_CASES is a whole number"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn every_request_ends_once_served_or_dropped(case in case()) {
        let sim = case.play(|sim| {
            for at in 0..sim.arrived() {
                let (state, job) = (sim.records()[at].state, &sim.world().workload.jobs[at]);
                let expected = (usize::from(state == State::Queued), usize::from(state == State::Running));
                prop_assert_eq!(seen(sim, JobId(at as u32)), expected, "request {}", at);
                let overdue = job.deadline.is_some_and(|deadline| deadline <= sim.now());
                prop_assert!(case.late == Late::Serve || state != State::Queued || !overdue, "request {}", at);
            }
            Ok(())
        })?;
        let world = sim.world();
        let runs = |at: usize| world.shortest(JobId(at as u32)).is_some();
        for (at, (record, job)) in sim.records().iter().zip(&world.workload.jobs).enumerate() {
            match record.state {
                State::Finished => {
                    prop_assert!(record.start >= job.arrival && record.finish > record.start);
                    // What starts at its deadline or later should have been dropped.
                    let in_time = job.deadline.is_none_or(|deadline| record.start < deadline);
                    prop_assert!(case.late == Late::Serve || in_time, "request {}", at);
                }
                State::Dropped => {
                    prop_assert!(case.late == Late::Drop);
                    prop_assert_eq!(Some(record.finish), job.deadline, "request {}", at);
                    prop_assert!(record.nodes.is_empty());
                }
                State::Refused => prop_assert!(!runs(at)),
                other => prop_assert!(false, "request {} is {:?} at the end", at, other),
            }
        }
    }

    #[test]
    fn a_miss_is_charged_once(case in case()) {
        let sim = case.play(|_| Ok(()))?;
        let (mut cost, mut weight, mut met, mut all) = (0.0, 0.0, 0_usize, 0_usize);
        for (record, job) in sim.records().iter().zip(&sim.world().workload.jobs) {
            if record.state == State::Refused {
                continue;
            }
            all += 1;
            weight += job.weight;
            let Some(deadline) = job.deadline else { met += 1; continue };
            let missed = record.state == State::Dropped || record.finish > deadline;
            met += usize::from(!missed);
            let allowed = deadline.since(job.arrival).as_secs_f64().max(1e-9);
            cost += job.weight * (f64::from(missed) + LATENCY * record.finish.since(job.arrival).as_secs_f64() / allowed);
        }
        let metrics = Metrics::of(&sim);
        if all > 0 {
            let score = cost / weight;
            prop_assert!((metrics.objective - score).abs() < 1e-6 * (1.0 + score), "{} {}", metrics.objective, score);
            prop_assert!((metrics.slo_attainment - met as f64 / all as f64).abs() < 1e-12);
        }
        prop_assert_eq!(metrics.jobs + metrics.dropped + metrics.refused, sim.records().len());
    }

    #[test]
    fn each_answer_brings_one_request(case in case()) {
        let shared = case.world();
        let Some(clients) = shared.workload.clients else { return Ok(()) };
        let sim = case.play(|sim| {
            let open = sim.view().streams.iter().map(|stream| stream.queue.len()).sum::<usize>()
                + sim.view().running.iter().map(|running| running.members.len()).sum::<usize>();
            prop_assert!(open <= clients.count as usize, "{} requests of {} clients", open, clients.count);
            Ok(())
        })?;
        // The moments of answers and those of all but the first requests are the same, one think time apart.
        let jobs = &sim.world().workload.jobs;
        let ended = sim.records().iter().zip(jobs).map(|(record, job)| match record.state {
            State::Refused => job.arrival,
            _ => record.finish,
        });
        let mut answers: Vec<Time> = ended.map(|end| end + clients.think).collect();
        answers.sort_unstable();
        let first = jobs.len().min(clients.count as usize);
        let sent: Vec<Time> = jobs[first..].iter().map(|job| job.arrival).collect();
        prop_assert_eq!(&sent[..], &answers[..sent.len()]);
        // The world that others share stays as it was.
        prop_assert!(shared.workload.jobs[first..].iter().all(|job| job.arrival == Time::MAX));
    }

    #[test]
    fn only_measured_sizes_are_served_where_the_scenario_says_so(case in case()) {
        let sim = case.play(|sim| {
            let view = sim.view();
            for stream in view.streams.iter().filter(|stream| stream.queue.len() >= 3) {
                let Some(nodes) = (0..view.timing.kinds()).find_map(|slot| view.place(slot, 1)) else { continue };
                let slot = view.slot_of(nodes[0].node);
                let at = view.timing.stream_of(stream.model).unwrap();
                let legal = case.batches == Batches::Any && view.timing.max_batch(at, slot) >= 3;
                let start = Decision::Start { job: stream.queue[0], nodes, batch: 3, variant: 0 };
                prop_assert_eq!(sim.clone().apply(start).is_ok(), legal);
            }
            Ok(())
        })?;
        let measured = |batch: u32| batch.is_power_of_two();
        let served = sim.records().iter().filter(|record| record.state == State::Finished);
        prop_assert!(case.batches == Batches::Any || served.into_iter().all(|record| measured(record.batch)));
    }

    #[test]
    fn equal_choices_make_equal_histories(case in case()) {
        let (one, other) = (case.play(|_| Ok(()))?, case.play(|_| Ok(()))?);
        prop_assert_eq!(one.digest(), other.digest());
        prop_assert_eq!(one.records(), other.records());
    }
}

#[test]
fn dropping_needs_an_objective_that_counts_it() {
    let catalog = Catalog::builtin();
    let node = Node {
        name: "n".into(),
        kind: catalog.kind("v100").unwrap(),
        devices: 1,
        procs_per_device: 1,
        rack: 0,
    };
    let objective = Objective::CompletionTime;
    let cluster = Cluster::new(vec![node]);
    let world = World::new(catalog, cluster, Workload::default(), Discipline::Free, objective, None).unwrap();
    let error = world.with_serving(catalog, Serving { late: Late::Drop, ..Serving::default() }).unwrap_err();
    assert_eq!(error, WorldError::DropsCostNothing { objective: "completion-time" });
}
