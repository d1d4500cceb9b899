//! Learning curves of runs, as SVG.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use yardmaster_env::plot::{Axis, Content, Curve, Panel, figure};

/// What the ratio to the best rule is called in a log, for whatever scenario.
pub const RATIO: &str = "/ratio_to_best_heuristic";

/// Panels of a single run: headline and which numbers, by the ends of their names.
const OF_A_RUN: [(&str, &str); 8] = [
    ("Validation: mean over that of the best rule", RATIO),
    ("Training: objective over the prior's on the same episodes", "charts/score"),
    (
        "Teacher: regret on states that are new, in units of regret (teach_unit); below 0 is better than the rule",
        "teach/regret_before",
    ),
    ("Return of an episode", "charts/episodic_return"),
    ("Entropy", "losses/entropy"),
    ("Divergence of an update (approx_kl)", "losses/approx_kl"),
    ("Variance that the critic explains", "losses/explained_variance"),
    ("Decisions a second (SPS)", "charts/SPS"),
];

/// The log of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Iterations in order, as they stand in `metrics.jsonl`.
    rows: Vec<Value>,
}

impl History {
    /// Reads `metrics.jsonl` of a run's folder.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is no JSON.
    pub fn read(folder: &Path) -> Result<History> {
        let path = folder.join("metrics.jsonl");
        let shown = path.display();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
        let line = |(number, line): (usize, &str)| {
            serde_json::from_str(line).with_context(|| format!("{shown} line {}: not JSON", number + 1))
        };
        Ok(History { rows: text.lines().enumerate().map(line).collect::<Result<_>>()? })
    }

    /// Iterations, from 1, and values of the numbers whose name ends so; of several scenarios the mean, where there is one.
    /// Iterations and not decisions: the teacher's make none that count.
    pub fn points(&self, ending: &str) -> Vec<(f64, f64)> {
        let of = |(at, row): (usize, &Value)| {
            let mut found = row.as_object()?.iter().filter(|(name, _)| name.ends_with(ending));
            let first = found.next()?;
            let mean = found.find(|(name, _)| name.starts_with("eval/mean/"));
            Some((at as f64 + 1.0, mean.unwrap_or(first).1.as_f64()?))
        };
        self.rows.iter().enumerate().filter_map(of).collect()
    }

    /// Decisions made.
    pub fn steps(&self) -> u64 {
        self.rows.last().and_then(|row| row["steps"].as_u64()).unwrap_or(0)
    }

    /// Processor time in seconds, of all iterations; `None` where it was not recorded.
    pub fn cpu_s(&self) -> Option<f64> {
        let all = self.points("performance/cpu_seconds");
        (!all.is_empty()).then(|| all.iter().map(|(_, seconds)| seconds).sum())
    }

    /// The best value that a validation has found.
    pub fn best_ratio(&self) -> Option<f64> {
        self.points(RATIO).into_iter().map(|(_, ratio)| ratio).min_by(f64::total_cmp)
    }
}

/// The curves of one run.
pub fn of_run(title: &str, history: &History) -> String {
    let panel = |(headline, ending): (&str, &str)| {
        let curve = Curve { name: String::new(), points: history.points(ending), colour: 0, dotted: false };
        (!curve.points.is_empty()).then(|| panel(headline, vec![curve]))
    };
    let panels: Vec<Panel> = OF_A_RUN.into_iter().filter_map(panel).collect();
    figure(
        title,
        &panels,
        &["Over iterations, those of the teacher first. Lower is better in the first three panels."
            .to_owned()],
    )
}

