//! Who plays which episodes, and what came of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use yardmaster_agent::comparison::{self, Played};
use yardmaster_agent::evaluate::{Contestant, Episodes, in_order};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::registry;
use yardmaster_agent::search::Settings;
use yardmaster_agent::tuned::{Tuned, embedded};
use yardmaster_env::sim::World;
use yardmaster_env::spec::Scenario;

use super::journal::{Journal, Key};
use super::source::Source;
use super::{Comparison, Cut, Failure};
use crate::args::Bench;
use crate::file::{digest, text};
use crate::input;
use crate::silence::Silence;

/// What an episode came to, once it has been played: what was measured, or why it broke off.
type Cell = OnceLock<Result<Played, String>>;

/// Policies by name and file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    /// Separated by commas, or `all`.
    pub(crate) policies: &'a str,
    /// Frozen policies.
    pub(crate) checkpoints: &'a [PathBuf],
}

/// The policies that meet in one scenario, and what became of them.
pub(crate) struct Field {
    /// Where episodes come from.
    pub(crate) source: Source,
    /// In order of the tables.
    pub(crate) contestants: Vec<Contestant>,
    /// What tells each policy from others of its name.
    identities: Vec<String>,
    /// In order of episodes.
    pub(crate) seeds: Vec<u64>,
    /// (contestants, episodes)
    cells: Vec<Vec<Cell>>,
    /// (contestants): the first episode that broke off; later ones are not played.
    broken: Vec<AtomicUsize>,
}

impl Field {
    /// The policies that are named, with tuned parameters where there are any: of files, or else those that come with
    /// the command; none at all if `files` is `None`.
    pub(crate) fn new(
        named: Named<'_>,
        source: Source,
        seeds: Vec<u64>,
        files: Option<&[Tuned]>,
    ) -> Result<Field> {
        let (contestants, identities) = contestants(named, &source, files)?;
        let cells = contestants.iter().map(|_| seeds.iter().map(|_| Cell::new()).collect()).collect();
        let broken = contestants.iter().map(|_| AtomicUsize::new(usize::MAX)).collect();
        Ok(Field { source, contestants, identities, seeds, cells, broken })
    }

    /// The episodes of a policy that came through all of them.
    pub(crate) fn episodes(&self, at: usize) -> Option<Vec<Played>> {
        self.cells[at].iter().map(|cell| cell.get()?.as_ref().ok().cloned()).collect()
    }

    /// What came of it.
    pub(crate) fn comparison(&self, seed: u64) -> Comparison {
        let played: Vec<(&Contestant, Vec<Played>)> = (self.contestants.iter().enumerate())
            .filter_map(|(at, contestant)| Some((contestant, self.episodes(at)?)))
            .collect();
        let entrants: Vec<_> =
            played.iter().map(|(contestant, episodes)| contestant.with(episodes)).collect();
        let objective = self.source.objective();
        let cut =
            self.source.windows().map(|windows| Cut { jobs: windows.jobs, first: windows.first.clone() });
        Comparison {
            scenario: self.source.name().to_owned(),
            objective: self.source.aim().name(),
            unit: objective.unit().to_owned(),
            episodes: self.seeds.len() as u64,
            seed,
            scenario_digest: self.source.digest(),
            windows: cut,
            policies: comparison::rows(&entrants),
            failed: (0..self.contestants.len()).filter_map(|at| self.failure(at)).collect(),
        }
    }

    fn failure(&self, at: usize) -> Option<Failure> {
        let mut cells = self.cells[at].iter().enumerate();
        let (episode, why) = cells.find_map(|(number, cell)| Some((number, cell.get()?.as_ref().err()?)))?;
        let policy = self.contestants[at].name.clone();
        Some(Failure { policy, episode, seed: self.seeds[episode], why: why.clone() })
    }

    fn key(&self, digest: &str, at: usize, number: usize) -> Key {
        let (scenario, policy) = (digest.to_owned(), self.identities[at].clone());
        Key { scenario, policy, episode: (self.seeds[number], number as u64) }
    }

    /// Takes over what an earlier run has found out; gives what is left to do: (contestant, episode) by episode.
    fn resume(&self, journal: &Journal) -> Vec<(usize, usize)> {
        let digest = self.source.digest();
        let mut left = Vec::new();
        for number in 0..self.seeds.len() {
            for at in 0..self.contestants.len() {
                match journal.known(&self.key(&digest, at, number)) {
                    Some(played) => _ = self.cells[at][number].set(Ok(played.clone())),
                    None => left.push((at, number)),
                }
            }
        }
        left
    }
}

