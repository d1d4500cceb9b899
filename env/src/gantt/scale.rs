//! Units and ticks of a time axis.

use crate::units::Span;

/// A unit of time for an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    pub(super) name: &'static str,
    pub(super) nanos: f64,
}

const UNITS: [Unit; 7] = [
    Unit { name: "d", nanos: 86_400e9 },
    Unit { name: "h", nanos: 3_600e9 },
    Unit { name: "min", nanos: 60e9 },
    Unit { name: "s", nanos: 1e9 },
    Unit { name: "ms", nanos: 1e6 },
    Unit { name: "us", nanos: 1e3 },
    Unit { name: "ns", nanos: 1.0 },
];

impl Unit {
    /// The unit in which an axis of this length has at least a few ticks.
    pub(super) fn for_extent(extent: Span) -> Unit {
        let enough = |unit: &Unit| {
            // An hour reads well as 3600 s no longer, ten minutes as 600 s still do.
            let least = if unit.nanos > 1e9 { 3.0 } else { 1.0 };
            extent.0 as f64 >= least * unit.nanos
        };
        UNITS.into_iter().find(enough).unwrap_or(UNITS[3])
    }

    /// A length in this unit without needless digits, `1.5` or `20`.
    pub(super) fn number(self, span: f64) -> String {
        let text = format!("{:.3}", span / self.nanos);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// The smallest of 1, 2, 5 x 10^k that is at least `least`; `least` is positive.
pub(crate) fn nice(least: f64) -> f64 {
    let power = libm::pow(10.0, libm::floor(libm::log10(least)));
    let factors = [1.0, 2.0, 5.0, 10.0];
    factors.into_iter().map(|factor| factor * power).find(|&step| step >= least * 0.999_999).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_units_fit() {
        assert_eq!([0.7, 1.0, 1.1, 3.0, 7.0, 30.0].map(nice), [1.0, 1.0, 2.0, 5.0, 10.0, 50.0]);
        let name = |seconds: f64| Unit::for_extent(Span::from_secs_f64(seconds)).name;
        assert_eq!(
            [1e-5, 0.02, 30.0, 300.0, 20_000.0, 1e6, 0.0].map(name),
            ["us", "ms", "s", "min", "h", "d", "s"]
        );
        let minutes = Unit::for_extent(Span::from_secs(300));
        assert_eq!([90e9, 1200e9].map(|span| minutes.number(span)), ["1.5", "20"]);
    }
}
