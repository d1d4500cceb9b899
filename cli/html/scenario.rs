//! The section of one scenario.

use std::fmt::Write;

use serde_json::Value;
use yardmaster_agent::comparison::{Ratio, Row};

use super::cells::{Bars, Ratios};
use super::escape;
use super::pictures::Pictures;
use crate::bench::Comparison;
use crate::report::{self, best_rule, headline, interval, is_rule, ranked, ratio_text};
use crate::summary::{number, time};

/// Table, notes, pictures and all measures; `open` where it is the only one.
pub(super) fn section(at: usize, comparison: &Comparison, pictures: &Pictures, open: bool) -> String {
    let best = best_rule(comparison).map_or(String::new(), |row| {
        format!("<span class=\"soft\">best rule <b>{}</b></span>", escape(&row.policy))
    });
    let title = headline(comparison);
    let about = title.split_once(": ").map_or("", |(_, rest)| rest);
    let mut text = format!(
        "<details class=\"scenario card\"{}><summary><h2>{}</h2><span class=\"soft\">{}</span>{best}</summary>\n\
         <div class=\"anchor\" id=\"s{at}\"></div>\n",
        if open { " open=\"\"" } else { "" },
        escape(&comparison.scenario),
        escape(about)
    );
    text += &table(comparison);
    text += &notes(comparison);
    text += &pictures.html();
    text += &measures(comparison);
    text + "</details>\n"
}

fn table(comparison: &Comparison) -> String {
    let rows = ranked(comparison);
    let best = best_rule(comparison);
    let many = comparison.episodes > 1;
    let against = |row: &Row| best.and_then(|best| row.ratio_to.get(&best.policy).copied());
    let ratios: Vec<_> = rows.iter().filter_map(|row| against(row)).collect();
    let (bars, scale) = (Bars::new(rows.iter().copied()), Ratios::new(ratios.iter()));
    let of_best = best.map_or("-".into(), |row| escape(&row.policy));
    let mut text = format!(
        "<div class=\"scroll\"><table><thead><tr><th>policy</th><th>mean [{}]</th>\
         <th class=\"left\">with 95 % interval</th><th>ratio to {of_best}</th><th class=\"left\">below 1 is better</th>\
         <th class=\"left\">verdict</th><th>won</th><th>p50</th><th>p90</th><th>p99</th><th>worst</th>\
         <th>longest wait</th></tr></thead><tbody>\n",
        comparison.unit
    );
    for row in rows {
        let class = match (is_rule(row), best.is_some_and(|best| best.policy == row.policy)) {
            (false, _) => " class=\"learned\"",
            (true, true) => " class=\"best\"",
            (true, false) => "",
        };
        let ratio = against(row);
        let cells = [
            format!("<td>{}</td>", escape(&row.policy)),
            format!("<td>{}</td>", number(row.mean)),
            format!("<td title=\"{}\">{}</td>", interval(row, comparison), bars.draw(row)),
            format!("<td>{}</td>", ratio.map_or("-".into(), |ratio| ratio_text(&ratio, many))),
            format!("<td>{}</td>", ratio.map_or(String::new(), |ratio| scale.draw(&ratio))),
            format!("<td class=\"left\">{}</td>", verdict(ratio, many)),
            format!("<td>{}</td>", ratio.map_or("-".into(), |ratio| ratio.wins.to_string())),
            [row.p50, row.p90, row.p99, row.worst]
                .map(|value| format!("<td>{}</td>", number(value)))
                .concat(),
            format!("<td>{}</td>", time(row.longest_wait_s)),
        ];
        let _ = writeln!(text, "<tr{class}>{}</tr>", cells.concat());
    }
    for failure in &comparison.failed {
        let (policy, why) = (escape(&failure.policy), escape(&failure.why));
        let _ = writeln!(
            text,
            "<tr><td class=\"failed\">{policy}</td><td class=\"left failed\" colspan=\"11\">failed in episode {} (seed {}): {why}</td></tr>",
            failure.episode, failure.seed
        );
    }
    text + "</tbody></table></div>\n"
}

/// Whether a policy is better than the best rule, as a label.
fn verdict(ratio: Option<Ratio>, many: bool) -> &'static str {
    match ratio {
        None => "best rule",
        Some(_) if !many => "-",
        Some(ratio) if !ratio.significant => "<span class=\"tag\">not significant</span>",
        Some(ratio) if ratio.ratio < 1.0 => "<span class=\"tag better\">better</span>",
        Some(_) => "<span class=\"tag worse\">worse</span>",
    }
}

fn notes(comparison: &Comparison) -> String {
    let mut text = String::from("<ul class=\"notes\">");
    for note in report::notes(comparison) {
        let _ = write!(text, "<li>{}</li>", escape(&note));
    }
    text + "</ul>\n"
}

/// Every measure of every policy, best policy first; folded away.
fn measures(comparison: &Comparison) -> String {
    let names = report::measures();
    let mut text = String::from(
        "<details class=\"more\"><summary>All measures (means over episodes)</summary>\n<div class=\"scroll\"><table><thead><tr><th>measure</th>",
    );
    let rows = ranked(comparison);
    for row in &rows {
        let _ = write!(text, "<th>{}</th>", escape(&row.policy));
    }
    text += "</tr></thead><tbody>\n";
    let values: Vec<Vec<(String, Value)>> = rows.iter().map(|row| report::fields(&row.metrics)).collect();
    for (at, name) in names.iter().enumerate() {
        let kinds = values.first().and_then(|fields| fields[at].1.as_object());
        match kinds {
            Some(kinds) => {
                for kind in kinds.keys() {
                    let of = |fields: &Vec<(String, Value)>| fields[at].1.get(kind).and_then(Value::as_f64);
                    text += &line(&format!("utilization of {kind}"), values.iter().map(of));
                }
            }
            None => text += &line(name, values.iter().map(|fields| fields[at].1.as_f64())),
        }
    }
    text += &line("longest_wait_s (any episode)", rows.iter().map(|row| Some(row.longest_wait_s)));
    text + "</tbody></table></div></details>\n"
}

fn line(name: &str, values: impl Iterator<Item = Option<f64>>) -> String {
    let cells = values.map(|value| format!("<td>{}</td>", value.map_or("-".into(), number)));
    format!("<tr><td>{}</td>{}</tr>\n", escape(name), cells.collect::<String>())
}
