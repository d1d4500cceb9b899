//! The Standard Workload Format of the Parallel Workloads Archive, as the batch-queue literature reads it.
//!
//! Fields, counted from 1: id f1, submit f2, run f4, processors max(f5, f8), requested time f9. Where f9 is
//! -1 the run time stands in. Jobs that ran for 0 s are dropped; a negative run time becomes 10 s. All times
//! are whole seconds. Other fields are not used; they must be decimal numbers all the same, since a letter
//! means that the file is damaged.

use super::{ReadReport, TraceError};
use crate::cluster::Cluster;
use crate::job::{Job, Task, Truth, Workload};
use crate::units::{KindId, Span, Time};

const MIN_FIELDS: usize = 9;
/// Run time given to jobs whose own is unknown, in seconds.
const UNKNOWN_RUN_S: u64 = 10;
/// Latest second that fits into [`Time`].
const MAX_SECONDS: i64 = (u64::MAX / 1_000_000_000) as i64;
const SECONDS: &str = "a whole number of seconds from 0 to 18446744073";

/// A recorded workload and the cluster it ran on.
#[derive(Clone, Debug, PartialEq)]
pub struct SwfTrace {
    /// Nodes of the cluster.
    pub max_nodes: u32,
    /// Processors of the cluster, a multiple of `max_nodes`.
    pub max_procs: u32,
    /// Jobs in order of their ids, which need not be the order of arrival.
    pub workload: Workload,
    /// What was dropped and adjusted.
    pub report: ReadReport,
}

impl SwfTrace {
    /// Processors of one node.
    pub fn procs_per_node(&self) -> u32 {
        self.max_procs / self.max_nodes
    }

    /// The cluster as one pool, each node being a device of this kind.
    pub fn cluster(&self, kind: KindId) -> Cluster {
        Cluster::pool(kind, self.max_nodes, self.procs_per_node())
    }
}

/// Reads the text of a trace; `name` is the file's name in errors.
///
/// # Errors
/// A letter or other non-number in any field, fewer than nine fields in a line, a last line that breaks off, a
/// fraction or an impossible value in a field that is used, a header without a usable `MaxNodes`, or no job at all.
pub fn parse(text: &str, name: &str) -> Result<SwfTrace, TraceError> {
    let (max_nodes, max_procs) = Header::read(text, name)?.sizes(name)?;
    let mut reader = Reader { name, ppn: max_procs / max_nodes, ..Reader::default() };
    for (at, line) in text.lines().enumerate() {
        let line_text = line.trim();
        if !line_text.is_empty() && !line_text.starts_with(';') {
            reader.row(line_text, at + 1)?;
        }
    }
    reader.check_end(text)?;
    let (workload, report) = reader.finish()?;
    Ok(SwfTrace { max_nodes, max_procs, workload, report })
}

/// The two header entries that are used.
#[derive(Default)]
struct Header {
    nodes: Option<u32>,
    procs: Option<u32>,
}

impl Header {
    fn read(text: &str, name: &str) -> Result<Header, TraceError> {
        let mut header = Header::default();
        for (at, line) in text.lines().enumerate() {
            let Some((key, value)) = line.trim().strip_prefix(';').and_then(|rest| rest.split_once(':'))
            else {
                continue;
            };
            let bad = |key, must| TraceError::BadHeader {
                name: name.into(),
                line: at + 1,
                key,
                value: value.trim().into(),
                must,
            };
            match key.trim() {
                "MaxNodes" => {
                    let nodes = value.trim().parse().ok().filter(|nodes| *nodes > 0);
                    header.nodes = Some(nodes.ok_or_else(|| bad("MaxNodes", "a whole number above 0"))?);
                }
                "MaxProcs" => {
                    let must = "a whole number; 0 stands for the same as MaxNodes";
                    header.procs = Some(value.trim().parse().map_err(|_| bad("MaxProcs", must))?);
                }
                _ => {}
            }
        }
        Ok(header)
    }

    /// Nodes and processors of the cluster.
    fn sizes(&self, name: &str) -> Result<(u32, u32), TraceError> {
        let nodes = self.nodes.ok_or_else(|| TraceError::NoMaxNodes { name: name.into() })?;
        let procs = self.procs.filter(|procs| *procs > 0).unwrap_or(nodes);
        if !procs.is_multiple_of(nodes) {
            return Err(TraceError::Indivisible { name: name.into(), procs, nodes });
        }
        Ok((nodes, procs))
    }
}

#[derive(Default)]
struct Reader<'a> {
    name: &'a str,
    ppn: u32,
    jobs: Vec<(Job, Truth)>,
    report: ReadReport,
    unknown_runs: usize,
    unknown_requests: usize,
    /// Line and number of fields of the last two rows.
    last: [(usize, usize); 2],
}

