//! What the gateway counts, as Prometheus reads it.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of times, in microseconds.
const BOUNDS_US: [u64; 14] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000];

/// How requests end, as they are counted.
pub const ENDS: [&str; 8] =
    ["answered", "invalid", "full", "unavailable", "late", "gave_up", "failed", "cancelled"];

/// A counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Another value, for what goes up and down.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often times fell into which bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By bound, then beyond them all.
    counts: [Counter; BOUNDS_US.len() + 1],
    sum_ns: Counter,
}

impl Histogram {
    /// Takes in a time.
    pub fn observe(&self, time: Duration) {
        let us = time.as_nanos().div_ceil(1000);
        let at = BOUNDS_US.iter().position(|&bound| us <= u128::from(bound)).unwrap_or(BOUNDS_US.len());
        self.counts[at].add(1);
        self.sum_ns.add(time.as_nanos() as u64);
    }

    fn write(&self, text: &mut String, name: &str, labels: &str) {
        let mut below = 0;
        let separator = if labels.is_empty() { "" } else { "," };
        for (at, count) in self.counts.iter().enumerate() {
            below += count.get();
            let bound = BOUNDS_US.get(at).map_or("+Inf".to_owned(), |&us| (us as f64 / 1e6).to_string());
            let _ = writeln!(text, "{name}_bucket{{{labels}{separator}le=\"{bound}\"}} {below}");
        }
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(text, "{name}_sum{braces} {}", self.sum_ns.get() as f64 / 1e9);
        let _ = writeln!(text, "{name}_count{braces} {below}");
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Stats {
    models: Vec<ModelStats>,
    backends: Vec<BackendStats>,
    /// From one question to the policy to its decision.
    pub deciding: Histogram,
    /// Decisions that the fall-back rule made in place of the policy.
    pub fallbacks: Counter,
    policy: String,
}

/// Of one model.
#[derive(Debug, Default)]
pub struct ModelStats {
    name: String,
    ends: [Counter; ENDS.len()],
    /// Requests that wait now.
    pub waiting: Counter,
    /// From arrival to answer, of those that were answered.
    pub latency: Histogram,
    /// Those answered after their deadline.
    pub missed: Counter,
}

/// Of one back end.
#[derive(Debug, Default)]
pub struct BackendStats {
    name: String,
    /// 1 while it is up.
    pub up: Counter,
    /// Batches that it was sent.
    pub batches: Counter,
    /// Requests in them.
    pub requests: Counter,
    /// Batches that came to nothing.
    pub failures: Counter,
}

impl Stats {
    /// Nothing counted yet; the names are labels.
    pub fn new<'a>(
        policy: &str,
        models: impl Iterator<Item = &'a str>,
        backends: impl Iterator<Item = &'a str>,
    ) -> Stats {
        Stats {
            models: models.map(|name| ModelStats { name: name.to_owned(), ..Default::default() }).collect(),
            backends: backends
                .map(|name| BackendStats { name: name.to_owned(), ..Default::default() })
                .collect(),
            deciding: Histogram::default(),
            fallbacks: Counter::default(),
            policy: policy.to_owned(),
        }
    }

    /// Of one model.
    pub fn model(&self, at: usize) -> &ModelStats {
        &self.models[at]
    }

    /// Of one back end.
    pub fn backend(&self, at: usize) -> &BackendStats {
        &self.backends[at]
    }

    /// As text in the exposition format of Prometheus.
    pub fn text(&self) -> String {
        let mut text = String::new();
        head(&mut text, "info", "gauge", "The policy that decides.");
        let _ = writeln!(text, "yardmaster_gateway_info{{policy={:?}}} 1", self.policy);
        head(&mut text, "requests_total", "counter", "Requests by model and how they ended.");
        for model in &self.models {
            for (end, count) in ENDS.iter().zip(&model.ends) {
                let (name, count) = (&model.name, count.get());
                let _ = writeln!(
                    text,
                    "yardmaster_gateway_requests_total{{model={name:?},end=\"{end}\"}} {count}"
                );
            }
        }
        let models: [Column<'_, ModelStats>; 2] = [
            ("waiting", "gauge", "Requests that wait.", |model| &model.waiting),
            ("missed_deadlines_total", "counter", "Answers after the deadline.", |model| &model.missed),
        ];
        for (name, kind, about, value) in models {
            head(&mut text, name, kind, about);
            for model in &self.models {
                let value = value(model).get();
                let _ = writeln!(text, "yardmaster_gateway_{name}{{model={:?}}} {value}", model.name);
            }
        }
        let backends: [Column<'_, BackendStats>; 4] = [
            ("backend_up", "gauge", "Whether a back end takes batches.", |backend| &backend.up),
            ("batches_total", "counter", "Batches sent.", |backend| &backend.batches),
            ("batched_requests_total", "counter", "Requests in them.", |backend| &backend.requests),
            ("failed_batches_total", "counter", "Batches that came to nothing.", |backend| &backend.failures),
        ];
        for (name, kind, about, value) in backends {
            head(&mut text, name, kind, about);
            for backend in &self.backends {
                let value = value(backend).get();
                let _ = writeln!(text, "yardmaster_gateway_{name}{{backend={:?}}} {value}", backend.name);
            }
        }
        head(&mut text, "fallbacks_total", "counter", "Decisions of the rule behind the policy.");
        let _ = writeln!(text, "yardmaster_gateway_fallbacks_total {}", self.fallbacks.get());
        head(&mut text, "decision_seconds", "histogram", "Time of one decision.");
        self.deciding.write(&mut text, "yardmaster_gateway_decision_seconds", "");
        head(&mut text, "latency_seconds", "histogram", "From arrival to answer.");
        for model in &self.models {
            let labels = format!("model={:?}", model.name);
            model.latency.write(&mut text, "yardmaster_gateway_latency_seconds", &labels);
        }
        text
    }
}

/// Name, type, description and value of a metric.
type Column<'a, T> = (&'a str, &'a str, &'a str, fn(&T) -> &Counter);

impl ModelStats {
    /// Counts how a request ended; one of [`ENDS`].
    pub fn end(&self, end: &str) {
        if let Some(at) = ENDS.iter().position(|known| *known == end) {
            self.ends[at].add(1);
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, about: &str) {
    let _ = writeln!(text, "# HELP yardmaster_gateway_{name} {about}");
    let _ = writeln!(text, "# TYPE yardmaster_gateway_{name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_everything_has_a_line() {
        let stats = Stats::new("mct", ["m"].into_iter(), ["b"].into_iter());
        stats.model(0).end("answered");
        stats.model(0).latency.observe(Duration::from_micros(60));
        stats.model(0).latency.observe(Duration::from_secs(60));
        let text = stats.text();
        for line in [
            "yardmaster_gateway_requests_total{model=\"m\",end=\"answered\"} 1",
            "yardmaster_gateway_latency_seconds_bucket{model=\"m\",le=\"0.00005\"} 0",
            "yardmaster_gateway_latency_seconds_bucket{model=\"m\",le=\"0.0001\"} 1",
            "yardmaster_gateway_latency_seconds_bucket{model=\"m\",le=\"10\"} 1",
            "yardmaster_gateway_latency_seconds_bucket{model=\"m\",le=\"+Inf\"} 2",
            "yardmaster_gateway_latency_seconds_count{model=\"m\"} 2",
            "yardmaster_gateway_decision_seconds_count 0",
            "yardmaster_gateway_backend_up{backend=\"b\"} 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
    }
}
