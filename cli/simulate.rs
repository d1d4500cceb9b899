//! `yardmaster simulate`: one policy, one episode or trace.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use yardmaster_agent::learned::Learned;
use yardmaster_agent::policy::{Policy, play};
use yardmaster_agent::registry;
use yardmaster_env::gantt;
use yardmaster_env::metrics::{self, Metrics};
use yardmaster_env::objective::Objective;
use yardmaster_env::sim::{Simulator, State, World};
use yardmaster_env::spec::Split;
use yardmaster_env::units::Span;
use yardmaster_env::view::Discipline;

use crate::args::Simulate;
use crate::input;
use crate::output::Output;
use crate::summary;

/// Columns of a schedule drawn as text.
const TEXT_CELLS: u64 = 100;

/// What `--json` writes.
#[derive(Serialize)]
struct Report<'a> {
    policy: &'a str,
    source: String,
    seed: u64,
    #[serde(flatten)]
    metrics: &'a Metrics,
    decisions_per_s: f64,
    digest: String,
    refused_jobs: Vec<Refusal>,
}

/// A job that could never run.
#[derive(Serialize)]
struct Refusal {
    job_id: u64,
    reason: String,
}

/// Runs the command.
pub(crate) fn run(args: &Simulate) -> Result<()> {
    let [json, starts, gantt] = Output::all([
        ("--json", args.json.as_deref()),
        ("--starts", args.starts.as_deref()),
        ("--gantt", args.gantt.as_deref()),
    ])?;
    let mut policy = policy(args)?;
    let (world, source) = world(args)?;
    let begin = Instant::now();
    let sim = play(&Arc::new(world), &mut *policy, args.seed)?;
    let seconds = begin.elapsed().as_secs_f64();

    let metrics = Metrics::of(&sim);
    let report = Report {
        policy: policy.name(),
        source,
        seed: args.seed,
        metrics: &metrics,
        decisions_per_s: metrics.decisions as f64 / seconds.max(1e-9),
        digest: format!("{:016x}", sim.digest()),
        refused_jobs: refusals(&sim),
    };
    for refusal in &report.refused_jobs {
        eprintln!("refused job {}: {}", refusal.job_id, refusal.reason);
    }
    let quiet = [&json, &starts, &gantt].into_iter().flatten().any(Output::is_stdout);
    if !quiet {
        let title = format!("{} on {} (seed {})", report.policy, report.source, report.seed);
        Output::Stdout.write(summary::text(&title, &metrics, report.decisions_per_s))?;
    }
    if let Some(json) = json {
        json.write(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(starts) = starts {
        starts.write(starts_csv(&sim))?;
    }
    if let Some(gantt) = gantt {
        let drawing = draw(&sim, gantt.is_stdout(), &report);
        gantt.write(&drawing)?;
    }
    Ok(())
}

fn policy(args: &Simulate) -> Result<Box<dyn Policy>> {
    match (&args.policy, &args.checkpoint) {
        (_, Some(path)) => {
            let frozen = input::policy(path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let shown = path.display();
            Ok(Box::new(
                Learned::from_frozen(name, &frozen)
                    .with_context(|| format!("{shown} is not a usable frozen policy"))?,
            ))
        }
        (Some(name), None) => Ok(registry::build(name)?),
        (None, None) => bail!("give --policy or --checkpoint"),
    }
}

fn world(args: &Simulate) -> Result<(World, String)> {
    let queue = args.queue.map(Discipline::from);
    let count = args.jobs.map_or(usize::MAX, NonZeroUsize::get);
    let (mut world, source, catalog) = match (&args.scenario, &args.trace) {
        (Some(name), _) => {
            let scenario = input::scenario(name)?;
            let mut world = scenario.world(Split::Test.seed(args.seed, 0))?;
            world.discipline = queue.unwrap_or(world.discipline);
            (world, name.clone(), scenario.catalog().clone())
        }
        (None, Some(path)) => {
            let trace = input::trace(path, args.cluster.as_deref())?;
            input::tell(path, &trace.report);
            let Some(cluster) = trace.cluster else {
                let name = path.display();
                bail!(
                    "{name} does not say which machines there are: add --cluster with a scenario that has them"
                );
            };
            let (discipline, objective) = (queue.unwrap_or_default(), Objective::CompletionTime);
            let world = World::new(&trace.catalog, cluster, trace.workload, discipline, objective, None)?
                .with_rounds(trace.rounds)?;
            (world, path.display().to_string(), *trace.catalog)
        }
        (None, None) => bail!("give --scenario or --trace"),
    };
    if args.first > 0 || args.jobs.is_some() || queue.is_some() {
        if args.first >= world.workload.len() {
            bail!("--first {}: {source} has only {} jobs", args.first, world.workload.len());
        }
        world = world.part(&catalog, args.first, count)?;
    }
    Ok((world, source))
}

/// The schedule as text of [`TEXT_CELLS`] columns, or as SVG.
fn draw(sim: &Simulator, as_text: bool, report: &Report<'_>) -> String {
    if as_text {
        let span = sim.now().since(sim.world().workload.jobs.first().map_or(sim.now(), |job| job.arrival));
        return gantt::text(sim, Span((span.0 / TEXT_CELLS).max(1)));
    }
    let cluster = &sim.world().cluster;
    let kinds = (0..cluster.kinds().len()).map(|slot| cluster.kind_name(slot)).collect();
    let title = format!("{} on {}, seed {}", report.policy, report.source, report.seed);
    gantt::svg(sim, &gantt::SvgOptions { title, kinds, ..gantt::SvgOptions::default() })
}

fn refusals(sim: &Simulator) -> Vec<Refusal> {
    let world = sim.world();
    let largest = world.cluster.kinds().iter().map(|&kind| world.cluster.devices_of(kind)).max().unwrap_or(0);
    let rows = world.workload.jobs.iter().zip(sim.records());
    rows.filter(|(_, record)| record.state == State::Refused)
        .map(|(job, _)| {
            let reason = if job.gang > largest {
                format!("needs {} devices of one kind, the cluster has at most {largest}", job.gang)
            } else {
                "runs on none of the cluster's device kinds with so many devices".to_owned()
            };
            Refusal { job_id: job.label, reason }
        })
        .collect()
}

fn starts_csv(sim: &Simulator) -> String {
    let mut text = String::from("job_id,arrival_s,start_s,finish_s,nodes,batch\n");
    for row in metrics::starts(sim) {
        let [arrival, start, finish] = [row.arrival, row.start, row.finish].map(metrics::seconds_text);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{},{arrival},{start},{finish},{},{}", row.label, row.nodes, row.batch);
    }
    text
}
