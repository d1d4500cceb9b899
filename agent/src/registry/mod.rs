//! Policies by name: a whole rule (`mct`), or rules joined by `+` (`sjf+wrr+timeout(ms=2)`).

mod error;
mod own;
mod parameter;
mod parse;
mod whole;

use yardmaster_env::objective::Objective;
use yardmaster_env::sim::World;
use yardmaster_env::view::Discipline;

pub use self::error::RegistryError;
pub use self::own::register;
pub use self::parameter::{Parameter, Rule};
use self::parse::Part;
pub use self::parse::split_list;
use self::whole::{Ingredients, WHOLE, WholeRule};
use crate::heuristics::batching::{BATCHINGS, Batching};
use crate::heuristics::composite::Composite;
use crate::heuristics::order::{ORDERS, Order};
use crate::heuristics::placement::{PLACEMENTS, Placing};
use crate::heuristics::room::{QUEUES, Room, RoomWeights};
use crate::heuristics::serving::{SERVINGS, Serving};
use crate::heuristics::shared::Shared;
use crate::policy::Policy;
use crate::search::{Search, Settings};

/// A name and one line on what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What to ask the registry for.
    pub name: &'static str,
    /// `policy`, `order`, `placement`, `batching`, `serving` or `queue`.
    pub part: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The numbers it takes.
    pub parameters: &'static [Parameter],
}

/// Every rule there is.
pub fn entries() -> Vec<Entry> {
    fn entry<T>(part: &'static str) -> impl Fn(&Rule<T>) -> Entry {
        move |rule| Entry { name: rule.name, part, about: rule.about, parameters: rule.parameters }
    }
    let whole = |rule: &WholeRule| Entry {
        name: rule.name,
        part: "policy",
        about: rule.about,
        parameters: rule.parameters,
    };
    let wrr = Entry {
        name: "wrr",
        part: "policy",
        about: "fcfs+wrr: arrivals dealt to devices by measured speed",
        parameters: &[],
    };
    let search =
        Entry { name: "search", part: "policy", about: crate::search::settings::ABOUT, parameters: &[] };
    let mut all: Vec<Entry> = WHOLE.iter().map(whole).collect();
    all.push(search);
    all.extend(ORDERS.iter().map(entry("order")));
    all.push(wrr);
    all.extend(PLACEMENTS.iter().map(entry("placement")));
    all.extend(BATCHINGS.iter().map(entry("batching")));
    all.extend(SERVINGS.iter().map(entry("serving")));
    all.extend(QUEUES.iter().map(entry("queue")));
    all.extend(own::entries());
    all
}

/// The policies that a comparison takes when it is asked for `all`: those that differ in this world, with the numbers
/// that were best on validation episodes of such worlds (`docs/results/2026-11-21-rules`).
pub fn standard(world: &World) -> Vec<&'static str> {
    if world.discipline.commits() {
        // A batch queue asks for an order and nothing else.
        return vec!["random", "fcfs", "sjf", "smallest", "saf", "room", "hrrn", "f1", "wfp3", "unicep"];
    }
    let mut names = vec!["random", "fcfs", "sjf", "wrr", "eft", "mct"];
    if world.discipline == Discipline::Rounds {
        names.extend(["rr", "fifo-perf", "max-min-fairness-perf", "min-total-duration-perf"]);
        return names;
    }
    let jobs = || world.workload.jobs.iter();
    if jobs().any(|job| job.request_model().is_none()) {
        names.extend(["easy+sjf", "conservative+sjf", "min-min", "sufferage", "matching", "price"]);
    }
    if matches!(world.objective, Objective::Slowdown { .. }) {
        names.push("price(spare=2)");
    }
    if world.data.is_some() {
        names.extend(["mct(fetch=3)", "price(fetch=5)"]);
    }
    let elastic = jobs().any(|job| !job.choices.is_empty());
    if elastic {
        names.push("mct(width=0.5)");
    }
    if world.rules.preempt {
        names.extend(["srpt", "las", "price(preempt=0.5,migrate=0.9)", "matching(replan=1)"]);
    }
    if elastic && world.rules.preempt {
        names.push("price(alpha=1,beta=0,preempt=0.5,migrate=0.9,width=1)");
    }
    if world.timing.models().len() > 0 {
        names.extend([
            "edf",
            "fcfs+timeout",
            "mct+one",
            "mct+timeout",
            "mct+deadline",
            "mct+aimd",
            "mct+symphony",
        ]);
        names.extend(["max-weight", "gc-mu", "index", "tardiness"]);
        if jobs().any(|job| job.request_model().is_none()) {
            names.push("price+tardiness");
        }
    }
    names
}

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

