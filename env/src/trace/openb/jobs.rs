//! The openb lists as a workload and a cluster for the simulator, which has no shares of GPUs.

use super::{GPU_MILLI, Node, Pod};
use crate::catalog::Catalog;
use crate::cluster::{Cluster, Node as Machine};
use crate::job::{Job, Task, Truth, Workload};
use crate::trace::{ReadReport, TraceError, finish};
use crate::units::Span;

/// The GPU models of the lists that the catalogue has; `V100M32` differs from `V100M16` in memory alone.
const KINDS: [(&str, &str); 4] = [("P100", "p100"), ("T4", "t4"), ("V100M16", "v100"), ("V100M32", "v100")];
/// What stands for other models: it runs rigid jobs and nothing else.
const OTHER: &str = "processor";

/// The pods that had GPUs and ended, as rigid jobs.
///
/// A pod arrives at `creation_time` and takes `deletion_time - scheduled_time` on `num_gpu` whole devices of any kind;
/// its row is its id, and its owner is taken to know how long it runs. CPU and memory are not looked at. Dropped are
/// pods without a GPU, those that were never scheduled or never ended, and those that ran for no time. Shares of a GPU
/// and wishes for a model are lost, which the notes count.
///
/// # Errors
/// No pod is left.
pub fn workload(
    pods: &[Pod],
    mut report: ReadReport,
    name: &str,
) -> Result<(Workload, ReadReport), TraceError> {
    let end = pods.iter().filter_map(|pod| pod.deleted).max();
    let [mut shares, mut models, mut cut] = [0, 0, 0];
    let mut jobs = Vec::new();
    for pod in pods {
        match job(pod) {
            Ok(job) => {
                jobs.push(job);
                shares += usize::from(pod.gpu_milli < GPU_MILLI);
                models += usize::from(!pod.gpu_spec.is_empty());
                cut += usize::from(pod.deleted == end);
            }
            Err(reason) => report.drop_row(reason),
        }
    }
    let notes = [
        (shares, "ask for a share of a GPU and get a whole one"),
        (models, "name the GPU models they accept and may run on any"),
        (cut, "end with the trace, so that they may have run longer"),
    ];
    let notes = notes.into_iter().filter(|(count, _)| *count > 0);
    report.notes.extend(notes.map(|(count, what)| format!("{count} pods {what}")));
    finish(jobs, report, name)
}

/// A job, or why the pod is dropped.
fn job(pod: &Pod) -> Result<(Job, Truth), &'static str> {
    if pod.num_gpu == 0 {
        return Err("no GPU asked for");
    }
    let started = pod.scheduled.ok_or("never scheduled, so that its duration is unknown")?;
    let ended = pod.deleted.ok_or("never ended, so that its duration is unknown")?;
    if ended < started {
        return Err("ended before it started");
    }
    let duration: Span = ended - started;
    if duration == Span::ZERO {
        return Err("ran for no time");
    }
    let task = Task::Rigid { requested: duration };
    Ok((Job::new(pod.row, pod.created, task, pod.num_gpu), Truth::Duration(duration)))
}

/// The nodes that have GPUs, as a cluster of the catalogue's device kinds; other models stand as `processor`s.
///
/// # Errors
/// No node has a GPU.
pub fn cluster(nodes: &[Node], catalog: &Catalog, name: &str) -> Result<(Cluster, ReadReport), TraceError> {
    let mut report = ReadReport { rows: nodes.len(), ..ReadReport::default() };
    let mut machines = Vec::new();
    let mut others: Vec<(&str, u32)> = Vec::new();
    for node in nodes {
        if node.gpus == 0 {
            report.drop_row("no GPU");
            continue;
        }
        let known = KINDS.iter().find(|(model, _)| *model == node.model).map(|(_, kind)| *kind);
        if known.is_none() {
            match others.iter_mut().find(|(model, _)| *model == node.model) {
                Some((_, gpus)) => *gpus += node.gpus,
                None => others.push((&node.model, node.gpus)),
            }
        }
        let kind = catalog.kind(known.unwrap_or(OTHER)).ok_or_else(|| TraceError::BadValue {
            name: name.into(),
            what: format!("the model of node {}", node.name),
            value: node.model.clone(),
            must: "a device kind of the catalogue",
        })?;
        machines.push(Machine {
            name: node.name.clone(),
            kind,
            devices: node.gpus,
            procs_per_device: 1,
            rack: 0,
        });
    }
    let note = |(model, gpus)| {
        format!(
            "{gpus} GPUs {model} are not in the catalogue and stand as `{OTHER}`, which runs rigid jobs only"
        )
    };
    report.notes = others.into_iter().map(note).collect();
    report.kept = machines.len();
    if machines.is_empty() {
        return Err(TraceError::Empty { name: name.into(), rows: report.rows });
    }
    Ok((Cluster::new(machines), report))
}
