//! Calls that are wrong end with a status and a text, and change nothing.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]
#![allow(unsafe_code, reason = "the functions under test are those that C calls")]

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

use yardmaster_capi::*;

fn last() -> String {
    // SAFETY: the text lives until the next call on this thread.
    unsafe { CStr::from_ptr(yardmaster_last_error()) }.to_str().unwrap().to_owned()
}

fn file() -> String {
    format!("{}/../checkpoints/pool12.safetensors", env!("CARGO_MANIFEST_DIR"))
}

/// A loaded policy that is freed at the end.
struct Loaded(*mut YardmasterPolicy);

impl Loaded {
    fn new() -> Loaded {
        let (path, mut policy) = (CString::new(file()).unwrap(), null_mut());
        // SAFETY: both pointers are good.
        let status = unsafe { yardmaster_policy_load(path.as_ptr(), &raw mut policy) };
        assert_eq!(status, YardmasterStatus::Ok, "{}", last());
        Loaded(policy)
    }

    fn widths(&self) -> YardmasterWidths {
        let mut widths = YardmasterWidths::default();
        // SAFETY: both pointers are good.
        assert_eq!(unsafe { yardmaster_policy_widths(self.0, &raw mut widths) }, YardmasterStatus::Ok);
        widths
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: it was loaded and is freed once.
        unsafe { yardmaster_policy_free(self.0) };
    }
}

/// Arrays of one job and one node, all zero, with two actions.
struct Arrays {
    numbers: Vec<f32>,
    pairs: [u32; 2],
    mask: [u8; 2],
}

impl Arrays {
    fn new() -> Arrays {
        Arrays { numbers: vec![0.0; 4096], pairs: [0, 0], mask: [1, 1] }
    }

    fn observation(&self, widths: YardmasterWidths) -> YardmasterObservation {
        let numbers = self.numbers.as_ptr();
        YardmasterObservation {
            global: numbers,
            global_len: widths.global,
            jobs: numbers,
            jobs_len: widths.job,
            nodes: numbers,
            nodes_len: widths.node,
            pair_features: numbers,
            pair_features_len: widths.pair,
            pairs: self.pairs.as_ptr(),
            pairs_len: 2,
            action_mask: self.mask.as_ptr(),
            action_mask_len: 2,
            prior: -1,
        }
    }
}

#[test]
fn null_is_refused_everywhere_and_freed_nowhere() {
    let loaded = Loaded::new();
    let (path, mut policy, mut text) = (CString::new(file()).unwrap(), null_mut(), null_mut::<c_char>());
    let (mut widths, mut action) = (YardmasterWidths::default(), 0);
    let arrays = Arrays::new();
    let observation = arrays.observation(loaded.widths());
    // SAFETY: what is not null is good.
    let calls = unsafe {
        [
            ("path", yardmaster_policy_load(null(), &raw mut policy), last()),
            ("policy", yardmaster_policy_load(path.as_ptr(), null_mut()), last()),
            ("bytes", yardmaster_policy_load_bytes(null(), 10, &raw mut policy), last()),
            ("policy", yardmaster_policy_card(null(), &raw mut text), last()),
            ("card", yardmaster_policy_card(loaded.0, null_mut()), last()),
            ("policy", yardmaster_policy_widths(null(), &raw mut widths), last()),
            ("widths", yardmaster_policy_widths(loaded.0, null_mut()), last()),
            ("policy", yardmaster_decide_json(null(), c"{}".as_ptr(), 2, &raw mut text), last()),
            ("snapshot", yardmaster_decide_json(loaded.0, null(), 2, &raw mut text), last()),
            ("decision", yardmaster_decide_json(loaded.0, c"{}".as_ptr(), 2, null_mut()), last()),
            (
                "policy",
                yardmaster_decide_flat(null(), &raw const observation, null_mut(), 0, &raw mut action),
                last(),
            ),
            ("observation", yardmaster_decide_flat(loaded.0, null(), null_mut(), 0, &raw mut action), last()),
            (
                "action",
                yardmaster_decide_flat(loaded.0, &raw const observation, null_mut(), 0, null_mut()),
                last(),
            ),
            (
                "logits",
                yardmaster_decide_flat(loaded.0, &raw const observation, null_mut(), 2, &raw mut action),
                last(),
            ),
        ]
    };
    for (name, status, said) in calls {
        assert_eq!((status, said), (YardmasterStatus::BadArgument, format!("`{name}` is null")));
    }
    assert!(policy.is_null() && text.is_null());
    // SAFETY: null may be freed.
    unsafe {
        yardmaster_policy_free(null_mut());
        yardmaster_string_free(null_mut());
    }
}

#[test]
fn files_that_are_no_policies_are_told_apart() {
    let load = |bytes: &[u8]| {
        let mut policy = null_mut();
        // SAFETY: the bytes are there.
        let status = unsafe { yardmaster_policy_load_bytes(bytes.as_ptr(), bytes.len(), &raw mut policy) };
        assert!(policy.is_null());
        (status, last())
    };
    let whole = std::fs::read(file()).unwrap();
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        let (status, said) = load(&whole[..length]);
        assert_eq!(status, YardmasterStatus::BadPolicy, "{length}: {said}");
    }
    let mut flipped = whole;
    *flipped.last_mut().unwrap() ^= 1;
    let (status, said) = load(&flipped);
    assert!(status == YardmasterStatus::BadPolicy && said.contains("digest"), "{said}");
    let mut policy = null_mut();
    // SAFETY: the path ends with a zero, and is no UTF-8.
    let status = unsafe { yardmaster_policy_load(c"\xff".as_ptr(), &raw mut policy) };
    assert_eq!(
        (status, last().as_str()),
        (YardmasterStatus::BadArgument, "`path` is not UTF-8 from byte 0 on")
    );
    // SAFETY: both are good.
    let status = unsafe { yardmaster_policy_load(c"/nowhere/at/all".as_ptr(), &raw mut policy) };
    assert_eq!(status, YardmasterStatus::Unreadable);
    assert!(last().starts_with("cannot read /nowhere/at/all: "), "{}", last());
}

