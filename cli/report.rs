//! Tables of comparisons, for the terminal and as Markdown.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;
use yardmaster_agent::evaluate::{Ratio, Row, Summary};

use crate::bench::{Comparison, Failure};
use crate::columns::wrapped;
use crate::pack;
use crate::summary::number;

const HEADER: [&str; 12] = [
    "policy",
    "mean",
    "95 % interval",
    "p50",
    "p90",
    "p99",
    "worst",
    "ratio to best rule",
    "won",
    "differs",
    "mean JCT",
    "longest wait",
];

/// The measures that `--columns` can add to a table: those of a row's `metrics` in the JSON.
pub(crate) fn measures() -> Vec<String> {
    let fields = fields(&Summary::default());
    fields.into_iter().map(|(name, _)| name).collect()
}

/// Name and value of each measure.
pub(crate) fn fields(summary: &Summary) -> Vec<(String, Value)> {
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

impl Style {
    /// An empty table.
    pub(crate) fn table(self) -> Table {
        let mut table = Table::new();
        table.load_preset(match self {
            Style::Terminal => presets::UTF8_FULL_CONDENSED,
            Style::Markdown => presets::ASCII_MARKDOWN,
        });
        table
    }
}

/// A table of packing rules: percent of the GPUs allocated at the end.
pub(crate) fn packing(rows: &[pack::Row], style: Style) -> String {
    let mut table = style.table();
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

/// What the numbers of the tables mean.
pub(crate) const MEANING: &str = "Lower is better. All policies play the same episodes. Intervals are 95 % t intervals over \
    episodes, those of ratios paired; each holds for itself. A difference counts as significant only if its p value, \
    adjusted for all pairs of policies in the scenario (t test of the paired ratio, Holm 1979), is below 0.05. The best rule is chosen \
    on these same episodes, which flatters it a little. Worst is the worst episode; the longest wait is that of any job \
    in any episode.";

/// Tables for a terminal, with further columns.
pub(crate) fn terminal(comparisons: &[Comparison], columns: &[String]) -> String {
    let foot = wrapped(MEANING, 110, 0);
    render(comparisons, columns, presets::UTF8_FULL_CONDENSED) + &foot
}

/// Tables in Markdown, with further columns.
pub(crate) fn markdown(comparisons: &[Comparison], columns: &[String]) -> String {
    format!("{}{MEANING}\n", render(comparisons, columns, presets::ASCII_MARKDOWN))
}

fn render(comparisons: &[Comparison], columns: &[String], preset: &str) -> String {
    let mut text = String::new();
    for comparison in comparisons {
        let _ = writeln!(text, "{}\n", headline(comparison));
        let mut table = Table::new();
        let header = HEADER.into_iter().chain(columns.iter().map(String::as_str));
        table.load_preset(preset).set_header(header);
        for row in ranked(comparison) {
            let further = columns.iter().map(|column| measure(row, column));
            table.add_row(cells(row, comparison).into_iter().chain(further));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let _ = writeln!(text, "{table}\n");
        let notes = notes(comparison);
        notes.iter().for_each(|note| _ = writeln!(text, "- {note}"));
        if !notes.is_empty() {
            text.push('\n');
        }
    }
    text
}

/// What was compared, in one line.
pub(crate) fn headline(comparison: &Comparison) -> String {
    let Comparison { scenario, objective, unit, episodes, seed, .. } = comparison;
    let kind = match &comparison.windows {
        Some(cut) => format!("windows of {} jobs", cut.jobs),
        None => "test episodes".to_owned(),
    };
    format!("{scenario}: {objective} [{unit}], {episodes} {kind} (seed {seed})")
}

/// The rows, best first.
pub(crate) fn ranked(comparison: &Comparison) -> Vec<&Row> {
    let mut rows: Vec<&Row> = comparison.policies.iter().collect();
    rows.sort_by(|one, other| one.mean.total_cmp(&other.mean));
    rows
}

fn cells(row: &Row, comparison: &Comparison) -> [String; HEADER.len()] {
    let many = comparison.episodes > 1;
    let against = best_rule(comparison).and_then(|best| row.ratio_to.get(&best.policy));
    let against = |show: &dyn Fn(&Ratio) -> String| against.map_or("-".to_owned(), show);
    [
        row.policy.clone(),
        number(row.mean),
        interval(row, comparison),
        number(row.p50),
        number(row.p90),
        number(row.p99),
        number(row.worst),
        against(&|ratio| ratio_text(ratio, many)),
        against(&|ratio| ratio.wins.to_string()),
        against(&|ratio| if ratio.significant { "yes".to_owned() } else { "no".to_owned() }),
        format!("{} s", number(row.metrics.mean_jct_s)),
        format!("{} s", number(row.longest_wait_s)),
    ]
}

/// The interval of the mean; a single episode has none.
pub(crate) fn interval(row: &Row, comparison: &Comparison) -> String {
    let [low, high] = row.ci95.map(number);
    if comparison.episodes > 1 { format!("[{low}, {high}]") } else { "-".to_owned() }
}

/// A ratio with its interval, if there is one.
pub(crate) fn ratio_text(ratio: &Ratio, many: bool) -> String {
    let [low, high] = ratio.ci95;
    if many { format!("{:.3} [{low:.3}, {high:.3}]", ratio.ratio) } else { format!("{:.3}", ratio.ratio) }
}

/// A dash where a measure does not apply.
fn measure(row: &Row, name: &str) -> String {
    let found = fields(&row.metrics).into_iter().find(|(known, _)| known == name);
    match found {
        Some((_, Value::Object(kinds))) => {
            let kinds = kinds.iter().filter_map(|(kind, share)| Some((kind, share.as_f64()?)));
            kinds.map(|(kind, share)| format!("{kind} {:.0} %", 100.0 * share)).collect::<Vec<_>>().join(", ")
        }
        found => found.and_then(|(_, value)| value.as_f64()).map_or("-".to_owned(), number),
    }
}

/// The rule with the lowest mean.
pub(crate) fn best_rule(comparison: &Comparison) -> Option<&Row> {
    ranked(comparison).into_iter().find(|row| is_rule(row))
}

/// Whether a row is a rule of the registry rather than a frozen policy.
pub(crate) fn is_rule(row: &Row) -> bool {
    yardmaster_agent::registry::build(&row.policy).is_ok()
}

/// What a table does not say: tuned parameters, what cannot be told apart, what the learned policies gain, and who
/// failed.
pub(crate) fn notes(comparison: &Comparison) -> Vec<String> {
    let mut notes = Vec::new();
    let tuned: Vec<String> = (comparison.policies.iter())
        .filter_map(|row| row.tuned.as_ref().map(|tuned| format!("{} plays as {tuned}", row.policy)))
        .collect();
    if !tuned.is_empty() {
        notes.push(format!("tuned on validation episodes: {}", tuned.join("; ")));
    }
    notes.extend(undecided(comparison));
    notes.extend(verdicts(comparison));
    notes.extend(comparison.failed.iter().map(|failure| {
        let Failure { policy, episode, seed, why } = failure;
        format!("{policy} FAILED in episode {episode} (seed {seed}): {why}")
    }));
    notes
}

/// Which policies cannot be told from the best rule.
fn undecided(comparison: &Comparison) -> Option<String> {
    let best = best_rule(comparison)?;
    if comparison.episodes < 2 {
        return Some("a single episode: nothing can be said about chance".to_owned());
    }
    let same = |row: &&Row| row.ratio_to.get(&best.policy).is_some_and(|ratio| !ratio.significant);
    let same: Vec<&str> =
        ranked(comparison).into_iter().filter(same).map(|row| row.policy.as_str()).collect();
    let others = comparison.policies.len() > 1;
    match same.is_empty() {
        false => Some(format!("NOT significantly different from {}: {}", best.policy, same.join(", "))),
        true if others => Some(format!("all others differ significantly from {}", best.policy)),
        true => None,
    }
}

/// For each learned policy, one line a rule: better, worse or not separated.
fn verdicts(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    for row in comparison.policies.iter().filter(|row| !is_rule(row)) {
        for (rule, ratio) in &row.ratio_to {
            let [low, high] = ratio.ci95;
            let verdict = match ratio.significant {
                true if ratio.ratio < 1.0 => format!("{:.1} % better", 100.0 * (1.0 - ratio.ratio)),
                true => format!("{:.1} % worse", 100.0 * (ratio.ratio - 1.0)),
                false => "not significantly different".to_owned(),
            };
            lines.push(format!(
                "{} against {rule}: {verdict} (ratio {:.3}, 95 % interval {low:.3} to {high:.3}, better in {} of {} episodes)",
                row.policy, ratio.ratio, ratio.wins, comparison.episodes
            ));
        }
    }
    lines
}
