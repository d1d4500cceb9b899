//! Ratios with their intervals, one below the other, on one axis with a line at 1.

use std::fmt::Write;

use super::Axis;
use super::figure::{COLOURS, STYLE, wrapped};
use crate::gantt::paint::escape;

/// A ratio with its interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// What it is of; rows of one label stand together.
    pub label: String,
    /// The ratio.
    pub ratio: f64,
    /// Ends of its interval.
    pub ends: [f64; 2],
    /// Which entry of the legend it belongs to.
    pub kind: usize,
}

const WIDTH: f64 = 860.0;
/// Between these the axis lies; labels are before it, numbers behind.
const AXIS: [f64; 2] = [160.0, 690.0];
const HEAD: f64 = 66.0;
const ROW: f64 = 18.0;

/// Draws the rows below a title and a legend, and notes below them. `axis` says what the ratios are of.
pub fn forest(title: &str, axis: &str, legend: &[&str], rows: &[Interval], notes: &[String]) -> String {
    let ends = || rows.iter().flat_map(|row| row.ends).filter(|end| end.is_finite() && *end > 0.0);
    let (low, high) = (ends().fold(0.95, f64::min), ends().fold(1.05, f64::max));
    let scale = Axis::log("", low, high);
    let across = |value: f64| AXIS[0] + scale.place(value) * (AXIS[1] - AXIS[0]);
    let bottom = HEAD + ROW * rows.len() as f64 + 6.0;
    let mut body = String::new();
    // Writing to a string cannot fail.
    let mut text = |x: f64, y: f64, attributes: &str, text: &str| {
        let _ = writeln!(body, r#"<text x="{x:.1}" y="{y:.1}" {attributes}>{}</text>"#, escape(text));
    };
    text(14.0, 26.0, r#"class="title""#, title);
    for (at, name) in legend.iter().enumerate() {
        let x = AXIS[0] + 230.0 * at as f64;
        text(x, 46.0, &format!(r#"style="fill:{}""#, COLOURS[at % COLOURS.len()]), &format!("● {name}"));
    }
    for (at, row) in rows.iter().enumerate() {
        let y = HEAD + ROW * (at as f64 + 0.5) + 4.0;
        if at == 0 || rows[at - 1].label != row.label {
            text(AXIS[0] - 10.0, y, r#"text-anchor="end""#, &row.label);
        }
        let [from, to] = row.ends;
        text(AXIS[1] + 12.0, y, "", &format!("{:.3} [{from:.3}, {to:.3}]", row.ratio));
    }
    for value in ticks(low, high) {
        text(across(value), bottom + 18.0, r#"text-anchor="middle""#, &format!("{value:.2}"));
    }
    text(f64::midpoint(AXIS[0], AXIS[1]), bottom + 36.0, r#"text-anchor="middle""#, axis);
    let mut y = bottom + 44.0;
    for line in notes.iter().flat_map(|note| wrapped(note)) {
        y += 16.0;
        text(14.0, y, r#"class="note""#, &line);
    }
    let mut line = |path: String, attributes: &str| {
        let _ = writeln!(body, r#"<path d="{path}" {attributes}/>"#);
    };
    for value in ticks(low, high) {
        line(format!("M{:.1} {HEAD}V{bottom}", across(value)), r#"class="grid""#);
    }
    line(format!("M{:.1} {HEAD}V{bottom}", across(1.0)), r#"class="axis""#);
    for (at, row) in rows.iter().enumerate() {
        let (y, colour) = (HEAD + ROW * (at as f64 + 0.5), COLOURS[row.kind % COLOURS.len()]);
        let [from, to] = row.ends.map(across);
        line(format!("M{from:.1} {y:.1}H{to:.1}"), &format!(r#"stroke="{colour}" stroke-width="2""#));
        // A line of no length with a round end is a dot.
        let dot = format!(r#"stroke="{colour}" stroke-width="8" stroke-linecap="round""#);
        line(format!("M{:.1} {y:.1}h0", across(row.ratio)), &dot);
    }
    let height = y + 14.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" class=\"paper\"/>\n{body}</svg>\n"
    )
}

/// Tenths where there are few, else fifths and so on; 1 is always one.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let step =
        [0.01, 0.02, 0.05, 0.1, 0.2, 0.5].into_iter().find(|step| (high - low) / step <= 9.0).unwrap_or(1.0);
    let (first, last) = (((low - 1.0) / step).ceil() as i64, ((high - 1.0) / step).floor() as i64);
    (first..=last).map(|at| 1.0 + at as f64 * step).filter(|value| *value > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, ratio: f64, ends: [f64; 2], kind: usize) -> Interval {
        Interval { label: label.into(), ratio, ends, kind }
    }

    #[test]
    fn rows_stand_in_order_and_a_label_once() {
        let rows =
            [row("<a>", 0.9, [0.8, 1.0], 0), row("<a>", 0.95, [0.9, 1.0], 1), row("b", 1.1, [1.0, 1.2], 0)];
        let svg = forest("title", "policy / rule", &["own", "general"], &rows, &["a note".into()]);
        assert_eq!(svg.matches("&lt;a&gt;").count(), 1);
        let at = |part: &str| svg.find(part).unwrap_or_else(|| panic!("{part} is missing in {svg}"));
        assert!(at("● own") < at("● general") && at("&lt;a&gt;") < at("0.950 [0.900, 1.000]"));
        assert!(at("0.950 [0.900, 1.000]") < at(">b<") && at(">b<") < at("policy / rule"));
        assert_eq!(svg.matches("h0\"").count(), 3, "a dot for each");
        assert!(!svg.contains("NaN") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(!forest("title", "", &[], &[], &[]).contains("NaN"));
        let odd = row("a", f64::NAN, [0.0, f64::INFINITY], 0);
        assert!(forest("title", "", &["own"], &[odd], &[]).ends_with("</svg>\n"));
    }

    #[test]
    fn one_is_among_the_ticks() {
        let near = |one: &[f64], other: &[f64]| one.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near(&ticks(0.95, 1.05), &[0.96, 0.98, 1.0, 1.02, 1.04]));
        assert!(near(&ticks(0.5, 1.15), &[0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]));
    }
}
