//! `yardmaster export --format onnx`. What the model computes is tested beside its writer (`agent/tests/onnx.rs`).

use yardmaster_agent::onnx;
use yardmaster_env::observe::Schema;

use crate::checkpoints::load;
use crate::support::{Bench, ours};

#[test]
fn the_file_is_the_model_of_the_policy() {
    let bench = Bench::new();
    let policy = ours("checkpoints/gang.safetensors");
    bench.ok(&format!("export {} --format onnx --out gang.onnx", policy.display()));
    let written = std::fs::read(bench.path("gang.onnx")).unwrap();
    // In the features of this version.
    assert!(written == onnx::to_bytes(&load(&policy).reading(&Schema::current()).unwrap()));
    assert_eq!(bench.list(), ["gang.onnx"]);
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
