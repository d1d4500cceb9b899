//! What a comparison says of each policy: means, intervals, paired ratios, and which differences are more than chance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use yardmaster_env::metrics::{Metrics, percentile};

use crate::stats::{self, Bootstrap, Estimate};

/// Differences whose adjusted p value is below this are called significant.
pub const LEVEL: f64 = 0.05;

/// What a policy made of one episode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Played {
    /// The objective of the scenario.
    pub objective: f64,
    /// What else was measured.
    pub metrics: Summary,
}

impl From<&Metrics> for Played {
    fn from(metrics: &Metrics) -> Played {
        Played { objective: metrics.objective, metrics: Summary::of(metrics) }
    }
}

/// How a policy did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub policy: String,
    /// Its name with the parameters that it was given, where those were tuned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<String>,
    /// Mean of the objective over episodes.
    pub mean: f64,
    /// Median over episodes.
    pub p50: f64,
    /// 90th percentile over episodes.
    #[serde(default)]
    pub p90: f64,
    /// 99th percentile over episodes.
    pub p99: f64,
    /// The worst episode.
    #[serde(default)]
    pub worst: f64,
    /// 95 % t interval of the mean.
    pub ci95: [f64; 2],
    /// 95 % bootstrap interval of the mean.
    #[serde(default)]
    pub ci95_bootstrap: [f64; 2],
    /// Starvation: the longest wait of any job in any episode, in seconds.
    #[serde(default)]
    pub longest_wait_s: f64,
    /// The objective of each episode, in order of seeds.
    pub per_episode: Vec<f64>,
    /// Against each other policy.
    pub ratio_to: BTreeMap<String, Ratio>,
    /// Means over episodes of what else was measured.
    pub metrics: Summary,
}

/// One policy against another on the same episodes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Mean of the policy / mean of the other; below 1 the policy is better.
    pub ratio: f64,
    /// 95 % t interval, paired.
    pub ci95: [f64; 2],
    /// 95 % bootstrap interval, paired.
    #[serde(default)]
    pub ci95_bootstrap: [f64; 2],
    /// Episodes in which the policy was better.
    pub wins: usize,
    /// P value of the ratio being 1, paired, adjusted by Holm for all pairs of policies in the comparison.
    #[serde(default)]
    pub p_holm: f64,
    /// Whether that is below [`LEVEL`].
    #[serde(default)]
    pub significant: bool,
}

/// A loss up to this share of the other's mean counts as none.
pub const NOT_WORSE: f64 = 0.01;

/// What an interval of a ratio allows to say of the policy, for itself alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It lies below 1.
    Better,
    /// It reaches 1, and excludes a loss above [`NOT_WORSE`].
    NotWorse,
    /// It reaches 1 and does not exclude such a loss.
    Undecided,
    /// It lies above 1.
    Worse,
}

impl Verdict {
    /// From the interval of the ratio of the policy's mean to another's.
    pub fn of([low, high]: [f64; 2]) -> Verdict {
        match () {
            () if high < 1.0 => Verdict::Better,
            () if high <= 1.0 + NOT_WORSE => Verdict::NotWorse,
            () if low > 1.0 => Verdict::Worse,
            () => Verdict::Undecided,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::NotWorse => "not worse",
            Verdict::Undecided => "undecided",
            Verdict::Worse => "WORSE",
        }
    }
}

