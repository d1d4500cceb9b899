//! Dates with times of day as text, `2017-10-09 07:01:55.25`.

use super::seconds;

/// What the text must be, for messages.
pub(super) const MUST: &str = "a date and time such as 2017-10-09 07:01:55, from 1970 to 2199";

const DAY_NANOS: u64 = 86_400 * 1_000_000_000;

/// Nanoseconds since 1970 began, in the text's own time zone; `None` if it is no date and time from 1970 to 2199.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (date, time) = text.trim_end_matches('Z').split_once([' ', 'T'])?;
    let [year, month, day] = parts(date, '-')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = parts(clock, ':')?;
    // A number of seconds may have an exponent, a fraction of one has none.
    let plain = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let nanos = seconds::parse(&format!("0.{fraction}")).filter(|_| plain)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month).ok()?.checked_sub(1)?;
    let date_exists = (1970..2200).contains(&year) && (1..=*days.get(month)?).contains(&day);
    if !date_exists || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days in all years up to this one.
    let through = |year: u64| 365 * year + year / 4 - year / 100 + year / 400;
    let days = through(year - 1) - through(1969) + days[..month].iter().sum::<u64>() + day - 1;
    Some(days * DAY_NANOS + ((hour * 60 + minute) * 60 + second) * 1_000_000_000 + nanos)
}

/// Three numbers of at most four digits.
fn parts(text: &str, between: char) -> Option<[u64; 3]> {
    let mut parts = text.split(between).map(|part| {
        let digits = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse::<u64>().ok() } else { None }
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_counted_from_1970() {
        let second = 1_000_000_000;
        let cases = [
            ("1970-01-01 00:00:00", Some(0)),
            ("1970-01-02T00:00:01.5Z", Some(86_401 * second + 500_000_000)),
            ("2000-03-01 00:00:00", Some(951_868_800 * second)),
            ("2017-10-09 07:01:55", Some(1_507_532_515 * second)),
            ("2023-11-16 18:17:03.9799600", Some(1_700_158_623 * second + 979_960_000)),
            ("2024-02-29 23:59:59", Some(1_709_251_199 * second)),
            ("2023-02-29 00:00:00", None),
            ("2023-13-01 00:00:00", None),
            ("2023-00-01 00:00:00", None),
            ("2023-01-00 00:00:00", None),
            ("2023-01-01 24:00:00", None),
            ("1969-12-31 23:59:59", None),
            ("0-01-01 00:00:00", None),
            ("2023-01-01", None),
            ("2023-01-01 00:00:00.x", None),
            ("2023-01-01 00:00:00.9e308", None),
            ("2023-01-01-01 00:00:00", None),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), nanos, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(2023-01-01 00:00:00\\.)?[0-9eTZ:. -]{0,30}") {
            let _ = parse(&text);
        }
    }
}
