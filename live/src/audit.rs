//! The log of decisions: one line of JSON each, complete and handed to the system before the next, so that a process
//! that is killed loses at most its last line.
//!
//! A line is `{"time_ms", "handle", "state", "answer"}`; a line `{"cluster", "handle"}` comes before the first that
//! needs it, in every file, so that a rotated file can be replayed by itself.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use yardmaster_env::snapshot::{ClusterSpec, Site, Snapshot, SnapshotError, State};

/// Lines that may wait for the disk before decisions are left out of the log.
const WAITING: usize = 4096;

/// Something to be logged.
#[derive(Debug)]
pub struct Entry {
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// What the cluster is called in the log.
    pub handle: String,
    /// What was decided about, the past that the service remembered included.
    pub snapshot: Arc<Snapshot>,
    /// What was answered, as JSON.
    pub answer: Box<RawValue>,
}

/// Hands lines to the thread that writes them.
#[derive(Clone, Debug)]
pub struct Audit {
    entries: SyncSender<Message>,
}

#[derive(Debug)]
enum Message {
    Entry(Box<Entry>),
    /// Answered once all before it is written.
    Flush(SyncSender<()>),
}

impl Audit {
    /// Logs into a file, which is renamed to `FILE.1`, `FILE.2`, ... when it has so many bytes; so many old ones are kept.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(path: &Path, most_bytes: u64, keep: u32) -> io::Result<Audit> {
        let writer = Writer::open(path, most_bytes, keep)?;
        let (entries, receiver) = sync_channel(WAITING);
        std::thread::Builder::new().name("audit".into()).spawn(move || write(writer, &receiver))?;
        Ok(Audit { entries })
    }

    /// `false` if the disk is so far behind that this one is left out.
    pub fn log(&self, entry: Entry) -> bool {
        self.entries.try_send(Message::Entry(Box::new(entry))).is_ok()
    }

    /// Returns once everything is written.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.entries.send(Message::Flush(done)).is_ok() {
            // An error means that the writer has ended, and with it all that it had.
            let _ = wait.recv();
        }
    }
}

fn write(mut writer: Writer, messages: &Receiver<Message>) {
    for message in messages {
        match message {
            Message::Entry(entry) => {
                if let Err(why) = writer.write(&entry) {
                    tracing::error!(%why, "the audit log cannot be written");
                }
            }
            Message::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}

/// The file that is written to.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    most_bytes: u64,
    keep: u32,
    file: File,
    bytes: u64,
    /// Clusters that this file has told.
    told: BTreeMap<String, Arc<Site>>,
}

#[derive(Serialize)]
struct ClusterLine<'a> {
    cluster: &'a ClusterSpec,
    handle: &'a str,
}

#[derive(Serialize)]
struct DecisionLine<'a> {
    time_ms: u64,
    handle: &'a str,
    state: &'a State,
    answer: &'a RawValue,
}

impl Writer {
    /// See [`Audit::open`]. A last line that was torn is ended, so that the next begins on its own.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, most_bytes: u64, keep: u32) -> io::Result<Writer> {
        let torn = std::fs::read(path).is_ok_and(|text| text.last().is_some_and(|last| *last != b'\n'));
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if torn {
            file.write_all(b"\n")?;
        }
        let bytes = file.metadata()?.len();
        Ok(Writer { path: path.to_owned(), most_bytes, keep, file, bytes, told: BTreeMap::new() })
    }

    /// Writes a decision, its cluster before it where this file has not told it.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        if self.bytes > self.most_bytes {
            self.rotate()?;
        }
        let site = entry.snapshot.site();
        let known = self.told.get(&entry.handle).is_some_and(|told| told == site);
        if !known {
            self.line(&ClusterLine { cluster: site.spec(), handle: &entry.handle })?;
            self.told.insert(entry.handle.clone(), Arc::clone(site));
        }
        let Entry { time_ms, handle, snapshot, answer } = entry;
        self.line(&DecisionLine { time_ms: *time_ms, handle, state: &snapshot.state(), answer })
    }

    /// One call to the system a line: a line is whole or, if the process ends within it, the last.
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.bytes += text.len() as u64;
        self.file.write_all(&text)
    }

    fn rotate(&mut self) -> io::Result<()> {
        let name = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.keep).rev() {
            if name(number).exists() {
                std::fs::rename(name(number), name(number + 1))?;
            }
        }
        match self.keep {
            0 => std::fs::remove_file(&self.path)?,
            _ => std::fs::rename(&self.path, name(1))?,
        }
        *self = Writer::open(&self.path, self.most_bytes, self.keep)?;
        Ok(())
    }
}

