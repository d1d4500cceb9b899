//! What has been seen of the workload so far: the history that policies scale what they see by.

use std::collections::{BTreeSet, VecDeque};

use yardmaster_env::snapshot::HistoryState;
use yardmaster_env::units::{KindId, Span, Time};
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

    /// What the simulator would have noted of these arrivals on a cluster of these kinds; none of them is later than
    /// `now`.
    pub(super) fn history(&self, kinds: &[KindId], now: Time) -> HistoryState {
        let mut history = History::default();
        let base = self.base_s.unwrap_or(0);
        for arrival in &self.past {
            let on = |kind: &KindId| {
                let found = arrival.seconds.iter().find(|(known, _)| known == kind);
                found.map(|&(_, seconds)| Span::from_secs_f64(seconds))
            };
            let spans: Vec<Option<Span>> = kinds.iter().map(on).collect();
            let Some(shortest) = spans.iter().flatten().min() else { continue };
            let moment = Time::from_secs_f64(arrival.submit_s as f64 - base as f64).min(now);
            history.arrive(moment, arrival.devices, *shortest, &spans, None);
        }
        HistoryState {
            arrivals: history.arrivals,
            sum_ln_work: history.sum_ln_work,
            sum_work: history.sum_work,
            losses: history.losses,
            first_ns: history.first.map(|first| first.0),
            forecast: history.forecast,
        }
    }
}
