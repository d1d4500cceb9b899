//! Why a decision was made, for the people who read it.

use serde::Serialize;
use yardmaster_agent::net::first_highest;
use yardmaster_env::units::{JobId, Span};
use yardmaster_env::view::{Decision, Share, View};

/// Who decided, how sure it was, and what is expected of the decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reason {
    /// The rule that decided; `None` from a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How likely the policy holds this decision to be the best, from 0 to 1; `None` from a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f32>,
    /// By how much its logit exceeds that of the next best; `None` where there is no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f32>,
    /// Whether the rule that the policy starts from would decide so too; `None` from a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_prior: Option<bool>,
    /// How many actions there were; `None` from a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<usize>,
    /// A feature that lies outside of what was seen in training, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfamiliar: Option<String>,
    /// What is expected.
    #[serde(flatten)]
    pub outlook: Outlook,
}

/// What is expected of a decision, whoever made it. Times are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outlook {
    /// Start, reserve: how long the job, or the oldest of the requests, has waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_s: Option<f64>,
    /// Start: how long it should hold its devices, bringing data and loading the model included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_s: Option<f64>,
    /// Start of a job: how long it would compute on the kind where that is shortest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortest_s: Option<f64>,
    /// Start of what has a deadline: how long before it the end is expected; below 0 it will be late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack_s: Option<f64>,
    /// Preempt: what should be left of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_s: Option<f64>,
    /// Wait: jobs and requests that wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<usize>,
    /// Wait: devices that are free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u32>,
}

impl Reason {
    /// Of a rule.
    pub fn of_rule(name: &str) -> Reason {
        Reason { rule: Some(name.to_owned()), ..Reason::default() }
    }

    /// Of a network's logits, and the action that the rule it starts from would take.
    pub fn of_logits(logits: &[f32], prior: Option<usize>) -> Reason {
        let Some(best) = first_highest(logits) else { return Reason::default() };
        let highest = logits[best];
        let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
        let others = logits.iter().enumerate().filter(|(at, _)| *at != best).map(|(_, logit)| *logit);
        Reason {
            probability: Some(1.0 / sum),
            margin: others.reduce(f32::max).map(|second| highest - second),
            as_prior: Some(prior == Some(best)),
            actions: Some(logits.len()),
            ..Reason::default()
        }
    }
}

impl Outlook {
    /// Of a decision that may be carried out.
    pub fn of(view: &View<'_>, decision: &Decision) -> Outlook {
        let waited = |job: JobId| Some(view.waited(job).as_secs_f64());
        match decision {
            Decision::Start { job, nodes, batch, variant } => {
                let compute = compute(view, *job, nodes, *batch, *variant);
                let model = view.job(*job).request_model();
                let variant = model.map(|_| *variant);
                let expected = compute.map(|compute| compute + view.setup_as(*job, nodes, variant));
                let deadline = view.job(*job).deadline.map(|at| at.as_secs_f64() - view.now.as_secs_f64());
                let estimates = || (0..view.timing.kinds()).filter_map(|slot| view.estimate(*job, slot));
                let shortest = if model.is_none() { estimates().min() } else { None };
                let expected_s = expected.map(Span::as_secs_f64);
                Outlook {
                    waited_s: waited(*job),
                    expected_s,
                    shortest_s: shortest.map(Span::as_secs_f64),
                    slack_s: deadline.zip(expected_s).map(|(deadline, expected)| deadline - expected),
                    ..Outlook::default()
                }
            }
            Decision::Reserve { order } => {
                Outlook { waited_s: order.first().and_then(|&job| waited(job)), ..Outlook::default() }
            }
            Decision::Preempt { run } => {
                let cut = view.running.iter().find(|other| other.sequence == *run);
                Outlook { left_s: cut.map(|cut| view.left_of(cut).as_secs_f64()), ..Outlook::default() }
            }
            Decision::Wait { .. } => {
                let requests: usize = view.streams.iter().map(|stream| stream.queue.len()).sum();
                Outlook {
                    waiting: Some(view.queue.len() + requests),
                    free: Some(view.free_by_kind.iter().sum()),
                    ..Outlook::default()
                }
            }
            Decision::Allocate { .. } => Outlook::default(),
        }
    }
}

/// How long a job, or a batch of requests, should compute; `None` where it does not run.
fn compute(view: &View<'_>, job: JobId, nodes: &[Share], batch: u32, variant: u16) -> Option<Span> {
    let slot = view.slot_of(nodes.first()?.node);
    if let Some(model) = view.job(job).request_model() {
        return view.timing.variant_batch(view.timing.stream_of(model)?, variant, slot, batch);
    }
    let gang = nodes.iter().map(|share| share.devices).sum();
    let chosen = view.ways(job).find(|way| (way.choice.gang, way.choice.batch) == (gang, batch));
    match chosen {
        Some(way) => view.estimate_way(job, way, slot),
        None => view.estimate(job, slot),
    }
}
