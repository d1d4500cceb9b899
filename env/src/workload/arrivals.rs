//! When jobs arrive.

use serde::{Deserialize, Serialize};

use super::error::{WorkloadError, check, positive};
use super::random::Random;
use super::regimes::{Regimes, Stay};
use super::replay::Replay;

/// How many jobs arrive, on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rate {
    /// Jobs per second.
    PerSecond(f64),
    /// Share of the rate that the cluster can just sustain for this mix of jobs, see [`super::capacity`].
    Load(f64),
    /// As the trace tells it; for [`Process::Trace`] alone.
    Recorded,
}

/// How arrivals are spread around their mean rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Process {
    /// Independent of each other.
    #[default]
    Poisson,
    /// Poisson with a rate that changes between quiet times and bursts of exponential lengths (a two-state
    /// MMPP); the mean rate is kept.
    Bursty {
        /// Rate within bursts as a multiple of the mean rate; at least 1, and at most `1 / share`.
        factor: f64,
        /// Share of the time that bursts take, above 0 and below 1.
        share: f64,
        /// Mean length of a burst, in seconds.
        mean_burst_s: f64,
    },
    /// Groups of jobs at one moment, as parameter sweeps are submitted: Poisson in their starts, geometric in
    /// size.
    Sweeps {
        /// Mean number of jobs in a sweep, at least 1.
        mean_size: f64,
    },
    /// Poisson with a rate that follows day and night: the mean rate times
    /// `1 + amplitude * sin(2 pi (t / period_s + phase))`, whose mean over a period is 1.
    Diurnal {
        /// Length of a day, in seconds.
        period_s: f64,
        /// How far the rate strays from its mean, as a share of it, from 0 to 1.
        amplitude: f64,
        /// Share of a period that has passed at time 0; drawn for each episode if absent.
        #[serde(default)]
        phase: Option<f64>,
    },
    /// Load, burstiness and mix that change within the episode.
    Regimes(Regimes),
    /// Gaps between arrivals that were recorded.
    Trace(Replay),
}

impl Process {
    /// Checks the settings; `mix` is over how many things the shares of a regime are given.
    ///
    /// # Errors
    /// A setting out of the range that its documentation gives.
    pub fn check(&self, mix: usize) -> Result<(), WorkloadError> {
        match self {
            Process::Poisson => {}
            &Process::Bursty { factor, share, mean_burst_s } => {
                check("share", share, share > 0.0 && share < 1.0, "above 0 and below 1")?;
                let fits = factor >= 1.0 && factor * share <= 1.0;
                check("factor", factor, fits, "at least 1 and at most 1 / share")?;
                positive("mean_burst_s", mean_burst_s)?;
            }
            &Process::Sweeps { mean_size } => {
                check("mean_size", mean_size, mean_size.is_finite() && mean_size >= 1.0, "a number from 1")?;
            }
            &Process::Diurnal { period_s, amplitude, phase } => {
                positive("period_s", period_s)?;
                share("amplitude", amplitude)?;
                phase.map(|phase| share("phase", phase)).transpose()?;
            }
            Process::Regimes(regimes) => regimes.check(mix)?,
            Process::Trace(replay) => replay.check()?,
        }
        Ok(())
    }

    /// Arrivals over a long time as a multiple of what the source's rate says; other than 1 only for regimes.
    pub(super) fn mean_factor(&self) -> f64 {
        if let Process::Regimes(regimes) = self { regimes.mean_factor() } else { 1.0 }
    }

    /// The shares of the mix while a segment lasts; `own` are those that the source gives.
    pub(super) fn shares<'a>(&'a self, segment: usize, own: &'a [f64]) -> &'a [f64] {
        match self {
            Process::Regimes(regimes) => regimes.shares(segment, own),
            _ => own,
        }
    }

    /// The shares of the mix among all arrivals.
    pub(super) fn mean_shares(&self, own: Vec<f64>) -> Vec<f64> {
        if let Process::Regimes(regimes) = self { regimes.mean_shares(&own) } else { own }
    }
}

/// `value` if it is a share.
fn share(key: &'static str, value: f64) -> Result<f64, WorkloadError> {
    check(key, value, (0.0..=1.0).contains(&value), "from 0 to 1")
}

/// When something arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrival {
    /// In seconds.
    pub(super) at: f64,
    /// Which segment of the regimes it belongs to; 0 where there are none.
    pub(super) segment: usize,
}

