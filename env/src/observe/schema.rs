//! Names of the features.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// About the whole moment.
pub const GLOBAL: [&str; 14] = [
    "ln1p_works",
    "ln1p_waiting",
    "ln1p_queued_work_per_device",
    "free_share",
    "ln1p_free",
    "ln1p_running",
    "ln1p_next_release",
    "ln_offered_load",
    "request_share",
    "may_wait",
    "ln_burst",
    "ln1p_recent_load",
    "rule_waits",
    "rule_cuts_off",
];

/// About one work group.
pub const JOB: [&str; 25] = [
    "ln_shortest",
    "ln1p_waited",
    "ln1p_waited_over_shortest",
    "ln_gang",
    "ln_count",
    "has_deadline",
    "slack",
    "ln_weight",
    "ln_second_over_best_kind",
    "ln_mean_over_best_kind",
    "rank_by_size",
    "rank_by_age",
    "is_request",
    "backlog_over_batch",
    "ln_earliest_completion",
    "ln_wait_cost",
    "runs",
    "ln_stream_burst",
    "ln1p_arrivals_while_served",
    "late_share",
    "ln1p_least_setup_over_shortest",
    "ln_cost_rate",
    "ln1p_cost_of_lateness",
    "ln1p_others_of_same_data",
    "ln_earliest_ready_completion",
];

/// About one node group.
pub const NODE: [&str; 15] = [
    "free_share",
    "ln1p_free",
    "ln1p_devices",
    "share_of_cluster",
    "ln1p_next_release",
    "ln1p_mean_remaining",
    "mean_ln_inefficiency",
    "preferred_share",
    "ln1p_preferred_work_per_device",
    "is_cpu",
    "is_gpu",
    "is_tpu",
    "mean_loss_of_mix",
    "ln1p_first_release",
    "ln1p_second_release",
];

/// About one candidate.
pub const PAIR: [&str; 25] = [
    "ln_span",
    "ln_inefficiency",
    "ln_regret_of_completion",
    "saves_by_waiting",
    "rank_by_span_here",
    "rank_by_inefficiency_here",
    "gang_over_free",
    "ln_batch",
    "batch_share",
    "ln_batch_gain",
    "meets_deadline",
    "slack",
    "backlog_left",
    "is_best_kind",
    "ln_inefficiency_over_mix",
    "ln1p_setup",
    "ln1p_setup_over_span",
    "rule_takes_it",
    "cuts_off",
    "late_share",
    "ln1p_arrivals_while_served",
    "accuracy",
    "ln_regret_of_ready_completion",
    "ln_gang",
    "ln_efficiency",
];

/// Names of the features, by group; their digest is the schema id that a frozen policy carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// About the whole moment.
    pub global: Vec<String>,
    /// About one work group.
    pub job: Vec<String>,
    /// About one node group.
    pub node: Vec<String>,
    /// About one candidate: this work group on this node group in this batch.
    pub pair: Vec<String>,
}

impl Schema {
    /// The features this version computes.
    pub fn current() -> Schema {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Schema { global: owned(&GLOBAL), job: owned(&JOB), node: owned(&NODE), pair: owned(&PAIR) }
    }

    /// The first 16 hexadecimal digits of the SHA-256 of all names.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for (group, names) in
            [("global", &self.global), ("job", &self.job), ("node", &self.node), ("pair", &self.pair)]
        {
            hash.update(format!("{group}:{}\n", names.join(",")));
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}
