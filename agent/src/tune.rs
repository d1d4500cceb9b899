//! Choosing the parameters of a rule: on common random numbers, the whole grid where it is small, else one parameter
//! after the other, with the worse half of the candidates dropped before more episodes are spent on the rest (successive
//! halving: Karnin, Koren and Somekh 2013).
//!
//! The best of many is best by luck in part. What was found therefore plays as many other episodes against the rule as it
//! was, and is taken only if it is better there, by a paired 95 % interval.

use std::collections::HashMap;

use crate::registry::{self, Parameter, RegistryError};
use crate::stats;

/// At most so many combinations are tried one and all.
pub const GRID: usize = 64;
/// How often each parameter of a larger grid is looked at again.
const SWEEPS: usize = 3;
/// Episodes after which the first half of the candidates is dropped.
const FIRST: usize = 8;

/// Why a rule cannot be tuned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TuneError {
    /// Its name is wrong.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It has no number that could be another one.
    #[error("policy {policy} has no parameter to tune; `yardmaster policies` lists which rules have some")]
    Nothing {
        /// Its name.
        policy: String,
    },
    /// It does not come through with the values it has.
    #[error("policy {policy} cannot be tuned: {why}")]
    Failed {
        /// Its name.
        policy: String,
        /// What went wrong.
        why: String,
    },
}

/// What tuning a rule has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The name with the best values; that of the rule as it was given where none are clearly better.
    pub name: String,
    /// The name with the values that were best where they were chosen, whether they have been confirmed or not.
    pub found: String,
    /// The objective before, of each episode that nothing was chosen on.
    pub before: Vec<f64>,
    /// The same with the values of `name`.
    pub after: Vec<f64>,
    /// Combinations that were tried, on some episodes at least.
    pub tried: usize,
}

/// Tunes the parameters that a policy's name leaves open, on so many episodes, and confirms what was found on as many that
/// follow. `play` is asked for the objective, or why there is none, of policies in episodes (by number, below twice
/// `episodes`), and may do all of them at once; the answers are in their order.
///
/// # Errors
/// A name that is wrong or has nothing to tune; a rule that fails as it is.
pub fn tune<P>(policy: &str, episodes: usize, play: P) -> Result<Tuning, TuneError>
where
    P: Fn(&[(String, usize)]) -> Vec<Result<f64, String>>,
{
    let axes = axes(policy)?;
    if axes.is_empty() {
        return Err(TuneError::Nothing { policy: policy.to_owned() });
    }
    let mut search = Search { policy, axes, episodes: episodes.max(1), play, scores: HashMap::new() };
    let start = search.start();
    search.advance(std::slice::from_ref(&start), search.episodes)?;
    search.confirmed(&start)?;
    let best = search.run(start.clone())?;
    let tried = search.scores.len();
    let name = |choice: &Choice| if *choice == start { Ok(policy.to_owned()) } else { search.name(choice) };
    let (found, given) = (name(&best)?, policy.to_owned());
    search.advance(&[start.clone(), best.clone()], 2 * search.episodes)?;
    let before = search.confirmed(&start)?;
    // What was chosen and then fails is not taken.
    let clear = |after: &Vec<f64>| after.len() > 1 && stats::paired_ratio(after, &before).below(1.0);
    let after = search.confirmed(&best).ok().filter(clear);
    Ok(match after {
        Some(after) => Tuning { name: found.clone(), found, before, after, tried },
        None => Tuning { name: given, found, after: before.clone(), before, tried },
    })
}

/// Whether there is anything to tune.
pub fn has_parameters(policy: &str) -> Result<bool, RegistryError> {
    Ok(!axes(policy)?.is_empty())
}

/// A parameter that is free to change.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Which part of the name has it.
    part: usize,
    parameter: &'static Parameter,
}

/// The parameters with several values to try that a name does not give.
fn axes(policy: &str) -> Result<Vec<Axis>, RegistryError> {
    let mut axes = Vec::new();
    for (part, (_, parameters)) in registry::parameters(policy)?.into_iter().enumerate() {
        let is_given = |parameter: &&Parameter| policy.contains(&format!("{}=", parameter.name));
        let free = parameters.iter().filter(|parameter| parameter.tries.len() > 1 && !is_given(parameter));
        axes.extend(free.map(|parameter| Axis { part, parameter }));
    }
    Ok(axes)
}

/// (axes): which of the values of each parameter; `None` is the default, which is in no name.
type Choice = Vec<Option<usize>>;

struct Search<'a, P> {
    policy: &'a str,
    axes: Vec<Axis>,
    episodes: usize,
    play: P,
    /// The objective in the first episodes, as far as it has been asked for.
    scores: HashMap<Choice, Vec<Result<f64, String>>>,
}

