//! How much processor time this process has used.

/// Clock ticks a second in `/proc`, the same on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Seconds of all threads, in user and system mode; `None` where the system does not tell.
pub fn seconds() -> Option<f64> {
    parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15 of `/proc/self/stat`; the name in field 2 may hold blanks and parentheses.
fn parse(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11).map(str::parse::<u64>);
    Some((fields.next()?.ok()? + fields.next()?.ok()?) as f64 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_process_is_read() {
        let stat = "42 (a b) c) R 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 99 1 2 3";
        assert_eq!(parse(stat), Some(3.0));
        assert_eq!(parse("42 (a) R 1"), None);
    }

    #[test]
    fn work_takes_time() {
        let Some(before) = seconds() else { return };
        let begin = std::time::Instant::now();
        let mut sum = 0_u64;
        while begin.elapsed().as_millis() < 60 {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        let after = seconds().unwrap();
        assert!(after >= before && sum > 0);
    }
}
