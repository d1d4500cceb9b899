//! The gym contract: an environment that writes into its caller's buffers.
//!
//! It is Gymnasium's, with two differences: an action mask belongs to each observation, and whatever an
//! environment refuses is an error that changes nothing. [`SchedulingEnv`] is the scheduler's environment,
//! [`VecEnv`] runs many of any kind; [`crate::check::check_env`] tells whether an implementation keeps the contract.

mod flat;
mod future;
mod scheduling;
#[cfg(test)]
pub(crate) mod testing;
mod vector;

use crate::sim::Illegal;

pub use flat::Padding;
pub use future::FUTURE;
pub use scheduling::{Episodes, SchedulingEnv, Settings, StepResult};
pub use vector::{Autoreset, Batch, BatchMut, VecEnv, episode_seed};

/// An environment with a flat observation and a masked, discrete action.
///
/// All that happens in an episode follows from its seed and its actions.
pub trait Env {
    /// The shapes of the buffers. The same for the whole life of the environment.
    fn spaces(&self) -> Spaces;

    /// Begins a new episode and writes its first observation and mask.
    ///
    /// # Errors
    /// [`EnvError::Length`] if a buffer does not fit the spaces, or another error if the episode cannot be begun.
    /// Nothing has changed then, and nothing was written.
    fn reset(&mut self, seed: u64, obs: &mut [f32], mask: &mut [bool]) -> Result<(), EnvError>;

    /// Whether [`Env::step`] would take this action now.
    ///
    /// # Errors
    /// [`EnvError::Over`], [`EnvError::NoSuchAction`] or [`EnvError::Masked`].
    fn accepts(&self, action: usize) -> Result<(), EnvError>;

    /// Takes an action and writes the next observation and mask. The observation of a finished episode is written
    /// as well; a terminated one has an empty mask.
    ///
    /// # Errors
    /// Those of [`Env::accepts`], and [`EnvError::Length`] if a buffer does not fit the spaces. Nothing has changed
    /// then, and nothing was written.
    fn step(&mut self, action: usize, obs: &mut [f32], mask: &mut [bool]) -> Result<Transition, EnvError>;
}

/// What a step led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Reward of the action.
    pub reward: f64,
    /// The episode reached its end: there is no value beyond it.
    pub terminated: bool,
    /// The episode was cut off; a learner takes the value of the last observation for what would have followed.
    pub truncated: bool,
    /// At the end of the episode, what it was like.
    pub stats: Option<EpisodeStats>,
}

/// What an episode was like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpisodeStats {
    /// Sum of rewards, undiscounted.
    pub episode_return: f64,
    /// Steps taken.
    pub length: u64,
    /// The score that the environment is about, in its own unit; of a truncated episode, the score so far.
    pub objective: f64,
    /// What the episode was begun with.
    pub seed: u64,
    /// Legal actions that the fixed shapes had no room for, summed over all steps.
    pub clipped: u64,
}

/// Shapes of an environment's buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spaces {
    /// The parts of the observation, in order and without gaps.
    pub observation: Vec<Block>,
    /// Number of actions, `0..actions`; the length of the mask, which is true where an action is legal.
    pub actions: usize,
}

/// A named part of a flat observation: a matrix, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it holds.
    pub name: String,
    /// Where it begins in the observation.
    pub offset: usize,
    /// Rows.
    pub rows: usize,
    /// Values in a row.
    pub columns: usize,
}

impl Spaces {
    /// Spaces of these blocks, each (name, rows, columns), one after the other.
    pub fn new(blocks: &[(&str, usize, usize)], actions: usize) -> Spaces {
        let mut offset = 0;
        let place = |&(name, rows, columns): &(&str, usize, usize)| {
            let block = Block { name: name.to_owned(), offset, rows, columns };
            offset = block.end();
            block
        };
        Spaces { observation: blocks.iter().map(place).collect(), actions }
    }

    /// Length of the observation.
    pub fn observation_len(&self) -> usize {
        self.observation.last().map_or(0, Block::end)
    }

    /// The block of this name.
    pub fn block(&self, name: &str) -> Option<&Block> {
        self.observation.iter().find(|block| block.name == name)
    }

    /// Checks the lengths of the buffers of one environment.
    ///
    /// # Errors
    /// [`EnvError::Length`].
    pub fn fit(&self, obs: &[f32], mask: &[bool]) -> Result<(), EnvError> {
        fits("observation", obs.len(), self.observation_len())?;
        fits("mask", mask.len(), self.actions)
    }
}

impl Block {
    /// One past its last value.
    pub fn end(&self) -> usize {
        self.offset + self.rows * self.columns
    }
}

fn fits(buffer: &'static str, found: usize, need: usize) -> Result<(), EnvError> {
    if found == need { Ok(()) } else { Err(EnvError::Length { buffer, found, need }) }
}

/// Why an environment refused a call. The environment is unchanged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnvError {
    /// Not begun, or finished.
    #[error("no episode is running: reset the environment first")]
    Over,
    /// Beyond the action space.
    #[error("there is no action {action}: the environment has {actions}")]
    NoSuchAction {
        /// What was asked for.
        action: usize,
        /// Size of the action space, or of the list of candidates.
        actions: usize,
    },
    /// Not legal at this moment.
    #[error("action {action} is masked out at this moment")]
    Masked {
        /// What was asked for.
        action: usize,
    },
    /// A buffer does not fit the spaces.
    #[error("the {buffer} buffer has length {found}, the spaces need {need}")]
    Length {
        /// Which.
        buffer: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have.
        need: usize,
    },
    /// The episode is over before it begins.
    #[error("the episode of seed {seed} has nothing to decide: its workload is empty or can never run")]
    NothingToDecide {
        /// Seed of the episode.
        seed: u64,
    },
    /// The flat observation has too few rows for this cluster.
    #[error("the cluster has {kinds} device kinds, the observation has rows for {rows}: raise padding.nodes")]
    TooManyKinds {
        /// Kinds in the cluster.
        kinds: usize,
        /// Rows of the block `nodes`.
        rows: usize,
    },
    /// A setting that makes no sense.
    #[error("{setting} is {value}, it must be {must}")]
    BadSetting {
        /// Which.
        setting: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        must: &'static str,
    },
    /// The simulator refused a listed action: a defect of this crate.
    #[error("a listed action was refused: {0}")]
    Illegal(#[from] Illegal),
    /// Environments of one vector must be alike.
    #[error("environment {index} has other spaces than environment 0")]
    SpacesDiffer {
        /// Position in the vector.
        index: usize,
    },
    /// One environment of a vector refused.
    #[error("environment {index}: {why}")]
    At {
        /// Position in the vector.
        index: usize,
        /// What it said.
        why: Box<EnvError>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_each_other() {
        let spaces = Spaces::new(&[("global", 1, 3), ("jobs", 2, 4)], 5);
        assert_eq!(spaces.observation_len(), 11);
        assert_eq!(spaces.block("jobs").map(|block| (block.offset, block.end())), Some((3, 11)));
        assert_eq!(spaces.fit(&[0.0; 11], &[true; 5]), Ok(()));
        let error = spaces.fit(&[0.0; 10], &[true; 5]).unwrap_err();
        assert_eq!(error.to_string(), "the observation buffer has length 10, the spaces need 11");
    }
}
