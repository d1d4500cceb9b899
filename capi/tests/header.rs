//! The committed header is what cbindgen makes of this crate.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    // File by file: to be given the crate, cbindgen would ask cargo, which may want the network.
    let sources = ["lib.rs", "error.rs", "policy.rs", "flat.rs"].map(|file| root.join("src").join(file));
    let builder = sources.iter().fold(cbindgen::Builder::new(), cbindgen::Builder::with_src);
    let bindings = builder.with_config(config).generate().unwrap();
    let mut made = Vec::new();
    bindings.write(&mut made);
    let made = String::from_utf8(made).unwrap();
    assert!(made.contains("yardmaster_policy_load("), "{made}");
    expect_test::expect_file!["../include/yardmaster.h"].assert_eq(&made);
}
