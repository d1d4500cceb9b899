//! Decisions in words.

use std::fmt;

use serde::Serialize;
use yardmaster_env::candidates::alike;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::job::{Job, Task};
use yardmaster_env::units::{JobId, KindId, Time};
use yardmaster_env::view::{Decision, View};

/// A decision with the names of what it is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// A job or a batch of requests begins.
    Start {
        /// What.
        work: Work,
        /// Kind of device.
        kind: String,
        /// Devices in all.
        devices: u32,
        /// Machines.
        nodes: Vec<String>,
        /// Requests served together, or the batch of a training job.
        batch: u32,
        /// The variant that serves requests, where it is not the reference.
        #[serde(skip_serializing_if = "Option::is_none")]
        variant: Option<String>,
    },
    /// A batch queue's next job.
    Reserve {
        /// Which.
        work: Work,
    },
    /// A running job is cut off.
    Preempt {
        /// Which.
        work: Work,
        /// Kind of the devices that it frees.
        kind: String,
        /// How many.
        devices: u32,
    },
    /// Time slices are shared out.
    Allocate {
        /// Jobs and kinds with a share.
        portions: usize,
    },
    /// Nothing begins for now.
    Wait {
        /// When to ask again, if there is no event before, in seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        until_s: Option<f64>,
    },
}

/// A job, or requests of one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Work {
    /// The number that the trace or generator gave it.
    pub job: u64,
    /// What it computes.
    pub what: String,
    /// How many wait that are like it, itself included.
    pub alike: usize,
    /// How long it has waited or, if it was cut off, been there, in seconds.
    pub since_arrival_s: f64,
}

impl Work {
    fn of(view: &View<'_>, id: JobId) -> Work {
        let job = view.job(id);
        let waiting = match job.request_model() {
            Some(model) => view
                .streams
                .iter()
                .find(|stream| stream.model == model)
                .map_or(1, |stream| stream.queue.len()),
            None => view.queue.iter().filter(|&&other| other == id || alike(view, id, other)).count(),
        };
        Work {
            job: job.label,
            what: what(job),
            alike: waiting.max(1),
            since_arrival_s: view.waited(id).as_secs_f64(),
        }
    }
}

/// The model of a job, or what else it is.
fn what(job: &Job) -> String {
    let catalog = Catalog::builtin();
    match job.task {
        Task::Rigid { requested } => format!("{requested} asked for"),
        Task::Training { model, .. } => catalog.training_model(model).name.clone(),
        Task::Steps { .. } => "steps of a trace".to_owned(),
        // A live system may have models and kinds of its own.
        Task::Request { model } => {
            let known = catalog.inference_models().get(model.index());
            known.map_or_else(|| format!("model {}", model.0), |model| model.name.clone())
        }
    }
}

impl Act {
    /// What a decision means in a moment.
    pub fn of(view: &View<'_>, decision: &Decision) -> Act {
        match decision {
            Decision::Start { job, nodes, batch, variant } => Act::Start {
                work: Work::of(view, *job),
                kind: nodes.first().map_or_else(String::new, |share| kind(view, view.slot_of(share.node))),
                devices: nodes.iter().map(|share| share.devices).sum(),
                nodes: nodes.iter().map(|share| view.cluster.node(share.node).name.clone()).collect(),
                batch: *batch,
                variant: variant_name(view, *job, *variant),
            },
            Decision::Reserve { order } => match order.first() {
                Some(&job) => Act::Reserve { work: Work::of(view, job) },
                None => Act::Wait { until_s: None },
            },
            Decision::Preempt { run } => preempted(view, *run),
            Decision::Allocate { portions, .. } => Act::Allocate { portions: portions.len() },
            Decision::Wait { until } => Act::Wait { until_s: until.map(Time::as_secs_f64) },
        }
    }
}

fn preempted(view: &View<'_>, sequence: u64) -> Act {
    let run = view.running.iter().find(|run| run.sequence == sequence);
    let Some((run, &job)) = run.and_then(|run| Some((run, run.members.first()?))) else {
        return Act::Wait { until_s: None };
    };
    let devices = run.nodes.iter().map(|share| share.devices).sum();
    Act::Preempt { work: Work::of(view, job), kind: kind(view, run.slot), devices }
}

/// The name of a kind of device.
pub fn kind(view: &View<'_>, slot: usize) -> String {
    let kinds = view.cluster.kinds();
    let name = |kind: &KindId| {
        let known = Catalog::builtin().devices().get(kind.index());
        known.map_or_else(|| format!("kind {}", kind.0), |device| device.name.clone())
    };
    kinds.get(slot).map_or_else(String::new, name)
}

fn variant_name(view: &View<'_>, job: JobId, variant: u16) -> Option<String> {
    let model = view.job(job).request_model()?;
    let stream = view.timing.stream_of(model)?;
    let number = view.timing.catalog_variant(stream, variant);
    let variants = &Catalog::builtin().inference_models().get(model.index())?.variants;
    variants.get(usize::from(number)).filter(|_| number > 0).map(|variant| variant.name.clone())
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {} ({}", self.job, self.what)?;
        if self.alike > 1 {
            write!(f, ", {} alike", self.alike)?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Start { work, kind, devices, batch, variant, .. } => {
                write!(f, "start {work} on {devices} {kind}")?;
                if *batch > 1 {
                    write!(f, ", batch {batch}")?;
                }
                variant.as_ref().map_or(Ok(()), |variant| write!(f, ", as {variant}"))
            }
            Act::Reserve { work } => write!(f, "next is {work}"),
            Act::Preempt { work, kind, devices } => write!(f, "cut off {work} on {devices} {kind}"),
            Act::Allocate { portions } => write!(f, "share out time slices, {portions} shares"),
            Act::Wait { until_s: None } => f.write_str("wait"),
            Act::Wait { until_s: Some(until) } => write!(f, "wait until {until} s"),
        }
    }
}
