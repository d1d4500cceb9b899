//! What a sweep has found.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use yardmaster_agent::frozen;

use super::plan::{Plan, Task};
use super::run::POLICY;
use crate::curves::History;

/// A run that has come to its end.
pub(super) struct Done<'a> {
    pub(super) task: &'a Task,
    pub(super) history: History,
    /// The mean on test episodes over that of the rule which is best there.
    test: Option<f64>,
}

/// A variant in a scenario, over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    scenario: String,
    variant: String,
    /// Seeds whose runs have come to their end.
    seeds: Vec<u64>,
    /// Seeds that were asked for.
    asked: usize,
    /// Best validation of each run: its mean over that of the best rule.
    validation: Option<Spread>,
    /// The same on test episodes.
    test: Option<Spread>,
    /// Processor minutes of a run.
    cpu_min: Option<Spread>,
}

/// Numbers of several seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Spread {
    mean: f64,
    /// Standard deviation over seeds; 0 for a single one.
    sd: f64,
    least: f64,
    most: f64,
    /// In order of seeds.
    each: Vec<f64>,
}

impl Spread {
    fn of(each: Vec<f64>) -> Option<Spread> {
        let count = each.len() as f64;
        let mean = each.iter().sum::<f64>() / count;
        let square = each.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (!each.is_empty()).then(|| Spread {
            mean,
            sd: (square / (count - 1.0).max(1.0)).sqrt(),
            least: each.iter().copied().fold(f64::INFINITY, f64::min),
            most: each.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            each,
        })
    }

    fn text(this: Option<&Spread>, digits: usize) -> String {
        match this {
            Some(Spread { mean, .. }) if this.is_some_and(|spread| spread.each.len() == 1) => {
                format!("{mean:.digits$}")
            }
            Some(Spread { mean, sd, least, most, .. }) => {
                format!("{mean:.digits$} ± {sd:.digits$} ({least:.digits$} to {most:.digits$})")
            }
            None => "-".to_owned(),
        }
    }
}

/// The runs that have come to their end.
pub(super) fn collect<'a>(plan: &'a Plan, out: &Path) -> Result<Vec<Done<'a>>> {
    let mut runs = Vec::new();
    for task in &plan.tasks {
        let folder = out.join(task.folder());
        let Ok(history) = History::read(&folder) else { continue };
        if history.steps() < task.config.steps {
            continue;
        }
        let policy = folder.join(POLICY);
        let test = if plan.test && policy.is_file() { Some(test_ratio(&policy)?) } else { None };
        runs.push(Done { task, history, test });
    }
    Ok(runs)
}

/// What the card of a policy says against the rule that is best on the test episodes, which the ratio is highest to; the
/// mean of that where it plays in several scenarios.
fn test_ratio(path: &Path) -> Result<f64> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let frozen = frozen::read(&bytes).with_context(|| format!("{shown} is not a usable frozen policy"))?;
    let missing = || format!("{shown}: its card has no ratios to rules");
    let worths = frozen.card().origin.benchmarks();
    let mut sum = 0.0;
    for (_, worth) in &worths {
        let ratios = worth["ratio_to"].as_object().with_context(missing)?;
        let each = ratios.values().filter_map(|ratio| ratio["ratio"].as_f64());
        sum += each.max_by(f64::total_cmp).with_context(missing)?;
    }
    Ok(sum / worths.len() as f64)
}

/// One row for each variant in each scenario.
pub(super) fn rows(plan: &Plan, runs: &[Done<'_>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for scenario in &plan.scenarios {
        for variant in &plan.variants {
            let is_mine = |task: &Task| task.scenario == *scenario && task.variant == *variant;
            let mine: Vec<&Done<'_>> = runs.iter().filter(|run| is_mine(run.task)).collect();
            let spread = |of: &dyn Fn(&Done<'_>) -> Option<f64>| {
                Spread::of(mine.iter().filter_map(|run| of(run)).collect())
            };
            rows.push(Row {
                scenario: scenario.clone(),
                variant: variant.clone(),
                seeds: mine.iter().map(|run| run.task.config.seed).collect(),
                asked: plan.tasks.iter().filter(|task| is_mine(task)).count(),
                validation: spread(&|run| run.history.best_ratio()),
                test: spread(&|run| run.test),
                cpu_min: spread(&|run| run.history.cpu_s().map(|seconds| seconds / 60.0)),
            });
        }
    }
    rows
}

/// The table, in Markdown.
pub(super) fn table(plan: &Plan, rows: &[Row]) -> String {
    let mut text = String::from(
        "Ratios are the policy's mean over that of the best rule, below 1 is better: mean ± standard deviation over training \
         seeds (least to most). The best of a run's validations is chosen on the validation episodes, which flatters it.\n\n",
    );
    let test = if plan.test { " test ratio |" } else { "" };
    let rule = if plan.test { "---|" } else { "" };
    let _ =
        writeln!(text, "| scenario | variant | seeds | best validation ratio |{test} CPU minutes a run |");
    let _ = writeln!(text, "|---|---|---|---|{rule}---|");
    for row in rows {
        let seeds = match row.seeds.len() == row.asked {
            true => row.asked.to_string(),
            false => format!("{} of {}", row.seeds.len(), row.asked),
        };
        let validation = Spread::text(row.validation.as_ref(), 4);
        let test =
            if plan.test { format!(" {} |", Spread::text(row.test.as_ref(), 4)) } else { String::new() };
        let cpu = Spread::text(row.cpu_min.as_ref(), 2);
        let Row { scenario, variant, .. } = row;
        let _ = writeln!(text, "| {scenario} | {variant} | {seeds} | {validation} |{test} {cpu} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_over_seeds() {
        let spread = Spread::of(vec![0.9, 1.0, 1.1]).unwrap();
        assert!((spread.mean - 1.0).abs() < 1e-12 && (spread.sd - 0.1).abs() < 1e-12);
        assert_eq!(Spread::text(Some(&spread), 2), "1.00 ± 0.10 (0.90 to 1.10)");
        assert_eq!(Spread::text(Spread::of(vec![0.5]).as_ref(), 2), "0.50");
        assert_eq!(Spread::text(Spread::of(Vec::new()).as_ref(), 2), "-");
    }

    #[test]
    fn what_is_missing_shows_in_the_table() {
        let text = "scenarios = [\"tiny\"]\nseeds = [1, 2]\n[config]\nsteps = 100\n[grid]\nepochs = [1, 2]";
        let plan = Plan::new(&toml::from_str(text).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let put = |task: &Task, steps: u64| {
            let own = folder.path().join(task.folder());
            std::fs::create_dir_all(&own).unwrap();
            let row = format!(
                "{{\"steps\":{steps},\"eval/tiny/ratio_to_best_heuristic\":0.9,\"performance/cpu_seconds\":120.0}}\n"
            );
            std::fs::write(own.join("metrics.jsonl"), row).unwrap();
        };
        put(&plan.tasks[0], 100);
        put(&plan.tasks[1], 150);
        put(&plan.tasks[2], 50);
        let runs = collect(&plan, folder.path()).unwrap();
        let table = table(&plan, &rows(&plan, &runs));
        assert!(
            table.contains("| tiny | epochs=1 | 2 | 0.9000 ± 0.0000 (0.9000 to 0.9000) | 2.00 ± 0.00"),
            "{table}"
        );
        assert!(table.contains("| tiny | epochs=2 | 0 of 2 | - | - |"), "{table}");
    }
}
