//! What an interrupted comparison has done so far: a line for each finished episode of a policy.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use yardmaster_agent::comparison::Played;

use crate::file::digest;

/// Who played what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    /// Digest of the scenario, or of the trace.
    pub(crate) scenario: String,
    /// The policy with its parameters; of a frozen one the digest of its file besides.
    pub(crate) policy: String,
    /// Seed of the episode, and its number.
    pub(crate) episode: (u64, u64),
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    /// Digest of the program that played.
    program: String,
    key: Key,
    played: Played,
}

/// The file. Without one, nothing is remembered.
#[derive(Default)]
pub(crate) struct Journal {
    path: Option<PathBuf>,
    program: String,
    file: Option<Mutex<File>>,
    known: HashMap<Key, Played>,
}

impl Journal {
    /// Opens the journal beside an output, with what an earlier run of the same program has left there. What another
    /// build has left is not taken over: its policies may have decided otherwise.
    pub(crate) fn beside(output: &Path) -> Result<Journal> {
        let mut path = output.as_os_str().to_owned();
        path.push(".partial");
        Journal::open(PathBuf::from(path), &program()?)
    }

    fn open(path: PathBuf, program: &str) -> Result<Journal> {
        let shown = || format!("cannot keep {}, from which an interrupted run would go on", path.display());
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(false).open(&path).with_context(shown)?;
        ensure!(file.try_lock().is_ok(), "{} is in use: another run writes the same output", path.display());
        let known = read(&path, program);
        // A run that was killed may have left half a line, which is cut off.
        file.set_len(known.bytes).with_context(shown)?;
        file.seek(SeekFrom::Start(known.bytes)).with_context(shown)?;
        let file = Some(Mutex::new(file));
        Ok(Journal { path: Some(path), program: program.to_owned(), file, known: known.rows })
    }

    /// What an earlier run has found out.
    pub(crate) fn known(&self, key: &Key) -> Option<&Played> {
        self.known.get(key)
    }

    /// Remembers a result.
    ///
    /// # Errors
    /// A file that takes no more.
    pub(crate) fn add(&self, key: Key, played: &Played) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let line = Line { program: self.program.clone(), key, played: played.clone() };
        let text = serde_json::to_string(&line)? + "\n";
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes()).context("cannot write what an interrupted run would go on from")
    }

    /// All is written: nothing is left to go on from.
    pub(crate) fn remove(self) -> Result<()> {
        drop(self.file);
        match self.path {
            Some(path) => {
                std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
            }
            None => Ok(()),
        }
    }
}

/// What a journal holds.
#[derive(Default)]
struct Held {
    rows: HashMap<Key, Played>,
    /// Length of the lines that could be read.
    bytes: u64,
}

/// The lines up to the first that cannot be read or stems from another program.
fn read(path: &Path, program: &str) -> Held {
    let Ok(file) = File::open(path) else { return Held::default() };
    let mut held = Held::default();
    let mut reader = BufReader::new(file);
    let mut text = Vec::new();
    while reader.read_until(b'\n', &mut text).is_ok_and(|bytes| bytes > 0) {
        let line: Option<Line> = text.strip_suffix(b"\n").and_then(|line| serde_json::from_slice(line).ok());
        let Some(line) = line.filter(|line| line.program == program) else { break };
        held.rows.insert(line.key, line.played);
        held.bytes += text.len() as u64;
        text.clear();
    }
    held
}

/// Digest of the running program, so that a rebuilt one starts afresh.
fn program() -> Result<String> {
    let path = std::env::current_exe().context("cannot tell which program this is")?;
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(digest(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        Key { scenario: "s".into(), policy: "mct".into(), episode: (7, number) }
    }

    #[test]
    fn whole_lines_of_the_same_program_are_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json.partial");
        let played = |objective| Played { objective, ..Played::default() };
        let journal = Journal::open(path.clone(), "one").unwrap();
        journal.add(key(0), &played(0.1)).unwrap();
        journal.add(key(1), &played(0.3)).unwrap();
        drop(journal);
        let length = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 5).unwrap();

        let journal = Journal::open(path.clone(), "one").unwrap();
        assert_eq!((journal.known(&key(0)), journal.known(&key(1))), (Some(&played(0.1)), None));
        journal.add(key(2), &played(0.5)).unwrap();
        drop(journal);
        let journal = Journal::open(path.clone(), "one").unwrap();
        assert_eq!(journal.known(&key(2)), Some(&played(0.5)));
        drop(journal);
        let journal = Journal::open(path.clone(), "another").unwrap();
        assert_eq!(journal.known(&key(0)), None);
        journal.remove().unwrap();
        assert!(!path.exists());
    }
}
