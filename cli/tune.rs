//! `yardmaster tune`: the parameters with which rules do best on validation episodes.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use yardmaster_agent::evaluate::{Contestant, in_order};
use yardmaster_agent::registry;
use yardmaster_agent::stats;
use yardmaster_agent::tune::{TuneError, Tuning, has_parameters, tune};
use yardmaster_agent::tuned::{Tuned, TunedRule};
use yardmaster_env::sim::World;
use yardmaster_env::spec::{Scenario, Split};

use crate::args::Tune;
use crate::input;
use crate::output::Output;
use crate::silence::Silence;
use crate::summary::number;

/// What stands above the file.
const HEAD: &str = "# Parameters chosen on validation episodes, and confirmed on as many others: see README.md in agent/tuned of the\n\
    # source. `before` and `after` are means of the objective over those others, `ratio` is paired.\n";

/// Runs the command.
pub(crate) fn run(args: &Tune) -> Result<()> {
    let out = Output::open(&args.out)?;
    let scenarios: Vec<Scenario> =
        args.scenario.split(',').map(|name| input::scenario(name.trim())).collect::<Result<_>>()?;
    let policies = policies(args, &scenarios)?;
    let stage = Stage::new(&scenarios, args)?;
    let (mut rules, mut unclear) = (Vec::new(), Vec::new());
    for policy in &policies {
        match stage.tune(policy) {
            Ok(tuning) => {
                rules.push(rule(policy, &tuning));
                unclear.extend((tuning.found != tuning.name).then_some(tuning.found));
            }
            // Among many, one that cannot be tuned is not the end.
            Err(error) if policies.len() > 1 => eprintln!("{error}; left out"),
            Err(error) => return Err(error.into()),
        }
    }
    stage.bar.finish_and_clear();
    let tuned = Tuned {
        scenario: joined(&scenarios, |scenario| scenario.spec().name.clone()),
        digest: joined(&scenarios, Scenario::digest),
        episodes: args.episodes,
        seed: args.seed,
        command: command(args),
        policies: rules,
    };
    if !out.is_stdout() {
        Output::Stdout.write(table(&tuned, &scenarios))?;
        if !unclear.is_empty() {
            Output::Stdout.write(format!(
                "found, but not clearly better on other episodes: {}\n",
                unclear.join("; ")
            ))?;
        }
    }
    out.write(format!("{HEAD}{}", toml::to_string(&tuned)?))
}

/// What each scenario says, with commas between.
fn joined(scenarios: &[Scenario], each: impl Fn(&Scenario) -> String) -> String {
    scenarios.iter().map(each).collect::<Vec<_>>().join(",")
}

/// The policies asked for; of `all`, those that have something to tune.
fn policies(args: &Tune, scenarios: &[Scenario]) -> Result<Vec<String>> {
    if args.policies != "all" {
        let policies = registry::split_list(&args.policies);
        // Mistakes are told before the work begins.
        for policy in &policies {
            if !has_parameters(policy)? {
                return Err(TuneError::Nothing { policy: policy.clone() }.into());
            }
        }
        return Ok(policies);
    }
    let mut policies: Vec<String> = Vec::new();
    for scenario in scenarios {
        let world = scenario.world(Split::Validation.seed(args.seed, 0))?;
        for name in registry::standard(&world) {
            if has_parameters(name)? && !policies.iter().any(|policy| policy == name) {
                policies.push(name.to_owned());
            }
        }
    }
    Ok(policies)
}

/// The command again, without the folder of what it writes.
fn command(args: &Tune) -> String {
    let Tune { scenario, policies, episodes, seed, out } = args;
    let file = out.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "yardmaster tune --scenario {scenario} --policies '{policies}' --episodes {episodes} --seed {seed} --out {file}"
    )
}

/// The validation episodes, generated when they are first played: first those to choose on, then as many to confirm on. Those
/// of several scenarios take turns.
struct Stage<'a> {
    scenarios: &'a [Scenario],
    seeds: Vec<u64>,
    worlds: Vec<OnceLock<Result<Arc<World>, String>>>,
    bar: ProgressBar,
}

impl<'a> Stage<'a> {
    fn new(scenarios: &'a [Scenario], args: &Tune) -> Result<Stage<'a>> {
        let numbers = (0..2 * args.episodes).flat_map(|number| vec![number; scenarios.len()]);
        let seeds: Vec<u64> = numbers.map(|number| Split::Validation.seed(args.seed, number)).collect();
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}: {pos} runs, {per_sec}, {elapsed}")?);
        Ok(Stage { scenarios, worlds: seeds.iter().map(|_| OnceLock::new()).collect(), seeds, bar })
    }

