//! Inputs of Gavel's simulator (Narayanan et al., OSDI'20) as JSON: a cluster, jobs in training steps, and the name of
//! a second file with the measured speeds.
//!
//! The input has the keys `cluster` (devices by kind), `gpus_per_server` (by kind), `throughputs_file`, `round_s`,
//! `min_time_between_allocation_resets_s` and `jobs`, each with `job_id`, `arrival_s`, `job_type`, `scale_factor`
//! (its gang) and `total_steps`. The throughputs are `{kind: {"('job type', scale factor)": {"null": steps/s}}}`, for
//! the whole gang, 0 where the job does not run; entries for pairs of jobs on one device are not used. Other keys are
//! ignored. Reading takes two steps, since the first file names the second.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::{ReadReport, TraceError};
use crate::catalog::Catalog;
use crate::cluster::{Cluster, Node};
use crate::job::{Job, StepSpeeds, Task, Truth, Workload};
use crate::sim::RoundRules;
use crate::suggest::suggestion;
use crate::units::{KindId, Span, Time};

/// Most devices and largest gang; more is a slip of the keyboard.
const MAX_DEVICES: u32 = 1_000_000;
/// Latest second that fits into [`Time`] with room to run.
const MAX_SECONDS: f64 = 9e9;

/// A recorded workload with its cluster and rounds.
#[derive(Clone, Debug, PartialEq)]
pub struct GavelTrace {
    /// The machines.
    pub cluster: Cluster,
    /// Jobs of [`Task::Steps`].
    pub workload: Workload,
    /// How long rounds last and allocations stand.
    pub rounds: RoundRules,
    /// What was dropped and adjusted.
    pub report: ReadReport,
}

/// The first of the two files.
#[derive(Clone, Debug)]
pub struct GavelInput {
    name: String,
    raw: RawInput,
}

#[derive(Clone, Debug, Deserialize)]
struct RawInput {
    cluster: BTreeMap<String, u32>,
    gpus_per_server: BTreeMap<String, u32>,
    throughputs_file: String,
    round_s: f64,
    min_time_between_allocation_resets_s: f64,
    jobs: Vec<RawJob>,
}

#[derive(Clone, Debug, Deserialize)]
struct RawJob {
    job_id: u64,
    arrival_s: f64,
    job_type: String,
    scale_factor: u32,
    total_steps: u64,
}

/// By kind, then job type with scale factor.
type Throughputs = HashMap<String, HashMap<String, Throughput>>;

#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "null")]
    alone: Option<f64>,
}

impl GavelInput {
    /// Reads the input; `name` is the file's name in errors.
    ///
    /// # Errors
    /// Text that is not JSON of this shape, or a throughputs file that is not a plain file name.
    pub fn parse(text: &str, name: &str) -> Result<GavelInput, TraceError> {
        let raw: RawInput = json(text, name)?;
        let file = &raw.throughputs_file;
        if file.is_empty() || file.contains(['/', '\\']) || file == ".." {
            let must = "the name of a file in the same folder";
            return Err(bad(name, "`throughputs_file`".into(), file, must));
        }
        Ok(GavelInput { name: name.to_owned(), raw })
    }

    /// The name of the second file, which lies beside the first.
    pub fn throughputs_file(&self) -> &str {
        &self.raw.throughputs_file
    }

    /// Joins the input with the text of the second file, called `file` in errors.
    ///
    /// # Errors
    /// Text that is not JSON of this shape, a device kind that the catalogue or the second file does not have, a value
    /// out of its range, a job type that the second file does not have or that runs nowhere, or no job at all.
    pub fn with_throughputs(
        &self,
        text: &str,
        file: &str,
        catalog: &Catalog,
    ) -> Result<GavelTrace, TraceError> {
        let throughputs: Throughputs = json(text, file)?;
        let cluster = self.cluster(catalog)?;
        let rounds = RoundRules {
            quantum: self.seconds("`round_s`", self.raw.round_s, 1e-3)?,
            reallocate: self.seconds(
                "`min_time_between_allocation_resets_s`",
                self.raw.min_time_between_allocation_resets_s,
                0.0,
            )?,
        };
        let kinds = cluster.kinds().iter().map(|&kind| (kind, catalog.device(kind).name.clone())).collect();
        let mut reader = Reader {
            name: &self.name,
            file,
            throughputs,
            kinds,
            jobs: Vec::new(),
            speeds: Vec::new(),
            types: HashMap::new(),
            report: ReadReport::default(),
        };
        for job in &self.raw.jobs {
            reader.job(job)?;
        }
        let (workload, report) = reader.finish()?;
        Ok(GavelTrace { cluster, workload, rounds, report })
    }