/// The table entry that a part names.
#[derive(Clone, Copy)]
enum Found {
    Whole(&'static WholeRule),
    Order(&'static Rule<Order>),
    Placing(&'static Rule<Placing>),
    Batching(&'static Rule<Batching>),
    Serving(&'static Rule<Serving>),
    Queue(&'static Rule<RoomWeights>),
}

impl Found {
    fn parameters(self) -> &'static [Parameter] {
        match self {
            Found::Whole(rule) => rule.parameters,
            Found::Order(rule) => rule.parameters,
            Found::Placing(rule) => rule.parameters,
            Found::Batching(rule) => rule.parameters,
            Found::Serving(rule) => rule.parameters,
            Found::Queue(rule) => rule.parameters,
        }
    }
}

fn find(policy: &str, part: &Part<'_>) -> Result<Found, RegistryError> {
    fn named<T>(table: &'static [Rule<T>], name: &str) -> Option<&'static Rule<T>> {
        table.iter().find(|rule| rule.name == name)
    }
    let whole = || WHOLE.iter().find(|rule| rule.name == part.rule).map(Found::Whole);
    let order = named(ORDERS, part.rule).map(Found::Order);
    let placing = || named(PLACEMENTS, part.rule).map(Found::Placing);
    let batching = || named(BATCHINGS, part.rule).map(Found::Batching);
    let serving = || named(SERVINGS, part.rule).map(Found::Serving);
    let queue = || named(QUEUES, part.rule).map(Found::Queue);
    let found = order.or_else(placing).or_else(batching).or_else(serving).or_else(queue).or_else(whole);
    if found.is_none() && own::build(part.rule).is_some() {
        let why = "a registered policy stands alone and takes no parameters".to_owned();
        return Err(RegistryError::Parameter { part: policy.to_owned(), why });
    }
    found.ok_or_else(|| RegistryError::Unknown { name: policy.to_owned(), near: near(part.rule) })
}

/// The rules that a name is made of, each with the name it has there.
#[derive(Default)]
struct Chosen {
    whole: Option<(String, (&'static WholeRule, Vec<f64>))>,
    order: Option<(String, Order)>,
    placing: Option<(String, Placing)>,
    batching: Option<(String, Batching)>,
    serving: Option<(String, Serving)>,
    queue: Option<(String, RoomWeights)>,
}

impl Chosen {
    fn take(&mut self, policy: &str, part: &Part<'_>) -> Result<(), RegistryError> {
        let found = find(policy, part)?;
        let values = parameter::filled(found.parameters(), &parameter::given(part, found.parameters())?);
        let name = part.rule;
        match found {
            Found::Order(rule) => set(&mut self.order, policy, "order", name, (rule.make)(&values)),
            Found::Placing(rule) => set(&mut self.placing, policy, "placement", name, (rule.make)(&values)),
            Found::Batching(rule) => set(&mut self.batching, policy, "batching", name, (rule.make)(&values)),
            Found::Serving(rule) => set(&mut self.serving, policy, "serving", name, (rule.make)(&values)),
            Found::Queue(rule) => set(&mut self.queue, policy, "queue", name, (rule.make)(&values)),
            Found::Whole(rule) => set(&mut self.whole, policy, "whole", name, (rule, values)),
        }
    }

    /// Whether nothing is said of how jobs are chosen and placed.
    fn names_none_for_jobs(&self) -> bool {
        self.whole.is_none() && self.order.is_none() && self.placing.is_none()
    }

    /// A whole rule decides for itself what it does not take.
    fn check_whole(&self, policy: &str, whole: &WholeRule) -> Result<(), RegistryError> {
        let others = [
            ("order", self.order.as_ref().map(|(rule, _)| rule)),
            ("placement", self.placing.as_ref().map(|(rule, _)| rule)),
            ("batching", self.batching.as_ref().map(|(rule, _)| rule)),
        ];
        let taken = |part: &str| whole.takes.contains(&part);
        match others
            .into_iter()
            .find_map(|(part, rule)| rule.filter(|_| !taken(part)).map(|rule| (part, rule)))
        {
            None => Ok(()),
            Some((part, rule)) => Err(RegistryError::Twice {
                policy: policy.into(),
                part,
                first: whole.name.to_owned(),
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

#[cfg(test)]
mod tests;
