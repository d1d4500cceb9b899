//! Pipelines: chains of stages, each with a model or a computation of its own, and data that moves between them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::arrivals::{Arrivals, Process};
use super::error::{WorkloadError, check, not_negative, positive};
use super::random::derive_seed;
use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::data::{Artefact, ArtefactId};
use crate::job::{Job, StepSpeeds, Task, Truth, Workload};
use crate::suggest::suggestion;
use crate::units::{JobId, Time};

/// Alike pipelines that arrive one after another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineSource {
    /// How many arrive, above 0.
    pub count: u32,
    /// Mean rate, in pipelines a second.
    pub per_second: f64,
    /// How arrivals are spread.
    #[serde(default)]
    pub process: Process,
    /// From arrival to the deadline of the last stage, in milliseconds; none if absent.
    #[serde(default)]
    pub deadline_ms: Option<f64>,
    /// At least one, in order.
    pub stages: Vec<Stage>,
}

/// One stage: either `model` or `seconds` is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// An inference model; requests of one model share batches, whatever pipeline they belong to.
    #[serde(default)]
    pub model: Option<String>,
    /// How long the stage takes, in seconds, by device kind; it runs on no others.
    #[serde(default)]
    pub seconds: BTreeMap<String, f64>,
    /// What it hands to the next stage, in MB (10^6 bytes); 0 for nothing worth counting.
    #[serde(default)]
    pub output_mb: f64,
}

/// A stage whose settings are sound.
#[derive(Clone, Copy)]
enum Checked {
    Model(crate::units::InferenceId),
    /// Index into the speeds of the workload.
    Steps(u32),
}

impl PipelineSource {
    pub(super) fn generate(
        &self,
        catalog: &Catalog,
        cluster: &Cluster,
        seed: u64,
    ) -> Result<Workload, WorkloadError> {
        check("count", f64::from(self.count), self.count > 0, "above 0")?;
        positive("per_second", self.per_second)?;
        self.process.check(0)?;
        let deadline = self.deadline_ms.map(|ms| positive("deadline_ms", ms)).transpose()?;
        let (stages, speeds) = self.checked(catalog, cluster)?;
        let mut workload = Workload { speeds, ..Workload::default() };
        let arrivals = Arrivals::new(&self.process, self.per_second, derive_seed(seed, 0));
        for arrival in arrivals.take(self.count as usize).map(|arrival| arrival.at) {
            let due = deadline.map(|ms| Time::from_secs_f64(arrival + ms / 1e3));
            self.push(&mut workload, &stages, Time::from_secs_f64(arrival), due);
        }
        Ok(workload)
    }

    fn push(&self, workload: &mut Workload, stages: &[Checked], arrival: Time, due: Option<Time>) {
        let mut input = None;
        for (at, (stage, checked)) in self.stages.iter().zip(stages).enumerate() {
            let task = match *checked {
                Checked::Model(model) => Task::Request { model },
                Checked::Steps(speeds) => Task::Steps { speeds, steps: 1_000_000 },
            };
            let id = workload.len() as u32;
            let mut job = Job::new(u64::from(id), arrival, task, 1);
            job.deadline = due;
            job.weight = if at + 1 == stages.len() { 1.0 } else { 0.0 };
            job.after = (at > 0).then(|| JobId(id - 1));
            job.inputs.extend(input.take());
            if stage.output_mb > 0.0 && at + 1 < stages.len() {
                let name = format!("output-{id}");
                let bytes = ((stage.output_mb * 1e6) as u64).max(1);
                job.output = Some(ArtefactId(workload.artefacts.len() as u32));
                input = job.output;
                workload.artefacts.push(Artefact { name, bytes, compression_ratio: 1.0 });
            }
            workload.push(job, Truth::AsEstimated);
        }
    }

    fn checked(
        &self,
        catalog: &Catalog,
        cluster: &Cluster,
    ) -> Result<(Vec<Checked>, Vec<StepSpeeds>), WorkloadError> {
        if self.stages.is_empty() {
            return Err(WorkloadError::Settings("a pipeline needs at least one stage"));
        }
        let (mut stages, mut speeds) = (Vec::new(), Vec::new());
        for (number, stage) in self.stages.iter().enumerate() {
            not_negative("output_mb", stage.output_mb)?;
            stages.push(match &stage.model {
                Some(name) if stage.seconds.is_empty() => Checked::Model(find(catalog, name)?),
                None if !stage.seconds.is_empty() => {
                    speeds.push(stage.speeds(catalog, cluster, number)?);
                    Checked::Steps(speeds.len() as u32 - 1)
                }
                _ => return Err(WorkloadError::Settings("a stage has either a `model` or `seconds`")),
            });
        }
        Ok((stages, speeds))
    }
}

impl Stage {
    /// A million steps, so that the time is told to the millionth.
    fn speeds(
        &self,
        catalog: &Catalog,
        cluster: &Cluster,
        number: usize,
    ) -> Result<StepSpeeds, WorkloadError> {
        let mut by_kind = Vec::new();
        for (name, &seconds) in &self.seconds {
            let Some(kind) = catalog.kind(name) else {
                let known = catalog.devices().iter().map(|device| device.name.as_str());
                return Err(WorkloadError::UnknownKind {
                    kind: name.clone(),
                    suggestion: suggestion(name, known),
                });
            };
            by_kind.push((kind, 1e6 / positive("seconds", seconds)?));
        }
        if !by_kind.iter().any(|(kind, _)| cluster.kinds().contains(kind)) {
            let what = format!("stage {number} of the pipeline runs");
            return Err(WorkloadError::NotRunnable { what, kinds: super::kind_names(catalog, cluster) });
        }
        Ok(StepSpeeds { name: format!("stage-{number}"), gang: 1, by_kind })
    }
}

fn find(catalog: &Catalog, name: &str) -> Result<crate::units::InferenceId, WorkloadError> {
    catalog.inference(name).ok_or_else(|| {
        let known = catalog.inference_models().iter().map(|model| model.name.as_str());
        WorkloadError::UnknownModel { model: name.to_owned(), suggestion: suggestion(name, known) }
    })
}
