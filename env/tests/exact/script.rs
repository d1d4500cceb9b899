//! Worlds from a line or two, and decisions as a script: what is to be decided when.

use std::sync::Arc;

use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::{Cluster, Node};
use yardmaster_env::data::{
    Artefact, ArtefactId, DataSetup, DataSpec, NodeData, Rack, RackId, Storage, Switches,
};
use yardmaster_env::job::{Job, Task, Truth, Workload};
use yardmaster_env::objective::Objective;
use yardmaster_env::rules::{Change, NodeChange, Restarts, Resume, Rules};
use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::units::{JobId, NodeId, Span, Time};
use yardmaster_env::view::{Decision, Discipline, Placement, Share};

pub(crate) fn at(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

pub(crate) fn span(seconds: f64) -> Span {
    Span::from_secs_f64(seconds)
}

/// Nodes of (kind, devices, rack).
pub(crate) fn cluster(catalog: &Catalog, nodes: &[(&str, u32, u16)]) -> Cluster {
    let node = |(number, &(kind, devices, rack)): (usize, &(&str, u32, u16))| Node {
        name: format!("n{number}"),
        kind: catalog.kind(kind).unwrap(),
        devices,
        procs_per_device: 1,
        rack,
    };
    Cluster::new(nodes.iter().enumerate().map(node).collect())
}

/// A job of (arrival, seconds, gang), as rigid jobs are given to [`rigid`].
pub(crate) fn job(arrival: u64, seconds: u64, gang: u32) -> Job {
    Job::new(0, at(arrival as f64), Task::Rigid { requested: Span::from_secs(seconds) }, gang)
}

/// A request to a model of the catalogue.
pub(crate) fn request(arrival: f64, model: &str) -> Job {
    let model = Catalog::builtin().inference(model).unwrap();
    Job::new(0, at(arrival), Task::Request { model }, 1)
}

/// Training of a model of the catalogue.
pub(crate) fn training(model: &str, gang: u32, batch: u32, samples: u64) -> Job {
    let model = Catalog::builtin().training(model).unwrap();
    Job::new(0, Time::ZERO, Task::Training { model, batch, samples }, gang)
}

pub(crate) fn workload(jobs: Vec<Job>) -> Workload {
    let mut workload = Workload::default();
    for (label, job) in (0..).zip(jobs) {
        workload.push(Job { label, ..job }, Truth::AsEstimated);
    }
    workload
}

pub(crate) fn world(nodes: &[(&str, u32, u16)], workload: Workload) -> World {
    let catalog = Catalog::builtin();
    let objective = Objective::CompletionTime;
    World::new(catalog, cluster(catalog, nodes), workload, Discipline::Free, objective, None).unwrap()
}

/// Preemption with restarts of so many seconds, and perhaps a checkpoint every so many.
pub(crate) fn resume(restart: f64, checkpoint: Option<f64>) -> Rules {
    let resume = Resume { restarts: Restarts::Alike(span(restart)), checkpoint: checkpoint.map(span) };
    Rules { preempt: true, resume, ..Rules::default() }
}

/// (second, node, what happens to it)
pub(crate) fn changes(changes: &[(f64, u32, Change)]) -> Vec<NodeChange> {
    let change =
        |&(when, node, change): &(f64, u32, Change)| NodeChange { at: at(when), node: NodeId(node), change };
    changes.iter().map(change).collect()
}

/// Artefacts of 1,000 bytes with a compression ratio of 2, nodes with cards and disks of 100 bytes a second and room
/// for two artefacts, one rack, a store of 100 bytes a second; nothing has latency, only caching is on.
pub(crate) fn data_setup(nodes: usize, artefacts: usize) -> DataSetup {
    let artefact =
        |number: usize| Artefact { name: format!("a{number}"), bytes: 1000, compression_ratio: 2.0 };
    let node =
        NodeData { cache_bytes: 2000, disk_bytes_per_s: 100.0, nic_bytes_per_s: 100.0, rack: RackId(0) };
    DataSetup {
        artefacts: (0..artefacts).map(artefact).collect(),
        nodes: vec![node; nodes],
        racks: vec![Rack { uplink_bytes_per_s: 1e9 }],
        storage: Storage { bytes_per_s: 100.0, latency: Span::ZERO },
        link_latency: Span::ZERO,
        switches: Switches { caching: true, replication: false, compression: None },
    }
}

pub(crate) fn with_data(world: World, setup: DataSetup) -> World {
    world.with_data(DataSpec::new(setup).unwrap()).unwrap()
}

/// The same job, reading these artefacts.
pub(crate) fn reads(job: Job, inputs: &[u32]) -> Job {
    Job { inputs: inputs.iter().map(|&input| ArtefactId(input)).collect(), ..job }
}

/// On (node, devices).
pub(crate) fn on(nodes: &[(u32, u32)]) -> Placement {
    nodes.iter().map(|&(node, devices)| Share { node: NodeId(node), devices }).collect()
}

/// Starts a rigid job on one device of a node.
pub(crate) fn start(job: u32, node: u32) -> Decision {
    spread(job, &[(node, 1)])
}

/// Starts a rigid gang.
pub(crate) fn spread(job: u32, nodes: &[(u32, u32)]) -> Decision {
    batch(job, nodes, 1)
}

/// Starts a batch, or training with a batch.
pub(crate) fn batch(job: u32, nodes: &[(u32, u32)], batch: u32) -> Decision {
    Decision::Start { job: JobId(job), nodes: on(nodes), batch, variant: 0 }
}

/// Preempts what was started as number `run`, from 0.
pub(crate) fn preempt(run: u64) -> Decision {
    Decision::Preempt { run }
}

/// Carries out decisions at their seconds, and waits in between.
pub(crate) fn follow(sim: &mut Simulator, script: &[(f64, Decision)]) {
    for (when, decision) in script {
        loop {
            let now = sim.next_decision().map(|view| view.now);
            assert!(
                now.is_some_and(|now| now <= at(*when)),
                "{decision:?} at {when} s comes too late: {now:?}"
            );
            if now == Some(at(*when)) {
                break;
            }
            sim.apply(Decision::Wait { until: Some(at(*when)) }).unwrap();
        }
        assert_eq!(sim.apply(decision.clone()), Ok(()), "{decision:?} at {when} s");
    }
}

/// Waits until nothing is left to decide.
pub(crate) fn finish(sim: &mut Simulator) {
    while sim.next_decision().is_some() {
        sim.apply(Decision::Wait { until: None }).unwrap();
    }
}

/// Plays a script to the end.
pub(crate) fn play(world: World, script: &[(f64, Decision)]) -> Simulator {
    let mut sim = Simulator::new(Arc::new(world));
    follow(&mut sim, script);
    finish(&mut sim);
    sim
}

/// When each job finished.
pub(crate) fn ends(sim: &Simulator) -> Vec<Time> {
    sim.records().iter().map(|record| record.finish).collect()
}

/// When and until when each of its runs held devices, in seconds.
pub(crate) fn slices(sim: &Simulator, job: usize) -> Vec<(f64, f64)> {
    let slices = sim.records()[job].slices.iter();
    slices.map(|slice| (slice.start.as_secs_f64(), slice.finish.as_secs_f64())).collect()
}

pub(crate) fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}
