//! Policies by name: a whole rule (`mct`), or rules joined by `+` (`sjf+wrr+timeout(ms=2)`).

use yardmaster_env::sim::World;
use yardmaster_env::view::Discipline;

use crate::heuristics::batching::{BATCHINGS, Batching};
use crate::heuristics::completion::EarliestCompletion;
use crate::heuristics::composite::Composite;
use crate::heuristics::fifo::Fifo;
use crate::heuristics::order::{ORDERS, Order};
use crate::heuristics::placement::{PLACEMENTS, Placing};
use crate::heuristics::random::Random;
use crate::policy::Policy;

/// Rules that choose work and devices together, with what they do.
const WHOLE: [(&str, &str); 5] = [
    ("random", "any legal start, with equal probability"),
    ("eft", "the start that ends first, on free devices"),
    ("mct", "the start that ends first; work may wait for a busy faster device"),
    ("fifo", "first in, first out, blind to speed; time slices: whole devices until done"),
    ("fifo-perf", "the same, each on the fastest kind with room (Gavel's fifo_perf)"),
];

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
        /// `order`, `placement` or `batching`.
        part: &'static str,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// A rule that takes no such parameter, or a value that is not a positive number.
    #[error("policy part {part:?} has a bad parameter: {why}")]
    Parameter {
        /// The part with its parameters.
        part: String,
        /// What is wrong and what is valid.
        why: String,
    },
}

fn suggest(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(", did you mean {}", near.join(" or ")) }
}

/// A name and one line on what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What to ask the registry for.
    pub name: &'static str,
    /// `policy`, `order`, `placement` or `batching`.
    pub part: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// Every rule there is.
pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    all.extend(WHOLE.iter().map(|&(name, about)| Entry { name, part: "policy", about }));
    all.extend(ORDERS.iter().map(|&(name, _, about)| Entry { name, part: "order", about }));
    all.push(Entry {
        name: "wrr",
        part: "policy",
        about: "fcfs+wrr: arrivals dealt to devices by measured speed",
    });
    all.extend(PLACEMENTS.iter().map(|&(name, about)| Entry { name, part: "placement", about }));
    all.extend(BATCHINGS.iter().map(|&(name, about)| Entry { name, part: "batching", about }));
    all
}

/// The policies that a comparison takes when it is asked for `all`: those that differ in this world.
pub fn standard(world: &World) -> Vec<&'static str> {
    if world.discipline.commits() {
        // A batch queue asks for an order and nothing else.
        return vec!["random", "fcfs", "sjf", "smallest", "saf", "f1", "wfp3", "unicep"];
    }
    let mut names = vec!["random", "fcfs", "sjf", "wrr", "eft", "mct"];
    if world.discipline == Discipline::Rounds {
        names.extend(["rr", "fifo-perf"]);
    }
    if world.timing.models().len() > 0 {
        names.extend(["edf", "fcfs+timeout", "mct+one", "mct+timeout"]);
    }
    names
}

/// Builds the policy of this name. Defaults: order fcfs, placement fastest, batching largest.
pub fn build(name: &str) -> Result<Box<dyn Policy>, RegistryError> {
    let mut parts = Parts::default();
    for part in name.split('+') {
        parts.take(name, part.trim())?;
    }
    parts.check_whole(name)?;
    let batching = parts.batching.map_or(Batching::Largest, |(_, rule)| rule);
    Ok(match parts.whole.as_deref() {
        Some("random") => Box::new(Random::default()),
        Some("eft") => Box::new(EarliestCompletion::eft(name, batching)),
        Some("fifo") => Box::new(Fifo::blind(name)),
        Some("fifo-perf") => Box::new(Fifo::perf(name)),
        Some(_) => Box::new(EarliestCompletion::mct(name, batching)),
        None => {
            let order = parts.order.map_or(Order::Fcfs, |(_, rule)| rule);
            let placing = parts.placing.map_or(Placing::Fastest, |(_, rule)| rule);
            Box::new(Composite::new(name, order, placing, batching))
        }
    })
}

#[derive(Default)]
struct Parts {
    whole: Option<String>,
    order: Option<(String, Order)>,
    placing: Option<(String, Placing)>,
    batching: Option<(String, Batching)>,
}

impl Parts {
    fn take(&mut self, policy: &str, part: &str) -> Result<(), RegistryError> {
        let (rule, parameters) = split(part)?;
        let order = ORDERS.iter().find(|(name, ..)| *name == rule).map(|&(_, order, _)| order);
        if let Some(order) = order {
            return set(&mut self.order, policy, "order", rule, order)
                .and_then(|()| no_parameters(part, &parameters));
        }
        if let Some(placing) = Placing::named(rule) {
            return set(&mut self.placing, policy, "placement", rule, placing)
                .and_then(|()| no_parameters(part, &parameters));
        }
        if let Some(batching) = Batching::named(rule) {
            let batching = with_parameters(part, batching, &parameters)?;
            return set(&mut self.batching, policy, "batching", rule, batching);
        }
        if WHOLE.iter().any(|(name, _)| *name == rule) {
            no_parameters(part, &parameters)?;
            return match self.whole.replace(rule.to_owned()) {
                None => Ok(()),
                Some(first) => Err(RegistryError::Twice {
                    policy: policy.into(),
                    part: "whole",
                    first,
                    second: rule.into(),
                }),
            };
        }
        Err(RegistryError::Unknown { name: policy.to_owned(), near: near(rule) })
    }

