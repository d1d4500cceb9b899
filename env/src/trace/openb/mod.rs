//! The node and pod lists of Alibaba's production GPU cluster (cluster-trace-gpu-v2023, "openb").
//!
//! A node has CPU in thousandths of a core, memory in MiB, and GPUs of one model. A pod asks for CPU, memory and
//! either no GPU, a share of one (`gpu_milli` thousandths), or several whole ones; `gpu_spec` names the models that
//! it accepts, joined by `|`, and is empty for all. Times are whole seconds since the trace began.

mod jobs;

use super::sheet::{Row, Sheet};
use super::{ReadReport, TraceError};
use crate::units::Time;

pub use jobs::{cluster, workload};

/// Thousandths of a GPU.
pub const GPU_MILLI: u32 = 1000;

pub(super) const NODE_COLUMNS: [&str; 5] = ["sn", "cpu_milli", "memory_mib", "gpu", "model"];
pub(super) const POD_COLUMNS: [&str; 9] = [
    "name",
    "cpu_milli",
    "memory_mib",
    "num_gpu",
    "gpu_milli",
    "gpu_spec",
    "creation_time",
    "deletion_time",
    "scheduled_time",
];
const WHOLE: &str = "a whole number from 0 to 4294967295";

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its serial number.
    pub name: String,
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Memory.
    pub memory_mib: u32,
    /// How many GPUs it has.
    pub gpus: u32,
    /// What they are, as the list calls it; empty without GPUs.
    pub model: String,
}

/// What one container asks for, and when it lived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its row in the list, counted from 1 below the header.
    pub row: u64,
    /// Its name.
    pub name: String,
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Memory.
    pub memory_mib: u32,
    /// How many GPUs it is spread over.
    pub num_gpu: u32,
    /// Thousandths of each of them: 1000 if there are several.
    pub gpu_milli: u32,
    /// The models that it accepts; empty for all.
    pub gpu_spec: Vec<String>,
    /// When it was submitted.
    pub created: Time,
    /// When it ended, or the trace did.
    pub deleted: Option<Time>,
    /// When it started; `None` if it never did.
    pub scheduled: Option<Time>,
}

/// Reads a node list; `name` is the file's name in errors.
///
/// # Errors
/// A missing column, a cell that is no whole number, more than 32 GPUs in a node, GPUs without a model, no node.
pub fn parse_nodes(text: &str, name: &str) -> Result<Vec<Node>, TraceError> {
    let sheet = Sheet::read(text, name, "an openb node list", &NODE_COLUMNS)?;
    let nodes: Vec<Node> = sheet.rows().map(|row| node(&row)).collect::<Result<_, _>>()?;
    if nodes.is_empty() {
        return Err(TraceError::Empty { name: name.into(), rows: 0 });
    }
    Ok(nodes)
}

fn node(row: &Row<'_>) -> Result<Node, TraceError> {
    let gpus = row.number("gpu", WHOLE)?;
    if gpus > 32 {
        return Err(row.bad("gpu", "at most 32"));
    }
    if gpus > 0 && row.text("model").is_empty() {
        return Err(row.bad("model", "the model of the node's GPUs"));
    }
    Ok(Node {
        name: row.text("sn").into(),
        cpu_milli: row.number("cpu_milli", WHOLE)?,
        memory_mib: row.number("memory_mib", WHOLE)?,
        gpus,
        model: row.text("model").into(),
    })
}

/// Reads a pod list, in the order of the file; a pod of several shared GPUs is dropped.
///
/// # Errors
/// A missing column, a cell that is no whole number, more than a whole GPU for each GPU, no pod.
pub fn parse_pods(text: &str, name: &str) -> Result<(Vec<Pod>, ReadReport), TraceError> {
    let sheet = Sheet::read(text, name, "an openb pod list", &POD_COLUMNS)?;
    let mut report = ReadReport { rows: sheet.len(), ..ReadReport::default() };
    let mut pods = Vec::new();
    for (number, row) in (1..).zip(sheet.rows()) {
        let pod = pod(number, &row)?;
        match pod.num_gpu {
            0 if pod.gpu_milli > 0 => report.drop_row("a share of no GPU"),
            1 if pod.gpu_milli == 0 => report.drop_row("nothing of a GPU"),
            2.. if pod.gpu_milli != GPU_MILLI => report.drop_row("shares of several GPUs"),
            _ => pods.push(pod),
        }
    }
    report.kept = pods.len();
    if pods.is_empty() {
        return Err(TraceError::Empty { name: name.into(), rows: report.rows });
    }
    Ok((pods, report))
}

fn pod(number: u64, row: &Row<'_>) -> Result<Pod, TraceError> {
    let gpu_milli = row.number("gpu_milli", WHOLE)?;
    if gpu_milli > GPU_MILLI {
        return Err(row.bad("gpu_milli", "at most 1000, the whole of a GPU"));
    }
    let moment = |column| {
        if row.text(column).is_empty() { Ok(None) } else { row.nanos(column).map(|at| Some(Time(at))) }
    };
    let models = row.text("gpu_spec").split('|').map(str::trim).filter(|model| !model.is_empty());
    Ok(Pod {
        row: number,
        name: row.text("name").into(),
        cpu_milli: row.number("cpu_milli", WHOLE)?,
        memory_mib: row.number("memory_mib", WHOLE)?,
        num_gpu: row.number("num_gpu", WHOLE)?,
        gpu_milli,
        gpu_spec: models.map(str::to_owned).collect(),
        created: Time(row.nanos("creation_time")?),
        deleted: moment("deletion_time")?,
        scheduled: moment("scheduled_time")?,
    })
}

#[cfg(test)]
mod tests;
