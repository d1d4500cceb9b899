//! Small instances whose best schedule is known: no rule is better, and a table says how far each is from it.
//!
//! `cargo test -p yardmaster-agent --test exact -- --ignored --nocapture` prints the table of
//! docs/results/2026-11-21-small-instances.

#![allow(clippy::unwrap_used, reason = "a fault in a test's own text may end the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_agent::optimise::exact::{Instance, Measure};
use yardmaster_agent::policy::play;
use yardmaster_agent::registry;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::{Cluster, Node};
use yardmaster_env::job::{Job, StepSpeeds, Task, Truth, Workload};
use yardmaster_env::metrics::Metrics;
use yardmaster_env::objective::Objective;
use yardmaster_env::sim::World;
use yardmaster_env::units::{KindId, Span, Time};
use yardmaster_env::view::Discipline;

/// Where the jobs of an instance come from.
#[derive(Clone, Copy)]
struct Family {
    name: &'static str,
    jobs: usize,
    /// Over how many seconds they arrive.
    arrivals_s: u64,
    /// How much faster or slower a job may be on another kind than kinds are among each other; 1 for related devices.
    unrelated: f64,
}

const FAMILIES: [Family; 4] = [
    Family { name: "related, all at once", jobs: 8, arrivals_s: 0, unrelated: 1.0 },
    Family { name: "unrelated, all at once", jobs: 8, arrivals_s: 0, unrelated: 4.0 },
    Family { name: "related, arriving", jobs: 8, arrivals_s: 600, unrelated: 1.0 },
    Family { name: "unrelated, arriving", jobs: 8, arrivals_s: 600, unrelated: 4.0 },
];

/// Two devices of a slow kind, one of a kind twice as fast and one of a kind four times as fast; jobs of 10 to 1,000 s
/// on the slow one, log-uniform.
fn world(family: Family, seed: u64) -> World {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let node = |kind: u16, devices| Node {
        name: format!("n{kind}"),
        kind: KindId(kind),
        devices,
        procs_per_device: 1,
        rack: 0,
    };
    let cluster = Cluster::new(vec![node(0, 2), node(1, 1), node(2, 1)]);
    let mut arrivals: Vec<u64> = (0..family.jobs).map(|_| rng.random_range(0..=family.arrivals_s)).collect();
    arrivals.sort_unstable();
    let mut workload = Workload::default();
    for (number, arrival) in arrivals.into_iter().enumerate() {
        let size_s = 10f64.powf(rng.random_range(1.0..3.0));
        let mut speed = |kind: u16| {
            let ln = family.unrelated.ln();
            let affinity = if ln > 0.0 { rng.random_range(-ln / 2.0..ln / 2.0).exp() } else { 1.0 };
            (KindId(kind), f64::from(1 << kind) * affinity)
        };
        let by_kind = (0..3).map(&mut speed).collect();
        workload.speeds.push(StepSpeeds { name: format!("job {number}"), gang: 1, by_kind });
        let task = Task::Steps { speeds: number as u32, steps: size_s as u64 };
        let arrival = Time::ZERO + Span::from_secs(arrival);
        workload.push(Job::new(number as u64, arrival, task, 1), Truth::AsEstimated);
    }
    let (catalog, objective) = (Catalog::builtin(), Objective::CompletionTime);
    World::new(catalog, cluster, workload, Discipline::Free, objective, None).unwrap()
}

/// Mean completion time and makespan of the best schedules, in seconds.
fn best(world: &World) -> [f64; 2] {
    let instance = Instance::of(world).unwrap();
    let releases = &instance.releases;
    let since = |job: usize, end: Time| end.since(releases[job]).as_secs_f64();
    let mean_s = instance.optimum(&Measure::Sum(&since)).unwrap().cost / releases.len() as f64;
    // A makespan counts from the first arrival.
    let first_s = releases.iter().min().unwrap().as_secs_f64();
    [mean_s, instance.optimum(&Measure::Makespan).unwrap().cost / 1e9 - first_s]
}

/// The same of a policy.
fn of(policy: &str, world: &Arc<World>, seed: u64) -> [f64; 2] {
    let sim = play(world, &mut *registry::build(policy).unwrap(), seed).unwrap();
    let metrics = Metrics::of(&sim);
    [metrics.mean_jct_s, metrics.makespan_s]
}

/// Every rule that chooses order or placement.
fn rules() -> Vec<&'static str> {
    let chooses =
        |entry: &registry::Entry| entry.part != "batching" && !entry.about.starts_with("time slices");
    registry::entries().into_iter().filter(chooses).map(|entry| entry.name).collect()
}

#[test]
fn no_rule_is_better_than_the_optimum() {
    let mut met = [0, 0];
    for family in FAMILIES {
        let family = Family { jobs: 6, ..family };
        for seed in 0..8 {
            let world = Arc::new(world(family, seed));
            let best = best(&world);
            for rule in rules() {
                let ours = of(rule, &world, seed);
                for at in 0..2 {
                    // A nanosecond of each job may be lost to rounding in the mean.
                    assert!(
                        ours[at] >= best[at] - 1e-8,
                        "{rule} on {} {seed}: {ours:?}, best {best:?}",
                        family.name
                    );
                    met[at] += usize::from(ours[at] <= best[at] + 1e-8);
                }
            }
        }
    }
    // The bound is tight: some rule meets it now and then.
    assert!(met[0] > 20 && met[1] > 20, "{met:?}");
}

/// Ratios to the optimum: mean completion time, on average and at worst, then makespan.
fn ratios(rule: &str, instances: &[(Arc<World>, [f64; 2])]) -> [f64; 4] {
    let mut row = [0.0, 1.0, 0.0, 1.0f64];
    for (seed, (world, best)) in (0..).zip(instances) {
        let ours = of(rule, world, seed);
        for at in 0..2 {
            let ratio = ours[at] / best[at];
            row[2 * at] += ratio / instances.len() as f64;
            row[2 * at + 1] = row[2 * at + 1].max(ratio);
        }
    }
    row
}

/// A table of one family.
fn table(family: Family) {
    const SEEDS: u64 = 200;
    let longer = ["ga(makespan=1)", "ga(population=100,generations=200)"];
    let instance = |seed| {
        let world = world(family, 1000 + seed);
        let best = best(&world);
        (Arc::new(world), best)
    };
    let instances: Vec<(Arc<World>, [f64; 2])> = (0..SEEDS).map(instance).collect();
    // Rules that come out equal share a row.
    let mut rows: BTreeMap<[String; 4], BTreeSet<&str>> = BTreeMap::new();
    for rule in rules().into_iter().chain(longer) {
        let row = ratios(rule, &instances).map(|ratio| format!("{ratio:.3}"));
        rows.entry(row).or_default().insert(rule);
    }
    println!("\n### {}, {} jobs, {SEEDS} instances\n", family.name, family.jobs);
    println!("| rule | mean completion time | at worst | makespan | at worst |\n|---|---|---|---|---|");
    for (row, rules) in rows {
        let names: Vec<String> = rules.into_iter().map(|rule| format!("`{rule}`")).collect();
        println!("| {} | {} |", names.join(", "), row.join(" | "));
    }
}

#[test]
#[ignore = "prints a table"]
fn table_related_at_once() {
    table(FAMILIES[0]);
}

#[test]
#[ignore = "prints a table"]
fn table_unrelated_at_once() {
    table(FAMILIES[1]);
}

#[test]
#[ignore = "prints a table"]
fn table_related_arriving() {
    table(FAMILIES[2]);
}

#[test]
#[ignore = "prints a table"]
fn table_unrelated_arriving() {
    table(FAMILIES[3]);
}
