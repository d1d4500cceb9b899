//! What there is to ask the registry for.

use yardmaster_env::objective::Objective;
use yardmaster_env::sim::World;
use yardmaster_env::view::Discipline;

use super::own;
use super::parameter::{Parameter, Rule};
use super::whole::{WHOLE, WholeRule};
use crate::heuristics::batching::BATCHINGS;
use crate::heuristics::order::ORDERS;
use crate::heuristics::placement::PLACEMENTS;
use crate::heuristics::room::QUEUES;
use crate::heuristics::serving::SERVINGS;

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

/// Names within a few typing errors of `name`, nearest first.
pub(super) fn near(name: &str) -> Vec<String> {
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
