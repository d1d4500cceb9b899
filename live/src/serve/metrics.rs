//! What the service counts, for Prometheus.

use std::time::Duration;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::extender::metrics::ExtenderMetrics;

/// Upper bounds of the latency histogram, in seconds.
const BUCKETS: [f64; 14] =
    [25e-6, 50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 1.6e-3, 3.2e-3, 6.4e-3, 12.8e-3, 25e-3, 50e-3, 0.1, 1.0];

/// All counts. Each is described where it is made.
#[derive(Clone)]
#[allow(missing_docs, reason = "each is described by its help text")]
pub struct Metrics {
    registry: Registry,
    pub decisions: IntCounterVec,
    pub fallbacks: IntCounterVec,
    pub refused: IntCounterVec,
    pub latency: Histogram,
    pub unfamiliar: IntCounter,
    pub reloads: IntCounterVec,
    pub audit_lost: IntCounter,
    pub shadow_compared: IntCounterVec,
    pub shadow_differs: IntCounterVec,
    pub shadow_skipped: IntCounter,
    pub shadow_regret: GaugeVec,
    pub circuit_open: IntGauge,
    pub ready: IntGauge,
    pub policy: GaugeVec,
    pub started: Gauge,
    pub extender: ExtenderMetrics,
}

impl Metrics {
    /// All zero.
    ///
    /// # Errors
    /// Never: names are constants, each registered once.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let name = |name: &str| format!("yardmaster_{name}");
        let counter = |short: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let made = IntCounter::new(name(short), help)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let counters = |short: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let made = IntCounterVec::new(Opts::new(name(short), help), &[label])?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let gauge = |short: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let made = IntGauge::new(name(short), help)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let gauges = |short: &str, help: &str, labels: &[&str]| -> Result<GaugeVec, prometheus::Error> {
            let made = GaugeVec::new(Opts::new(name(short), help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let latency = "From a whole request to its answer, for decisions";
        let latency = Histogram::with_opts(
            HistogramOpts::new(name("decision_seconds"), latency).buckets(BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(latency.clone()))?;
        let started =
            Gauge::new(name("start_time_seconds"), "When the service started, in seconds since 1970")?;
        registry.register(Box::new(started.clone()))?;
        Ok(Metrics {
            decisions: counters("decisions_total", "Decisions by what was decided", "act")?,
            fallbacks: counters(
                "fallbacks_total",
                "Requests that the fallback rule answered, by reason",
                "reason",
            )?,
            refused: counters("refused_total", "Requests that were refused, by reason", "reason")?,
            unfamiliar: counter(
                "unfamiliar_total",
                "Requests with a feature outside of what was seen in training",
            )?,
            reloads: counters("reloads_total", "Reloads of the policy by result", "result")?,
            audit_lost: counter(
                "audit_lost_total",
                "Decisions left out of the audit log as the disk was too slow",
            )?,
            shadow_compared: counters(
                "shadow_compared_total",
                "Decisions a shadow policy was asked too",
                "shadow",
            )?,
            shadow_differs: counters(
                "shadow_differs_total",
                "Decisions a shadow policy would have made otherwise",
                "shadow",
            )?,
            shadow_skipped: counter(
                "shadow_skipped_total",
                "Decisions no shadow was asked, as shadows were behind",
            )?,
            shadow_regret: gauges(
                "shadow_regret",
                "Simulated cost of the live decision over the shadow's where they differ: sum, sum of squares, count",
                &["shadow", "statistic"],
            )?,
            circuit_open: gauge(
                "circuit_open",
                "1 while the circuit breaker keeps the policy from being asked",
            )?,
            ready: gauge("ready", "1 once the policy was verified")?,
            policy: gauges("policy_info", "1 for the policies that are loaded", &["role", "name", "digest"])?,
            extender: ExtenderMetrics::new(&registry)?,
            latency,
            started,
            registry,
        })
    }

    /// The Prometheus text format.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        if let Err(why) = encoded {
            tracing::error!(%why, "metrics cannot be written");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Books the time that an answer took.
    pub fn took(&self, elapsed: Duration) {
        self.latency.observe(elapsed.as_secs_f64());
    }
}
