//! How often a policy differs from a rule, in what, and what it gains there.
//!
//! The policy plays episodes, and at each decision the rule is asked what it would have done. At a sample of the
//! decisions that differ, the world is copied twice; one copy takes the policy's decision, the other the rule's, and then
//! the same tail goes on in both to the end, on the future that truly came. The difference of their costs is the gain.
//!
//! With the rule as tail, and all differing decisions measured, the gains of an episode add up to the rule's cost minus
//! the policy's: after the rule's decision the rule goes on as it would from the state before, so that the sum
//! telescopes (the performance difference lemma of Kakade and Langford, ICML 2002, on a future that is fixed). So the
//! parts say where a policy's advantage comes from. It takes a rule that can be copied with all that it remembers.

use std::sync::{Arc, OnceLock};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::view::Decision;

use super::difference::{Difference, difference};
use crate::evaluate::{Contestant, Patience, apply, finish_patiently, in_order};
use crate::policy::Policy;
use crate::stats::{Estimate, mean, paired_ratio};

/// Who decides all that follows a decision that is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// The rule: gains add up to the whole.
    #[default]
    Rule,
    /// The policy.
    Policy,
}

/// What is to be compared.
pub struct Match<'a, W> {
    /// Whose decisions are judged.
    pub policy: &'a Contestant,
    /// By what.
    pub rule: &'a Contestant,
    /// Generates an episode, given its number and seed.
    pub world: W,
    /// In order of episodes.
    pub seeds: &'a [u64],
    /// Decisions that are measured of each kind of difference, at most.
    pub samples: usize,
    /// Who goes on.
    pub tail: Tail,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Whose decisions are judged.
    pub policy: String,
    /// By what.
    pub rule: String,
    /// Who goes on after a decision that is measured.
    pub tail: Tail,
    /// Whether that one went on with all it had seen; if not, it began afresh at each decision.
    pub tail_remembers: bool,
    /// Episodes played.
    pub episodes: usize,
    /// Decisions of the policy in all of them.
    pub decisions: usize,
    /// Those in which the rule would have decided otherwise.
    pub differing: usize,
    /// Mean of the objective.
    pub policy_mean: Estimate,
    /// Of the rule, on the same episodes.
    pub rule_mean: Estimate,
    /// The policy's mean over the rule's, paired.
    pub ratio: Estimate,
    /// By kind of difference, the most frequent first.
    pub kinds: Vec<Kind>,
}

/// Decisions that differ in the same way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kind {
    /// In which.
    pub difference: Difference,
    /// How many there are.
    pub count: usize,
    /// Their share of all decisions.
    pub share: f64,
    /// How many were measured.
    pub measured: usize,
    /// In how many of those the policy's decision was better than the rule's.
    pub better: usize,
    /// In how many it came to exactly the same, as where two starts of one moment change places.
    pub same: usize,
    /// In how many episodes those are; a single one allows no interval.
    pub measured_in: usize,
    /// Mean gain of a decision, in units of the objective of its episode; above 0 the policy's is better. The interval is
    /// clustered by episode.
    pub gain: Estimate,
    /// What all of them together gain in an episode, over the rule's mean.
    pub contribution: Estimate,
    /// The decision with the largest gain.
    pub best: Option<Example>,
    /// The decision with the smallest gain, which is a loss if it is below 0.
    pub worst: Option<Example>,
}

/// A decision to look at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Example {
    /// Number of the episode.
    pub episode: usize,
    /// Number of the decision in it, counted from 0.
    pub decision: usize,
    /// What the policy gained, in units of the objective.
    pub gain: f64,
}

/// What the first pass over an episode found.
struct Course {
    decisions: usize,
    /// (decision, difference)
    differing: Vec<(usize, Difference)>,
    policy: f64,
    rule: f64,
}

