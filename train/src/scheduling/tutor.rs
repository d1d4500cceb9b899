//! Frozen policies and rules that show what they would do, and the policy's own prior where none of them is better.
//!
//! They are asked now and then, in states that others have led to. A rule that has a plan in mind from one decision to the next is no tutor:
//! `matching(replan=1)` taught to cut off again and again.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use yardmaster_agent::evaluate::{Contestant, evaluate};
use yardmaster_agent::frozen::{self, Frozen};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::net::PolicyNet;
use yardmaster_agent::policy::Policy;
use yardmaster_agent::registry;
use yardmaster_env::candidates::Candidates;
use yardmaster_env::observe::Schema;
use yardmaster_env::spec::{Scenario, Split};
use yardmaster_env::view::View;

use super::episode::episode;

/// Training episodes on which tutors are compared.
const EPISODES: u64 = 48;
/// Base of their seeds.
const BASE: u64 = u64::MAX;
/// Names the policy's own prior among the tutors.
const PRIOR: &str = "prior";
/// How the name of a frozen policy's file ends; other names are rules.
const FROZEN: &str = ".safetensors";
/// Actions that are less likely than so many times the likeliest are not shown.
const UNLIKELY: f32 = 1e-3;

/// A frozen policy.
pub(super) struct File {
    name: String,
    frozen: Frozen,
    net: Arc<PolicyNet>,
}

impl File {
    fn load(name: &str) -> Result<Self> {
        let load = || -> Result<Frozen> {
            let frozen = frozen::load(Path::new(name))?.reading(&Schema::current())?;
            frozen.verify_golden()?;
            Ok(frozen)
        };
        let frozen = load().with_context(|| format!("tutor {name}"))?;
        let net = Arc::new(frozen.net().clone());
        Ok(Self { name: name.to_owned(), frozen, net })
    }

    /// Where it was trained.
    fn home(&self) -> &str {
        &self.frozen.card().origin.scenario
    }

    /// Whether it was trained in this scenario, on however many nodes.
    fn knows(&self, scenario: &Scenario) -> bool {
        let name = base(&scenario.spec().name);
        self.frozen.card().origin.scenarios().any(|known| base(known) == name)
    }

    /// Whether it was trained in just this one.
    fn is_at_home(&self, scenario: &Scenario) -> bool {
        self.frozen.card().origin.scenarios().any(|known| known == scenario.spec().name)
    }

    fn learned(&self) -> Result<Learned> {
        let prior = &self.frozen.card().origin.prior;
        let learned = Learned::new(self.name.as_str(), Arc::clone(&self.net), prior);
        learned.with_context(|| format!("tutor {}", self.name))
    }

    fn contestant(&self) -> Result<Contestant> {
        let prior = &self.frozen.card().origin.prior;
        let contestant = Contestant::learned(&self.name, Arc::clone(&self.net), prior);
        contestant.with_context(|| format!("tutor {}", self.name))
    }
}

/// Who may show what to do in the scenarios that it knows.
#[derive(Clone)]
pub(super) enum Source {
    /// A frozen policy.
    File(Arc<File>),
    /// A rule, which knows all of them.
    Rule(String),
}

impl Source {
    fn load(name: &str) -> Result<Self> {
        if name.ends_with(FROZEN) {
            return Ok(Self::File(Arc::new(File::load(name)?)));
        }
        registry::build(name)
            .with_context(|| format!("tutor {name}: neither a file *{FROZEN}, nor `{PRIOR}`, nor a rule"))?;
        Ok(Self::Rule(name.to_owned()))
    }

    fn knows(&self, scenario: &Scenario) -> bool {
        match self {
            Self::File(file) => file.knows(scenario),
            Self::Rule(_) => true,
        }
    }

    fn candidate(&self, scenario: &Scenario) -> Result<Candidate> {
        Ok(match self {
            Self::File(file) => {
                Candidate { tutor: file.contestant()?, is_at_home: file.is_at_home(scenario) }
            }
            Self::Rule(rule) => Candidate { tutor: Contestant::rule(rule)?, is_at_home: false },
        })
    }

    fn tutor(&self) -> Result<Tutor> {
        Ok(match self {
            Self::File(file) => Tutor::Policy(Box::new(file.learned()?)),
            Self::Rule(rule) => Tutor::Rule(registry::build(rule)?),
        })
    }
}

/// Who shows what to do in a scenario.
pub(super) enum Guide {
    /// The best of those who know the way.
    Known(Source),
    /// The policy's own prior.
    Prior,
}

impl Guide {
    /// For one environment.
    pub(super) fn tutor(&self) -> Result<Tutor> {
        match self {
            Self::Known(source) => source.tutor(),
            Self::Prior => Ok(Tutor::Prior),
        }
    }
}

/// The same, at work.
pub(super) enum Tutor {
    Policy(Box<Learned>),
    Rule(Box<dyn Policy>),
    Prior,
}

impl Tutor {
    pub(super) fn reset(&mut self, seed: u64) {
        match self {
            Self::Policy(learned) => learned.reset(seed),
            Self::Rule(rule) => rule.reset(seed),
            Self::Prior => {}
        }
    }

