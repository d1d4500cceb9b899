//! Lets the trainer find libtorch when it runs: by the path it was linked from, and by the way from the binary
//! to the workspace, so that a moved checkout still works.

use std::env;
use std::path::{Path, PathBuf};

/// Folders between the workspace and a binary (`target/release`) and a test (`target/release/deps`).
const WAYS_UP: [&str; 2] = ["../..", "../../.."];

fn main() {
    for name in ["LIBTORCH", "LIBTORCH_LIB"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let Some(base) = env::var_os("LIBTORCH_LIB").or_else(|| env::var_os("LIBTORCH")).map(PathBuf::from)
    else {
        return;
    };
    let lib = base.join("lib");
    if !lib.join("libtorch_cpu.so").exists() {
        println!("cargo:warning=no libtorch in {}: run scripts/libtorch.sh or set LIBTORCH", base.display());
    }
    rpath(&lib.display().to_string());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    if let Some(inside) = workspace.and_then(|root| lib.strip_prefix(root).ok()) {
        for up in WAYS_UP {
            rpath(&format!("$ORIGIN/{up}/{}", inside.display()));
        }
    }
}

fn rpath(folder: &str) {
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
}