/// Defines [`Summary`] from the measures of an episode, so that none is forgotten in one of the places.
macro_rules! summary {
    ($($(#[$about:meta])* $name:ident = $value:expr),* $(,)?) => {
        /// Measures of an episode, or their means over episodes.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        #[allow(missing_docs, reason = "the fields are those of Metrics")]
        pub struct Summary {
            $($(#[$about])* pub $name: f64,)*
            /// `None` where it is not told in every episode.
            pub fragmentation: Option<f64>,
            /// Device-time in use / device-time in service, by kind of device.
            pub utilization_by_kind: BTreeMap<String, f64>,
        }

        impl Summary {
            /// Of one episode.
            pub fn of(metrics: &Metrics) -> Summary {
                let value = |value: fn(&Metrics) -> f64| value(metrics);
                let kinds = metrics.machines.kinds.iter();
                Summary {
                    $($name: value($value),)*
                    fragmentation: metrics.machines.fragmentation,
                    utilization_by_kind: kinds.map(|kind| (kind.kind.clone(), kind.utilization)).collect(),
                }
            }

            /// Means over episodes.
            pub fn mean(episodes: &[&Summary]) -> Summary {
                let count = episodes.len().max(1) as f64;
                let mean = |value: fn(&Summary) -> f64| {
                    episodes.iter().map(|episode| value(episode)).sum::<f64>() / count
                };
                let fragmentation: Option<f64> = episodes.iter().map(|episode| episode.fragmentation).sum();
                Summary {
                    $($name: mean(|summary| summary.$name),)*
                    fragmentation: fragmentation.map(|sum| sum / count),
                    utilization_by_kind: mean_by_kind(episodes),
                }
            }
        }
    };
}

summary! {
    mean_jct_s = |m| m.mean_jct_s,
    p50_jct_s = |m| m.p50_jct_s,
    p95_jct_s = |m| m.p95_jct_s,
    p99_jct_s = |m| m.p99_jct_s,
    mean_wait_s = |m| m.mean_wait_s,
    max_wait_s = |m| m.max_wait_s,
    mean_bounded_slowdown = |m| m.mean_bounded_slowdown,
    utilization = |m| m.utilization,
    device_utilization = |m| m.machines.device_utilization,
    idle_while_waiting_share = |m| m.machines.idle_while_waiting_share,
    slo_attainment = |m| m.slo_attainment,
    dropped = |m| m.dropped as f64,
    goodput_per_s = |m| m.goodput_per_s,
    goodput_samples_per_s = |m| m.goodput_samples_per_s,
    energy_kwh = |m| m.machines.energy_kwh,
    dollars = |m| m.machines.dollars,
    jain_users_slowdown = |m| m.fairness.jain_users_slowdown,
    jain_jobs_slowdown = |m| m.fairness.jain_jobs_slowdown,
    mean_rho = |m| m.fairness.mean_rho,
    max_rho = |m| m.fairness.max_rho,
    waste_share = |m| m.wasted.waste_share,
    preemptions = |m| m.wasted.preemptions as f64,
    mean_batch = |m| m.mean_batch,
    decisions = |m| m.decisions as f64,
}

fn mean_by_kind(episodes: &[&Summary]) -> BTreeMap<String, f64> {
    let mut means = BTreeMap::new();
    for (kind, value) in episodes.iter().flat_map(|episode| &episode.utilization_by_kind) {
        *means.entry(kind.clone()).or_insert(0.0) += value / episodes.len() as f64;
    }
    means
}

/// A policy with its episodes.
#[derive(Clone, Copy, Debug)]
pub struct Entrant<'a> {
    /// Its name.
    pub policy: &'a str,
    /// Its name with tuned parameters.
    pub tuned: Option<&'a str>,
    /// In order of seeds, the same for all entrants.
    pub episodes: &'a [Played],
}

/// One row an entrant, each compared with all others.
pub fn rows(entrants: &[Entrant<'_>]) -> Vec<Row> {
    let objective =
        |entrant: &Entrant<'_>| entrant.episodes.iter().map(|episode| episode.objective).collect();
    let objectives: Vec<Vec<f64>> = entrants.iter().map(objective).collect();
    let pairs = Pairs::new(&objectives);
    (0..entrants.len()).map(|at| row(entrants, at, &pairs)).collect()
}

/// Every two samples compared.
struct Pairs<'a> {
    objectives: &'a [Vec<f64>],
    bootstrap: Bootstrap<'a>,
    /// Adjusted p values of the pairs (one, other) with one < other.
    p_holm: BTreeMap<(usize, usize), f64>,
}

impl<'a> Pairs<'a> {
    fn new(objectives: &'a [Vec<f64>]) -> Pairs<'a> {
        let count = objectives.len();
        let pairs: Vec<(usize, usize)> =
            (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other))).collect();
        let p = |&(one, other): &(usize, usize)| stats::ratio_p(&objectives[one], &objectives[other]);
        let adjusted = stats::holm(&pairs.iter().map(p).collect::<Vec<f64>>());
        let p_holm = pairs.into_iter().zip(adjusted).collect();
        Pairs { objectives, bootstrap: Bootstrap::new(objectives), p_holm }
    }

    fn ratio(&self, at: usize, base: usize) -> Ratio {
        let (values, others) = (&self.objectives[at], &self.objectives[base]);
        let Estimate { value: ratio, ci95 } = stats::paired_ratio(values, others);
        let p_holm = self.p_holm.get(&(at.min(base), at.max(base))).copied().unwrap_or(1.0);
        Ratio {
            ratio,
            ci95,
            ci95_bootstrap: self.bootstrap.ratio(at, base),
            wins: stats::wins(values, others),
            p_holm,
            significant: p_holm < LEVEL,
        }
    }
}

fn row(entrants: &[Entrant<'_>], at: usize, pairs: &Pairs<'_>) -> Row {
    let Entrant { policy, tuned, episodes } = entrants[at];
    let per_episode = pairs.objectives[at].clone();
    let Estimate { value: mean, ci95 } = stats::mean(&per_episode);
    let mut sorted = per_episode.clone();
    sorted.sort_by(f64::total_cmp);
    let summaries: Vec<&Summary> = episodes.iter().map(|episode| &episode.metrics).collect();
    let others = (0..entrants.len()).filter(|&base| base != at);
    Row {
        policy: policy.to_owned(),
        tuned: tuned.map(str::to_owned),
        mean,
        p50: percentile(&sorted, 0.50),
        p90: percentile(&sorted, 0.90),
        p99: percentile(&sorted, 0.99),
        worst: percentile(&sorted, 1.0),
        ci95,
        ci95_bootstrap: pairs.bootstrap.mean(at),
        longest_wait_s: summaries.iter().map(|summary| summary.max_wait_s).fold(0.0, f64::max),
        ratio_to: others.map(|base| (entrants[base].policy.to_owned(), pairs.ratio(at, base))).collect(),
        metrics: Summary::mean(&summaries),
        per_episode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(values: &[f64]) -> Vec<Played> {
        let one = |&objective: &f64| {
            let utilization_by_kind = BTreeMap::from([("t4".to_owned(), objective / 100.0)]);
            let metrics = Summary { max_wait_s: 10.0 * objective, utilization_by_kind, ..Summary::default() };
            Played { objective, metrics }
        };
        values.iter().map(one).collect()
    }

    #[test]
    fn a_row_tells_the_spread_and_whom_it_beats() {
        let base: Vec<f64> = (1..=20).map(f64::from).collect();
        let better: Vec<f64> = base.iter().map(|value| 0.8 * value).collect();
        let noisy: Vec<f64> = base.iter().rev().copied().collect();
        let [base, better, noisy] = [base, better, noisy].map(|values| played(&values));
        let entrant = |policy, episodes| Entrant { policy, tuned: None, episodes };
        let rows = rows(&[entrant("base", &base), entrant("better", &better), entrant("noisy", &noisy)]);
        let row = &rows[0];
        assert_eq!((row.mean, row.p50, row.p90, row.p99, row.worst), (10.5, 10.0, 18.0, 20.0, 20.0));
        assert_eq!(row.longest_wait_s, 200.0);
        assert!((row.metrics.utilization_by_kind["t4"] - 0.105).abs() < 1e-12);
        let better = &rows[1].ratio_to["base"];
        assert!((better.ratio - 0.8).abs() < 1e-12 && better.wins == 20 && better.significant);
        assert!((better.ci95_bootstrap[1] - 0.8).abs() < 1e-12);
        let noisy = &rows[2].ratio_to["base"];
        assert!(noisy.ratio == 1.0 && noisy.p_holm == 1.0 && !noisy.significant && noisy.wins == 10);
        assert!(noisy.ci95_bootstrap[0] < 0.9 && noisy.ci95_bootstrap[1] > 1.1);
    }

    #[test]
    fn a_verdict_says_what_the_interval_allows() {
        for (interval, words) in [
            ([0.7, 0.99], "better"),
            ([0.98, 1.01], "not worse"),
            ([1.001, 1.009], "not worse"),
            ([0.98, 1.02], "undecided"),
            ([1.001, 1.02], "WORSE"),
        ] {
            assert_eq!(Verdict::of(interval).words(), words, "{interval:?}");
        }
    }

    #[test]
    fn what_was_played_survives_being_written() {
        let metrics = Summary { mean_jct_s: 0.1 + 0.2, fragmentation: Some(1.0 / 3.0), ..Summary::default() };
        let played = Played { objective: 1e-7 / 3.0, metrics };
        let text = serde_json::to_string(&played).unwrap();
        assert_eq!(serde_json::from_str::<Played>(&text).unwrap(), played);
    }
}