    /// How likely it is to take each of these candidates: (actions). `None` where none of them stands for what it does.
    pub(super) fn example(&mut self, view: &View<'_>, candidates: &Candidates) -> Option<Vec<f32>> {
        let mut shares = vec![0.0; candidates.actions()];
        match self {
            Self::Prior => shares[candidates.proposal()?] = 1.0,
            Self::Rule(rule) => shares[candidates.action_of(view, &rule.decide(view))?] = 1.0,
            Self::Policy(learned) => {
                let weighed = learned.weigh(view);
                // Its candidates are others where its prior proposes something else.
                for (action, weight) in
                    weights(weighed.logits).enumerate().filter(|(_, weight)| *weight > UNLIKELY)
                {
                    let decision = weighed.candidates.decision(view, action);
                    if let Some(same) = decision.and_then(|decision| candidates.action_of(view, &decision)) {
                        shares[same] += weight;
                    }
                }
            }
        }
        let sum: f32 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= sum);
        (sum > 0.0).then_some(shares)
    }
}

/// In units of the likeliest.
fn weights(logits: &[f32]) -> impl Iterator<Item = f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().map(move |logit| (logit - highest).exp())
}

/// Who shows what to do in each scenario: the best of the files that were trained in it, on however many nodes, and of the rules. One that was
/// not trained on as many nodes has to be better than the policy's own prior; where none is, that shows it if [`PRIOR`] is named, and else
/// nobody.
///
/// # Errors
/// A file that is no policy for this program, or one that was trained in none of the scenarios; a rule that there is not, or the prior by its
/// own name.
pub(super) fn of(scenarios: &[Arc<Scenario>], names: &[String], prior: &str) -> Result<Vec<Option<Guide>>> {
    ensure!(
        !names.iter().any(|name| name == prior),
        "tutor {prior} is the policy's own prior: name it `{PRIOR}`"
    );
    let sources = names.iter().filter(|name| *name != PRIOR);
    let sources = sources.map(|name| Source::load(name)).collect::<Result<Vec<_>>>()?;
    let fallback = || names.iter().any(|name| name == PRIOR).then_some(Guide::Prior);
    for source in &sources {
        if let Source::File(file) = source {
            ensure!(
                scenarios.iter().any(|scenario| file.knows(scenario)),
                "tutor {} was trained in {}, which is none of the scenarios",
                file.name,
                file.home()
            );
        }
    }
    let tutor = |scenario: &Arc<Scenario>| {
        let known: Vec<&Source> = sources.iter().filter(|source| source.knows(scenario)).collect();
        let candidates = known.iter().map(|source| source.candidate(scenario)).collect::<Result<Vec<_>>>()?;
        let best = best(scenario, prior, candidates)?;
        Ok(best.map(|at| Guide::Known(known[at].clone())).or_else(fallback))
    };
    scenarios.iter().map(tutor).collect()
}

/// Who may be the tutor of a scenario.
struct Candidate {
    tutor: Contestant,
    /// Whether it was trained there, and so found to be better than its rule on more episodes than are played here: where episodes
    /// differ much, these cannot tell.
    is_at_home: bool,
}

/// The best of them on some training episodes, of those who are at home there or better than the prior.
fn best(scenario: &Scenario, prior: &str, candidates: Vec<Candidate>) -> Result<Option<usize>> {
    if candidates.is_empty() {
        return Ok(None);
    }
    let seeds: Vec<u64> = (0..EPISODES).map(|number| Split::Train.seed(BASE, number)).collect();
    let (tutors, at_home): (Vec<Contestant>, Vec<bool>) =
        candidates.into_iter().map(|candidate| (candidate.tutor, candidate.is_at_home)).unzip();
    let mut all = vec![Contestant::rule(prior)?];
    all.extend(tutors);
    let rows = evaluate(&all, &seeds, |seed| -> Result<_> { Ok(episode(scenario, seed)) }, || ())?;
    let ratio = |one: &Contestant| {
        let row = rows.iter().find(|row| row.policy == one.name)?;
        row.ratio_to.get(prior).map(|ratio| ratio.ratio)
    };
    let rated = all.iter().skip(1).zip(at_home).enumerate();
    let rated = rated.filter_map(|(at, (tutor, is_at_home))| Some((ratio(tutor)?, is_at_home, at)));
    let fit = rated.filter(|(ratio, is_at_home, _)| *is_at_home || *ratio < 1.0);
    let best = fit.reduce(|best, next| if next.0 < best.0 { next } else { best });
    Ok(best.map(|(ratio, _, at)| {
        eprintln!("{}: the tutor is {}, at {ratio:.3} of the prior", scenario.spec().name, all[at + 1].name);
        at
    }))
}

