//! What is counted of a scheduler's requests, for Prometheus; beside the counts of the service, in the same place.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::answer::{ROUTES, Tally};

/// Upper bounds of the latency histogram, in seconds.
const BUCKETS: [f64; 13] =
    [100e-6, 200e-6, 400e-6, 800e-6, 1.6e-3, 3.2e-3, 6.4e-3, 12.8e-3, 25e-3, 50e-3, 0.1, 1.0, 5.0];

/// Counts by verb: `filter`, `prioritize`, `bind`, `nodes` and `pods`.
#[derive(Clone, Debug)]
pub struct ExtenderMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    candidates: IntCounterVec,
    fallbacks: IntCounterVec,
}

impl ExtenderMetrics {
    /// All zero; nothing is shown before [`ExtenderMetrics::begin`].
    ///
    /// # Errors
    /// The registry has metrics of these names already.
    pub fn new(registry: &Registry) -> Result<ExtenderMetrics, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(format!("yardmaster_extender_{name}"), help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let requests =
            "Requests of a scheduler by verb and result: ok, or error, of which the scheduler is told";
        let seconds = "From a whole request to its answer, by verb";
        let seconds = HistogramOpts::new("yardmaster_extender_seconds", seconds).buckets(BUCKETS.to_vec());
        let seconds = HistogramVec::new(seconds, &["verb"])?;
        registry.register(Box::new(seconds.clone()))?;
        let candidates = "Nodes of requests: kept or filtered by filter, scored or unknown (with the score 0) by prioritize";
        let fallbacks = "Requests that the fallback rule scored, by reason";
        Ok(ExtenderMetrics {
            requests: counters("requests_total", requests, &["verb", "result"])?,
            seconds,
            candidates: counters("candidates_total", candidates, &["result"])?,
            fallbacks: counters("fallbacks_total", fallbacks, &["reason"])?,
        })
    }

    /// Shows all counts from now on, so that a rate can be taken of what has not happened yet.
    pub fn begin(&self) {
        for (_, path) in ROUTES {
            let verb = path.trim_start_matches('/');
            for result in ["ok", "error"] {
                self.requests.with_label_values(&[verb, result]);
            }
            self.seconds.with_label_values(&[verb]);
        }
        for result in ["kept", "filtered", "scored", "unknown"] {
            self.candidates.with_label_values(&[result]);
        }
        for reason in ["no-policy", "disabled", "panic"] {
            self.fallbacks.with_label_values(&[reason]);
        }
    }

    /// Books a request and what came of it.
    pub fn count(&self, verb: &str, tally: &Tally) {
        let result = if tally.is_error { "error" } else { "ok" };
        self.requests.with_label_values(&[verb, result]).inc();
        let (chosen, left) = match verb {
            "filter" => (("kept", tally.nodes - tally.kept_back), ("filtered", tally.kept_back)),
            "prioritize" => (("scored", tally.nodes - tally.unknown), ("unknown", tally.unknown)),
            _ => return,
        };
        for (result, nodes) in [chosen, left] {
            self.candidates.with_label_values(&[result]).inc_by(nodes as u64);
        }
        if let Some(reason) = tally.fallback_reason {
            self.fallbacks.with_label_values(&[reason]).inc();
        }
    }

    /// Books the time that an answer took.
    pub fn took(&self, verb: &str, elapsed: Duration) {
        self.seconds.with_label_values(&[verb]).observe(elapsed.as_secs_f64());
    }
}
