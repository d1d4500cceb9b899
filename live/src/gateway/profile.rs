//! Measures how long back ends take for batches, as the gateway would see it, and makes a scenario of that.

use std::time::{Duration, Instant};

use serde::Serialize;
use yardmaster_env::catalog::{DeviceClass, Measured, MeasuredDevice, MeasuredLatency};
use yardmaster_env::objective::Objective;
use yardmaster_env::spec::{NodeSpec, Scenario, Spec, SpecError};
use yardmaster_env::workload::{Process, Rate, RequestSource, Source, Stream};

use super::client::{CallError, Client};
use super::config::{RawBackend, RawConfig, RawModel};
use super::tensor::{self, ModelMeta, Row};

/// A batch without an answer after so long cannot be measured.
const PATIENCE: Duration = Duration::from_secs(60);
/// Batches that are run before any is measured.
const WARM: usize = 2;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names and servers of the back ends.
    pub backends: Vec<(String, Client)>,
    /// Models that all of them serve.
    pub models: Vec<String>,
    /// Batch sizes, ascending.
    pub batches: Vec<u32>,
    /// How often each is measured.
    pub repetitions: usize,
}

/// What was measured of one batch size.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// Where.
    pub backend: String,
    /// Of what.
    pub model: String,
    /// How many rows.
    pub batch: u32,
    /// All times, in microseconds, ascending.
    pub times_us: Vec<f64>,
}

impl Profile {
    /// Half the times are shorter.
    pub fn median_us(&self) -> f64 {
        let (low, high) = ((self.times_us.len() - 1) / 2, self.times_us.len() / 2);
        (self.times_us[low] + self.times_us[high]) / 2.0
    }
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A back end does not answer, or refuses a batch.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A model that cannot be batched.
    #[error("model {model:?}: {why}")]
    Model {
        /// Which.
        model: String,
        /// Why not.
        why: String,
    },
}

/// Measures everything, one batch at a time, in rounds: what disturbs the machine for a while disturbs all alike.
///
/// # Errors
/// See [`ProfileError`].
pub async fn measure(settings: &Settings) -> Result<Vec<Profile>, ProfileError> {
    let mut profiles = Vec::new();
    let mut metas = Vec::new();
    for model in &settings.models {
        let wrong = |why| ProfileError::Model { model: model.clone(), why };
        let meta = settings.backends[0].1.model(model, PATIENCE).await?;
        meta.check().map_err(wrong)?;
        metas.push(meta);
    }
    for (backend, _) in &settings.backends {
        for model in &settings.models {
            for &batch in &settings.batches {
                let (backend, model) = (backend.clone(), model.clone());
                profiles.push(Profile { backend, model, batch, times_us: Vec::new() });
            }
        }
    }
    for round in 0..WARM + settings.repetitions {
        for profile in &mut profiles {
            let client = settings.backends.iter().find(|(name, _)| *name == profile.backend);
            let meta = metas.iter().find(|meta| meta.name == profile.model);
            let (Some((_, client)), Some(meta)) = (client, meta) else { continue };
            let time_us = once(client, meta, profile.batch).await?;
            if round >= WARM {
                profile.times_us.push(time_us);
            }
        }
    }
    profiles.iter_mut().for_each(|profile| profile.times_us.sort_by(f64::total_cmp));
    Ok(profiles)
}

/// From joining the requests to splitting the answer.
async fn once(client: &Client, meta: &ModelMeta, batch: u32) -> Result<f64, ProfileError> {
    let wrong = |why| ProfileError::Model { model: meta.name.clone(), why };
    let row = Row::example(meta).map_err(wrong)?;
    let begin = Instant::now();
    let body = tensor::join(meta, vec![&row; batch as usize].into_iter());
    let answer = client.infer(&meta.name, body, PATIENCE).await?;
    tensor::split(&answer, meta, batch as usize).map_err(wrong)?;
    Ok(begin.elapsed().as_secs_f64() * 1e6)
}

/// What the scenario is to be called, and what it is to be loaded with.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// How the figures came about.
    pub how: String,
    /// Requests of an episode.
    pub requests: u32,
    /// Share of what the back ends can just sustain.
    pub load: f64,
    /// How arrivals are spread.
    pub process: Process,
    /// A deadline is so many times what the slowest back end takes for one request.
    pub slack: f64,
}

