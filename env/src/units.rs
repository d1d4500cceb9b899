//! Time and identifiers: integer nanoseconds, one type for each quantity.

use std::fmt;
use std::ops::{Add, AddAssign, Mul, Sub};

use serde::{Deserialize, Serialize};

const NANOS: f64 = 1e9;

/// A moment of virtual time, in nanoseconds since the start of the trace or episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub u64);

/// A length of virtual time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span(pub u64);

impl Time {
    /// The start of virtual time.
    pub const ZERO: Time = Time(0);
    /// Later than anything that happens.
    pub const MAX: Time = Time(u64::MAX);

    /// The moment `seconds` after the start, rounded to the nearest nanosecond; negative and NaN become 0.
    pub fn from_secs_f64(seconds: f64) -> Time {
        Time(Span::from_secs_f64(seconds).0)
    }

    /// Seconds since the start.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS
    }

    /// The span from `earlier` to here, zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    /// Longer than anything that happens.
    pub const MAX: Span = Span(u64::MAX);

    /// A whole number of seconds.
    pub const fn from_secs(seconds: u64) -> Span {
        Span(seconds * 1_000_000_000)
    }

    /// A whole number of microseconds.
    pub const fn from_micros(micros: u64) -> Span {
        Span(micros * 1_000)
    }

    /// `seconds` rounded to the nearest nanosecond; negative and NaN become 0, too large becomes [`Span::MAX`].
    pub fn from_secs_f64(seconds: f64) -> Span {
        Span(nearest(seconds * NANOS))
    }

    /// The length in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS
    }

    /// So many times as long, to the nearest nanosecond; a negative factor or NaN gives 0.
    pub fn scaled(self, factor: f64) -> Span {
        if factor == 1.0 { self } else { Span(nearest(self.0 as f64 * factor)) }
    }
}

/// The nearest whole number, halves up; negative and NaN become 0, too large becomes the largest. This is `f64::round`
/// without its call into the maths library, which a processor of the baseline needs for it.
fn nearest(value: f64) -> u64 {
    // The cast cuts off what is behind the point, saturates and maps NaN to 0; the difference is exact.
    let whole = value as u64;
    whole.saturating_add(u64::from(value - whole as f64 >= 0.5))
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Span> for Time {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Span) {
        *self = *self + other;
    }
}

impl Sub<Time> for Time {
    type Output = Span;
    /// The span between two moments in order; use [`Time::since`] where the order is not known.
    fn sub(self, earlier: Time) -> Span {
        debug_assert!(self >= earlier, "{self} is before {earlier}");
        self.since(earlier)
    }
}

impl Mul<u64> for Span {
    type Output = Span;
    fn mul(self, factor: u64) -> Span {
        Span(self.0.saturating_mul(factor))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.as_secs_f64())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.as_secs_f64();
        match seconds {
            s if s >= 7200.0 => write!(f, "{:.2} h", s / 3600.0),
            s if s >= 1.0 => write!(f, "{s:.2} s"),
            s if s >= 1e-3 => write!(f, "{:.2} ms", s * 1e3),
            s => write!(f, "{:.1} us", s * 1e6),
        }
    }
}

/// Position of a job in its workload; jobs are numbered in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(pub u32);

/// Position of a node in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

/// Position of a device kind in the catalogue (`v100`, `xeon-9282`, `tpu-v3`, ...).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KindId(pub u16);

/// Position of a training model in the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrainingId(pub u16);

/// Position of an inference model in the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InferenceId(pub u16);

macro_rules! index {
    ($($id:ident),*) => {$(
        impl $id {
            /// As an index into the slice this identifies a place in.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}
index!(JobId, NodeId, KindId, TrainingId, InferenceId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_once_and_saturate() {
        assert_eq!(Span::from_secs_f64(1.5), Span(1_500_000_000));
        assert_eq!(Span::from_secs_f64(0.000_000_000_6), Span(1));
        assert_eq!(Span::from_secs_f64(-3.0), Span::ZERO);
        assert_eq!(Span::from_secs_f64(f64::NAN), Span::ZERO);
        assert_eq!(Span::from_secs_f64(f64::INFINITY), Span::MAX);
        assert_eq!(Time::MAX + Span(1), Time::MAX);
    }

    #[test]
    fn the_nearest_is_what_the_library_says() {
        let edges = [
            0.0,
            0.5 - f64::EPSILON / 4.0,
            0.5,
            0.5 + f64::EPSILON,
            1.5,
            2.5,
            1e15 + 0.5,
            2f64.powi(53) - 0.5,
        ];
        let large = [2f64.powi(52) + 0.5, 2f64.powi(63), 2f64.powi(64), 1e300, f64::INFINITY];
        let small = [-0.4, -0.5, -1.0, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE];
        for value in edges.into_iter().chain(large).chain(small) {
            assert_eq!(nearest(value), value.round() as u64, "{value:?}");
        }
        for number in 0..100_000_u32 {
            let value = f64::from(number) * 12_345.678_912_3 / 7.0 + f64::from(number % 3) * 0.25;
            assert_eq!(nearest(value), value.round() as u64, "{value:?}");
        }
    }
}
