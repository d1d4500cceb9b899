//! The scheduler's environment: a simulator and its observer under the gym contract.

use std::sync::Arc;

use super::future::Future;
use super::{Env, EnvError, EpisodeStats, Padding, Spaces, Transition};
use crate::candidates::Candidates;
use crate::observe::{Observation, Observer};
use crate::sim::{Simulator, World};
use crate::units::{JobId, Span};
use crate::view::{Decision, View};

/// Where the episodes come from. Any `FnMut(u64) -> Arc<World> + Send` is one.
pub trait Episodes: Send {
    /// The world of the episode with this seed; the same for the same seed.
    fn world(&mut self, seed: u64) -> Arc<World>;
}

impl<F: FnMut(u64) -> Arc<World> + Send> Episodes for F {
    fn world(&mut self, seed: u64) -> Arc<World> {
        self(seed)
    }
}

/// How episodes are cut and measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Episodes that need more decisions are truncated after so many.
    pub max_decisions: Option<u64>,
    /// The rewards of a finished episode sum to -objective / `reward_scale`; positive.
    pub reward_scale: f64,
    /// Rows of the flat observation.
    pub padding: Padding,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { max_decisions: None, reward_scale: 1.0, padding: Padding::default() }
    }
}

/// What an action of the ragged interface led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepResult {
    /// -(cost since the last decision) / (weight of all jobs x `reward_scale`).
    pub reward: f64,
    /// Virtual time since the last decision; 0 between decisions of one moment.
    pub elapsed: Span,
    /// All work is done.
    pub terminated: bool,
    /// [`Settings::max_decisions`] was reached first.
    pub truncated: bool,
}

/// Schedules one world an episode.
///
/// A trainer uses the ragged interface ([`begin`](SchedulingEnv::begin), [`act`](SchedulingEnv::act),
/// [`observation`](SchedulingEnv::observation)); [`Env`] is the same in fixed shapes, see [`Padding`].
pub struct SchedulingEnv {
    episodes: Box<dyn Episodes>,
    settings: Settings,
    spaces: Spaces,
    observer: Observer,
    episode: Option<Episode>,
}

struct Episode {
    sim: Simulator,
    future: Future,
    seed: u64,
    /// Weight of all jobs that can be served x `reward_scale`.
    normaliser: f64,
    /// Cost that rewards have accounted for.
    charged: f64,
    episode_return: f64,
    length: u64,
    clipped: u64,
    over: bool,
}

impl SchedulingEnv {
    /// An environment without an episode.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`].
    pub fn new(episodes: impl Episodes + 'static, settings: Settings) -> Result<SchedulingEnv, EnvError> {
        let bad = |setting, value, must| Err(EnvError::BadSetting { setting, value, must });
        let Settings { max_decisions, reward_scale, padding } = settings;
        if !(reward_scale > 0.0 && reward_scale.is_finite()) {
            return bad("reward_scale", reward_scale, "positive and finite");
        }
        if max_decisions == Some(0) {
            return bad("max_decisions", 0.0, "at least 1");
        }
        if padding.jobs.min(padding.nodes).min(padding.candidates) == 0 {
            return bad("padding", 0.0, "at least one row each");
        }
        Ok(SchedulingEnv {
            episodes: Box::new(episodes),
            settings,
            spaces: padding.spaces(),
            observer: Observer::default(),
            episode: None,
        })
    }

    /// Begins the episode of this seed.
    ///
    /// # Errors
    /// [`EnvError::NothingToDecide`]; the episode before then goes on.
    pub fn begin(&mut self, seed: u64) -> Result<(), EnvError> {
        self.begin_advised(seed, |_| None)
    }

