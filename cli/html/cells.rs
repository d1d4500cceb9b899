//! Small drawings in cells of a table.

use yardmaster_agent::comparison::{Ratio, Row};

const WIDTH: f64 = 130.0;
const HEIGHT: f64 = 18.0;
/// Bars longer than so many times the shortest end in a break, lest the others cannot be told apart.
const LONGEST: f64 = 4.0;
/// The widest range of ratios that is drawn to scale.
const RATIOS: [f64; 2] = [0.4, 2.5];

/// Lengths of the means in a table.
pub(super) struct Bars {
    full: f64,
}

impl Bars {
    /// For these rows.
    pub(super) fn new<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Bars {
        let least = rows.clone().map(|row| row.mean).fold(f64::INFINITY, f64::min);
        let most = rows.map(|row| row.ci95[1].max(row.mean)).fold(0.0, f64::max);
        let full = if least > 0.0 { most.min(LONGEST * least) } else { most };
        Bars { full: if full > 0.0 && full.is_finite() { full } else { 1.0 } }
    }

    fn place(&self, value: f64) -> f64 {
        (value / self.full).clamp(0.0, 1.0) * (WIDTH - 8.0)
    }

    /// The mean as a bar with its interval; one that goes on beyond the cell has a jagged end.
    pub(super) fn draw(&self, row: &Row) -> String {
        let (end, middle) = (self.place(row.mean), HEIGHT / 2.0);
        let bar = format!(r#"<rect class="b" x="0" y="3" width="{end:.1}" height="12" rx="1.5"/>"#);
        let mark = if row.mean > 1.001 * self.full {
            format!(r#"<path class="w" d="M{:.1} 2l5 3.5l-5 3.5l5 3.5l-5 3.5"/>"#, end + 1.0)
        } else {
            let [low, high] = row.ci95.map(|bound| self.place(bound));
            format!(r#"<path class="w" d="M{low:.1} {middle}H{high:.1}M{low:.1} 5.5v7M{high:.1} 5.5v7"/>"#)
        };
        svg(&(bar + &mark))
    }
}

/// A scale of ratios around 1.
pub(super) struct Ratios {
    low: f64,
    high: f64,
}

impl Ratios {
    /// That all of these fit on, or most.
    pub(super) fn new<'a>(ratios: impl Iterator<Item = &'a Ratio> + Clone) -> Ratios {
        let low = ratios.clone().map(|ratio| ratio.ci95[0]).fold(1.0, f64::min).max(RATIOS[0]);
        let high = ratios.map(|ratio| ratio.ci95[1]).fold(1.0, f64::max).min(RATIOS[1]);
        let margin = (0.04 * (high - low)).max(0.004);
        Ratios { low: low - margin, high: high + margin }
    }

    fn place(&self, ratio: f64) -> f64 {
        6.0 + ((ratio - self.low) / (self.high - self.low)).clamp(0.0, 1.0) * (WIDTH - 12.0)
    }

    /// A point with its interval beside the line of equality: green below it, red above, hollow where that is not
    /// significant. What lies beyond the scale is an arrow.
    pub(super) fn draw(&self, ratio: &Ratio) -> String {
        let (one, middle) = (self.place(1.0), HEIGHT / 2.0);
        let line = format!(r#"<path class="o" d="M{one:.1} 0V{HEIGHT}"/>"#);
        let class = match (ratio.significant, ratio.ratio < 1.0) {
            (false, _) => "n",
            (true, true) => "g",
            (true, false) => "r",
        };
        let at = self.place(ratio.ratio);
        if ratio.ratio > self.high {
            return svg(&format!(r#"{line}<path class="{class}" d="M{:.1} 4l7 5l-7 5z"/>"#, at - 4.0));
        }
        let [low, high] = ratio.ci95.map(|bound| self.place(bound));
        svg(&format!(
            r#"{line}<path class="{class}" stroke-width="1.6" d="M{low:.1} {middle}H{high:.1}"/><circle class="{class}" cx="{at:.1}" cy="{middle}" r="3.6" stroke-width="1.4"/>"#
        ))
    }
}

fn svg(content: &str) -> String {
    format!(
        r#"<svg class="cell" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">{content}</svg>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(ratio: f64, significant: bool) -> Ratio {
        let ci95 = [ratio - 0.1, ratio + 0.1];
        Ratio { ratio, ci95, ci95_bootstrap: ci95, wins: 3, p_holm: 0.5, significant }
    }

    #[test]
    fn a_point_says_on_which_side_it_lies_and_whether_that_is_sure() {
        let all = [ratio(0.8, true), ratio(1.02, false), ratio(1.9, true), ratio(40.0, true)];
        let scale = Ratios::new(all.iter());
        let drawn = all.each_ref().map(|ratio| scale.draw(ratio));
        for (drawn, class) in drawn.iter().zip(["g", "n", "r", "r"]) {
            assert!(drawn.contains(&format!(r#"class="{class}""#)), "{drawn}");
        }
        assert!(drawn[2].contains("circle") && !drawn[3].contains("circle"), "beyond the scale is an arrow");
        assert!(scale.place(0.8) < scale.place(1.0) && scale.place(1.0) < scale.place(1.9));
    }
}
