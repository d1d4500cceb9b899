//! Why a text is no snapshot.

use thiserror::Error;

use crate::suggest::suggestion;

/// Why a text is no snapshot, or a snapshot makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// Not JSON, or not of the expected shape.
    #[error("not a snapshot: {0}")]
    Syntax(String),
    /// Written for another version.
    #[error("{what} has format {found}, this program reads format {reads}")]
    Format {
        /// The cluster, the state or the change.
        what: &'static str,
        /// What it says.
        found: u32,
        /// What would be right.
        reads: u32,
    },
    /// A name or number that stands for nothing.
    #[error("{field} is {value:?}, which is not known: {near}")]
    Unknown {
        /// Where it stands.
        field: String,
        /// What it says.
        value: String,
        /// What would be right.
        near: String,
    },
    /// A value out of its range, or at odds with another.
    #[error("{field} is {value}, it must be {must}")]
    Range {
        /// Where it stands.
        field: String,
        /// What it says.
        value: String,
        /// What would be right.
        must: String,
    },
}

impl SnapshotError {
    pub(super) fn range(
        field: impl Into<String>,
        value: impl ToString,
        must: impl Into<String>,
    ) -> SnapshotError {
        SnapshotError::Range { field: field.into(), value: value.to_string(), must: must.into() }
    }

    pub(super) fn unknown<'a>(
        field: impl Into<String>,
        value: &str,
        valid: impl IntoIterator<Item = &'a str>,
    ) -> SnapshotError {
        // A cluster may have thousands of names.
        let near = suggestion(value, valid.into_iter().take(64));
        SnapshotError::Unknown { field: field.into(), value: value.to_owned(), near }
    }
}