    /// Servers of each kind, full ones first.
    fn cluster(&self, catalog: &Catalog) -> Result<Cluster, TraceError> {
        let mut nodes = Vec::new();
        for (name, &devices) in &self.raw.cluster {
            let kind = catalog.kind(name).ok_or_else(|| {
                let known = catalog.devices().iter().map(|device| device.name.as_str());
                let message =
                    format!("unknown device kind `{name}` in `cluster`; {}", suggestion(name, known));
                TraceError::Json { name: self.name.clone(), message }
            })?;
            let per_node = self.raw.gpus_per_server.get(name).copied().unwrap_or(0);
            for (what, value) in [("cluster", devices), ("gpus_per_server", per_node)] {
                if !(1..=MAX_DEVICES).contains(&value) {
                    let must = "a whole number from 1 to 1000000";
                    return Err(bad(&self.name, format!("`{name}` in `{what}`"), value, must));
                }
            }
            for number in 0..devices.div_ceil(per_node) {
                let devices = per_node.min(devices - number * per_node);
                nodes.push(Node {
                    name: format!("{name}-{number}"),
                    kind,
                    devices,
                    procs_per_device: 1,
                    rack: 0,
                });
            }
        }
        if nodes.is_empty() {
            return Err(bad(&self.name, "`cluster`".into(), "empty", "at least one device kind"));
        }
        Ok(Cluster::new(nodes))
    }

    fn seconds(&self, what: &str, value: f64, least: f64) -> Result<Span, TraceError> {
        if (least..=MAX_SECONDS).contains(&value) {
            return Ok(Span::from_secs_f64(value));
        }
        let must = "a number of seconds of use: at least 0 (a round: 0.001), at most 9e9";
        Err(bad(&self.name, what.to_owned(), value, must))
    }
}

struct Reader<'a> {
    /// Name of the input.
    name: &'a str,
    /// Name of the throughputs.
    file: &'a str,
    throughputs: Throughputs,
    kinds: Vec<(KindId, String)>,
    jobs: Vec<Job>,
    speeds: Vec<StepSpeeds>,
    /// Place in `speeds` by job type and scale factor.
    types: HashMap<(String, u32), u32>,
    report: ReadReport,
}

