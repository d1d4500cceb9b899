//! Why a data plane cannot be built.

use thiserror::Error;

/// Why a data plane cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DataError {
    /// A value out of its range.
    #[error("{field} is {value}, it must be {must}")]
    Range {
        /// Which value.
        field: String,
        /// What it is.
        value: String,
        /// What it may be.
        must: &'static str,
    },
    /// A node in a rack that does not exist.
    #[error("rack of node {node} is {rack}, there are {racks} racks, numbered from 0")]
    UnknownRack {
        /// Which node.
        node: usize,
        /// Which rack it names.
        rack: u32,
        /// How many there are.
        racks: usize,
    },
    /// Two artefacts of one name.
    #[error("artefact {name:?} is defined twice, remove one")]
    Duplicate {
        /// The name.
        name: String,
    },
}
