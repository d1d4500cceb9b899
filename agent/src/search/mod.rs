//! Look-ahead: each decision is tried on imagined futures, with a rule that decides all that follows.
//!
//! This is the rollout algorithm (Bertsekas, Tsitsiklis and Wu, Journal of Heuristics 3, 1997) with common random
//! numbers and sequential halving (Karnin, Koren and Somekh, ICML 2013): all candidates are tried on a few futures, the
//! better half on more, and so on. The base rule's own decision always stays, and another is taken only if it is better
//! by more than chance. What it knows is what a live scheduler knows, see [`yardmaster_env::sim::Outlook`].

pub mod futures;
pub mod settings;
mod teacher;

use std::time::Instant;

use rand::Rng;
use yardmaster_env::candidates::Candidates;
use yardmaster_env::sim::{Future, Outlook, Simulator};
use yardmaster_env::spec::Scenario;
use yardmaster_env::view::{Decision, Running, View};

use self::futures::{Draw, Futures, generator};
pub use self::settings::Settings;
pub use self::teacher::Teacher;
use crate::policy::Policy;
use crate::registry::{self, RegistryError};

/// Running jobs that may be cut off, tried at each decision: those with most work left.
const PREEMPTIONS: usize = 3;
/// Futures of the first round of halving.
const FIRST: usize = 4;

/// A policy that looks ahead.
pub struct Search {
    name: String,
    settings: Settings,
    futures: Futures,
    base: Box<dyn Policy>,
    /// Decides in the futures in place of a base that cannot be copied; `None` beside one that can.
    double: Option<Box<dyn Policy>>,
    candidates: Candidates,
    seed: u64,
    decisions: u64,
    /// What could be seen when it last decided to wait, as it does still.
    waited: Option<Scene>,
}

/// What could have changed since a decision to wait: arrivals, what waits, what runs, what is being fetched for it, free devices.
type Scene = [usize; 5];

/// A decision on trial.
struct Trial {
    decision: Decision,
    /// Cost in each future so far.
    costs: Vec<f64>,
}

impl Search {
    /// A look-ahead in this scenario, or in one that is not known, whose future is taken to be like its past.
    ///
    /// # Errors
    /// A base that cannot be built.
    pub fn new(
        name: impl Into<String>,
        settings: Settings,
        scenario: Option<&Scenario>,
    ) -> Result<Search, RegistryError> {
        Search::with_futures(name, settings, scenario.map_or(Futures::Seen, Futures::of))
    }

    /// A look-ahead that takes its futures from here.
    ///
    /// # Errors
    /// A base that cannot be built.
    pub fn with_futures(
        name: impl Into<String>,
        settings: Settings,
        futures: Futures,
    ) -> Result<Search, RegistryError> {
        let base = registry::build(&settings.base)?;
        let double = if base.fork().is_none() { Some(registry::build(&settings.base)?) } else { None };
        Ok(Search {
            name: name.into(),
            settings,
            futures,
            base,
            double,
            candidates: Candidates::default(),
            seed: 0,
            decisions: 0,
            waited: None,
        })
    }

    /// What could be decided, the base's own decision first.
    fn trials(&mut self, view: &View<'_>, own: Decision) -> Vec<Trial> {
        self.candidates.fill(view);
        let mut ranked: Vec<(f64, Decision)> = Vec::new();
        for (at, candidate) in self.candidates.list.iter().enumerate() {
            let work = &self.candidates.works[candidate.work];
            let slot = self.candidates.nodes[candidate.node].slot;
            let Some(span) = candidate.span(view, work, slot) else { continue };
            let Some(decision) = self.candidates.decision(view, at) else { continue };
            let setup = view.setup_on(work.job, slot);
            let weight = view.job(work.job).weight.max(1e-9)
                * f64::from(if work.stream.is_some() { candidate.batch } else { 1 });
            let devices = f64::from(candidate.gang.max(1));
            ranked.push(((span + setup).as_secs_f64() * devices / weight, decision));
        }
        // Short and important work first, which is what most candidates that are any good have in common.
        ranked.sort_by(|one, other| one.0.total_cmp(&other.0));
        let wait = self.candidates.wait.then_some(Decision::Wait { until: None });
        let others =
            wait.into_iter().chain(preemptions(view)).chain(ranked.into_iter().map(|(_, decision)| decision));
        let mut decisions = vec![own];
        for decision in others {
            if decisions.len() < self.settings.candidates && !decisions.contains(&decision) {
                decisions.push(decision);
            }
        }
        decisions.into_iter().map(|decision| Trial { decision, costs: Vec::new() }).collect()
    }

