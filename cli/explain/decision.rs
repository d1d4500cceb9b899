//! One decision as text.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table};
use yardmaster_agent::explain::moment::{Choice, Explained, Other, Share, State, Why};

use super::Question;
use crate::columns::wrapped;
use crate::report::Style;
use crate::summary::{number, time};

/// Features named on each side of a candidate.
const SIDE: usize = 3;

const MEANING: &str = "A share is what a feature adds to the logarithm of a candidate's probability, told after the others \
    in random order (Shapley value), against the mean that it had in training. The shares of a feature count for all rows \
    at once, so that a candidate's own value speaks for it by how it compares with the others'. `prior.choice` is the \
    raise of the rule's own candidate.";

/// The decision for people.
pub(super) fn text(question: &Question, episode: u64, told: &Explained, top: usize, style: Style) -> String {
    let Question { policy, scenario, seed, trained_in, .. } = question;
    let mut text = format!(
        "{policy} in {scenario}, test seed {seed}, episode {episode}, decision {} at {}",
        told.decision,
        time(told.now_s)
    );
    if trained_in != scenario {
        let _ = write!(text, " (trained in {trained_in})");
    }
    text += "\n\n";
    cluster(&mut text, &told.state, style);
    candidates(&mut text, told, top, style);
    told.others.iter().for_each(|other| witness(&mut text, question, other));
    text += "\n";
    if let Some(why) = &told.why {
        contrast(&mut text, &told.options[0], why, top, style);
    }
    sides(&mut text, told, top);
    let meaning = format!("{MEANING} Standard error of a share: at most {}.", number(told.share_error));
    text + &match style {
        Style::Terminal => wrapped(&meaning, 110, 0),
        Style::Markdown => format!("{meaning}\n"),
    }
}

fn cluster(text: &mut String, state: &State, style: Style) {
    let mut table = style.table();
    table.set_header(["devices", "all", "free", "next release in"]);
    for kind in &state.kinds {
        table.add_row([
            kind.kind.clone(),
            kind.devices.to_string(),
            kind.free.to_string(),
            kind.next_release_s.map_or("-".to_owned(), time),
        ]);
    }
    right(&mut table, 1);
    let _ = writeln!(text, "{table}\n");
    let State { waiting_jobs, waiting_requests, oldest_s, running, arrived, .. } = state;
    let mut waiting = Vec::new();
    if *waiting_jobs > 0 {
        waiting.push(format!("{waiting_jobs} jobs"));
    }
    if *waiting_requests > 0 {
        waiting.push(format!("{waiting_requests} requests"));
    }
    let what = if waiting.is_empty() { "nothing".to_owned() } else { waiting.join(" and ") };
    let _ = writeln!(
        text,
        "Waiting: {what}, since {} at most. Running: {running}. Arrived so far: {arrived}.\n",
        time(*oldest_s)
    );
}

fn candidates(text: &mut String, told: &Explained, top: usize, style: Style) {
    let mut table = style.table();
    table.set_header(["probability", "logit", "candidate", "chosen by"]);
    let by = |option: &Choice| {
        let others = told.others.iter().filter(|other| other.action == Some(option.action));
        let roles = others.map(|other| other.role.as_str());
        let own = (option.action == told.options[0].action).then_some("policy");
        own.into_iter().chain(roles).collect::<Vec<_>>().join(", ")
    };
    // What a rule would do is shown, however improbable.
    let shown = |(at, option): &(usize, &Choice)| *at < top || !by(option).is_empty();
    let rows: Vec<&Choice> =
        told.options.iter().enumerate().filter(shown).map(|(_, option)| option).collect();
    for option in &rows {
        table.add_row([
            format!("{:.2} %", 100.0 * option.probability),
            format!("{:.3}", option.logit),
            option.act.to_string(),
            by(option),
        ]);
    }
    table.column_iter_mut().take(2).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    let _ = writeln!(text, "{table}\n");
    let left = told.options.len() - rows.len();
    if left > 0 {
        let rest = 1.0 - rows.iter().map(|option| option.probability).sum::<f64>();
        let _ = writeln!(text, "{left} more candidates share {:.2} %.\n", 100.0 * rest.max(0.0));
    }
}

fn witness(text: &mut String, question: &Question, other: &Other) {
    let Other { role, policy, act, action, difference } = other;
    let who = match role.as_str() {
        "rule" => format!("The rule {policy} ({})", question.rule_is),
        _ => format!("The prior {policy}"),
    };
    let verdict =
        difference.map_or("the same".to_owned(), |difference| format!("the policy {}", difference.words()));
    let listed = if action.is_none() { "; that is not among the candidates" } else { "" };
    let _ = writeln!(text, "- {who} would: {act} ({verdict}{listed}).");
}

fn contrast(text: &mut String, chosen: &Choice, why: &Why, top: usize, style: Style) {
    let _ = writeln!(
        text,
        "Why \"{}\" rather than \"{}\": its logit is higher by {:.3}, {:+.3} of which are there before anything is told.\n",
        chosen.act, why.act, why.margin, why.baseline
    );
    let mut table = style.table();
    table.set_header(["feature", "chosen", "other", "adds"]);
    let value = |value: Option<f32>| value.map_or("-".to_owned(), |value| number(f64::from(value)));
    for contrast in why.features.iter().take(top) {
        let adds = format!("{:+.3}", contrast.share);
        table.add_row([contrast.feature.clone(), value(contrast.chosen), value(contrast.other), adds]);
    }
    let rest = why.features.get(top..).unwrap_or_default();
    if !rest.is_empty() {
        let sum: f64 = rest.iter().map(|contrast| contrast.share).sum();
        table.add_row([format!("{} others", rest.len()), String::new(), String::new(), format!("{sum:+.3}")]);
    }
    right(&mut table, 1);
    let _ = writeln!(text, "{table}\n");
}

/// What speaks for and against each of the first candidates.
fn sides(text: &mut String, told: &Explained, top: usize) {
    for option in told.options.iter().take(top) {
        let side = |for_it: bool| {
            let mine = option.features.iter().filter(|share| (share.share > 0.0) == for_it).take(SIDE);
            let named: Vec<String> = mine.map(named).collect();
            if named.is_empty() { "nothing".to_owned() } else { named.join("; ") }
        };
        let _ = writeln!(text, "- {} ({:.2} %)", option.act, 100.0 * option.probability);
        let _ = writeln!(text, "    - for it: {}", side(true));
        let _ = writeln!(text, "    - against it: {}", side(false));
    }
    text.push('\n');
}

fn named(share: &Share) -> String {
    let value = share.value.map_or_else(String::new, |value| format!(" = {}", number(f64::from(value))));
    format!("{}{value} ({:+.2})", share.feature, share.share)
}

fn right(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
