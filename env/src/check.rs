//! Does an environment keep the gym contract? As Gymnasium's `env_checker`, with masks.
//!
//! Shows the presence of defects: it plays a few random episodes, not all. It cannot see whether a seed matters.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::gym::{Env, EnvError, Spaces, Transition};

/// Episodes longer than this are left unfinished.
const MAX_STEPS: usize = 500;

/// What is wrong with an environment. Steps count from 1; step 0 is the reset.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum CheckFailure {
    #[error("the spaces are wrong: {why}")]
    BadSpaces { why: String },
    #[error("the spaces changed in use")]
    SpacesChanged,
    #[error("seed {seed}, step {step}: observation[{at}] is {value}")]
    NotFinite { seed: u64, step: usize, at: usize, value: f32 },
    #[error("seed {seed}, step {step}: the reward is {reward}")]
    BadReward { seed: u64, step: usize, reward: f64 },
    #[error("seed {seed}, step {step}: the episode goes on, but no action is legal")]
    NothingLegal { seed: u64, step: usize },
    #[error("seed {seed}, step {step}: terminated and truncated at once")]
    BothEnds { seed: u64, step: usize },
    #[error("seed {seed}, step {step}: {why}")]
    BadStats { seed: u64, step: usize, why: &'static str },
    #[error("seed {seed}: a second reset gives another observation or mask")]
    ResetDiffers { seed: u64 },
    #[error("seed {seed}, step {step}: the same actions give another trajectory")]
    TrajectoryDiffers { seed: u64, step: usize },
    #[error("seed {seed}: a finished episode takes another step")]
    StepAfterEnd { seed: u64 },
    #[error("seed {seed}, step {step}: illegal action {action} is taken")]
    IllegalTaken { seed: u64, step: usize, action: usize },
    #[error("seed {seed}, step {step}: a {buffer} buffer of wrong length {found} is taken")]
    WrongLengthTaken { seed: u64, step: usize, buffer: &'static str, found: usize },
    #[error("seed {seed}, step {step}: a refused call wrote into the buffers")]
    RefusalWrote { seed: u64, step: usize },
    #[error("seed {seed}, step {step}: a refused call before it changed the trajectory")]
    RefusalChanged { seed: u64, step: usize },
    #[error("seed {seed}, step {step}: `accepts` and the mask differ on action {action}")]
    AcceptsDiffers { seed: u64, step: usize, action: usize },
    #[error("seed {seed}, step {step}: a legal call was refused: {why}")]
    Refused { seed: u64, step: usize, why: EnvError },
}

/// Plays random episodes and checks every promise of [`Env`] that can be checked from outside.
///
/// # Errors
/// The first broken promise.
pub fn check_env<E: Env>(env: &mut E) -> Result<(), CheckFailure> {
    let spaces = env.spaces();
    check_spaces(&spaces)?;
    for seed in [0, 1, u64::MAX] {
        let first = Episode::new(seed, &spaces).play(env, false)?;
        let again = Episode::new(seed, &spaces).play(env, false)?;
        match first.differs(&again) {
            None => {}
            Some(0) => return Err(CheckFailure::ResetDiffers { seed }),
            Some(step) => return Err(CheckFailure::TrajectoryDiffers { seed, step }),
        }
        let disturbed = Episode::new(seed, &spaces).play(env, true)?;
        if let Some(step) = first.differs(&disturbed) {
            return Err(CheckFailure::RefusalChanged { seed, step });
        }
    }
    if env.spaces() == spaces { Ok(()) } else { Err(CheckFailure::SpacesChanged) }
}

fn check_spaces(spaces: &Spaces) -> Result<(), CheckFailure> {
    let bad = |why: String| Err(CheckFailure::BadSpaces { why });
    let mut end = 0;
    for (at, block) in spaces.observation.iter().enumerate() {
        let name = &block.name;
        if block.offset != end {
            return bad(format!("block {name} begins at {}, the one before ends at {end}", block.offset));
        }
        if block.rows * block.columns == 0 {
            return bad(format!("block {name} is empty"));
        }
        if spaces.observation[..at].iter().any(|other| other.name == *name) {
            return bad(format!("two blocks are called {name}"));
        }
        end = block.end();
    }
    match (end, spaces.actions) {
        (0, _) => bad("the observation is empty".into()),
        (_, 0) => bad("there are no actions".into()),
        _ => Ok(()),
    }
}

/// Everything an environment gave out at one step.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    obs: Vec<f32>,
    mask: Vec<bool>,
    transition: Option<Transition>,
}

