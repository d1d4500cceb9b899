//! `yardmaster inspect`: what a file holds.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use yardmaster_agent::frozen::Frozen;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::Cluster;
use yardmaster_env::job::{StepSpeeds, Task, Workload};
use yardmaster_env::metrics::percentile;
use yardmaster_env::observe::Schema;
use yardmaster_env::spec::{Scenario, Split};
use yardmaster_env::trace::ReadReport;

use crate::args::Inspect;
use crate::catalog;
use crate::distributions;
use crate::input::{self, Content, Format, Trace};
use crate::output::Output;

/// Runs the command.
pub(crate) fn run(args: &Inspect) -> Result<()> {
    if args.what == Path::new("catalog") {
        ensure!(args.svg.is_none(), "--svg draws the jobs of a trace or scenario, not the catalogue");
        return whole_catalog(args.json.as_deref());
    }
    ensure!(args.json.is_none(), "--json goes with `inspect catalog`, not with {}", args.what.display());
    let [svg] = Output::all([("--svg", args.svg.as_deref())])?;
    let Description { text, figure } = describe(args)?;
    let Some(svg) = svg else { return Output::Stdout.write(&text) };
    let Some(figure) = figure else {
        bail!("--svg: {} holds no jobs that could be drawn", args.what.display());
    };
    if !svg.is_stdout() {
        Output::Stdout.write(&text)?;
    }
    svg.write(&figure)
}

fn whole_catalog(json: Option<&Path>) -> Result<()> {
    let catalog = Catalog::builtin();
    match json {
        Some(path) => {
            let text = serde_json::to_string_pretty(&catalog::json(catalog))? + "\n";
            Output::open(path)?.write(&text)
        }
        None => Output::Stdout.write(catalog::text(catalog)),
    }
}

/// What there is to say about a file.
struct Description {
    text: String,
    /// A drawing of its jobs, if it has any.
    figure: Option<String>,
}

fn describe(args: &Inspect) -> Result<Description> {
    let path = args.what.as_path();
    if path.extension().is_some_and(|ending| ending == "safetensors") {
        return Ok(Description { text: policy(path, &input::policy(path)?), figure: None });
    }
    if Format::of(path).is_some() {
        return Ok(match input::read(path, args.cluster.as_deref())? {
            Content::Trace(trace) => traced(path, &trace),
            Content::Machines(cluster, report) => {
                let text =
                    quality(path, &report, "nodes with GPUs") + &machines(&cluster, Catalog::builtin());
                Description { text, figure: None }
            }
        });
    }
    let name = path.to_str().context("the name is not UTF-8")?;
    ensure!(
        name.ends_with(".toml") || !path.is_file(),
        "{name}: the ending tells what a file holds: .swf, .csv, .jsonl, .toml or .safetensors"
    );
    // `pool12@0.5` has a point and is none.
    let base = name.split('@').next().unwrap_or(name);
    ensure!(
        name.ends_with(".toml") || !base.contains(['.', '/']),
        "cannot read {name}: there is no such file"
    );
    scenario(&input::scenario(name)?)
}

fn traced(path: &Path, trace: &Trace) -> Description {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let report = &trace.report;
    let title = format!("{name}: {} of {} rows", report.kept, report.rows);
    let machines =
        trace.cluster.as_ref().map(|cluster| machines(cluster, &trace.catalog)).unwrap_or_default();
    Description {
        text: quality(path, report, "jobs") + &machines + &workload(&trace.workload, &trace.catalog),
        figure: Some(distributions::svg(&trace.workload, &title, &report.notes)),
    }
}

/// What a reader did with the rows of a file.
fn quality(path: &Path, report: &ReadReport, what: &str) -> String {
    let mut text = format!("{}: {} rows, {} {what}\n", path.display(), report.rows, report.kept);
    for (reason, count) in &report.dropped {
        let _ = writeln!(text, "  dropped {count}: {reason}");
    }
    for note in &report.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    text
}

fn scenario(scenario: &Scenario) -> Result<Description> {
    let spec = scenario.spec();
    let world = scenario.world(Split::Test.seed(0, 0))?;
    let mut text = format!("{}: {}\n", spec.name, spec.about);
    let _ = writeln!(text, "  objective   {} [{}]", spec.objective.name(), spec.objective.unit());
    let _ = writeln!(text, "  prior       {}", spec.prior);
    let _ = writeln!(text, "  digest      {}", scenario.digest());
    let catalog = scenario.catalog();
    text += &machines(scenario.cluster(), catalog);
    text += &("an episode (test seed 0):\n".to_owned() + &workload(&world.workload, catalog));
    let title = format!("{}, an episode (test seed 0)", spec.name);
    Ok(Description { text, figure: Some(distributions::svg(&world.workload, &title, &[])) })
}

