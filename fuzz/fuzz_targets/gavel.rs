//! Any two texts are read or refused as a workload of Gavel and the speeds that go with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::trace::gavel::GavelInput;

fuzz_target!(|text: &str| {
    let (input, speeds) = text.split_once("\n%%\n").unwrap_or((text, ""));
    if let Ok(input) = GavelInput::parse(input, "fuzz") {
        let _ = input.with_throughputs(speeds, "fuzz", Catalog::builtin());
    }
});