/// An episode under way, and what it gave out.
struct Episode<'a> {
    seed: u64,
    spaces: &'a Spaces,
    rng: Xoshiro256PlusPlus,
    obs: Vec<f32>,
    mask: Vec<bool>,
    episode_return: f64,
    frames: Vec<Frame>,
}

impl<'a> Episode<'a> {
    fn new(seed: u64, spaces: &'a Spaces) -> Episode<'a> {
        Episode {
            seed,
            spaces,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            obs: vec![0.0; spaces.observation_len()],
            mask: vec![false; spaces.actions],
            episode_return: 0.0,
            frames: Vec::new(),
        }
    }

    /// The step being made; 0 is the reset.
    fn step(&self) -> usize {
        self.frames.len()
    }

    /// The first step at which two episodes differ.
    fn differs(&self, other: &Episode<'_>) -> Option<usize> {
        let longest = self.frames.len().max(other.frames.len());
        (0..longest).find(|&step| self.frames.get(step) != other.frames.get(step))
    }

    /// Plays random legal actions; `disturb` puts calls that must be refused in between.
    fn play<E: Env>(mut self, env: &mut E, disturb: bool) -> Result<Self, CheckFailure> {
        if disturb {
            self.disturb_lengths(|obs, mask| env.reset(self.seed, obs, mask))?;
        }
        env.reset(self.seed, &mut self.obs, &mut self.mask).map_err(|why| self.refused(why))?;
        self.record(None)?;
        while self.step() <= MAX_STEPS {
            let action = self.choose();
            if disturb {
                self.disturb(env, action)?;
            }
            self.check_accepts(env)?;
            let transition =
                env.step(action, &mut self.obs, &mut self.mask).map_err(|why| self.refused(why))?;
            let over = transition.terminated || transition.truncated;
            self.record(Some(transition))?;
            if over {
                self.check_over(env, action)?;
                break;
            }
        }
        Ok(self)
    }

    fn refused(&self, why: EnvError) -> CheckFailure {
        CheckFailure::Refused { seed: self.seed, step: self.step(), why }
    }

    /// A random legal action; `record` has seen that there is one.
    fn choose(&mut self) -> usize {
        let legal: Vec<usize> = (0..self.mask.len()).filter(|&action| self.mask[action]).collect();
        legal[self.rng.random_range(0..legal.len())]
    }

    /// Checks what the environment gave out, and keeps it.
    fn record(&mut self, transition: Option<Transition>) -> Result<(), CheckFailure> {
        let (seed, step) = (self.seed, self.step());
        if let Some((at, &value)) = self.obs.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(CheckFailure::NotFinite { seed, step, at, value });
        }
        if let Some(transition) = &transition {
            self.episode_return += transition.reward;
            self.check_transition(transition)?;
        }
        let over =
            transition.as_ref().is_some_and(|transition| transition.terminated || transition.truncated);
        if !over && !self.mask.contains(&true) {
            return Err(CheckFailure::NothingLegal { seed, step });
        }
        self.frames.push(Frame { obs: self.obs.clone(), mask: self.mask.clone(), transition });
        Ok(())
    }

