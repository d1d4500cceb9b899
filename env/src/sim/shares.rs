//! Who runs in a round of a standing allocation: the priorities of Gavel (Narayanan et al., OSDI'20, section 5).
//!
//! On each kind a job's priority is its share divided by the fraction of the kind's time that it has received since
//! the allocation was made, so that the one that lags most comes first. Each account begins with half a quantum of
//! time. What a job was owed and did not get, or got beyond, is carried on as its deficit, which decides ties, then
//! the share, then the order of arrival. Jobs that came after the allocation was made wait for the next one.
//!
//! One thing is not as published: there, a newcomer takes up room in the order of a round in which it is then not
//! run, where devices would else be filled.

use smallvec::SmallVec;

use super::legal::{Illegal, Referee};
use crate::timing::KindSlot;
use crate::units::JobId;
use crate::view::{Discipline, Portion};

/// Takes the place of a priority that would be infinite, so that shares still tell.
const UNSERVED: f64 = 1e9;
/// Solvers meet their bounds to about this much.
const TOLERANCE: f64 = 1e-6;

/// What jobs are owed and have received.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    kinds: usize,
    fill: bool,
    /// Of unfinished jobs, ascending.
    list: Vec<Account>,
    /// By kind: seconds given out since the allocation was made, with the credits of the jobs there were.
    given_s: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Account {
    job: JobId,
    /// It was there when the allocation was made. Who came later waits for the next.
    known: bool,
    /// The last round in which it ran.
    round: Option<u64>,
    by_kind: SmallVec<[Line; 4]>,
}

/// A job's account on one kind; `received_s` is without the credit.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    share: f64,
    received_s: f64,
    deficit_s: f64,
}

impl Accounts {
    pub(super) fn new(kinds: usize) -> Accounts {
        Accounts { kinds, fill: false, list: Vec::new(), given_s: vec![0.0; kinds] }
    }

    /// A job waits for the first time. Jobs come in ascending order.
    pub(super) fn enter(&mut self, job: JobId) {
        let by_kind = SmallVec::from_elem(Line::default(), self.kinds);
        self.list.push(Account { job, known: false, round: None, by_kind });
    }

    /// It has finished.
    pub(super) fn leave(&mut self, job: JobId) {
        if let Some(at) = self.find(job) {
            self.list.remove(at);
        }
    }

    /// It runs in a round.
    pub(super) fn start(&mut self, job: JobId, round: u64) {
        if let Some(at) = self.find(job) {
            self.list[at].round = Some(round);
        }
    }

    /// It has run for so long.
    pub(super) fn receive(&mut self, job: JobId, slot: KindSlot, seconds: f64) {
        if let Some(at) = self.find(job) {
            self.list[at].by_kind[slot].received_s += seconds;
            self.given_s[slot] += seconds;
        }
    }

    pub(super) fn ran_in(&self, job: JobId, round: u64) -> bool {
        self.find(job).is_some_and(|at| self.list[at].round == Some(round))
    }

    /// Settles the allocation that has stood for so long and begins another.
    pub(super) fn renew(&mut self, portions: &[Portion], fill: bool, stood_s: f64, credit_s: f64) {
        self.fill = fill;
        self.list.iter_mut().for_each(|account| account.known = true);
        for line in self.list.iter_mut().flat_map(|account| &mut account.by_kind) {
            line.deficit_s += line.share * stood_s - line.received_s;
            (line.share, line.received_s) = (0.0, 0.0);
        }
        self.given_s.fill(self.list.len() as f64 * credit_s);
        for portion in portions {
            if let Some(at) = self.find(portion.job) {
                self.list[at].by_kind[portion.slot].share = portion.share;
            }
        }
    }

    /// The jobs that may run on a kind, the most urgent first.
    pub(super) fn order(&self, slot: KindSlot, credit_s: f64) -> impl Iterator<Item = JobId> + use<> {
        let given = self.given_s[slot];
        let key = |account: &Account| {
            let Line { share, received_s, deficit_s } = account.by_kind[slot];
            let fraction = if given > 0.0 { (received_s + credit_s) / given } else { 0.0 };
            let priority = if fraction > 0.0 { share / fraction } else { share * UNSERVED };
            ([priority, deficit_s, share], account.job)
        };
        let known = self.list.iter().filter(|account| account.known);
        let mut order: Vec<([f64; 3], JobId)> = known.map(key).collect();
        order.retain(|([priority, ..], _)| self.fill || *priority > 0.0);
        // Stable, so that equals stay in order of arrival.
        order.sort_by(|(one, _), (other, _)| other.partial_cmp(one).unwrap_or(std::cmp::Ordering::Equal));
        order.into_iter().map(|(_, job)| job)
    }

    fn find(&self, job: JobId) -> Option<usize> {
        self.list.binary_search_by_key(&job, |account| account.job).ok()
    }
}

