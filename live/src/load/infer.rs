//! Open-loop load on a server of the Open Inference Protocol v2: the arrivals of an episode of a scenario, sent when
//! they are due.
//!
//! A request leaves at its moment whether or not others have been answered, and its latency counts from that moment: a
//! server, or a generator, that falls behind cannot hide it (the omission that Gil Tene named coordinated).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use yardmaster_env::metrics::percentile;
use yardmaster_env::spec::{Scenario, SpecError, Split};

use crate::gateway::client::{CallError, Client};
use crate::gateway::front::{BACKEND_HEADER, BATCH_HEADER};
use crate::gateway::tensor::ModelMeta;

/// Different inputs for each model.
const INPUTS: usize = 32;
/// A request without an answer after so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be sent when.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names of the models.
    pub models: Vec<String>,
    /// In order of time.
    pub requests: Vec<Planned>,
}

/// A request to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// From the start.
    pub at: Duration,
    /// A position in [`Plan::models`].
    pub model: usize,
    /// From arrival to deadline.
    pub deadline: Option<Duration>,
}

impl Plan {
    /// The arrivals of a test episode of a scenario: those that `simulate --seed` plays.
    ///
    /// # Errors
    /// An episode that cannot be generated.
    pub fn of(scenario: &Scenario, seed: u64) -> Result<Plan, SpecError> {
        let world = scenario.world(Split::Test.seed(seed, 0))?;
        let mut models: Vec<String> = Vec::new();
        let mut requests = Vec::new();
        for job in &world.workload.jobs {
            let Some(id) = job.request_model() else { continue };
            let name = scenario.catalog().inference_name(id);
            let known = models.iter().position(|model| *model == name);
            let model = known.unwrap_or_else(|| {
                models.push(name);
                models.len() - 1
            });
            let deadline = job.deadline.map(|deadline| Duration::from_nanos(deadline.since(job.arrival).0));
            requests.push(Planned { at: Duration::from_nanos(job.arrival.0), model, deadline });
        }
        Ok(Plan { models, requests })
    }
}

/// What became of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its model.
    pub model: String,
    /// When it was due, in seconds from the start.
    pub due_s: f64,
    /// How much later it left.
    pub lag_s: f64,
    /// From when it was due to the answer or the error.
    pub latency_s: f64,
    /// Whether that was in time; without a deadline, whether it was answered.
    pub in_time: bool,
    /// `answered`, or what went wrong in a word.
    pub end: String,
    /// Who answered, if a gateway says so.
    pub backend: Option<String>,
    /// Requests in the batch, if a gateway says so; else 1.
    pub batch: u32,
}

/// What a run came to. Times are of answered requests, in milliseconds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// Sent.
    pub requests: usize,
    /// Answered.
    pub answered: usize,
    /// The others, by what went wrong.
    pub errors: BTreeMap<String, usize>,
    /// From the first request to the last answer, in seconds.
    pub duration_s: f64,
    /// Mean latency.
    pub mean_ms: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 99th percentile of the latency.
    pub p99_ms: f64,
    /// Share of all requests that were answered by their deadline.
    pub slo_attainment: f64,
    /// Requests per batch.
    pub mean_batch: f64,
    /// 99th percentile of how late the generator itself was; it is part of the latencies.
    pub lag_p99_ms: f64,
}

/// Sends everything; what became of each request, in order of the plan.
///
/// # Errors
/// A server that does not describe the models.
pub async fn run(client: &Client, plan: &Plan, seed: u64) -> Result<Vec<Outcome>, CallError> {
    let mut inputs = Vec::new();
    for (at, model) in plan.models.iter().enumerate() {
        inputs.push(Inputs::new(&client.model(model, PATIENCE).await?, seed.wrapping_add(at as u64)));
    }
    let (plan, client) = (plan.clone(), client.clone());
    let runtime = tokio::runtime::Handle::current();
    // A thread of its own: timers of the runtime are exact to a millisecond only.
    let send = move || {
        let begin = Instant::now() + Duration::from_millis(5);
        let send = |(number, planned): (usize, &Planned)| {
            let body = inputs[planned.model].body(number, planned.deadline);
            let due = begin + planned.at;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let (client, model, planned) = (client.clone(), plan.models[planned.model].clone(), *planned);
            runtime.spawn(async move { one(&client, model, planned, body, due).await })
        };
        plan.requests.iter().enumerate().map(send).collect::<Vec<_>>()
    };
    let calls = tokio::task::spawn_blocking(send).await.unwrap_or_default();
    let mut outcomes = Vec::with_capacity(calls.len());
    for call in calls {
        // A call neither panics nor is cancelled.
        outcomes.extend(call.await.ok());
    }
    Ok(outcomes)
}

async fn one(client: &Client, model: String, planned: Planned, body: Bytes, due: Instant) -> Outcome {
    let lag_s = Instant::now().saturating_duration_since(due).as_secs_f64();
    let answer = client.call(&model, body, PATIENCE).await;
    let latency = due.elapsed();
    let header = |name: &str| {
        let headers = &answer.as_ref().ok()?.0;
        Some(headers.get(name)?.to_str().ok()?.to_owned())
    };
    Outcome {
        model,
        due_s: planned.at.as_secs_f64(),
        lag_s,
        latency_s: latency.as_secs_f64(),
        in_time: answer.is_ok() && planned.deadline.is_none_or(|deadline| latency <= deadline),
        backend: header(BACKEND_HEADER),
        batch: header(BATCH_HEADER).and_then(|text| text.parse().ok()).unwrap_or(1),
        end: match &answer {
            Ok(_) => "answered".to_owned(),
            Err(CallError::Refused { status, .. }) => format!("http {status}"),
            Err(CallError::Slow { .. }) => "no answer".to_owned(),
            Err(CallError::Broken { .. }) => "broken".to_owned(),
        },
    }
}

