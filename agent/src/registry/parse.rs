//! Names into their parts: `rule(parameter=value,...)+rule+...`.

use super::RegistryError;

/// Splits a list of policies at the commas that are not inside parentheses; spaces around names are dropped.
pub fn split_list(list: &str) -> Vec<String> {
    split_outside(list, ',').into_iter().map(|name| name.trim().to_owned()).collect()
}

/// A part of a policy's name.
pub(super) struct Part<'a> {
    /// As it was written.
    pub(super) text: &'a str,
    /// The rule.
    pub(super) rule: &'a str,
    /// Its parameters, not yet looked at.
    pub(super) given: Vec<(&'a str, &'a str)>,
}

/// The parts of a policy's name, in order.
pub(super) fn parts(policy: &str) -> Result<Vec<Part<'_>>, RegistryError> {
    split_outside(policy, '+').into_iter().map(|text| part(text.trim())).collect()
}

fn part(text: &str) -> Result<Part<'_>, RegistryError> {
    let Some((rule, rest)) = text.split_once('(') else {
        return Ok(Part { text, rule: text, given: Vec::new() });
    };
    let bad = |why: &str| RegistryError::Parameter { part: text.to_owned(), why: why.to_owned() };
    let inner = rest.strip_suffix(')').ok_or_else(|| bad("the closing parenthesis is missing"))?;
    let pair = |text| -> Option<(&str, &str)> {
        let (key, value): (&str, &str) = str::split_once(text, '=')?;
        Some((key.trim(), value.trim()))
    };
    let given: Option<Vec<(&str, &str)>> = split_outside(inner, ',').into_iter().map(pair).collect();
    let given = given.ok_or_else(|| bad("write parameter=value, joined by commas"))?;
    Ok(Part { text, rule: rule.trim(), given })
}

/// The pieces between separators outside parentheses. A parenthesis that closes nothing counts for nothing.
fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let (mut pieces, mut begin, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if letter == separator && depth == 0 => {
                pieces.push(&text[begin..at]);
                begin = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[begin..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_outside_parentheses_only() {
        assert_eq!(split_list("a, b(x=1,y=2) ,c+d(k=(1,2))"), ["a", "b(x=1,y=2)", "c+d(k=(1,2))"]);
        assert_eq!(split_list("a),b"), ["a)", "b"]);
        assert_eq!(split_list("a(x=1,b"), ["a(x=1,b"]);
        assert_eq!(split_list(""), [""]);
    }
}
