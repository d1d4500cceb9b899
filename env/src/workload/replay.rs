//! Arrivals that replay a trace.

use serde::{Deserialize, Serialize};

use super::error::{WorkloadError, not_negative, positive};
use super::random::Random;

/// Recorded gaps between arrivals. They are stretched alike so that their mean rate is that of the source, unless it
/// says `rate = "recorded"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Seconds before each arrival, from 0; after the last the first follows again.
    pub gaps_s: Vec<f64>,
    /// Where an episode begins.
    #[serde(default)]
    pub start: Start,
}

/// Where in a trace an episode begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the first gap, so that all episodes have the same arrivals.
    #[default]
    First,
    /// At any gap, drawn for each episode.
    Random,
}

impl Replay {
    pub(super) fn check(&self) -> Result<(), WorkloadError> {
        self.gaps_s.iter().try_for_each(|gap| not_negative("gaps_s", *gap).map(|_| ()))?;
        positive("gaps_s: sum", self.gaps_s.iter().sum()).map(|_| ())
    }

    /// Arrivals per second as recorded.
    pub(super) fn rate(&self) -> f64 {
        self.gaps_s.len() as f64 / self.gaps_s.iter().sum::<f64>()
    }

    /// The gap that an episode begins with.
    pub(super) fn first(&self, random: &mut Random) -> usize {
        match self.start {
            Start::First => 0,
            Start::Random => random.below(self.gaps_s.len()),
        }
    }
}
