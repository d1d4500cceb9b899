//! Jobs that run and may be cut off: each is a work group of its own, whose spans are those of what is left of it.

use super::{Candidate, Candidates, WorkGroup};
use crate::timing::KindSlot;
use crate::units::Span;
use crate::view::{Decision, Discipline, Running, View};

/// Runs that are offered at most, besides the one that a proposal cuts off.
pub const MAX_RUNS: usize = 8;

impl Candidates {
    /// Adds the runs with most work left, where jobs may be cut off, and the one that a decision cuts off.
    pub(super) fn list_runs(&mut self, view: &View<'_>, proposal: Option<&Decision>) {
        if !view.rules.preempt || view.discipline != Discipline::Free {
            return;
        }
        let proposed = match proposal {
            Some(Decision::Preempt { run }) => Some(*run),
            _ => None,
        };
        let mut runs = std::mem::take(&mut self.runs);
        runs.clear();
        for (at, run) in view.running.iter().enumerate() {
            if Some(run.sequence) == proposed {
                runs.push((u64::MAX, at));
            } else if view.is_preemptible(run) && !run.fetching {
                runs.push((view.left_of(run).0.saturating_mul(u64::from(run.devices())), at));
            }
        }
        runs.sort_unstable_by_key(|&(work, at)| (std::cmp::Reverse(work), at));
        for &(_, at) in runs.iter().take(MAX_RUNS) {
            self.list_run(view, &view.running[at]);
        }
        self.runs = runs;
    }

    fn list_run(&mut self, view: &View<'_>, run: &Running) {
        let job = run.members[0];
        let here = view.left_of(run);
        // Estimates are of all that was left when the run began; some of that is done.
        let began =
            view.estimate(job, run.slot).map(|all| all.as_secs_f64() - view.restart(job).as_secs_f64());
        let part = began.map_or(1.0, |began| (here.as_secs_f64() / began.max(1e-9)).min(1.0));
        let restart = view.rules.resume.restarts.of(view.job(job));
        let rest = |slot: KindSlot| {
            let all = view.estimate(job, slot)?;
            Some(Span(all.0 - view.restart(job).0.min(all.0)).scaled(part) + restart)
        };
        let first = self.spans.len();
        for slot in 0..view.timing.kinds() {
            let span = if slot == run.slot { Some(here) } else { rest(slot) };
            self.spans.push(span.unwrap_or(Span::MAX));
        }
        self.best.push(self.spans[first..].iter().copied().min().unwrap_or(Span::MAX));
        self.works.push(WorkGroup { job, count: 1, stream: None, run: Some(run.sequence) });
    }

    /// To cut off each of the runs.
    pub(super) fn list_cuts(&mut self, view: &View<'_>) {
        for work in self.waiting..self.works.len() {
            let sequence = self.works[work].run;
            let Some(run) = view.running.iter().find(|run| Some(run.sequence) == sequence) else { continue };
            let (batch, gang) = (run.batch, run.devices());
            self.list.push(Candidate { work, node: run.slot, batch, variant: 0, gang });
        }
    }
}
