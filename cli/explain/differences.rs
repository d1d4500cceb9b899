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
    "gain of all",
];

/// The report for people.
pub(super) fn text(question: &Question, report: &Report, style: Style) -> String {
    let mut text = headline(question, report);
    if report.kinds.is_empty() {
        return text + "They decide the same everywhere.\n";
    }
    let mut table = style.table();
    table.set_header(HEADER);
    report.kinds.iter().for_each(|kind| _ = table.add_row(cells(kind, report.rule_mean.value)));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let _ = writeln!(text, "{table}\n");
    text += &balance(report);
    for kind in &report.kinds {
        text += &examples(question, kind, report.rule_mean.value);
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

fn cells(kind: &Kind, rule_mean: f64) -> [String; HEADER.len()] {
    let share = |count: usize| format!("{:.0} %", 100.0 * count as f64 / kind.measured.max(1) as f64);
    let worse = kind.measured - kind.better - kind.same;
    [
        kind.difference.words().to_owned(),
        format!("{} ({:.2} %)", kind.count, 100.0 * kind.share),
        kind.measured.to_string(),
        share(kind.better),
        share(kind.same),
        share(worse),
        percent(kind, &kind.gain, (100.0 / rule_mean, 3)),
        percent(kind, &kind.contribution, (100.0, 2)),
    ]
}

/// With its interval, where more than one episode has such decisions.
fn percent(kind: &Kind, estimate: &Estimate, (scale, digits): (f64, usize)) -> String {
    let show = |value: f64| format!("{:+.digits$}", value * scale);
    let [low, high] = estimate.ci95.map(show);
    match kind.measured_in {
        0 | 1 => format!("{} %", show(estimate.value)),
        _ => format!("{} [{low}, {high}] %", show(estimate.value)),
    }
}

/// Whether the parts make the whole.
fn balance(report: &Report) -> String {
    let sum: f64 = report.kinds.iter().map(|kind| kind.contribution.value).sum();
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
fn examples(question: &Question, kind: &Kind, rule_mean: f64) -> String {
    let show = |word: &str, example: Option<Example>| {
        let Example { episode, decision, gain } = example?;
        let place = format!("--seed {} --episode {episode} --decision {decision}", question.seed);
        Some(format!("{word} {:+.2} % at {place}", 100.0 * gain / rule_mean))
    };
    let best = show("largest gain", kind.best.filter(|best| best.gain > 0.0));
    let worst = show("largest loss", kind.worst.filter(|worst| worst.gain < 0.0));
    let found: Vec<String> = best.into_iter().chain(worst).collect();
    if found.is_empty() {
        String::new()
    } else {
        format!("- {}: {}\n", kind.difference.words(), found.join("; "))
    }
}

fn meaning(question: &Question, report: &Report) -> String {
    let (who, remembers) = match (report.tail, report.tail_remembers) {
        (Tail::Rule, true) => (&report.rule, "with all that it had seen".to_owned()),
        (Tail::Policy, true) => (&report.policy, "with all that it had seen".to_owned()),
        (Tail::Rule, false) => (&report.rule, "but began afresh, for it cannot be copied".to_owned()),
        (Tail::Policy, false) => {
            (&report.policy, "but began afresh, for its prior cannot be copied".to_owned())
        }
    };
    format!(
        "At each measured decision the world was copied, one copy took the policy's decision and the other the rule's, \
         and {who} went on in both, {remembers}, on the future that truly came: what nobody could have known, so that a \
         decision may be right and still lose. Gain: how much lower the {} of the episode came out, in percent of the rule's \
         mean; above 0 the policy was better. No effect: both came to exactly the same, as where two starts of one moment \
         change places. Intervals are 95 % and clustered by episode; each holds for itself.",
        question.objective
    )
}
