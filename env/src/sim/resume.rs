//! A simulation that stands where a view does: what a live system, or a log of one, needs to try decisions.

use std::sync::Arc;

use super::{NodeState, Simulator, State, World};
use crate::job::{Job, StepSpeeds, Truth, Workload};
use crate::objective::CostMeter;
use crate::rules::Rules;
use crate::units::{JobId, NodeId, Time};
use crate::view::{Discipline, Running, View};

impl Simulator {
    /// A simulation in which everything is so as a view shows it, and goes on as is estimated: nothing more arrives, and
    /// what runs ends when it should. [`super::Outlook::imagine`] gives it futures. `None` under other disciplines than
    /// `free`, and where models have to be loaded, as a view does not tell which run holds which device.
    pub fn resume(view: &View<'_>) -> Option<Simulator> {
        if view.discipline != Discipline::Free || view.loads.is_some() {
            return None;
        }
        let mut sim = Simulator::new(Arc::new(world(view)?));
        (sim.now, sim.arrived, sim.sent) = (view.now, view.jobs.len(), view.jobs.len());
        sim.meter = CostMeter::new(view.objective, view.now);
        sim.data = view.data.cloned();
        sim.history = view.history.clone();
        sim.corrections = view.corrections.to_vec();
        sim.progress = view.progress.to_vec();
        sim.progress.resize(view.jobs.len(), Default::default());
        view.running.iter().for_each(|run| sim.take_up(run));
        sim.take_up_waiting(view);
        sim.close(view);
        Some(sim)
    }

    /// What runs, as of old.
    fn take_up(&mut self, run: &Running) {
        run.nodes.iter().for_each(|&share| self.hold(share));
        let finish = run.expected_finish.max(self.now);
        for &id in &run.members {
            let state = if run.fetching { State::Transferring } else { State::Running };
            self.enter_as(id, state);
            let record = &mut self.records[id.index()];
            (record.start, record.finish) = (run.start, finish);
            (record.batch, record.variant) = (run.batch, run.variant);
            record.nodes.clone_from(&run.nodes);
            if !run.fetching {
                self.meter.start(&self.world.workload.jobs[id.index()], finish);
            }
        }
        if !run.fetching {
            self.finishes.push(finish, run.sequence);
        }
        self.running.push(run.clone());
        self.sequence = run.sequence + 1;
    }

    /// What waits, and what has ended or waits for another stage.
    fn take_up_waiting(&mut self, view: &View<'_>) {
        let world = Arc::clone(&self.world);
        for &id in view.queue {
            self.enter_as(id, State::Queued);
            self.queue.join(id, &world);
        }
        self.streams = view.streams.to_vec();
        for &id in view.streams.iter().flat_map(|stream| &stream.queue) {
            self.enter_as(id, State::Queued);
        }
        for at in 0..view.jobs.len() {
            let id = JobId(at as u32);
            if self.records[at].state != State::Future {
                continue;
            }
            let before = view.jobs[at].after.map(|before| self.records[before.index()].state);
            match before {
                None | Some(State::Finished) => self.set_state(id, State::Finished),
                Some(_) => self.enter_as(id, State::Blocked),
            }
        }
    }

    fn enter_as(&mut self, id: JobId, state: State) {
        let ideal = self.world.ideal(id);
        self.meter.enter(&self.world.workload.jobs[id.index()], ideal);
        self.set_state(id, state);
    }

    /// Machines that take nothing new.
    fn close(&mut self, view: &View<'_>) {
        for at in 0..self.free.len() {
            let (node, slot) = (NodeId(at as u32), self.world.slot_of(NodeId(at as u32)));
            if view.free[at] < self.free[at] {
                let busy = self.nodes.busy[at] > 0;
                self.nodes.states[at] = if busy { NodeState::Draining } else { NodeState::Off };
                self.free_by_kind[slot] -= self.free[at];
                self.free[at] = 0;
                if !busy {
                    self.usage.leave_service(slot, self.world.cluster.node(node).devices);
                }
            }
            self.nodes.idle_since[at] = self.now;
        }
    }
}

fn world(view: &View<'_>) -> Option<World> {
    // Only the table knows how fast steps are; the speeds themselves are of no use.
    let speeds = vec![StepSpeeds::default(); view.timing.steps().len()];
    let artefacts = view.data.map(|data| data.spec().setup().artefacts.clone()).unwrap_or_default();
    let jobs: Vec<Job> = view.jobs.to_vec();
    let last = jobs.last().map_or(Time::ZERO, |job| job.arrival);
    debug_assert!(last <= view.now, "a job from the future");
    let truths = vec![Truth::AsEstimated; jobs.len()];
    let workload = Workload { jobs, truths, speeds, artefacts, ..Workload::default() };
    // Machines neither come nor go by themselves, and no owner is judged by what is imagined.
    let rules = Rules { autoscale: Vec::new(), calibrated: false, ..view.rules.clone() };
    World::bare(view.cluster.clone(), workload, view.timing.clone(), view.objective, rules, view.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Future;
    use crate::spec::{Split, builtin};
    use crate::view::Decision;

    /// Starts whatever fits, oldest first.
    fn eager(view: &View<'_>) -> Decision {
        for &job in view.queue {
            for slot in 0..view.timing.kinds() {
                if let Some(nodes) = view.fits(job, slot).then(|| view.place_job(job, slot)).flatten() {
                    return Decision::Start { job, nodes, batch: view.default_batch(job), variant: 0 };
                }
            }
        }
        Decision::Wait { until: None }
    }

    fn finish(mut sim: Simulator) -> Simulator {
        while let Some(view) = sim.next_decision() {
            let decision = eager(&view);
            sim.apply(decision).unwrap();
        }
        sim
    }

    /// From many moments of episodes: the copy ends as the original does if nothing more arrives there either.
    #[test]
    fn what_is_taken_up_goes_on_as_it_would_have() {
        for scenario in ["pool12", "gang", "mix", "locality", "sweeps"] {
            let world = builtin(scenario).unwrap().world(Split::Test.seed(3, 0)).unwrap();
            let mut sim = Simulator::new(Arc::new(world));
            let mut moments = 0;
            while let Some(view) = sim.next_decision() {
                let decision = eager(&view);
                moments += 1;
                if moments % 23 == 0 {
                    let resumed = Simulator::resume(&view).unwrap();
                    resumed.debug_check();
                    let future = Future { episode: None, since: view.now, arrivals: &[], seed: 1 };
                    let original = finish(view.outlook.unwrap().imagine(&future));
                    let copy = finish(resumed.view().outlook.unwrap().imagine(&future));
                    let ends = |sim: &Simulator| -> Vec<(State, Time)> {
                        sim.records().iter().map(|record| (record.state, record.finish)).collect()
                    };
                    let (original, copy) = (ends(&original), ends(&copy));
                    for (at, job) in view.jobs.iter().enumerate() {
                        let open = sim_open(&view, JobId(at as u32));
                        assert!(!open || original[at] == copy[at], "{scenario}: {job:?} at {}", view.now);
                    }
                }
                sim.apply(decision).unwrap();
                if moments > 200 {
                    break;
                }
            }
            assert!(moments > 50);
        }
    }

    fn sim_open(view: &View<'_>, job: JobId) -> bool {
        view.queue.contains(&job) || view.running.iter().any(|run| run.members.contains(&job))
    }
}
