//! Why a scenario cannot be used.

use crate::catalog::MeasuredError;
use crate::data::DataError;
use crate::sim::WorldError;
use crate::workload::WorkloadError;

/// Why a scenario cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// No built-in scenario of this name.
    #[error("unknown scenario {name:?}, {near}; a file must end in .toml")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names close to it.
        near: String,
    },
    /// Not TOML, or a key that does not belong there.
    #[error("{file}: {why}")]
    Syntax {
        /// Which file.
        file: String,
        /// What the parser says, with the line.
        why: String,
    },
    /// A trace that the scenario is made of.
    #[error("{file}: {why}")]
    Trace {
        /// Which file.
        file: String,
        /// What is wrong with the trace.
        why: String,
    },
    /// A node of a kind that the catalogue does not have.
    #[error("{file}: node {node:?} has the unknown device kind {kind:?}, {near}")]
    UnknownKind {
        /// Which file.
        file: String,
        /// Which node.
        node: String,
        /// What it says.
        kind: String,
        /// Names close to it.
        near: String,
    },
    /// A value out of its range.
    #[error("{file}: {what} is {value}, it must be {must}")]
    Range {
        /// Which file.
        file: String,
        /// Which value.
        what: String,
        /// What it is.
        value: String,
        /// What it may be.
        must: &'static str,
    },
    /// The workload cannot be generated for this cluster.
    #[error("{file}: {why}")]
    Workload {
        /// Which file.
        file: String,
        /// What is wrong.
        why: WorkloadError,
    },
    /// Speeds that it brings along and that cannot be.
    #[error("{file}: {why}")]
    Measured {
        /// Which file.
        file: String,
        /// What is wrong.
        why: MeasuredError,
    },
    /// The network cannot be built.
    #[error("{file}: {why}")]
    Data {
        /// Which file.
        file: String,
        /// What is wrong.
        why: DataError,
    },
    /// The parts do not go together.
    #[error("{file}: {why}")]
    World {
        /// Which file.
        file: String,
        /// What is wrong.
        why: WorldError,
    },
}

impl SpecError {
    pub(super) fn with_file(mut self, name: &str) -> SpecError {
        if let SpecError::Workload { file, .. }
        | SpecError::World { file, .. }
        | SpecError::Data { file, .. } = &mut self
        {
            name.clone_into(file);
        }
        self
    }
}
