//! How many arrivals to expect, from those that have been seen.
//!
//! All is counted in time, and forgotten exponentially; a time scale is so many arrivals long at the mean rate so far,
//! so that requests every millisecond and jobs every hour are treated alike. Nothing is stored but sums, which an
//! arrival updates in constant time; to ask changes nothing, so that no answer depends on who asked when.

use serde::{Deserialize, Serialize};

use crate::units::{Span, Time};

/// Time scales of the moving averages, in arrivals at the mean rate so far, from fast to slow.
pub const SCALES: [f64; 3] = [8.0, 64.0, 512.0];

/// The scale of the trend.
const TREND: usize = 1;
/// Logarithm to base two of the ratio of neighbouring scales.
const SQUARINGS: u32 = 3;

/// Forecasts for each stream of requests and for all jobs together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    all: Rates,
    streams: Vec<Rates>,
}

impl Forecast {
    /// Before the first arrival; streams are numbered from 0.
    pub fn new(streams: usize) -> Forecast {
        Forecast { all: Rates::default(), streams: vec![Rates::default(); streams] }
    }

    /// Whether it can be one that stands at `now`: finite numbers, nothing in the future, so many streams.
    pub(crate) fn is_sound(&self, now: Time, streams: usize) -> bool {
        let sound = |rates: &Rates| {
            let Moments { arrivals_1, seconds_1, seconds_2 } = rates.trend;
            let sums = [rates.count, rates.gap_s, rates.pace, arrivals_1, seconds_1, seconds_2];
            let sums = sums.iter().chain(&rates.arrivals).chain(&rates.seconds);
            rates.last <= now
                && rates.first.is_none_or(|first| first <= rates.last)
                && sums.clone().all(|sum| sum.is_finite())
        };
        sound(&self.all) && self.streams.iter().all(sound) && self.streams.len() <= streams
    }

    /// Takes in an arrival, `stream` if it is a request. One that is earlier than the last counts as if it came with it.
    pub fn arrive(&mut self, now: Time, stream: Option<usize>) {
        self.all.arrive(now);
        let Some(stream) = stream else { return };
        if stream >= self.streams.len() {
            self.streams.resize(stream + 1, Rates::default());
        }
        self.streams[stream].arrive(now);
    }

    /// Arrivals per second to be expected `horizon_s` seconds after `now`, which is no earlier than the last arrival; of
    /// all jobs if `stream` is `None`. From 0, and 0 as long as nothing is known.
    ///
    /// The trend is followed for about one time scale and then levels off (Gardner and McKenzie, Management Science
    /// 31(10), 1985).
    pub fn rate(&self, now: Time, stream: Option<usize>, horizon_s: f64) -> f64 {
        self.of(stream).map_or(0.0, |rates| rates.at(now).forecast(horizon_s))
    }

    /// Arrivals per second averaged over each of [`SCALES`].
    pub fn averages(&self, now: Time, stream: Option<usize>) -> [f64; SCALES.len()] {
        self.of(stream).map_or([0.0; SCALES.len()], |rates| rates.at(now).averages())
    }

    /// The fastest average over the slowest: above 1 in a burst, below 1 in a lull, 1 as long as nothing is known.
    pub fn burst(&self, now: Time, stream: Option<usize>) -> f64 {
        let [fast, .., slow] = self.averages(now, stream);
        if slow > 0.0 { fast / slow } else { 1.0 }
    }

    fn of(&self, stream: Option<usize>) -> Option<&Rates> {
        stream.map_or(Some(&self.all), |at| self.streams.get(at))
    }
}

/// Sums over the past, in which what is `u` old weighs `exp(-u / scale)`. The first arrival only starts the clock.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    #[serde(rename = "first_ns")]
    first: Option<Time>,
    #[serde(rename = "last_ns")]
    last: Time,
    /// Arrivals after the first.
    count: f64,
    /// Mean gap when the last arrived, in seconds, and its inverse; what the time scales are told in. 0 until two have
    /// arrived at different moments.
    gap_s: f64,
    pace: f64,
    /// Arrivals by scale.
    arrivals: [f64; SCALES.len()],
    /// Seconds by scale.
    seconds: [f64; SCALES.len()],
    trend: Moments,
}

/// First and second moments of age at the scale of the trend, with which a line is fitted to the rate by discounted
/// least squares. That is double exponential smoothing (Holt 1957; with one time scale Brown 1963) in continuous time,
/// which unlike the recursions starts without a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moments {
    /// Sum of the ages of arrivals.
    arrivals_1: f64,
    /// Integral of the age over time, and of its square.
    seconds_1: f64,
    seconds_2: f64,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            first: None,
            last: Time::ZERO,
            count: 0.0,
            gap_s: 0.0,
            pace: 0.0,
            arrivals: [0.0; SCALES.len()],
            seconds: [0.0; SCALES.len()],
            trend: Moments::default(),
        }
    }
}

