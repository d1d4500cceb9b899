//! When jobs arrive.

use serde::{Deserialize, Serialize};

use super::error::{WorkloadError, check, positive};
use super::random::Random;

/// How many jobs arrive, on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rate {
    /// Jobs per second.
    PerSecond(f64),
    /// Share of the rate that the cluster can just sustain for this mix of jobs, see [`super::capacity`].
    Load(f64),
}

/// How arrivals are spread around their mean rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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
}

impl Process {
    /// Checks the settings.
    ///
    /// # Errors
    /// A setting out of the range that its documentation gives.
    pub fn check(&self) -> Result<(), WorkloadError> {
        match *self {
            Process::Poisson => {}
            Process::Bursty { factor, share, mean_burst_s } => {
                check("share", share, share > 0.0 && share < 1.0, "above 0 and below 1")?;
                let fits = factor >= 1.0 && factor * share <= 1.0;
                check("factor", factor, fits, "at least 1 and at most 1 / share")?;
                positive("mean_burst_s", mean_burst_s)?;
            }
            Process::Sweeps { mean_size } => {
                check("mean_size", mean_size, mean_size.is_finite() && mean_size >= 1.0, "a number from 1")?;
            }
        }
        Ok(())
    }
}

/// Moments of arrival in seconds, ascending and without end.
pub(super) struct Arrivals {
    process: Process,
    /// Mean rate per second.
    rate: f64,
    random: Random,
    now: f64,
    /// Bursty: whether a burst is on, and until when this phase lasts.
    phase: Option<(bool, f64)>,
    /// Sweeps: jobs still to come in the present sweep.
    left: u64,
}

impl Arrivals {
    /// A stream of checked settings; `rate` is above 0.
    pub(super) fn new(process: Process, rate: f64, seed: u64) -> Arrivals {
        Arrivals { process, rate, random: Random::new(seed), now: 0.0, phase: None, left: 0 }
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
}

impl Iterator for Arrivals {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        match self.process {
            Process::Poisson => self.now += self.random.exponential(1.0 / self.rate),
            Process::Bursty { factor, share, mean_burst_s } => self.next_bursty(factor, share, mean_burst_s),
            Process::Sweeps { mean_size } => self.next_in_sweep(mean_size),
        }
        Some(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURSTY: Process = Process::Bursty { factor: 3.0, share: 0.2, mean_burst_s: 0.3 };

    #[test]
    fn the_mean_rate_is_kept() {
        for process in [Process::Poisson, BURSTY, Process::Sweeps { mean_size: 8.0 }] {
            let count = 400_000;
            let last = Arrivals::new(process, 50.0, 3).nth(count - 1).unwrap();
            let rate = count as f64 / last;
            assert!((rate - 50.0).abs() < 1.5, "{process:?}: {rate} per second");
        }
    }

    /// Variance over mean of the number of arrivals in windows of a second.
    fn dispersion(process: Process) -> f64 {
        let mut counts = vec![0.0_f64; 4000];
        for at in Arrivals::new(process, 50.0, 3).take_while(|at| *at < 4000.0) {
            counts[at as usize] += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        counts.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>() / counts.len() as f64 / mean
    }

    #[test]
    fn bursts_and_sweeps_are_more_variable_than_poisson() {
        assert!((dispersion(Process::Poisson) - 1.0).abs() < 0.1);
        // A geometric of mean m has second moment m (2 m - 1), which a compound Poisson process has as
        // dispersion times m.
        assert!((dispersion(Process::Sweeps { mean_size: 8.0 }) - 15.0).abs() < 1.5);
        assert!(dispersion(BURSTY) > 5.0);
    }

    #[test]
    fn settings_are_checked() {
        let bursty = |factor, share, mean_burst_s| Process::Bursty { factor, share, mean_burst_s };
        for bad in
            [bursty(0.5, 0.2, 1.0), bursty(6.0, 0.2, 1.0), bursty(2.0, 0.0, 1.0), bursty(2.0, 0.2, 0.0)]
        {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        assert!(bursty(5.0, 0.2, 1.0).check().is_ok());
        let error = Process::Sweeps { mean_size: 0.5 }.check().unwrap_err();
        assert_eq!(error.to_string(), "`mean_size` is 0.5; it must be a number from 1");
    }
}
