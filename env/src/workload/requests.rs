//! Inference requests.

use serde::{Deserialize, Serialize};

use super::arrivals::{Arrivals, Process, Rate};
use super::capacity::{Demand, capacity};
use super::error::{WorkloadError, not_negative, positive};
use super::random::{Random, derive_seed};
use super::{kind_names, rate_per_second};
use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::job::{Job, Task, Truth, Workload};
use crate::suggest::suggestion;
use crate::units::{InferenceId, KindId, Span, Time};

/// More requests than this are refused: the settings are then hardly meant.
const MAX_REQUESTS: f64 = 2e7;

/// Requests to several models, arriving in one process and told apart by chance. For models whose bursts are
/// independent give each a source of its own and mix them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSource {
    /// The models.
    pub streams: Vec<Stream>,
    /// Mean rate of all requests; absent where each stream has its own.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// How arrivals are spread.
    #[serde(default)]
    pub process: Process,
    /// Stop after this many requests.
    #[serde(default)]
    pub count: Option<u32>,
    /// Stop at this moment, in seconds; give this or `count`, or both, and the first to come counts.
    #[serde(default)]
    pub horizon_s: Option<f64>,
}

/// Requests to one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Name of the inference model.
    pub model: String,
    /// Share of the requests; shares need not add up to 1. All streams have one, or all have a rate.
    #[serde(default)]
    pub share: Option<f64>,
    /// Requests per second.
    #[serde(default)]
    pub rate_per_s: Option<f64>,
    /// Time from arrival to deadline, in milliseconds; none if absent.
    #[serde(default)]
    pub deadline_ms: Option<f64>,
    /// Weight of each request.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// A stream whose settings are sound.
struct Checked {
    model: InferenceId,
    share: f64,
    deadline: Option<Span>,
    weight: f64,
}

impl RequestSource {
    pub(super) fn generate(
        &self,
        catalog: &Catalog,
        cluster: &Cluster,
        seed: u64,
    ) -> Result<Workload, WorkloadError> {
        let streams = self.checked(catalog)?;
        let rate = self.total_rate(catalog, cluster, &streams)?;
        let (count, horizon_s) = self.end(rate)?;
        let mut random = Random::new(derive_seed(seed, 1));
        let arrivals =
            Arrivals::new(&self.process, rate, derive_seed(seed, 0)).take_while(|next| next.at < horizon_s);
        let own: Vec<f64> = streams.iter().map(|stream| stream.share).collect();
        let mut workload = Workload::default();
        for (label, next) in (0..count).zip(arrivals) {
            let shares = self.process.shares(next.segment, &own);
            let stream = &streams[random.pick(shares.iter().copied())];
            let arrival = Time::from_secs_f64(next.at);
            let deadline = stream.deadline.map(|span| arrival + span);
            let job = Job::new(label, arrival, Task::Request { model: stream.model }, 1);
            workload.push(Job { deadline, weight: stream.weight, ..job }, Truth::AsEstimated);
        }
        Ok(workload)
    }

    /// The mix of requests, for [`capacity`]. On each kind a request counts with its part of the batch that
    /// is the most efficient among the powers of two whose latency is at most half the deadline, the other
    /// half being for waiting; with batch 1 where only that meets the deadline.
    ///
    /// # Errors
    /// Settings out of range, or a model that no kind of the cluster answers in time.
    pub fn demands(&self, catalog: &Catalog, cluster: &Cluster) -> Result<Vec<Demand>, WorkloadError> {
        let streams = self.checked(catalog)?;
        let shares = self.process.mean_shares(streams.iter().map(|stream| stream.share).collect());
        let with_share = |(stream, share)| demand(stream, share, catalog, cluster);
        streams.iter().zip(shares).map(with_share).collect()
    }

    fn checked(&self, catalog: &Catalog) -> Result<Vec<Checked>, WorkloadError> {
        self.process.check(self.streams.len())?;
        let rates = self.streams.iter().filter(|stream| stream.rate_per_s.is_some()).count();
        let shares = self.streams.iter().filter(|stream| stream.share.is_some()).count();
        let by_rate = rates == self.streams.len() && shares == 0 && self.rate.is_none();
        let by_share = shares == self.streams.len() && rates == 0 && self.rate.is_some();
        if self.streams.is_empty() || !(by_rate || by_share) {
            return Err(WorkloadError::Settings(
                "requests need streams that all have a `rate_per_s`, or all a `share` beside a common `rate`",
            ));
        }
        let streams: Vec<Checked> =
            self.streams.iter().map(|stream| stream.checked(catalog)).collect::<Result<_, _>>()?;
        positive("streams: sum of shares or rates", streams.iter().map(|stream| stream.share).sum())?;
        Ok(streams)
    }

