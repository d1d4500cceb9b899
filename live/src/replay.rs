//! What another policy would have decided where a log tells what was decided.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Serialize;
use yardmaster_agent::explain::difference::difference;
use yardmaster_env::snapshot::Told;

use crate::audit::{AuditError, Reader};
use crate::policy::Mind;
use crate::regret::{Regret, Sum};

/// What came of a replay.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Replayed {
    /// Decisions that were compared: the first of each answer.
    pub decisions: u64,
    /// Those that the policy would have made otherwise.
    pub different: u64,
    /// Of them, in what they differ.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// What the policy would have gained, over the differences that were tried; in seconds of completion time, or misses
    /// where requests have deadlines.
    pub gain: Option<Gain>,
    /// Lines of the log that were torn and left out.
    pub torn: usize,
    /// Answers without a decision that could be read.
    pub unreadable: u64,
    /// Decisions that the fallback made.
    pub by_fallback: u64,
}

/// What was decided cost so much more than what the policy would have decided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gain {
    /// Differences that were tried.
    pub tried: u64,
    /// Mean of each.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// Asks the policy about everything that a log holds, in its order, and tries at most so many of the differences on
/// imagined futures.
///
/// # Errors
/// A log that cannot be read.
pub fn replay<R: BufRead>(
    log: &mut Reader<R>,
    mind: &mut Mind,
    regret: &Regret,
    most: u64,
) -> Result<Replayed, AuditError> {
    let (mut replayed, mut gains) = (Replayed::default(), Sum::default());
    while let Some(recorded) = log.next_decision()? {
        let (own, _) = mind.decide(&recorded.snapshot);
        replayed.by_fallback += u64::from(recorded.answer["by"] == "fallback");
        let told = told(&recorded.answer);
        let Some(made) = told.and_then(|told| recorded.snapshot.hear(&told)) else {
            replayed.unreadable += 1;
            continue;
        };
        replayed.decisions += 1;
        if let Some(kind) = difference(&recorded.snapshot.view(), &own, &made) {
            replayed.different += 1;
            *replayed.by_kind.entry(kind.words()).or_default() += 1;
            if gains.count < most
                && let Some(gain) = regret.of(&recorded.snapshot, &made, &own, replayed.different)
            {
                gains.add(gain);
            }
        }
    }
    replayed.gain = (gains.count > 0).then(|| Gain {
        tried: gains.count,
        mean: gains.mean(),
        standard_error: gains.standard_error(),
    });
    replayed.torn = log.torn();
    Ok(replayed)
}

/// The first decision of an answer.
fn told(answer: &serde_json::Value) -> Option<Told> {
    let mut first = answer["decisions"].get(0)?.clone();
    first.as_object_mut()?.remove("reason");
    serde_json::from_value(first).ok()
}
