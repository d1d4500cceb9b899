//! What has been seen of the workload so far: the history that policies scale what they see by.

use std::collections::{BTreeSet, VecDeque};

use yardmaster_env::units::{KindId, Time};
use yardmaster_env::view::History;

use super::jobs::JobKey;

/// Arrivals that are remembered.
const MOST: usize = 4096;

/// The last arrivals of jobs whose run time is known to some degree.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// The moment that virtual time counts from, in seconds since 1970: the first submission that was seen.
    base_s: Option<u64>,
    seen: BTreeSet<JobKey>,
    /// In order of submission.
    past: VecDeque<Arrival>,
}

#[derive(Debug)]
struct Arrival {
    key: JobKey,
    submit_s: u64,
    devices: u32,
    seconds: Vec<(KindId, f64)>,
}

impl Arrivals {
    /// Virtual time of a moment in seconds since 1970.
    pub(super) fn time(&mut self, seconds: f64) -> Time {
        let base = *self.base_s.get_or_insert(seconds as u64);
        Time::from_secs_f64(seconds - base as f64)
    }

    /// Fixes where virtual time begins, if that has not been done yet.
    pub(super) fn begin(&mut self, submit_s: u64) {
        self.base_s.get_or_insert(submit_s);
    }

    /// Takes in a job, unless it is known.
    pub(super) fn see(&mut self, key: JobKey, submit_s: u64, devices: u32, seconds: &[(KindId, f64)]) {
        if !self.seen.insert(key) {
            return;
        }
        let arrival = Arrival { key, submit_s, devices, seconds: seconds.to_vec() };
        let at = self.past.partition_point(|other| (other.submit_s, other.key) <= (submit_s, key));
        self.past.insert(at, arrival);
        if self.past.len() > MOST
            && let Some(oldest) = self.past.pop_front()
        {
            self.seen.remove(&oldest.key);
        }
    }

    /// What the simulator would have noted of these arrivals on a cluster of these kinds.
    pub(super) fn history(&mut self, kinds: &[KindId]) -> History {
        let mut history = History { losses: vec![(0.0, 0.0); kinds.len()], ..History::default() };
        let base = self.base_s.unwrap_or(0);
        for arrival in &self.past {
            let on = |kind: &KindId| {
                arrival.seconds.iter().find(|(known, _)| known == kind).map(|&(_, value)| value)
            };
            let Some(best) = kinds.iter().filter_map(on).min_by(f64::total_cmp) else { continue };
            let work = (best * f64::from(arrival.devices)).max(1e-9);
            let moment = Time::from_secs_f64(arrival.submit_s as f64 - base as f64);
            history.arrivals += 1;
            history.sum_ln_work += work.ln();
            history.sum_work += work;
            history.first.get_or_insert(moment);
            history.forecast.arrive(moment, None);
            for (loss, kind) in history.losses.iter_mut().zip(kinds) {
                if let Some(here) = on(kind) {
                    loss.0 += work;
                    loss.1 += work * (here / best).ln();
                }
            }
        }
        history
    }
}
