//! Paired evaluation: every policy plays the same episodes.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::prelude::*;
use yardmaster_env::metrics::Metrics;
use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::spec::Scenario;
use yardmaster_env::view::{Decision, View};

use crate::comparison::{Entrant, rows};
pub use crate::comparison::{Played, Ratio, Row, Summary};
use crate::learned::Learned;
use crate::net::PolicyNet;
use crate::policy::{Policy, PolicyDefect, play};
use crate::registry::{self, RegistryError};
use crate::search::futures::Futures;
use crate::search::{Search, Settings};

/// A policy that waits so often in a row, with work to do and nothing running, waits for ever.
const IDLE_WAITS: u32 = 20_000;

/// A policy that takes part, built afresh for each episode.
pub struct Contestant {
    /// Its name in the table.
    pub name: String,
    /// Its name with the parameters that it was given, where those were tuned.
    pub tuned: Option<String>,
    /// Builds it.
    pub build: Box<dyn Fn() -> Box<dyn Policy> + Send + Sync>,
}

impl Contestant {
    /// A rule of the registry.
    pub fn rule(name: &str) -> Result<Contestant, RegistryError> {
        registry::build(name)?;
        let rule = name.to_owned();
        #[allow(clippy::unwrap_used, reason = "built above, and building has no other input")]
        let build = Box::new(move || registry::build(&rule).unwrap());
        Ok(Contestant { name: name.to_owned(), tuned: None, build })
    }

    /// A rule that may look ahead in this scenario, if there is one. It stands in the table as `name` and plays as
    /// `tuned`, the same with other parameters, if that is given.
    ///
    /// # Errors
    /// As [`registry::build`].
    pub fn tuned_rule(
        name: &str,
        tuned: Option<&str>,
        scenario: Option<&Scenario>,
    ) -> Result<Contestant, RegistryError> {
        let plays_as = tuned.unwrap_or(name);
        let mut contestant = match (Settings::parse(plays_as)?, scenario) {
            (Some(settings), Some(scenario)) => {
                Contestant::search(plays_as, settings, Futures::of(scenario))?
            }
            _ => Contestant::rule(plays_as)?,
        };
        contestant.name = name.to_owned();
        contestant.tuned = tuned.map(str::to_owned);
        Ok(contestant)
    }

    /// A look-ahead; all that are built from it know the same episodes.
    fn search(name: &str, settings: Settings, futures: Futures) -> Result<Contestant, RegistryError> {
        Search::with_futures(name, settings.clone(), futures.clone())?;
        let own = name.to_owned();
        #[allow(clippy::unwrap_used, reason = "built above, and building has no other input")]
        let build = Box::new(move || -> Box<dyn Policy> {
            Box::new(Search::with_futures(own.as_str(), settings.clone(), futures.clone()).unwrap())
        });
        Ok(Contestant { name: name.to_owned(), tuned: None, build })
    }

    /// A network with its prior rule.
    pub fn learned(name: &str, net: Arc<PolicyNet>, prior: &str) -> Result<Contestant, RegistryError> {
        Learned::new(name, Arc::clone(&net), prior)?;
        let (own, prior) = (name.to_owned(), prior.to_owned());
        #[allow(clippy::unwrap_used, reason = "built above, and building has no other input")]
        let build = Box::new(move || -> Box<dyn Policy> {
            Box::new(Learned::new(own.as_str(), Arc::clone(&net), &prior).unwrap())
        });
        Ok(Contestant { name: name.to_owned(), tuned: None, build })
    }

    /// With what it has played.
    pub fn with<'a>(&'a self, episodes: &'a [Played]) -> Entrant<'a> {
        Entrant { policy: &self.name, tuned: self.tuned.as_deref(), episodes }
    }

    /// Plays an episode.
    pub fn play(&self, world: &Arc<World>, seed: u64) -> Result<Played, PolicyDefect> {
        Ok(Played::from(&Metrics::of(&play(world, &mut *(self.build)(), seed)?)))
    }

