//! Tests of what the readers of tables have in common.

use super::*;
use crate::catalog::Catalog;
use proptest::prelude::*;

#[test]
fn layouts_are_told_apart_by_their_headers() {
    let cases = [
        ("job_id,arrival_s,duration_s\n", TableFormat::Own),
        ("", TableFormat::Own),
        ("job_id\n", TableFormat::Own),
        ("\u{feff}timestamp,duration,num_gpus,gpu_time,cluster\r\n", TableFormat::Philly),
        ("sn,cpu_milli,memory_mib,gpu,model\n", TableFormat::OpenbNodes),
        ("\"name\",\"cpu_milli\",\"memory_mib\",\"num_gpu\",\"gpu_milli\"\n", TableFormat::OpenbPods),
        ("arrived_at,num_prefill_tokens,num_decode_tokens\n", TableFormat::AzureLlm),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", TableFormat::AzureLlm),
        // One column is missing: the reader can then name it.
        ("timestamp,num_gpus\n", TableFormat::Philly),
    ];
    for (text, format) in cases {
        assert_eq!(TableFormat::of(text), format, "{text}");
    }
}

fn read_all(text: &str) {
    let _ = TableFormat::of(text);
    let _ = philly::parse(text, "t");
    let _ = azure_llm::parse(text, "t");
    if let Ok((pods, report)) = openb::parse_pods(text, "t") {
        let _ = openb::workload(&pods, report, "t");
    }
    if let Ok(nodes) = openb::parse_nodes(text, "t") {
        let _ = openb::cluster(&nodes, Catalog::builtin(), "t");
    }
}

/// A header that a reader accepts, with rows of cells that it may or may not.
fn nearly_good() -> impl Strategy<Value = String> {
    let cell = prop_oneof![
        "[0-9]{1,3}",
        "[0-9]{1,20}(\\.[0-9]{0,12})?",
        "(-|NaN|1e999|-0|T4|T4\\|P100|1970-01-01 00:00:00|2199-12-31 23:59:59)?",
        "\\PC{0,8}",
    ];
    let header = prop_oneof![
        Just("timestamp,duration,num_gpus"),
        Just("sn,cpu_milli,memory_mib,gpu,model"),
        Just(
            "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,deletion_time,scheduled_time"
        ),
        Just("arrived_at,num_prefill_tokens,num_decode_tokens"),
        Just("TIMESTAMP,ContextTokens,GeneratedTokens"),
    ];
    (header, proptest::collection::vec(proptest::collection::vec(cell, 9), 0..6)).prop_map(
        |(header, rows)| {
            let columns = header.split(',').count();
            let rows: Vec<String> = rows.into_iter().map(|row| row[..columns].join(",")).collect();
            format!("{header}\n{}\n", rows.join("\r\n"))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,60}(\n[\\PC\n,\"]{0,200})?") {
        read_all(&text);
    }

    #[test]
    fn no_table_makes_a_reader_panic(text in nearly_good()) {
        read_all(&text);
    }

    #[test]
    fn what_is_kept_and_dropped_are_all_rows(text in nearly_good()) {
        for (workload, report) in [philly::parse(&text, "t"), azure_llm::parse(&text, "t")].into_iter().flatten() {
            let dropped: usize = report.dropped.iter().map(|(_, count)| count).sum();
            prop_assert_eq!((report.kept, report.kept + dropped), (workload.len(), report.rows));
            prop_assert_eq!(workload.jobs[0].arrival, Time::ZERO);
        }
    }
}