    /// A whole rule has an order and a placement of its own, and `random` its batching too.
    fn check_whole(&self, policy: &str) -> Result<(), RegistryError> {
        let Some(whole) = &self.whole else { return Ok(()) };
        let batching = self.batching.as_ref().filter(|_| whole == "random");
        let others = [
            ("order", self.order.as_ref().map(|(rule, _)| rule)),
            ("placement", self.placing.as_ref().map(|(rule, _)| rule)),
            ("batching", batching.map(|(rule, _)| rule)),
        ];
        match others.into_iter().find_map(|(part, rule)| Some((part, rule?))) {
            None => Ok(()),
            Some((part, rule)) => Err(RegistryError::Twice {
                policy: policy.into(),
                part,
                first: whole.clone(),
                second: rule.clone(),
            }),
        }
    }
}

fn set<T>(
    place: &mut Option<(String, T)>,
    policy: &str,
    part: &'static str,
    rule: &str,
    value: T,
) -> Result<(), RegistryError> {
    match place.replace((rule.to_owned(), value)) {
        None => Ok(()),
        Some((first, _)) => {
            Err(RegistryError::Twice { policy: policy.into(), part, first, second: rule.into() })
        }
    }
}

/// Names within a few typing errors of `name`, nearest first.
fn near(name: &str) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> =
        entries().iter().map(|entry| (strsim::damerau_levenshtein(name, entry.name), entry.name)).collect();
    scored.sort_unstable();
    scored.dedup();
    scored
        .into_iter()
        .filter(|(distance, _)| *distance <= 3)
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

type Parameters<'a> = Vec<(&'a str, f64)>;

/// `rule(key=value,...)` into its parts.
fn split(part: &str) -> Result<(&str, Parameters<'_>), RegistryError> {
    let Some((rule, rest)) = part.split_once('(') else { return Ok((part, Vec::new())) };
    let bad = |why: &str| RegistryError::Parameter { part: part.to_owned(), why: why.to_owned() };
    let inner = rest.strip_suffix(')').ok_or_else(|| bad("the closing parenthesis is missing"))?;
    let pair = |text| -> Option<(&str, f64)> {
        let (key, value): (&str, &str) = str::split_once(text, '=')?;
        value.trim().parse().ok().filter(|value: &f64| *value > 0.0).map(|value| (key.trim(), value))
    };
    let parameters: Option<Parameters<'_>> = inner.split(',').map(pair).collect();
    Ok((rule, parameters.ok_or_else(|| bad("write name=value with a positive number"))?))
}

fn no_parameters(part: &str, parameters: &Parameters<'_>) -> Result<(), RegistryError> {
    match parameters.first() {
        None => Ok(()),
        Some((key, _)) => Err(RegistryError::Parameter {
            part: part.to_owned(),
            why: format!("there is no parameter {key:?}, it takes none"),
        }),
    }
}

fn with_parameters(
    part: &str,
    rule: Batching,
    parameters: &Parameters<'_>,
) -> Result<Batching, RegistryError> {
    let bad = |why| RegistryError::Parameter { part: part.to_owned(), why };
    parameters.iter().try_fold(rule, |rule, &(key, value)| match rule.with(key, value) {
        Ok(Some(rule)) => Ok(rule),
        Ok(None) => Err(bad(format!("{key} is {value}, it must be a whole number"))),
        Err([]) => Err(bad(format!("there is no parameter {key:?}, it takes none"))),
        Err(valid) => Err(bad(format!("there is no parameter {key:?}, valid is {}", valid.join(" or ")))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name: &str) -> String {
        match build(name) {
            Ok(_) => panic!("{name} was built"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_entry_and_standard_policy_builds() {
        for name in entries().iter().map(|entry| entry.name) {
            assert!(build(name).is_ok(), "{name}");
        }
        assert!(build("sjf+wrr+timeout(ms=2)").is_ok());
        assert!(build("mct+wait-for(k=8,ms=20)").is_ok());
    }

    #[test]
    fn mistakes_are_named() {
        assert!(error("sfj").starts_with("unknown policy \"sfj\", did you mean sjf or "));
        assert!(error("sjf+fcfs").contains("two order rules: sjf and fcfs"));
        assert!(error("fcfs+mct").contains("two order rules: mct and fcfs"));
        assert!(error("random+one").contains("two batching rules: random and one"));
        assert!(build("mct+one").is_ok());
        assert!(error("timeout(s=2)").contains("valid is ms"));
        assert!(error("timeout(ms=-2)").contains("positive"));
        assert!(error("sjf(ms=2)").contains("takes none"));
        assert!(error("one(ms=2)").contains("takes none"));
        assert!(error("wait-for(n=2)").contains("valid is k or ms"));
        assert!(error("fixed(k=2.5)").contains("k is 2.5, it must be a whole number"));
    }
}
