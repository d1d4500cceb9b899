//! A loaded policy, and its decisions on snapshots.

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use yardmaster_agent::frozen::{self, Frozen};
use yardmaster_agent::learned::{Learned, LearnedError};
use yardmaster_agent::net::Scratch;
use yardmaster_agent::policy::Policy;
use yardmaster_env::observe::Schema;
use yardmaster_env::snapshot::Snapshot;

use crate::error::{CallError, YardmasterStatus, guard};
use crate::raw;

/// A frozen policy, ready to decide.
pub struct YardmasterPolicy {
    card: String,
    state: Mutex<State>,
}

/// What a decision changes.
pub(crate) struct State {
    pub(crate) learned: Learned,
    pub(crate) scratch: Scratch,
}

impl YardmasterPolicy {
    fn new(name: &str, frozen: &Frozen) -> Result<YardmasterPolicy, LearnedError> {
        let frozen = frozen.reading(&Schema::current())?;
        let learned = Learned::from_frozen(name, &frozen)?;
        let card = serde_json::to_string(frozen.card()).expect("a card comes from JSON");
        Ok(YardmasterPolicy { card, state: Mutex::new(State { learned, scratch: Scratch::default() }) })
    }

    /// Waits for calls of other threads.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, State>, CallError> {
        self.state.lock().map_err(|_| CallError::Panicked("an earlier call has panicked".to_owned()))
    }
}

/// Reads a frozen policy from a file, checks that this library computes its features, and that its golden outputs are
/// reproduced. Features that it does not know are in its widths and its card, and make no difference. The path is UTF-8.
///
/// # Safety
///
/// `path` ends with a zero byte; `policy` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yardmaster_policy_load(
    path: *const c_char,
    policy: *mut *mut YardmasterPolicy,
) -> YardmasterStatus {
    guard(|| {
        // SAFETY: as the caller promises.
        let path = Path::new(unsafe { raw::text("path", path) }?);
        raw::check("policy", policy)?;
        let frozen = frozen::load(path).map_err(LearnedError::from)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        // SAFETY: as the caller promises.
        unsafe { give(policy, YardmasterPolicy::new(&name, &frozen)?) }
    })
}

/// As yardmaster_policy_load, for a file that is in memory.
///
/// # Safety
///
/// `bytes` has `bytes_len` bytes that nobody changes meanwhile; `policy` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yardmaster_policy_load_bytes(
    bytes: *const u8,
    bytes_len: usize,
    policy: *mut *mut YardmasterPolicy,
) -> YardmasterStatus {
    guard(|| {
        // SAFETY: as the caller promises.
        let bytes = unsafe { raw::slice("bytes", bytes, bytes_len) }?;
        raw::check("policy", policy)?;
        let frozen = frozen::read(bytes).map_err(LearnedError::from)?;
        // SAFETY: as the caller promises.
        unsafe { give(policy, YardmasterPolicy::new("learned", &frozen)?) }
    })
}

/// Frees a policy; null is ignored.
///
/// # Safety
///
/// `policy` is null, or comes from a load, has not been freed, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yardmaster_policy_free(policy: *mut YardmasterPolicy) {
    guard(|| {
        if !policy.is_null() {
            // SAFETY: it comes from `Box::into_raw` in `give`, as the caller promises.
            drop(unsafe { Box::from_raw(policy) });
        }
        Ok(())
    });
}

/// What the policy says about itself, as JSON: schema id, names of the features, scenario, objective, prior rule, golden
/// cases, digest. Free the text with yardmaster_string_free.
///
/// # Safety
///
/// `policy` comes from a load and has not been freed; `card` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yardmaster_policy_card(
    policy: *const YardmasterPolicy,
    card: *mut *mut c_char,
) -> YardmasterStatus {
    guard(|| {
        // SAFETY: as the caller promises.
        let policy = unsafe { raw::reference("policy", policy) }?;
        raw::check("card", card)?;
        // SAFETY: as the caller promises.
        unsafe { raw::write("card", card, raw::give_text(policy.card.clone())) }
    })
}

/// Decides on a snapshot, `{"cluster": ..., "state": ...}`, as docs/snapshot.md describes it. The decision is JSON with one
/// key, such as `{"start": {"jobs": [7], "nodes": [{"node": "a", "devices": 2}], "batch": 64, "variant": 0}}` or
/// `{"wait": {}}`; jobs have the ids and nodes the names of the snapshot. Free it with yardmaster_string_free. The text need
/// not end with a zero byte.
///
/// # Safety
///
/// `policy` comes from a load and has not been freed. `snapshot` has `snapshot_len` bytes that nobody changes meanwhile;
/// `decision` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yardmaster_decide_json(
    policy: *const YardmasterPolicy,
    snapshot: *const c_char,
    snapshot_len: usize,
    decision: *mut *mut c_char,
) -> YardmasterStatus {
    guard(|| {
        // SAFETY: as the caller promises.
        let policy = unsafe { raw::reference("policy", policy) }?;
        // SAFETY: as the caller promises.
        let text = raw::utf8("snapshot", unsafe { raw::slice("snapshot", snapshot.cast(), snapshot_len) }?)?;
        raw::check("decision", decision)?;
        let snapshot = Snapshot::from_json(text)?;
        let made = policy.lock()?.learned.decide(&snapshot.view());
        let answer = serde_json::to_string(&snapshot.tell(&made)).expect("a decision has a JSON form");
        // SAFETY: as the caller promises.
        unsafe { raw::write("decision", decision, raw::give_text(answer)) }
    })
}

/// Frees a text that a function of this library gave; null is ignored. The text of yardmaster_last_error is not to be freed.
///
/// # Safety
///
/// `text` is null, or comes from this library and has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yardmaster_string_free(text: *mut c_char) {
    guard(|| {
        // SAFETY: as the caller promises.
        unsafe { raw::free_text(text) };
        Ok(())
    });
}

/// Hands a policy over.
///
/// # Safety
///
/// `place` has been checked and can be written.
unsafe fn give(place: *mut *mut YardmasterPolicy, policy: YardmasterPolicy) -> Result<(), CallError> {
    // SAFETY: as the caller promises.
    unsafe { raw::write("policy", place, Box::into_raw(Box::new(policy))) }
}