/// The scenario of what was measured: each back end a node of its own kind, all models asked alike.
///
/// # Errors
/// Settings that no scenario takes.
pub fn scenario(profiles: &[Profile], wanted: Wanted) -> Result<Scenario, SpecError> {
    let mut backends: Vec<&str> = profiles.iter().map(|profile| profile.backend.as_str()).collect();
    backends.dedup();
    let mut models: Vec<&str> = profiles.iter().map(|profile| profile.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    let device = |name: &&str| MeasuredDevice {
        name: (*name).to_owned(),
        class: DeviceClass::Cpu,
        idle_w: 0.0,
        busy_w: 0.0,
        price_per_hour: 0.0,
    };
    let latency = |profile: &Profile| MeasuredLatency {
        model: profile.model.clone(),
        device: profile.backend.clone(),
        batch: profile.batch,
        latency_us: round(profile.median_us(), 10.0),
    };
    let node = |name: &&str| NodeSpec {
        name: (*name).to_owned(),
        kind: (*name).to_owned(),
        count: 1,
        devices: 1,
        per_rack: None,
        memory_gb: None,
        cache_gb: None,
        nic_gb_per_s: None,
    };
    let stream = |model: &&str| {
        let own = profiles.iter().filter(|profile| profile.model == *model);
        let least = own.clone().map(|profile| profile.batch).min().unwrap_or(1);
        let slowest =
            own.filter(|profile| profile.batch == least).map(Profile::median_us).fold(0.0, f64::max);
        let deadline_ms = Some(round(slowest / 1e3 * wanted.slack, 10.0));
        let model = (*model).to_owned();
        Stream { model, share: Some(1.0), rate_per_s: None, deadline_ms, weight: 1.0 }
    };
    let requests = RequestSource {
        streams: models.iter().map(stream).collect(),
        rate: Some(Rate::Load(wanted.load)),
        process: wanted.process,
        count: Some(wanted.requests),
        horizon_s: None,
    };
    let measured = Measured {
        how: wanted.how,
        devices: backends.iter().map(device).collect(),
        latencies: profiles.iter().map(latency).collect(),
    };
    let nodes = backends.iter().map(node).collect();
    Scenario::new(spec(wanted.name, nodes, Source::Requests(requests), measured), "profile")
}

fn spec(name: String, nodes: Vec<NodeSpec>, workload: Source, measured: Measured) -> Spec {
    Spec {
        name,
        about: "back ends as they were measured".to_owned(),
        discipline: Default::default(),
        hold_ms: Some(2.0),
        late: Default::default(),
        batches: Default::default(),
        preemption: None,
        spread: Default::default(),
        autoscale: Vec::new(),
        memory: None,
        loads: None,
        network: None,
        datasets: None,
        elastic: None,
        classes: Vec::new(),
        rounds: None,
        accuracy: Default::default(),
        predictor: Default::default(),
        objective: Objective::SERVING,
        prices: Default::default(),
        prior: "tardiness".to_owned(),
        nodes,
        workload,
        faults: None,
        measured: Some(measured),
    }
}

fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// A configuration of a gateway in front of the measured back ends; `scenario` is the file's name.
pub fn config(settings: &Settings, scenario: &Scenario, file: &str) -> RawConfig {
    let deadline = |model: &str| match &scenario.spec().workload {
        Source::Requests(requests) => {
            requests.streams.iter().find(|stream| stream.model == model).and_then(|stream| stream.deadline_ms)
        }
        _ => None,
    };
    let backend =
        |(node, client): &(String, Client)| RawBackend { node: node.clone(), url: client.url().to_owned() };
    let model = |name: &String| RawModel { name: name.clone(), deadline_ms: deadline(name) };
    let backends = settings.backends.iter().map(backend).collect();
    RawConfig::new(file.to_owned(), backends, settings.models.iter().map(model).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(backend: &str, batch: u32, times_us: &[f64]) -> Profile {
        Profile { backend: backend.into(), model: "net".into(), batch, times_us: times_us.to_vec() }
    }

    #[test]
    fn medians_become_a_scenario_that_is_read_again() {
        let profiles = [
            profile("fast", 1, &[900.0, 1000.0, 5000.0]),
            profile("fast", 4, &[2000.0, 2200.0]),
            profile("slow", 1, &[4000.0]),
            profile("slow", 4, &[9000.0]),
        ];
        let wanted = Wanted {
            name: "two".into(),
            how: "by hand".into(),
            requests: 50,
            load: 0.6,
            process: Process::Poisson,
            slack: 3.0,
        };
        let scenario = scenario(&profiles, wanted).unwrap();
        let text = toml::to_string(scenario.spec()).unwrap();
        let again = Scenario::parse(&text, "again").unwrap();
        assert_eq!(again.digest(), scenario.digest());
        assert_eq!(again.spec().prior, "tardiness", "what learning begins with is a rule for requests");
        let world = again.world(1).unwrap();
        assert_eq!(world.timing.batch(0, 0, 1).unwrap().0, 1_000_000);
        assert_eq!(world.timing.batch(0, 0, 4).unwrap().0, 2_100_000);
        assert_eq!(world.timing.max_batch(0, 1), 4);
        let job = &world.workload.jobs[0];
        assert_eq!(job.deadline.unwrap().since(job.arrival).0, 12_000_000);
        let client = Client::new("http://127.0.0.1:9").unwrap();
        let (backends, models) = (vec![("fast".to_owned(), client)], vec!["net".to_owned()]);
        let settings = Settings { backends, models, batches: vec![1, 4], repetitions: 1 };
        let raw = config(&settings, &again, "two.toml");
        let text = toml::to_string(&raw).unwrap();
        let checked = RawConfig::parse(&text, "g").unwrap().check(again, "g").unwrap();
        assert_eq!(checked.models[0].deadline, Some(Duration::from_millis(12)));
        assert!(checked.backends[0].is_some() && checked.backends[1].is_none());
    }
}
