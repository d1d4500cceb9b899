//! What a rule is called and which numbers it takes.

use std::fmt;

use super::RegistryError;
use super::parse::Part;

/// A number that a rule takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// As in `name(parameter=value)`.
    pub name: &'static str,
    /// Its value where none is given.
    pub default: f64,
    /// The least and the greatest value, both included.
    pub range: (f64, f64),
    /// Whether it must be a whole number.
    pub whole: bool,
    /// What tuning tries, the default included.
    pub tries: &'static [f64],
    /// What it does, with its unit.
    pub about: &'static str,
}

/// An entry of a table of rules.
#[derive(Clone, Copy, Debug)]
pub struct Rule<T> {
    /// What to ask the registry for.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// The numbers it takes.
    pub parameters: &'static [Parameter],
    /// Makes the rule of one value per parameter, in their order.
    pub make: fn(&[f64]) -> T,
}

impl Parameter {
    /// Whether it may have this value.
    pub fn allows(&self, value: f64) -> bool {
        let (least, most) = self.range;
        (least..=most).contains(&value) && (!self.whole || value.fract() == 0.0)
    }

    fn check(&self, value: f64) -> Result<f64, String> {
        let ((least, most), name) = (self.range, self.name);
        let number = if self.whole { "a whole number" } else { "a number" };
        let wrong = || format!("{name} is {value}, it must be {number} from {least} to {most}");
        if self.allows(value) { Ok(value) } else { Err(wrong()) }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.range;
        write!(out, "{} (default {}, {least} to {most})", self.name, self.default)
    }
}

/// The values that a part of a policy's name gives, by parameter; `None` where it gives none.
pub(super) fn given(part: &Part<'_>, known: &[Parameter]) -> Result<Vec<Option<f64>>, RegistryError> {
    let mut values = vec![None; known.len()];
    for &(name, text) in &part.given {
        let at = find(part.text, name, known)?;
        let bad = |why| RegistryError::Parameter { part: part.text.to_owned(), why };
        let value: f64 = text.parse().map_err(|_| bad(format!("{name} is {text:?}, it must be a number")))?;
        if values[at].replace(known[at].check(value).map_err(bad)?).is_some() {
            return Err(bad(format!("{name} is given twice")));
        }
    }
    Ok(values)
}

/// Sets one of [`given`] values.
pub(super) fn set(
    part: &Part<'_>,
    known: &[Parameter],
    values: &mut [Option<f64>],
    (name, value): (&str, f64),
) -> Result<(), RegistryError> {
    let at = find(part.text, name, known)?;
    let bad = |why| RegistryError::Parameter { part: part.text.to_owned(), why };
    values[at] = Some(known[at].check(value).map_err(bad)?);
    Ok(())
}

/// Where a parameter is in the table of its rule.
fn find(part: &str, name: &str, known: &[Parameter]) -> Result<usize, RegistryError> {
    known.iter().position(|parameter| parameter.name == name).ok_or_else(|| {
        let valid: Vec<String> = known.iter().map(Parameter::to_string).collect();
        let valid = match valid.as_slice() {
            [] => "it takes none".to_owned(),
            [one] => format!("valid is {one}"),
            all => format!("valid are {}", all.join(", ")),
        };
        RegistryError::Parameter {
            part: part.to_owned(),
            why: format!("there is no parameter {name:?}, {valid}"),
        }
    })
}

/// A value for each parameter: the given one, or the default.
pub(super) fn filled(known: &[Parameter], given: &[Option<f64>]) -> Vec<f64> {
    known.iter().zip(given).map(|(parameter, value)| value.unwrap_or(parameter.default)).collect()
}
