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
use yardmaster_env::trace::{ReadReport, swf, table};

/// A recorded workload with the cluster to run it on.
pub(crate) struct Trace {
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
    let text = text(Path::new(name))?;
    let scenario = Scenario::parse(&text, name)?;
    // The world does not know the rules, so that this key is checked here.
    registry::build(&scenario.spec().prior).with_context(|| format!("{name}: key `prior`"))?;
    Ok(scenario)
}

/// The kinds of trace by the ending of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Standard Workload Format.
    Swf,
    /// The project's own table.
    Csv,
    /// The same, a JSON object a line.
    Jsonl,
    /// An input of Gavel's simulator.
    Gavel,
}

impl Format {
    /// The format of a file name, if it is a trace's.
    pub(crate) fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "swf" => Some(Format::Swf),
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "json" => Some(Format::Gavel),
            _ => None,
        }
    }
}

/// A trace from a file; `cluster` names the scenario whose machines a table's jobs run on.
pub(crate) fn trace(path: &Path, cluster: Option<&str>) -> Result<Trace> {
    let name = path.display().to_string();
    let Some(format) = Format::of(path) else {
        bail!("{name}: the ending tells the format of a trace: .swf, .csv, .jsonl or .json");
    };
    let text = text(path)?;
    let catalog = Catalog::builtin();
    let given = cluster.map(scenario).transpose()?.map(|scenario| scenario.cluster().clone());
    let mut rounds = RoundRules::default();
    let (own, workload, report) = match format {
        Format::Swf => {
            let trace = swf::parse(&text, &name)?;
            let processor = catalog.kind("processor").context("the catalogue has no device `processor`")?;
            (Some(trace.cluster(processor)), trace.workload, trace.report)
        }
        Format::Gavel => {
            let trace = gavel(path, &text, catalog)?;
            rounds = trace.rounds;
            (Some(trace.cluster), trace.workload, trace.report)
        }
        Format::Csv => {
            let (workload, report) = table::parse_csv(&text, &name, catalog)?;
            (None, workload, report)
        }
        Format::Jsonl => {
            let (workload, report) = table::parse_jsonl(&text, &name, catalog)?;
            (None, workload, report)
        }
    };
    Ok(Trace { cluster: given.or(own), workload, rounds, report })
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

fn text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        anyhow::anyhow!("{} line {line}: not UTF-8 text", path.display())
    })
}
