//! The rules that a name is made of.

use super::listing::near;
use super::parameter::{self, Parameter, Rule};
use super::parse::Part;
use super::whole::{WHOLE, WholeRule};
use super::{RegistryError, own};
use crate::heuristics::batching::{BATCHINGS, Batching};
use crate::heuristics::order::{ORDERS, Order};
use crate::heuristics::placement::{PLACEMENTS, Placing};
use crate::heuristics::room::{QUEUES, RoomWeights};
use crate::heuristics::serving::{SERVINGS, Serving};

/// The table entry that a part names.
#[derive(Clone, Copy)]
pub(super) enum Found {
    Whole(&'static WholeRule),
    Order(&'static Rule<Order>),
    Placing(&'static Rule<Placing>),
    Batching(&'static Rule<Batching>),
    Serving(&'static Rule<Serving>),
    Queue(&'static Rule<RoomWeights>),
}

impl Found {
    pub(super) fn parameters(self) -> &'static [Parameter] {
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

/// The entry of a part.
pub(super) fn find(policy: &str, part: &Part<'_>) -> Result<Found, RegistryError> {
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
pub(super) struct Chosen {
    pub(super) whole: Option<(String, (&'static WholeRule, Vec<f64>))>,
    pub(super) order: Option<(String, Order)>,
    pub(super) placing: Option<(String, Placing)>,
    pub(super) batching: Option<(String, Batching)>,
    pub(super) serving: Option<(String, Serving)>,
    pub(super) queue: Option<(String, RoomWeights)>,
}

impl Chosen {
    /// Adds a part.
    pub(super) fn take(&mut self, policy: &str, part: &Part<'_>) -> Result<(), RegistryError> {
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
    pub(super) fn names_none_for_jobs(&self) -> bool {
        self.whole.is_none() && self.order.is_none() && self.placing.is_none()
    }

    /// A whole rule decides for itself what it does not take.
    pub(super) fn check_whole(&self, policy: &str, whole: &WholeRule) -> Result<(), RegistryError> {
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
