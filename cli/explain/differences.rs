//! Where a policy differs from a rule, as text.

use std::fmt::Write;

use comfy_table::CellAlignment;
use yardmaster_agent::explain::gain::{Example, Kind, Report, Tail};
use yardmaster_agent::stats::Estimate;

use super::Question;
use crate::columns::wrapped;
use crate::report::Style;
use crate::summary::number;

const HEADER: [&str; 8] = [
    "what differs",
    "decisions",
    "measured",
    "better",
    "no effect",
    "worse",
    "gain a decision",
    "all together, % of the rule's mean",
];

/// The report for people.
pub(super) fn text(question: &Question, report: &Report, style: Style) -> String {
    let mut text = headline(question, report);
    if report.kinds.is_empty() {
        return text + "They decide the same everywhere.\n";
    }
    let mut table = style.table();
    table.set_header(HEADER);
    report.kinds.iter().for_each(|kind| _ = table.add_row(cells(kind)));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let _ = writeln!(text, "{table}\n");
    text += &balance(report);
    for kind in &report.kinds {
        text += &examples(question, kind);
    }
    let meaning = meaning(question, report);
    text + "\n"
        + &match style {
            Style::Terminal => wrapped(&meaning, 110, 0),
            Style::Markdown => format!("{meaning}\n"),
        }
}

fn headline(question: &Question, report: &Report) -> String {
    let Question { policy, scenario, trained_in, seed, objective, unit, rule, rule_is } = question;
    let mut text = format!(
        "{policy} against {rule} ({rule_is}) in {scenario}: {objective} [{unit}], {} test episodes (seed {seed})\n",
        report.episodes
    );
    if trained_in != scenario {
        let _ = writeln!(text, "{policy} was trained in {trained_in}.");
    }
    let [low, high] = report.ratio.ci95;
    let _ = writeln!(
        text,
        "Means {} and {}, ratio {:.4} [{low:.4}, {high:.4}]. {} of {} decisions differ ({:.1} %).\n",
        number(report.policy_mean.value),
        number(report.rule_mean.value),
        report.ratio.value,
        report.differing,
        report.decisions,
        100.0 * report.differing as f64 / report.decisions.max(1) as f64
    );
    text
}

fn cells(kind: &Kind) -> [String; HEADER.len()] {
    let share = |count: usize| format!("{:.0} %", 100.0 * count as f64 / kind.measured.max(1) as f64);
    let worse = kind.measured - kind.better - kind.same;
    [
        kind.difference.words().to_owned(),
        format!("{} ({:.2} %)", kind.count, 100.0 * kind.share),
        kind.measured.to_string(),
        share(kind.better),
        share(kind.same),
        share(worse),
        kind.gain.map_or("-".to_owned(), |gain| interval(&gain, number)),
        kind.contribution.map_or("-".to_owned(), |all| interval(&all, |value| format!("{:+.2}", 100.0 * value))),
    ]
}

fn interval(estimate: &Estimate, show: impl Fn(f64) -> String) -> String {
    let [low, high] = estimate.ci95.map(&show);
    format!("{} [{low}, {high}]", show(estimate.value))
}

/// Whether the parts make the whole.
fn balance(report: &Report) -> String {
    let parts = report.kinds.iter().filter_map(|kind| kind.contribution);
    let sum: f64 = parts.map(|part| part.value).sum();
    let whole = 1.0 - report.ratio.value;
    let told = match report.tail {
        Tail::Rule => "the difference is chance of the sample",
        Tail::Policy => "with the policy as tail they need not agree",
    };
    format!(
        "The parts add up to {:+.2} % of the rule's mean, the policy's whole gain is {:+.2} %; {told}.\n\n",
        100.0 * sum,
        100.0 * whole
    )
}

/// The commands that show the extremes.
fn examples(question: &Question, kind: &Kind) -> String {
    let show = |word: &str, example: Option<Example>| {
        let Example { episode, decision, gain } = example?;
        let where_ = format!("--seed {} --episode {episode} --decision {decision}", question.seed);
        Some(format!("{word} {} at {where_}", number(gain)))
    };
    let best = show("largest gain", kind.best.filter(|best| best.gain > 0.0));
    let worst = show("largest loss", kind.worst.filter(|worst| worst.gain < 0.0));
    let found: Vec<String> = best.into_iter().chain(worst).collect();
    if found.is_empty() { String::new() } else { format!("- {}: {}\n", kind.difference.words(), found.join("; ")) }
}

fn meaning(question: &Question, report: &Report) -> String {
    let (who, remembers) = match (report.tail, report.tail_remembers) {
        (Tail::Rule, true) => (&report.rule, "with all that it had seen".to_owned()),
        (Tail::Policy, true) => (&report.policy, "with all that it had seen".to_owned()),
        (Tail::Rule, false) => (&report.rule, "but began afresh, for it cannot be copied".to_owned()),
        (Tail::Policy, false) => (&report.policy, "but began afresh, for its prior cannot be copied".to_owned()),
    };
    format!(
        "At each measured decision the world was copied, one copy took the policy's decision and the other the rule's, \
         and {who} went on in both, {remembers}, on the future that truly came: what nobody could have known, so that a \
         decision may be right and still lose. Gain: how much lower the {} of the episode came out [{}]; above 0 the policy \
         was better. Intervals are 95 % and clustered by episode; each holds for itself.",
        question.objective, question.unit
    )
}
