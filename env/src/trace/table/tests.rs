//! Tests of the table format: good rows, each kind of fault, and the way there and back.

use super::*;
use crate::units::{InferenceId, Span, Time, TrainingId};
use proptest::prelude::*;

fn csv(text: &str) -> Result<(Workload, ReadReport), TraceError> {
    parse_csv(text, "t.csv", Catalog::builtin())
}

#[test]
fn the_three_kinds_of_job_are_read_and_sorted() {
    let text = "job_id, arrival_s, duration_s, requested_s, model, batch, samples, devices, deadline_s, weight\n\
                1, 5, 60, , , , , 4, , \n\
                2, 1.5, , , ResNet-50, 64, 1000, 2, 3600, 2\n\
                3, 1.5, , , bert-large, , , , 0.05, \n\
                4, 0, 60, 90, , , , , , \n";
    let (workload, report) = csv(text).unwrap();
    let labels: Vec<u64> = workload.jobs.iter().map(|job| job.label).collect();
    assert_eq!(labels, [4, 2, 3, 1]);
    assert_eq!((report.rows, report.kept, report.notes.len()), (4, 4, 1));
    let [estimated, training, request, rigid] = &workload.jobs[..] else { panic!() };
    assert_eq!(estimated.task, Task::Rigid { requested: Span::from_secs(90) });
    assert_eq!(workload.truths[0], Truth::Duration(Span::from_secs(60)));
    assert_eq!((rigid.task, rigid.gang), (Task::Rigid { requested: Span::from_secs(60) }, 4));
    let model = Catalog::builtin().training("ResNet-50").unwrap();
    assert_eq!(training.task, Task::Training { model, batch: 64, samples: 1000 });
    assert_eq!((training.weight, training.deadline), (2.0, Some(Time::from_secs_f64(3601.5))));
    assert_eq!(request.request_model(), Catalog::builtin().inference("bert-large"));
}

#[test]
fn jsonl_says_the_same_as_csv() {
    let text = "{\"job_id\": 1, \"arrival_s\": 0.25, \"model\": \"LM\", \"batch\": 80, \"samples\": 7, \"weight\": 0.5}\n\n\
                {\"job_id\": 2, \"arrival_s\": 3, \"requested_s\": 1e2, \"deadline_s\": null}\n";
    let same = "job_id,arrival_s,model,batch,samples,weight,requested_s\n1,0.25,LM,80,7,0.5,\n2,3,,,,,100\n";
    let (jsonl, _) = parse_jsonl(text, "t.jsonl", Catalog::builtin()).unwrap();
    assert_eq!(jsonl, csv(same).unwrap().0);
    assert_eq!(jsonl.truths[1], Truth::AsEstimated);
}

#[test]
fn faults_are_named() {
    let cases = [
        ("job_id,arival_s\n1,2\n", "t.csv line 1: unknown column `arival_s`; did you mean `arrival_s`?"),
        ("job_id,job_id\n1,2\n", "line 1: column `job_id` is there twice"),
        ("job_id,duration_s\n1,2\n", "line 2: `arrival_s` is missing"),
        (
            "job_id,arrival_s,duration_s\n1,0,1\n2,-1,1\n",
            "line 3: `arrival_s` is `-1`; it must be a number of seconds",
        ),
        ("job_id,arrival_s,duration_s\nx,0,1\n", "`job_id` is `x`; it must be a whole number"),
        ("job_id,arrival_s\n1,0\n", "line 2: give `duration_s`"),
        ("job_id,arrival_s,model,batch\n1,0,LM,5\n", "give `duration_s`"),
        ("job_id,arrival_s,model,duration_s\n1,0,LM,5\n", "give `duration_s`"),
        (
            "job_id,arrival_s,model,batch,samples\n1,0,LN,5,5\n",
            "`model` is `LN`; it must be one of the catalogue's training models; did you mean `LM`",
        ),
        ("job_id,arrival_s,model\n1,0,bert-larg\n", "did you mean `bert-large`"),
        (
            "job_id,arrival_s,model,devices\n1,0,bert-large,2\n",
            "`devices` is `2`; it must be 1 for an inference request",
        ),
        (
            "job_id,arrival_s,duration_s,devices\n1,0,1,0\n",
            "`devices` is `0`; it must be a whole number above 0",
        ),
        ("job_id,arrival_s,model,batch,samples\n1,0,LM,5,0\n", "`samples` is `0`"),
        ("job_id,arrival_s,duration_s,weight\n1,0,1,NaN\n", "`weight` is `NaN`"),
        ("job_id,arrival_s,duration_s\n1,0\n", "line 2"),
        ("job_id,arrival_s,duration_s\n", "none of 0 rows"),
    ];
    for (text, expected) in cases {
        let error = csv(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    let jsonl = |text| parse_jsonl(text, "t.jsonl", Catalog::builtin()).unwrap_err().to_string();
    assert!(jsonl("[1]\n").contains("t.jsonl line 1: not a JSON object"));
    assert!(jsonl("{\"job_id\": 1, \"arrival\": 2}\n").contains("unknown column `arrival`"));
    assert!(jsonl("{\"job_id\": 1, \"job_id\": 2}\n").contains("column `job_id` is there twice"));
    assert!(jsonl("{\"job_id\": [1]}\n").contains("`job_id` is [1]; it must be a number or a text"));
}

fn task() -> impl Strategy<Value = (Task, Truth)> {
    let span = || prop_oneof![any::<u64>(), 0..1_000_000_000_000_u64].prop_map(Span);
    let truth = prop_oneof![Just(Truth::AsEstimated), span().prop_map(Truth::Duration)];
    prop_oneof![
        (span(), truth).prop_map(|(requested, truth)| (Task::Rigid { requested }, truth)),
        (0..7_u16, 1..9999_u32, 1..=u64::MAX).prop_map(|(model, batch, samples)| {
            (Task::Training { model: TrainingId(model), batch, samples }, Truth::AsEstimated)
        }),
        (0..14_u16).prop_map(|model| (Task::Request { model: InferenceId(model) }, Truth::AsEstimated)),
    ]
}

fn job() -> impl Strategy<Value = (Job, Truth)> {
    let deadline = proptest::option::of(0..u64::MAX / 2);
    (any::<u64>(), 0..u64::MAX / 2, task(), 1..9_u32, 1..99_u32, deadline, 0.0..1e9_f64).prop_map(
        |(label, arrival, (task, truth), gang, procs, deadline, weight)| {
            let gang = if matches!(task, Task::Request { .. }) { 1 } else { gang };
            let deadline = deadline.map(|after| Time(arrival + after));
            (Job { procs, deadline, weight, ..Job::new(label, Time(arrival), task, gang) }, truth)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_written_reads_back(mut jobs in proptest::collection::vec(job(), 1..20)) {
        jobs.sort_by_key(|(job, _)| job.arrival);
        let (jobs, truths) = jobs.into_iter().unzip();
        let workload = Workload { jobs, truths, ..Workload::default() };
        let (read, _) = csv(&to_csv(&workload, Catalog::builtin())).unwrap();
        prop_assert_eq!(read, workload);
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "[0-9a-z,.\n;{}\": -]{0,200}") {
        let _ = csv(&text);
        let _ = csv(&format!("job_id,arrival_s,duration_s\n{text}"));
        let _ = parse_jsonl(&text, "t", Catalog::builtin());
        let _ = crate::trace::swf::parse(&format!("; MaxNodes: 4\n{text}"), "t");
    }
}