/// Plays and measures. `done` is told of each episode that has been played, twice.
///
/// # Errors
/// An episode that cannot be generated, a policy that does not come to its end.
pub fn report<W>(game: &Match<'_, W>, seed: u64, done: impl Fn() + Sync) -> Result<Report, String>
where
    W: Fn(usize, u64) -> Result<World, String> + Sync,
{
    let courses = game.each(&|number| game.course(number), &done)?;
    let picked = game.pick(&courses, seed);
    let measured = game.each(&|number| game.measure(number, &picked[number]), &done)?;
    let (gains, remembers): (Vec<_>, Vec<bool>) = measured.into_iter().unzip();
    let scores = |score: fn(&Course) -> f64| courses.iter().map(score).collect::<Vec<f64>>();
    let (policy, rule) = (scores(|course| course.policy), scores(|course| course.rule));
    let decisions = courses.iter().map(|course| course.decisions).sum();
    let rule_mean = mean(&rule);
    let mut kinds: Vec<Kind> = (Difference::ALL.into_iter())
        .filter_map(|kind| Kind::new(kind, &courses, &gains, rule_mean.value))
        .collect();
    kinds.iter_mut().for_each(|kind| kind.share = kind.count as f64 / f64::max(decisions as f64, 1.0));
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    Ok(Report {
        policy: game.policy.name.clone(),
        rule: game.rule.tuned.as_ref().unwrap_or(&game.rule.name).clone(),
        tail: game.tail,
        tail_remembers: remembers.iter().all(|&remembers| remembers),
        episodes: courses.len(),
        decisions,
        differing: courses.iter().map(|course| course.differing.len()).sum(),
        policy_mean: mean(&policy),
        rule_mean,
        ratio: paired_ratio(&policy, &rule),
        kinds,
    })
}

/// A decision that was measured.
struct Gain {
    decision: usize,
    difference: Difference,
    gain: f64,
}

impl<W> Match<'_, W>
where
    W: Fn(usize, u64) -> Result<World, String> + Sync,
{
    /// Does something with each episode, on all threads; the first error in order of episodes ends it.
    fn each<T: Send + Sync>(
        &self,
        work: &(impl Fn(usize) -> Result<T, String> + Sync),
        done: &(impl Fn() + Sync),
    ) -> Result<Vec<T>, String> {
        let cells: Vec<OnceLock<Result<T, String>>> = self.seeds.iter().map(|_| OnceLock::new()).collect();
        in_order(cells.len(), |number| {
            _ = cells[number].set(work(number));
            done();
        });
        cells.into_iter().filter_map(OnceLock::into_inner).collect()
    }

    /// Lets the policy play an episode beside the rule; `meet` is shown every decision of both.
    fn play(
        &self,
        number: usize,
        mut meet: impl FnMut(&Simulator, &Pair, [&Decision; 2]) -> Result<(), String>,
    ) -> Result<Simulator, String> {
        let seed = self.seeds[number];
        let mut pair = Pair { policy: (self.policy.build)(), rule: (self.rule.build)() };
        pair.policy.reset(seed);
        pair.rule.reset(seed);
        let mut sim = Simulator::new(self.world(number)?);
        let mut patience = Patience::default();
        while sim.next_decision().is_some() {
            let view = sim.view();
            let [own, other] = [pair.policy.decide(&view), pair.rule.decide(&view)];
            patience.bear(pair.policy.name(), &view, &own)?;
            meet(&sim, &pair, [&own, &other])?;
            apply(&mut sim, pair.policy.name(), own)?;
        }
        Ok(sim)
    }

    fn world(&self, number: usize) -> Result<Arc<World>, String> {
        let world = (self.world)(number, self.seeds[number]);
        world.map(Arc::new).map_err(|why| format!("episode {number} cannot be generated: {why}"))
    }

    fn course(&self, number: usize) -> Result<Course, String> {
        let (mut decisions, mut differing) = (0, Vec::new());
        let sim = self.play(number, |sim, _, [own, other]| {
            let kind = difference(&sim.view(), own, other);
            differing.extend(kind.map(|kind| (decisions, kind)));
            decisions += 1;
            Ok(())
        })?;
        let mut alone = Simulator::new(self.world(number)?);
        let mut rule = (self.rule.build)();
        rule.reset(self.seeds[number]);
        finish_patiently(&mut alone, &mut *rule)?;
        Ok(Course { decisions, differing, policy: sim.cost().score(), rule: alone.cost().score() })
    }

    /// The decisions to be measured in each episode: of each kind as many as asked for, drawn without repetition.
    fn pick(&self, courses: &[Course], seed: u64) -> Vec<Vec<(usize, Difference)>> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut picked = vec![Vec::new(); courses.len()];
        for kind in Difference::ALL {
            let mut all: Vec<(usize, usize)> = Vec::new();
            for (number, course) in courses.iter().enumerate() {
                let mine = course.differing.iter().filter(|(_, difference)| *difference == kind);
                all.extend(mine.map(|&(decision, _)| (number, decision)));
            }
            all.shuffle(&mut random);
            for (number, decision) in all.into_iter().take(self.samples) {
                picked[number].push((decision, kind));
            }
        }
        picked.iter_mut().for_each(|decisions| decisions.sort_unstable());
        picked
    }

    /// The gains of the decisions that were picked, and whether the tail remembered.
    fn measure(&self, number: usize, picked: &[(usize, Difference)]) -> Result<(Vec<Gain>, bool), String> {
        let (mut gains, mut remembers) = (Vec::new(), true);
        let (mut left, mut decision) = (picked.iter().peekable(), 0);
        if picked.is_empty() {
            return Ok((gains, remembers));
        }
        self.play(number, |sim, pair, [own, other]| {
            if let Some(&(_, difference)) = left.next_if(|picked| picked.0 == decision) {
                let [mine, theirs] = [own, other].map(|choice| -> Result<_, String> {
                    let (mut tail, remembered) = self.tail(pair, number);
                    remembers &= remembered;
                    let mut copy = sim.clone();
                    apply(&mut copy, pair.policy.name(), choice.clone())?;
                    finish_patiently(&mut copy, &mut *tail)?;
                    Ok(copy.cost().score())
                });
                gains.push(Gain { decision, difference, gain: theirs? - mine? });
            }
            decision += 1;
            Ok(())
        })?;
        Ok((gains, remembers))
    }

    /// Who goes on, and whether it does so with all that it has seen.
    fn tail(&self, pair: &Pair, number: usize) -> (Box<dyn Policy>, bool) {
        let (own, contestant) = match self.tail {
            Tail::Rule => (&pair.rule, self.rule),
            Tail::Policy => (&pair.policy, self.policy),
        };
        match own.fork() {
            Some(fork) => (fork, true),
            None => {
                let mut fresh = (contestant.build)();
                fresh.reset(self.seeds[number]);
                (fresh, false)
            }
        }
    }
}

