//! Lists the files of tuned parameters, so that a new one needs no line of code.

use std::fmt::Write;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=tuned");
    let mut files: Vec<_> = std::fs::read_dir("tuned")
        .map(|entries| entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
        .unwrap_or_default();
    files.retain(|path: &std::path::PathBuf| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            list,
            "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/tuned/\", {name:?}))),"
        );
    }
    list.push_str("]\n");
    #[expect(clippy::unwrap_used, reason = "cargo sets the variable and the folder is its own")]
    std::fs::write(Path::new(&std::env::var("OUT_DIR").unwrap()).join("tuned.rs"), list).unwrap();
}