impl<W: Fn(JobId) -> bool> Referee<'_, W> {
    /// Whether an allocation can be carried out: it then runs something at once.
    pub(super) fn check_allocate(&self, portions: &[Portion]) -> Result<(), Illegal> {
        if self.view.discipline != Discipline::Rounds {
            return Err(Illegal::WrongDiscipline { decision: "allocate" });
        }
        if !self.view.running.is_empty() {
            return Err(Illegal::RoundHasBegun { running: self.view.running.len() });
        }
        let mut sorted = portions.to_vec();
        sorted.sort_by_key(|portion| (portion.job, portion.slot));
        for same in sorted.chunk_by(|one, other| one.job == other.job) {
            self.check_portions(same)?;
        }
        if !portions.iter().any(|portion| portion.share > 0.0) {
            return Err(Illegal::NothingAllocated);
        }
        (0..self.view.free_by_kind.len()).try_for_each(|slot| self.check_kind(portions, slot))
    }

    /// The portions of one job.
    fn check_portions(&self, portions: &[Portion]) -> Result<(), Illegal> {
        for (at, &Portion { job, slot, share }) in portions.iter().enumerate() {
            self.check_waiting(job)?;
            let devices = self.view.free_by_kind.get(slot).copied().unwrap_or(0);
            let gang = self.view.job(job).gang;
            if gang > devices || self.view.timing.job(job.index(), slot).is_none() {
                return Err(Illegal::NoSuchShare { job: job.0, slot });
            }
            let twice = portions[..at].iter().any(|other| other.slot == slot);
            if twice || !(0.0..=1.0 + TOLERANCE).contains(&share) {
                return Err(Illegal::BadShare { job: job.0, slot });
            }
        }
        let sum: f64 = portions.iter().map(|portion| portion.share).sum();
        let job = portions.first().map_or(0, |portion| portion.job.0);
        if sum > 1.0 + TOLERANCE { Err(Illegal::MoreThanOne { job }) } else { Ok(()) }
    }

    fn check_kind(&self, portions: &[Portion], slot: KindSlot) -> Result<(), Illegal> {
        let here = portions.iter().filter(|portion| portion.slot == slot);
        let jobs = self.view.jobs;
        let need: f64 = here.map(|portion| f64::from(jobs[portion.job.index()].gang) * portion.share).sum();
        let devices = self.view.free_by_kind[slot];
        if need > f64::from(devices) * (1.0 + TOLERANCE) {
            return Err(Illegal::Oversubscribed { slot, devices });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDIT_S: f64 = 180.0;

    /// Plays rounds of 360 s with one device; who runs in each, `a` being job 0.
    fn rounds(shares: &[f64], count: usize, accounts: &mut Accounts) -> String {
        let portion = |(job, &share)| Portion { job: JobId(job as u32), slot: 0, share };
        let portions: Vec<Portion> = shares.iter().enumerate().map(portion).collect();
        accounts.renew(&portions, false, 0.0, CREDIT_S);
        let mut ran = String::new();
        for _ in 0..count {
            let Some(job) = accounts.order(0, CREDIT_S).next() else { break };
            accounts.receive(job, 0, 360.0);
            ran.push(char::from(b'a' + job.0 as u8));
        }
        ran
    }

    fn accounts(jobs: u32) -> Accounts {
        let mut accounts = Accounts::new(1);
        (0..jobs).for_each(|job| accounts.enter(JobId(job)));
        accounts
    }

    /// By hand: priorities 0.75 / (180 + 360 n_a) and 0.25 / (180 + 360 n_b); equal after `a` and after `aabaa`, where
    /// the larger share decides.
    #[test]
    fn who_lags_most_behind_its_share_comes_first() {
        assert_eq!(rounds(&[0.5, 0.5], 6, &mut accounts(2)), "ababab");
        assert_eq!(rounds(&[0.75, 0.25], 7, &mut accounts(2)), "aabaaab");
    }

    #[test]
    fn without_a_share_nobody_runs_unless_devices_are_filled() {
        let mut accounts = accounts(2);
        assert_eq!(rounds(&[0.0, 0.0], 1, &mut accounts), "");
        accounts.fill = true;
        accounts.enter(JobId(2));
        assert_eq!(accounts.order(0, CREDIT_S).count(), 2, "who came later has to wait");
    }

    /// Of equal shares `a` got all for 720 s: it is 360 s ahead and `b` is owed as much, so that `b` wins the next tie.
    #[test]
    fn what_was_owed_decides_ties() {
        let mut accounts = accounts(2);
        let half = |job| Portion { job: JobId(job), slot: 0, share: 0.5 };
        accounts.renew(&[half(0), half(1)], false, 0.0, CREDIT_S);
        accounts.receive(JobId(0), 0, 720.0);
        accounts.renew(&[half(0), half(1)], false, 720.0, CREDIT_S);
        let deficits: Vec<f64> = accounts.list.iter().map(|account| account.by_kind[0].deficit_s).collect();
        assert_eq!(deficits, [-360.0, 360.0]);
        assert_eq!(accounts.order(0, CREDIT_S).next(), Some(JobId(1)));
    }
}