    /// Plays an episode; a policy that panics, or waits for ever, has failed like one that decides against the rules.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn try_play(&self, world: &Arc<World>, seed: u64) -> Result<Played, String> {
        let play = || Ok(Played::from(&Metrics::of(&play_patiently(world, &mut *(self.build)(), seed)?)));
        // What is left of a policy or simulator that panicked is dropped and seen by nobody.
        catch_unwind(AssertUnwindSafe(play))
            .unwrap_or_else(|payload| Err(format!("policy {} panicked: {}", self.name, words(&*payload))))
    }
}

/// As [`play`], but for a policy that waits again and again though nothing runs.
fn play_patiently(world: &Arc<World>, policy: &mut dyn Policy, seed: u64) -> Result<Simulator, String> {
    let mut sim = Simulator::new(Arc::clone(world));
    policy.reset(seed);
    finish_patiently(&mut sim, policy)?;
    Ok(sim)
}

/// Lets a policy decide all that is left of a simulation.
///
/// # Errors
/// A policy that decides against the rules, or waits for ever.
pub(crate) fn finish_patiently(sim: &mut Simulator, policy: &mut dyn Policy) -> Result<(), String> {
    let mut patience = Patience::default();
    while let Some(view) = sim.next_decision() {
        let decision = policy.decide(&view);
        patience.bear(policy.name(), &view, &decision)?;
        apply(sim, policy.name(), decision)?;
    }
    Ok(())
}

/// Carries out what a policy has decided.
///
/// # Errors
/// An illegal decision, for people.
pub(crate) fn apply(sim: &mut Simulator, policy: &str, decision: Decision) -> Result<(), String> {
    sim.apply(decision)
        .map_err(|why| PolicyDefect { policy: policy.to_owned(), now_ns: sim.now().0, why }.to_string())
}

/// How often a policy has waited in a row, with work to do and nothing running.
#[derive(Default)]
pub(crate) struct Patience {
    idle_waits: u32,
}

impl Patience {
    /// Bears with another decision.
    ///
    /// # Errors
    /// A policy that waits for ever.
    pub(crate) fn bear(&mut self, policy: &str, view: &View<'_>, decision: &Decision) -> Result<(), String> {
        let waits = view.running.is_empty() && matches!(decision, Decision::Wait { .. });
        self.idle_waits = if waits { self.idle_waits + 1 } else { 0 };
        if self.idle_waits <= IDLE_WAITS {
            return Ok(());
        }
        let now_s = view.now.as_secs_f64();
        Err(format!(
            "policy {policy} does not come to an end: at {now_s} s it has waited {IDLE_WAITS} times in a row with \
             work to do and nothing running"
        ))
    }
}

/// What a panic said.
fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

/// The episodes of a comparison, each generated when it is first played and kept no longer than it is needed.
pub struct Episodes<W> {
    generate: W,
    seeds: Vec<u64>,
    /// (episodes)
    open: Vec<Mutex<Open>>,
}

/// An episode while somebody has yet to play it.
struct Open {
    world: Arc<OnceLock<Result<Arc<World>, String>>>,
    left: usize,
}

impl<W: Fn(usize, u64) -> Result<World, String> + Sync> Episodes<W> {
    /// Episodes of these seeds, each with how many will play it; `generate` is told number and seed.
    pub fn new(generate: W, seeds: &[u64], plays: &[usize]) -> Episodes<W> {
        debug_assert_eq!(seeds.len(), plays.len());
        let open = plays.iter().map(|&left| Mutex::new(Open { world: Arc::default(), left }));
        Episodes { open: open.collect(), generate, seeds: seeds.to_vec() }
    }

    /// The seed of an episode.
    pub fn seed(&self, number: usize) -> u64 {
        self.seeds[number]
    }

