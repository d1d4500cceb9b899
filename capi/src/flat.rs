//! A decision on flat arrays: the inputs of the exported ONNX model, for one decision without padding.

use yardmaster_agent::net::{Dims, first_highest};
use yardmaster_env::observe::{Observation, Pair};

use crate::error::{CallError, YardmasterStatus, guard};
use crate::policy::{State, YardmasterPolicy};
use crate::raw;

/// Features of each group; their names are in the policy's card.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct YardmasterWidths {
    /// Of the moment.
    pub global: usize,
    /// Of a job.
    pub job: usize,
    /// Of a node.
    pub node: usize,
    /// Of a candidate.
    pub pair: usize,
}

/// What a policy sees, row after row. Lengths count array elements. Action `i` is to start candidate `i`, the last action,
/// `pairs_len / 2`, is to wait.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct YardmasterObservation {
    /// Features of the moment, before normalisation.
    pub global: *const f32,
    /// As many as the widths say.
    pub global_len: usize,
    /// Features of each job.
    pub jobs: *const f32,
    /// Jobs times their width.
    pub jobs_len: usize,
    /// Features of each node.
    pub nodes: *const f32,
    /// Nodes times their width.
    pub nodes_len: usize,
    /// Features of each candidate.
    pub pair_features: *const f32,
    /// Candidates times their width.
    pub pair_features_len: usize,
    /// Two numbers a candidate: its row in `jobs` and its row in `nodes`.
    pub pairs: *const u32,
    /// Candidates times 2.
    pub pairs_len: usize,
    /// A byte an action, 0 where it is illegal; null where all are legal.
    pub action_mask: *const u8,
    /// Candidates plus 1; 0 where `action_mask` is null.
    pub action_mask_len: usize,
    /// The action of the prior rule that the card names; -1 for none.
    pub prior: i64,
}

/// Tells how many features the policy expects.
///
/// # Safety
///
/// `policy` comes from a load and has not been freed; `widths` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yardmaster_policy_widths(
    policy: *const YardmasterPolicy,
    widths: *mut YardmasterWidths,
) -> YardmasterStatus {
    guard(|| {
        // SAFETY: as the caller promises.
        let policy = unsafe { raw::reference("policy", policy) }?;
        let Dims { global, job, node, pair } = *policy.lock()?.learned.net().dims();
        // SAFETY: as the caller promises.
        unsafe { raw::write("widths", widths, YardmasterWidths { global, job, node, pair }) }
    })
}

/// Scores every action and chooses the legal one of the highest logit, the first of equals. `logits` may be null with
/// `logits_len` 0; otherwise it takes one number an action, the lowest finite float where the action is illegal.
///
/// # Safety
///
/// `policy` comes from a load and has not been freed. The arrays have the lengths that are given; nobody changes them
/// meanwhile. `logits` and `action` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yardmaster_decide_flat(
    policy: *const YardmasterPolicy,
    observation: *const YardmasterObservation,
    logits: *mut f32,
    logits_len: usize,
    action: *mut usize,
) -> YardmasterStatus {
    guard(|| {
        // SAFETY: as the caller promises.
        let (policy, flat) =
            unsafe { (raw::reference("policy", policy)?, raw::reference("observation", observation)?) };
        raw::check("action", action)?;
        let mut state = policy.lock()?;
        // SAFETY: as the caller promises.
        let observation = unsafe { read(flat, state.learned.net().dims()) }?;
        let actions = observation.actions();
        // SAFETY: as the caller promises.
        let mask = unsafe { raw::slice("action_mask", flat.action_mask, flat.action_mask_len) }?;
        expect("action_mask_len", mask.len(), if mask.is_empty() { 0 } else { actions })?;
        expect("logits_len", logits_len, if logits_len == 0 { 0 } else { actions })?;
        let prior = prior_of(flat.prior, actions)?;
        let State { learned, scratch } = &mut *state;
        let mut scores = learned.net().logits(&observation, prior, scratch).to_vec();
        let best = strike_out(&mut scores, mask)?;
        // SAFETY: as the caller promises.
        unsafe {
            raw::write_array("logits", logits, &scores[..logits_len])?;
            raw::write("action", action, best)
        }
    })
}

/// Lowers the logits of illegal actions, and gives the best of the legal ones.
fn strike_out(scores: &mut [f32], mask: &[u8]) -> Result<usize, CallError> {
    let illegal = scores.iter_mut().zip(mask).filter(|(_, legal)| **legal == 0);
    illegal.for_each(|(score, _)| *score = f32::MIN);
    let best = first_highest(scores).ok_or(CallError::NoAction)?;
    if mask.get(best) == Some(&0) { Err(CallError::NoAction) } else { Ok(best) }
}

/// Copies the arrays, checked against the widths, each other and what the network can take.
///
/// # Safety
///
/// The arrays have the lengths that are given, and nobody changes them meanwhile.
unsafe fn read(flat: &YardmasterObservation, dims: &Dims) -> Result<Observation, CallError> {
    // SAFETY: as the caller promises.
    let (global, jobs, nodes, pair_features, pairs) = unsafe {
        (
            raw::slice("global", flat.global, flat.global_len)?,
            raw::slice("jobs", flat.jobs, flat.jobs_len)?,
            raw::slice("nodes", flat.nodes, flat.nodes_len)?,
            raw::slice("pair_features", flat.pair_features, flat.pair_features_len)?,
            raw::slice("pairs", flat.pairs, flat.pairs_len)?,
        )
    };
    expect("global_len", global.len(), dims.global)?;
    let jobs_there = rows("jobs_len", jobs.len(), dims.job)?;
    let nodes_there = rows("nodes_len", nodes.len(), dims.node)?;
    let candidates = rows("pairs_len", pairs.len(), 2)?;
    expect("pair_features_len", pair_features.len(), candidates * dims.pair)?;
    let pairs: Vec<Pair> = pairs.chunks_exact(2).map(|pair| Pair { job: pair[0], node: pair[1] }).collect();
    for (at, pair) in pairs.iter().enumerate() {
        for (what, row, there) in [("job", pair.job, jobs_there), ("node", pair.node, nodes_there)] {
            if row as usize >= there {
                return fault(format!("candidate {at} names the {what} row {row} of {there}"));
            }
        }
    }
    for (name, values) in
        [("global", global), ("jobs", jobs), ("nodes", nodes), ("pair_features", pair_features)]
    {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return fault(format!("`{name}` has {} at {at}, which is not finite", values[at]));
        }
    }
    let [global, jobs, nodes, pair_features] = [global, jobs, nodes, pair_features].map(<[f32]>::to_vec);
    Ok(Observation { global, jobs, nodes, pair_features, pairs, wait: true })
}

fn prior_of(prior: i64, actions: usize) -> Result<Option<usize>, CallError> {
    match usize::try_from(prior) {
        Ok(action) if action < actions => Ok(Some(action)),
        Err(_) if prior == -1 => Ok(None),
        _ => fault(format!("`prior` is {prior}, expected -1 or an action below {actions}")),
    }
}

/// How many rows an array has.
fn rows(name: &str, length: usize, width: usize) -> Result<usize, CallError> {
    match length.checked_rem(width) {
        Some(0) => Ok(length / width),
        None if length == 0 => Ok(0),
        _ => fault(format!("`{name}` is {length}, expected a multiple of {width}")),
    }
}

fn expect(name: &str, found: usize, expected: usize) -> Result<(), CallError> {
    if found == expected { Ok(()) } else { fault(format!("`{name}` is {found}, expected {expected}")) }
}

fn fault<T>(text: String) -> Result<T, CallError> {
    Err(CallError::Observation(text))
}
