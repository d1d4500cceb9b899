//! Any bytes are read or refused as a frozen policy, and one that is taken can be verified and written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yardmaster_agent::frozen;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(policy) = frozen::read(bytes) {
        let _ = policy.verify_golden();
        let written = frozen::to_bytes(&policy).expect("what was read can be written");
        assert_eq!(frozen::read(&written).expect("what was written can be read"), policy);
    }
});
