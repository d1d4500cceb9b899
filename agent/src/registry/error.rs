//! What can be wrong with a policy's name.

/// A policy name that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No such rule.
    #[error("unknown policy {name:?}{}; `yardmaster policies` lists all", suggest(.near))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names that are close to it.
        near: Vec<String>,
    },
    /// The same part was given twice.
    #[error("policy {policy:?} names two {part} rules: {first} and {second}")]
    Twice {
        /// The whole name.
        policy: String,
        /// `order`, `placement`, `batching` or `serving`.
        part: &'static str,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// A parameter that the rule does not take, or a value that it cannot have.
    #[error("policy part {part:?} has a bad parameter: {why}")]
    Parameter {
        /// The part with its parameters.
        part: String,
        /// What is wrong and what is valid.
        why: String,
    },
    /// A name that is there already.
    #[error("the policy name {name:?} is taken: register it under another")]
    Taken {
        /// The name.
        name: String,
    },
    /// A name that would mean something else in a list of policies.
    #[error("{name:?} cannot be the name of a policy: use letters, digits and dashes")]
    BadName {
        /// The name.
        name: String,
    },
    /// Values for a part that there is not.
    #[error("policy {policy:?} has {parts} parts, there is no part {part}")]
    NoSuchPart {
        /// The whole name.
        policy: String,
        /// How many parts it has.
        parts: usize,
        /// The one asked for, counted from 0.
        part: usize,
    },
}

fn suggest(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(", did you mean {}", near.join(" or ")) }
}
