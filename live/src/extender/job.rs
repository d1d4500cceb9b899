//! A pod as a job: what it asks for, and what its annotations tell about it.

use yardmaster_env::catalog::Catalog;
use yardmaster_env::job::{Job, Task};
use yardmaster_env::units::{Span, Time};

use super::config::Config;
use super::object::Pod;
use super::registry::KnownNode;

/// The training model of the catalogue that the pod trains; with [`SAMPLES`] and [`BATCH`] it tells how long it takes where.
pub const MODEL: &str = "yardmaster/model";
/// Samples per step over all devices of the pod.
pub const BATCH: &str = "yardmaster/batch";
/// Samples to process in all.
pub const SAMPLES: &str = "yardmaster/samples";
/// How long the pod runs, wherever it does; counts where there is no model.
pub const SECONDS: &str = "yardmaster/seconds";
/// Within how many seconds from now it should be done.
pub const DEADLINE: &str = "yardmaster/deadline-seconds";
/// How much it counts in the objective; 1 if absent.
pub const WEIGHT: &str = "yardmaster/weight";
/// Memory that it needs on each device, in GiB.
pub const MEMORY: &str = "yardmaster/gpu-memory-gib";
/// Pods of one group are best placed in one rack.
pub const GROUP: &str = "yardmaster/group";

/// A hint that cannot be understood. The pod is not failed for it silently: its owner reads this in the pod's events.
#[derive(Debug, thiserror::Error)]
#[error("pod {pod}: {key} is {value:?}, expected {expected}")]
pub struct HintError {
    pod: String,
    key: &'static str,
    value: String,
    expected: String,
}

/// What a pod wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The pod's identity, or its name.
    pub uid: String,
    /// Devices, all on one node.
    pub devices: u32,
    /// Memory on each, in GiB.
    pub memory_gib: Option<f64>,
    /// Who else belongs to it.
    pub group: Option<String>,
    task: Task,
    weight: f64,
    deadline: Option<Span>,
}

impl Wanted {
    /// Reads requests, labels and annotations.
    pub fn of(config: &Config, pod: &Pod) -> Result<Wanted, HintError> {
        let Pod { metadata, .. } = pod;
        let uid = if metadata.uid.is_empty() { &metadata.name } else { &metadata.uid };
        let weight = number(pod, WEIGHT)?;
        Ok(Wanted {
            uid: uid.clone(),
            devices: pod.devices(&config.resources),
            memory_gib: number(pod, MEMORY)?,
            group: metadata.hint(GROUP).map(|group| format!("{}/{group}", metadata.namespace)),
            task: task(config, pod)?,
            weight: weight.unwrap_or(1.0),
            deadline: number(pod, DEADLINE)?.map(Span::from_secs_f64),
        })
    }

    /// The job, as it arrives now.
    pub fn job(&self, now: Time) -> Job {
        let mut job = Job::new(0, now, self.task, self.devices.max(1));
        job.weight = self.weight;
        job.deadline = self.deadline.map(|within| now + within);
        job
    }

    /// Why it can never run on a node, whatever else runs there; `None` where it can, or nobody knows.
    pub fn impossible_on(&self, node: &KnownNode) -> Option<String> {
        if self.devices > node.devices {
            return Some(match node.devices {
                0 => "no accelerator".to_owned(),
                has => format!("the node has {has} devices, the pod asks for {}", self.devices),
            });
        }
        let (needs, has) = (self.memory_gib?, node.memory_mib? / 1024.0);
        // Labels and catalogues tell a little more or less than what is sold as 16 GB.
        (needs > 1.05 * has).then(|| format!("a device has {has:.1} GiB, the pod needs {needs} GiB"))
    }
}

fn task(config: &Config, pod: &Pod) -> Result<Task, HintError> {
    let Some(name) = pod.metadata.hint(MODEL) else {
        let requested = number(pod, SECONDS)?.map_or(config.default_length, Span::from_secs_f64);
        return Ok(Task::Rigid { requested });
    };
    let catalog = Catalog::builtin();
    let Some(model) = catalog.training(name) else {
        let known = catalog.training_models().iter().map(|model| model.name.clone());
        return Err(error(pod, MODEL, name, format!("one of {}", known.collect::<Vec<_>>().join(", "))));
    };
    let expected = || format!("a number, as there is {MODEL}");
    let batch = number(pod, BATCH)?.ok_or_else(|| error(pod, BATCH, "", expected()))?;
    let samples = number(pod, SAMPLES)?.ok_or_else(|| error(pod, SAMPLES, "", expected()))?;
    Ok(Task::Training { model, batch: (batch as u32).max(1), samples: (samples as u64).max(1) })
}

/// A positive number.
fn number(pod: &Pod, key: &'static str) -> Result<Option<f64>, HintError> {
    let Some(text) = pod.metadata.hint(key) else { return Ok(None) };
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
    value.map(Some).ok_or_else(|| error(pod, key, text, "a number above 0".to_owned()))
}

fn error(pod: &Pod, key: &'static str, value: &str, expected: String) -> HintError {
    HintError { pod: pod.metadata.name.clone(), key, value: value.to_owned(), expected }
}
