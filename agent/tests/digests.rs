//! Replays stay what they were: digests of all events and of all observations, on any number of threads.
//!
//! Where a change is meant to change results, `UPDATE_EXPECT=1 cargo test -p yardmaster-agent --test digests`
//! writes the new digests.

#![allow(clippy::unwrap_used, reason = "a fault may end a test")]

use std::fmt::Write;
use std::sync::Arc;

use expect_test::expect_file;
use rayon::prelude::*;
use yardmaster_agent::evaluate::{Contestant, evaluate};
use yardmaster_agent::policy::{PolicyDefect, play};
use yardmaster_agent::registry;
use yardmaster_env::observe::{Observation, Observer};
use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::spec::{self, BUILTIN, Split};
use yardmaster_env::view::Discipline;

const RULES: [&str; 14] = [
    "random",
    "fcfs",
    "sjf",
    "ljf",
    "smallest",
    "saf",
    "edf",
    "f1",
    "wfp3",
    "unicep-published",
    "wrr",
    "eft",
    "mct",
    "mct+timeout",
];

fn world(scenario: &str, number: u64) -> Arc<World> {
    Arc::new(spec::builtin(scenario).unwrap().world(Split::Test.seed(0, number)).unwrap())
}

#[test]
fn rules_decide_as_ever() {
    let mut text = String::new();
    for (name, _) in BUILTIN {
        let world = world(name, 0);
        for rule in RULES {
            let sim = play(&world, &mut *registry::build(rule).unwrap(), 0).unwrap();
            writeln!(text, "{name:<16} {rule:<17} {:016x}", sim.digest()).unwrap();
        }
    }
    expect_file!["digests/rules.txt"].assert_eq(&text);
}

#[test]
fn the_batch_queue_goes_as_ever() {
    let mut text = String::new();
    for discipline in [Discipline::Free, Discipline::Commit, Discipline::CommitBackfill] {
        let mut world = World::clone(&world("hpc-256", 1));
        world.discipline = discipline;
        let world = Arc::new(world);
        for rule in RULES {
            let sim = play(&world, &mut *registry::build(rule).unwrap(), 0).unwrap();
            writeln!(text, "{discipline:<16?} {rule:<17} {:016x}", sim.digest()).unwrap();
        }
    }
    expect_file!["digests/batch_queue.txt"].assert_eq(&text);
}

#[test]
fn every_observation_is_the_same_to_the_bit() {
    let mut text = String::new();
    for (name, _) in BUILTIN {
        let mut sim = Simulator::new(world(name, 0));
        let (mut observer, mut digest, mut count) = (Observer::default(), Fnv::default(), 0_usize);
        while let Some(view) = sim.next_decision() {
            digest.observation(observer.observe(&view, None));
            count += 1;
            // Actions in turn; waiting and cutting off only once in a while, so that work gets done.
            let candidates = &observer.candidates;
            let starts =
                candidates.list.iter().filter(|candidate| candidates.works[candidate.work].run.is_none());
            let actions = match count % 7 {
                0 => candidates.actions(),
                _ => starts.count(),
            };
            let action = if actions > 0 { (count * 31) % actions } else { candidates.list.len() };
            let decision = observer.candidates.decision(&view, action).unwrap();
            sim.apply(decision).unwrap();
        }
        writeln!(text, "{name:<16} {count:>6} observations {:016x}", digest.0).unwrap();
    }
    expect_file!["digests/observations.txt"].assert_eq(&text);
}

/// FNV-1a by words.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    fn observation(&mut self, observation: &Observation) {
        let Observation { global, jobs, nodes, pair_features, pairs, wait } = observation;
        for values in [global, jobs, nodes, pair_features] {
            self.word(values.len() as u64);
            values.iter().for_each(|value| self.word(u64::from(value.to_bits())));
        }
        pairs.iter().for_each(|pair| self.word(u64::from(pair.job) << 32 | u64::from(pair.node)));
        self.word(u64::from(*wait));
    }
}

#[test]
fn one_thread_and_eight_give_the_same_history() {
    for name in ["pool12", "sweeps", "serving-burst", "hpc-256"] {
        let play_on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let rows = pool.install(|| {
                let rules = ["random", "sjf", "mct"].map(|rule| Contestant::rule(rule).unwrap());
                let seeds: Vec<u64> = (0..16).map(|number| Split::Test.seed(3, number)).collect();
                let scenario = spec::builtin(name).unwrap();
                let world = |seed| Ok::<_, PolicyDefect>(Arc::new(scenario.world(seed).unwrap()));
                evaluate(&rules, &seeds, world, || {}).unwrap()
            });
            let digest = |number: u64| {
                let world = world(name, number);
                let rules = ["random", "sjf", "mct"].map(|rule| registry::build(rule).unwrap());
                rules.map(|mut rule| play(&world, &mut *rule, number).unwrap().digest())
            };
            let digests: Vec<[u64; 3]> = pool.install(|| (0..16).into_par_iter().map(digest).collect());
            (rows, digests)
        };
        let (one, eight) = (play_on(1), play_on(8));
        assert_eq!(one, eight, "{name}");
    }
}
