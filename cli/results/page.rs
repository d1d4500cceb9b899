//! The table of a README: how each policy did, where it comes from, and how to check that.

use anyhow::{Context, Result, bail};
use yardmaster_agent::comparison::{Ratio, Row, Verdict};
use yardmaster_agent::stats::{Estimate, paired_ratio};

use super::plan::{Entry, Place};
use super::{CLASSICAL, origin, reference};
use crate::args::Results;
use crate::bench::Comparison;
use crate::report::Style;
use crate::summary::number;

/// The table stands below the first line with this mark and above the first with the other.
const BEGIN: &str = "<!-- table";
const END: &str = "<!-- end of table -->";

/// All that the table is made of.
pub(super) struct Page<'a> {
    pub(super) args: &'a Results,
    pub(super) entries: &'a [Entry],
    pub(super) places: &'a [Place],
    /// (places): the best rule in validation.
    pub(super) best: &'a [String],
    /// (places): the comparison on test episodes.
    pub(super) test: &'a [Comparison],
    /// Rows that hold look-ahead.
    pub(super) search: &'a [Comparison],
}

/// Refuses a page that has no place for a table.
pub(super) fn check(page: &str) -> Result<()> {
    replaced(page, "").map(|_| ())
}

/// The page with another table.
pub(super) fn replaced(page: &str, table: &str) -> Result<String> {
    let lines: Vec<&str> = page.lines().collect();
    let find = |mark: &str| lines.iter().position(|line| line.trim_start().starts_with(mark));
    let (Some(begin), Some(end)) = (find(BEGIN), find(END)) else {
        bail!(
            "the page has no line `{BEGIN} -->` with a line `{END}` below it: add both where the table is to stand"
        );
    };
    if end < begin {
        bail!("the line `{END}` stands above the line `{BEGIN}`: exchange them");
    }
    let join = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    Ok(format!("{}\n{}\n\n{}", join(&lines[..=begin]), table.trim(), join(&lines[end..])))
}

