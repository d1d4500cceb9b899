//! Where the episodes of a comparison come from: a scenario, or windows of a recorded trace.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use yardmaster_env::aim::Aim;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::objective::Objective;
use yardmaster_env::rules::{Prices, Rules};
use yardmaster_env::sim::World;
use yardmaster_env::spec::{Scenario, Split};
use yardmaster_env::view::Discipline;

use crate::args::Bench;
use crate::file::digest;
use crate::input;

/// Test episodes of a scenario, unless told otherwise.
const EPISODES: u64 = 100;

/// Where episodes come from.
pub(crate) enum Source {
    /// Generated from seeds.
    Scenario(Box<Scenario>),
    /// Cut out of a trace.
    Trace(Box<Windows>),
}

/// Parts of a trace, of equally many jobs in a row each, that do not overlap unless the arguments say where they begin. Each
/// is played on an empty cluster.
pub(crate) struct Windows {
    /// The file.
    name: String,
    catalog: Catalog,
    whole: World,
    /// Jobs of a window.
    pub(crate) jobs: usize,
    /// The first job of each window, in order of episodes.
    pub(crate) first: Vec<usize>,
    digest: String,
}

impl Source {
    /// Its name in tables.
    pub(crate) fn name(&self) -> &str {
        match self {
            Source::Scenario(scenario) => &scenario.spec().name,
            Source::Trace(windows) => &windows.name,
        }
    }

    /// What is to be made small.
    pub(crate) fn objective(&self) -> Objective {
        match self {
            Source::Scenario(scenario) => scenario.spec().objective,
            Source::Trace(windows) => windows.whole.objective,
        }
    }

    /// The same with what energy and money count, for tables.
    pub(crate) fn aim(&self) -> Aim {
        match self {
            Source::Scenario(scenario) => {
                let spec = scenario.spec();
                Aim { objective: spec.objective, prices: spec.prices }
            }
            Source::Trace(windows) => {
                Aim { objective: windows.whole.objective, prices: windows.whole.rules.prices }
            }
        }
    }

    /// Digest of all that decides what an episode is, its seed apart.
    pub(crate) fn digest(&self) -> String {
        match self {
            Source::Scenario(scenario) => scenario.digest(),
            Source::Trace(windows) => windows.digest.clone(),
        }
    }

    /// The windows, if it is a trace.
    pub(crate) fn windows(&self) -> Option<&Windows> {
        match self {
            Source::Scenario(_) => None,
            Source::Trace(windows) => Some(windows),
        }
    }

    /// The scenario, if it is one.
    pub(crate) fn scenario(&self) -> Option<&Scenario> {
        match self {
            Source::Scenario(scenario) => Some(scenario),
            Source::Trace(_) => None,
        }
    }

    /// The seeds of its episodes.
    pub(crate) fn seeds(&self, args: &Bench) -> Vec<u64> {
        let count = match self {
            Source::Scenario(_) => args.episodes.unwrap_or(EPISODES),
            Source::Trace(windows) => windows.first.len() as u64,
        };
        (0..count).map(|number| Split::Test.seed(args.seed, number)).collect()
    }

    /// An episode by its number and seed.
    ///
    /// # Errors
    /// Why it cannot be generated, for people.
    pub(crate) fn world(&self, number: usize, seed: u64) -> Result<World, String> {
        match self {
            Source::Scenario(scenario) => scenario.world(seed).map_err(|error| error.to_string()),
            Source::Trace(windows) => {
                let part = windows.whole.clone().part(&windows.catalog, windows.first[number], windows.jobs);
                part.map_err(|error| error.to_string())
            }
        }
    }

    /// Any episode.
    pub(crate) fn example(&self) -> Result<World> {
        self.world(0, Split::Test.seed(0, 0)).map_err(anyhow::Error::msg)
    }
}

/// The windows of a trace that the arguments ask for.
pub(crate) fn windows(path: &Path, args: &Bench) -> Result<Windows> {
    let name = path.display().to_string();
    let trace = input::trace(path, args.cluster.as_deref())?;
    input::tell(path, &trace.report);
    let Some(cluster) = trace.cluster else {
        bail!("{name} does not say which machines there are: add --cluster with a scenario that has them");
    };
    let usual = Aim { objective: Objective::CompletionTime, prices: Prices::default() };
    let Aim { objective, prices } = args.objective.unwrap_or(usual);
    let discipline = args.queue.map_or(Discipline::Free, Discipline::from);
    let whole = World::new(&trace.catalog, cluster, trace.workload, discipline, objective, None)
        .with_context(|| name.clone())?
        .with_rounds(trace.rounds)?
        .with_rules(Rules { prices, ..Rules::default() })?;
    let all = whole.workload.len();
    let jobs = args.jobs.map_or(all, usize::from);
    ensure!(jobs <= all, "--jobs {jobs}: {name} has only {all} jobs");
    let first = first_jobs(all, jobs, args).with_context(|| format!("{name} has {all} jobs"))?;
    let digest = trace_digest(&whole, jobs);
    Ok(Windows { name, catalog: *trace.catalog, whole, jobs, first, digest })
}

/// The first job of each window.
fn first_jobs(all: usize, jobs: usize, args: &Bench) -> Result<Vec<usize>> {
    if args.starts.is_empty() {
        return Ok(draw(all / jobs, args)?.into_iter().map(|window| window * jobs).collect());
    }
    if let Some(start) = args.starts.iter().find(|start| **start > all - jobs) {
        bail!("--starts {start}: a window of --jobs {jobs} can begin at {} at the latest", all - jobs);
    }
    Ok(args.starts.clone())
}

/// The numbers of the windows to be played, of `count` that lie side by side: all, or as many as asked for, drawn
/// without repetition by the seed and then put in their order.
fn draw(count: usize, args: &Bench) -> Result<Vec<usize>> {
    let wanted = args.episodes.map_or(count.min(EPISODES as usize), |episodes| episodes as usize);
    if wanted > count {
        let how =
            if args.jobs.is_some() { "take a smaller --jobs or fewer --episodes" } else { "add --jobs" };
        bail!("--episodes {wanted}: that is {count} window(s) of --jobs without overlap; {how}");
    }
    let mut windows: Vec<usize> = (0..count).collect();
    windows.sort_by_key(|&window| (Split::Test.seed(args.seed, window as u64), window));
    windows.truncate(wanted);
    windows.sort_unstable();
    Ok(windows)
}

/// Digest of machines, jobs and rules, and of how windows are cut.
fn trace_digest(world: &World, jobs: usize) -> String {
    let World { cluster, workload, discipline, objective, rounds, rules, .. } = world;
    let prices = rules.prices;
    let text = format!("{cluster:?} {workload:?} {discipline:?} {objective:?} {prices:?} {rounds:?} {jobs}");
    digest(text.as_bytes())
}
