//! Where the tests find things.

use std::path::PathBuf;

/// A file of the shared data folder; says so and gives nothing where the folder is absent.
///
/// The folder is `shared/data` beside the checkout, or what the environment variable `YARDMASTER_DATA` names.
pub fn shared_data(file: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("YARDMASTER_DATA").map_or_else(beside, PathBuf::from).join(file);
    if path.is_file() {
        return Some(path);
    }
    println!("skipped: {} is absent", path.display());
    None
}