/// The name without the factor of its nodes.
fn base(name: &str) -> &str {
    name.split_once('@').map_or(name, |(base, _)| base)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use yardmaster_agent::net::{Dims, Layout, Sizes};
    use yardmaster_env::gym::{SchedulingEnv, Settings};
    use yardmaster_env::spec::builtin;

    use super::*;
    use crate::init::weights;

    #[test]
    fn the_best_is_the_tutor_and_a_stranger_only_if_better_than_the_prior() {
        let scenario = builtin("tiny").unwrap();
        let tutor = |prior: &str, is_at_home: bool, names: &[&str]| {
            let candidate = |name: &&str| Candidate { tutor: Contestant::rule(name).unwrap(), is_at_home };
            let candidates = names.iter().map(candidate).collect();
            best(&scenario, prior, candidates).unwrap().map(|at| names[at].to_owned())
        };
        assert_eq!(tutor("random", false, &["fcfs", "mct"]).as_deref(), Some("mct"));
        assert_eq!(tutor("mct", false, &["random", "fcfs"]), None);
        assert_eq!(tutor("mct", true, &["random", "fcfs"]).as_deref(), Some("fcfs"), "it was trained here");
        assert_eq!(tutor("mct", false, &[]), None);
    }

    #[test]
    fn a_tutor_says_how_likely_each_action_is() {
        let scenario = builtin("pool12").unwrap();
        let net = random_net();
        let mut policy = Tutor::Policy(Box::new(Learned::new("tutor", Arc::new(net), "mct").unwrap()));
        let mut env = SchedulingEnv::new(move |seed| episode(&scenario, seed), Settings::default()).unwrap();
        let mut prior = registry::build("sjf").unwrap();
        env.begin_advised(3, |view| Some(prior.decide(view))).unwrap();
        for _ in 0..100 {
            let (view, candidates) = (env.view().unwrap(), env.candidates());
            let shares = policy.example(&view, candidates).unwrap();
            assert_eq!(shares.len(), candidates.actions());
            assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            let likeliest =
                (0..shares.len()).max_by(|&one, &other| shares[one].total_cmp(&shares[other])).unwrap();
            let Tutor::Policy(learned) = &mut policy else { unreachable!() };
            let decision = learned.decide(&view);
            assert_eq!(candidates.action_of(&view, &decision), Some(likeliest));
            let shown = Tutor::Prior.example(&view, candidates);
            let certain = |shares: Vec<f32>| shares.iter().position(|share| *share == 1.0);
            assert_eq!(shown.map(certain), candidates.proposal().map(Some));
            if env.act_advised(likeliest, |view| Some(prior.decide(view))).unwrap().terminated {
                break;
            }
        }
    }

    fn random_net() -> PolicyNet {
        let (dims, sizes) = (Dims::from(&Schema::current()), Sizes::default());
        let params = weights(&Layout::policy(&dims, &sizes), &mut Xoshiro256PlusPlus::seed_from_u64(1));
        PolicyNet::new(dims, sizes, 0.0, &params).unwrap()
    }

    #[test]
    fn the_prior_shows_what_to_do_where_nobody_else_does_if_it_is_named() {
        let scenarios = [Arc::new(builtin("tiny").unwrap())];
        let guides = |names: &[String]| of(&scenarios, names, "mct").unwrap();
        assert!(matches!(guides(&[PRIOR.to_owned()])[..], [Some(Guide::Prior)]));
        assert!(matches!(guides(&[])[..], [None]));
    }

    #[test]
    fn a_rule_may_be_the_tutor_and_shows_what_it_decides() {
        let scenarios = [Arc::new(builtin("tiny").unwrap())];
        let guide = |prior: &str| of(&scenarios, &["mct".to_owned()], prior).unwrap().remove(0);
        let Some(Guide::Known(rule)) = guide("random") else { panic!("mct is better than chance") };
        let mut tutor = rule.tutor().unwrap();
        let mut rule = registry::build("mct").unwrap();
        let scenario = builtin("pool12").unwrap();
        let mut env = SchedulingEnv::new(move |seed| episode(&scenario, seed), Settings::default()).unwrap();
        env.begin(3).unwrap();
        for _ in 0..100 {
            let (view, candidates) = (env.view().unwrap(), env.candidates());
            let action = candidates.action_of(&view, &rule.decide(&view)).unwrap();
            let shares = tutor.example(&view, candidates).unwrap();
            assert_eq!(shares.iter().position(|share| *share == 1.0), Some(action));
            assert_eq!(shares.iter().sum::<f32>(), 1.0);
            if env.act(action).unwrap().terminated {
                break;
            }
        }
    }

    #[test]
    fn a_tutor_that_there_is_not_is_refused_by_name() {
        let scenarios = [Arc::new(builtin("tiny").unwrap())];
        let refusal = |name: &str| match of(&scenarios, &[name.to_owned()], "mct") {
            Ok(_) => panic!("{name} is taken"),
            Err(error) => format!("{error:#}"),
        };
        assert!(
            refusal("mctt").starts_with("tutor mctt: neither a file *.safetensors"),
            "{}",
            refusal("mctt")
        );
        assert!(refusal("none.safetensors").starts_with("tutor none.safetensors: "));
        assert_eq!(refusal("mct"), "tutor mct is the policy's own prior: name it `prior`");
    }

    #[test]
    fn a_scenario_is_known_on_other_numbers_of_nodes() {
        assert_eq!(["pool12", "pool12@0.5", "datacenter@0.25"].map(base), ["pool12", "pool12", "datacenter"]);
    }
}