    fn check_transition(&self, transition: &Transition) -> Result<(), CheckFailure> {
        let (seed, step) = (self.seed, self.step());
        let Transition { reward, terminated, truncated, ref stats } = *transition;
        let bad = |why| Err(CheckFailure::BadStats { seed, step, why });
        if !reward.is_finite() {
            return Err(CheckFailure::BadReward { seed, step, reward });
        }
        if terminated && truncated {
            return Err(CheckFailure::BothEnds { seed, step });
        }
        let Some(stats) = stats else {
            let over = terminated || truncated;
            return if over { bad("the episode is over, but has no statistics") } else { Ok(()) };
        };
        let gap = (stats.episode_return - self.episode_return).abs();
        match () {
            () if !(terminated || truncated) => bad("statistics of an episode that goes on"),
            () if stats.length != step as u64 => bad("the length is not the number of steps"),
            () if stats.seed != seed => bad("the seed is not that of the reset"),
            () if gap.is_nan() || gap > 1e-6 * (1.0 + self.episode_return.abs()) => {
                bad("the return is not the sum of rewards")
            }
            () => Ok(()),
        }
    }

    /// `accepts` must say what the mask says.
    fn check_accepts<E: Env>(&self, env: &E) -> Result<(), CheckFailure> {
        match (0..self.mask.len()).find(|&action| env.accepts(action).is_ok() != self.mask[action]) {
            Some(action) => Err(CheckFailure::AcceptsDiffers { seed: self.seed, step: self.step(), action }),
            None => Ok(()),
        }
    }

    fn check_over<E: Env>(&mut self, env: &mut E, action: usize) -> Result<(), CheckFailure> {
        let taken = |episode: &Episode<'_>| CheckFailure::StepAfterEnd { seed: episode.seed };
        for action in (0..self.spaces.actions).chain([action]) {
            if env.accepts(action).is_ok() || env.step(action, &mut self.obs, &mut self.mask).is_ok() {
                return Err(taken(self));
            }
        }
        self.unwritten(&self.obs, &self.mask)
    }

    /// Illegal actions, and a legal one with buffers of wrong lengths.
    fn disturb<E: Env>(&mut self, env: &mut E, action: usize) -> Result<(), CheckFailure> {
        let masked = self.mask.iter().position(|legal| !legal);
        for action in [Some(self.spaces.actions), Some(usize::MAX), masked].into_iter().flatten() {
            let (mut obs, mut mask) = (self.obs.clone(), self.mask.clone());
            if env.accepts(action).is_ok() || env.step(action, &mut obs, &mut mask).is_ok() {
                return Err(CheckFailure::IllegalTaken { seed: self.seed, step: self.step(), action });
            }
            self.unwritten(&obs, &mask)?;
        }
        self.disturb_lengths(|obs, mask| env.step(action, obs, mask).map(|_| ()))
    }

    fn disturb_lengths(
        &self,
        mut call: impl FnMut(&mut [f32], &mut [bool]) -> Result<(), EnvError>,
    ) -> Result<(), CheckFailure> {
        let (obs, mask) = (self.obs.len(), self.mask.len());
        let lengths = [(obs - 1, mask), (obs + 1, mask), (obs, mask - 1), (obs, mask + 1)];
        for (at, (obs_len, mask_len)) in lengths.into_iter().enumerate() {
            let (mut obs, mut mask) = (vec![7.0; obs_len], vec![true; mask_len]);
            if call(&mut obs, &mut mask).is_ok() {
                let (buffer, found) = if at < 2 { ("observation", obs_len) } else { ("mask", mask_len) };
                let (seed, step) = (self.seed, self.step());
                return Err(CheckFailure::WrongLengthTaken { seed, step, buffer, found });
            }
            if obs.iter().any(|&value| value != 7.0) || mask.contains(&false) {
                return Err(CheckFailure::RefusalWrote { seed: self.seed, step: self.step() });
            }
        }
        Ok(())
    }

    /// Whether refused calls left these buffers as the last step wrote them.
    fn unwritten(&self, obs: &[f32], mask: &[bool]) -> Result<(), CheckFailure> {
        let same = self.frames.last().is_some_and(|frame| frame.obs == obs && frame.mask == mask);
        if same { Ok(()) } else { Err(CheckFailure::RefusalWrote { seed: self.seed, step: self.step() }) }
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
