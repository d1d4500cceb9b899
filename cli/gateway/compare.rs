//! `yardmaster live-compare`: policies live and simulated on the same arrivals.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use yardmaster_agent::registry;
use yardmaster_live::gateway::compare::{Comparison, Contestant, Row};
use yardmaster_live::gateway::config::RawConfig;
use yardmaster_live::gateway::report;

use super::args::LiveCompare;
use super::{config, policy, runtime};
use crate::file::text;
use crate::output::Output;

/// The file of rows.
#[derive(Deserialize, Serialize)]
struct Written {
    config: RawConfig,
    rows: Vec<Row>,
}

/// Runs the command.
pub(crate) fn compare(args: &LiveCompare) -> Result<()> {
    let [json, markdown] =
        Output::all([("--json", args.json.as_deref()), ("--markdown", args.markdown.as_deref())])?;
    let markdown = markdown.unwrap_or(Output::Stdout);
    if let Some(path) = &args.rows {
        let wrong = || format!("{} holds no rows of live-compare", path.display());
        let Written { rows, .. } = serde_json::from_str(&text(path)?).with_context(wrong)?;
        let names: Vec<&str> = rows.iter().map(|row| row.policy.as_str()).collect();
        return markdown.write(report::page(&rows, &against(args, &names)?));
    }
    // clap asks for it where there are no rows.
    let path = args.config.as_deref().context("give --config or --rows")?;
    let config = config(path)?;
    let contestants = contestants(args)?;
    let names: Vec<&str> = contestants.iter().map(|contestant| contestant.name.as_str()).collect();
    for (at, name) in names.iter().enumerate() {
        ensure!(!names[..at].contains(name), "{name} takes part twice: leave one out, or rename the file");
    }
    let against = against(args, &names)?;
    let comparison = Comparison {
        command: std::env::current_exe().context("this program does not know where it is")?,
        config: path,
        scenario: &config.scenario,
        seeds: (args.seed..).take(args.episodes).collect(),
    };
    let rows = runtime()?.block_on(comparison.run(&contestants, |row, _| tell(row)))?;
    let written = Written { config: config.raw, rows };
    if let Some(json) = json {
        json.write(&(serde_json::to_string_pretty(&written)? + "\n"))?;
    }
    markdown.write(report::page(&written.rows, &against))
}

/// Whom the others are compared with: who is named, or else the last.
fn against(args: &LiveCompare, names: &[&str]) -> Result<String> {
    let Some(last) = names.last() else { bail!("nobody takes part: give --policies or --checkpoint") };
    let against = args.against.as_deref().unwrap_or(last);
    if !names.contains(&against) {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        bail!("--against {against}: give one of those that take part, {}", names.join(", "));
    }
    Ok(against.to_owned())
}

fn contestants(args: &LiveCompare) -> Result<Vec<Contestant>> {
    let mut contestants = Vec::new();
    for name in registry::split_list(&args.policies) {
        policy(Some(&name), None)?;
        contestants.push(contestant(name.clone(), vec!["--policy".into(), name], None));
    }
    for path in &args.checkpoint {
        policy(None, Some(path))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let arguments = vec!["--checkpoint".into(), path.display().to_string()];
        contestants.push(contestant(name, arguments, Some(path)));
    }
    Ok(contestants)
}

fn contestant(name: String, arguments: Vec<String>, checkpoint: Option<&Path>) -> Contestant {
    let (rule, checkpoint) = (name.clone(), checkpoint.map(PathBuf::from));
    let build = move || {
        let rule = checkpoint.is_none().then_some(rule.as_str());
        policy(rule, checkpoint.as_deref()).map_err(|error| format!("{error:#}"))
    };
    Contestant { name, arguments, build: Box::new(build) }
}

fn tell(row: &Row) {
    let (live, simulated) = (&row.live, &row.simulated);
    eprintln!(
        "{:<28} seed {}: live mean {:.2} p99 {:.2} ms, {:.1} % in time; simulated {:.2} {:.2}, {:.1} %",
        row.policy,
        row.seed,
        live.mean_ms,
        live.p99_ms,
        live.slo_attainment * 100.0,
        simulated.mean_ms,
        simulated.p99_ms,
        simulated.slo_attainment * 100.0
    );
}