impl Reader<'_> {
    fn row(&mut self, text: &str, line: usize) -> Result<(), TraceError> {
        let row = Row::split(text, self.name, line)?;
        let label = row.seconds_like(1, "job id", "a whole number from 0")?;
        let submit = row.seconds_like(2, "submit time", SECONDS)?;
        let run = row.integer(4, "run time")?;
        let procs = row.integer(5, "allocated processors")?.max(row.integer(8, "requested processors")?);
        let requested = match row.integer(9, "requested time")? {
            -1 => None,
            _ => Some(row.seconds_like(9, "requested time", "-1, or a whole number of seconds from 0")?),
        };
        self.report.rows += 1;
        self.last = [self.last[1], (line, row.fields.len())];
        if run == 0 {
            self.report.drop_row("run time 0");
        } else if procs <= 0 {
            self.report.drop_row("no processors");
        } else {
            self.unknown_runs += usize::from(run < 0);
            self.unknown_requests += usize::from(run < 0 && requested.is_none());
            let run = if run < 0 { UNKNOWN_RUN_S } else { row.seconds_like(4, "run time", SECONDS)? };
            self.keep(label, submit, run, requested.unwrap_or(run), procs as u32);
        }
        Ok(())
    }

    /// Refuses a text that breaks off within its last row: what is left of a number would be taken for the number.
    fn check_end(&self, text: &str) -> Result<(), TraceError> {
        let [(before, need), (line, found)] = self.last;
        if before > 0 && found < need && !text.ends_with('\n') {
            return Err(TraceError::Truncated { name: self.name.into(), line, found, need });
        }
        Ok(())
    }

    fn keep(&mut self, label: u64, submit: u64, run: u64, requested: u64, procs: u32) {
        let task = Task::Rigid { requested: Span::from_secs(requested) };
        let arrival = Time::ZERO + Span::from_secs(submit);
        let job = Job { procs, ..Job::new(label, arrival, task, procs.div_ceil(self.ppn)) };
        self.jobs.push((job, Truth::Duration(Span::from_secs(run))));
    }

    fn finish(mut self) -> Result<(Workload, ReadReport), TraceError> {
        let mut report = self.report;
        report.kept = self.jobs.len();
        if self.jobs.is_empty() {
            return Err(TraceError::Empty { name: self.name.into(), rows: report.rows });
        }
        if self.unknown_runs > 0 {
            report.notes.push(format!("{} negative run times became 10 s", self.unknown_runs));
        }
        if self.unknown_requests > 0 {
            report.notes.push(format!("{} of them were requested times too", self.unknown_requests));
        }
        self.jobs.sort_by_key(|(job, _)| job.label);
        let (jobs, truths) = self.jobs.into_iter().unzip();
        Ok((Workload { jobs, truths, ..Workload::default() }, report))
    }
}

/// The fields of one line, each a decimal number.
struct Row<'a> {
    fields: Vec<&'a str>,
    name: &'a str,
    line: usize,
}

impl<'a> Row<'a> {
    fn split(text: &'a str, name: &'a str, line: usize) -> Result<Row<'a>, TraceError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if let Some(at) = fields.iter().position(|field| !is_decimal(field)) {
            let value = fields[at].into();
            return Err(TraceError::NotANumber { name: name.into(), line, field: at + 1, value });
        }
        if fields.len() < MIN_FIELDS {
            let found = fields.len();
            return Err(TraceError::Truncated { name: name.into(), line, found, need: MIN_FIELDS });
        }
        Ok(Row { fields, name, line })
    }

    /// A used field: an integer, or a decimal whose fraction is 0.
    fn integer(&self, field: usize, what: &'static str) -> Result<i64, TraceError> {
        let text = self.fields[field - 1];
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let whole = if fraction.bytes().all(|digit| digit == b'0') { whole.parse().ok() } else { None };
        whole.ok_or_else(|| self.bad(field, what, "a whole number"))
    }

    /// A used field that is not negative and small enough to count seconds.
    fn seconds_like(&self, field: usize, what: &'static str, must: &'static str) -> Result<u64, TraceError> {
        match self.integer(field, what)? {
            value @ 0..=MAX_SECONDS => Ok(value as u64),
            _ => Err(self.bad(field, what, must)),
        }
    }

    fn bad(&self, field: usize, what: &'static str, must: &'static str) -> TraceError {
        let value = self.fields[field - 1].into();
        TraceError::BadField { name: self.name.into(), line: self.line, field, what, value, must }
    }
}

/// Whether this is digits with at most one sign in front and one point inside.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    !whole.is_empty() && all_digits(whole) && all_digits(fraction)
}

#[cfg(test)]
#[path = "swf_tests.rs"]
mod tests;
