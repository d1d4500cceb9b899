//! Processor time, which other processes on the machine do not change as they change elapsed time.

use std::fs;

/// Ticks a second in which Linux tells programs the time of a process, on every architecture.
const TICKS: f64 = 100.0;

/// Seconds that the calling thread has computed; `None` where the system does not tell (Linux does).
pub fn thread_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 * 1e-9)
}

/// Seconds that all threads of this process have computed, in hundredths; `None` where the system does not tell.
pub fn process_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold anything; user and system time are fields 14 and 15.
    let (_, fields) = text.rsplit_once(')')?;
    let ticks: Option<f64> =
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().ok()).sum();
    Some(ticks? / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn computing_takes_time_in_the_thread_that_computes() {
        let before = (thread_seconds().unwrap(), process_seconds().unwrap());
        let compute = || {
            let begin = thread_seconds().unwrap();
            let mut word = std::hint::black_box(1_u64);
            while thread_seconds().unwrap() - begin < 0.05 {
                (0..10_000).for_each(|i| word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i);
            }
            std::hint::black_box(word);
        };
        std::thread::scope(|scope| scope.spawn(compute).join().unwrap());
        let counted = process_seconds().unwrap() - before.1;
        assert!(counted >= 0.03, "the process counted {counted} s of its thread's 0.05");
        assert!(thread_seconds().unwrap() - before.0 < 0.05, "waiting counted as computing");
    }
}