/// A decision as it was logged.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Line in the file, from 1.
    pub line: usize,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// What was sent.
    pub snapshot: Snapshot,
    /// What was answered.
    pub answer: serde_json::Value,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file cannot be read.
    #[error("line {line}: {source}")]
    Read {
        /// Where.
        line: usize,
        /// What the system says.
        source: io::Error,
    },
    /// A line is not one of a log.
    #[error("line {line} is no line of an audit log, as `yardmaster serve --audit` writes it: {why}")]
    Line {
        /// Where.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A cluster or state that cannot be.
    #[error("line {line}: {source}")]
    Snapshot {
        /// Where.
        line: usize,
        /// What is wrong.
        source: SnapshotError,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Cluster { cluster: Box<ClusterSpec>, handle: String },
    Decision { time_ms: u64, handle: String, state: Box<State>, answer: serde_json::Value },
}

/// Reads a log line by line. A line that is torn, as the last one before a crash is, is counted and left out; so it is in
/// the middle, where a service went on after one.
pub struct Reader<R> {
    lines: R,
    line: usize,
    torn: usize,
    sites: BTreeMap<String, Arc<Site>>,
}

impl Reader<BufReader<File>> {
    /// Of a file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> io::Result<Reader<BufReader<File>>> {
        Ok(Reader::new(BufReader::new(File::open(path)?)))
    }
}

impl<R: BufRead> Reader<R> {
    /// Of a text.
    pub fn new(lines: R) -> Reader<R> {
        Reader { lines, line: 0, torn: 0, sites: BTreeMap::new() }
    }

    /// Lines left out as they were torn.
    pub fn torn(&self) -> usize {
        self.torn
    }

    /// The next decision; `None` at the end.
    ///
    /// # Errors
    /// A whole line that says something else, or something that cannot be.
    pub fn next_decision(&mut self) -> Result<Option<Recorded>, AuditError> {
        loop {
            let mut text = Vec::new();
            self.line += 1;
            let line = self.line;
            let read = self.lines.read_until(b'\n', &mut text);
            if read.map_err(|source| AuditError::Read { line, source })? == 0 {
                return Ok(None);
            }
            let parsed: Line = match serde_json::from_slice(&text) {
                Ok(parsed) => parsed,
                Err(why) if why.is_eof() || serde_json::from_slice::<serde_json::Value>(&text).is_err() => {
                    self.torn += 1;
                    continue;
                }
                Err(why) => return Err(AuditError::Line { line, why: why.to_string() }),
            };
            let failed = |source| AuditError::Snapshot { line, source };
            match parsed {
                Line::Cluster { cluster, handle } => {
                    self.sites.insert(handle, Arc::new(Site::new(*cluster).map_err(failed)?));
                }
                Line::Decision { time_ms, handle, state, answer } => {
                    let site = self.sites.get(&handle).ok_or_else(|| AuditError::Line {
                        line,
                        why: format!("its cluster {handle:?} was not told before"),
                    })?;
                    let snapshot = Snapshot::new(site, &state).map_err(failed)?;
                    return Ok(Some(Recorded { line, time_ms, snapshot, answer }));
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where something is missing")]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        let cluster = r#"{"format": 1, "nodes": [{"name": "a", "kind": "v100"}]}"#;
        let state = format!(r#"{{"format": 1, "now_ns": {number}, "jobs": []}}"#);
        let site = Arc::new(Site::from_json(cluster).unwrap());
        let snapshot = Snapshot::new(&site, &State::from_json(&state).unwrap()).unwrap();
        let answer = RawValue::from_string("{}".into()).unwrap();
        Entry { time_ms: number, handle: "one".into(), snapshot: Arc::new(snapshot), answer }
    }

    fn times(text: &[u8]) -> (Vec<u64>, usize) {
        let mut reader = Reader::new(text);
        let times = std::iter::from_fn(|| reader.next_decision().unwrap()).map(|recorded| recorded.time_ms);
        (times.collect(), reader.torn())
    }

    #[test]
    fn a_log_cut_anywhere_loses_at_most_its_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut writer = Writer::open(&path, 1 << 20, 2).unwrap();
        (1..=4).for_each(|number| writer.write(&entry(number)).unwrap());
        let text = std::fs::read(&path).unwrap();
        assert_eq!(times(&text), (vec![1, 2, 3, 4], 0));
        let third = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(3).unwrap().0;
        for cut in third + 1..text.len() - 1 {
            let (read, torn) = times(&text[..cut]);
            assert_eq!((read.len(), torn <= 1), (3, true), "cut at {cut}");
        }
        // A service that goes on after a crash begins on a line of its own.
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        Writer::open(&path, 1 << 20, 2).unwrap().write(&entry(5)).unwrap();
        assert_eq!(times(&std::fs::read(&path).unwrap()), (vec![1, 2, 3, 5], 1));
    }

    #[test]
    fn files_are_rotated_and_each_can_be_read_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut writer = Writer::open(&path, 300, 2).unwrap();
        (1..=40).for_each(|number| writer.write(&entry(number)).unwrap());
        let names: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let older = times(&std::fs::read(folder.path().join("audit.jsonl.1")).unwrap()).0;
        assert!(!older.is_empty() && older.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{older:?}");
    }

    #[test]
    fn a_whole_line_that_says_something_else_is_refused_by_its_number() {
        let mut reader = Reader::new(&b"{\"colour\": 1}\n"[..]);
        let why = reader.next_decision().unwrap_err().to_string();
        assert!(why.starts_with("line 1 is no line of an audit log"), "{why}");
    }
}
