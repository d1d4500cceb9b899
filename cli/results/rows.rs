//! The rows behind a table, as files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::bench::Comparison;
use crate::file::text;

/// A folder for rows.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes sure that there is one.
    pub(crate) fn open(path: &Path) -> Result<Folder> {
        fs::create_dir_all(path)
            .with_context(|| format!("--rows: cannot make the folder {}", path.display()))?;
        Ok(Folder(path.to_owned()))
    }

    /// Writes what was played, and what came of it.
    pub(crate) fn write(&self, validation: &[Comparison], test: &[Comparison], table: &str) -> Result<()> {
        self.put("validation.json.gz", &packed(validation)?)?;
        self.put("test.json.gz", &packed(test)?)?;
        self.put("table.md", table.as_bytes())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.0.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The same rows give the same bytes: no time is kept.
fn packed(comparisons: &[Comparison]) -> Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all((serde_json::to_string_pretty(comparisons)? + "\n").as_bytes())?;
    Ok(packer.finish()?)
}

/// Rows that `bench --json` or an earlier run has written.
pub(crate) fn read(path: &Path) -> Result<Vec<Comparison>> {
    let shown = path.display();
    serde_json::from_str(&text(path)?)
        .with_context(|| format!("{shown}: these are not rows of `bench --json`"))
}
