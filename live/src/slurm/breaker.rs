//! When a policy is no longer asked.

use std::time::Duration;

/// Counts failures in a row; after so many it is open for a while, then one attempt decides.
#[derive(Debug)]
pub(super) struct Breaker {
    most: u32,
    pause: Duration,
    failures: u32,
    /// Until when the policy is not asked, in time since 1970.
    until: Option<Duration>,
}

impl Breaker {
    pub(super) fn new(most: u32, pause: Duration) -> Breaker {
        Breaker { most, pause, failures: 0, until: None }
    }

    /// Whether the policy is not to be asked now.
    pub(super) fn is_open(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// The policy has failed; gives the failures in a row, and whether it is not to be asked from now on.
    pub(super) fn failed(&mut self, now: Duration) -> (u32, bool) {
        self.failures += 1;
        let open = self.failures >= self.most;
        if open {
            self.until = Some(now + self.pause);
        }
        (self.failures, open)
    }

    /// The policy has decided; gives whether that is news.
    pub(super) fn succeeded(&mut self) -> bool {
        self.failures = 0;
        self.until.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_tries_once_again() {
        let at = Duration::from_secs;
        let mut breaker = Breaker::new(2, at(10));
        assert_eq!(breaker.failed(at(0)), (1, false));
        assert!(!breaker.succeeded() && !breaker.is_open(at(0)));
        assert_eq!(breaker.failed(at(1)), (1, false));
        assert_eq!(breaker.failed(at(2)), (2, true));
        assert!(breaker.is_open(at(11)) && !breaker.is_open(at(12)));
        assert_eq!(breaker.failed(at(12)), (3, true));
        assert!(breaker.is_open(at(21)));
        assert!(breaker.succeeded() && !breaker.is_open(at(21)));
    }
}
