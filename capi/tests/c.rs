//! The example in C, compiled against header and libraries, and calls that are wrong.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use yardmaster_agent::frozen;
use yardmaster_agent::learned::Learned;
use yardmaster_agent::net::{Scratch, first_highest};
use yardmaster_agent::policy::Policy;
use yardmaster_env::observe::{Observation, Pair, Schema};
use yardmaster_env::sim::Simulator;
use yardmaster_env::snapshot::{Snapshot, Told};
use yardmaster_env::spec::{self, Split};
use yardmaster_env::view::Decision;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn checkpoint() -> PathBuf {
    root().join("checkpoints/pool12.safetensors")
}

/// Where cargo has put the libraries: beside this test, or one folder up.
fn library(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let folders = here.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not beside {}", here.display()))
}

/// Compiles a C program with every warning an error, and links it to one of the libraries.
fn compile(source: &Path, program: &Path, library: &Path) {
    let mut cc = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".into()));
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]);
    cc.arg(root().join("capi/include")).arg(source).arg(library).arg("-o").arg(program);
    let folder = library.parent().unwrap().display();
    cc.arg(format!("-Wl,-rpath,{folder}")).args(["-lm", "-lpthread", "-ldl"]);
    let output = cc.output().expect("a C compiler is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn run(program: &Path, arguments: &[&Path]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// A snapshot in the middle of an episode, where the policy starts a job, and what it decides there.
fn moment() -> (String, Value) {
    let world = spec::builtin("pool12").unwrap().world(Split::Test.seed(1, 0)).unwrap();
    let mut sim = Simulator::new(world.into());
    let mut policy = Learned::load(checkpoint()).unwrap();
    let mut decided = 0;
    loop {
        let view = sim.next_decision().expect("a job starts late in the episode");
        let decision = policy.decide(&view);
        if decided >= 60 && matches!(decision, Decision::Start { .. }) {
            let snapshot = Snapshot::of(&view).unwrap();
            let told = snapshot.tell(&decision);
            assert!(matches!(told, Told::Start { .. }), "{told:?}");
            return (snapshot.to_json(), serde_json::to_value(&told).unwrap());
        }
        sim.apply(decision).unwrap();
        decided += 1;
    }
}

/// What the example computes on its arrays.
fn flat() -> String {
    let frozen = frozen::load(&checkpoint()).unwrap().reading(&Schema::current()).unwrap();
    let (net, dims) = (frozen.net(), *frozen.net().dims());
    let observation = Observation {
        global: vec![0.0; dims.global],
        jobs: vec![0.0; dims.job],
        nodes: vec![0.0; 2 * dims.node],
        pair_features: vec![0.0; 2 * dims.pair],
        pairs: vec![Pair { job: 0, node: 0 }, Pair { job: 0, node: 1 }],
        wait: false,
    };
    let mut scratch = Scratch::default();
    let logits = net.logits(&observation, Some(1), &mut scratch);
    // %.9g tells floats apart.
    format!("action {} of logits {:?} {:?}", first_highest(logits).unwrap(), logits[0], logits[1])
}

#[test]
fn the_example_decides_as_the_library_does() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshot, decision) = moment();
    let file = folder.path().join("snapshot.json");
    std::fs::write(&file, snapshot).unwrap();
    for name in ["libyardmaster_capi.so", "libyardmaster_capi.a"] {
        let program = folder.path().join("decide");
        compile(&root().join("capi/examples/decide.c"), &program, &library(name));
        let output = run(&program, &[&checkpoint(), &file]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let decided: Value = serde_json::from_str(lines[0].strip_prefix("decision ").unwrap()).unwrap();
        assert_eq!(decided, decision, "{name}");
        let numbers = |text: &str| -> Vec<f32> {
            text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        let (computed, expected) = (numbers(lines[1]), numbers(&flat()));
        assert_eq!((computed.len(), &computed[..3]), (4, &expected[..]), "{name}: {}", lines[1]);
        assert_eq!(computed[3], f32::MIN, "to wait is masked");
    }
}

#[test]
fn the_example_tells_what_is_wrong_with_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("decide");
    compile(&root().join("capi/examples/decide.c"), &program, &library("libyardmaster_capi.a"));
    let file = |name: &str, content: &[u8]| {
        std::fs::write(folder.path().join(name), content).unwrap();
        folder.path().join(name)
    };
    let cut = file("cut.safetensors", &std::fs::read(checkpoint()).unwrap()[..9000]);
    let broken = file("broken.json", b"{\"now\":");
    for (policy, snapshot, expected) in [
        (&cut, &broken, "status 3: cut short, or no safetensors file"),
        (&folder.path().join("absent"), &broken, "status 2: cannot read "),
        (&checkpoint(), &broken, "status 4: "),
    ] {
        let output = run(&program, &[policy, snapshot]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
}
