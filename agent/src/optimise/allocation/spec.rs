//! The file, read once into questions that cannot be wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::choice::{Node, Nodes, Path, PathPrice, Paths};
use super::error::AllocationError;
use super::tasks::Tasks;

/// What is to be made small or large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// The cost of all units, every demand being met.
    MinimumCost,
    /// The time until every demand has been met.
    MinimumCompletionTime,
    /// The demand that is not met, each missing unit at the task's weight.
    MinimumShortfall,
    /// The units of all tasks, each at the task's weight.
    MaximumTotal,
    /// The least units over weight, then the second least, and so on.
    MaxMinFairness,
}

/// What a file asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// `[[tasks]]`.
    pub tasks: Option<Tasks>,
    /// `[placement]`.
    pub placement: Option<Nodes>,
    /// `[transfer]`.
    pub transfer: Option<Paths>,
}

/// Something that is to get units.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Unique in its file.
    pub name: String,
    /// The line of its name, from 1.
    pub line: usize,
    /// What a unit is worth, what a missing unit costs, or its claim among others.
    pub weight: f64,
    /// Units it must get.
    pub demand: f64,
    /// Units it may get; infinite for no bound.
    pub most: f64,
    /// Units that can be worked on at the same time; infinite for no bound.
    pub at_once: f64,
    /// How its units can be had, at least one.
    pub ways: Vec<Way>,
}

