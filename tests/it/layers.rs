//! Who may use whom. The live path never links libtorch: that is a crate edge, and it is kept here.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::support::ours;

/// Packages of this workspace and those of it that each may use.
const EDGES: [(&str, &[&str]); 7] = [
    ("yardmaster-env", &[]),
    ("yardmaster-agent", &["yardmaster-env"]),
    ("yardmaster-live", &["yardmaster-agent", "yardmaster-env"]),
    ("yardmaster-capi", &["yardmaster-agent", "yardmaster-env"]),
    ("yardmaster-backend", &[]),
    ("yardmaster-train", &["yardmaster-agent", "yardmaster-env"]),
    ("yardmaster", &["yardmaster-agent", "yardmaster-env", "yardmaster-live"]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        // Not offline: `make test` leaves the back end out, so that what only it needs may have to be fetched.
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(ours("Cargo.toml"))
        // Packages for other platforms are not there after a build, and nobody needs them.
        .arg(format!("--filter-platform={}", host()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The platform that this toolchain builds for.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// Names of the direct dependencies of each package of this workspace, those of its tests included.
fn direct(metadata: &Value) -> BTreeMap<&str, BTreeSet<&str>> {
    let members: BTreeSet<&str> =
        list(metadata, "workspace_members").iter().filter_map(Value::as_str).collect();
    let packages = list(metadata, "packages").iter().filter(|package| members.contains(text(package, "id")));
    packages
        .map(|package| {
            (
                text(package, "name"),
                list(package, "dependencies").iter().map(|edge| text(edge, "name")).collect(),
            )
        })
        .collect()
}

#[test]
fn crates_use_only_the_crates_below_them() {
    let metadata = metadata();
    let direct = direct(&metadata);
    assert_eq!(
        direct.keys().copied().collect::<BTreeSet<_>>(),
        EDGES.iter().map(|(name, _)| *name).collect()
    );
    for (name, allowed) in EDGES {
        let ours: Vec<&str> =
            direct[name].iter().copied().filter(|other| direct.contains_key(other)).collect();
        assert_eq!(ours, allowed, "what {name} uses of this workspace");
    }
}

#[test]
fn only_the_trainer_knows_torch_and_tensorboard() {
    let metadata = metadata();
    for (name, dependencies) in direct(&metadata) {
        for learner in ["tch", "torch-sys", "tensorboard-rs"] {
            assert!(name == "yardmaster-train" || !dependencies.contains(learner), "{name} uses {learner}");
        }
    }
}

#[test]
fn nothing_below_the_command_is_torch() {
    let metadata = metadata();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").iter().map(|node| (text(node, "id"), node)).collect();
    let root = metadata["resolve"]["root"].as_str().unwrap();
    let (mut seen, mut open) = (BTreeSet::new(), vec![root]);
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(list(nodes[id], "dependencies").iter().filter_map(Value::as_str));
        }
    }
    assert!(seen.len() > 20, "only {} packages were found", seen.len());
    for id in seen {
        assert!(!id.contains("torch-sys") && !id.contains("tensorboard") && !id.contains("#tch@"), "{id}");
    }
}

#[test]
fn the_command_needs_no_libtorch_to_start() {
    let Ok(output) = Command::new("readelf").args(["--dynamic", env!("CARGO_BIN_EXE_yardmaster")]).output()
    else {
        println!("skipped: readelf is absent");
        return;
    };
    let dynamic = String::from_utf8_lossy(&output.stdout);
    let libraries: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(!libraries.is_empty(), "{dynamic}");
    for library in libraries {
        let known = ["libc.so", "libm.so", "libgcc_s.so", "ld-linux", "libpthread", "libdl"];
        assert!(known.iter().any(|name| library.contains(name)), "{library}");
    }
}
