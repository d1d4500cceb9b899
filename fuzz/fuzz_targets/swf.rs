//! Any text is read or refused as a trace in Standard Workload Format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yardmaster_env::trace::swf;

fuzz_target!(|text: &str| {
    if let Ok(trace) = swf::parse(text, "fuzz") {
        assert!(!trace.workload.is_empty() && trace.procs_per_node() > 0);
    }
});
