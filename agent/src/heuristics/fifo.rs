//! First in, first out under time slices: each job keeps its devices until it is done.
//!
//! `fifo-perf` is Gavel's `fifo_perf` (Narayanan et al., OSDI'20), kept job for job: at each allocation the jobs
//! choose in order of arrival among the kinds with room for their gang the one on which they are fastest; the first
//! without such a kind ends the round of choices. A job that runs on none of the kinds with room is passed over and
//! blocks nobody. `fifo` is blind to speed: the kind with the most free devices, kept until the job is done. (The
//! published `fifo` is the same on one kind of device and oversubscribes one of several.)

use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::JobId;
use yardmaster_env::view::{Decision, Discipline, Portion, View};

use super::batching::Batching;
use super::composite::Composite;
use super::order::Order;
use super::placement::Placing;
use crate::policy::Policy;

/// Whole devices in order of arrival.
#[derive(Clone, Debug)]
pub struct Fifo {
    /// Whether speeds are looked at.
    perf: bool,
    /// The last allocation.
    kept: Vec<Portion>,
    /// The same order where there are no rounds.
    elsewhere: Composite,
}

impl Fifo {
    /// Blind to speed.
    pub fn blind(name: impl Into<String>) -> Fifo {
        Fifo::new(false, name.into(), Placing::FirstFit)
    }

    /// The fastest kind with room.
    pub fn perf(name: impl Into<String>) -> Fifo {
        Fifo::new(true, name.into(), Placing::Fastest)
    }

    fn new(perf: bool, name: String, placing: Placing) -> Fifo {
        let elsewhere = Composite::new(name, Order::Fcfs, placing, Batching::Largest);
        Fifo { perf, kept: Vec::new(), elsewhere }
    }

    /// The kind that a job gets, `None` if none has room.
    fn choose(&self, view: &View<'_>, job: JobId, free: &[u32]) -> Option<KindSlot> {
        let room = |slot: &KindSlot| free[*slot] >= view.job(job).gang;
        // Ties go to the lower slot; a kind on which the job does not run comes last.
        let runs = |slot: KindSlot| view.estimate(job, slot);
        let slots = (0..free.len()).filter(room);
        if self.perf {
            slots.min_by_key(|&slot| (runs(slot).is_none(), runs(slot)))
        } else {
            slots.min_by_key(|&slot| (runs(slot).is_none(), std::cmp::Reverse(free[slot])))
        }
    }

    fn allocate(&mut self, view: &View<'_>) -> Vec<Portion> {
        let mut free = view.free_by_kind.to_vec();
        let mut portions: Vec<Portion> = Vec::new();
        if !self.perf {
            portions.extend(self.kept.iter().filter(|portion| view.queue.contains(&portion.job)));
            for &Portion { job, slot, .. } in &portions {
                free[slot] -= view.job(job).gang;
            }
        }
        let kept = portions.len();
        // The queue is in order of arrival.
        for &job in view.queue {
            if portions[..kept].iter().any(|portion| portion.job == job) {
                continue;
            }
            let Some(slot) = self.choose(view, job, &free) else { break };
            if view.estimate(job, slot).is_some() {
                free[slot] -= view.job(job).gang;
                portions.push(Portion { job, slot, share: 1.0 });
            }
        }
        self.kept.clone_from(&portions);
        portions
    }
}

impl Policy for Fifo {
    fn name(&self) -> &str {
        self.elsewhere.name()
    }

    fn reset(&mut self, seed: u64) {
        self.kept.clear();
        self.elsewhere.reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        if view.discipline != Discipline::Rounds {
            return self.elsewhere.decide(view);
        }
        Decision::Allocate { portions: self.allocate(view), fill: false }
    }
}
