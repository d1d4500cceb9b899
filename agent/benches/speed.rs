//! How long decisions take: `cargo bench`. The same cases as `yardmaster bench --speed`.

#![allow(missing_docs, reason = "the macros of criterion write undocumented functions")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot build its cases should stop")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::policy::{Policy, play};
use yardmaster_agent::registry;
use yardmaster_agent::speed::{
    NODES, QUEUED, RULES, batch_queue, crowded_moments, network, play_observed, stream_of_jobs,
};
use yardmaster_env::observe::Observer;
use yardmaster_env::sim::Simulator;
use yardmaster_env::view::Discipline;

fn rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch_queue");
    for (name, discipline) in [("commit", Discipline::Commit), ("free", Discipline::Free)] {
        let world = batch_queue(10_000, discipline).unwrap();
        for rule in RULES {
            let mut policy = registry::build(rule).unwrap();
            let decisions = play(&world, &mut *policy, 0).unwrap().decisions();
            group.throughput(Throughput::Elements(decisions));
            group.bench_function(BenchmarkId::new(name, rule), |bench| {
                bench.iter(|| play(&world, &mut *policy, 0).unwrap());
            });
        }
    }
    group.finish();
}

fn observations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("observe_{QUEUED}_queued"));
    for nodes in [36].into_iter().chain(NODES) {
        let moments = crowded_moments(nodes).unwrap();
        let mut observer = Observer::default();
        group.throughput(Throughput::Elements(moments.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(nodes), |bench| {
            bench.iter(|| each(&moments, |moment| _ = black_box(observer.observe(&moment.view(), None))));
        });
    }
    group.finish();
}

fn networks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("network_{QUEUED}_queued"));
    let net = Arc::new(network().unwrap());
    for nodes in [36].into_iter().chain(NODES) {
        let moments = crowded_moments(nodes).unwrap();
        let mut policy = Learned::new("learned", Arc::clone(&net), "mct").unwrap();
        group.throughput(Throughput::Elements(moments.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(nodes), |bench| {
            bench.iter(|| each(&moments, |moment| _ = black_box(policy.decide(&moment.view()))));
        });
    }
    group.finish();
}

fn scaling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("play_mct");
    group.sample_size(10);
    for nodes in NODES {
        let world = stream_of_jobs(nodes).unwrap();
        let mut policy = registry::build("mct").unwrap();
        group.throughput(Throughput::Elements(play(&world, &mut *policy, 0).unwrap().decisions()));
        group.bench_function(BenchmarkId::new("rule", nodes), |bench| {
            bench.iter(|| play(&world, &mut *policy, 0).unwrap());
        });
        group.bench_function(BenchmarkId::new("observed", nodes), |bench| {
            bench.iter(|| play_observed(&world, &mut *policy).unwrap());
        });
    }
    group.finish();
}

fn each(moments: &[Simulator], measured: impl FnMut(&Simulator)) {
    moments.iter().for_each(measured);
}

criterion_group!(benches, rules, observations, networks, scaling);
criterion_main!(benches);
