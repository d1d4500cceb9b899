//! Exported policies: ONNX's checker takes them, and onnxruntime decides as our own forward pass does.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use yardmaster_agent::frozen::{self, Frozen, Golden};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::onnx;
use yardmaster_agent::policy::Policy;
use yardmaster_env::observe::Schema;
use yardmaster_env::sim::Simulator;
use yardmaster_env::spec::{self, Scenario, Split};

/// Recorded decisions of each policy; eight policies make a thousand.
const DECISIONS: usize = 130;
/// Every so many decisions one is recorded, so that the record spans an episode.
const STRIDE: usize = 7;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A Python that has the packages, or nothing: then the test says so.
fn python() -> Option<PathBuf> {
    let own = root().join(".venv/bin/python");
    let found = if own.is_file() { own } else { "python3".into() };
    let python = std::env::var_os("PYTHON").map_or(found, PathBuf::from);
    let can = Command::new(&python).args(["-c", "import numpy, onnx, onnxruntime"]).output();
    if can.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let shown = python.display();
    println!("skipped: {shown} has no onnx and onnxruntime; run scripts/python.sh or set PYTHON");
    None
}

/// The shipped policies with their names.
fn shipped() -> Vec<(String, Frozen)> {
    let files = std::fs::read_dir(root().join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let policies = files.filter(|path| path.extension().is_some_and(|ending| ending == "safetensors"));
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    policies
        .map(|path| (name(&path), frozen::load(&path).unwrap().reading(&Schema::current()).unwrap()))
        .collect()
}

/// What a policy saw in test episodes of its own scenarios, which take turns, and what it made of it.
fn record(frozen: &Frozen) -> Vec<Golden> {
    // Those of files have names that nobody knows.
    let scenarios: Vec<_> =
        frozen.card().origin.scenarios().filter_map(|name| spec::builtin(name).ok()).collect();
    assert!(!scenarios.is_empty(), "trained in {}", frozen.card().origin.scenario);
    let share = DECISIONS.div_ceil(scenarios.len());
    let mut cases = Vec::new();
    for (scenario, episode) in scenarios.iter().cycle().zip(0..) {
        let room = DECISIONS - cases.len();
        if room == 0 {
            break;
        }
        cases.extend(record_episode(frozen, scenario, episode, share.min(room)));
    }
    cases
}

/// Every so many decisions of a test episode, at most `limit` of them.
fn record_episode(frozen: &Frozen, scenario: &Scenario, episode: u64, limit: usize) -> Vec<Golden> {
    let seed = Split::Test.seed(3, episode);
    let mut sim = Simulator::new(Arc::new(scenario.world(seed).unwrap()));
    let mut policy = Learned::from_frozen("learned", frozen).unwrap();
    policy.reset(seed);
    let mut cases = Vec::new();
    let mut asked = 0;
    while let Some(view) = sim.next_decision() {
        let weighed = policy.weigh(&view);
        let decision = weighed.decision(&view);
        if asked % STRIDE == 0 {
            cases.extend(Golden::record(frozen.net(), weighed.observation, weighed.prior));
        }
        if cases.len() == limit {
            break;
        }
        asked += 1;
        sim.apply(decision).unwrap();
    }
    cases
}

#[test]
fn onnxruntime_decides_as_we_do() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let policies = shipped();
    assert!(policies.len() * DECISIONS >= 1000, "{} policies are too few", policies.len());
    for (name, frozen) in &policies {
        let put = |ending: &str, bytes: Vec<u8>| {
            std::fs::write(folder.path().join(name).with_extension(ending), bytes).unwrap();
        };
        put("onnx", onnx::to_bytes(frozen));
        put("json", serde_json::to_vec(&record(frozen)).unwrap());
    }
    let script = root().join("tests/python/onnx_check.py");
    let checked = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let found: Value = serde_json::from_slice(&checked.stdout).unwrap();
    for (name, frozen) in &policies {
        for kind in ["alone", "padded"] {
            let row = &found[name][kind];
            println!("{name} {kind}: {row}");
            assert_eq!(row["decisions"], DECISIONS, "{name} {kind}");
            assert_eq!(row["other_choices"], 0, "{name} {kind}: {row}");
            // Of the decision's largest logit, where that is beyond 1.
            assert!(row["largest_error"].as_f64().unwrap() <= 1e-5, "{name} {kind}: {row}");
        }
        let (card, metadata) = (frozen.card(), &found[name]["metadata"]);
        assert_eq!(metadata["schema_id"], *card.schema_id);
        assert_eq!(metadata["digest"], *card.digest);
        assert_eq!(metadata["scenario"], *card.origin.scenario);
        let names: Vec<String> = serde_json::from_str(metadata["features.pair"].as_str().unwrap()).unwrap();
        assert_eq!(names, card.origin.schema.pair);
    }
}
