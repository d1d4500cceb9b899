//! Load for a decision service: at a rate whatever it answers (open loop), or as fast as so many callers are answered
//! (closed loop).
//!
//! In an open loop the time of a request counts from the moment at which it should have been sent, so that a service that
//! stands still cannot hide it by keeping its callers from asking.

pub mod client;
pub mod histogram;
pub mod states;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use client::{Client, ClientError};
use histogram::Histogram;

/// What is sent, how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `host:port`.
    pub address: String,
    /// Path of the requests.
    pub path: String,
    /// Bearer token, if one is needed.
    pub token: Option<String>,
    /// Bodies, sent in turn.
    pub bodies: Vec<String>,
    /// Requests in all.
    pub requests: u64,
    /// Connections, each with one request at a time.
    pub connections: u32,
    /// Requests a second in an open loop; a closed loop if absent.
    pub per_second: Option<f64>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Answers with status 200.
    pub answered: u64,
    /// Answers with another status, and connections that broke.
    pub failed: u64,
    /// Answers by the fallback rule.
    pub by_fallback: u64,
    /// From the first request to the last answer, in seconds.
    pub seconds: f64,
    /// Answers a second.
    pub per_second: f64,
    /// Time to the answer in microseconds: mean, quantiles, largest.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    pub p999_us: u64,
    /// Largest.
    pub max_us: u64,
}

#[derive(Default)]
struct Tally {
    answered: u64,
    failed: u64,
    by_fallback: u64,
    times: Histogram,
}

/// Sends all requests and waits for their answers.
///
/// # Errors
/// The service cannot be reached at all.
pub fn run(plan: &Plan) -> Result<Outcome, ClientError> {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Tally::default());
    drop(Client::connect(&plan.address, plan.token.as_deref())?);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..plan.connections.max(1) {
            scope.spawn(|| {
                let own = call(plan, &next, start);
                let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                total.answered += own.answered;
                total.failed += own.failed;
                total.by_fallback += own.by_fallback;
                total.times.add(&own.times);
            });
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let Tally { answered, failed, by_fallback, times } =
        total.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Outcome {
        answered,
        failed,
        by_fallback,
        seconds,
        per_second: answered as f64 / seconds,
        mean_us: times.mean() / 1e3,
        p50_us: times.quantile(0.5) / 1000,
        p90_us: times.quantile(0.9) / 1000,
        p99_us: times.quantile(0.99) / 1000,
        p999_us: times.quantile(0.999) / 1000,
        max_us: times.quantile(1.0) / 1000,
    })
}

/// One caller.
fn call(plan: &Plan, next: &AtomicU64, start: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut client = None;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.requests {
            return tally;
        }
        let due = plan.per_second.map(|rate| start + Duration::from_secs_f64(number as f64 / rate));
        if let Some(wait) = due.and_then(|due| due.checked_duration_since(Instant::now())) {
            std::thread::sleep(wait);
        }
        let since = due.unwrap_or_else(Instant::now);
        let body = &plan.bodies[number as usize % plan.bodies.len()];
        let connected = match client.take() {
            Some(client) => Ok(client),
            None => Client::connect(&plan.address, plan.token.as_deref()),
        };
        let answer = connected.and_then(|mut open| Ok((open.post(&plan.path, body.as_bytes())?, open)));
        match answer {
            Ok((answer, open)) if answer.status == 200 => {
                tally.answered += 1;
                let fallback = b"\"by\":\"fallback\"";
                tally.by_fallback +=
                    u64::from(answer.body.windows(fallback.len()).any(|text| text == fallback));
                tally.times.record(since.elapsed().as_nanos() as u64);
                client = Some(open);
            }
            _ => tally.failed += 1,
        }
    }
}
