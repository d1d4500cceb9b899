//! The shipped policies, in a program without libtorch: the same choices as in training's evaluation.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use yardmaster_agent::frozen::{self, Frozen};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::policy::play;
use yardmaster_env::observe::Schema;
use yardmaster_env::spec::{self, Scenario, Split};

use crate::support::shared_data;

/// Files of a folder of the repository with this ending, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|own| own == ending)).collect();
    files.sort();
    files
}

fn shipped() -> Vec<PathBuf> {
    let folders = ["checkpoints", "checkpoints/published", "checkpoints/tutors"];
    let found = folders.map(|folder| files(folder, "safetensors"));
    assert!(found.iter().all(|files| !files.is_empty()), "policies are shipped");
    found.concat()
}

/// The scenario of this name: built in, or beside the recipes; `None` where the trace that it reads is not there.
fn scenario(name: &str) -> Option<Scenario> {
    if let Ok(builtin) = spec::builtin(name) {
        return Some(builtin);
    }
    let folders = ["train/recipes/lublin", "train/recipes/one-server", "train/recipes/sizes"];
    let texts = folders.into_iter().flat_map(|folder| files(folder, "toml")).map(std::fs::read_to_string);
    let own =
        texts.map(Result::unwrap).find(|text| text.lines().any(|line| line == format!("name = {name:?}")));
    let own = own.unwrap_or_else(|| panic!("no scenario is called {name}"));
    let is_absent = Cell::new(false);
    let trace = |file: &str| {
        let path = shared_data(&format!("swf/{file}"));
        is_absent.set(path.is_none());
        std::fs::read_to_string(path.ok_or("it is absent")?).map_err(|error| error.to_string())
    };
    let read = Scenario::parse_with(&own, name, trace);
    (!is_absent.get()).then(|| read.unwrap())
}

pub(crate) fn load(path: &Path) -> Frozen {
    frozen::read(&std::fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn golden_outputs_are_reproduced() {
    for path in shipped() {
        let policy = load(&path);
        assert!(policy.card().golden.len() >= 8, "{}", path.display());
        policy.verify_golden().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let here = policy.reading(&Schema::current()).and_then(|policy| policy.verify_golden());
        here.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// A digest covers every event of an episode, so equal digests mean the same choice each time.
#[test]
fn test_episodes_go_as_they_went_in_training() {
    for path in shipped() {
        let policy = load(&path);
        let origin = &policy.card().origin;
        let digest = |name: &str| {
            let mut all = origin.scenarios().zip(origin.scenario_digest.split(','));
            all.find(|(known, _)| *known == name).map(|(_, digest)| digest)
        };
        for (name, worth) in origin.benchmarks() {
            let trained = digest(name).expect("the card names the scenario");
            let Some(scenario) = scenario(name) else { continue };
            let shown = format!("{} in {name}", path.display());
            assert_eq!(scenario.digest(), trained, "{shown}: the scenario has changed");
            let digests = worth["digests"].as_array().expect("the card has digests");
            let base = worth["seed"].as_u64().expect("the card has a seed");
            assert!(!digests.is_empty());
            for (number, digest) in digests.iter().enumerate() {
                let seed = Split::Test.seed(base, number as u64);
                let world = Arc::new(scenario.world(seed).unwrap());
                let mut learned = Learned::from_frozen("learned", &policy).unwrap();
                let sim = play(&world, &mut learned, seed).unwrap();
                assert_eq!(format!("{:016x}", sim.digest()), digest.as_str().unwrap(), "{shown}");
            }
        }
    }
}

/// What the card claims is what the bench finds.
#[test]
fn the_policy_beats_the_classical_rules_it_claims_to_beat() {
    for path in shipped() {
        let policy = load(&path);
        for (name, worth) in policy.card().origin.benchmarks() {
            let ratios = worth["ratio_to"].as_object().expect("the card has ratios");
            let shown = format!("{} in {name}", path.display());
            // One server has nothing to choose but the batch, and the largest is as good as the optimum.
            let bound = if name.starts_with("one-server") { 1.01 } else { 1.0 };
            // A batch queue has nowhere to go in turns.
            let is_queue = name == "hpc-256" || name.starts_with("lublin");
            let rules = ["fcfs", "sjf", "wrr"];
            for rule in &rules[..if is_queue { 2 } else { 3 }] {
                let high = ratios[*rule]["ci95"][1].as_f64().unwrap();
                assert!(high < bound, "{shown} does not beat {rule}: {}", ratios[*rule]);
            }
        }
    }
}
