//! The cases that speed is measured on: the benches and `yardmaster bench --speed` share them.
//!
//! Each case is built from a fixed seed. Nothing here reads a clock.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::{Cluster, Node};
use yardmaster_env::objective::Objective;
use yardmaster_env::observe::{Observer, Schema};
use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::spec::{Scenario, SpecError};
use yardmaster_env::units::Time;
use yardmaster_env::view::Discipline;

use crate::heuristics::batching::Batching;
use crate::heuristics::composite::Composite;
use crate::heuristics::order::Order;
use crate::heuristics::placement::Placing;
use crate::net::{Dims, Layout, NetError, PolicyNet, Sizes};
use crate::policy::{Policy, PolicyDefect, play};

/// The rules that are measured on a batch queue.
pub const RULES: [&str; 5] = ["fcfs", "sjf", "saf", "f1", "mct"];
/// Jobs that wait where candidates and observations are measured.
pub const QUEUED: usize = 128;
/// Clusters on which it is measured how the cost grows.
pub const NODES: [usize; 4] = [64, 256, 1024, 4096];

const SEED: u64 = 11;

/// Why a case could not be built; none of them should ever occur.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The scenario is refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The cluster and the jobs do not go together.
    #[error(transparent)]
    World(#[from] yardmaster_env::sim::WorldError),
    /// The weights make no network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A rule made an illegal decision.
    #[error(transparent)]
    Policy(#[from] PolicyDefect),
    /// The catalogue lacks a device kind.
    #[error("the catalogue has no device {0}")]
    Kind(&'static str),
}

/// A generated batch queue of 256 processors.
pub fn batch_queue(jobs: u32, discipline: Discipline) -> Result<Arc<World>, CaseError> {
    let text = format!(
        "name = \"batch\"\nabout = \"\"\nprior = \"saf\"\nobjective = {{ kind = \"completion-time\" }}\n\
         [[nodes]]\nname = \"pool\"\nkind = \"processor\"\ndevices = 256\n[workload.lublin]\njobs = {jobs}\n"
    );
    let mut world = Scenario::parse(&text, "batch")?.world(SEED)?;
    world.discipline = discipline;
    Ok(Arc::new(world))
}

/// Training jobs on single-device nodes of three kinds, all submitted at once.
fn crowd(nodes: usize, jobs: usize) -> Result<Arc<World>, CaseError> {
    let text = format!(
        "name = \"crowd\"\nabout = \"\"\nprior = \"mct\"\nobjective = {{ kind = \"completion-time\" }}\n\
         [[nodes]]\nname = \"v100\"\nkind = \"v100\"\n[[nodes]]\nname = \"p100\"\nkind = \"p100\"\n\
         [[nodes]]\nname = \"k80\"\nkind = \"k80\"\n\
         [workload.training]\njobs = {jobs}\nrate = {{ per_second = 1.0 }}\n"
    );
    let catalog = Catalog::builtin();
    let mut workload = Scenario::parse(&text, "crowd")?.world(SEED)?.workload;
    for job in &mut workload.jobs {
        job.arrival = Time::ZERO;
    }
    let mut all = Vec::new();
    for (share, name) in [(0, "v100"), (1, "p100"), (2, "k80")] {
        let kind = catalog.kind(name).ok_or(CaseError::Kind(name))?;
        let count = (nodes + share) / 3;
        let node = |at| Node { name: format!("{name}-{at}"), kind, devices: 1, procs_per_device: 1, rack: 0 };
        all.extend((0..count).map(node));
    }
    let cluster = Cluster::new(all);
    let objective = Objective::CompletionTime;
    Ok(Arc::new(World::new(catalog, cluster, workload, Discipline::Free, objective, None)?))
}

/// Training jobs on `nodes` nodes of three kinds, ten times as many as there are nodes; the queue is kept short
/// by a load of 0.9.
pub fn stream_of_jobs(nodes: usize) -> Result<Arc<World>, CaseError> {
    let third = |share: usize| (nodes + share) / 3;
    let (v100, p100, k80) = (third(0), third(1), third(2));
    let jobs = 10 * nodes.min(1000);
    let text = format!(
        "name = \"stream\"\nabout = \"\"\nprior = \"mct\"\nobjective = {{ kind = \"completion-time\" }}\n\
         [[nodes]]\nname = \"v100\"\nkind = \"v100\"\ncount = {v100}\n\
         [[nodes]]\nname = \"p100\"\nkind = \"p100\"\ncount = {p100}\n\
         [[nodes]]\nname = \"k80\"\nkind = \"k80\"\ncount = {k80}\n\
         [workload.training]\njobs = {jobs}\nrate = {{ load = 0.9 }}\n"
    );
    Ok(Arc::new(Scenario::parse(&text, "stream")?.world(SEED)?))
}

/// Sixteen moments in a row of a crowded cluster: three of four nodes are busy, [`QUEUED`] different jobs wait on
/// average.
pub fn crowded_moments(nodes: usize) -> Result<Vec<Simulator>, CaseError> {
    const MOMENTS: usize = 16;
    let busy = 3 * nodes / 4;
    let world = crowd(nodes, busy + QUEUED)?;
    let mut sim = Simulator::new(world);
    let mut rule = Composite::new("fcfs", Order::Fcfs, Placing::FirstFit, Batching::Largest);
    let mut moments = Vec::new();
    while let Some(view) = sim.next_decision() {
        let decision = rule.decide(&view);
        if view.queue.len() <= QUEUED + MOMENTS / 2 {
            moments.push(sim.clone());
        }
        if moments.len() == MOMENTS {
            break;
        }
        let defect = |why| PolicyDefect { policy: "fcfs".to_owned(), now_ns: 0, why };
        sim.apply(decision).map_err(defect)?;
    }
    Ok(moments)
}

/// A network of the usual size with small random weights, so that it has opinions.
pub fn network() -> Result<PolicyNet, CaseError> {
    let (dims, sizes) = (Dims::from(&Schema::current()), Sizes::default());
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let count = Layout::policy(&dims, &sizes).total();
    let weights: Vec<f32> = (0..count).map(|_| 0.1 * (random.random::<f32>() - 0.5)).collect();
    Ok(PolicyNet::new(dims, sizes, 0.0, &weights)?)
}

/// Plays to the end with candidates and observation built for each decision; gives the decisions.
pub fn play_observed(world: &Arc<World>, policy: &mut dyn Policy) -> Result<u64, CaseError> {
    let mut observer = Observer::default();
    let mut watched = Watched { policy, observer: &mut observer };
    Ok(play(world, &mut watched, 0)?.decisions())
}

struct Watched<'a> {
    policy: &'a mut dyn Policy,
    observer: &'a mut Observer,
}

impl Policy for Watched<'_> {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn reset(&mut self, seed: u64) {
        self.policy.reset(seed);
    }

    fn decide(&mut self, view: &yardmaster_env::view::View<'_>) -> yardmaster_env::view::Decision {
        std::hint::black_box(self.observer.observe(view, None));
        self.policy.decide(view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_are_as_crowded_as_they_say() {
        let moments = crowded_moments(36).unwrap();
        assert_eq!(moments.len(), 16);
        let queued: usize = moments.iter().map(|moment| moment.view().queue.len()).sum();
        assert!(queued.abs_diff(16 * QUEUED) <= 16, "{queued}");
        assert!(moments.iter().all(|moment| moment.view().cluster.kinds().len() == 3));
        assert!(moments.iter().all(|moment| moment.view().free_by_kind.iter().sum::<u32>() > 0));
        let mut observer = Observer::default();
        assert_eq!(observer.observe(&moments[0].view(), None).jobs.len() % 32, 0);
    }

    #[test]
    fn the_streams_of_jobs_can_be_played() {
        let world = stream_of_jobs(64).unwrap();
        let mut rule = crate::registry::build("mct").unwrap();
        assert!(play_observed(&world, &mut *rule).unwrap() >= 640);
        for discipline in [Discipline::Commit, Discipline::Free] {
            let world = batch_queue(100, discipline).unwrap();
            assert!(play(&world, &mut *rule, 0).unwrap().decisions() >= 100);
        }
    }
}
