//! What must hold of every simulation: random clusters, random rigid workloads, random decisions.
//!
//! A failure prints the smallest case it could find and leaves its seed beside this file; it is then tried first.

#![allow(clippy::unwrap_used, reason = "a fault may end a test")]

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use yardmaster_env::candidates::{Candidates, MAX_WORKS};
use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::{Cluster, Node};
use yardmaster_env::gym::{EnvError, SchedulingEnv, Settings};
use yardmaster_env::job::{Job, Task, Truth, Workload};
use yardmaster_env::objective::Objective;
use yardmaster_env::observe::{GLOBAL, JOB, NODE, Observer, PAIR};
use yardmaster_env::rules::{Prices, Rules};
use yardmaster_env::sim::{Illegal, Record, RoundRules, Simulator, State, World};
use yardmaster_env::units::{JobId, KindId, NodeId, Span, Time};
use yardmaster_env::view::{
    Decision, Discipline, History, Placement, Portion, Progress, Running, Share, View, slot_of,
};

#[path = "properties/legal.rs"]
mod legal;
use legal::{any_decision, is_legal};

/// A world and the choices made in it.
#[derive(Clone, Debug)]
struct Case {
    /// (kind, devices)
    nodes: Vec<(u16, u32)>,
    /// (half seconds since the job before, requested half seconds, true half seconds, gang, weight)
    jobs: Vec<(u64, u64, Option<u64>, u32, u8)>,
    discipline: Discipline,
    hold: bool,
    /// Taken in turn, modulo the number of actions.
    choices: Vec<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    let gap = prop_oneof![2 => Just(0_u64), 1 => 0..8_u64];
    // Durations of nothing, and many equal ones.
    let job = (gap, 0..6_u64, proptest::option::of(0..9_u64), 1..7_u32, 1..3_u8);
    let disciplines = [
        Discipline::Free,
        Discipline::Free,
        Discipline::Rounds,
        Discipline::Rounds,
        Discipline::Commit,
        Discipline::CommitBackfill,
    ];
    let world = (vec((0..4_u16, 1..4_u32), 1..5), vec(job, 1..60), 0..6_usize, any::<bool>());
    (world, vec(0..1000_usize, 1..40)).prop_map(move |((mut nodes, jobs, discipline, hold), choices)| {
        let discipline = disciplines[discipline];
        if discipline.commits() {
            nodes.iter_mut().for_each(|(kind, _)| *kind = 0);
        }
        Case { nodes, jobs, discipline, hold, choices }
    })
}

fn objective() -> impl Strategy<Value = Objective> {
    prop_oneof![
        Just(Objective::CompletionTime),
        Just(Objective::Slowdown { floor_s: 1.0 }),
        Just(Objective::Energy),
        Just(Objective::Cost),
    ]
}

fn prices() -> impl Strategy<Value = Prices> {
    let price = || prop_oneof![Just(0.0), 0.0..1e4];
    (price(), price()).prop_map(|(kwh, dollar)| Prices { kwh, dollar })
}

fn half_seconds(count: u64) -> Span {
    Span(500_000_000) * count
}

impl Case {
    fn world(&self) -> Arc<World> {
        let node = |(at, &(kind, devices)): (usize, &(u16, u32))| Node {
            name: format!("n{at}"),
            kind: KindId(kind),
            devices,
            procs_per_device: 1,
            rack: 0,
        };
        let mut workload = Workload::default();
        let mut now = Time::ZERO;
        for (at, &(gap, requested, truth, gang, weight)) in self.jobs.iter().enumerate() {
            now += half_seconds(gap);
            let mut job = Job::new(at as u64, now, Task::Rigid { requested: half_seconds(requested) }, gang);
            job.weight = f64::from(weight);
            workload
                .push(job, truth.map_or(Truth::AsEstimated, |truth| Truth::Duration(half_seconds(truth))));
        }
        let cluster = Cluster::new(self.nodes.iter().enumerate().map(node).collect());
        let hold = self.hold.then(|| Span::from_secs(3));
        let objective = Objective::CompletionTime;
        let world =
            World::new(Catalog::builtin(), cluster, workload, self.discipline, objective, hold).unwrap();
        let rounds = RoundRules { quantum: half_seconds(3), reallocate: half_seconds(8) };
        Arc::new(world.with_rounds(rounds).unwrap())
    }

