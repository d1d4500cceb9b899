//! Axes: which part of the numbers is shown, and where its ticks are.

use crate::gantt::scale::nice;

/// One axis of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it measures, with the unit.
    pub label: String,
    /// The least value shown.
    low: f64,
    /// The greatest value shown, above `low`.
    high: f64,
    /// Whether equal factors are equally long.
    log: bool,
    /// Names instead of numbers: that at 0, at 1, and so on.
    names: Vec<String>,
}

impl Axis {
    /// Equal differences are equally long.
    pub fn linear(label: &str, low: f64, high: f64) -> Axis {
        let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
        Axis {
            label: label.into(),
            low,
            high: if high > low { high } else { low + 1.0 },
            log: false,
            names: Vec::new(),
        }
    }

    /// Equal factors are equally long; both ends are positive.
    pub fn log(label: &str, low: f64, high: f64) -> Axis {
        let low = low.clamp(1e-12, 1e18);
        Axis { label: label.into(), low, high: high.clamp(low * 1.001, 1e19), log: true, names: Vec::new() }
    }

    /// Things without an order between, at 0, 1, and so on, with half a place at either end.
    pub fn names(label: &str, names: Vec<String>) -> Axis {
        let mut axis = Axis::linear(label, -0.5, names.len() as f64 - 0.5);
        axis.names = names;
        axis
    }

    /// Where a value lies, from 0 at the low end to 1 at the high end; beyond, values stop at the ends.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = match self.log {
            true => libm::log(value.max(self.low) / self.low) / libm::log(self.high / self.low),
            false => (value - self.low) / (self.high - self.low),
        };
        share.clamp(0.0, 1.0)
    }

    /// About `count` round values with their texts, or all names.
    pub(super) fn ticks(&self, count: f64) -> Vec<(f64, String)> {
        if !self.names.is_empty() {
            return self.names.iter().enumerate().map(|(at, name)| (at as f64, name.clone())).collect();
        }
        let values: Vec<f64> = if self.log { self.powers(count) } else { self.steps(count) };
        values.into_iter().map(|value| (value, short(value))).collect()
    }

    fn steps(&self, count: f64) -> Vec<f64> {
        let step = nice((self.high - self.low) / count);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|at| at as f64 * step).collect()
    }

    fn powers(&self, count: f64) -> Vec<f64> {
        let decade = |value: f64| libm::log10(value);
        let (first, last) = (decade(self.low) - 1e-9, decade(self.high) + 1e-9);
        let step = nice(((last - first) / count).max(1.0)).ceil() as i32;
        let powers = (first.ceil() as i32..=last.floor() as i32).filter(|power| power % step == 0);
        let ticks: Vec<f64> = powers.map(|power| libm::pow(10.0, f64::from(power))).collect();
        // Within a decade powers of ten say too little.
        if ticks.len() >= 2 { ticks } else { self.steps(count.min(4.0)) }
    }
}

/// A number in few characters: `0.5`, `20`, `15k`, `3M`.
pub fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, "G"),
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if scaled.abs() < 0.01 { 6 } else { 2 };
    let text = format!("{scaled:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if matches!(text, "" | "-" | "-0") { "0".into() } else { format!("{text}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks(6.0).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(texts(&Axis::linear("", 0.0, 130.0)), ["0", "50", "100"]);
        assert_eq!(texts(&Axis::linear("", 0.0, 2.4)), ["0", "0.5", "1", "1.5", "2"]);
        assert_eq!(texts(&Axis::log("", 1.0, 1e7)), ["1", "100", "10k", "1M"]);
        assert_eq!(texts(&Axis::log("", 0.001, 0.1)), ["0.001", "0.01", "0.1"]);
        assert_eq!(texts(&Axis::log("", 20.0, 80.0)), ["20", "40", "60", "80"]);
        assert_eq!(texts(&Axis::linear("", 5.0, 5.0)).len(), 6);
        assert_eq!(texts(&Axis::names("", vec!["a".into(), "b".into()])), ["a", "b"]);
        assert!(!texts(&Axis::linear("", f64::NAN, f64::INFINITY)).is_empty());
    }

    #[test]
    fn values_are_placed_between_the_ends() {
        let axis = Axis::log("", 1.0, 100.0);
        assert_eq!([0.0, 1.0, 10.0, 100.0, 1e9].map(|value| axis.place(value)), [0.0, 0.0, 0.5, 1.0, 1.0]);
        assert_eq!(Axis::linear("", 10.0, 20.0).place(12.5), 0.25);
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (-0.001, "-0.001"),
            (1.25, "1.25"),
            (9999.0, "9999"),
            (15_000.0, "15k"),
            (3e6, "3M"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }
}
