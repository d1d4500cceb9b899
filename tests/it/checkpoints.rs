//! The shipped policies, in a program without libtorch: the same choices as in training's evaluation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yardmaster_agent::frozen::{self, Frozen};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::policy::play;
use yardmaster_env::observe::Schema;
use yardmaster_env::spec::{self, Split};

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut policies: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "safetensors")).collect();
    policies.sort();
    assert!(!policies.is_empty(), "no policy is shipped");
    policies
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
        policy.check_schema(&Schema::current()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// A digest covers every event of an episode, so equal digests mean the same choice each time.
#[test]
fn test_episodes_go_as_they_went_in_training() {
    for path in shipped() {
        let policy = load(&path);
        let origin = &policy.card().origin;
        let scenario = spec::builtin(&origin.scenario).unwrap();
        assert_eq!(scenario.digest(), origin.scenario_digest, "{}: the scenario has changed", path.display());
        let digests = origin.benchmark["digests"].as_array().expect("the card has digests");
        let base = origin.benchmark["seed"].as_u64().expect("the card has a seed");
        assert!(!digests.is_empty());
        for (number, digest) in digests.iter().enumerate() {
            let seed = Split::Test.seed(base, number as u64);
            let world = Arc::new(scenario.world(seed).unwrap());
            let mut learned = Learned::from_frozen("learned", &policy).unwrap();
            let sim = play(&world, &mut learned, seed).unwrap();
            assert_eq!(format!("{:016x}", sim.digest()), digest.as_str().unwrap(), "{}", path.display());
        }
    }
}

/// What the card claims is what the bench finds.
#[test]
fn the_policy_beats_the_classical_rules_it_claims_to_beat() {
    for path in shipped() {
        let policy = load(&path);
        let ratios =
            policy.card().origin.benchmark["ratio_to"].as_object().expect("the card has ratios").clone();
        for rule in ["fcfs", "sjf", "wrr"] {
            let high = ratios[rule]["ci95"][1].as_f64().unwrap();
            assert!(high < 1.0, "{} does not beat {rule}: {}", path.display(), ratios[rule]);
        }
    }
}