    /// The choice at the simulation's next decision. In the long run work is preferred to waiting.
    fn choose(&self, sim: &Simulator, candidates: &Candidates) -> Decision {
        let at = sim.decisions() as usize;
        let patient = at < 20 * self.jobs.len();
        let action = if patient { self.choices[at % self.choices.len()] % candidates.actions() } else { 0 };
        candidates.decision(&sim.view(), action).unwrap()
    }

    /// As [`Case::choose`]; between rounds sometimes an allocation.
    fn choose_shares(&self, sim: &Simulator, candidates: &Candidates) -> Decision {
        let view = sim.view();
        let taken = |salt: usize| self.choices[(sim.decisions() as usize + salt) % self.choices.len()];
        if view.discipline != Discipline::Rounds || !view.running.is_empty() || taken(0) % 3 > 0 {
            return self.choose(sim, candidates);
        }
        let mut left: Vec<f64> = view.free_by_kind.iter().map(|&free| f64::from(free)).collect();
        let mut portions = Vec::new();
        for (at, &job) in view.queue.iter().enumerate() {
            let slot = taken(at) % left.len();
            let gang = f64::from(view.job(job).gang);
            let share = [0.25_f64, 0.5, 1.0][taken(at + 1) % 3].min(left[slot] / gang);
            if gang <= f64::from(view.free_by_kind[slot]) && share > 0.0 {
                left[slot] -= share * gang;
                portions.push(Portion { job, slot, share });
            }
        }
        let allocate = Decision::Allocate { portions, fill: taken(1) % 2 == 0 };
        if is_legal(&view, &allocate) { allocate } else { self.choose(sim, candidates) }
    }

    /// Plays on to the end; `judge` sees the simulation before each decision.
    fn play(
        &self,
        mut sim: Simulator,
        mut judge: impl FnMut(&Simulator, &Candidates) -> Result<(), TestCaseError>,
    ) -> Result<Simulator, TestCaseError> {
        let mut candidates = Candidates::default();
        while let Some(view) = sim.next_decision() {
            candidates.fill(&view);
            prop_assert!(candidates.actions() > 0, "a decision without actions");
            judge(&sim, &candidates)?;
            let decision = self.choose_shares(&sim, &candidates);
            let outcome = sim.apply(decision);
            prop_assert_eq!(outcome, Ok(()));
        }
        Ok(sim)
    }
}

/// Everything of a simulation that can be seen from outside.
fn seen(sim: &Simulator) -> impl PartialEq + std::fmt::Debug + use<> {
    let view = sim.view();
    let queues: (Vec<JobId>, Vec<u32>, Vec<u32>) =
        (view.queue.to_vec(), view.free.to_vec(), view.free_by_kind.to_vec());
    let (running, records): (Vec<Running>, Vec<Record>) = (view.running.to_vec(), sim.records().to_vec());
    let history: History = view.history.clone();
    let progress: Vec<Progress> = view.progress.to_vec();
    let counts = (sim.now(), sim.digest(), sim.decisions(), sim.arrived(), view.may_wait);
    (queues, running, records, (history, progress), counts, sim.cost().clone())
}

/// When and where a job ran.
fn runs(record: &Record) -> Vec<(Time, Time, &Placement)> {
    if record.slices.is_empty() {
        return vec![(record.start, record.finish, &record.nodes)];
    }
    record.slices.iter().map(|slice| (slice.start, slice.finish, &slice.nodes)).collect()
}

/// The latest moment for which the devices held on some node exceed its devices.
fn overfull(sim: &Simulator) -> Option<(usize, u64)> {
    let nodes = sim.world().cluster.nodes();
    (0..nodes.len()).find_map(|node| {
        // Releases come before starts of the same moment; what takes no time holds nothing.
        let mut changes: Vec<(Time, i64)> = Vec::new();
        for (start, finish, nodes) in sim.records().iter().flat_map(runs).filter(|run| run.1 > run.0) {
            for share in nodes.iter().filter(|share| share.node.index() == node) {
                let devices = i64::from(share.devices);
                changes.extend([(start, devices), (finish, -devices)]);
            }
        }
        changes.sort_unstable();
        let mut held = 0;
        let limit = i64::from(nodes[node].devices);
        changes.into_iter().find_map(|(time, change)| {
            held += change;
            (held > limit).then_some((node, time.0))
        })
    })
}

