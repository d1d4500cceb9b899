//! `yardmaster results`: what frozen policies are worth, measured and written into a README.

mod page;
mod picture;
mod plan;
mod rows;
mod summary;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use yardmaster_agent::registry;
use yardmaster_env::spec::{Scenario, Split};

use crate::args::Results;
use crate::bench::Comparison;
use crate::bench::field::{self, Field, Named};
use crate::bench::journal::Journal;
use crate::bench::source::Source;
use crate::file::text;
use crate::output::Output;
use crate::report;
use page::Page;
use plan::{Entry, Place};

/// The rules that everybody asks about.
const CLASSICAL: [&str; 3] = ["fcfs", "sjf", "wrr"];

/// Runs the command.
pub(crate) fn run(args: &Results) -> Result<()> {
    let out = Table::open(&args.out).context("--out")?;
    let summary = args.summary.as_deref().map(Table::open).transpose().context("--summary")?;
    let svg = args.svg.as_deref().map(Output::open).transpose()?;
    let rows = args.rows.as_deref().map(rows::Folder::open).transpose()?;
    let entries = plan::entries(args)?;
    let places = plan::places(&entries)?;
    let search = args.search.iter().map(|path| rows::read(path)).collect::<Result<Vec<_>>>()?.concat();
    let journal = Journal::beside(&args.out)?;

    let validation = validate(args, &places, &journal)?;
    let best: Vec<String> = validation.iter().map(best_rule).collect::<Result<_>>()?;
    let test = test(args, &places, &best, &journal)?;

    let page = Page { args, entries: &entries, places: &places, best: &best, test: &test, search: &search };
    let table = page.text()?;
    if let Some(rows) = rows {
        rows.write(&validation, &test, &table)?;
    }
    if let Some(svg) = svg {
        svg.write(picture::picture(&page))?;
    }
    out.write(&table)?;
    if let Some(summary) = summary {
        summary.write(&summary::text(&page)?)?;
    }
    journal.remove()?;
    let failed: Vec<String> = (test.iter().flat_map(|comparison| comparison.failed.iter()))
        .map(|failure| format!("{}: {}", failure.policy, failure.why))
        .collect();
    ensure!(
        failed.is_empty(),
        "{} failed, the table is complete otherwise: {}",
        failed.len(),
        failed.join("; ")
    );
    Ok(())
}

/// A page with a place for a table.
struct Table {
    path: PathBuf,
    out: Output,
}

impl Table {
    /// Checks now that the page has a place, before anything is played.
    fn open(path: &Path) -> Result<Table> {
        read(path)?;
        Ok(Table { path: path.to_owned(), out: Output::open(path)? })
    }

    /// Writes the table into the page as it is now: somebody may have written in it since.
    fn write(self, table: &str) -> Result<()> {
        self.out.write(page::replaced(&read(&self.path)?, table)?)
    }
}

/// The text of a page that has a place for a table.
fn read(path: &Path) -> Result<String> {
    let page = text(path)?;
    page::check(&page).with_context(|| path.display().to_string())?;
    Ok(page)
}

/// Every rule on validation episodes of each scenario.
fn validate(args: &Results, places: &[Place], journal: &Journal) -> Result<Vec<Comparison>> {
    let field = |place: &Place| {
        let seeds = (0..args.validation).map(|number| Split::Validation.seed(args.seed, number)).collect();
        Field::new(Named { policies: "all", checkpoints: &[] }, source(&place.scenario), seeds, Some(&[]))
    };
    play(places.iter().map(field).collect::<Result<_>>()?, args, journal, "validation")
}

fn best_rule(validation: &Comparison) -> Result<String> {
    let best = report::best_rule(validation);
    let best =
        best.with_context(|| format!("no rule came through the validation of {}", validation.scenario))?;
    Ok(best.policy.clone())
}

/// The policies, the classical rules and the best one on test episodes of each scenario.
fn test(args: &Results, places: &[Place], best: &[String], journal: &Journal) -> Result<Vec<Comparison>> {
    let field = |(place, best): (&Place, &String)| {
        let seeds = (0..args.episodes).map(|number| Split::Test.seed(args.seed, number)).collect();
        let policies = rivals(&place.scenario, best)?.join(",");
        let named = Named { policies: &policies, checkpoints: &place.checkpoints };
        Field::new(named, source(&place.scenario), seeds, Some(&[]))
    };
    play(places.iter().zip(best).map(field).collect::<Result<_>>()?, args, journal, "test")
}

fn source(scenario: &Scenario) -> Source {
    Source::Scenario(Box::new(scenario.clone()))
}

/// The classical rules, as far as they make sense in the scenario, and the best one.
fn rivals(scenario: &Scenario, best: &str) -> Result<Vec<String>> {
    let standard = registry::standard(&scenario.world(Split::Test.seed(0, 0))?);
    let classical = CLASSICAL.into_iter().filter(|rule| standard.contains(rule) && *rule != best);
    Ok(classical.chain([best]).map(str::to_owned).collect())
}

fn play(fields: Vec<Field>, args: &Results, journal: &Journal, what: &str) -> Result<Vec<Comparison>> {
    let begin = Instant::now();
    let times = field::play(&fields, journal)?;
    eprintln!("{what}: {}", field::tell_times(&fields, &times, begin.elapsed()));
    Ok(fields.iter().map(|field| field.comparison(args.seed)).collect())
}

/// A file as it is written in a page: a link where it lies in the page's folder, which is where it is kept.
fn reference(page: &Path, file: &Path) -> String {
    let folder = page.parent().unwrap_or(Path::new(""));
    match file.strip_prefix(folder) {
        Ok(inside) => format!("[`{0}`]({0})", inside.display()),
        Err(_) => format!("`{}`", file.display()),
    }
}

/// What the card of an entry says, for its row.
fn origin(entry: &Entry) -> &yardmaster_agent::frozen::Origin {
    &entry.frozen.card().origin
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_in_a_page_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("README.md");
        let place = "<!-- table -->\n<!-- end of table -->\n";
        fs::write(&path, place).unwrap();
        let table = Table::open(&path).unwrap();
        fs::write(&path, format!("# New\n{place}")).unwrap();
        table.write("| a |").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# New\n") && text.contains("\n| a |\n"), "{text}");

        let table = Table::open(&path).unwrap();
        fs::write(&path, "# New\n").unwrap();
        let error = table.write("| b |").unwrap_err();
        assert!(format!("{error:#}").contains("README.md"), "{error:#}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "# New\n");
    }
}
