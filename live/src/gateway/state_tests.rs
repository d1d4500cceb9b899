//! Queues and decisions, with the time told.

use yardmaster_agent::policy::Policy;
use yardmaster_agent::registry;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::spec::Split;

use super::super::decide::{Decider, Step};
use super::*;

/// Two devices, of which one takes 1 ms and 0.5 ms a request more, the other ten times as long.
const SCENARIO: &str = r#"
name = "two"
about = "for tests"
hold_ms = 2.0
objective = { kind = "misses", latency = 0.05 }
prior = "mct"
nodes = [{ name = "fast", kind = "fast" }, { name = "slow", kind = "slow" }]
[workload.requests]
count = 300
rate = { per_second = 400.0 }
process = { bursty = { factor = 3.0, share = 0.2, mean_burst_s = 0.1 } }
streams = [{ model = "a", share = 1.0, deadline_ms = 20.0 }, { model = "b", share = 1.0, deadline_ms = 40.0 }]
[measured]
how = "made up"
devices = [{ name = "fast", class = "cpu" }, { name = "slow", class = "cpu" }]
latencies = [
    { model = "a", device = "fast", batch = 1, latency_us = 1000.0 },
    { model = "a", device = "fast", batch = 8, latency_us = 4500.0 },
    { model = "a", device = "slow", batch = 1, latency_us = 10000.0 },
    { model = "a", device = "slow", batch = 4, latency_us = 25000.0 },
    { model = "b", device = "fast", batch = 1, latency_us = 2000.0 },
    { model = "b", device = "fast", batch = 4, latency_us = 5000.0 },
]
"#;

fn scenario() -> Scenario {
    Scenario::parse(SCENARIO, "two").unwrap()
}

fn state() -> State {
    let scenario = scenario();
    let models = ["a", "b"].map(|name| scenario.catalog().inference(name).unwrap());
    let mut state = State::new(&scenario, &models);
    state.set_up(0, true);
    state.set_up(1, true);
    state
}

#[test]
fn a_policy_is_told_what_the_scenario_is_for() {
    let slowdown =
        SCENARIO.replace(r#"{ kind = "misses", latency = 0.05 }"#, r#"{ kind = "slowdown", floor_s = 2.0 }"#);
    let scenario = Scenario::parse(&slowdown, "two").unwrap();
    let model = scenario.catalog().inference("a").unwrap();
    let state = State::new(&scenario, &[model]);
    assert_eq!(state.view(Time::ZERO).objective, Objective::Slowdown { floor_s: 2.0 });
    assert_eq!(self::state().view(Time::ZERO).objective, Objective::SERVING);
}

fn millis(ms: u64) -> Time {
    Time(ms * 1_000_000)
}

fn decider(policy: &str) -> Decider {
    let build = |name| registry::build(name).unwrap();
    Decider::new(build(policy), build("mct"), Span::from_micros(2000))
}

#[test]
fn a_batch_takes_the_oldest_and_frees_its_device_when_it_ends() {
    let mut state = state();
    let tickets: Vec<Ticket> = (0..3).map(|ms| state.arrive(millis(ms), 0, None)).collect();
    let mut decider = decider("fcfs");
    let Step::Start(launch) = decider.next(&mut state, millis(3)) else { panic!("a device is free") };
    assert_eq!((launch.node, launch.model, &launch.members), (0, 0, &tickets));
    assert_eq!(decider.next(&mut state, millis(3)), Step::Wait(None), "nothing waits");
    assert_eq!((state.room(0), state.room(1)), (4, 0), "the slow one is left, which runs one of them");
    let other = state.arrive(millis(4), 1, None);
    assert_eq!(decider.next(&mut state, millis(4)), Step::Wait(None), "only the other runs it");
    state.finish(launch.sequence);
    let Step::Start(next) = decider.next(&mut state, millis(5)) else { panic!("it is free again") };
    assert_eq!((next.node, next.model, next.members), (0, 1, vec![other]));
}

#[test]
fn who_comes_back_stands_before_the_younger() {
    let mut state = state();
    let first = state.arrive(millis(0), 1, None);
    let mut decider = decider("fcfs");
    let Step::Start(launch) = decider.next(&mut state, millis(0)) else { panic!("a device is free") };
    let second = state.arrive(millis(1), 1, None);
    state.set_up(0, false);
    state.finish(launch.sequence);
    state.put_back(&launch.members);
    assert!(!state.is_served(1), "model b runs on the first only");
    assert_eq!(decider.next(&mut state, millis(2)), Step::Wait(None));
    state.set_up(0, true);
    let Step::Start(again) = decider.next(&mut state, millis(3)) else { panic!("it is up again") };
    assert_eq!(again.members, [first, second]);
    assert!(!state.withdraw(first), "it runs");
}

#[test]
fn who_withdraws_is_in_no_batch() {
    let mut state = state();
    let tickets: Vec<Ticket> = (0..3).map(|_| state.arrive(millis(0), 0, None)).collect();
    assert!(state.withdraw(tickets[1]));
    assert!(!state.withdraw(tickets[1]), "it is gone");
    assert!(!state.withdraw(Ticket(99)), "it was never there");
    let Step::Start(launch) = decider("fcfs").next(&mut state, millis(1)) else { panic!("free") };
    assert_eq!(launch.members, [tickets[0], tickets[2]]);
}

#[test]
fn a_hold_ends_at_its_moment() {
    let mut state = state();
    state.arrive(millis(10), 1, None);
    let mut decider = decider("fcfs+timeout(ms=5)");
    assert_eq!(decider.next(&mut state, millis(11)), Step::Wait(Some(millis(15))));
    assert!(matches!(decider.next(&mut state, millis(15)), Step::Start(_)));
}

/// Decides what cannot be, or breaks off.
struct Broken {
    panics: bool,
}

impl Policy for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        assert!(!self.panics, "broken");
        let nodes = [Share { node: NodeId(0), devices: 1 }].into_iter().collect();
        Decision::Start { job: view.streams[0].queue[0], nodes, batch: 99, variant: 0 }
    }
}