/// Both at the same point of an episode.
struct Pair {
    policy: Box<dyn Policy>,
    rule: Box<dyn Policy>,
}

impl Kind {
    /// What was found of a kind of difference, given the gains by episode; `None` if there is no such decision.
    fn new(difference: Difference, courses: &[Course], gains: &[Vec<Gain>], rule_mean: f64) -> Option<Kind> {
        let of = |course: &Course| course.differing.iter().filter(|(_, kind)| *kind == difference).count();
        let count: usize = courses.iter().map(of).sum();
        if count == 0 {
            return None;
        }
        let mine = |gains: &[Gain]| -> Vec<f64> {
            gains.iter().filter(|gain| gain.difference == difference).map(|gain| gain.gain).collect()
        };
        let by_episode: Vec<Vec<f64>> = gains.iter().map(|gains| mine(gains)).collect();
        let all = || by_episode.iter().flatten();
        let sums: Vec<f64> = by_episode.iter().map(|gains| gains.iter().sum()).collect();
        let counts: Vec<f64> = by_episode.iter().map(|gains| gains.len() as f64).collect();
        // Decisions of one episode are not independent; episodes are.
        let gain = paired_ratio(&sums, &counts);
        let scale = count as f64 / courses.len() as f64 / rule_mean;
        let contribution = Estimate { value: gain.value * scale, ci95: gain.ci95.map(|end| end * scale) };
        Some(Kind {
            difference,
            count,
            share: 0.0,
            measured: all().count(),
            better: all().filter(|gain| **gain > 0.0).count(),
            same: all().filter(|gain| **gain == 0.0).count(),
            measured_in: counts.iter().filter(|count| **count > 0.0).count(),
            gain,
            contribution,
            best: example(gains, difference, |one, other| one > other),
            worst: example(gains, difference, |one, other| one < other),
        })
    }
}

