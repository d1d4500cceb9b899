//! Scenarios, traces and frozen policies by name or file.

use std::path::Path;

use anyhow::{Context, Result, bail};
use yardmaster_agent::frozen::{self, Frozen};
use yardmaster_agent::registry;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::Cluster;
use yardmaster_env::job::Workload;
use yardmaster_env::sim::RoundRules;
use yardmaster_env::spec::{self, Scenario};
use yardmaster_env::trace::gavel::{GavelInput, GavelTrace};
use yardmaster_env::trace::{ReadReport, TableFormat, azure_llm, openb, philly, swf, table};

use crate::file::text;

/// A recorded workload with the cluster to run it on.
pub(crate) struct Trace {
    /// What its kinds and models are.
    pub(crate) catalog: Box<Catalog>,
    /// The machines, if the trace or the caller names them.
    pub(crate) cluster: Option<Cluster>,
    /// What arrived.
    pub(crate) workload: Workload,
    /// How long rounds last and allocations stand.
    pub(crate) rounds: RoundRules,
    /// What the reader did.
    pub(crate) report: ReadReport,
}

/// A scenario by built-in name or file.
pub(crate) fn scenario(name: &str) -> Result<Scenario> {
    if !name.ends_with(".toml") {
        return Ok(spec::builtin(name)?);
    }
    let path = Path::new(name);
    let beside = |trace: &str| path.parent().unwrap_or(Path::new("")).join(trace);
    let read = |trace: &str| text(&beside(trace)).map_err(|error| format!("{error:#}"));
    let scenario = Scenario::parse_with(&text(path)?, name, read)?;
    // The world does not know the rules, so that this key is checked here.
    registry::build(&scenario.spec().prior).with_context(|| format!("{name}: key `prior`"))?;
    Ok(scenario)
}

/// What a file of jobs or machines holds.
pub(crate) enum Content {
    /// Jobs, perhaps with the machines to run them on.
    Trace(Trace),
    /// Machines alone, with what their reader did.
    Machines(Cluster, ReadReport),
}

/// The kinds of trace by the ending of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Standard Workload Format.
    Swf,
    /// A table: the project's own, or one that its header tells.
    Csv,
    /// The same, a JSON object a line.
    Jsonl,
    /// An input of Gavel's simulator.
    Gavel,
}

impl Format {
    /// The format of a file name, if it is a trace's; compressed files end with `.gz` besides.
    pub(crate) fn of(path: &Path) -> Option<Format> {
        let unpacked = path.to_str()?.strip_suffix(".gz").map(Path::new);
        match unpacked.unwrap_or(path).extension()?.to_str()? {
            "swf" => Some(Format::Swf),
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "json" => Some(Format::Gavel),
            _ => None,
        }
    }
}

/// A trace from a file; `cluster` names a scenario, or a list of machines, for jobs that come without them.
pub(crate) fn trace(path: &Path, cluster: Option<&str>) -> Result<Trace> {
    match read(path, cluster)? {
        Content::Trace(trace) => Ok(trace),
        Content::Machines(..) => {
            let name = path.display();
            bail!("{name} lists machines, not jobs: give it as --cluster, and a list of jobs as --trace")
        }
    }
}

/// Says on the standard error what the reader of a trace dropped or changed.
pub(crate) fn tell(path: &Path, report: &ReadReport) {
    for (reason, count) in &report.dropped {
        eprintln!("{}: dropped {count} of {} rows: {reason}", path.display(), report.rows);
    }
    for note in &report.notes {
        eprintln!("{}: note: {note}", path.display());
    }
}

/// Jobs or machines from a file.
pub(crate) fn read(path: &Path, cluster: Option<&str>) -> Result<Content> {
    let name = path.display().to_string();
    let Some(format) = Format::of(path) else {
        bail!(
            "{name}: the ending tells the format of a trace: .swf, .csv, .jsonl or .json, perhaps with .gz"
        );
    };
    let text = text(path)?;
    let given = cluster.map(machines).transpose()?;
    let own = given.as_ref().map(|(_, catalog)| catalog.clone());
    let catalog = &own.unwrap_or_else(|| Catalog::builtin().clone());
    let mut rounds = RoundRules::default();
    let (own, (workload, report)) = match format {
        Format::Swf => {
            let trace = swf::parse(&text, &name)?;
            let processor = catalog.kind("processor").context("the catalogue has no device `processor`")?;
            (Some(trace.cluster(processor)), (trace.workload, trace.report))
        }
        Format::Gavel => {
            let trace = gavel(path, &text, catalog)?;
            rounds = trace.rounds;
            (Some(trace.cluster), (trace.workload, trace.report))
        }
        Format::Csv if TableFormat::of(&text) == TableFormat::OpenbNodes => {
            let nodes = openb::parse_nodes(&text, &name)?;
            let (cluster, report) = openb::cluster(&nodes, catalog, &name)?;
            return Ok(Content::Machines(cluster, report));
        }
        Format::Csv => (None, csv(&text, &name, catalog)?),
        Format::Jsonl => (None, table::parse_jsonl(&text, &name, catalog)?),
    };
    let (cluster, catalog) = (given.map(|(cluster, _)| cluster).or(own), Box::new(catalog.clone()));
    Ok(Content::Trace(Trace { catalog, cluster, workload, rounds, report }))
}

/// The jobs of a table, in the layout that its header tells.
fn csv(text: &str, name: &str, catalog: &Catalog) -> Result<(Workload, ReadReport)> {
    Ok(match TableFormat::of(text) {
        TableFormat::Philly => philly::parse(text, name)?,
        TableFormat::AzureLlm => azure_llm::parse(text, name)?,
        TableFormat::OpenbPods => {
            let (pods, report) = openb::parse_pods(text, name)?;
            openb::workload(&pods, report, name)?
        }
        TableFormat::OpenbNodes | TableFormat::Own => table::parse_csv(text, name, catalog)?,
    })
}

/// The machines of a scenario, or of a list of nodes, and what their kinds are.
fn machines(name: &str) -> Result<(Cluster, Catalog)> {
    if Format::of(Path::new(name)).is_none() {
        let scenario = scenario(name)?;
        return Ok((scenario.cluster().clone(), scenario.catalog().clone()));
    }
    match read(Path::new(name), None)? {
        Content::Machines(cluster, _) => Ok((cluster, Catalog::builtin().clone())),
        Content::Trace(Trace { cluster: Some(cluster), catalog, .. }) => Ok((cluster, *catalog)),
        Content::Trace(_) => {
            bail!("--cluster {name}: the file lists jobs; give a scenario or a list of nodes")
        }
    }
}

/// A Gavel input with the throughputs it names, which lie beside it.
fn gavel(path: &Path, content: &str, catalog: &Catalog) -> Result<GavelTrace> {
    let name = path.display().to_string();
    let input = GavelInput::parse(content, &name)?;
    let beside = path.with_file_name(input.throughputs_file());
    let speeds = text(&beside)
        .with_context(|| format!("{name} names its speeds in `throughputs_file`: put that file beside it"))?;
    Ok(input.with_throughputs(&speeds, &beside.display().to_string(), catalog)?)
}

/// A frozen policy, checked.
pub(crate) fn policy(path: &Path) -> Result<Frozen> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let frozen = frozen::read(&bytes).with_context(|| format!("{shown} is not a usable frozen policy"))?;
    frozen.verify_golden().with_context(|| format!("{shown} is not a usable frozen policy"))?;
    Ok(frozen)
}
