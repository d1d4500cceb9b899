//! What a planner is shown of the future: nothing that is not known, and exactly what it imagines.

#![allow(clippy::unwrap_used, reason = "a fault may end a test")]

use std::sync::Arc;

use yardmaster_env::candidates::Candidates;
use yardmaster_env::job::Truth;
use yardmaster_env::sim::{Arrival, Future, Simulator, State, World};
use yardmaster_env::spec::{BUILTIN, Scenario, Split, builtin};
use yardmaster_env::units::{JobId, Span, Time};
use yardmaster_env::view::{Decision, Discipline, View};

/// The first listed decision, except that it waits or cuts something off now and then.
fn decide(view: &View<'_>, candidates: &mut Candidates, number: usize) -> Decision {
    let young = |start: Time| start == view.now;
    let cut = view.running.iter().find(|run| {
        !young(run.start) && run.members.len() == 1 && view.job(run.members[0]).request_model().is_none()
    });
    match cut {
        Some(run) if view.rules.preempt && number < 300 && number % 17 == 5 && !view.queue.is_empty() => {
            return Decision::Preempt { run: run.sequence };
        }
        _ => {}
    }
    candidates.fill(view);
    let wait = candidates.wait && (number % 5 == 3 || candidates.list.is_empty());
    candidates.decision(view, if wait { candidates.list.len() } else { 0 }).unwrap()
}

/// Plays `decisions` decisions, or all; gives those that were made.
fn play(sim: &mut Simulator, decisions: usize) -> Vec<Decision> {
    let (mut candidates, mut made) = (Candidates::default(), Vec::new());
    while made.len() < decisions {
        let Some(view) = sim.next_decision() else { break };
        let decision = decide(&view, &mut candidates, made.len());
        sim.apply(decision.clone()).unwrap();
        made.push(decision);
    }
    made
}

/// The rest of an episode as one that may be imagined.
fn rest(world: &World, now: Time) -> Vec<Arrival> {
    let jobs = world.workload.jobs.iter().enumerate();
    let later = jobs.filter(|(_, job)| job.arrival > now);
    later.map(|(at, job)| Arrival { like: JobId(at as u32), at: job.arrival }).collect()
}

fn scenarios() -> impl Iterator<Item = Scenario> {
    let all = BUILTIN.iter().map(|(name, _)| builtin(name).unwrap());
    all.filter(|scenario| scenario.spec().discipline != Discipline::Rounds)
}

#[test]
fn a_future_that_is_the_truth_comes_out_as_the_truth() {
    for name in ["tiny", "pool12", "gang", "preempt", "serving-burst", "serving-swap", "hpc-256", "mix"] {
        let world = Arc::new(builtin(name).unwrap().world(Split::Test.seed(5, 0)).unwrap());
        for moment in [0, 7, 60] {
            let mut sim = Simulator::new(Arc::clone(&world));
            play(&mut sim, moment);
            let Some(view) = sim.next_decision() else { continue };
            let (now, outlook) = (view.now, view.outlook.unwrap());
            let arrivals = rest(&world, now);
            let future = Future { episode: Some(&world), since: now, arrivals: &arrivals, seed: 1 };
            let (mut truth, mut imagined) = (outlook.clairvoyant(), outlook.imagine(&future));
            assert_eq!(play(&mut truth, usize::MAX), play(&mut imagined, usize::MAX), "{name}");
            assert_eq!(truth.digest(), imagined.digest(), "{name}, after {moment} decisions");
            let (cost, same) = (truth.cost().total(), imagined.cost().total());
            assert!((cost - same).abs() <= 1e-9 * cost.abs(), "{name}: {cost} and {same}");
        }
    }
}

/// What truly comes, as far as it is looked at: the same course until then, and nothing after.
#[test]
fn the_truth_can_be_cut_off_after_some_arrivals() {
    for scenario in scenarios() {
        let name = &scenario.spec().name;
        let world = Arc::new(scenario.world(Split::Test.seed(8, 0)).unwrap());
        for moment in [0, 30] {
            let mut sim = Simulator::new(Arc::clone(&world));
            play(&mut sim, moment);
            let Some(arrived) = sim.next_decision().map(|view| view.jobs.len()) else { continue };
            let Some(outlook) = sim.view().outlook else { continue };
            let mut short = outlook.clairvoyant_for(5);
            let end = (arrived + 5).min(world.workload.len());
            assert_eq!(short.records().len(), end, "{name}");
            play(&mut short, usize::MAX);
            let ended = |state| matches!(state, State::Finished | State::Dropped | State::Refused);
            assert!(short.records().iter().all(|record| ended(record.state)), "{name}");
            let mut truth = outlook.clairvoyant();
            let mut whole = outlook.clairvoyant_for(usize::MAX);
            if world.workload.len() < 500 {
                play(&mut truth, usize::MAX);
                play(&mut whole, usize::MAX);
                assert_eq!(truth.digest(), whole.digest(), "{name}");
            }
        }
    }
}

