//! A comparison as one page with pictures, which needs no network and no script.

mod cells;
mod pictures;
mod scenario;

use std::fmt::Write;

use crate::bench::Comparison;
use crate::bench::field::Field;
use crate::report::{MEANING, best_rule, interval, is_rule, ranked, ratio_text};
use crate::summary::number;

const STYLE: &str = include_str!("html/style.css");

/// The page.
pub(crate) fn page(fields: &[Field], comparisons: &[Comparison]) -> String {
    let mut body = head(comparisons);
    if comparisons.len() > 1 {
        body += &overview(comparisons);
    }
    let pictures = pictures::all(fields, comparisons);
    for (at, (comparison, pictures)) in comparisons.iter().zip(&pictures).enumerate() {
        body += &scenario::section(at, comparison, pictures, comparisons.len() == 1);
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>Yardmaster: policies compared</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// Text that means nothing to a browser.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn head(comparisons: &[Comparison]) -> String {
    let plays: usize = comparisons.iter().map(|one| one.policies.len() * one.episodes as usize).sum();
    let seed = comparisons.first().map_or(0, |one| one.seed);
    let scenarios = comparisons.len();
    let mut text = format!(
        "<header>\n<h1>Policies compared</h1>\n<p class=\"soft\">{scenarios} scenario{}, {plays} runs, seed {seed}. \
         The smaller the objective, the better.</p>\n</header>\n<main>\n<p class=\"meaning\">{}</p>\n",
        if scenarios == 1 { "" } else { "s" },
        escape(MEANING)
    );
    if scenarios > 1 {
        text += "<nav>";
        for (at, comparison) in comparisons.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(text, "<a href=\"#s{at}\">{}</a>", escape(&comparison.scenario));
        }
        text += "</nav>\n";
    }
    text
}

/// A row for each scenario: who is best, and who cannot be told from it.
fn overview(comparisons: &[Comparison]) -> String {
    let learned_any = comparisons.iter().any(|one| !learned(one).is_empty());
    let failed_any = comparisons.iter().any(|one| !one.failed.is_empty());
    let mut text = String::from(
        "<section class=\"card\"><h2>Overview</h2><div class=\"scroll\"><table><thead><tr><th>scenario</th>\
         <th class=\"left\">objective</th><th class=\"left\">best rule</th><th>mean</th><th>95 % interval</th>\
         <th class=\"left\">not significantly different</th>",
    );
    let further = [(learned_any, "learned / best rule"), (failed_any, "failed")];
    for (_, title) in further.iter().filter(|(any, _)| *any) {
        let _ = write!(text, "<th class=\"left\">{title}</th>");
    }
    text += "</tr></thead><tbody>\n";
    for (at, comparison) in comparisons.iter().enumerate() {
        let best = best_rule(comparison);
        let mut cells = vec![
            format!("<td><a href=\"#s{at}\">{}</a></td>", escape(&comparison.scenario)),
            format!("<td class=\"left\">{} [{}]</td>", comparison.objective, comparison.unit),
            format!("<td class=\"left\"><b>{}</b></td>", best.map_or("-".into(), |row| escape(&row.policy))),
            format!("<td>{}</td>", best.map_or("-".into(), |row| number(row.mean))),
            format!("<td>{}</td>", best.map_or("-".into(), |row| interval(row, comparison))),
            format!("<td class=\"wrap\">{}</td>", escape(&same_as_best(comparison))),
        ];
        if learned_any {
            cells.push(format!("<td class=\"left\">{}</td>", learned(comparison)));
        }
        if failed_any {
            let failed: Vec<&str> = comparison.failed.iter().map(|failure| failure.policy.as_str()).collect();
            cells.push(format!("<td class=\"left failed\">{}</td>", escape(&failed.join(", "))));
        }
        let _ = writeln!(text, "<tr>{}</tr>", cells.concat());
    }
    text + "</tbody></table></div></section>\n"
}

fn same_as_best(comparison: &Comparison) -> String {
    let Some(best) = best_rule(comparison) else { return String::new() };
    let same = ranked(comparison)
        .into_iter()
        .filter(|row| row.ratio_to.get(&best.policy).is_some_and(|ratio| !ratio.significant));
    same.map(|row| row.policy.as_str()).collect::<Vec<_>>().join(", ")
}

/// Each learned policy against the best rule.
fn learned(comparison: &Comparison) -> String {
    let Some(best) = best_rule(comparison) else { return String::new() };
    let learned = comparison.policies.iter().filter(|row| !is_rule(row));
    let lines = learned.filter_map(|row| {
        let ratio = row.ratio_to.get(&best.policy)?;
        Some(format!("{} {}", escape(&row.policy), ratio_text(ratio, comparison.episodes > 1)))
    });
    lines.collect::<Vec<_>>().join("<br/>")
}
