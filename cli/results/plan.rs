//! Which policy plays where.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use yardmaster_agent::frozen::Frozen;
use yardmaster_env::spec::{self, Scenario};

use crate::args::Results;
use crate::bench::field::learned_name;
use crate::input;

/// A frozen policy.
pub(crate) struct Entry {
    /// Its file.
    pub(crate) path: PathBuf,
    /// Its name in comparisons.
    pub(crate) name: String,
    /// Itself.
    pub(crate) frozen: Frozen,
    /// Where it plays.
    pub(crate) scenarios: Vec<Scenario>,
    /// What of those has changed since it was trained, for the table.
    pub(crate) changed: bool,
}

impl Entry {
    /// Whether it was made for one scenario.
    pub(crate) fn is_own(&self) -> bool {
        self.scenarios.len() == 1
    }
}

/// A scenario with all that play in it.
pub(crate) struct Place {
    /// Itself.
    pub(crate) scenario: Scenario,
    /// The policies' files.
    pub(crate) checkpoints: Vec<PathBuf>,
}

/// The policies, with the scenarios that their cards name, or else the command; those of one scenario before those of many.
pub(crate) fn entries(args: &Results) -> Result<Vec<Entry>> {
    let given: Vec<Scenario> =
        args.scenarios.iter().map(|name| input::scenario(name)).collect::<Result<_>>()?;
    let mut entries: Vec<Entry> =
        args.checkpoints.iter().map(|path| entry(path.clone(), &given)).collect::<Result<_>>()?;
    entries.sort_by_key(|entry| !entry.is_own());
    Ok(entries)
}

fn entry(path: PathBuf, given: &[Scenario]) -> Result<Entry> {
    let frozen = input::policy(&path)?;
    let origin = &frozen.card().origin;
    // A scenario from a file has a name that nobody else knows.
    let (mut known, mut strange, mut reason) = (Vec::new(), Vec::new(), None);
    for name in origin.scenarios() {
        match input::scenario(name) {
            Ok(scenario) => known.push(scenario),
            Err(error) => {
                strange.push(name);
                reason.get_or_insert(error);
            }
        }
    }
    if !known.is_empty() && !strange.is_empty() {
        let names = strange.join(", ");
        eprintln!(
            "note: {} is not judged in {names}, which it was trained in too: unknown here",
            path.display()
        );
    }
    let scenarios = match reason {
        _ if !known.is_empty() => known,
        _ if !given.is_empty() => given.to_vec(),
        Some(error) => {
            return Err(error).with_context(|| {
                let path = path.display();
                format!(
                    "{path} was trained in {:?}: say with --scenarios where it is to play",
                    origin.scenario
                )
            });
        }
        None => {
            let path = path.display();
            anyhow::bail!("the card of {path} names no scenario: say with --scenarios where it is to play")
        }
    };
    // A policy that learned on many sizes is judged on the scenarios as they are, and one that learned in files too, on the others.
    let scenarios = spec::originals(scenarios);
    let changed = matches!(&scenarios[..], [one] if one.digest() != origin.scenario_digest);
    Ok(Entry { name: learned_name(&path), path, scenarios, changed, frozen })
}

/// Every scenario once, in the order of the policies.
pub(crate) fn places(entries: &[Entry]) -> Result<Vec<Place>> {
    let mut places: Vec<Place> = Vec::new();
    for entry in entries {
        for scenario in &entry.scenarios {
            let same = |place: &&mut Place| place.scenario.digest() == scenario.digest();
            match places.iter_mut().find(same) {
                Some(place) => place.checkpoints.push(entry.path.clone()),
                None => {
                    let name = &scenario.spec().name;
                    let other = places.iter().find(|place| place.scenario.spec().name == *name);
                    ensure!(other.is_none(), "two scenarios are called {name}: rename one of them");
                    let checkpoints = vec![entry.path.clone()];
                    places.push(Place { scenario: scenario.clone(), checkpoints });
                }
            }
        }
    }
    Ok(places)
}
