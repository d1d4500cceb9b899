//! Why a catalogue cannot be used.

use thiserror::Error;

/// Why a catalogue cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CatalogError {
    /// A text does not have the expected shape.
    #[error("{file}: {message}")]
    Malformed {
        /// Which text.
        file: &'static str,
        /// What is wrong, with its line.
        message: String,
    },
    /// Two entries have one name.
    #[error("{file}: {what} `{name}` is defined twice; remove one")]
    Duplicate {
        /// Which text.
        file: &'static str,
        /// What is defined.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name is used and not defined.
    #[error("{file}: {what} `{name}` (in {place}) is not defined; {suggestion}")]
    Unknown {
        /// Which text.
        file: &'static str,
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
        /// Line or entry that names it.
        place: String,
        /// The nearest valid name, and all of them.
        suggestion: String,
    },
    /// A number is out of range.
    #[error("{file}: {key} is `{value}` (in {place}); it must be {must}")]
    BadValue {
        /// Which text.
        file: &'static str,
        /// Which figure.
        key: &'static str,
        /// Its value.
        value: String,
        /// Line or entry that gives it.
        place: String,
        /// What it may be.
        must: &'static str,
    },
}