    /// As [`begin`](SchedulingEnv::begin), with what a rule would do among the actions.
    ///
    /// # Errors
    /// [`EnvError::NothingToDecide`]; the episode before then goes on.
    pub fn begin_advised(
        &mut self,
        seed: u64,
        advise: impl FnOnce(&View<'_>) -> Option<Decision>,
    ) -> Result<(), EnvError> {
        let episode = self.prepare(seed)?;
        self.install(episode, advise);
        Ok(())
    }

    /// Takes action `action` of [`observation`](SchedulingEnv::observation) and runs to the next decision.
    ///
    /// # Errors
    /// [`EnvError::Over`] or [`EnvError::NoSuchAction`]; nothing has changed then.
    pub fn act(&mut self, action: usize) -> Result<StepResult, EnvError> {
        self.act_advised(action, |_| None)
    }

    /// As [`act`](SchedulingEnv::act), with what a rule would do next among the actions of the next decision.
    ///
    /// # Errors
    /// [`EnvError::Over`] or [`EnvError::NoSuchAction`]; nothing has changed then.
    pub fn act_advised(
        &mut self,
        action: usize,
        advise: impl FnOnce(&View<'_>) -> Option<Decision>,
    ) -> Result<StepResult, EnvError> {
        let episode = self.episode.as_mut().filter(|episode| !episode.over).ok_or(EnvError::Over)?;
        let candidates = &self.observer.candidates;
        let decision = candidates
            .decision(&episode.sim.view(), action)
            .ok_or(EnvError::NoSuchAction { action, actions: candidates.actions() })?;
        let before = episode.sim.now();
        episode.sim.apply(decision)?;
        let terminated = episode.sim.next_decision().is_none();
        let view = episode.sim.view();
        let advice = if terminated { None } else { advise(&view) };
        self.observer.observe(&view, advice);
        let reward = episode.charge();
        let truncated = !terminated && self.settings.max_decisions.is_some_and(|most| episode.length >= most);
        episode.over = terminated || truncated;
        Ok(StepResult { reward, elapsed: episode.sim.now() - before, terminated, truncated })
    }

    /// The present decision in numbers; empty before the first episode.
    pub fn observation(&self) -> &Observation {
        self.observer.observation()
    }

    /// What the actions of the observation stand for.
    pub fn candidates(&self) -> &Candidates {
        &self.observer.candidates
    }

    /// What a policy is shown; `None` before the first episode.
    pub fn view(&self) -> Option<View<'_>> {
        self.simulator().map(Simulator::view)
    }

    /// The simulation; `None` before the first episode.
    pub fn simulator(&self) -> Option<&Simulator> {
        self.episode.as_ref().map(|episode| &episode.sim)
    }

    /// How it went; `None` until the episode is over.
    pub fn stats(&self) -> Option<EpisodeStats> {
        self.episode.as_ref().filter(|episode| episode.over).map(Episode::stats)
    }

    /// Appends [`FUTURE`](super::FUTURE) privileged features: what is still to arrive, which no policy may see.
    /// Nothing before the first episode.
    pub fn future(&self, out: &mut Vec<f32>) {
        if let Some(episode) = &self.episode {
            episode.future.fill(&episode.sim, out);
        }
    }

    fn prepare(&mut self, seed: u64) -> Result<Episode, EnvError> {
        let world = self.episodes.world(seed);
        let mut episode = Episode {
            future: Future::new(&world),
            seed,
            normaliser: weight(&world) * self.settings.reward_scale,
            charged: 0.0,
            episode_return: 0.0,
            length: 0,
            clipped: 0,
            over: false,
            sim: Simulator::new(world),
        };
        match episode.sim.next_decision() {
            Some(_) => Ok(episode),
            None => Err(EnvError::NothingToDecide { seed }),
        }
    }

    fn install(&mut self, episode: Episode, advise: impl FnOnce(&View<'_>) -> Option<Decision>) {
        let view = episode.sim.view();
        let advice = advise(&view);
        self.observer.observe(&view, advice);
        self.episode = Some(episode);
    }

    /// Writes the observation, and nothing legal once all work is done.
    fn write(&mut self, terminated: bool, obs: &mut [f32], mask: &mut [bool]) {
        let clipped = self.settings.padding.write(self.observer.observation(), obs, mask);
        if terminated {
            mask.fill(false);
        }
        if let Some(episode) = &mut self.episode {
            episode.clipped += clipped;
        }
    }

    /// The ragged action that a flat one stands for.
    fn ragged(&self, action: usize) -> Result<usize, EnvError> {
        if self.episode.as_ref().is_none_or(|episode| episode.over) {
            return Err(EnvError::Over);
        }
        let observation = self.observer.observation();
        let wait = self.settings.padding.candidates;
        match action {
            action if action > wait => Err(EnvError::NoSuchAction { action, actions: self.spaces.actions }),
            action if action == wait && observation.wait => Ok(observation.pairs.len()),
            action if self.settings.padding.shows(observation, action) => Ok(action),
            action => Err(EnvError::Masked { action }),
        }
    }
}

impl Episode {
    /// The reward of the time since the last decision.
    fn charge(&mut self) -> f64 {
        let total = self.sim.cost().total();
        let reward = -(total - self.charged) / self.normaliser;
        self.charged = total;
        self.episode_return += reward;
        self.length += 1;
        reward
    }

    fn stats(&self) -> EpisodeStats {
        EpisodeStats {
            episode_return: self.episode_return,
            length: self.length,
            objective: self.sim.cost().score(),
            seed: self.seed,
            clipped: self.clipped,
        }
    }
}

/// Weight of all jobs that can be served, which is what the objective divides by; 1 where all weights are 0.
fn weight(world: &World) -> f64 {
    let served = |at: &usize| world.shortest(JobId(*at as u32)).is_some();
    let jobs = &world.workload.jobs;
    let weight: f64 = (0..jobs.len()).filter(served).map(|at| jobs[at].weight).sum();
    if weight > 0.0 { weight } else { 1.0 }
}

impl Env for SchedulingEnv {
    fn spaces(&self) -> Spaces {
        self.spaces.clone()
    }

    fn reset(&mut self, seed: u64, obs: &mut [f32], mask: &mut [bool]) -> Result<(), EnvError> {
        self.spaces.fit(obs, mask)?;
        let episode = self.prepare(seed)?;
        let (kinds, rows) = (episode.sim.world().cluster.kinds().len(), self.settings.padding.nodes);
        if kinds > rows {
            return Err(EnvError::TooManyKinds { kinds, rows });
        }
        self.install(episode, |_| None);
        self.write(false, obs, mask);
        Ok(())
    }

    fn accepts(&self, action: usize) -> Result<(), EnvError> {
        self.ragged(action).map(|_| ())
    }

    fn step(&mut self, action: usize, obs: &mut [f32], mask: &mut [bool]) -> Result<Transition, EnvError> {
        self.spaces.fit(obs, mask)?;
        let action = self.ragged(action)?;
        let StepResult { reward, terminated, truncated, .. } = self.act(action)?;
        self.write(terminated, obs, mask);
        Ok(Transition { reward, terminated, truncated, stats: self.stats() })
    }
}

#[cfg(test)]
#[path = "scheduling_tests.rs"]
mod tests;
