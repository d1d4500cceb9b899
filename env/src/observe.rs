//! What a learned policy sees: features computed in one place, in training and live.

use serde::{Deserialize, Serialize};

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

/// A candidate's work group and node group, as rows of the observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Row in `jobs`.
    pub job: u32,
    /// Row in `nodes`.
    pub node: u32,
}

/// One decision in numbers. Ragged: the counts of jobs, nodes and candidates differ from one to the next.
///
/// Action `i < pairs.len()` is candidate `i`; where `wait` holds, action `pairs.len()` is to wait. Only legal
/// actions are listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// (global features)
    pub global: Vec<f32>,
    /// (jobs, job features), row-major
    pub jobs: Vec<f32>,
    /// (nodes, node features), row-major
    pub nodes: Vec<f32>,
    /// (candidates, pair features), row-major
    pub pair_features: Vec<f32>,
    /// (candidates)
    pub pairs: Vec<Pair>,
    /// Whether waiting is allowed.
    pub wait: bool,
}

impl Observation {
    /// Number of legal actions.
    pub fn actions(&self) -> usize {
        self.pairs.len() + usize::from(self.wait)
    }
}