/// Cases of each property: 300, or what YARDMASTER_CASES says (the long mode has 10,000).
fn cases() -> u32 {
    let asked = std::env::var("YARDMASTER_CASES").ok();
    asked.map_or(300, |cases| cases.parse().expect("YARDMASTER_CASES is a whole number"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn every_job_ends_once_and_no_device_is_held_twice(case in case()) {
        let sim = case.play(Simulator::new(case.world()), |sim, _| {
            let view = sim.view();
            for (at, job) in view.jobs.iter().enumerate() {
                let id = JobId(at as u32);
                let queued = view.queue.iter().filter(|&&other| other == id).count();
                let running = view.running.iter().filter(|running| running.members.contains(&id)).count();
                let state = sim.records()[at].state;
                let expected = (usize::from(state == State::Queued), usize::from(state == State::Running));
                prop_assert_eq!((queued, running), expected, "job {}", at);
                prop_assert!(job.arrival <= view.now);
            }
            let later = &sim.records()[sim.arrived()..];
            prop_assert!(later.iter().all(|record| record.state == State::Future));
            Ok(())
        })?;
        let world = sim.world();
        let largest = world.cluster.kinds().iter().map(|&kind| world.cluster.devices_of(kind)).max().unwrap();
        for (at, (record, job)) in sim.records().iter().zip(&world.workload.jobs).enumerate() {
            let expected = if job.gang > largest { State::Refused } else { State::Finished };
            prop_assert_eq!(record.state, expected, "job {}", at);
            if record.state == State::Finished {
                prop_assert!(record.start >= job.arrival);
                let (_, requested, truth, ..) = case.jobs[at];
                prop_assert_eq!(record.run_time(), half_seconds(truth.unwrap_or(requested)));
                for (_, _, nodes) in runs(record) {
                    prop_assert_eq!(nodes.iter().map(|share| share.devices).sum::<u32>(), job.gang);
                    let kinds = nodes.iter().map(|share| world.cluster.node(share.node).kind);
                    prop_assert!(kinds.clone().all(|kind| Some(kind) == kinds.clone().next()));
                }
                let ends = runs(record);
                prop_assert_eq!((record.start, record.finish), (ends[0].0, ends[ends.len() - 1].1));
                prop_assert!(ends.windows(2).all(|pair| pair[0].1 <= pair[1].0), "a job ran twice at once");
            }
        }
        prop_assert_eq!(overfull(&sim), None);
    }

    #[test]
    fn the_score_is_the_mean_completion_time(case in case()) {
        let sim = case.play(Simulator::new(case.world()), |_, _| Ok(()))?;
        let (mut sum, mut weight) = (0.0, 0.0);
        for (record, job) in sim.records().iter().zip(&sim.world().workload.jobs) {
            if record.state == State::Finished {
                sum += job.weight * record.finish.since(job.arrival).as_secs_f64();
                weight += job.weight;
            }
        }
        let mean = if weight > 0.0 { sum / weight } else { 0.0 };
        prop_assert!((sim.cost().score() - mean).abs() <= 1e-9 * (1.0 + mean), "{} {}", sim.cost().score(), mean);
    }

    #[test]
    fn rewards_sum_to_the_objective(case in case(), objective in objective(), prices in prices()) {
        let mut world = (*case.world()).clone();
        world.objective = objective;
        let world = Arc::new(world.with_rules(Rules { prices, ..Rules::default() }).unwrap());
        let settings = Settings { reward_scale: 7.0, ..Settings::default() };
        let mut env = SchedulingEnv::new(move |_| Arc::clone(&world), settings).unwrap();
        let Err(EnvError::NothingToDecide { .. }) = env.begin(0) else {
            let mut sum = 0.0;
            loop {
                let decision = case.choose(env.simulator().unwrap(), env.candidates());
                let action = env.candidates().action_of(&env.view().unwrap(), &decision).unwrap();
                let step = env.act(action).unwrap();
                sum += step.reward;
                if step.terminated {
                    break;
                }
            }
            let objective = env.stats().unwrap().objective;
            prop_assert!((sum + objective / 7.0).abs() < 1e-9 * (1.0 + objective), "{} {}", sum, objective);
            return Ok(());
        };
    }

    #[test]
    fn equal_choices_make_equal_histories_also_from_a_clone(case in case(), fork in 0..30_u64) {
        let mut clone = None;
        let sim = case.play(Simulator::new(case.world()), |sim, _| {
            if sim.decisions() == fork {
                clone = Some(sim.clone());
            }
            Ok(())
        })?;
        let again = case.play(Simulator::new(case.world()), |_, _| Ok(()))?;
        prop_assert_eq!(seen(&sim), seen(&again));
        if let Some(clone) = clone {
            let clone = case.play(clone, |_, _| Ok(()))?;
            prop_assert_eq!(seen(&sim), seen(&clone));
        }
    }

    #[test]
    fn illegal_decisions_are_refused_and_change_nothing(case in case(), tries in vec(any_decision(), 1..30)) {
        case.play(Simulator::new(case.world()), |sim, _| {
            let before = seen(sim);
            for decision in &tries {
                let mut tried = sim.clone();
                let outcome: Result<(), Illegal> = tried.apply(decision.clone());
                prop_assert_eq!(outcome.is_ok(), is_legal(&sim.view(), decision), "{:?}: {:?}", decision, outcome);
                if outcome.is_err() {
                    prop_assert!(seen(&tried) == before, "{:?} was refused and changed something", decision);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn listed_actions_are_legal_and_found_again(case in case()) {
        case.play(Simulator::new(case.world()), |sim, candidates| {
            let view = sim.view();
            for action in 0..candidates.actions() {
                let decision = candidates.decision(&view, action).unwrap();
                prop_assert!(is_legal(&view, &decision), "{:?}", decision);
                prop_assert_eq!(candidates.action_of(&view, &decision), Some(action), "{:?}", decision);
                prop_assert_eq!(sim.clone().apply(decision), Ok(()));
            }
            prop_assert_eq!(candidates.decision(&view, candidates.actions()), None);
            // Every waiting job is counted in one group, unless there are too many groups.
            let counted: usize = candidates.works.iter().map(|work| work.count as usize).sum();
            prop_assert!(candidates.works.len() <= MAX_WORKS);
            prop_assert!(counted == view.queue.len() || candidates.works.len() == MAX_WORKS);
            prop_assert!(counted <= view.queue.len());
            Ok(())
        })?;
    }

    #[test]
    fn observations_are_finite_and_their_rows_fit(case in case()) {
        let mut observer = Observer::default();
        case.play(Simulator::new(case.world()), |sim, candidates| {
            let observation = observer.observe(&sim.view(), None);
            let rows = candidates.list.len();
            prop_assert_eq!(observation.global.len(), GLOBAL.len());
            prop_assert_eq!(observation.jobs.len(), candidates.works.len() * JOB.len());
            prop_assert_eq!(observation.nodes.len(), candidates.nodes.len() * NODE.len());
            prop_assert_eq!((observation.pairs.len(), observation.pair_features.len()), (rows, rows * PAIR.len()));
            prop_assert_eq!(observation.actions(), candidates.actions());
            for pair in &observation.pairs {
                prop_assert!((pair.job as usize) < candidates.works.len());
                prop_assert!((pair.node as usize) < candidates.nodes.len());
            }
            let blocks = [
                ("global", &observation.global, &GLOBAL[..]),
                ("job", &observation.jobs, &JOB[..]),
                ("node", &observation.nodes, &NODE[..]),
                ("pair", &observation.pair_features, &PAIR[..]),
            ];
            for (block, values, names) in blocks {
                let odd = values.iter().position(|value| !value.is_finite() || value.abs() > 1e6);
                prop_assert!(odd.is_none(), "{} {:?}", block, odd.map(|at| (names[at % names.len()], values[at])));
            }
            Ok(())
        })?;
    }
}
