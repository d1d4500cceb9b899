//! Tables of comparisons, for the terminal and as Markdown.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;
use yardmaster_agent::evaluate::{Ratio, Row, Summary};

use crate::bench::Comparison;
use crate::pack;
use crate::summary::number;

const HEADER: [&str; 7] = ["policy", "mean", "95 % interval", "p50", "p99", "ratio to best rule", "mean JCT"];

/// The measures that `--columns` can add to a table: those of a row's `metrics` in the JSON.
pub(crate) fn measures() -> Vec<String> {
    let fields = fields(&Summary::default());
    fields.into_iter().map(|(name, _)| name).collect()
}

/// Name and value of each measure.
fn fields(summary: &Summary) -> Vec<(String, Value)> {
    match serde_json::to_value(summary) {
        Ok(Value::Object(fields)) => fields.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// How a table is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    /// With lines between the columns.
    Terminal,
    /// As Markdown.
    Markdown,
}

/// A table of packing rules: percent of the GPUs allocated at the end.
pub(crate) fn packing(rows: &[pack::Row], style: Style) -> String {
    let mut table = Table::new();
    table.load_preset(match style {
        Style::Terminal => presets::UTF8_FULL_CONDENSED,
        Style::Markdown => presets::ASCII_MARKDOWN,
    });
    table.set_header(["rule", "runs", "GPUs allocated", "least", "most", "published", "difference"]);
    for row in rows {
        let ends = || row.runs.iter().map(|run| run.end_percent);
        let published = |show: fn(f64, f64) -> String| {
            row.published_percent.map_or_else(String::new, |known| show(row.end_percent, known))
        };
        table.add_row([
            row.policy.to_owned(),
            row.runs.len().to_string(),
            format!("{:.2} %", row.end_percent),
            format!("{:.2} %", ends().fold(f64::INFINITY, f64::min)),
            format!("{:.2} %", ends().fold(0.0, f64::max)),
            published(|_, known| format!("{known:.2} %")),
            published(|ours, known| format!("{:+.2}", ours - known)),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}

/// Tables for a terminal, with further columns.
pub(crate) fn terminal(comparisons: &[Comparison], columns: &[String]) -> String {
    render(comparisons, columns, presets::UTF8_FULL_CONDENSED)
}

/// Tables in Markdown, with further columns.
pub(crate) fn markdown(comparisons: &[Comparison], columns: &[String]) -> String {
    render(comparisons, columns, presets::ASCII_MARKDOWN)
}

fn render(comparisons: &[Comparison], columns: &[String], preset: &str) -> String {
    let mut text = String::new();
    for comparison in comparisons {
        let Comparison { scenario, objective, unit, episodes, seed, .. } = comparison;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{scenario}: {objective} [{unit}], {episodes} test episodes (seed {seed})\n");
        let mut table = Table::new();
        let header = HEADER.into_iter().chain(columns.iter().map(String::as_str));
        table.load_preset(preset).set_header(header);
        let mut rows: Vec<&Row> = comparison.policies.iter().collect();
        rows.sort_by(|one, other| one.mean.total_cmp(&other.mean));
        for row in &rows {
            let further = columns.iter().map(|column| measure(row, column));
            table.add_row(cells(row, comparison).into_iter().chain(further));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let _ = writeln!(text, "{table}\n");
        text += &verdicts(comparison);
    }
    text
}

fn cells(row: &Row, comparison: &Comparison) -> [String; 7] {
    let ratio = best_rule(comparison, row).map_or("-".to_owned(), |(rule, ratio)| {
        let [low, high] = ratio.ci95;
        format!("{:.3} [{low:.3}, {high:.3}] {rule}", ratio.ratio)
    });
    [
        row.policy.clone(),
        number(row.mean),
        format!("[{}, {}]", number(row.ci95[0]), number(row.ci95[1])),
        number(row.p50),
        number(row.p99),
        ratio,
        format!("{} s", number(row.metrics.mean_jct_s)),
    ]
}

/// A dash where a measure does not apply.
fn measure(row: &Row, name: &str) -> String {
    let found = fields(&row.metrics).into_iter().find(|(known, _)| known == name);
    found.and_then(|(_, value)| value.as_f64()).map_or("-".to_owned(), number)
}

/// The rule with the lowest mean among those that a row was compared with.
fn best_rule<'a>(comparison: &'a Comparison, row: &'a Row) -> Option<(&'a str, Ratio)> {
    let rules = comparison.policies.iter().filter(|other| is_rule(other));
    let best = rules.min_by(|one, other| one.mean.total_cmp(&other.mean))?;
    row.ratio_to.get(&best.policy).map(|ratio| (best.policy.as_str(), *ratio))
}

/// Whether a row is a rule of the registry rather than a frozen policy.
fn is_rule(row: &Row) -> bool {
    yardmaster_agent::registry::build(&row.policy).is_ok()
}

/// For each learned policy, one line a rule: better, worse or not separated.
fn verdicts(comparison: &Comparison) -> String {
    let mut text = String::new();
    for row in comparison.policies.iter().filter(|row| !is_rule(row)) {
        for (rule, ratio) in &row.ratio_to {
            let [low, high] = ratio.ci95;
            let verdict = match (high < 1.0, low > 1.0) {
                (true, _) => format!("{:.1} % better", 100.0 * (1.0 - ratio.ratio)),
                (_, true) => format!("{:.1} % worse", 100.0 * (ratio.ratio - 1.0)),
                _ => "not significantly different".to_owned(),
            };
            let _ = writeln!(
                text,
                "- {} against {rule}: {verdict} (ratio {:.3}, 95 % interval {low:.3} to {high:.3}, better in {} of {} episodes)",
                row.policy, ratio.ratio, ratio.wins, comparison.episodes
            );
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}