impl Page<'_> {
    /// The tables, in Markdown.
    pub(super) fn text(&self) -> Result<String> {
        let Results { episodes, validation, seed, .. } = self.args;
        let mut text = format!(
            "{episodes} test episodes a scenario (seed {seed}), the same for all; lower is better. Ratios are those of the means, with \
             paired 95 % intervals. The best rule is the one with the lowest mean on {validation} validation episodes, all \
             rules with tuned parameters. *Better*: the interval lies below 1; *not worse*: it excludes a loss above 1 %; \
             *undecided*: it does neither; *WORSE*: it lies above 1.\n\n"
        );
        text += &self.verdicts()?;
        text += "\n";
        text += &self.origins();
        text += &self.notes();
        Ok(text)
    }

    /// Each policy in each of its scenarios, by place.
    pub(super) fn each(&self) -> impl Iterator<Item = (&Entry, usize)> {
        let plays = |entry: &Entry, place: &Place| {
            let digest = place.scenario.digest();
            entry.scenarios.iter().any(|scenario| scenario.digest() == digest)
        };
        (0..self.places.len()).flat_map(move |at| {
            let mine = self.entries.iter().filter(move |entry| plays(entry, &self.places[at]));
            mine.map(move |entry| (entry, at))
        })
    }

    /// Each policy that came through, where it played, and how it stands against the best rule there.
    pub(super) fn ratios(&self) -> impl Iterator<Item = (&Entry, &Comparison, &Ratio)> {
        self.each().filter_map(|(entry, at)| {
            let test = &self.test[at];
            Some((entry, test, row(test, &entry.name)?.ratio_to.get(&self.best[at])?))
        })
    }

    fn verdicts(&self) -> Result<String> {
        let mut table = Style::Markdown.table();
        let classical = CLASSICAL.map(|rule| format!("/ {rule}"));
        let header =
            ["policy", "scenario", "objective", "mean", "p99", "best rule", "its mean", "/ best rule", "won"];
        let header = header.into_iter().map(str::to_owned).chain(classical);
        table.set_header(header.chain(["/ search".to_owned(), "verdict".to_owned()]));
        for (entry, at) in self.each() {
            table.add_row(self.verdict(entry, at)?);
        }
        Ok(format!("{table}\n"))
    }

    /// A row: the policy against each rule.
    fn verdict(&self, entry: &Entry, at: usize) -> Result<Vec<String>> {
        let (test, best) = (&self.test[at], &self.best[at]);
        let name = format!("`{}`", entry.name);
        let objective = format!("{} [{}]", test.objective, test.unit);
        let Some(row) = row(test, &entry.name) else {
            let failure = test.failed.iter().find(|failure| failure.policy == entry.name);
            let why = failure.map_or("it did not play", |failure| failure.why.as_str());
            let mut cells = vec![name, test.scenario.clone(), objective];
            cells.resize(8 + CLASSICAL.len() + 2, "-".to_owned());
            cells.push(format!("FAILED: {why}"));
            return Ok(cells);
        };
        let rule = row_of(test, best)?;
        let ratio = row.ratio_to.get(best).context("every policy is compared with the best rule")?;
        let against = |rule: &str| {
            row.ratio_to.get(rule).map_or("-".to_owned(), |ratio| short(ratio.ratio, ratio.ci95))
        };
        let mut cells = vec![
            name,
            test.scenario.clone(),
            objective,
            number(row.mean),
            number(row.p99),
            format!("`{}`", rule.tuned.as_ref().unwrap_or(&rule.policy)),
            number(rule.mean),
            format!("**{}**", short(ratio.ratio, ratio.ci95)),
            format!("{} of {}", ratio.wins, test.episodes),
        ];
        cells.extend(CLASSICAL.map(against));
        cells.push(self.look_ahead(row, test));
        cells.push(words(ratio));
        Ok(cells)
    }

    /// The policy against the best look-ahead on the episodes that both have played.
    pub(super) fn look_ahead(&self, row: &Row, test: &Comparison) -> String {
        let same =
            |other: &&Comparison| (&other.scenario_digest, other.seed) == (&test.scenario_digest, test.seed);
        let searches = self.search.iter().filter(same).flat_map(|other| &other.policies);
        // With the truth in its hands it is no rival.
        let fair = |other: &&Row| {
            let name = other.tuned.as_ref().unwrap_or(&other.policy);
            name.starts_with("search") && !name.contains("clairvoyant=1")
        };
        let both = |other: &Row| -> Option<(Estimate, usize)> {
            let count = other.per_episode.len().min(row.per_episode.len());
            (count > 1).then(|| (paired_ratio(&row.per_episode[..count], &other.per_episode[..count]), count))
        };
        let hardest =
            |one: &(Estimate, usize), other: &(Estimate, usize)| one.0.value.total_cmp(&other.0.value);
        match searches.filter(fair).filter_map(both).max_by(hardest) {
            Some((ratio, count)) => format!("{} ({count})", short(ratio.value, ratio.ci95)),
            None => "-".to_owned(),
        }
    }

    /// Where each policy comes from, and how to check what is said of it.
    fn origins(&self) -> String {
        let mut table = Style::Markdown.table();
        let header = ["file", "training seed", "decisions", "CPU time", "trained with", "judged with"];
        table.set_header(header);
        for entry in self.entries {
            let origin = origin(entry);
            let cpu_s = origin.benchmark["training_cpu_s"].as_f64();
            table.add_row([
                reference(&self.args.out, &entry.path),
                origin.seed.to_string(),
                origin.steps.to_string(),
                cpu_s.map_or("not recorded".to_owned(), |seconds| format!("{:.1} min", seconds / 60.0)),
                format!("`{}`", program(&origin.command)),
                self.command(entry),
            ]);
        }
        format!("{table}\n")
    }

    /// The commands that give the rows of a policy again: one for all scenarios with the same rules.
    fn command(&self, entry: &Entry) -> String {
        let Results { episodes, seed, .. } = self.args;
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for (_, at) in self.each().filter(|(other, _)| other.path == entry.path) {
            let classical = CLASSICAL.into_iter().filter(|rule| row(&self.test[at], rule).is_some());
            let best = self.best[at].as_str();
            let rules = classical.filter(|rule| *rule != best).chain([best]).collect::<Vec<_>>().join(",");
            let scenario = self.test[at].scenario.as_str();
            match groups.iter_mut().find(|(known, _)| *known == rules) {
                Some((_, scenarios)) => scenarios.push(scenario),
                None => groups.push((rules, vec![scenario])),
            }
        }
        let one = |(rules, scenarios): &(String, Vec<&str>)| {
            format!(
                "`yardmaster bench --scenario {} --policies '{rules}' --checkpoint {} --episodes {episodes} --seed {seed}`",
                scenarios.join(","),
                entry.path.display()
            )
        };
        groups.iter().map(one).collect::<Vec<_>>().join("<br>")
    }

    /// What the tables do not say: scenarios that have changed, and several training seeds together.
    fn notes(&self) -> String {
        let mut notes = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.changed) {
            notes.push(format!("`{}` was trained before its scenario was changed.", entry.name));
        }
        for (at, test) in self.test.iter().enumerate() {
            notes.extend(self.seeds_together(at, test));
        }
        let lines: String = notes.iter().map(|note| format!("- {note}\n")).collect();
        if lines.is_empty() { lines } else { format!("\n{lines}") }
    }

    /// How much the training seed matters, where there is more than one.
    fn seeds_together(&self, at: usize, test: &Comparison) -> Option<String> {
        // A policy for many scenarios is no other seed of one for this alone.
        let mine = self.each().filter(|(entry, place)| *place == at && entry.is_own());
        let found: Vec<f64> = mine
            .filter_map(|(entry, _)| Some(row(test, &entry.name)?.ratio_to.get(&self.best[at])?.ratio))
            .collect();
        let ratios = || found.iter().copied();
        let (low, high) = (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max));
        let mean = ratios().sum::<f64>() / found.len().max(1) as f64;
        (found.len() > 1).then(|| {
            format!(
                "{}: {} policies, ratio to the best rule {mean:.3} on average, from {low:.3} to {high:.3}.",
                test.scenario,
                found.len()
            )
        })
    }
}

