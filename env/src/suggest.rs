//! The valid name nearest to a mistyped one, for error messages.

/// The candidate most like `name`, with the list of all: `did you mean ...? valid: a, b, c`.
pub(crate) fn suggestion<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    let valid: Vec<&str> = valid.into_iter().collect();
    let likeness = |other: &&&str| (strsim::jaro_winkler(name, other) * 1e6) as u64;
    match valid.iter().max_by_key(likeness) {
        Some(nearest) => format!("did you mean `{nearest}`? valid: {}", valid.join(", ")),
        None => "there is none".into(),
    }
}
