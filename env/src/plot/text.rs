//! Bars drawn with block characters.

use std::fmt::Write;

/// Characters of the longest bar.
const WIDTH: usize = 48;
/// From one eighth of a character to all of it.
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// Its length.
    pub value: usize,
}

/// Draws bars below a headline, each with its label and its number. A bar of a number above 0 is never empty.
pub fn bars(headline: &str, rows: &[Bar]) -> String {
    let longest = rows.iter().map(|row| row.value).max().unwrap_or_default().max(1);
    let labels = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or_default();
    let mut text = format!("{headline}\n");
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>labels$} │{} {}", row.label, bar(row.value, longest), row.value);
    }
    text
}

fn bar(value: usize, longest: usize) -> String {
    let share = value as f64 / longest as f64;
    let eighths = ((share * (WIDTH * 8) as f64).round() as usize).max(usize::from(value > 0));
    let mut bar = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        bar.push(EIGHTHS[eighths % 8 - 1]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion_and_small_ones_can_be_seen() {
        let row = |label: &str, value| Bar { label: label.into(), value };
        let text = bars("gangs", &[row("1", 96), row("16", 5), row("2", 0), row("4", 1)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "gangs");
        assert_eq!(lines[1], format!("   1 │{} 96", "█".repeat(48)));
        assert_eq!(lines[2..], ["  16 │██▌ 5", "   2 │ 0", "   4 │▌ 1"]);
        assert_eq!(bar(1, 1_000_000), "▏");
        assert_eq!(bars("none", &[]), "none\n");
    }
}