fn machines(cluster: &Cluster, catalog: &Catalog) -> String {
    let mut text = format!("machines: {} nodes, {} devices\n", cluster.nodes().len(), cluster.devices());
    for &kind in cluster.kinds() {
        let device = catalog.device(kind);
        let _ = writeln!(
            text,
            "  {:<12} {:>6} devices  {}",
            device.name,
            cluster.devices_of(kind),
            device.description
        );
    }
    text
}

fn workload(workload: &Workload, catalog: &Catalog) -> String {
    let mut text = String::new();
    let arrivals: Vec<f64> = workload.jobs.iter().map(|job| job.arrival.as_secs_f64()).collect();
    let gaps = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let span =
        arrivals.iter().copied().fold(0.0, f64::max) - arrivals.iter().copied().fold(f64::INFINITY, f64::min);
    let _ = writeln!(text, "workload: {} jobs over {:.1} s", workload.len(), span.max(0.0));
    text += &distribution("gap [s]", gaps);
    text += &distribution("devices", workload.jobs.iter().map(|job| f64::from(job.gang)).collect());
    let requested = |job: &yardmaster_env::job::Job| match job.task {
        Task::Rigid { requested } => Some(requested.as_secs_f64()),
        _ => None,
    };
    text += &distribution("requested [s]", workload.jobs.iter().filter_map(requested).collect());
    let mut models = std::collections::BTreeMap::new();
    for job in &workload.jobs {
        let name = match job.task {
            Task::Rigid { .. } => continue,
            Task::Training { model, batch, .. } => {
                format!("trains {} (batch {batch})", catalog.training_model(model).name)
            }
            Task::Steps { speeds, .. } => {
                let StepSpeeds { name, gang, .. } = &workload.speeds[speeds as usize];
                format!("runs {name} on {gang}")
            }
            Task::Request { model } => format!("asks {}", catalog.inference_model(model).name),
        };
        *models.entry(name).or_insert(0_usize) += 1;
    }
    for (name, count) in models {
        let _ = writeln!(text, "  {count:>6} x {name}");
    }
    text + &distributions::text(workload)
}

fn distribution(what: &str, mut values: Vec<f64>) -> String {
    if values.is_empty() {
        return String::new();
    }
    values.sort_by(f64::total_cmp);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| percentile(&values, share));
    let (low, high) = (values[0], values[values.len() - 1]);
    format!(
        "  {what:<14} min {low:.2}  p50 {p50:.2}  mean {mean:.2}  p90 {p90:.2}  p99 {p99:.2}  max {high:.2}\n"
    )
}

fn policy(path: &Path, frozen: &Frozen) -> String {
    let card = frozen.card();
    let origin = &card.origin;
    let usable = match frozen.reading(&Schema::current()) {
        Ok(here) if here == *frozen => "yes: same features, golden outputs reproduced".to_owned(),
        Ok(_) => "yes: all its features are computed here, golden outputs reproduced".to_owned(),
        Err(error) => format!("no: {error}"),
    };
    let rows = [
        ("usable here", usable),
        ("scenario", format!("{} (digest {})", origin.scenario, origin.scenario_digest)),
        ("objective", origin.objective.clone()),
        ("prior", format!("{} (weight {})", origin.prior, card.lambda)),
        ("masks", origin.mask_rule.clone()),
        ("schema", card.schema_id.clone()),
        ("weights", format!("{} (digest {})", frozen.net().params().len(), card.digest)),
        ("trained by", origin.command.clone()),
        ("revision", origin.revision.clone()),
        ("seed", origin.seed.to_string()),
        ("decisions", origin.steps.to_string()),
        ("golden cases", card.golden.len().to_string()),
    ];
    let mut text = format!("{}: frozen policy, format {}\n", path.display(), card.format);
    for (what, value) in rows {
        let _ = writeln!(text, "  {what:<14} {value}");
    }
    if !origin.benchmark.is_null() {
        let shown = serde_json::to_string_pretty(&origin.benchmark).unwrap_or_default();
        let _ = writeln!(text, "benchmark {shown}");
    }
    text
}
