//! `yardmaster bench`: the same held-out episodes for every policy.

pub(crate) mod field;
pub(crate) mod journal;
pub(crate) mod source;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use yardmaster_agent::evaluate::Row;
use yardmaster_env::spec::BUILTIN;

use crate::args::Bench;
use crate::output::Output;
use crate::{html, input, report, rows_csv, speed};
use field::{Field, Named};
use journal::Journal;
use source::Source;

/// The comparison on one scenario or trace; `--json` writes a list of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// Its name.
    pub(crate) scenario: String,
    /// What is to be made small.
    pub(crate) objective: String,
    /// The unit of the objective.
    pub(crate) unit: String,
    /// Test episodes.
    pub(crate) episodes: u64,
    /// Which test episodes.
    pub(crate) seed: u64,
    /// Digest of what the scenario says.
    pub(crate) scenario_digest: String,
    /// How episodes were cut out of a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) windows: Option<Cut>,
    /// One row a policy.
    pub(crate) policies: Vec<Row>,
    /// Policies that did not come through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) failed: Vec<Failure>,
}

/// Windows of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cut {
    /// Jobs of each.
    pub(crate) jobs: usize,
    /// The first job of each (counted from 0), in order of episodes.
    pub(crate) first: Vec<usize>,
}

/// A policy that did not come through all episodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Its name.
    pub(crate) policy: String,
    /// The first episode that it failed in, counted from 0.
    pub(crate) episode: usize,
    /// The seed of that.
    pub(crate) seed: u64,
    /// What went wrong.
    pub(crate) why: String,
}

/// Where the results go.
struct Outputs {
    json: Option<Output>,
    markdown: Option<Output>,
    csv: Option<Output>,
    html: Option<Output>,
}

/// Runs the command.
pub(crate) fn run(args: &Bench) -> Result<()> {
    if args.speed {
        return speed::run(args);
    }
    let outputs = Outputs::open(args)?;
    check_columns(&args.columns)?;
    let sources = sources(args)?;
    let tuned = field::tuned_files(args, &sources)?;
    let named = Named { policies: &args.policies, checkpoints: &args.checkpoint };
    let field = |source: Source| {
        let seeds = source.seeds(args);
        Field::new(named, source, seeds, tuned.as_deref())
    };
    let fields: Vec<Field> = sources.into_iter().map(field).collect::<Result<_>>()?;
    let beside = args.json.as_deref().filter(|path| path.is_file() || !path.exists());
    let journal = beside.filter(|path| *path != Path::new("-")).map(Journal::beside).transpose()?;
    let journal = journal.unwrap_or_default();

    let begin = Instant::now();
    let times = field::play(&fields, &journal)?;
    let comparisons: Vec<Comparison> = fields.iter().map(|field| field.comparison(args.seed)).collect();
    outputs.write(args, &fields, &comparisons)?;
    journal.remove()?;
    eprintln!("{}", field::tell_times(&fields, &times, begin.elapsed()));
    complain(&comparisons)
}

impl Outputs {
    fn open(args: &Bench) -> Result<Outputs> {
        let [json, markdown, csv, html] = Output::all([
            ("--json", args.json.as_deref()),
            ("--markdown", args.markdown.as_deref()),
            ("--csv", args.csv.as_deref()),
            ("--html", args.html.as_deref()),
        ])?;
        Ok(Outputs { json, markdown, csv, html })
    }

    fn write(self, args: &Bench, fields: &[Field], comparisons: &[Comparison]) -> Result<()> {
        let Outputs { json, markdown, csv, html } = self;
        if ![&json, &markdown, &csv, &html].into_iter().flatten().any(Output::is_stdout) {
            Output::Stdout.write(report::terminal(comparisons, &args.columns))?;
        }
        if let Some(markdown) = markdown {
            markdown.write(report::markdown(comparisons, &args.columns))?;
        }
        if let Some(csv) = csv {
            csv.write(rows_csv::text(fields, comparisons))?;
        }
        if let Some(html) = html {
            html.write(html::page(fields, comparisons))?;
        }
        match json {
            Some(json) => json.write(&(serde_json::to_string_pretty(comparisons)? + "\n")),
            None => Ok(()),
        }
    }
}

fn check_columns(columns: &[String]) -> Result<()> {
    let known = report::measures();
    let unknown = columns.iter().find(|column| !known.contains(column));
    match unknown {
        Some(column) => bail!("unknown column {column:?}; there are {}", known.join(", ")),
        None => Ok(()),
    }
}

fn sources(args: &Bench) -> Result<Vec<Source>> {
    if let Some(path) = &args.trace {
        return Ok(vec![Source::Trace(Box::new(source::windows(path, args)?))]);
    }
    let all: Vec<String> = BUILTIN.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = if args.scenario.iter().any(|name| name == "all") { &all } else { &args.scenario };
    let source = |name: &String| -> Result<Source> {
        let scenario = input::scenario(name)?;
        let aimed = args.objective.map(|aim| scenario.with_aim(aim)).transpose();
        let aimed = aimed.with_context(|| format!("--objective in {name}"))?;
        Ok(Source::Scenario(Box::new(aimed.unwrap_or(scenario))))
    };
    names.iter().map(source).collect()
}

/// An error that names all failures, once everything has been written.
fn complain(comparisons: &[Comparison]) -> Result<()> {
    let one =
        |comparison: &Comparison, failure: &Failure| format!("{} in {}", failure.policy, comparison.scenario);
    let failed: Vec<String> = comparisons
        .iter()
        .flat_map(|comparison| comparison.failed.iter().map(move |failure| one(comparison, failure)))
        .collect();
    match failed.len() {
        0 => Ok(()),
        count => bail!("{count} failed: {}; the tables say why, and the rest is complete", failed.join(", ")),
    }
}
