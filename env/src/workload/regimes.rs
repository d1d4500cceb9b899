//! Arrivals whose load, burstiness and mix change within an episode: day and night, product launches.

use serde::{Deserialize, Serialize};

use super::arrivals::{Arrival, Arrivals, Process};
use super::error::{WorkloadError, not_negative, positive};
use super::random::{Random, derive_seed};

/// Segments of time, one after another and without end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regimes {
    /// At least one, and one with a factor above 0.
    pub segments: Vec<Segment>,
    /// Which follows which.
    #[serde(default)]
    pub order: Order,
    /// How long each lasts.
    #[serde(default)]
    pub durations: Durations,
}

/// A time in which arrivals have one law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// How long it lasts, or lasts on average, in seconds.
    pub duration_s: f64,
    /// Rate as a multiple of the source's rate, from 0. It is not made up for elsewhere: with `rate = { load = 1.0 }`
    /// a factor is the load itself.
    #[serde(default = "one")]
    pub factor: f64,
    /// How arrivals are spread: poisson, bursty or sweeps, each beginning anew with the segment.
    #[serde(default)]
    pub process: Process,
    /// Shares of the mix while it lasts: one for each of the source's streams (requests) or sizes (training jobs),
    /// instead of those given there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<Vec<f64>>,
}

fn one() -> f64 {
    1.0
}

/// Which segment follows which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As listed, beginning with the first, again and again.
    #[default]
    Listed,
    /// Drawn for each episode: any at first, then any of the others.
    Random,
}

/// How long a segment lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durations {
    /// As long as it says.
    #[default]
    Fixed,
    /// Exponential with that mean, drawn for each episode.
    Exponential,
}

impl Regimes {
    pub(super) fn check(&self, mix: usize) -> Result<(), WorkloadError> {
        if self.segments.is_empty() {
            return Err(WorkloadError::Settings("regimes need at least one segment"));
        }
        self.segments.iter().try_for_each(|segment| segment.check(mix))?;
        positive("segments: sum of factors", self.segments.iter().map(|segment| segment.factor).sum())?;
        Ok(())
    }

    /// Mean over time of the segments' factors; in either order each segment comes as often as any other.
    pub(super) fn mean_factor(&self) -> f64 {
        let time: f64 = self.segments.iter().map(|segment| segment.duration_s).sum();
        self.segments.iter().map(Segment::arrivals).sum::<f64>() / time
    }

    pub(super) fn shares<'a>(&'a self, segment: usize, own: &'a [f64]) -> &'a [f64] {
        self.segments[segment].shares.as_deref().unwrap_or(own)
    }

    pub(super) fn mean_shares(&self, own: &[f64]) -> Vec<f64> {
        let mut mean = vec![0.0; own.len()];
        for (at, segment) in self.segments.iter().enumerate() {
            let shares = self.shares(at, own);
            let total: f64 = shares.iter().sum();
            for (mean, share) in mean.iter_mut().zip(shares) {
                *mean += segment.arrivals() * share / total;
            }
        }
        mean
    }

    /// The segment after one, or at first.
    fn draw(&self, after: Option<usize>, random: &mut Random) -> usize {
        let count = self.segments.len();
        match (self.order, after) {
            (Order::Listed, after) => after.map_or(0, |at| (at + 1) % count),
            (Order::Random, None) => random.below(count),
            (Order::Random, Some(at)) => (at + 1 + random.below(count - 1)) % count,
        }
    }
}

impl Segment {
    fn check(&self, mix: usize) -> Result<(), WorkloadError> {
        positive("duration_s", self.duration_s)?;
        not_negative("factor", self.factor)?;
        if !matches!(self.process, Process::Poisson | Process::Bursty { .. } | Process::Sweeps { .. }) {
            return Err(WorkloadError::Settings(
                "the process of a segment must be `poisson`, `bursty` or `sweeps`",
            ));
        }
        self.process.check(mix)?;
        let Some(shares) = &self.shares else { return Ok(()) };
        if shares.len() != mix {
            return Err(WorkloadError::BadValue {
                key: "shares",
                value: format!("a list of {}", shares.len()),
                must: "one share for each of the source's streams or sizes",
            });
        }
        shares.iter().try_for_each(|share| not_negative("shares", *share).map(|_| ()))?;
        positive("shares: sum", shares.iter().sum()).map(|_| ())
    }

    /// Expected arrivals in a visit, in units of the source's rate.
    fn arrivals(&self) -> f64 {
        self.duration_s * self.factor
    }
}

/// A visit to a segment.
pub(super) struct Stay<'a> {
    regimes: &'a Regimes,
    /// The source's rate per second.
    rate: f64,
    seed: u64,
    /// Visits before this one.
    visits: u64,
    segment: usize,
    begin: f64,
    end: f64,
    /// Counted from `begin`; none where the factor is 0.
    arrivals: Option<Arrivals<'a>>,
}

impl<'a> Stay<'a> {
    pub(super) fn first(regimes: &'a Regimes, rate: f64, seed: u64, random: &mut Random) -> Stay<'a> {
        let mut stay =
            Stay { regimes, rate, seed, visits: 0, segment: 0, begin: 0.0, end: 0.0, arrivals: None };
        stay.enter(regimes.draw(None, random), random);
        stay
    }

    /// The next arrival, in this visit or a later one; what would come after the end of a visit is forgotten.
    pub(super) fn next(&mut self, random: &mut Random) -> Arrival {
        loop {
            let next = self.arrivals.as_mut().and_then(Iterator::next).map(|next| self.begin + next.at);
            if let Some(at) = next.filter(|at| *at < self.end) {
                return Arrival { at, segment: self.segment };
            }
            self.begin = self.end;
            self.enter(self.regimes.draw(Some(self.segment), random), random);
        }
    }

    /// Begins a visit at `begin`.
    fn enter(&mut self, segment: usize, random: &mut Random) {
        let said = &self.regimes.segments[segment];
        let duration_s = match self.regimes.durations {
            Durations::Fixed => said.duration_s,
            Durations::Exponential => random.exponential(said.duration_s),
        };
        self.segment = segment;
        self.end = self.begin + duration_s;
        let seed = derive_seed(self.seed, self.visits);
        self.visits += 1;
        let rate = self.rate * said.factor;
        self.arrivals = (rate > 0.0).then(|| Arrivals::new(&said.process, rate, seed));
    }
}

#[cfg(test)]
#[path = "regimes_tests.rs"]
mod tests;
