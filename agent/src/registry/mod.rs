//! Policies by name: a whole rule (`mct`), or rules joined by `+` (`sjf+wrr+timeout(ms=2)`).

mod chosen;
mod error;
mod listing;
mod own;
mod parameter;
mod parse;
mod whole;

use self::chosen::{Chosen, find};
pub use self::error::RegistryError;
pub use self::listing::{Entry, entries, standard};
pub use self::own::register;
pub use self::parameter::{Parameter, Rule};
use self::parse::Part;
pub use self::parse::split_list;
use self::whole::Ingredients;
use crate::heuristics::batching::Batching;
use crate::heuristics::composite::Composite;
use crate::heuristics::order::Order;
use crate::heuristics::placement::Placing;
use crate::heuristics::room::Room;
use crate::heuristics::shared::Shared;
use crate::policy::Policy;
use crate::search::{Search, Settings};

/// Builds the policy of this name. Defaults: order fcfs, placement fastest, batching largest. A look-ahead takes what
/// has been seen for what will come; see [`crate::search::Search::new`] for one that knows its scenario.
///
/// A serving rule takes all requests upon itself, and leaves jobs to the rules it is joined to: `sjf+index`; alone, to
/// `mct`. A rule for batch queues leaves everything else to the rules it is joined to: `price+index+room`; alone, to `saf`
/// of its width.
pub fn build(name: &str) -> Result<Box<dyn Policy>, RegistryError> {
    if let Some(settings) = Settings::parse(name)? {
        return Ok(Box::new(Search::new(name, settings, None)?));
    }
    if let Some(own) = own::build(name.trim()) {
        return Ok(own);
    }
    let mut chosen = Chosen::default();
    for part in parse::parts(name)? {
        chosen.take(name, &part)?;
    }
    let Some((rule, weights)) = chosen.queue.take() else { return build_serving(name, chosen) };
    if chosen.names_none_for_jobs() && chosen.serving.is_none() {
        chosen.order = Some((rule, Order::Saf { width: weights.width }));
    }
    Ok(Box::new(Room::new(weights, build_serving(name, chosen)?)))
}

/// Without a rule for batch queues.
fn build_serving(name: &str, mut chosen: Chosen) -> Result<Box<dyn Policy>, RegistryError> {
    let Some((rule, serving)) = chosen.serving.take() else { return build_plain(name, chosen) };
    if let Some((second, _)) = chosen.batching {
        return Err(RegistryError::Twice { policy: name.into(), part: "batching", first: rule, second });
    }
    let jobs = if chosen.names_none_for_jobs() { build("mct")? } else { build_plain(name, chosen)? };
    Ok(Box::new(Shared::new(name, serving, jobs)))
}

/// Without a serving rule.
fn build_plain(name: &str, chosen: Chosen) -> Result<Box<dyn Policy>, RegistryError> {
    let whole = chosen.whole.as_ref().map(|(_, whole)| whole.clone());
    if let Some((rule, _)) = &whole {
        chosen.check_whole(name, rule)?;
    }
    let order = chosen.order.map_or(Order::Fcfs, |(_, rule)| rule);
    let placing = chosen.placing.map_or(Placing::Fastest, |(_, rule)| rule);
    let batching = chosen.batching.map_or(Batching::Largest, |(_, rule)| rule);
    Ok(match whole {
        Some((rule, values)) => (rule.make)(Ingredients { name, values: &values, order, batching }),
        None => Box::new(Composite::new(name, order, placing, batching)),
    })
}

/// The parameters of each part of a policy's name, in order: `sjf+timeout` has those of `sjf`, none, then those of
/// `timeout`.
///
/// # Errors
/// As [`build`].
pub fn parameters(policy: &str) -> Result<Vec<(String, &'static [Parameter])>, RegistryError> {
    build(policy)?;
    refuse_search(policy)?;
    if own::build(policy.trim()).is_some() {
        return Ok(vec![(policy.trim().to_owned(), &[])]);
    }
    let of = |part: &Part<'_>| Ok((part.rule.to_owned(), find(policy, part)?.parameters()));
    parse::parts(policy)?.iter().map(of).collect()
}

/// The same policy with these values, each for a part (counted from 0) and a parameter of it. In the name that comes
/// out the parameters of a part stand in the order of its table, and all that were given are named, defaults too.
///
/// # Errors
/// As [`build`]; a part or a parameter that there is not, a value out of its range.
pub fn with_values(policy: &str, values: &[(usize, &str, f64)]) -> Result<String, RegistryError> {
    build(policy)?;
    refuse_search(policy)?;
    let parts = parse::parts(policy)?;
    if let Some(&(part, ..)) = values.iter().find(|(part, ..)| *part >= parts.len()) {
        return Err(RegistryError::NoSuchPart { policy: policy.to_owned(), parts: parts.len(), part });
    }
    let mut names = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        let known = find(policy, part)?.parameters();
        let mut given = parameter::given(part, known)?;
        for &(_, name, value) in values.iter().filter(|(part, ..)| *part == at) {
            parameter::set(part, known, &mut given, (name, value))?;
        }
        names.push(written(part.rule, known, &given));
    }
    Ok(names.join("+"))
}

/// A look-ahead has settings of its own, and plays with the tuned form of its base.
fn refuse_search(policy: &str) -> Result<(), RegistryError> {
    match Settings::parse(policy)? {
        None => Ok(()),
        Some(Settings { base, .. }) => Err(RegistryError::Parameter {
            part: policy.to_owned(),
            why: format!("a look-ahead is not tuned; tune its base, {base}"),
        }),
    }
}

/// `rule(parameter=value,...)`.
fn written(rule: &str, known: &[Parameter], given: &[Option<f64>]) -> String {
    let named = known.iter().zip(given).filter_map(|(parameter, value)| Some((parameter.name, (*value)?)));
    let pairs: Vec<String> = named.map(|(name, value)| format!("{name}={value}")).collect();
    if pairs.is_empty() { rule.to_owned() } else { format!("{rule}({})", pairs.join(",")) }
}

#[cfg(test)]
mod tests;
