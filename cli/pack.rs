//! `yardmaster pack`: how much of a cluster's GPUs each rule can give away.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use serde::Serialize;
use yardmaster_agent::packing::{self, RULES};
use yardmaster_env::packing::{Curve, Instance, mean};
use yardmaster_env::plot::{self, Axis, Content, Panel, figure};
use yardmaster_env::trace::openb;

use crate::args::Pack;
use crate::file::text;
use crate::output::Output;
use crate::published::Published;
use crate::report;

/// One rule's runs; `--json` writes a list of these.
#[derive(Serialize)]
pub(crate) struct Row {
    /// The rule's name.
    pub(crate) policy: &'static str,
    /// Percent of the GPUs that are allocated at the end of the curve, mean of the runs.
    pub(crate) end_percent: f64,
    /// The same of the published runs, where they are given.
    pub(crate) published_percent: Option<f64>,
    /// The runs in order of their seeds.
    pub(crate) runs: Vec<Run>,
}

/// One rule's run with one seed.
#[derive(Serialize)]
pub(crate) struct Run {
    seed: u64,
    pods: usize,
    refused: usize,
    /// Percent of the GPUs that are allocated at the end of the curve.
    pub(crate) end_percent: f64,
    /// Percent of the GPUs that are allocated when as many percent as the index have arrived.
    allocated_percent: Vec<Option<f64>>,
}

/// Runs the command.
pub(crate) fn run(args: &Pack) -> Result<()> {
    let [json, markdown, svg] = Output::all([
        ("--json", args.json.as_deref()),
        ("--markdown", args.markdown.as_deref()),
        ("--svg", args.svg.as_deref()),
    ])?;
    let names = rules(&args.policy)?;
    let instance = instance(&args.nodes, &args.pods)?;
    let published = args.published.as_deref().map(|path| published(path, &args.pods)).transpose()?;
    let rows: Vec<Row> =
        names.iter().map(|name| row(name, &instance, args, published.as_ref())).collect::<Result<_>>()?;
    if ![&json, &markdown, &svg].into_iter().flatten().any(Output::is_stdout) {
        Output::Stdout.write(report::packing(&rows, report::Style::Terminal))?;
    }
    if let Some(json) = json {
        json.write(&(serde_json::to_string(&rows)? + "\n"))?;
    }
    if let Some(markdown) = markdown {
        markdown.write(report::packing(&rows, report::Style::Markdown))?;
    }
    if let Some(svg) = svg {
        svg.write(draw(&rows, published.as_ref(), args))?;
    }
    Ok(())
}

/// The rules of a list of names, or all.
fn rules(list: &str) -> Result<Vec<&'static str>> {
    let known = || RULES.iter().map(|(name, _)| *name);
    if list == "all" {
        return Ok(known().collect());
    }
    let rule = |name: &str| {
        let valid = || known().collect::<Vec<_>>().join(", ");
        known().find(|rule| *rule == name.trim()).with_context(|| {
            format!("--policy: no packing rule is called `{}`; valid: all, {}", name.trim(), valid())
        })
    };
    list.split(',').map(rule).collect()
}

fn instance(nodes: &Path, pods: &Path) -> Result<Instance> {
    let [node_list, pod_list] = [text(nodes)?, text(pods)?];
    let nodes = openb::parse_nodes(&node_list, &nodes.display().to_string())?;
    let (pods, report) = openb::parse_pods(&pod_list, &pods.display().to_string())?;
    for (reason, count) in &report.dropped {
        eprintln!("dropped {count} of {} pods: {reason}", report.rows);
    }
    Ok(Instance::new(&nodes, &pods)?)
}

/// The published curves of the workload that the pod list is named after.
fn published(path: &Path, pods: &Path) -> Result<Published> {
    let workload = pods.file_name().unwrap_or_default().to_string_lossy();
    let workload = workload.trim_end_matches(".gz").trim_end_matches(".csv");
    let published = Published::parse(&text(path)?, &path.display().to_string(), workload)?;
    if published.curves.is_empty() {
        bail!("{} has no rows of workload `{workload}`, the name of the pod list", path.display());
    }
    Ok(published)
}

