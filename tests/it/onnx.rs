//! Exported policies: ONNX's checker takes them, and onnxruntime decides as our own forward pass does.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use yardmaster_agent::frozen::{Frozen, Golden};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::policy::Policy;
use yardmaster_env::sim::Simulator;
use yardmaster_env::spec::{self, Split};

use crate::checkpoints::{load, shipped};
use crate::support::{Bench, in_parallel, ours};

/// Recorded decisions of each policy; eight policies make a thousand.
const DECISIONS: usize = 130;
/// Every so many decisions one is recorded, so that the record spans an episode.
const STRIDE: usize = 7;

/// A Python that has the packages, or nothing: then the test says so.
fn python() -> Option<PathBuf> {
    let own = ours(".venv/bin/python");
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

/// What a policy saw in test episodes of its own scenario, and what it made of it.
fn record(frozen: &Frozen) -> Vec<Golden> {
    let scenario = spec::builtin(&frozen.card().origin.scenario).unwrap();
    let mut policy = Learned::from_frozen("learned", frozen).unwrap();
    let mut cases = Vec::new();
    for episode in 0.. {
        let seed = Split::Test.seed(3, episode);
        let mut sim = Simulator::new(Arc::new(scenario.world(seed).unwrap()));
        policy.reset(seed);
        let mut asked = 0;
        while let Some(view) = sim.next_decision() {
            let weighed = policy.weigh(&view);
            let decision = weighed.decision(&view);
            if asked % STRIDE == 0 && cases.len() < DECISIONS {
                cases.extend(Golden::record(frozen.net(), weighed.observation, weighed.prior));
            }
            asked += 1;
            sim.apply(decision).unwrap();
        }
        if cases.len() >= DECISIONS {
            return cases;
        }
    }
    unreachable!("episodes never run out")
}

#[test]
fn onnxruntime_decides_as_we_do() {
    let Some(python) = python() else { return };
    let bench = Bench::new();
    let names = in_parallel(&shipped(), |path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        bench.ok(&format!("export {} --format onnx --out {name}.onnx", path.display()));
        bench.put(&format!("{name}.json"), serde_json::to_vec(&record(&load(path))).unwrap());
        name
    });
    let checked =
        Command::new(python).arg(ours("tests/python/onnx_check.py")).arg(bench.path("")).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let found: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert!(names.len() * DECISIONS >= 1000, "{} policies are too few", names.len());
    for name in names {
        for kind in ["alone", "padded"] {
            let row = &found[&name][kind];
            println!("{name} {kind}: {row}");
            assert_eq!(row["decisions"], DECISIONS, "{name} {kind}");
            assert_eq!(row["other_choices"], 0, "{name} {kind}: {row}");
            // Of the decision's largest logit, where that is beyond 1.
            assert!(row["largest_error"].as_f64().unwrap() <= 1e-5, "{name} {kind}: {row}");
        }
        let card = load(&ours(&format!("checkpoints/{name}.safetensors"))).card().clone();
        let metadata = &found[&name]["metadata"];
        assert_eq!(metadata["schema_id"], *card.schema_id);
        assert_eq!(metadata["digest"], *card.digest);
        assert_eq!(metadata["scenario"], *card.origin.scenario);
        let names: Vec<String> = serde_json::from_str(metadata["features.pair"].as_str().unwrap()).unwrap();
        assert_eq!(names, card.origin.schema.pair);
    }
}

#[test]
fn what_cannot_be_exported_is_refused_and_nothing_is_written() {
    let bench = Bench::new();
    bench.put("cut.safetensors", &std::fs::read(ours("checkpoints/gang.safetensors")).unwrap()[..5000]);
    let error = bench.fails("export cut.safetensors --format onnx --out out.onnx");
    assert!(error.contains("cut.safetensors is not a usable frozen policy"), "{error}");
    let error = bench.fails("export cut.safetensors --format tflite --out out.onnx");
    assert!(error.contains("possible values: onnx"), "{error}");
    assert_eq!(bench.list(), ["cut.safetensors"]);
}