    fn total_rate(
        &self,
        catalog: &Catalog,
        cluster: &Cluster,
        streams: &[Checked],
    ) -> Result<f64, WorkloadError> {
        match self.rate {
            None => Ok(streams.iter().map(|stream| stream.share).sum()),
            Some(rate) => {
                rate_per_second(rate, &self.process, || capacity(cluster, &self.demands(catalog, cluster)?))
            }
        }
    }

    /// The number of requests and the moment at which to stop.
    fn end(&self, rate: f64) -> Result<(u64, f64), WorkloadError> {
        let horizon_s = self.horizon_s.map(|horizon| positive("horizon_s", horizon)).transpose()?;
        let rate = rate * self.process.mean_factor();
        let expected =
            self.count.map_or(f64::INFINITY, f64::from).min(horizon_s.map_or(f64::INFINITY, |s| s * rate));
        if expected.is_infinite() {
            return Err(WorkloadError::Settings("requests need an end: give `count` or `horizon_s`"));
        }
        if expected > MAX_REQUESTS {
            let (key, value) = ("expected number of requests", expected.to_string());
            return Err(WorkloadError::BadValue {
                key,
                value,
                must: "at most 20 million; shorten the horizon",
            });
        }
        Ok((self.count.map_or(u64::MAX, u64::from), horizon_s.unwrap_or(f64::INFINITY)))
    }
}

impl Stream {
    fn checked(&self, catalog: &Catalog) -> Result<Checked, WorkloadError> {
        let model = named(catalog, &self.model)?;
        let share = match (self.share, self.rate_per_s) {
            (Some(share), _) => not_negative("share", share)?,
            (None, rate) => not_negative("rate_per_s", rate.unwrap_or(0.0))?,
        };
        let deadline_ms = self.deadline_ms.map(|ms| positive("deadline_ms", ms)).transpose()?;
        let deadline = deadline_ms.map(|ms| Span::from_secs_f64(ms * 1e-3));
        Ok(Checked { model, share, deadline, weight: not_negative("weight", self.weight)? })
    }
}

/// The inference model of this name.
pub(super) fn named(catalog: &Catalog, name: &str) -> Result<InferenceId, WorkloadError> {
    let names = || catalog.inference_models().iter().map(|model| model.name.as_str());
    let unknown =
        || WorkloadError::UnknownModel { model: name.to_owned(), suggestion: suggestion(name, names()) };
    catalog.inference(name).ok_or_else(unknown)
}

fn demand(
    stream: &Checked,
    share: f64,
    catalog: &Catalog,
    cluster: &Cluster,
) -> Result<Demand, WorkloadError> {
    let on_kind = |kind: &KindId| Some((*kind, seconds_per_request(stream, catalog, *kind)?));
    let device_seconds: Vec<(KindId, f64)> = cluster.kinds().iter().filter_map(on_kind).collect();
    if device_seconds.is_empty() {
        let what = format!("`{}` runs within its deadline", catalog.inference_model(stream.model).name);
        return Err(WorkloadError::NotRunnable { what, kinds: kind_names(catalog, cluster) });
    }
    Ok(Demand { share, device_seconds })
}

fn seconds_per_request(stream: &Checked, catalog: &Catalog, kind: KindId) -> Option<f64> {
    let deadline = stream.deadline.unwrap_or(Span::MAX);
    let max = catalog.max_batch(stream.model, kind);
    let powers = (0..32).map(|power| 1_u32 << power).take_while(|batch| *batch < max).chain([max]);
    let in_time = |batch: u32| {
        let latency = catalog.latency(stream.model, kind, batch)?;
        let limit = if batch == 1 { deadline } else { Span(deadline.0 / 2) };
        (latency <= limit).then(|| latency.as_secs_f64() / f64::from(batch))
    };
    powers.filter_map(in_time).min_by(f64::total_cmp)
}
