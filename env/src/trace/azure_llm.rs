//! The requests of Azure's language-model inference trace of 2023 (Patel et al., Splitwise, ISCA 2024): when each
//! arrived, the tokens of its prompt, and the tokens of its answer.
//!
//! Read are the columns `arrived_at` (seconds), `num_prefill_tokens`, `num_decode_tokens`, or as Azure publishes them
//! `TIMESTAMP` (a date and time), `ContextTokens`, `GeneratedTokens`.
//!
//! The trace tells no times of service and no model. A request becomes a rigid job on one device whose duration is
//! an **estimate**, [`ServiceTime::LLAMA2_7B_A100`]: one request at a time, without batching, attention and sampling.
//! Lengths relative to one another are the trace's; absolute ones, and what load they make, are not measured. The
//! requested time is the same, though a live system would not know the length of an answer.

use super::sheet::{Row, Sheet};
use super::{ReadReport, TraceError, finish, moment};
use crate::job::{Job, Task, Truth, Workload};
use crate::units::{Span, Time};

/// The columns under either of their names.
pub(super) const COLUMNS: [[&str; 3]; 2] = [
    ["arrived_at", "num_prefill_tokens", "num_decode_tokens"],
    ["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
];
const WHOLE: &str = "a whole number from 0 to 4294967295";

/// How long a request takes on its own: one pass over the prompt, then one for each further token of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceTime {
    /// A pass over a prompt of n tokens takes this and n times `prompt_token`, but at least `pass`.
    pub prompt: Span,
    /// Added for each token of the prompt.
    pub prompt_token: Span,
    /// A pass over one token: the time to read the weights.
    pub pass: Span,
}

impl ServiceTime {
    /// Llama-2-7B on one A100, estimated from the times of its linear layers that Vidur has measured (Agrawal et al.,
    /// MLSys 2024, `microsoft/vidur` at 7d47513): 0.29 ms a layer for one token, 1.0425 ms for 512, 8.1225 ms for 4096,
    /// in 32 layers.
    pub const LLAMA2_7B_A100: ServiceTime = ServiceTime {
        prompt: Span::from_micros(994),
        prompt_token: Span(63_214),
        pass: Span::from_micros(9280),
    };

    /// The time for a prompt and an answer of so many tokens.
    pub fn of(&self, prompt: u32, answer: u32) -> Span {
        let prefill = (self.prompt + self.prompt_token * u64::from(prompt)).max(self.pass);
        prefill + self.pass * u64::from(answer.saturating_sub(1))
    }
}

/// Reads the text of a trace; `name` is the file's name in errors.
///
/// # Errors
/// A missing column, a cell that is not what its column holds, or no request at all.
pub fn parse(text: &str, name: &str) -> Result<(Workload, ReadReport), TraceError> {
    let dated = super::header(text).contains(&COLUMNS[1][0]);
    let columns = COLUMNS[usize::from(dated)];
    let sheet = Sheet::read(text, name, "an Azure trace", &columns)?;
    let mut report = ReadReport { rows: sheet.len(), ..ReadReport::default() };
    let mut jobs = Vec::new();
    for (label, row) in (1..).zip(sheet.rows()) {
        match job(label, &row, columns, dated)? {
            Some(job) => jobs.push(job),
            None => report.drop_row("no tokens"),
        }
    }
    report.notes.push(
        "durations are estimated, not measured: Llama-2-7B alone on one A100, 0.99 ms + 0.063 ms a token of the \
         prompt (9.28 ms at least), then 9.28 ms a token of the answer"
            .into(),
    );
    finish(jobs, report, name)
}

fn job(
    label: u64,
    row: &Row<'_>,
    [at, prompt, answer]: [&'static str; 3],
    dated: bool,
) -> Result<Option<(Job, Truth)>, TraceError> {
    let arrival = match dated {
        true => moment::parse(row.text(at)).ok_or_else(|| row.bad(at, moment::MUST))?,
        false => row.nanos(at)?,
    };
    let [prompt, answer] = [row.number(prompt, WHOLE)?, row.number(answer, WHOLE)?];
    let duration = ServiceTime::LLAMA2_7B_A100.of(prompt, answer);
    let job = Job::new(label, Time(arrival), Task::Rigid { requested: duration }, 1);
    Ok((prompt > 0 || answer > 0).then_some((job, Truth::Duration(duration))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_say_the_same() {
        let ours = "arrived_at,num_prefill_tokens,num_decode_tokens\n5.25,374,44\n9.5,396,1\n9.75,0,0\n";
        let azure = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.5,374,44\r\n\
                     2023-11-16 18:17:07.7500000,396,1\r\n";
        let (workload, report) = parse(ours, "a.csv").unwrap();
        assert_eq!(workload, parse(azure, "b.csv").unwrap().0);
        assert_eq!((report.rows, report.kept, report.dropped.len()), (3, 2, 1));
        assert_eq!(workload.jobs[1].arrival, Time::from_secs_f64(4.25));
        assert!(report.notes[0].contains("estimated"));
    }

    #[test]
    fn service_grows_with_both_lengths() {
        let time = |prompt, answer| ServiceTime::LLAMA2_7B_A100.of(prompt, answer).as_secs_f64();
        assert_eq!(time(1, 0), 0.00928);
        assert_eq!(time(1, 2), 0.01856);
        assert!((time(1000, 11) - (0.000_994 + 0.063_214 + 0.0928)).abs() < 1e-9);
        // No product overflows.
        assert!(time(u32::MAX, u32::MAX) > 1e7);
    }

    #[test]
    fn faults_are_named() {
        let head = "arrived_at,num_prefill_tokens,num_decode_tokens\n";
        let cases = [
            ("-1,5,5\n", "a.csv line 2: `arrived_at` is `-1`; it must be a number of seconds"),
            ("1,5.5,5\n", "line 2: `num_prefill_tokens` is `5.5`; it must be a whole number"),
            ("1,5,NaN\n", "line 2: `num_decode_tokens` is `NaN`"),
            ("1,0,0\n", "none of 1 rows"),
        ];
        for (rows, expected) in cases {
            let error = parse(&format!("{head}{rows}"), "a.csv").unwrap_err().to_string();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
        let error = parse("TIMESTAMP,ContextTokens\n1,2\n", "a.csv").unwrap_err().to_string();
        assert!(error.contains("`GeneratedTokens` is missing"), "{error}");
    }
}
