//! A circuit breaker: after so many misses in a row a policy is not asked for a while, then once, then again.
//!
//! It is told the time, so that it needs no clock.

use std::time::{Duration, Instant};

/// Whether a policy may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// It is asked.
    Closed,
    /// It is not.
    Open,
    /// One decision is tried.
    HalfOpen,
}

impl Circuit {
    /// For metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            Circuit::Closed => "closed",
            Circuit::Open => "open",
            Circuit::HalfOpen => "half-open",
        }
    }
}

/// The breaker of one policy.
#[derive(Clone, Debug)]
pub struct Breaker {
    most: u32,
    rest: Duration,
    misses: u32,
    opened: Option<Instant>,
    /// A trial is under way since.
    trial: Option<Instant>,
}

impl Breaker {
    /// Opens after `most` misses in a row, for `rest`.
    pub fn new(most: u32, rest: Duration) -> Breaker {
        Breaker { most: most.max(1), rest, misses: 0, opened: None, trial: None }
    }

    /// How it stands.
    pub fn circuit(&self, now: Instant) -> Circuit {
        match self.opened {
            None => Circuit::Closed,
            Some(opened) if now.duration_since(opened) < self.rest => Circuit::Open,
            Some(_) => Circuit::HalfOpen,
        }
    }

    /// Whether the policy may be asked now; half open, this takes the one trial. A trial of which nothing was heard
    /// for as long as the breaker rests is given up.
    pub fn admit(&mut self, now: Instant) -> bool {
        match self.circuit(now) {
            Circuit::Closed => true,
            Circuit::Open => false,
            Circuit::HalfOpen => {
                let busy = self.trial.is_some_and(|since| now.duration_since(since) < self.rest);
                if !busy {
                    self.trial = Some(now);
                }
                !busy
            }
        }
    }

    /// The policy answered in time.
    pub fn succeed(&mut self) {
        (self.misses, self.opened, self.trial) = (0, None, None);
    }

    /// It did not.
    pub fn miss(&mut self, now: Instant) {
        self.misses = self.misses.saturating_add(1);
        if self.misses >= self.most || self.opened.is_some() {
            (self.opened, self.trial) = (Some(now), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(5);

    #[test]
    fn it_opens_after_misses_in_a_row_and_closes_after_one_success() {
        let start = Instant::now();
        let mut breaker = Breaker::new(3, REST);
        breaker.miss(start);
        breaker.miss(start);
        breaker.succeed();
        breaker.miss(start);
        breaker.miss(start);
        assert_eq!(breaker.circuit(start), Circuit::Closed, "a success between");
        breaker.miss(start);
        assert_eq!(breaker.circuit(start), Circuit::Open);
        assert!(!breaker.admit(start + REST / 2));
        let later = start + REST;
        assert_eq!(breaker.circuit(later), Circuit::HalfOpen);
        assert!(breaker.admit(later), "the trial");
        assert!(!breaker.admit(later), "one at a time");
        breaker.miss(later);
        assert_eq!(breaker.circuit(later), Circuit::Open, "it failed");
        assert!(breaker.admit(later + REST));
        breaker.succeed();
        assert_eq!(breaker.circuit(later + REST), Circuit::Closed);
    }

    #[test]
    fn a_trial_that_is_never_heard_of_does_not_block_for_ever() {
        let start = Instant::now();
        let mut breaker = Breaker::new(1, REST);
        breaker.miss(start);
        assert!(breaker.admit(start + REST));
        assert!(!breaker.admit(start + REST + REST / 2));
        assert!(breaker.admit(start + REST + REST));
    }
}