fn row(policy: &'static str, instance: &Instance, args: &Pack, published: Option<&Published>) -> Result<Row> {
    let rule = packing::rule(policy, instance).context("a listed rule exists")?;
    let run = |seed: u64| -> Result<Run> {
        let packed = packing::pack(instance, &*rule, usize::from(args.demand), seed)?;
        let end_percent = packed.curve.end();
        let allocated_percent = packed.curve.allocated;
        Ok(Run { seed, pods: packed.pods, refused: packed.refused, end_percent, allocated_percent })
    };
    let last = args.seed.checked_add(args.seeds - 1);
    ensure!(last.is_some(), "--seed {}: there are no {} seeds from there on", args.seed, args.seeds);
    let seeds: Vec<u64> = (0..args.seeds).map(|offset| args.seed + offset).collect();
    let runs: Vec<Run> = seeds.into_par_iter().map(run).collect::<Result<_>>()?;
    let end_percent = runs.iter().map(|run| run.end_percent).sum::<f64>() / runs.len() as f64;
    let published_percent = published.and_then(|published| published.curve(policy)).map(Curve::end);
    Ok(Row { policy, end_percent, published_percent, runs })
}

impl Row {
    fn mean(&self) -> Curve {
        let curve = |run: &Run| Curve { allocated: run.allocated_percent.clone() };
        mean(&self.runs.iter().map(curve).collect::<Vec<_>>())
    }
}

/// Curves of the rules, the published ones dotted.
fn draw(rows: &[Row], published: Option<&Published>, args: &Pack) -> String {
    let mut curves = Vec::new();
    for (colour, row) in rows.iter().enumerate().rev() {
        let name = format!("{} {:.2} %", row.policy, row.end_percent);
        curves.push(line(name, &row.mean(), colour, false));
        if let Some(curve) = published.and_then(|published| published.curve(row.policy)) {
            curves.push(line(String::new(), curve, colour, true));
        }
    }
    let demand = f64::from(args.demand);
    // Where the rules part, which is hard to see from 0.
    let least = rows.iter().map(|row| row.end_percent).fold(100.0, f64::min);
    let low = (10.0 * ((least - 10.0) / 10.0).floor()).clamp(0.0, demand - 1.0);
    let mut panels =
        [panel("From the first pod", &curves, 0.0, demand, 190), panel("The end", &curves, low, demand, 340)];
    if let Content::Curves(curves) = &mut panels[0].content {
        // The legend of the second panel serves both.
        curves.iter_mut().for_each(|curve| curve.name.clear());
    }
    let name = args.pods.file_name().unwrap_or_default().to_string_lossy();
    let mut notes = vec![format!("Means of {} runs; the legend says where each rule ends.", args.seeds)];
    if published.is_some() {
        notes.push("Dotted: published means (Weng et al., USENIX ATC 2023).".into());
    }
    figure(&format!("GPU allocation, {name}"), &panels, &notes)
}

/// The part of the curves from `low` percent on.
fn panel(title: &str, curves: &[plot::Curve], low: f64, demand: f64, height: u32) -> Panel {
    let part = |curve: &plot::Curve| {
        let points = curve.points.iter().copied().filter(|&(x, y)| x >= low && y >= low).collect();
        plot::Curve { points, ..curve.clone() }
    };
    Panel {
        title: title.into(),
        x: Axis::linear("GPUs asked for by the pods so far (% of the cluster's)", low, demand),
        y: Axis::linear("GPUs allocated (%)", low, 100.0),
        content: Content::Curves(curves.iter().map(part).collect()),
        height,
    }
}

fn line(name: String, curve: &Curve, colour: usize, dotted: bool) -> plot::Curve {
    let points = curve.allocated.iter().enumerate();
    let points = points.filter_map(|(at, point)| Some((at as f64, (*point)?))).collect();
    plot::Curve { name, points, colour, dotted }
}