    /// Tries all on one more future; those that turn out illegal are dropped. Whether the base's own is left.
    fn try_on(
        &mut self,
        view: &View<'_>,
        outlook: Outlook<'_>,
        number: usize,
        trials: &mut Vec<Trial>,
    ) -> bool {
        let mut random = generator(self.seed, self.decisions, number as u64);
        let mut start = if self.settings.clairvoyant {
            outlook.clairvoyant_for(self.settings.arrivals())
        } else {
            let Draw { episode, since, arrivals } =
                self.futures.draw(view, self.settings.arrivals(), &mut random);
            let seed = random.next_u64();
            outlook.imagine(&Future { episode: episode.as_deref(), since, arrivals: &arrivals, seed })
        };
        start.be_patient();
        let mut own = None;
        trials.retain_mut(|trial| {
            // The base goes on as it stands now, with what it has learned.
            let mut fork = self.base.fork();
            let tail = fork.as_mut().unwrap_or_else(|| {
                let double = self.double.as_mut().expect("what cannot be copied has a double");
                double.reset(0);
                double
            });
            let cost = roll_out(start.clone(), trial.decision.clone(), &mut **tail);
            trial.costs.extend(cost);
            *own.get_or_insert(cost.is_some()) && cost.is_some()
        });
        own == Some(true)
    }

    /// The best of the trials, by sequential halving.
    fn best(&mut self, view: &View<'_>, outlook: Outlook<'_>, mut trials: Vec<Trial>) -> Option<Decision> {
        let begin = Instant::now();
        let all = if self.settings.clairvoyant { 1 } else { self.settings.futures };
        let mut goal = FIRST.min(all);
        let mut done = 0;
        'rounds: loop {
            while done < goal {
                if done > 0 && self.settings.budget().is_some_and(|budget| begin.elapsed() > budget) {
                    break 'rounds;
                }
                if !self.try_on(view, outlook, done, &mut trials) {
                    return None;
                }
                done += 1;
            }
            if done == all {
                break;
            }
            halve(&mut trials);
            if trials.len() < 2 {
                break;
            }
            goal = (2 * goal).min(all);
        }
        let (own, others) = trials.split_first()?;
        let caution = if self.settings.clairvoyant { 0.0 } else { self.settings.caution };
        let gains = others.iter().map(|trial| (gain(own, trial, caution), trial));
        let (gain, best) = gains.max_by(|one, other| one.0.total_cmp(&other.0))?;
        (gain > 0.0).then(|| best.decision.clone())
    }
}

/// Keeps the first, which is the base's, and the better half of the others.
fn halve(trials: &mut Vec<Trial>) {
    let own = trials.remove(0);
    trials.sort_by(|one, other| sum(one).total_cmp(&sum(other)));
    trials.truncate(trials.len().div_ceil(2));
    trials.insert(0, own);
}

fn sum(trial: &Trial) -> f64 {
    trial.costs.iter().sum()
}

/// By how much a trial is better than the base's decision, at the lower end of an interval.
fn gain(own: &Trial, other: &Trial, caution: f64) -> f64 {
    let count = own.costs.len() as f64;
    let gains = || own.costs.iter().zip(&other.costs).map(|(own, other)| own - other);
    let mean = gains().sum::<f64>() / count;
    let square = gains().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    mean - caution * (square / count).sqrt()
}

/// The cost of all that follows a decision; `None` if it is illegal.
fn roll_out(mut sim: Simulator, decision: Decision, tail: &mut dyn Policy) -> Option<f64> {
    sim.apply(decision).ok()?;
    while let Some(view) = sim.next_decision() {
        let decision = tail.decide(&view);
        sim.apply(decision).ok()?;
    }
    Some(sim.cost().total())
}

/// Cutting off the running jobs with most work left, where that is allowed.
fn preemptions(view: &View<'_>) -> Vec<Decision> {
    if !view.rules.preempt {
        return Vec::new();
    }
    let left = |run: &&Running| view.left_of(run).0.saturating_mul(u64::from(run.devices()));
    let mut runs: Vec<&Running> = view.running.iter().filter(|run| view.is_preemptible(run)).collect();
    runs.sort_by_key(|run| std::cmp::Reverse(left(run)));
    runs.into_iter().take(PREEMPTIONS).map(|run| Decision::Preempt { run: run.sequence }).collect()
}

impl Policy for Search {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, seed: u64) {
        self.base.reset(seed);
        (self.seed, self.decisions, self.waited) = (seed, 0, None);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        let own = self.base.decide(view);
        self.decisions += 1;
        let Some(outlook) = view.outlook else { return own };
        // If only time has passed, what made it wait makes it wait still.
        let scene = matches!(own, Decision::Wait { .. }).then(|| scene(view));
        if scene.is_some() && scene == self.waited {
            return own;
        }
        let trials = self.trials(view, own.clone());
        let decision = if trials.len() < 2 { own } else { self.best(view, outlook, trials).unwrap_or(own) };
        self.waited = scene.filter(|_| matches!(decision, Decision::Wait { .. }));
        decision
    }
}

fn scene(view: &View<'_>) -> Scene {
    let requests: usize = view.streams.iter().map(|stream| stream.queue.len()).sum();
    let fetching = view.running.iter().filter(|run| run.fetching).count();
    let free: u32 = view.free_by_kind.iter().sum();
    [view.jobs.len(), view.queue.len() + requests, view.running.len(), fetching, free as usize]
}

#[cfg(test)]
mod tests;
