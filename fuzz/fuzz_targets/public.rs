//! Any text is read or refused as the public table that its header makes it; what is read becomes jobs or machines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::packing::Instance;
use yardmaster_env::trace::{TableFormat, azure_llm, openb, philly};

fuzz_target!(|text: &str| {
    match TableFormat::of(text) {
        TableFormat::Philly => drop(philly::parse(text, "fuzz")),
        TableFormat::AzureLlm => drop(azure_llm::parse(text, "fuzz")),
        TableFormat::OpenbNodes => {
            if let Ok(nodes) = openb::parse_nodes(text, "fuzz") {
                let _ = openb::cluster(&nodes, Catalog::builtin(), "fuzz");
            }
        }
        TableFormat::OpenbPods => {
            if let Ok((pods, report)) = openb::parse_pods(text, "fuzz") {
                let _ = Instance::new(&[], &pods);
                let _ = openb::workload(&pods, report, "fuzz");
            }
        }
        TableFormat::Own => {}
    }
});