    fn tune(&self, policy: &str) -> Result<Tuning, TuneError> {
        let rounds = Cell::new(0);
        let units = self.units(policy)?;
        tune(policy, self.seeds.len() / 2, |asked| {
            rounds.set(rounds.get() + 1);
            self.bar.set_message(format!("{policy}, round {}", rounds.get()));
            let answers = asked.iter().zip(self.play(asked));
            answers.map(|((_, episode), answer)| Ok(answer? / units[episode % units.len()])).collect()
        })
    }

    /// What the objective of each scenario is measured in, (scenarios): its own unit where it is the only one; else the
    /// policy's mean there before it is tuned, on the episodes that confirm, so that scenarios count alike.
    fn units(&self, policy: &str) -> Result<Vec<f64>, TuneError> {
        if let [_] = self.scenarios {
            return Ok(vec![1.0]);
        }
        let half = self.seeds.len() / 2;
        let all: Vec<(String, usize)> = (half..2 * half).map(|at| (policy.to_owned(), at)).collect();
        let mut sums = vec![0.0; self.scenarios.len()];
        for (at, answer) in self.play(&all).into_iter().enumerate() {
            sums[at % self.scenarios.len()] +=
                answer.map_err(|why| TuneError::Failed { policy: policy.to_owned(), why })?;
        }
        let episodes = (half / self.scenarios.len()) as f64;
        Ok(sums.into_iter().map(|sum| (sum / episodes).max(1e-12)).collect())
    }

    /// The objective of each policy in its episode, or why there is none.
    fn play(&self, asked: &[(String, usize)]) -> Vec<Result<f64, String>> {
        let answers: Vec<OnceLock<Result<f64, String>>> = asked.iter().map(|_| OnceLock::new()).collect();
        let _silence = Silence::begin();
        in_order(asked.len(), |at| {
            let (policy, episode) = &asked[at];
            _ = answers[at].set(self.objective(policy, *episode));
            self.bar.inc(1);
        });
        let unknown = || Err("it was not played".to_owned());
        answers.into_iter().map(|answer| answer.into_inner().unwrap_or_else(unknown)).collect()
    }

    fn objective(&self, policy: &str, episode: usize) -> Result<f64, String> {
        let seed = self.seeds[episode];
        let scenario = &self.scenarios[episode % self.scenarios.len()];
        let generate = || scenario.world(seed).map(Arc::new).map_err(|error| error.to_string());
        let world = self.worlds[episode].get_or_init(generate).as_ref().map_err(Clone::clone)?;
        let contestant = Contestant::rule(policy).map_err(|error| error.to_string())?;
        Ok(contestant.try_play(world, seed)?.objective)
    }
}

fn rule(policy: &str, tuning: &Tuning) -> TunedRule {
    let Tuning { name, before, after, tried, .. } = tuning;
    TunedRule {
        policy: policy.to_owned(),
        tuned: name.clone(),
        tried: *tried,
        before: stats::mean(before),
        after: stats::mean(after),
        ratio: stats::paired_ratio(after, before),
    }
}

fn table(tuned: &Tuned, scenarios: &[Scenario]) -> String {
    let mut table = Table::new();
    let header = ["policy", "tuned", "tried", "mean before", "mean after", "after / before"];
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
    for rule in &tuned.policies {
        let [low, high] = rule.ratio.ci95;
        table.add_row([
            rule.policy.clone(),
            rule.tuned.clone(),
            rule.tried.to_string(),
            number(rule.before.value),
            number(rule.after.value),
            format!("{:.3} [{low:.3}, {high:.3}]", rule.ratio.value),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let objective = match scenarios {
        [scenario] => {
            let objective = scenario.spec().objective;
            format!("{} [{}]", objective.name(), objective.unit())
        }
        _ => "each objective over its mean before, averaged over the scenarios".to_owned(),
    };
    format!(
        "{}: {objective}, chosen on {episodes} validation episodes, means of {episodes} others (seed {})\n\n{table}\n",
        tuned.scenario,
        tuned.seed,
        episodes = tuned.episodes
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_command_names_no_folder() {
        let args = Tune {
            scenario: "tiny".into(),
            policies: "mct+timeout".into(),
            episodes: 9,
            seed: 2,
            out: Path::new("/somewhere/tiny.toml").into(),
        };
        assert_eq!(
            command(&args),
            "yardmaster tune --scenario tiny --policies 'mct+timeout' --episodes 9 --seed 2 --out tiny.toml"
        );
    }
}