/// The first decision whose gain is more extreme than that of all others.
fn example(gains: &[Vec<Gain>], kind: Difference, beats: fn(f64, f64) -> bool) -> Option<Example> {
    let mut found: Option<Example> = None;
    for (episode, gains) in gains.iter().enumerate() {
        for &Gain { decision, gain, .. } in gains.iter().filter(|gain| gain.difference == kind) {
            if found.is_none_or(|found| beats(gain, found.gain)) {
                found = Some(Example { episode, decision, gain });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use yardmaster_env::spec::{Split, builtin};

    use super::*;

    fn compare(scenario: &str, [policy, rule]: [&str; 2], episodes: u64, samples: usize) -> Report {
        let scenario = builtin(scenario).unwrap();
        let seeds: Vec<u64> = (0..episodes).map(|number| Split::Test.seed(1, number)).collect();
        let [policy, rule] = [policy, rule].map(|name| Contestant::rule(name).unwrap());
        let world = |_, seed| scenario.world(seed).map_err(|error| error.to_string());
        let (seeds, tail) = (&seeds[..], Tail::Rule);
        let game = Match { policy: &policy, rule: &rule, world, seeds, samples, tail };
        let told = AtomicUsize::new(0);
        let report = report(&game, 0, || _ = told.fetch_add(1, Ordering::Relaxed)).unwrap();
        assert_eq!(told.into_inner() as u64, 2 * episodes);
        report
    }

    /// The performance difference lemma, which no wrong copy, tail or sign would pass.
    #[test]
    fn gains_of_all_decisions_add_up_to_the_whole_difference() {
        for (scenario, pair, episodes) in
            [("pool12", ["mct", "sjf"], 2), ("preempt", ["srpt", "mct"], 1), ("tiny", ["mct", "fcfs"], 9)]
        {
            let report = compare(scenario, pair, episodes, usize::MAX);
            assert!(report.tail_remembers && report.differing > 20, "{scenario}: {report:?}");
            let sum: f64 = report.kinds.iter().map(|kind| kind.contribution.value).sum();
            let whole = 1.0 - report.ratio.value;
            assert!((sum - whole).abs() < 1e-9, "{scenario}: {sum} is not {whole}");
            let counts: usize = report.kinds.iter().map(|kind| kind.measured).sum();
            assert_eq!(counts, report.differing);
        }
    }

    #[test]
    fn a_policy_does_not_differ_from_itself() {
        let report = compare("tiny", ["mct", "mct"], 2, 10);
        assert_eq!((report.differing, report.kinds.len(), report.ratio.value), (0, 0, 1.0));
        assert!(report.decisions > 0);
    }

    #[test]
    fn a_sample_is_of_the_size_asked_for() {
        let report = compare("pool12", ["mct", "fcfs"], 3, 4);
        for kind in &report.kinds {
            assert_eq!(kind.measured, kind.count.min(4), "{kind:?}");
            let (best, worst) = (kind.best.unwrap(), kind.worst.unwrap());
            assert!(best.gain >= worst.gain && kind.better + kind.same <= kind.measured);
        }
        let share: f64 = report.kinds.iter().map(|kind| kind.share).sum();
        assert!((share - report.differing as f64 / report.decisions as f64).abs() < 1e-12);
    }
}
