//! The table for those who pass by: a row for each scenario that has a policy of its own.

use anyhow::Result;

use super::CLASSICAL;
use super::page::{Page, row, row_of, short};
use super::plan::Entry;
use crate::bench::Comparison;
use crate::report::Style;
use crate::summary::number;

/// The table, in Markdown: policies of one scenario by row, policies of several by column.
pub(super) fn text(page: &Page<'_>) -> Result<String> {
    let several: Vec<&Entry> = page.entries.iter().filter(|entry| !entry.is_own()).collect();
    let mut table = Style::Markdown.table();
    let header = ["policy", "objective", "mean", "best rule", "/ best rule", "won"].map(str::to_owned);
    let classical = CLASSICAL.map(|rule| format!("/ {rule}"));
    let columns = several.iter().map(|entry| format!("{} / best rule", entry.name));
    table.set_header(header.into_iter().chain(classical).chain(["/ search".to_owned()]).chain(columns));
    for (entry, at) in page.each().filter(|(entry, _)| entry.is_own()) {
        let (test, best) = (&page.test[at], &page.best[at]);
        let mut cells = vec![format!("`{}`", entry.name), format!("{} [{}]", test.objective, test.unit)];
        cells.extend(own(page, entry, test, best)?);
        cells.extend(several.iter().map(|other| against(test, &other.name, best)));
        table.add_row(cells);
    }
    Ok(format!("{table}\n"))
}

/// What a policy is worth in its scenario.
fn own(page: &Page<'_>, entry: &Entry, test: &Comparison, best: &str) -> Result<Vec<String>> {
    let rule = row_of(test, best)?;
    let rule = format!("`{}`", rule.tuned.as_ref().unwrap_or(&rule.policy));
    let Some(row) = row(test, &entry.name) else {
        let mut cells = vec!["FAILED".to_owned(), rule];
        cells.resize(5 + CLASSICAL.len(), "-".to_owned());
        return Ok(cells);
    };
    let won = row.ratio_to.get(best).map_or(0, |ratio| ratio.wins);
    let mut cells =
        vec![number(row.mean), rule, against(test, &entry.name, best), format!("{won} of {}", test.episodes)];
    cells.extend(CLASSICAL.map(|rule| plain(test, &entry.name, rule)));
    cells.push(page.look_ahead(row, test));
    Ok(cells)
}

/// A policy's ratio to a rule, bold where all of the interval is below 1; `-` where one of them did not play.
fn against(test: &Comparison, policy: &str, rule: &str) -> String {
    let text = plain(test, policy, rule);
    let is_better =
        row(test, policy).and_then(|row| row.ratio_to.get(rule)).is_some_and(|ratio| ratio.ci95[1] < 1.0);
    if is_better { format!("**{text}**") } else { text }
}

fn plain(test: &Comparison, policy: &str, rule: &str) -> String {
    let ratio = row(test, policy).and_then(|row| row.ratio_to.get(rule));
    ratio.map_or("-".to_owned(), |ratio| short(ratio.ratio, ratio.ci95))
}
