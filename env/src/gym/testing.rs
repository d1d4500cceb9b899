//! Small random worlds for the unit tests.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{SchedulingEnv, Settings};
use crate::catalog::Catalog;
use crate::cluster::{Cluster, Node};
use crate::job::{Job, Task, Truth, Workload};
use crate::objective::Objective;
use crate::sim::World;
use crate::units::{KindId, Span, Time};
use crate::view::Discipline;

/// Two kinds, four nodes, `jobs` rigid jobs; the first always fits, some others never do.
pub(crate) fn random_world(seed: u64, jobs: usize) -> Arc<World> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let node = |at: u16| Node {
        name: format!("n{at}"),
        kind: KindId(at % 2),
        devices: u32::from(at) + 1,
        procs_per_device: 1,
        rack: 0,
    };
    let mut workload = Workload::default();
    let mut now = 0;
    for label in 0..jobs as u64 {
        let requested = Span::from_secs(rng.random_range(1..20));
        let gang = if label == 0 { 1 } else { rng.random_range(1..8) };
        let mut job = Job::new(label, Time(now), Task::Rigid { requested }, gang);
        job.weight = f64::from(rng.random_range(1..4));
        workload.push(job, Truth::Duration(Span(requested.0 / rng.random_range(1..4))));
        now += rng.random_range(0..4) * 1_000_000_000;
    }
    let cluster = Cluster::new((0..4).map(node).collect());
    let world = World::new(
        Catalog::builtin(),
        cluster,
        workload,
        Discipline::Free,
        Objective::CompletionTime,
        Some(Span::from_secs(5)),
    );
    Arc::new(world.unwrap())
}

/// An environment of such worlds with twelve jobs.
pub(crate) fn random_env(settings: Settings) -> SchedulingEnv {
    SchedulingEnv::new(|seed| random_world(seed, 12), settings).unwrap()
}
