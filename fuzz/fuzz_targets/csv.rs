//! Any text is read or refused as a table, and what is read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::trace::table::{parse_csv, to_csv};

fuzz_target!(|text: &str| {
    let catalog = Catalog::builtin();
    if let Ok((workload, _)) = parse_csv(text, "fuzz", catalog) {
        let again = parse_csv(&to_csv(&workload, catalog), "again", catalog);
        assert_eq!(again.map(|(workload, _)| workload), Ok(workload));
    }
});