impl Reader<'_> {
    fn job(&mut self, raw: &RawJob) -> Result<(), TraceError> {
        let id = raw.job_id;
        if !(0.0..=MAX_SECONDS).contains(&raw.arrival_s) {
            let must = "a number of seconds from 0 to 9e9";
            return Err(bad(self.name, format!("`arrival_s` of job {id}"), raw.arrival_s, must));
        }
        if !(1..=MAX_DEVICES).contains(&raw.scale_factor) {
            let must = "a whole number from 1 to 1000000";
            return Err(bad(self.name, format!("`scale_factor` of job {id}"), raw.scale_factor, must));
        }
        self.report.rows += 1;
        let speeds = self.speeds_of(raw)?;
        if raw.total_steps == 0 {
            self.report.drop_row("no steps");
            return Ok(());
        }
        let task = Task::Steps { speeds, steps: raw.total_steps };
        self.jobs.push(Job::new(id, Time::from_secs_f64(raw.arrival_s), task, raw.scale_factor));
        Ok(())
    }

    /// The place of the job's speeds, which are looked up once for each type.
    fn speeds_of(&mut self, raw: &RawJob) -> Result<u32, TraceError> {
        let key = (raw.job_type.clone(), raw.scale_factor);
        if let Some(&at) = self.types.get(&key) {
            return Ok(at);
        }
        let mut by_kind = Vec::new();
        for (kind, name) in &self.kinds {
            let speed = self.speed(raw, name)?;
            if speed > 0.0 {
                by_kind.push((*kind, speed));
            }
        }
        if by_kind.is_empty() {
            let message = format!(
                "job {} ({}, scale factor {}) has throughput 0 on every device kind of the cluster; correct {} or remove the job",
                raw.job_id, raw.job_type, raw.scale_factor, self.file
            );
            return Err(TraceError::Json { name: self.name.to_owned(), message });
        }
        let at = self.speeds.len() as u32;
        self.speeds.push(StepSpeeds { name: raw.job_type.clone(), gang: raw.scale_factor, by_kind });
        self.types.insert(key, at);
        Ok(at)
    }

    fn speed(&self, raw: &RawJob, kind: &str) -> Result<f64, TraceError> {
        let malformed = |message| TraceError::Json { name: self.file.to_owned(), message };
        let table = self.throughputs.get(kind).ok_or_else(|| {
            let known = self.throughputs.keys().map(String::as_str);
            malformed(format!(
                "no device kind `{kind}`, which {} uses; {}",
                self.name,
                suggestion(kind, known)
            ))
        })?;
        let key = format!("('{}', {})", raw.job_type, raw.scale_factor);
        let alone = table.get(&key).and_then(|entry| entry.alone).ok_or_else(|| {
            let near = nearest(&key, table.keys()).map(|near| format!(", did you mean `{near}`?"));
            let near = near.unwrap_or_default();
            malformed(format!(
                "no throughput of `{key}` on `{kind}`, which job {} of {} needs{near}; add it or correct the job",
                raw.job_id, self.name
            ))
        })?;
        if alone >= 0.0 && alone.is_finite() {
            return Ok(alone);
        }
        Err(bad(self.file, format!("the throughput of `{key}` on `{kind}`"), alone, "a number from 0"))
    }

    fn finish(mut self) -> Result<(Workload, ReadReport), TraceError> {
        if self.jobs.is_empty() {
            return Err(TraceError::Empty { name: self.name.to_owned(), rows: self.report.rows });
        }
        self.report.kept = self.jobs.len();
        if !self.jobs.is_sorted_by_key(|job| job.arrival) {
            self.report.notes.push("jobs were not in order of arrival and have been sorted".into());
            self.jobs.sort_by_key(|job| job.arrival);
        }
        for (kind, name) in &self.kinds {
            let lacks = |job: &&Job| match job.task {
                Task::Steps { speeds, .. } => self.speeds[speeds as usize].on(*kind).is_none(),
                _ => false,
            };
            let count = self.jobs.iter().filter(lacks).count();
            if count > 0 {
                self.report
                    .notes
                    .push(format!("throughput 0 on {name}, where they do not run: {count} jobs"));
            }
        }
        self.report.notes.push(format!("{} job types with speeds from {}", self.speeds.len(), self.file));
        let truths = vec![Truth::AsEstimated; self.jobs.len()];
        Ok((Workload { jobs: self.jobs, truths, speeds: self.speeds, ..Workload::default() }, self.report))
    }
}

fn json<'a, T: Deserialize<'a>>(text: &'a str, name: &str) -> Result<T, TraceError> {
    serde_json::from_str(text).map_err(|error| {
        let advice = if error.is_eof() { "; the file is cut off, copy it again" } else { "" };
        TraceError::Json { name: name.to_owned(), message: format!("{error}{advice}") }
    })
}

fn bad(name: &str, what: String, value: impl ToString, must: &'static str) -> TraceError {
    TraceError::BadValue { name: name.to_owned(), what, value: value.to_string(), must }
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    known.max_by_key(|other| ((strsim::jaro_winkler(name, other) * 1e6) as u64, std::cmp::Reverse(*other)))
}

#[cfg(test)]
#[path = "gavel_tests.rs"]
mod tests;
