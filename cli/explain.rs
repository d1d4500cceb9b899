//! `yardmaster explain`: one decision of a frozen policy, or where it differs from a rule and what it gains there.

mod decision;
mod differences;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use yardmaster_agent::evaluate::Contestant;
use yardmaster_agent::explain::gain::{self, Match, Report, Tail};
use yardmaster_agent::explain::moment::{self, ExplainError, Explained, Witness};
use yardmaster_agent::frozen::Frozen;
use yardmaster_agent::learned::Learned;
use yardmaster_agent::registry;
use yardmaster_agent::tuned::embedded;
use yardmaster_env::spec::{Scenario, Split};

use crate::args::Explain;
use crate::input;
use crate::output::Output;
use crate::report::Style;

/// Episodes to be compared in, unless told otherwise.
const EPISODES: u64 = 20;
/// Decisions measured of each kind of difference.
const SAMPLES: u64 = 500;
/// Candidates and features that are shown.
const TOP: u64 = 8;

/// What was asked, as the head of every output.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Question {
    /// Name of the frozen policy.
    pub(crate) policy: String,
    /// The scenario that it was trained in.
    pub(crate) trained_in: String,
    /// The scenario that it plays in.
    pub(crate) scenario: String,
    /// What is to be made small.
    pub(crate) objective: &'static str,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// Which test episodes.
    pub(crate) seed: u64,
    /// The rule to compare with, as it plays.
    pub(crate) rule: String,
    /// How that was chosen.
    pub(crate) rule_is: String,
}

/// What `--json` writes of a decision.
#[derive(Serialize)]
struct DecisionJson<'a> {
    #[serde(flatten)]
    question: &'a Question,
    episode: u64,
    #[serde(flatten)]
    explained: &'a Explained,
}

/// What `--json` writes of differences.
#[derive(Serialize)]
struct DifferencesJson<'a> {
    #[serde(flatten)]
    question: &'a Question,
    samples: u64,
    differences: &'a Report,
}

/// What plays.
struct Cast {
    frozen: Frozen,
    scenario: Scenario,
    rule: Contestant,
    question: Question,
}

/// Runs the command.
pub(crate) fn run(args: &Explain) -> Result<()> {
    let [json, markdown] =
        Output::all([("--json", args.json.as_deref()), ("--markdown", args.markdown.as_deref())])?;
    let cast = Cast::new(args)?;
    let (text, value): (Box<dyn Fn(Style) -> String>, String) = match args.decision {
        Some(decision) => {
            let explained = cast.decision(args, decision)?;
            let (question, episode) = (cast.question.clone(), args.episode);
            let value = DecisionJson { question: &question, episode, explained: &explained };
            let value = serde_json::to_string_pretty(&value)?;
            let top = args.top.unwrap_or(TOP) as usize;
            (Box::new(move |style| decision::text(&question, episode, &explained, top, style)), value)
        }
        None => {
            let differences = cast.differences(args)?;
            let question = cast.question.clone();
            let samples = args.samples.unwrap_or(SAMPLES);
            let value = DifferencesJson { question: &question, samples, differences: &differences };
            let value = serde_json::to_string_pretty(&value)?;
            (Box::new(move |style| differences::text(&question, &differences, style)), value)
        }
    };
    if ![&json, &markdown].into_iter().flatten().any(Output::is_stdout) {
        Output::Stdout.write(text(Style::Terminal))?;
    }
    if let Some(markdown) = markdown {
        markdown.write(text(Style::Markdown))?;
    }
    json.map_or(Ok(()), |json| json.write(&(value + "\n")))
}

impl Cast {
    fn new(args: &Explain) -> Result<Cast> {
        let frozen = input::policy(&args.checkpoint)?;
        let scenario = input::scenario(&args.scenario)?;
        let (rule, rule_is) = rule(args.rule.as_deref(), &scenario)?;
        let origin = &frozen.card().origin;
        let objective = scenario.spec().objective;
        let question = Question {
            policy: args.checkpoint.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            trained_in: origin.scenario.clone(),
            scenario: scenario.spec().name.clone(),
            objective: objective.name(),
            unit: objective.unit(),
            seed: args.seed,
            rule: rule.tuned.clone().unwrap_or_else(|| rule.name.clone()),
            rule_is,
        };
        let cast = Cast { frozen, scenario, rule, question };
        cast.learned()
            .with_context(|| format!("{} is not a usable frozen policy", args.checkpoint.display()))?;
        Ok(cast)
    }

    fn learned(&self) -> Result<Learned> {
        Ok(Learned::from_frozen(self.question.policy.as_str(), &self.frozen)?)
    }

    fn decision(&self, args: &Explain, decision: usize) -> Result<Explained> {
        let seed = Split::Test.seed(args.seed, args.episode);
        let world = Arc::new(self.scenario.world(seed)?);
        let prior = &self.frozen.card().origin.prior;
        let mut witnesses = [
            Witness { role: "prior".to_owned(), policy: registry::build(prior)? },
            Witness { role: "rule".to_owned(), policy: (self.rule.build)() },
        ];
        match moment::explain(&mut self.learned()?, &mut witnesses, &world, (seed, decision)) {
            Ok(explained) => Ok(explained),
            Err(ExplainError::NoSuchDecision { wanted, count }) => bail!(
                "--decision {wanted}: {} makes {count} decisions in this episode; give a number from 0 to {}",
                self.question.policy,
                count.saturating_sub(1)
            ),
            Err(error) => Err(error.into()),
        }
    }

    fn differences(&self, args: &Explain) -> Result<Report> {
        let origin = &self.frozen.card().origin;
        let policy = Contestant::learned(&self.question.policy, self.learned()?.net_handle(), &origin.prior)?;
        let episodes = args.episodes.unwrap_or(EPISODES);
        let seeds: Vec<u64> = (0..episodes).map(|number| Split::Test.seed(args.seed, number)).collect();
        let bar = ProgressBar::new(2 * episodes);
        bar.set_style(ProgressStyle::with_template("[{bar:40}] {pos}/{len} episodes, {eta} left")?);
        let game = Match {
            policy: &policy,
            rule: &self.rule,
            world: |_, seed| self.scenario.world(seed).map_err(|error| error.to_string()),
            seeds: &seeds,
            samples: args.samples.unwrap_or(SAMPLES) as usize,
            tail: args.tail.map_or(Tail::default(), Tail::from),
        };
        let report = gain::report(&game, args.seed, || bar.inc(1));
        bar.finish_and_clear();
        report.map_err(anyhow::Error::msg)
    }
}

/// The rule to compare with, and how it was chosen.
fn rule(name: Option<&str>, scenario: &Scenario) -> Result<(Contestant, String)> {
    if let Some(name) = name {
        let rule =
            Contestant::tuned_rule(name, None, Some(scenario)).with_context(|| format!("--rule {name}"))?;
        return Ok((rule, "as asked for".to_owned()));
    }
    let spec = scenario.spec();
    let tuned = embedded(scenario)?;
    match tuned.as_ref().and_then(|tuned| Some((tuned.best()?, tuned.episodes))) {
        Some((best, episodes)) => {
            let rule = Contestant::tuned_rule(best, None, Some(scenario))?;
            Ok((
                rule,
                format!("the best of the rules tuned for {}, by {episodes} validation episodes", spec.name),
            ))
        }
        None => {
            let rule = Contestant::tuned_rule(&spec.prior, None, Some(scenario))?;
            Ok((rule, format!("the prior of {}, for which no rule has been tuned", spec.name)))
        }
    }
}
