//! Seconds as decimal text, exact to the nanosecond.

use crate::units::Span;

/// What the text must be, for messages.
pub(super) const MUST: &str = "a number of seconds from 0 to 18446744073";

const NANOS: u64 = 1_000_000_000;

/// Nanoseconds in a decimal number of seconds, rounded half up; `None` if it is none, negative or too large.
pub(super) fn parse(text: &str) -> Option<u64> {
    if text.contains(['e', 'E']) {
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
        return Some(Span::from_secs_f64(seconds).0);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |byte| u64::from(byte - b'0'));
    let nanos = (0..9).fold(0, |sum, at| sum * 10 + digit(at)) + u64::from(digit(9) >= 5);
    whole.parse::<u64>().ok()?.checked_mul(NANOS)?.checked_add(nanos)
}

/// The shortest text that reads back as this many nanoseconds.
pub(super) fn write(nanos: u64) -> String {
    let (whole, fraction) = (nanos / NANOS, nanos % NANOS);
    if fraction == 0 {
        return whole.to_string();
    }
    format!("{whole}.{fraction:09}").trim_end_matches('0').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_to_the_nanosecond() {
        let cases = [
            ("0", Some(0)),
            ("1.5", Some(1_500_000_000)),
            ("2.", Some(2_000_000_000)),
            ("0.0000000014", Some(1)),
            ("0.0000000015", Some(2)),
            ("1e-3", Some(1_000_000)),
            ("18446744073.709551615", Some(u64::MAX)),
            ("18446744073.709551616", None),
            ("-1", None),
            (".5", None),
            ("1.2.3", None),
            ("one", None),
            ("-1e3", None),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), nanos, "{text}");
        }
        assert_eq!([write(0), write(1_500_000_000), write(7)], ["0", "1.5", "0.000000007"]);
    }
}
