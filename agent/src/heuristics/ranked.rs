//! The queue in an order that time does not change, kept from one decision to the next.
//!
//! Looking at every waiting job in each decision costs more than everything else once thousands wait. Where a view
//! promises [`Continuity`], a job's key is computed once and the first job is found in logarithmic time.

use std::collections::BTreeSet;

use yardmaster_env::units::JobId;
use yardmaster_env::view::{Continuity, View};

use super::Work;

/// Queues shorter than this are looked through faster than kept.
const SHORT: usize = 12;

/// A key as integers of the same order, see [`float`].
pub type Key = (u64, u64);

/// Waiting jobs by key, then by age. Some may have left since; they are found out when they come first.
#[derive(Clone, Debug, Default)]
pub struct Ranked {
    of: Option<Continuity>,
    /// Jobs before this one have been ranked if they waited.
    seen: usize,
    jobs: BTreeSet<(Key, JobId)>,
    gone: Vec<(Key, JobId)>,
}

impl Ranked {
    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Ranked::default();
    }

    /// The first acceptable job of the queue, streams apart; `None` if the queue has to be looked through instead.
    ///
    /// `key` must depend on nothing but the job and its estimates. Without a key for some job (it is not a
    /// number) there is no order to be kept.
    pub fn first(
        &mut self,
        view: &View<'_>,
        key: impl Fn(Work) -> Option<Key>,
        accept: impl Fn(&Work) -> bool,
    ) -> Option<Option<Work>> {
        if view.queue.len() < SHORT || !self.catch_up(view, key) {
            return None;
        }
        let work = |job| Work { job, stream: None };
        self.gone.clear();
        let mut found = None;
        for &(key, job) in &self.jobs {
            if view.queue.binary_search(&job).is_err() {
                self.gone.push((key, job));
            } else if accept(&work(job)) {
                found = Some(work(job));
                break;
            }
        }
        for gone in &self.gone {
            self.jobs.remove(gone);
        }
        Some(found)
    }

    /// Takes in who has joined since; `false` where nothing can be kept.
    fn catch_up(&mut self, view: &View<'_>, key: impl Fn(Work) -> Option<Key>) -> bool {
        let Some(now) = view.continuity else { return false };
        // A queue that is seen for the first time may be seen no second time: keeping might not pay.
        if !self.of.as_ref().is_some_and(|of| of.is(now)) {
            self.of = Some(now.clone());
            self.seen = 0;
            self.jobs.clear();
            return false;
        }
        let joined = view.queue.partition_point(|job| job.index() < self.seen);
        for &job in &view.queue[joined..] {
            let Some(key) = key(Work { job, stream: None }) else { return false };
            self.jobs.insert((key, job));
        }
        self.seen = view.jobs.len();
        true
    }
}

/// Integers that compare as the numbers do; both zeros are one. `None` if the number is none.
pub fn float(value: f64) -> Option<u64> {
    const SIGN: u64 = 1 << 63;
    // Adding zero makes one of the two zeros.
    let bits = (value + 0.0).to_bits();
    (!value.is_nan()).then_some(if bits & SIGN == 0 { bits | SIGN } else { !bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_compare_as_the_numbers_do() {
        let values = [f64::NEG_INFINITY, -1e300, -1.5, -1e-310, 0.0, 1e-310, 1.0, 1e300, f64::INFINITY];
        assert!(values.is_sorted_by(|one, other| float(*one) < float(*other)));
        assert_eq!(float(-0.0), float(0.0));
        assert_eq!(float(f64::NAN), None);
    }
}