/// Arrivals in order and without end.
pub(super) struct Arrivals<'a> {
    process: &'a Process,
    /// Mean rate per second.
    rate: f64,
    random: Random,
    now: f64,
    /// Bursty: whether a burst is on, and until when this phase lasts.
    phase: Option<(bool, f64)>,
    /// Sweeps: jobs still to come in the present sweep.
    left: u64,
    /// Diurnal: the share of a period that had passed at time 0.
    day: f64,
    /// Trace: the next gap, and the factor on all.
    gap: (usize, f64),
    /// Regimes: the present one.
    stay: Option<Box<Stay<'a>>>,
}

impl<'a> Arrivals<'a> {
    /// A stream of checked settings; `rate` is above 0.
    pub(super) fn new(process: &'a Process, rate: f64, seed: u64) -> Arrivals<'a> {
        let mut random = Random::new(seed);
        let (mut day, mut gap, mut stay) = (0.0, (0, 1.0), None);
        match process {
            Process::Diurnal { phase, .. } => day = phase.unwrap_or_else(|| random.uniform()),
            Process::Trace(replay) => gap = (replay.first(&mut random), replay.rate() / rate),
            Process::Regimes(regimes) => stay = Some(Box::new(Stay::first(regimes, rate, seed, &mut random))),
            Process::Poisson | Process::Bursty { .. } | Process::Sweeps { .. } => {}
        }
        Arrivals { process, rate, random, now: 0.0, phase: None, left: 0, day, gap, stay }
    }

    /// From the present phase to the next arrival, crossing phases as needed; the exponential has no memory,
    /// so the rest of a gap may be drawn anew at the new rate.
    fn next_bursty(&mut self, factor: f64, share: f64, mean_burst_s: f64) {
        let quiet = (1.0 - factor * share).max(0.0) / (1.0 - share);
        let mean_length =
            |burst: bool| if burst { mean_burst_s } else { mean_burst_s * (1.0 - share) / share };
        loop {
            let (burst, end) = match self.phase {
                Some(phase) => phase,
                None => {
                    let burst = self.random.uniform() < share;
                    (burst, self.random.exponential(mean_length(burst)))
                }
            };
            let rate = self.rate * if burst { factor } else { quiet };
            let gap = if rate > 0.0 { self.random.exponential(1.0 / rate) } else { f64::INFINITY };
            if self.now + gap <= end {
                self.phase = Some((burst, end));
                self.now += gap;
                return;
            }
            self.now = end;
            self.phase = Some((!burst, end + self.random.exponential(mean_length(!burst))));
        }
    }

    fn next_in_sweep(&mut self, mean_size: f64) {
        if self.left == 0 {
            self.now += self.random.exponential(mean_size / self.rate);
            self.left = self.random.geometric(mean_size);
        }
        self.left -= 1;
    }

    /// Thinning (Lewis and Shedler 1979): candidates at the highest rate, kept with the probability of the present
    /// one.
    fn next_of_day(&mut self, period_s: f64, amplitude: f64) {
        let highest = 1.0 + amplitude;
        loop {
            self.now += self.random.exponential(1.0 / (self.rate * highest));
            let turns = self.now / period_s + self.day;
            let rate = 1.0 + amplitude * libm::sin(core::f64::consts::TAU * (turns - turns.floor()));
            if self.random.uniform() * highest < rate {
                return;
            }
        }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let mut segment = 0;
        match self.process {
            Process::Poisson => self.now += self.random.exponential(1.0 / self.rate),
            &Process::Bursty { factor, share, mean_burst_s } => self.next_bursty(factor, share, mean_burst_s),
            &Process::Sweeps { mean_size } => self.next_in_sweep(mean_size),
            &Process::Diurnal { period_s, amplitude, .. } => self.next_of_day(period_s, amplitude),
            Process::Trace(replay) => {
                let (gap, stretch) = self.gap;
                self.now += replay.gaps_s[gap] * stretch;
                self.gap.0 = (gap + 1) % replay.gaps_s.len();
            }
            Process::Regimes(_) => {
                let next = self.stay.as_mut().map(|stay| stay.next(&mut self.random));
                (self.now, segment) = next.map_or((self.now, 0), |next| (next.at, next.segment));
            }
        }
        Some(Arrival { at: self.now, segment })
    }
}

#[cfg(test)]
#[path = "arrivals_tests.rs"]
mod tests;
