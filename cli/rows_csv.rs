//! A comparison as a table for other programs: a row for each policy and episode.

use serde_json::Value;
use yardmaster_agent::comparison::Played;

use crate::bench::Comparison;
use crate::bench::field::Field;
use crate::report;

/// The rows of all comparisons under one header: `scenario,policy,tuned,objective,unit,episode,seed,value`, each measure
/// (as in the JSON; empty where it does not apply), and `failed`. Utilisation by kind of device is `kind=share`, joined by
/// spaces. A policy that failed has one row, for the episode in which it did, with the reason at the end.
pub(crate) fn text(fields: &[Field], comparisons: &[Comparison]) -> String {
    let measures = report::measures();
    let mut table = csv::Writer::from_writer(Vec::new());
    let head = ["scenario", "policy", "tuned", "objective", "unit", "episode", "seed", "value"];
    let mut header: Vec<&str> = head.into_iter().chain(measures.iter().map(String::as_str)).collect();
    header.push("failed");
    // Writing to memory cannot fail, and all rows are equally long.
    let _ = table.write_record(&header);
    for (field, comparison) in fields.iter().zip(comparisons) {
        for (at, contestant) in field.contestants.iter().enumerate() {
            let who = || {
                let Comparison { scenario, objective, unit, .. } = comparison;
                let tuned = contestant.tuned.clone().unwrap_or_default();
                [scenario.clone(), contestant.name.clone(), tuned, objective.clone(), unit.clone()]
            };
            for (number, played) in field.episodes(at).unwrap_or_default().iter().enumerate() {
                let when =
                    [number.to_string(), field.seeds[number].to_string(), played.objective.to_string()];
                let _ = table
                    .write_record(who().into_iter().chain(when).chain(values(played)).chain([String::new()]));
            }
            for failure in comparison.failed.iter().filter(|failure| failure.policy == contestant.name) {
                let when = [failure.episode.to_string(), failure.seed.to_string(), String::new()];
                let nothing = measures.iter().map(|_| String::new());
                let _ = table
                    .write_record(who().into_iter().chain(when).chain(nothing).chain([failure.why.clone()]));
            }
        }
    }
    String::from_utf8(table.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// The measures of an episode, in order of the columns.
fn values(played: &Played) -> Vec<String> {
    let one = |(_, value): (String, Value)| match value {
        Value::Object(kinds) => {
            kinds.iter().map(|(kind, share)| format!("{kind}={share}")).collect::<Vec<_>>().join(" ")
        }
        Value::Null => String::new(),
        value => value.to_string(),
    };
    report::fields(&played.metrics).into_iter().map(one).collect()
}