impl<P: Fn(&[(String, usize)]) -> Vec<Result<f64, String>>> Search<'_, P> {
    /// The defaults.
    fn start(&self) -> Choice {
        vec![None; self.axes.len()]
    }

    fn run(&mut self, start: Choice) -> Result<Choice, TuneError> {
        let all = (0..self.axes.len()).map(|at| self.tries(at).len()).try_fold(1_usize, usize::checked_mul);
        if all.is_some_and(|all| all <= GRID) {
            let grid = (0..self.axes.len()).fold(vec![start.clone()], |grid, at| self.spread(grid, at));
            return self.race(start, grid);
        }
        let mut best = start;
        for _ in 0..SWEEPS {
            let before = best.clone();
            for at in 0..self.axes.len() {
                let line = self.spread(vec![best.clone()], at);
                best = self.race(best, line)?;
            }
            if best == before {
                break;
            }
        }
        Ok(best)
    }

    /// What a parameter can be: its default first.
    fn tries(&self, at: usize) -> Vec<Option<usize>> {
        let parameter = self.axes[at].parameter;
        let others = parameter.tries.iter().enumerate().filter(|(_, value)| **value != parameter.default);
        std::iter::once(None).chain(others.map(|(which, _)| Some(which))).collect()
    }

    /// Each choice with every value of one parameter.
    fn spread(&self, choices: Vec<Choice>, at: usize) -> Vec<Choice> {
        let tries = self.tries(at);
        let with = |choice: &Choice, which| {
            let mut choice = choice.clone();
            choice[at] = which;
            choice
        };
        choices
            .iter()
            .flat_map(|choice| tries.iter().map(|&which| with(choice, which)).collect::<Vec<_>>())
            .collect()
    }

    /// The best of the candidates; `holder` where none is better in all episodes.
    fn race(&mut self, holder: Choice, mut alive: Vec<Choice>) -> Result<Choice, TuneError> {
        alive.retain(|choice| *choice != holder);
        let mut count = FIRST.min(self.episodes);
        while alive.len() > 1 && count < self.episodes {
            self.advance(&alive, count)?;
            self.sort(&mut alive, count);
            alive.truncate(alive.len().div_ceil(2));
            count = (2 * count).min(self.episodes);
        }
        alive.push(holder);
        // A stable sort: of equals the holder stays, as the first.
        alive.rotate_right(1);
        self.advance(&alive, self.episodes)?;
        self.sort(&mut alive, self.episodes);
        Ok(alive.swap_remove(0))
    }

    /// Plays whatever of the first `count` episodes these candidates have not played.
    fn advance(&mut self, choices: &[Choice], count: usize) -> Result<(), TuneError> {
        let mut asked = Vec::new();
        for choice in choices {
            let known = self.scores.get(choice).map_or(0, Vec::len);
            let name = self.name(choice)?;
            asked.extend((known..count).map(|episode| (choice, (name.clone(), episode))));
        }
        let (choices, plays): (Vec<&Choice>, Vec<(String, usize)>) = asked.into_iter().unzip();
        for (choice, score) in choices.into_iter().zip((self.play)(&plays)) {
            self.scores.entry(choice.clone()).or_default().push(score);
        }
        Ok(())
    }

    /// Best first; those that fail last.
    fn sort(&self, choices: &mut [Choice], count: usize) {
        let mean = |choice: &Choice| -> f64 {
            let scores = self.scores.get(choice).map_or(&[][..], |scores| &scores[..count.min(scores.len())]);
            scores.iter().map(|score| *score.as_ref().unwrap_or(&f64::INFINITY)).sum()
        };
        choices.sort_by(|one, other| mean(one).total_cmp(&mean(other)));
    }

    /// The objective in each of the episodes played that nothing is chosen on.
    fn confirmed(&self, choice: &Choice) -> Result<Vec<f64>, TuneError> {
        let scores = self.scores.get(choice).cloned().unwrap_or_default();
        let scores: Result<Vec<f64>, String> = scores.into_iter().collect();
        let mut scores = scores.map_err(|why| TuneError::Failed { policy: self.policy.to_owned(), why })?;
        Ok(scores.split_off(self.episodes.min(scores.len())))
    }

    fn name(&self, choice: &Choice) -> Result<String, RegistryError> {
        let values = self.axes.iter().zip(choice).filter_map(|(axis, which)| {
            Some((axis.part, axis.parameter.name, axis.parameter.tries[(*which)?]))
        });
        registry::with_values(self.policy, &values.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Episodes of different difficulty; the policy is as bad as its value is far from `best`.
    fn bowl(best: f64, plays: &Cell<usize>) -> impl Fn(&[(String, usize)]) -> Vec<Result<f64, String>> {
        move |asked| {
            plays.set(plays.get() + asked.len());
            let value = |name: &str| -> Option<f64> {
                name.split_once("ms=")?.1.split([',', ')']).next()?.parse().ok()
            };
            let one = |(name, episode): &(String, usize)| {
                let value = value(name).unwrap_or(timeout().default);
                Ok((10.0 + (value - best).abs()) * (1 + episode % 7) as f64)
            };
            asked.iter().map(one).collect()
        }
    }

    fn timeout() -> &'static Parameter {
        let parts = registry::parameters("timeout").unwrap();
        parts[0].1.iter().find(|parameter| parameter.name == "ms").unwrap()
    }

    #[test]
    fn the_best_value_of_a_small_grid_is_found_with_fewer_plays_than_all() {
        let plays = Cell::new(0);
        let tries = timeout().tries;
        let best = *tries.iter().find(|value| **value != timeout().default).unwrap();
        let tuning = tune("fcfs+timeout", 64, bowl(best, &plays)).unwrap();
        assert_eq!(tuning.name, format!("fcfs+timeout(ms={best})"));
        assert!(tuning.after.iter().sum::<f64>() < tuning.before.iter().sum::<f64>());
        assert_eq!(tuning.found, tuning.name);
        assert_eq!((tuning.before.len(), tuning.after.len(), tuning.tried), (64, 64, tries.len()));
        assert!(plays.get() < 64 * tries.len(), "{} plays", plays.get());
    }

    /// Each value has luck of its own in each episode, and in the mean none.
    fn lottery(name: &str, episode: usize) -> f64 {
        use yardmaster_env::workload::derive_seed;
        let bytes = name.bytes().fold(1, |seed, byte| derive_seed(seed, u64::from(byte)));
        10.0 + (derive_seed(bytes, episode as u64) >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[test]
    fn luck_is_not_taken_for_a_better_value() {
        let play = |asked: &[(String, usize)]| {
            asked.iter().map(|(name, episode)| Ok(lottery(name, *episode))).collect()
        };
        let tuning = tune("price", 32, play).unwrap();
        assert_ne!(tuning.found, "price", "among so many one has more luck than the default");
        assert_eq!((tuning.name.as_str(), &tuning.before), ("price", &tuning.after));
        let means = [0..32, 32..64].map(|episodes| episodes.map(|at| lottery("price", at)).sum::<f64>());
        assert_eq!(tuning.before.iter().sum::<f64>(), means[1], "none of what was chosen on");
    }

    #[test]
    fn what_fails_on_other_episodes_is_not_taken() {
        let play = |asked: &[(String, usize)]| {
            let one = |(name, episode): &(String, usize)| match name.contains("ms=") {
                true if *episode >= 8 => Err("out of order".to_owned()),
                true => Ok(1.0),
                false => Ok(2.0),
            };
            asked.iter().map(one).collect()
        };
        let tuning = tune("fcfs+timeout", 8, play).unwrap();
        assert!(tuning.found.contains("ms="));
        assert_eq!((tuning.name.as_str(), tuning.after), ("fcfs+timeout", vec![2.0; 8]));
    }

    #[test]
    fn a_default_that_is_best_keeps_its_name() {
        let tuning = tune("fcfs+timeout", 16, bowl(timeout().default, &Cell::new(0))).unwrap();
        assert_eq!((tuning.name.as_str(), &tuning.before), ("fcfs+timeout", &tuning.after));
    }

    #[test]
    fn what_cannot_be_tuned_says_so() {
        let never = |_: &[(String, usize)]| -> Vec<Result<f64, String>> { panic!("nothing is to be played") };
        assert!(tune("fcfs", 4, never).unwrap_err().to_string().contains("no parameter to tune"));
        assert!(
            tune("fcfs+timeout(ms=3)", 4, never).unwrap_err().to_string().contains("no parameter to tune")
        );
        assert!(tune("timeuot", 4, never).unwrap_err().to_string().contains("did you mean timeout"));
        let broken = |asked: &[(String, usize)]| asked.iter().map(|_| Err("it broke".to_owned())).collect();
        let error = tune("fcfs+timeout", 4, broken).unwrap_err().to_string();
        assert_eq!(error, "policy fcfs+timeout cannot be tuned: it broke");
    }

    #[test]
    fn candidates_that_fail_lose() {
        let best = *timeout().tries.iter().find(|value| **value != timeout().default).unwrap();
        let play = |asked: &[(String, usize)]| {
            let one = |(name, _): &(String, usize)| {
                let fails = name.contains(&format!("ms={best})"));
                if fails {
                    Err("out of order".to_owned())
                } else {
                    Ok(if name.contains("ms=") { 2.0 } else { 1.0 })
                }
            };
            asked.iter().map(one).collect()
        };
        assert_eq!(tune("fcfs+timeout", 10, play).unwrap().name, "fcfs+timeout");
    }
}