/// Runs of a sweep laid over one another: (variant, run); those of a variant have one colour.
pub fn overlay(title: &str, runs: &[(&str, &History)]) -> String {
    let mut variants: Vec<&str> = Vec::new();
    for (variant, _) in runs {
        if !variants.contains(variant) {
            variants.push(variant);
        }
    }
    let curves = |ending: &str| -> Vec<Curve> {
        let mut named = vec![false; variants.len()];
        let curve = |(variant, history): &(&str, &History)| {
            let colour = variants.iter().position(|other| other == variant).unwrap_or(0);
            let first = !std::mem::replace(&mut named[colour], true);
            let name = if first { (*variant).to_owned() } else { String::new() };
            Curve { name, points: history.points(ending), colour, dotted: false }
        };
        runs.iter().map(curve).filter(|curve| !curve.points.is_empty()).collect()
    };
    let panel = |(headline, ending): (&str, &str)| {
        let curves = curves(ending);
        (!curves.is_empty()).then(|| panel(headline, curves))
    };
    let panels: Vec<Panel> = OF_A_RUN[..2].iter().copied().filter_map(panel).collect();
    figure(
        title,
        &panels,
        &["Over iterations; one line a run, one colour a variant. Lower is better.".to_owned()],
    )
}

fn panel(headline: &str, curves: Vec<Curve>) -> Panel {
    let values = |of: fn(&(f64, f64)) -> f64| -> (f64, f64) {
        let all = || curves.iter().flat_map(|curve| &curve.points).map(of).filter(|value| value.is_finite());
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max))
    };
    let (low, high) = values(|point| point.1);
    let margin = 0.05 * (high - low);
    let x = Axis::linear("iterations", 0.0, values(|point| point.0).1);
    let y = Axis::linear("", low - margin, high + margin);
    Panel { title: headline.to_owned(), x, y, content: Content::Curves(curves), height: 180 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(offset: f64) -> History {
        let row = |at: u32| {
            let value = offset + 1.0 / f64::from(at);
            serde_json::json!({
                "iteration": at, "steps": 100 * at, "charts/score": value, "losses/entropy": value,
                "eval/tiny/ratio_to_best_heuristic": value, "performance/cpu_seconds": 1.5
            })
        };
        History { rows: (1..=4).map(row).collect() }
    }

    #[test]
    fn a_history_tells_what_became_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = history(0.5).rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(folder.path().join("metrics.jsonl"), &lines).unwrap();
        let read = History::read(folder.path()).unwrap();
        assert_eq!(read, history(0.5));
        assert_eq!((read.steps(), read.cpu_s(), read.best_ratio()), (400, Some(6.0), Some(0.75)));
        assert_eq!(read.points("charts/score")[0], (1.0, 1.5));
        std::fs::write(folder.path().join("metrics.jsonl"), format!("{lines}half")).unwrap();
        let error = format!("{:#}", History::read(folder.path()).unwrap_err());
        assert!(error.contains("metrics.jsonl line 5: not JSON"), "{error}");
        assert_eq!(History::default().cpu_s(), None);
    }

    #[test]
    fn of_several_scenarios_the_mean_is_drawn() {
        let row = serde_json::json!({
            "steps": 0, "eval/gang/ratio_to_best_heuristic": 0.5, "eval/mean/ratio_to_best_heuristic": 0.75,
            "eval/tiny/ratio_to_best_heuristic": 1.0
        });
        let history = History { rows: vec![row.clone(), row] };
        assert_eq!(history.points(RATIO), [(1.0, 0.75), (2.0, 0.75)]);
        assert_eq!(history.best_ratio(), Some(0.75));
    }

    #[test]
    fn a_run_has_a_panel_for_each_number_that_it_has() {
        let svg = of_run("a <run>", &history(0.0));
        assert!(svg.starts_with("<svg") && svg.contains("a &lt;run&gt;"));
        assert_eq!(svg.matches("class=\"head\"").count(), 3, "ratio, score and entropy");
    }

    #[test]
    fn runs_of_a_variant_share_colour_and_name() {
        let (one, other) = (history(0.0), history(1.0));
        let svg = overlay("sweep", &[("base", &one), ("base", &other), ("wide", &other)]);
        assert_eq!(svg.matches(">base<").count(), 2, "once a panel");
        assert_eq!(svg.matches(">wide<").count(), 2);
        assert_eq!(svg.matches("class=\"head\"").count(), 2);
    }
}
