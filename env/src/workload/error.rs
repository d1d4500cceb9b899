//! Why a workload cannot be generated.

use thiserror::Error;

/// Why a workload cannot be generated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorkloadError {
    /// A setting is out of range.
    #[error("`{key}` is {value}; it must be {must}")]
    BadValue {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        must: &'static str,
    },
    /// Settings are missing or exclude each other.
    #[error("{0}")]
    Settings(&'static str),
    /// A model is not in the catalogue.
    #[error("inference model `{model}` is not in the catalogue; {suggestion}")]
    UnknownModel {
        /// The model.
        model: String,
        /// The nearest model, and all of them.
        suggestion: String,
    },
    /// A device kind is not in the catalogue.
    #[error("device kind `{kind}` is not in the catalogue; {suggestion}")]
    UnknownKind {
        /// The kind.
        kind: String,
        /// The nearest kind, and all of them.
        suggestion: String,
    },
    /// The cluster has no kind of device that can run something.
    #[error("{what} on no device kind of this cluster ({kinds}); change the workload or add devices")]
    NotRunnable {
        /// What does not run.
        what: String,
        /// The kinds that the cluster has.
        kinds: String,
    },
    /// A batch-queue workload needs one kind of device with one number of processors.
    #[error(
        "a batch-queue workload needs a cluster of one device kind, alike in processors; this one has {kinds}"
    )]
    NotOnePool {
        /// The kinds that the cluster has.
        kinds: String,
    },
    /// The linear programme of the capacity was not solved.
    #[error("the capacity of the cluster was not found: {0}; give the rate itself")]
    Capacity(String),
}

/// `value` if it is finite and above 0.
pub(super) fn positive(key: &'static str, value: f64) -> Result<f64, WorkloadError> {
    check(key, value, value.is_finite() && value > 0.0, "a number above 0")
}

/// `value` if it is finite and not negative.
pub(super) fn not_negative(key: &'static str, value: f64) -> Result<f64, WorkloadError> {
    check(key, value, value.is_finite() && value >= 0.0, "a number from 0")
}

/// `value` if `holds`.
pub(super) fn check(
    key: &'static str,
    value: f64,
    holds: bool,
    must: &'static str,
) -> Result<f64, WorkloadError> {
    if holds { Ok(value) } else { Err(WorkloadError::BadValue { key, value: value.to_string(), must }) }
}