/// One way to have units of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// Unique in its task; empty for a task with one way.
    pub name: String,
    /// What a unit needs: (index of the resource, amount above 0).
    pub needs: Vec<(usize, f64)>,
    /// Of a unit.
    pub cost: f64,
    /// For how long a unit holds what it needs, in seconds; where time plays no part, 1.
    pub time_s: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    objective: Option<Spanned<Objective>>,
    within_s: Option<Spanned<f64>>,
    #[serde(default)]
    capacities: BTreeMap<String, Spanned<f64>>,
    #[serde(default)]
    tasks: Vec<RawTask>,
    placement: Option<Spanned<RawPlacement>>,
    transfer: Option<Spanned<RawTransfer>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTask {
    name: Spanned<String>,
    weight: Option<f64>,
    demand: Option<f64>,
    most: Option<f64>,
    at_once: Option<f64>,
    needs: Option<BTreeMap<String, f64>>,
    cost: Option<f64>,
    time_s: Option<f64>,
    ways: Option<Vec<RawWay>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWay {
    name: Spanned<String>,
    #[serde(default)]
    needs: BTreeMap<String, f64>,
    cost: Option<f64>,
    time_s: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlacement {
    #[serde(default = "one")]
    tasks: usize,
    #[serde(default)]
    load: f64,
    nodes: Vec<RawNode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNode {
    name: Spanned<String>,
    load: f64,
    capacity: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTransfer {
    bytes: Option<f64>,
    paths: Vec<RawPath>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPath {
    name: Spanned<String>,
    delay_s: f64,
    size: Option<f64>,
    bytes_per_s: Option<f64>,
}

fn one() -> usize {
    1
}

impl Question {
    /// Reads the text of a file that is called `file` in messages.
    pub(super) fn parse(text: &str, file: &str) -> Result<Question, AllocationError> {
        let raw: Raw = toml::from_str(text)
            .map_err(|error| AllocationError::Syntax { file: file.into(), why: error.to_string() })?;
        let reader = Reader { text, file };
        let tasks = reader.tasks(&raw)?;
        let placement = raw.placement.map(|raw| reader.nodes(&raw)).transpose()?;
        let transfer = raw.transfer.map(|raw| reader.paths(&raw)).transpose()?;
        if tasks.is_none() && placement.is_none() && transfer.is_none() {
            return Err(reader.error(0, "it asks nothing: give [[tasks]], [placement] or [transfer]"));
        }
        Ok(Question { tasks, placement, transfer })
    }
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
}

impl Reader<'_> {
    /// An error at a byte of the text.
    fn error(&self, at: usize, what: impl Into<String>) -> AllocationError {
        AllocationError::Value { file: self.file.into(), line: self.line(at), what: what.into() }
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count()
    }

    /// A number that must not be negative.
    fn amount(&self, at: usize, what: &str, value: f64) -> Result<f64, AllocationError> {
        if value.is_finite() && value >= 0.0 {
            return Ok(value);
        }
        Err(self.error(at, format!("{what} is {value}, it must be a number of at least 0")))
    }

    /// A number that must be above 0.
    fn positive(&self, at: usize, what: &str, value: f64) -> Result<f64, AllocationError> {
        if value.is_finite() && value > 0.0 {
            return Ok(value);
        }
        Err(self.error(at, format!("{what} is {value}, it must be a number above 0")))
    }

    fn unique<'a>(
        &self,
        what: &str,
        names: impl Iterator<Item = &'a Spanned<String>>,
    ) -> Result<(), AllocationError> {
        let mut seen = std::collections::BTreeSet::new();
        for name in names {
            if !seen.insert(name.get_ref()) {
                let name_twice = format!("a second {what} is called {:?}, names must differ", name.get_ref());
                return Err(self.error(name.span().start, name_twice));
            }
        }
        Ok(())
    }

    fn tasks(&self, raw: &Raw) -> Result<Option<Tasks>, AllocationError> {
        let Some(objective) = &raw.objective else {
            return match raw.tasks.first() {
                None => Ok(None),
                Some(task) => Err(self.error(
                    task.name.span().start,
                    "there are tasks but no `objective`: minimum-cost, minimum-completion-time, minimum-shortfall, \
                     maximum-total or max-min-fairness",
                )),
            };
        };
        if raw.tasks.is_empty() {
            return Err(self.error(objective.span().start, "there is an objective but no [[tasks]]"));
        }
        let within_s = match &raw.within_s {
            None => None,
            Some(within) if *objective.get_ref() == Objective::MinimumCompletionTime => {
                let what = "within_s does not go with minimum-completion-time, which makes that time short";
                return Err(self.error(within.span().start, what));
            }
            Some(within) => Some(self.positive(within.span().start, "within_s", *within.get_ref())?),
        };
        let mut resources = Vec::new();
        for (name, capacity) in &raw.capacities {
            let what = format!("capacity of {name:?}");
            resources.push((name.clone(), self.amount(capacity.span().start, &what, *capacity.get_ref())?));
        }
        self.unique("task", raw.tasks.iter().map(|task| &task.name))?;
        let timed = within_s.is_some() || *objective.get_ref() == Objective::MinimumCompletionTime;
        let context = Context { objective: *objective.get_ref(), timed, resources: &resources };
        let tasks = raw.tasks.iter().map(|task| self.task(task, &context)).collect::<Result<_, _>>()?;
        Ok(Some(Tasks { objective: *objective.get_ref(), within_s, resources, tasks }))
    }

    fn task(&self, raw: &RawTask, context: &Context<'_>) -> Result<Task, AllocationError> {
        let (name, at) = (raw.name.get_ref(), raw.name.span().start);
        let of = |what: &str| format!("{what} of task {name:?}");
        let weight = raw.weight.unwrap_or(1.0);
        let weight = match context.objective {
            Objective::MaxMinFairness => self.positive(at, &of("weight"), weight)?,
            _ => self.amount(at, &of("weight"), weight)?,
        };
        let demand = self.amount(at, &of("demand"), raw.demand.unwrap_or(0.0))?;
        let most =
            raw.most.map(|most| self.amount(at, &of("most"), most)).transpose()?.unwrap_or(f64::INFINITY);
        if demand > most {
            return Err(self.error(at, format!("task {name:?} demands {demand} units, its `most` is {most}")));
        }
        let at_once = raw.at_once.map(|units| self.positive(at, &of("at_once"), units)).transpose()?;
        if at_once.is_some() && !context.timed {
            return Err(self.error(at, format!("{} has no effect without {TIME}", of("at_once"))));
        }
        let ways = self.ways(raw, context)?;
        let at_once = at_once.unwrap_or(f64::INFINITY);
        Ok(Task { name: name.clone(), line: self.line(at), weight, demand, most, at_once, ways })
    }

    fn ways(&self, raw: &RawTask, context: &Context<'_>) -> Result<Vec<Way>, AllocationError> {
        let at = raw.name.span().start;
        let own = raw.needs.is_some() || raw.cost.is_some() || raw.time_s.is_some();
        match &raw.ways {
            None => {
                let (name, needs) = (raw.name.get_ref(), raw.needs.clone().unwrap_or_default());
                let of = format!("task {name:?}");
                Ok(vec![self.way(at, String::new(), &of, (&needs, raw.cost, raw.time_s), context)?])
            }
            Some(_) if own => Err(self.error(
                at,
                format!(
                    "task {:?} has `ways`: write needs, cost and time_s in each of them",
                    raw.name.get_ref()
                ),
            )),
            Some(ways) if ways.is_empty() => {
                Err(self.error(at, format!("`ways` of task {:?} is empty", raw.name.get_ref())))
            }
            Some(ways) => {
                self.unique("way", ways.iter().map(|way| &way.name))?;
                let way = |way: &RawWay| {
                    let of = format!("way {:?} of task {:?}", way.name.get_ref(), raw.name.get_ref());
                    let values = (&way.needs, way.cost, way.time_s);
                    self.way(way.name.span().start, way.name.get_ref().clone(), &of, values, context)
                };
                ways.iter().map(way).collect()
            }
        }
    }

    fn way(
        &self,
        at: usize,
        name: String,
        of: &str,
        (needs, cost, time_s): (&BTreeMap<String, f64>, Option<f64>, Option<f64>),
        context: &Context<'_>,
    ) -> Result<Way, AllocationError> {
        let cost = self.amount(at, &format!("cost of {of}"), cost.unwrap_or(0.0))?;
        let time_s = match (time_s, context.timed) {
            (None, false) => 1.0,
            (Some(_), false) => {
                return Err(self.error(at, format!("time_s of {of} has no effect without {TIME}")));
            }
            (None, true) => {
                return Err(self.error(at, format!("{of} has no `time_s`, the seconds a unit takes")));
            }
            (Some(time_s), true) => self.positive(at, &format!("time_s of {of}"), time_s)?,
        };
        let mut known = Vec::new();
        for (resource, &need) in needs {
            let need = self.amount(at, &format!("need for {resource:?} of {of}"), need)?;
            match context.resources.iter().position(|(name, _)| name == resource) {
                Some(index) if need > 0.0 => known.push((index, need)),
                Some(_) => {}
                None => {
                    let names = context.resources.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
                    let names = if names.is_empty() { "none".into() } else { names.join(", ") };
                    let what =
                        format!("{of} needs {resource:?}, which has no capacity; [capacities] has {names}");
                    return Err(self.error(at, what));
                }
            }
        }
        Ok(Way { name, needs: known, cost, time_s })
    }

    fn nodes(&self, raw: &Spanned<RawPlacement>) -> Result<Nodes, AllocationError> {
        let (table, raw) = (raw.span().start, raw.get_ref());
        self.unique("node", raw.nodes.iter().map(|node| &node.name))?;
        let load = self.amount(table, "load of [placement]", raw.load)?;
        if raw.nodes.is_empty() || raw.tasks == 0 {
            return Err(self.error(table, "[placement] needs at least one node and one task"));
        }
        let node = |raw: &RawNode| {
            let (name, at) = (raw.name.get_ref(), raw.name.span().start);
            let capacity =
                raw.capacity.map(|most| self.positive(at, &format!("capacity of node {name:?}"), most));
            Ok(Node {
                name: name.clone(),
                load: self.amount(at, &format!("load of node {name:?}"), raw.load)?,
                capacity: capacity.transpose()?,
            })
        };
        Ok(Nodes { tasks: raw.tasks, load, nodes: raw.nodes.iter().map(node).collect::<Result<_, _>>()? })
    }

    fn paths(&self, raw: &Spanned<RawTransfer>) -> Result<Paths, AllocationError> {
        let (table, raw) = (raw.span().start, raw.get_ref());
        self.unique("path", raw.paths.iter().map(|path| &path.name))?;
        let bytes = raw.bytes.map(|bytes| self.amount(table, "bytes of [transfer]", bytes)).transpose()?;
        if raw.paths.is_empty() {
            return Err(self.error(table, "[transfer] has no paths"));
        }
        let path = |raw: &RawPath| self.path(raw, bytes.is_some());
        Ok(Paths { bytes, paths: raw.paths.iter().map(path).collect::<Result<_, _>>()? })
    }

    fn path(&self, raw: &RawPath, bytes: bool) -> Result<Path, AllocationError> {
        let (name, at) = (raw.name.get_ref(), raw.name.span().start);
        let positive = |key: &str, value: Option<f64>| {
            value.map(|value| self.positive(at, &format!("{key} of path {name:?}"), value)).transpose()
        };
        let missing = |key: &str, why: &str| self.error(at, format!("path {name:?} has no `{key}`, {why}"));
        let (size, rate) = (positive("size", raw.size)?, positive("bytes_per_s", raw.bytes_per_s)?);
        let price = if bytes {
            let why = "on which the time of a transfer depends";
            PathPrice::Transfer(rate.ok_or_else(|| missing("bytes_per_s", why))?)
        } else {
            let why = "on which the delay per unit depends; or give `bytes` in [transfer]";
            PathPrice::PerUnit(size.ok_or_else(|| missing("size", why))?)
        };
        let delay_s = self.amount(at, &format!("delay_s of path {name:?}"), raw.delay_s)?;
        Ok(Path { name: name.clone(), delay_s, bytes_per_s: rate, price })
    }
}

const TIME: &str = "`within_s` or the objective minimum-completion-time";

/// What the tasks of a file have in common.
struct Context<'a> {
    objective: Objective,
    timed: bool,
    resources: &'a [(String, f64)],
}
