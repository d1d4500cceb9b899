//! Files that are written whole or not at all, opened before the work begins so that a bad path fails early.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

/// Where a result goes.
pub(crate) enum Output {
    /// Standard output.
    Stdout,
    /// A new or replaced file, which appears once it is complete.
    File(PathBuf),
    /// Something that cannot be replaced, such as a pipe.
    Special(PathBuf),
}

impl Output {
    /// Makes sure that `path` can be written; `-` is standard output.
    pub(crate) fn open(path: &Path) -> Result<Output> {
        if path == Path::new("-") {
            return Ok(Output::Stdout);
        }
        let shown = path.display();
        if path.is_dir() {
            anyhow::bail!("cannot write {shown}: it is a folder");
        }
        if path.exists() && !path.is_file() {
            return Ok(Output::Special(path.to_owned()));
        }
        if path.is_file() {
            // Replacing it would need the folder only: a protected file is refused all the same.
            OpenOptions::new().append(true).open(path).with_context(|| format!("cannot write {shown}"))?;
        }
        // One draft now, to learn whether there can be any; it goes at once, so that a command that is stopped leaves none behind.
        draft(path)?;
        Ok(Output::File(path.to_owned()))
    }

    /// Opens the paths of a command's options, which must differ.
    pub(crate) fn all<const N: usize>(options: [(&str, Option<&Path>); N]) -> Result<[Option<Output>; N]> {
        for (at, (option, path)) in options.iter().enumerate() {
            let same = options[..at].iter().find(|(_, other)| other.is_some() && other == path);
            if let (Some((other, _)), Some(path)) = (same, path) {
                anyhow::bail!("{other} and {option} cannot both be written to {}", path.display());
            }
        }
        let mut outputs = [const { None }; N];
        for (output, (_, path)) in outputs.iter_mut().zip(options) {
            *output = path.map(Output::open).transpose()?;
        }
        Ok(outputs)
    }

    /// Whether this is standard output, which then must hold nothing else.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Output::Stdout)
    }

    /// Writes everything and lets the file appear.
    pub(crate) fn write(self, content: impl AsRef<[u8]>) -> Result<()> {
        let content = content.as_ref();
        match self {
            Output::Stdout => match std::io::stdout().write_all(content) {
                // A reader that has seen enough, such as `head`, is no error.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                result => result.context("cannot write to standard output"),
            },
            Output::Special(path) => {
                std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
            }
            Output::File(path) => {
                let shown = path.display();
                let mut draft = draft(&path)?;
                draft.write_all(content).with_context(|| format!("cannot write {shown}"))?;
                draft.as_file().sync_all().with_context(|| format!("cannot write {shown}"))?;
                draft.persist(&path).with_context(|| format!("cannot write {shown}"))?;
                Ok(())
            }
        }
    }
}

/// What is written to until the file is complete, in the same folder.
fn draft(path: &Path) -> Result<NamedTempFile> {
    let shown = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        anyhow::bail!("cannot write {shown}: there is no folder {}", folder.display());
    }
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder.prefix(".yardmaster-").tempfile_in(folder).map_err(|error| {
        anyhow::anyhow!("cannot write {shown}: folder {} takes no files ({})", folder.display(), error.kind())
    })
}