pub(super) fn row<'a>(test: &'a Comparison, policy: &str) -> Option<&'a Row> {
    test.policies.iter().find(|row| row.policy == policy)
}

pub(super) fn row_of<'a>(test: &'a Comparison, rule: &str) -> Result<&'a Row> {
    let why = || test.failed.iter().find(|failure| failure.policy == rule).map(|failure| failure.why.clone());
    row(test, rule).with_context(|| format!("{rule} in {}: {}", test.scenario, why().unwrap_or_default()))
}

pub(super) fn short(ratio: f64, [low, high]: [f64; 2]) -> String {
    format!("{ratio:.3} [{low:.3}, {high:.3}]")
}

/// A verdict with what it rests on.
fn words(ratio: &Ratio) -> String {
    let [low, high] = ratio.ci95;
    let percent = |ratio: f64| format!("{:.1} %", 100.0 * (ratio - 1.0).abs());
    let verdict = Verdict::of(ratio.ci95);
    let more = match verdict {
        Verdict::Better => format!(" by {}", percent(ratio.ratio)),
        Verdict::NotWorse => format!(", a loss above {} is excluded", percent(high.max(1.0))),
        Verdict::Undecided => format!(", between {} lower and {} higher", percent(low), percent(high)),
        Verdict::Worse => format!(" by {}", percent(ratio.ratio)),
    };
    format!("{}{more}", verdict.words())
}

/// A command without the folder of its program.
fn program(command: &str) -> String {
    let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
    let name = program.rsplit('/').next().unwrap_or(program);
    format!("{name} {arguments}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_table_is_replaced_between_its_marks_and_nowhere_else() {
        let page = "# a\n\n<!-- table: by a command -->\nold\nolder\n<!-- end of table -->\n\nb\n";
        let expected = "# a\n\n<!-- table: by a command -->\n\n| new |\n\n<!-- end of table -->\n\nb\n";
        assert_eq!(replaced(page, "| new |\n\n").unwrap(), expected);
        assert_eq!(replaced(expected, "| new |").unwrap(), expected, "again");
        let error = |page: &str| check(page).unwrap_err().to_string();
        assert!(error("# a\n").contains("add both"));
        assert!(error("<!-- end of table -->\n<!-- table -->\n").contains("exchange them"));
    }

    #[test]
    fn verdicts_tell_what_they_rest_on() {
        let ratio = |ratio: f64, ci95| Ratio {
            ratio,
            ci95,
            ci95_bootstrap: ci95,
            wins: 1,
            p_holm: 1.0,
            significant: false,
        };
        assert_eq!(words(&ratio(0.9, [0.85, 0.95])), "better by 10.0 %");
        assert_eq!(words(&ratio(1.001, [0.998, 1.004])), "not worse, a loss above 0.4 % is excluded");
        assert_eq!(words(&ratio(1.0, [0.95, 1.05])), "undecided, between 5.0 % lower and 5.0 % higher");
        assert_eq!(words(&ratio(1.2, [1.1, 1.3])), "WORSE by 20.0 %");
    }

    #[test]
    fn commands_name_no_folder() {
        assert_eq!(program("target/release/yardmaster-train --steps 3"), "yardmaster-train --steps 3");
        assert_eq!(program("yardmaster-train"), "yardmaster-train");
    }

    #[test]
    fn only_what_lies_in_the_pages_folder_is_linked() {
        let of = |page: &str, file: &str| reference(Path::new(page), Path::new(file));
        assert_eq!(of("checkpoints/README.md", "checkpoints/sizes/a.st"), "[`sizes/a.st`](sizes/a.st)");
        assert_eq!(of("docs/README.md", "runs/a.st"), "`runs/a.st`");
        assert_eq!(of("page.md", "runs/a.st"), "[`runs/a.st`](runs/a.st)");
    }
}
