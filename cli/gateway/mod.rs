//! `yardmaster gateway`, `profile`, `load-infer`, `live-compare` and `backend`: a policy in front of inference back ends.

pub(crate) mod args;
mod compare;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::policy::Policy;
use yardmaster_agent::registry;
use yardmaster_env::workload::Process;
use yardmaster_live::gateway::client::Client;
use yardmaster_live::gateway::config::{Config, RawConfig};
use yardmaster_live::gateway::profile::{self, Settings, Wanted};
use yardmaster_live::load::infer::{self, Outcome, Plan, Report};

use crate::file::text;
use crate::input;
use crate::output::Output;
use args::{Backend, Gateway, LoadInfer, Profile};

pub(crate) use compare::compare;

/// How long a back end has to say what it is.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// `yardmaster gateway`.
pub(crate) fn gateway(args: &Gateway) -> Result<()> {
    let mut config = config(&args.config)?;
    if let Some(listen) = &args.listen {
        config.raw.listen.clone_from(listen);
    }
    let policy = policy(args.policy.as_deref(), args.checkpoint.as_deref())?;
    let fallback = registry::build(&args.fallback).context("--fallback")?;
    let told = |address| println!("listening on http://{address}");
    let run = async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        yardmaster_live::gateway::run(config, (policy, fallback), args.expose, told, stop).await?;
        anyhow::Ok(())
    };
    runtime()?.block_on(run)
}

/// The configuration in a file, with the scenario that it names beside it.
fn config(path: &Path) -> Result<Config> {
    let name = path.display().to_string();
    let raw = RawConfig::parse(&text(path)?, &name)?;
    let beside = path.parent().unwrap_or(Path::new("")).join(&raw.scenario);
    let scenario =
        if raw.scenario.ends_with(".toml") { beside.display().to_string() } else { raw.scenario.clone() };
    Ok(raw.check(input::scenario(&scenario)?, &name)?)
}