impl Rates {
    fn arrive(&mut self, now: Time) {
        // A live system may hear of an arrival late.
        let now = now.max(self.last);
        let Some(first) = self.first else {
            (self.first, self.last) = (Some(now), now);
            return;
        };
        self.pass(now);
        self.count += 1.0;
        let elapsed_s = seconds(now.since(first));
        if elapsed_s > 0.0 {
            (self.gap_s, self.pace) = (elapsed_s / self.count, self.count / elapsed_s);
        }
        for arrivals in &mut self.arrivals {
            *arrivals += 1.0;
        }
    }

    /// The sums at a moment, without a change to them.
    fn at(&self, now: Time) -> Rates {
        let mut later = *self;
        later.pass(now);
        later
    }

    /// Lets time pass up to `now`.
    fn pass(&mut self, now: Time) {
        let passed = seconds(now.since(self.last));
        self.last = now.max(self.last);
        if passed == 0.0 || self.first.is_none() {
            return;
        }
        // Without a rate there is no scale to forget by; any will do, as all that has been seen is of one moment.
        let (gap_s, pace) = if self.pace > 0.0 { (self.gap_s, self.pace) } else { (passed, 1.0 / passed) };
        // For a scale that is 8 times faster, 1 - exp(-8 x) by squaring thrice, exact for small x too.
        let mut lost = one_minus_exp(passed * pace * (1.0 / SCALES[SCALES.len() - 1]));
        for at in (0..SCALES.len()).rev() {
            let scale = gap_s * SCALES[at];
            if at == TREND {
                let x = passed * pace * (1.0 / SCALES[TREND]);
                self.trend.pass(passed, x, scale, lost, self.arrivals[at], self.seconds[at]);
            }
            self.arrivals[at] -= self.arrivals[at] * lost;
            self.seconds[at] += (scale - self.seconds[at]) * lost;
            for _ in 0..SQUARINGS {
                lost *= 2.0 - lost;
            }
        }
    }

    fn averages(&self) -> [f64; SCALES.len()] {
        std::array::from_fn(|at| per_second(self.arrivals[at], self.seconds[at]))
    }

    /// A line through the rate, and its value at a horizon.
    fn forecast(&self, horizon_s: f64) -> f64 {
        let (count, time, trend) = (self.arrivals[TREND], self.seconds[TREND], &self.trend);
        let level = per_second(count, time);
        let spread = time * trend.seconds_2 - trend.seconds_1 * trend.seconds_1;
        // A few arrivals do not make a trend.
        if self.count < SCALES[0] || spread <= 1e-9 * time * trend.seconds_2 {
            return level;
        }
        let now = (count * trend.seconds_2 - trend.arrivals_1 * trend.seconds_1) / spread;
        let slope = (count * trend.seconds_1 - trend.arrivals_1 * time) / spread;
        let scale = self.gap_s * SCALES[TREND];
        let ahead = -scale * libm::expm1(-horizon_s.max(0.0) / scale);
        (now + slope * ahead).max(0.0)
    }
}

impl Moments {
    /// As [`Rates::pass`]; `x` is `passed / scale`, `lost` is `1 - exp(-x)`, and `arrivals` and `seconds` are what the
    /// sums of the same scale were before.
    fn pass(&mut self, passed: f64, x: f64, scale: f64, lost: f64, arrivals: f64, seconds: f64) {
        let kept = 1.0 - lost;
        self.arrivals_1 = kept * (self.arrivals_1 + passed * arrivals);
        // Integrals of u^n exp(-u / scale) over the time that passed.
        let new_1 = scale * scale * (lost - kept * x);
        let new_2 = scale * scale * scale * (2.0 * lost - kept * x * (2.0 + x));
        self.seconds_2 = kept * (self.seconds_2 + passed * (2.0 * self.seconds_1 + passed * seconds)) + new_2;
        self.seconds_1 = kept * (self.seconds_1 + passed * seconds) + new_1;
    }
}

/// As [`Span::as_secs_f64`], but cheaper by a division; the last bit does not matter here.
fn seconds(span: Span) -> f64 {
    span.0 as f64 * 1e-9
}

/// `1 - exp(-x)`. Nearly every arrival comes after less than eight mean gaps, where a few terms of the series are exact
/// to the last bits and several times cheaper.
fn one_minus_exp(x: f64) -> f64 {
    if x > 1.0 / 64.0 {
        return -libm::expm1(-x);
    }
    let square = x * x;
    let high = (1.0 / 120.0 - x * (1.0 / 720.0)) + square * (1.0 / 5040.0);
    x * ((1.0 - x * 0.5) + square * ((1.0 / 6.0 - x * (1.0 / 24.0)) + square * high))
}

/// 0 as long as no time has passed.
fn per_second(arrivals: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { arrivals / seconds } else { 0.0 }
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
