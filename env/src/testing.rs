//! Help for the unit tests of this crate.

use std::path::PathBuf;

/// The text of a file of the shared data folder; says so and gives nothing where the folder is absent.
///
/// The folder is `shared/data` beside the checkout, or what the environment variable `YARDMASTER_DATA` names.
pub(crate) fn shared_data(file: &str) -> Option<String> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = std::env::var_os("YARDMASTER_DATA").map_or_else(beside, PathBuf::from).join(file);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {} is absent", path.display());
    }
    text
}
