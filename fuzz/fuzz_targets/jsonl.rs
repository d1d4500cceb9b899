//! Any text is read or refused as a table of JSON lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::trace::table::parse_jsonl;

fuzz_target!(|text: &str| {
    if let Ok((workload, report)) = parse_jsonl(text, "fuzz", Catalog::builtin()) {
        assert_eq!((workload.len(), workload.truths.len()), (report.kept, report.kept));
    }
});