fn policy(name: Option<&str>, checkpoint: Option<&Path>) -> Result<Box<dyn Policy>> {
    match (name, checkpoint) {
        (_, Some(path)) => {
            let frozen = input::policy(path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let refused = || format!("{} is not a usable frozen policy", path.display());
            Ok(Box::new(Learned::from_frozen(name, &frozen).with_context(refused)?))
        }
        (Some(name), None) => Ok(registry::build(name)?),
        (None, None) => bail!("give --policy or --checkpoint"),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")
}

/// `yardmaster profile`.
pub(crate) fn profile(args: &Profile) -> Result<()> {
    let [out, gateway] =
        Output::all([("--out", Some(args.out.as_path())), ("--gateway", args.gateway.as_deref())])?;
    ensure!(args.batches.is_sorted_by(|one, other| one < other), "--batches: give ascending sizes");
    ensure!(args.batches.first() == Some(&1), "--batches: begin with 1, below which nothing is known");
    ensure!(args.load > 0.0 && args.load.is_finite(), "--load {}: give a number above 0", args.load);
    ensure!(args.slack >= 1.0 && args.slack.is_finite(), "--slack {}: give a number from 1", args.slack);
    let runtime = runtime()?;
    let backends = args.backend.iter().map(|text| runtime.block_on(backend(text)));
    let backends = backends.collect::<Result<Vec<_>>>()?;
    for (at, (name, _)) in backends.iter().enumerate() {
        let twice = backends[..at].iter().any(|(other, _)| other == name);
        ensure!(!twice, "two back ends are called {name:?}: name them as NAME=URL");
    }
    let (models, batches) = (args.model.clone(), args.batches.clone());
    let settings = Settings { backends, models, batches, repetitions: args.repetitions };
    let profiles = runtime.block_on(profile::measure(&settings))?;
    let mut shown =
        format!("{:<12} {:<16} {:>5} {:>12} {:>12}\n", "back end", "model", "batch", "median us", "p90 us");
    for one in &profiles {
        let p90 = yardmaster_env::metrics::percentile(&one.times_us, 0.9);
        let _ = writeln!(
            shown,
            "{:<12} {:<16} {:>5} {:>12.1} {p90:>12.1}",
            one.backend,
            one.model,
            one.batch,
            one.median_us()
        );
    }
    eprint!("{shown}");
    let name = args.out.file_stem().and_then(|stem| stem.to_str()).unwrap_or("measured").to_owned();
    let how = format!(
        "yardmaster profile: medians of {} batches each, from joining the requests to splitting the answer, over \
         HTTP on the machine of the gateway",
        args.repetitions
    );
    let process = match args.burst {
        None => Process::Poisson,
        Some(factor) => Process::Bursty { factor, share: 0.2, mean_burst_s: 0.5 },
    };
    let wanted = Wanted { name, how, requests: args.requests, load: args.load, process, slack: args.slack };
    let scenario = profile::scenario(&profiles, wanted)?;
    if let Some(out) = out {
        out.write(&toml::to_string(scenario.spec())?)?;
    }
    if let (Some(gateway), Some(path)) = (gateway, &args.gateway) {
        let raw = profile::config(&settings, &scenario, &beside(path, &args.out));
        gateway.write(&toml::to_string(&raw)?)?;
    }
    Ok(())
}

/// The scenario as the configuration names it: by its file name where they lie in one folder, else by its whole path.
fn beside(config: &Path, scenario: &Path) -> String {
    let same = config.parent() == scenario.parent();
    let whole = || std::path::absolute(scenario).unwrap_or_else(|_| scenario.to_owned());
    let path = if same { scenario.file_name().map_or_else(whole, PathBuf::from) } else { whole() };
    path.display().to_string()
}

/// `NAME=URL`, or a URL alone, whose server is asked for its name.
async fn backend(text: &str) -> Result<(String, Client)> {
    let (name, url) = match text.split_once('=') {
        Some((name, url)) => (Some(name), url),
        None => (None, text),
    };
    let client = Client::new(url).map_err(anyhow::Error::msg).with_context(|| format!("--backend {text}"))?;
    let name = match name {
        Some(name) => name.to_owned(),
        None => client.name(PATIENCE).await?,
    };
    Ok((name, client))
}

/// `yardmaster load-infer`.
pub(crate) fn load(args: &LoadInfer) -> Result<()> {
    let [json, csv] = Output::all([("--json", args.json.as_deref()), ("--csv", args.csv.as_deref())])?;
    let scenario = input::scenario(&args.scenario)?;
    let plan = Plan::of(&scenario, args.seed)?;
    ensure!(!plan.requests.is_empty(), "{} has no requests", args.scenario);
    let client = Client::new(&args.url).map_err(anyhow::Error::msg).context("--url")?;
    let outcomes = runtime()?.block_on(infer::run(&client, &plan, args.seed))?;
    let report = Report::of(&outcomes);
    match json {
        Some(json) => json.write(&(serde_json::to_string_pretty(&report)? + "\n"))?,
        None => Output::Stdout.write(summary(&report))?,
    }
    csv.map_or(Ok(()), |csv| csv.write(&requests_csv(&outcomes)?))
}

fn summary(report: &Report) -> String {
    let errors: Vec<String> = report.errors.iter().map(|(what, count)| format!("{count} {what}")).collect();
    let errors = if errors.is_empty() { "none".to_owned() } else { errors.join(", ") };
    format!(
        "requests   {} in {:.1} s, {} answered; errors: {errors}\n\
         latency    mean {:.2} ms, p50 {:.2}, p99 {:.2}\n\
         in time    {:.1} %\n\
         batch      {:.2} requests on average\n\
         generator  late by {:.2} ms at its p99, which is part of the latencies\n",
        report.requests,
        report.duration_s,
        report.answered,
        report.mean_ms,
        report.p50_ms,
        report.p99_ms,
        report.slo_attainment * 100.0,
        report.mean_batch,
        report.lag_p99_ms
    )
}

fn requests_csv(outcomes: &[Outcome]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for outcome in outcomes {
        writer.serialize(outcome)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// `yardmaster backend`.
pub(crate) fn backend_program(args: &Backend) -> ExitCode {
    crate::beside::run(
        "yardmaster-backend",
        &args.arguments,
        "The back end brings an inference runtime along and is built apart. In the source folder:\n  \
         cargo build --release -p yardmaster-backend",
    )
}
