//! Any text is read or refused as a snapshot; one that is taken can be written down again, and a rule decides on it
//! within the rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yardmaster_agent::registry;
use yardmaster_env::snapshot::Snapshot;

fuzz_target!(|text: &str| {
    let Ok(snapshot) = Snapshot::from_json(text) else { return };
    let again = Snapshot::from_json(&snapshot.to_json()).expect("what was read is written well");
    assert_eq!(again, snapshot);
    if snapshot.has_choice() {
        let decision = registry::build("mct").expect("a rule").decide(&snapshot.view());
        // What a rule may not do is told, never carried out.
        let _ = snapshot.check(&decision);
    }
});