impl Report {
    /// Of what became of each request.
    pub fn of(outcomes: &[Outcome]) -> Report {
        let answered = || outcomes.iter().filter(|one| one.end == "answered");
        let mut times: Vec<f64> = answered().map(|one| one.latency_s * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let mut lags: Vec<f64> = outcomes.iter().map(|one| one.lag_s * 1e3).collect();
        lags.sort_by(f64::total_cmp);
        let mut errors = BTreeMap::new();
        for one in outcomes.iter().filter(|one| one.end != "answered") {
            *errors.entry(one.end.clone()).or_insert(0) += 1;
        }
        let share = |sum: f64, count: usize| if count > 0 { sum / count as f64 } else { 0.0 };
        let batches: f64 = answered().map(|one| 1.0 / f64::from(one.batch.max(1))).sum();
        let in_time = outcomes.iter().filter(|one| one.in_time).count();
        Report {
            requests: outcomes.len(),
            answered: times.len(),
            errors,
            duration_s: outcomes.iter().map(|one| one.due_s + one.latency_s).fold(0.0, f64::max),
            mean_ms: share(times.iter().sum(), times.len()),
            p50_ms: percentile(&times, 0.50),
            p99_ms: percentile(&times, 0.99),
            slo_attainment: share(in_time as f64, outcomes.len()),
            mean_batch: if batches > 0.0 { times.len() as f64 / batches } else { 0.0 },
            lag_p99_ms: percentile(&lags, 0.99),
        }
    }
}

/// Bodies of requests to one model, but for their deadlines.
struct Inputs(Vec<String>);

impl Inputs {
    /// Numbers from 0 to 1 that the seed decides, whole ones where the type is.
    fn new(meta: &ModelMeta, seed: u64) -> Inputs {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let tensors = (0..INPUTS).map(|_| {
            let tensor = |input: &crate::gateway::tensor::TensorMeta| {
                let shape: Vec<i64> = std::iter::once(1).chain(input.shape.iter().skip(1).copied()).collect();
                let count = shape.iter().product::<i64>();
                let number = |random: &mut Xoshiro256PlusPlus| match input.datatype.as_str() {
                    "BOOL" => random.random::<bool>().to_string(),
                    float if float.starts_with("FP") => format!("{:.4}", random.random::<f32>()),
                    _ => u8::from(random.random::<bool>()).to_string(),
                };
                let numbers: Vec<String> = (0..count).map(|_| number(&mut random)).collect();
                format!(
                    r#"{{"name":{:?},"shape":{shape:?},"datatype":{:?},"data":[{}]}}"#,
                    input.name,
                    input.datatype,
                    numbers.join(",")
                )
            };
            meta.inputs.iter().map(tensor).collect::<Vec<_>>().join(",")
        });
        Inputs(tensors.collect())
    }

    fn body(&self, number: usize, deadline: Option<Duration>) -> Bytes {
        let inputs = &self.0[number % INPUTS];
        let parameters = deadline.map_or_else(String::new, |deadline| {
            format!(r#","parameters":{{"deadline_ms":{}}}"#, deadline.as_secs_f64() * 1e3)
        });
        format!(r#"{{"inputs":[{inputs}]{parameters}}}"#).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(end: &str, latency_s: f64, in_time: bool, batch: u32) -> Outcome {
        let (model, end) = ("m".to_owned(), end.to_owned());
        Outcome { model, due_s: 1.0, lag_s: 0.001, latency_s, in_time, end, backend: None, batch }
    }

    #[test]
    fn errors_count_against_attainment_and_not_in_latencies() {
        let outcomes = [
            outcome("answered", 0.010, true, 2),
            outcome("answered", 0.030, false, 2),
            outcome("http 503", 9.0, false, 1),
            outcome("answered", 0.020, true, 1),
        ];
        let report = Report::of(&outcomes);
        assert_eq!((report.requests, report.answered, report.errors["http 503"]), (4, 3, 1));
        assert!((report.mean_ms - 20.0).abs() < 1e-9 && (report.p99_ms - 30.0).abs() < 1e-9);
        assert_eq!((report.slo_attainment, report.mean_batch), (0.5, 1.5));
        assert_eq!(Report::of(&[]).mean_ms, 0.0);
    }

    #[test]
    fn a_plan_is_an_episode() {
        let scenario = yardmaster_env::spec::builtin("serving-burst").unwrap();
        let (one, other) = (Plan::of(&scenario, 1).unwrap(), Plan::of(&scenario, 2).unwrap());
        assert_eq!((one.requests.len(), one.models.len()), (3000, 6));
        assert_ne!(one.requests, other.requests);
        assert!(one.requests.is_sorted_by_key(|request| request.at));
        let bert = one.models.iter().position(|model| model == "bert-large").unwrap();
        let request = one.requests.iter().find(|request| request.model == bert).unwrap();
        assert_eq!(request.deadline, Some(Duration::from_millis(47)));
    }
}