#[test]
fn every_scenario_can_be_imagined_at_any_moment() {
    for scenario in scenarios() {
        let world = Arc::new(scenario.world(Split::Test.seed(6, 0)).unwrap());
        let other = scenario.world(Split::Test.seed(6, 1)).unwrap();
        for moment in [0, 3, 40, 150] {
            let mut sim = Simulator::new(Arc::clone(&world));
            play(&mut sim, moment);
            let Some(view) = sim.next_decision() else { continue };
            let Some(outlook) = view.outlook else { continue };
            let now = view.now;
            let since = other.workload.jobs[other.workload.len() / 2].arrival;
            let later = rest(&other, since).into_iter().take(20);
            let arrivals: Vec<Arrival> =
                later.map(|arrival| Arrival { at: now + arrival.at.since(since), ..arrival }).collect();
            let future = Future { episode: Some(&other), since, arrivals: &arrivals, seed: 3 };
            let mut imagined = outlook.imagine(&future);
            play(&mut imagined, usize::MAX);
            let name = &scenario.spec().name;
            assert!(imagined.records().len() <= view.jobs.len() + 20, "{name}");
            let ended = |state| matches!(state, State::Finished | State::Dropped | State::Refused);
            assert!(imagined.records().iter().all(|record| ended(record.state)), "{name}");
        }
    }
}

/// Two episodes that are the same up to now and differ in all that comes give the same outlook.
#[test]
fn nothing_that_is_to_come_shows() {
    for scenario in scenarios() {
        let name = &scenario.spec().name;
        let world = Arc::new(scenario.world(Split::Test.seed(7, 0)).unwrap());
        let mut sim = Simulator::new(Arc::clone(&world));
        let made = play(&mut sim, 40);
        let Some(now) = sim.next_decision().map(|view| view.now) else { continue };
        if sim.view().outlook.is_none() {
            continue;
        }
        let other = Arc::new(with_another_future(&scenario, &sim, now));
        let mut twin = Simulator::new(other);
        for decision in made {
            twin.next_decision().unwrap();
            twin.apply(decision).unwrap();
        }
        assert_eq!(twin.next_decision().unwrap().now, now, "{name}");
        assert_eq!(twin.digest(), sim.digest(), "{name}: the past is another");
        // Without repairs some machines never come back, and what waits for them cannot end.
        if world.workload.changes.is_empty() {
            let truths = [&sim, &twin].map(|sim| {
                let mut sim = sim.view().outlook.unwrap().clairvoyant();
                play(&mut sim, usize::MAX);
                sim.digest()
            });
            assert_ne!(truths[0], truths[1], "{name}: the future is the same");
        }
        let like: Vec<Arrival> = (0..10)
            .map(|at| Arrival {
                like: JobId(at % sim.arrived() as u32),
                at: now + Span::from_secs(u64::from(at)),
            })
            .collect();
        let future = Future { episode: None, since: now, arrivals: &like, seed: 11 };
        let mut ends = [&sim, &twin].map(|sim| sim.view().outlook.unwrap().imagine(&future));
        let decisions = ends.each_mut().map(|end| play(end, usize::MAX));
        assert_eq!(decisions[0], decisions[1], "{name}");
        assert_eq!(ends[0].digest(), ends[1].digest(), "{name}");
        let [one, other] = ends.map(|end| end.cost().total() - sim.cost().total());
        assert!((one - other).abs() <= 1e-6 * one.abs(), "{name}: {one} and {other}");
    }
}

/// The same episode up to now; later everything is late, jobs that run or wait are three times as long, and machines
/// stay as they are.
fn with_another_future(scenario: &Scenario, sim: &Simulator, now: Time) -> World {
    let mut world = scenario.world(Split::Test.seed(7, 0)).unwrap();
    let arrived = sim.arrived();
    let delay = Span::from_secs(7777);
    for job in &mut world.workload.jobs[arrived..] {
        (job.arrival, job.deadline) = (job.arrival + delay, job.deadline.map(|deadline| deadline + delay));
    }
    for (at, truth) in world.workload.truths.iter_mut().enumerate() {
        let begun = sim.records().get(at).is_some_and(|record| !record.slices.is_empty());
        let ended = matches!(sim.records()[at].state, State::Finished | State::Dropped | State::Refused);
        let request = world.workload.jobs[at].request_model().is_some();
        if begun || ended || request {
            continue;
        }
        *truth = match *truth {
            Truth::Steps(steps) => Truth::Steps(3.0 * steps),
            Truth::Needs { steps, memory } => Truth::Needs { steps: 3.0 * steps, memory },
            Truth::AsEstimated => Truth::Steps(3.0),
            Truth::Duration(duration) => Truth::Duration(duration.scaled(3.0)),
        };
    }
    world.workload.changes.retain(|change| change.at <= now);
    world
}
