//! What can go wrong in a call, as a status and a text.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;
use yardmaster_agent::frozen::FrozenError;
use yardmaster_agent::learned::LearnedError;
use yardmaster_env::snapshot::SnapshotError;

/// How a call ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YardmasterStatus {
    /// It did what it should.
    Ok = 0,
    /// A pointer that must not be null is, or is not aligned, or a length is impossible.
    BadArgument = 1,
    /// The file cannot be read.
    Unreadable = 2,
    /// The file is no frozen policy that this library can use: damaged, of another version, or of features that this library does not compute.
    BadPolicy = 3,
    /// The snapshot is not the JSON that it should be, or contradicts itself.
    BadSnapshot = 4,
    /// The arrays do not fit the policy or each other.
    BadObservation = 5,
    /// No action is legal.
    NoAction = 6,
    /// A defect of this library. The policy of the call can only be freed.
    Panicked = 7,
}

/// Why a call failed.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// Null.
    #[error("`{0}` is null")]
    Null(&'static str),
    /// Not at a multiple of its type's alignment.
    #[error("`{0}` is not aligned")]
    Unaligned(&'static str),
    /// More than an address space holds.
    #[error("`{name}` cannot have {length} elements")]
    Length {
        /// The argument.
        name: &'static str,
        /// Its length.
        length: usize,
    },
    /// Text in another encoding.
    #[error("`{name}` is not UTF-8 from byte {byte} on")]
    Encoding {
        /// The argument.
        name: &'static str,
        /// The first byte that is wrong.
        byte: usize,
    },
    /// No usable policy.
    #[error(transparent)]
    Policy(#[from] LearnedError),
    /// No usable snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Arrays that do not fit.
    #[error("{0}")]
    Observation(String),
    /// Every action is masked.
    #[error("no action is legal: `action_mask` is 0 everywhere")]
    NoAction,
    /// A panic.
    #[error("a defect of the library, which this policy cannot be used after: {0}")]
    Panicked(String),
}

impl CallError {
    fn status(&self) -> YardmasterStatus {
        match self {
            CallError::Null(_) | CallError::Unaligned(_) | CallError::Length { .. } => {
                YardmasterStatus::BadArgument
            }
            CallError::Encoding { .. } => YardmasterStatus::BadArgument,
            CallError::Policy(LearnedError::Frozen(FrozenError::Read { .. })) => YardmasterStatus::Unreadable,
            CallError::Policy(_) => YardmasterStatus::BadPolicy,
            CallError::Snapshot(_) => YardmasterStatus::BadSnapshot,
            CallError::Observation(_) => YardmasterStatus::BadObservation,
            CallError::NoAction => YardmasterStatus::NoAction,
            CallError::Panicked(_) => YardmasterStatus::Panicked,
        }
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Runs an entry point. Whatever becomes of it is a status; the text of a failure is kept for this thread.
pub(crate) fn guard(work: impl FnOnce() -> Result<(), CallError>) -> YardmasterStatus {
    // A policy behind a mutex is poisoned by a panic, and nothing else is shared: no broken state is seen afterwards.
    let result = catch_unwind(AssertUnwindSafe(work));
    let error = match result {
        Ok(Ok(())) => return YardmasterStatus::Ok,
        Ok(Err(error)) => error,
        Err(panic) => CallError::Panicked(message(&*panic)),
    };
    remember(&error.to_string());
    error.status()
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

fn remember(text: &str) {
    let text = CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
    // A thread that is ending has nobody left to ask.
    let _ = LAST.try_with(|last| last.replace(text));
}

/// Why the last call that failed on this thread did; empty before the first. UTF-8, valid until the next call on this
/// thread, not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn yardmaster_last_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn last() -> String {
        // SAFETY: the text lives until the next call on this thread.
        unsafe { CStr::from_ptr(yardmaster_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_ends_at_the_guard_with_its_message() {
        assert_eq!(guard(|| panic!("shelf {} is empty", 3)), YardmasterStatus::Panicked);
        assert!(last().ends_with("shelf 3 is empty"), "{}", last());
        assert_eq!(guard(|| std::panic::panic_any(7)), YardmasterStatus::Panicked);
    }

    #[test]
    fn each_thread_has_its_own_last_error() {
        assert_eq!(guard(|| Err(CallError::Null("a"))), YardmasterStatus::BadArgument);
        std::thread::scope(|scope| scope.spawn(|| assert_eq!(last(), "")).join()).unwrap();
        assert_eq!(last(), "`a` is null");
        assert_eq!(guard(|| Err(CallError::Observation("a\0b".into()))), YardmasterStatus::BadObservation);
        assert_eq!(last(), "a\u{fffd}b");
    }
}
