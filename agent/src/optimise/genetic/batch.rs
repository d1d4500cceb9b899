//! A batch of jobs on devices that come free at known moments, and what a plan for it costs.

use yardmaster_env::timing::KindSlot;

/// What is to be small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The sum of weight times completion time.
    CompletionTime,
    /// The end of the last job.
    Makespan,
}

/// Jobs that are all there, and when the devices are.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// At least one.
    pub jobs: Vec<Item>,
    /// By kind: when each device is free, in seconds from now.
    pub ready_s: Vec<Vec<f64>>,
}

/// One of the jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Devices it takes.
    pub gang: usize,
    /// How much its completion time counts.
    pub weight: f64,
    /// By kind: how long it takes, in seconds; `None` where it does not run. It runs on at least one kind that has
    /// enough devices.
    pub spans_s: Vec<Option<f64>>,
}

/// A plan: in which order the jobs take devices, and of which kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// All jobs.
    pub order: Vec<usize>,
    /// By job.
    pub kinds: Vec<KindSlot>,
    /// What it costs.
    pub cost: f64,
}

impl Batch {
    /// The kinds on which a job can run.
    pub(super) fn kinds_of(&self, job: usize) -> impl Iterator<Item = KindSlot> + Clone + '_ {
        let item = &self.jobs[job];
        let enough = move |slot: &KindSlot| self.ready_s[*slot].len() >= item.gang;
        (0..self.ready_s.len()).filter(enough).filter(|&slot| item.spans_s[slot].is_some())
    }

    /// A job's time on the kind where it is shortest, for its weight.
    pub(super) fn shortest_s(&self, job: usize) -> f64 {
        let item = &self.jobs[job];
        let spans = self.kinds_of(job).filter_map(|slot| item.spans_s[slot]);
        spans.fold(f64::INFINITY, f64::min) / item.weight.max(1e-9)
    }

    /// What a plan costs: each job, in its order, takes the devices of its kind that are free first.
    pub fn cost(&self, order: &[usize], kinds: &[KindSlot], goal: Goal) -> f64 {
        let mut clocks = Clocks::new(self);
        let mut cost: f64 = 0.0;
        for &job in order {
            let item = &self.jobs[job];
            let end = clocks.run(kinds[job], item.gang, item.spans_s[kinds[job]].unwrap_or(f64::INFINITY));
            cost = match goal {
                Goal::CompletionTime => cost + item.weight * end,
                Goal::Makespan => cost.max(end),
            };
        }
        cost
    }

    /// Min-min (Ibarra and Kim, 1977): again and again the job that can end first, where it ends first.
    pub(super) fn min_min(&self, goal: Goal) -> Plan {
        let mut clocks = Clocks::new(self);
        let mut left: Vec<usize> = (0..self.jobs.len()).collect();
        let mut plan = Plan { order: Vec::new(), kinds: vec![0; self.jobs.len()], cost: 0.0 };
        while !left.is_empty() {
            let ends = left
                .iter()
                .enumerate()
                .flat_map(|(at, &job)| self.kinds_of(job).map(move |slot| (at, job, slot)));
            let end = |&(_, job, slot): &(usize, usize, KindSlot)| {
                let item = &self.jobs[job];
                clocks.free_s(slot, item.gang) + item.spans_s[slot].unwrap_or(f64::INFINITY)
            };
            let Some((at, job, slot)) = ends.min_by(|one, other| end(one).total_cmp(&end(other))) else {
                break;
            };
            let item = &self.jobs[job];
            clocks.run(slot, item.gang, item.spans_s[slot].unwrap_or(f64::INFINITY));
            plan.order.push(job);
            plan.kinds[job] = slot;
            left.remove(at);
        }
        plan.cost = self.cost(&plan.order, &plan.kinds, goal);
        plan
    }
}

/// When devices are free: (kinds, devices), ascending.
struct Clocks(Vec<Vec<f64>>);

impl Clocks {
    fn new(batch: &Batch) -> Clocks {
        let mut ready = batch.ready_s.clone();
        ready.iter_mut().for_each(|devices| devices.sort_by(f64::total_cmp));
        Clocks(ready)
    }

    /// When so many devices of a kind are free together.
    fn free_s(&self, slot: KindSlot, gang: usize) -> f64 {
        self.0[slot].get(gang.max(1) - 1).copied().unwrap_or(f64::INFINITY)
    }

    /// Runs a job on the devices that are free first; when it ends.
    fn run(&mut self, slot: KindSlot, gang: usize, span_s: f64) -> f64 {
        let end = self.free_s(slot, gang) + span_s;
        let devices = &mut self.0[slot];
        let gang = gang.min(devices.len());
        // They come free later than some of the others: those move up.
        let place = devices.partition_point(|free| *free < end);
        devices.copy_within(gang..place.max(gang), 0);
        let moved = place.max(gang) - gang;
        devices[moved..moved + gang].fill(end);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_take_the_devices_that_are_free_first() {
        let item = |gang, spans: [f64; 2]| Item { gang, weight: 1.0, spans_s: spans.map(Some).to_vec() };
        let jobs = vec![item(1, [4.0, 9.0]), item(2, [3.0, 9.0]), item(1, [2.0, 5.0])];
        let batch = Batch { jobs, ready_s: vec![vec![1.0, 0.0, 6.0], vec![2.0]] };
        // The first ends at 4 on the device that is free, the pair at 4 + 3 on those of 1 and 4, the last at 6 + 2.
        assert_eq!(batch.cost(&[0, 1, 2], &[0, 0, 0], Goal::CompletionTime), 4.0 + 7.0 + 8.0);
        assert_eq!(batch.cost(&[0, 1, 2], &[0, 0, 0], Goal::Makespan), 8.0);
        assert_eq!(batch.cost(&[2, 1, 0], &[1, 0, 0], Goal::CompletionTime), 2.0 + 5.0 + 11.0);
    }
}
