//! Colours and texts of a picture.

use crate::timing::KindSlot;
use crate::units::JobId;

/// One colour a kind, repeated after eight; text on them is readable in dark ink.
const COLOURS: [[u8; 3]; 8] = [
    [111, 163, 216],
    [242, 166, 90],
    [118, 183, 118],
    [190, 150, 200],
    [231, 130, 130],
    [120, 190, 190],
    [226, 201, 92],
    [175, 145, 120],
];

/// One of three shades: scattered, so that it follows no pattern of the workload.
pub(super) fn shade(job: JobId) -> usize {
    (job.0.wrapping_mul(2_654_435_761) >> 16) as usize % 3
}

/// Shades 0 to 2 alternate between jobs, 3 is darker.
pub(super) fn colour(slot: KindSlot, shade: usize) -> String {
    let [red, green, blue] = COLOURS[slot % COLOURS.len()].map(|part| {
        let part = f64::from(part);
        match shade {
            0 => part,
            1 => part + 0.28 * (255.0 - part),
            2 => part * 0.86,
            _ => part * 0.68,
        }
        .round() as u8
    });
    format!("#{red:02x}{green:02x}{blue:02x}")
}

pub(super) fn shorten(label: &str, most: usize) -> String {
    if label.chars().count() <= most {
        return label.to_owned();
    }
    let start: String = label.chars().take(most - 1).collect();
    format!("{start}\u{2026}")
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
