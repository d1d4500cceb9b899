//! The learner's world: scheduling. Where the simulator is plugged in.

use anyhow::{Result, bail};
use yardmaster_agent::frozen::Origin;
use yardmaster_env::observe::{Observation, Schema};

use crate::config::Config;
use crate::env::{Environment, Step};
use crate::rollout::State;
use crate::trainer::Validate;

/// One scheduling episode after another.
#[derive(Debug)]
pub struct Scheduling {
    never: std::convert::Infallible,
}

/// What training in a scenario needs.
pub struct World {
    /// `config.envs` of them.
    pub envs: Vec<Scheduling>,
    /// The features.
    pub schema: Schema,
    /// Number of the critic's own features.
    pub future: usize,
    /// Judges policies on the scenario's validation seeds.
    pub validate: Validate,
    /// What the card of an export says of the scenario; command, revision, seed and steps are filled in later.
    pub origin: Origin,
    /// Decisions to check an export with: at least as many as golden cases are needed.
    pub states: Vec<State>,
}

/// The world of a named scenario.
pub fn environments(scenario: &str, _config: &Config) -> Result<World> {
    bail!("scenario `{scenario}` cannot be trained in yet: the simulator is not connected to the learner")
}

impl Environment for Scheduling {
    fn reset(&mut self, _seed: u64) {
        match self.never {}
    }
    fn observation(&self) -> &Observation {
        match self.never {}
    }
    fn prior(&self) -> Option<usize> {
        match self.never {}
    }
    fn future(&self) -> &[f32] {
        match self.never {}
    }
    fn step(&mut self, _action: usize) -> Step {
        match self.never {}
    }
    fn score(&self) -> f64 {
        match self.never {}
    }
}