/// How long the policies took in all, in nanoseconds: (fields, contestants).
pub(crate) struct Times(Vec<Vec<AtomicU64>>);

/// Plays whatever has not been played, in parallel over episodes and policies, in order of the fields.
///
/// # Errors
/// A journal that takes no more. A policy that fails is no error: its cell says why.
pub(crate) fn play(fields: &[Field], journal: &Journal) -> Result<Times> {
    let left: Vec<Vec<(usize, usize)>> = fields.iter().map(|field| field.resume(journal)).collect();
    let tasks: Vec<(usize, usize, usize)> = (left.iter().enumerate())
        .flat_map(|(which, left)| left.iter().map(move |&(at, number)| (which, at, number)))
        .collect();
    let stages: Vec<_> = fields.iter().zip(&left).map(|(field, left)| Stage::new(field, left)).collect();
    let times = Times(
        fields.iter().map(|field| field.contestants.iter().map(|_| AtomicU64::new(0)).collect()).collect(),
    );
    let unwritten = Mutex::new(None);
    let bar = bar(tasks.len() as u64)?;
    let _silence = Silence::begin();
    in_order(tasks.len(), |task| {
        let (which, at, number) = tasks[task];
        let begin = Instant::now();
        if let Err(error) = stages[which].play(at, number, journal) {
            *unwritten.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        times.0[which][at].fetch_add(begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
        bar.set_message(fields[which].source.name().to_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    match unwritten.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(times),
    }
}

/// Makes an episode of its number and seed.
type Generate<'a> = Box<dyn Fn(usize, u64) -> Result<World, String> + Sync + 'a>;

/// A field while it is played.
struct Stage<'a> {
    field: &'a Field,
    digest: String,
    episodes: Episodes<Generate<'a>>,
}

impl<'a> Stage<'a> {
    fn new(field: &'a Field, left: &[(usize, usize)]) -> Stage<'a> {
        let mut plays = vec![0; field.seeds.len()];
        left.iter().for_each(|&(_, number)| plays[number] += 1);
        let generate: Generate<'a> = Box::new(|number, seed| field.source.world(number, seed));
        Stage {
            field,
            digest: field.source.digest(),
            episodes: Episodes::new(generate, &field.seeds, &plays),
        }
    }

    fn play(&self, at: usize, number: usize, journal: &Journal) -> Result<()> {
        let world = self.episodes.world(number);
        let broken = &self.field.broken[at];
        // Earlier episodes are always played, so that the first failure is the same on any number of threads.
        if broken.load(Ordering::Relaxed) < number {
            return Ok(());
        }
        let seed = self.field.seeds[number];
        let played = world
            .map_err(|why| format!("the episode cannot be generated: {why}"))
            .and_then(|world| self.field.contestants[at].try_play(&world, seed));
        let written = match &played {
            Ok(played) => journal.add(self.field.key(&self.digest, at, number), played),
            Err(_) => {
                broken.fetch_min(number, Ordering::Relaxed);
                Ok(())
            }
        };
        _ = self.field.cells[at][number].set(played);
        written
    }
}

fn bar(tasks: u64) -> Result<ProgressBar> {
    let bar = ProgressBar::new(tasks);
    bar.set_style(ProgressStyle::with_template("{msg:>16} [{bar:40}] {pos}/{len} runs, {eta} left")?);
    Ok(bar)
}

/// One line on how long it took, and what took most.
pub(crate) fn tell_times(fields: &[Field], times: &Times, elapsed: Duration) -> String {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let mut parts: Vec<(f64, String)> = Vec::new();
    for (field, times) in fields.iter().zip(&times.0) {
        for (contestant, time) in field.contestants.iter().zip(times) {
            let spent = seconds(time.load(Ordering::Relaxed));
            parts.push((spent, format!("{} in {} {spent:.1} s", contestant.name, field.source.name())));
        }
    }
    let all: f64 = parts.iter().map(|(spent, _)| spent).sum();
    parts.sort_by(|one, other| other.0.total_cmp(&one.0));
    let most: Vec<String> = parts.into_iter().take(3).map(|(_, text)| text).collect();
    let threads = rayon::current_num_threads();
    format!(
        "took {:.1} s on {threads} thread(s), {all:.1} s of them playing; most: {}",
        elapsed.as_secs_f64(),
        most.join(", ")
    )
}

/// As which name a policy plays; a look-ahead looks ahead from the tuned form of its base.
fn plays_as(tuned: &Tuned, name: &str) -> Result<Option<String>> {
    Ok(match Settings::parse(name)? {
        None => tuned.plays_as(name).map(str::to_owned),
        Some(settings) => tuned.plays_as(&settings.base).map(|base| {
            let base = base.to_owned();
            Settings { base, ..settings.clone() }.name()
        }),
    })
}

fn contestants(
    named: Named<'_>,
    source: &Source,
    files: Option<&[Tuned]>,
) -> Result<(Vec<Contestant>, Vec<String>)> {
    let mut contestants = Vec::new();
    let mut identities = Vec::new();
    let tuned = tuned_for(source, files)?;
    for name in names(named.policies, source)? {
        let plays_as = match &tuned {
            Some(tuned) => plays_as(tuned, &name)?,
            None => None,
        };
        contestants.push(Contestant::tuned_rule(&name, plays_as.as_deref(), source.scenario())?);
        identities.push(plays_as.unwrap_or(name));
    }
    for path in named.checkpoints {
        let frozen = input::policy(path)?;
        let name = learned_name(path);
        let refused = || format!("{} is not a usable frozen policy", path.display());
        let learned = Learned::from_frozen(name.as_str(), &frozen).with_context(refused)?;
        contestants.push(Contestant::learned(&name, learned.net_handle(), &frozen.card().origin.prior)?);
        let digest = digest(&std::fs::read(path).with_context(refused)?);
        identities.push(format!("{name} {digest}"));
    }
    for (at, Contestant { name, .. }) in contestants.iter().enumerate() {
        ensure!(contestants[..at].iter().all(|other| other.name != *name), "{name} takes part twice");
    }
    Ok((contestants, identities))
}

/// The files of tuned parameters that the arguments name, each for one of the sources; `None` where there are to be none.
///
/// # Errors
/// A file for something else.
pub(crate) fn tuned_files(args: &Bench, sources: &[Source]) -> Result<Option<Vec<Tuned>>> {
    if args.tuned.iter().any(|path| path == Path::new("none")) {
        ensure!(args.tuned.len() == 1, "--tuned: give files, or none");
        return Ok(None);
    }
    let scenarios: Vec<&Scenario> = sources.iter().filter_map(Source::scenario).collect();
    let one = |path: &PathBuf| {
        let file = path.display().to_string();
        let tuned = Tuned::parse(&text(path)?, &file)?;
        // What is compared with in the message: the scenario of the same name, or any.
        let same = scenarios.iter().find(|scenario| scenario.spec().name == tuned.scenario);
        let fits = scenarios.iter().any(|scenario| tuned.is_for(scenario));
        if let Some(other) = same.or(scenarios.first()).filter(|_| !fits) {
            tuned.check(&file, other)?;
        }
        Ok(tuned)
    };
    args.tuned.iter().map(one).collect::<Result<_>>().map(Some)
}

/// The parameters for a source: of the file that is for it, else those that come with the command.
fn tuned_for(source: &Source, files: Option<&[Tuned]>) -> Result<Option<Tuned>> {
    let (Some(scenario), Some(files)) = (source.scenario(), files) else { return Ok(None) };
    match files.iter().find(|tuned| tuned.is_for(scenario)) {
        Some(tuned) => Ok(Some(tuned.clone())),
        None => Ok(embedded(scenario)?),
    }
}

/// The file's name without its ending; with folder and ending where a rule has that name.
pub(crate) fn learned_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if registry::build(&stem).is_ok() { path.display().to_string() } else { stem }
}

/// The policies asked for; `all` stands for those that differ in this world and are not named beside it.
fn names(list: &str, source: &Source) -> Result<Vec<String>> {
    let given = registry::split_list(list);
    let mut names: Vec<String> = Vec::new();
    for name in &given {
        if name == "all" {
            let standard = registry::standard(&source.example()?).into_iter().map(str::to_owned);
            names.extend(standard.filter(|name| !given.contains(name)));
        } else {
            names.push(name.clone());
        }
    }
    Ok(names)
}
