//! The C interface: load a frozen policy, let it decide on a JSON snapshot or on flat arrays, free it.
//!
//! The only crate with unsafe code: pointers become references and slices in `raw`, and nowhere else. Each entry point
//! checks its arguments and runs inside `error::guard`, which turns errors and panics into a status and a text.
//! `include/yardmaster.h` is made from this crate, `examples/decide.c` shows its use.

#![allow(unsafe_code, reason = "an interface for C takes and gives raw pointers")]

mod error;
mod flat;
mod policy;
mod raw;

pub use error::{YardmasterStatus, yardmaster_last_error};
pub use flat::{YardmasterObservation, YardmasterWidths, yardmaster_decide_flat, yardmaster_policy_widths};
pub use policy::{
    YardmasterPolicy, yardmaster_decide_json, yardmaster_policy_card, yardmaster_policy_free,
    yardmaster_policy_load, yardmaster_policy_load_bytes, yardmaster_string_free,
};

/// Rises when a caller has to be compiled anew against another header.
pub const YARDMASTER_ABI_VERSION: u32 = 1;

/// The `YARDMASTER_ABI_VERSION` of the library; a caller compares it with that of its header.
#[unsafe(no_mangle)]
pub extern "C" fn yardmaster_abi_version() -> u32 {
    YARDMASTER_ABI_VERSION
}