#[test]
fn snapshots_that_are_none_are_refused_by_name() {
    let loaded = Loaded::new();
    for text in ["", "{", "[]", "{}", "{\"now\":-1}", "\u{fffd}", &"[".repeat(100_000)] {
        let mut decision = null_mut();
        // SAFETY: the text is there.
        let status =
            unsafe { yardmaster_decide_json(loaded.0, text.as_ptr().cast(), text.len(), &raw mut decision) };
        assert_eq!(status, YardmasterStatus::BadSnapshot, "{text:.20}");
        assert!(decision.is_null() && !last().is_empty());
    }
}

#[test]
fn arrays_that_do_not_fit_are_refused_by_name() {
    let loaded = Loaded::new();
    let widths = loaded.widths();
    let decide = |change: &dyn Fn(&mut YardmasterObservation), logits: &mut [f32]| {
        let arrays = Arrays::new();
        let mut observation = arrays.observation(widths);
        change(&mut observation);
        let (mut action, len) = (usize::MAX, logits.len());
        // SAFETY: the arrays are at least as long as the lengths say.
        let status = unsafe {
            yardmaster_decide_flat(
                loaded.0,
                &raw const observation,
                logits.as_mut_ptr(),
                len,
                &raw mut action,
            )
        };
        assert_eq!(action == usize::MAX, status != YardmasterStatus::Ok);
        (status, last())
    };
    assert_eq!(decide(&|_| {}, &mut []).0, YardmasterStatus::Ok, "{}", last());
    let mut logits = [7.0; 2];
    assert_eq!(decide(&|_| {}, &mut logits).0, YardmasterStatus::Ok);
    assert!(logits.iter().all(|logit| logit.is_finite() && *logit != 7.0), "{logits:?}");
    let refused = |change: &dyn Fn(&mut YardmasterObservation), expected: &str| {
        let (status, said) = decide(change, &mut []);
        assert_eq!((status, said.as_str()), (YardmasterStatus::BadObservation, expected));
    };
    let (global, job) = (widths.global, widths.job);
    refused(&|o| o.global_len -= 1, &format!("`global_len` is {}, expected {global}", global - 1));
    refused(&|o| o.jobs_len += 1, &format!("`jobs_len` is {}, expected a multiple of {job}", job + 1));
    refused(&|o| o.pairs_len = 1, "`pairs_len` is 1, expected a multiple of 2");
    refused(&|o| o.nodes_len = 0, "candidate 0 names the node row 0 of 0");
    refused(&|o| o.prior = 2, "`prior` is 2, expected -1 or an action below 2");
    refused(&|o| o.prior = -2, "`prior` is -2, expected -1 or an action below 2");
    refused(&|o| o.action_mask_len = 1, "`action_mask_len` is 1, expected 2");
    let (status, said) = decide(&|_| {}, &mut [0.0]);
    assert_eq!((status, said.as_str()), (YardmasterStatus::BadObservation, "`logits_len` is 1, expected 2"));
    let nan = [f32::NAN];
    let (status, said) = decide(&|o| (o.global, o.global_len) = (nan.as_ptr(), 1), &mut []);
    assert_eq!(status, YardmasterStatus::BadObservation, "{said}");
    let zeros = [0_u8; 2];
    let (status, said) = decide(&|o| o.action_mask = zeros.as_ptr(), &mut []);
    assert!(status == YardmasterStatus::NoAction && said.contains("action_mask"), "{said}");
    let (status, said) = decide(&|o| o.jobs_len = usize::MAX, &mut []);
    assert!(status == YardmasterStatus::BadArgument && said.contains("`jobs` cannot have"), "{said}");
    let (status, said) = decide(&|o| o.jobs = o.jobs.wrapping_byte_add(1), &mut []);
    assert_eq!((status, said.as_str()), (YardmasterStatus::BadArgument, "`jobs` is not aligned"));
}

/// Calls on one policy from several threads wait for each other, and each thread has its own last error.
#[test]
fn threads_may_share_a_policy() {
    struct Shared(*mut YardmasterPolicy);
    // SAFETY: the interface promises that a policy may be used from any thread.
    unsafe impl Sync for Shared {}
    let loaded = Loaded::new();
    let widths = loaded.widths();
    let shared = &Shared(loaded.0);
    std::thread::scope(|scope| {
        for prior in -1..3 {
            scope.spawn(move || {
                let arrays = Arrays::new();
                let observation = YardmasterObservation { prior, ..arrays.observation(widths) };
                for _ in 0..50 {
                    let mut action = 9;
                    // SAFETY: all pointers are good.
                    let status = unsafe {
                        yardmaster_decide_flat(
                            shared.0,
                            &raw const observation,
                            null_mut(),
                            0,
                            &raw mut action,
                        )
                    };
                    assert_eq!(status == YardmasterStatus::Ok, prior < 2, "{}", last());
                    assert_eq!(last().is_empty(), prior < 2);
                }
            });
        }
    });
}
