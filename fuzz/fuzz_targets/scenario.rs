//! Any text is read or refused as a scenario, and one that is taken can be run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yardmaster_env::spec::{Scenario, Split};

fuzz_target!(|text: &str| {
    if let Ok(scenario) = Scenario::parse(text, "fuzz") {
        let _ = scenario.digest();
        // Another seed may still be refused, never with a crash.
        let _ = scenario.world(Split::Test.seed(0, 0));
    }
});