    /// The world of an episode, or why there is none.
    pub fn world(&self, number: usize) -> Result<Arc<World>, String> {
        let mut open = self.open[number].lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(&open.world);
        open.left = open.left.saturating_sub(1);
        if open.left == 0 {
            open.world = Arc::default();
        }
        drop(open);
        slot.get_or_init(|| (self.generate)(number, self.seeds[number]).map(Arc::new)).clone()
    }
}

/// Does the work of each number below `count` once, in their order, on all threads: whoever is free takes the next, so
/// that long and short work is shared out evenly.
pub fn in_order(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&number| number < count) {
            work(number);
        }
    };
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads().min(count) {
            scope.spawn(|_| worker());
        }
    });
}

/// Plays every episode with every contestant, in parallel over episodes. `done` is called after each episode.
///
/// The result depends on the seeds alone, not on the number of threads.
pub fn evaluate<W, E>(
    contestants: &[Contestant],
    seeds: &[u64],
    world: W,
    done: impl Fn() + Sync,
) -> Result<Vec<Row>, E>
where
    W: Fn(u64) -> Result<Arc<World>, E> + Sync,
    E: From<PolicyDefect> + Send,
{
    let episode = |&seed: &u64| -> Result<Vec<Played>, E> {
        let world = world(seed)?;
        let row = contestants.iter().map(|contestant| Ok(contestant.play(&world, seed)?));
        let row = row.collect::<Result<_, E>>();
        done();
        row
    };
    let episodes: Vec<Vec<Played>> = seeds.par_iter().map(episode).collect::<Result<_, E>>()?;
    let of = |at: usize| episodes.iter().map(|row| row[at].clone()).collect();
    let played: Vec<Vec<Played>> = (0..contestants.len()).map(of).collect();
    let entrants: Vec<Entrant<'_>> =
        contestants.iter().zip(&played).map(|(contestant, episodes)| contestant.with(episodes)).collect();
    Ok(rows(&entrants))
}

#[cfg(test)]
mod tests {
    use super::*;
    use yardmaster_env::spec::{Split, builtin};

    /// Breaks off in the way that it is told to.
    struct Broken(bool);

    impl Policy for Broken {
        fn name(&self) -> &str {
            "broken"
        }

        fn decide(&mut self, view: &View<'_>) -> Decision {
            assert!(self.0, "no decision at {}", view.now.0);
            Decision::Wait { until: None }
        }
    }

    fn broken(waits: bool) -> Contestant {
        Contestant { name: "broken".into(), tuned: None, build: Box::new(move || Box::new(Broken(waits))) }
    }

    #[test]
    fn what_breaks_off_says_why() {
        let world = Arc::new(builtin("tiny").unwrap().world(Split::Test.seed(0, 0)).unwrap());
        let panicked = broken(false).try_play(&world, 0).unwrap_err();
        assert!(panicked.starts_with("policy broken panicked: no decision at "), "{panicked}");
        let illegal = broken(true).try_play(&world, 0).unwrap_err();
        assert!(illegal.starts_with("policy broken made an illegal decision at "), "{illegal}");
    }

    #[test]
    fn every_number_is_worked_on_once() {
        let counts: Vec<AtomicUsize> = (0..1000).map(|_| AtomicUsize::new(0)).collect();
        in_order(counts.len(), |at| _ = counts[at].fetch_add(1, Ordering::Relaxed));
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        in_order(0, |_| panic!("there is nothing to do"));
    }

    #[test]
    fn an_episode_is_generated_once_while_it_is_needed() {
        let generated = AtomicUsize::new(0);
        let generate = |_, seed| {
            generated.fetch_add(1, Ordering::Relaxed);
            builtin("tiny").unwrap().world(seed).map_err(|error| error.to_string())
        };
        let episodes = Episodes::new(generate, &[7, 8], &[2, 1]);
        let [one, other] = [0, 0].map(|number| episodes.world(number).unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        drop(one);
        assert_eq!(Arc::strong_count(&other), 1, "nobody else plays it");
        episodes.world(1).unwrap();
        assert_eq!((generated.load(Ordering::Relaxed), episodes.seed(1)), (2, 8));
    }
}