#[test]
fn where_the_policy_fails_the_rule_decides() {
    for panics in [false, true] {
        let mut state = state();
        let ticket = state.arrive(millis(0), 0, None);
        let rule = registry::build("mct").unwrap();
        let mut decider = Decider::new(Box::new(Broken { panics }), rule, Span::from_micros(2000));
        let Step::Start(launch) = decider.next(&mut state, millis(0)) else { panic!("the rule starts it") };
        assert_eq!((launch.members, decider.fallbacks), (vec![ticket], 1));
    }
}

#[test]
fn old_requests_are_forgotten_and_tickets_stay() {
    let mut state = state();
    let mut decider = decider("fcfs");
    for number in 0..2 * KEEP as u64 {
        assert_eq!(state.arrive(millis(number), 0, None), Ticket(number));
        let Step::Start(launch) = decider.next(&mut state, millis(number)) else { panic!("free") };
        assert_eq!(launch.members, [Ticket(number)]);
        state.finish(launch.sequence);
    }
    let late = state.arrive(millis(200_000), 0, None);
    assert_eq!(late, Ticket(2 * KEEP as u64));
    assert_eq!(state.jobs.len(), 2, "the last before it was waiting when the others were forgotten");
    let Step::Start(launch) = decider.next(&mut state, millis(200_001)) else { panic!("free") };
    assert_eq!(launch.members, [late]);
}

/// Fed with the arrivals of an episode and with completions as the table says, the gateway does what the simulator
/// does: the same batches on the same devices at the same moments.
#[test]
fn the_gateway_decides_as_the_simulator() {
    for policy in ["fcfs", "wrr", "mct+timeout(ms=3)", "tardiness", "mct+aimd"] {
        let scenario = scenario();
        let world = std::sync::Arc::new(scenario.world(Split::Test.seed(1, 0)).unwrap());
        let mut rule = registry::build(policy).unwrap();
        let sim = yardmaster_agent::policy::play(&world, &mut *rule, 0).unwrap();
        let simulated: Vec<(Time, Time, u32)> =
            sim.records().iter().map(|record| (record.start, record.finish, record.batch)).collect();
        assert_eq!(drive(&world.workload.jobs, scenario.catalog(), policy), simulated, "{policy}");
    }
}

/// Start, finish and batch of each request.
fn drive(jobs: &[Job], catalog: &Catalog, policy: &str) -> Vec<(Time, Time, u32)> {
    let (mut state, mut decider) = (state(), decider(policy));
    let model = |job: &Job| usize::from(job.request_model() == catalog.inference("b"));
    let mut done = vec![(Time::ZERO, Time::ZERO, 0); jobs.len()];
    let (mut arrived, mut wake) = (0, None);
    loop {
        let arrival = jobs.get(arrived).map(|job| job.arrival);
        let finish = state.running.iter().map(|run| run.expected_finish).min();
        let Some(now) = [arrival, finish, wake].into_iter().flatten().min() else { return done };
        let over: Vec<u64> =
            state.running.iter().filter(|run| run.expected_finish == now).map(|run| run.sequence).collect();
        over.into_iter().for_each(|sequence| state.finish(sequence));
        while let Some(job) = jobs.get(arrived).filter(|job| job.arrival == now) {
            state.arrive(now, model(job), job.deadline);
            arrived += 1;
        }
        wake = loop {
            match decider.next(&mut state, now) {
                Step::Wait(until) => break until,
                Step::Start(launch) => {
                    let run = state.running.last().unwrap();
                    for ticket in launch.members {
                        done[ticket.0 as usize] = (now, run.expected_finish, run.batch);
                    }
                }
            }
        };
    }
}
