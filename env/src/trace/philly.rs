//! The jobs of Microsoft's Philly cluster (Jeon et al., USENIX ATC 2019), in the table that the authors of Sia (SOSP 2023)
//! made of the published logs: `timestamp,duration,num_gpus,gpu_time,cluster`, a job a row.
//!
//! | here | from |
//! |---|---|
//! | arrival | `timestamp`, local time, counted from the earliest that is kept |
//! | true and requested duration | `duration`, seconds; the table knows no estimates and no attempts, so that both are the same |
//! | gang | `num_gpus` |
//! | id | the row, counted from 1 below the header |
//!
//! `gpu_time` is the product of both, `cluster` the virtual cluster that the job was charged to: neither is used. Jobs
//! without a duration above 0 or without a GPU are dropped. All virtual clusters make one queue.

use super::sheet::{Length, Row, Sheet};
use super::{ReadReport, TraceError, finish, moment};
use crate::job::{Job, Task, Truth, Workload};
use crate::units::{Span, Time};

/// The columns that are used.
pub(super) const COLUMNS: [&str; 3] = ["timestamp", "duration", "num_gpus"];

/// Reads the text of a table; `name` is the file's name in errors.
///
/// # Errors
/// A missing column, a cell that is not what its column holds, or no job at all.
pub fn parse(text: &str, name: &str) -> Result<(Workload, ReadReport), TraceError> {
    let sheet = Sheet::read(text, name, "a Philly table", &COLUMNS)?;
    let mut report = ReadReport { rows: sheet.len(), ..ReadReport::default() };
    let mut jobs = Vec::new();
    for (label, row) in (1..).zip(sheet.rows()) {
        match job(label, &row)? {
            Ok(job) => jobs.push(job),
            Err(reason) => report.drop_row(reason),
        }
    }
    report.notes.push("the users' estimates are unknown: each job asks for exactly the time it takes".into());
    finish(jobs, report, name)
}

/// A job, or why the row is dropped.
fn job(label: u64, row: &Row<'_>) -> Result<Result<(Job, Truth), &'static str>, TraceError> {
    let gang: u32 = row.number("num_gpus", "a whole number")?;
    let arrival = row.text("timestamp");
    if arrival.is_empty() {
        return Ok(Err("no time of submission"));
    }
    let arrival = moment::parse(arrival).ok_or_else(|| row.bad("timestamp", moment::MUST))?;
    Ok(match (row.length("duration")?, gang) {
        (Length::Unknown, _) => Err("unknown duration"),
        (Length::Negative, _) => Err("negative duration"),
        (Length::Nanos(0), _) => Err("duration 0"),
        (_, 0) => Err("no GPU"),
        (Length::Nanos(nanos), _) => {
            let task = Task::Rigid { requested: Span(nanos) };
            Ok((Job::new(label, Time(arrival), task, gang), Truth::Duration(Span(nanos))))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "timestamp,duration,num_gpus,gpu_time,cluster\n";

    #[test]
    fn jobs_are_counted_from_the_first_and_what_cannot_run_is_dropped() {
        let text = format!(
            "{HEAD}2017-10-09 07:02:00,66.5,4,266.0,11cb48\n2017-10-09 07:00:00,10,1,10,6214e9\n\
             2017-10-08 07:00:00,,1,,a\n2017-10-09 07:00:00,NaN,1,,a\n2017-10-09 07:00:00,-5,1,,a\n\
             2017-10-09 07:00:00,0.0,1,,a\n2017-10-09 07:00:00,5,0,,a\n,5,1,,a\n"
        );
        let (workload, report) = parse(&text, "p.csv").unwrap();
        let [second, first] = &workload.jobs[..] else { panic!("{workload:?}") };
        assert_eq!((second.label, second.arrival, second.gang), (2, Time::ZERO, 1));
        assert_eq!((first.label, first.arrival, first.gang), (1, Time::from_secs_f64(120.0), 4));
        assert_eq!(first.task, Task::Rigid { requested: Span::from_secs_f64(66.5) });
        assert_eq!((report.rows, report.kept), (8, 2));
        let dropped: usize = report.dropped.iter().map(|(_, count)| count).sum();
        assert_eq!((report.dropped[0].clone(), dropped), (("unknown duration".into(), 2), 6));
        assert!(report.notes.iter().any(|note| note.contains("sorted")), "{:?}", report.notes);
    }

    #[test]
    fn faults_are_named() {
        let cases = [
            ("9 October,5,1,5,a", "p.csv line 2: `timestamp` is `9 October`; it must be a date and time"),
            ("2017-10-09 07:02:00,5 s,1,5,a", "line 2: `duration` is `5 s`; it must be a number of seconds"),
            ("2017-10-09 07:02:00,5,two,5,a", "line 2: `num_gpus` is `two`; it must be a whole number"),
            ("2017-10-09 07:02:00,5,0,5,a", "none of 1 rows"),
        ];
        for (row, expected) in cases {
            let error = parse(&format!("{HEAD}{row}\n"), "p.csv").unwrap_err().to_string();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
    }
}
