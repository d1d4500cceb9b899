//! Orders that cut off what runs: by preemption under the discipline `free`, where the scenario allows it.

use yardmaster_env::units::{Span, Time};
use yardmaster_env::view::{Discipline, Running, View};

use super::Work;
use super::moves::span_here;
use super::order::{Order, level, remaining};

impl Order {
    /// Whether this order may cut off what runs here.
    pub fn cuts(self, view: &View<'_>) -> bool {
        let preemptive = matches!(self, Order::Srpt | Order::Las { .. } | Order::RoundRobin { .. });
        preemptive && view.rules.preempt && view.discipline == Discipline::Free
    }

    /// The run that gives way to the work that is first, its devices and the free ones being enough: the last by this
    /// order.
    pub fn victim(self, view: &View<'_>, head: Work) -> Option<u64> {
        let gang = view.job(head.job).gang;
        let enough = |run: &&Running| {
            let most = head.most(view, run.slot);
            most > 0 && view.free_by_kind[run.slot] + run.devices() >= gang
        };
        let runs = view.running.iter().filter(|run| view.is_preemptible(run)).filter(enough);
        let behind = runs.filter_map(|run| Some((self.lag(view, run, head)?, run.sequence)));
        behind.max().map(|(_, run)| run)
    }

    /// By how much a run comes after the work that is first; `None` if it does not.
    fn lag(self, view: &View<'_>, run: &Running, head: Work) -> Option<u64> {
        match self {
            Order::Srpt => {
                // Who is shorter wherever they run: else two jobs whose data is far away could cut each other off for ever.
                let shorter = remaining(view, head) < rest(view, run)?;
                // Both take the restart that the cut costs.
                let restart = view.rules.resume.restarts.of(view.job(run.members[0]));
                let need = head.span(view, run.slot)? + view.setup_on(head.job, run.slot) + restart;
                view.left_of(run).0.checked_sub(need.0).filter(|&more| more > 0 && shorter)
            }
            Order::Las { level: first } => {
                let own = view.progress(head.job).received * u64::from(view.job(head.job).gang);
                let (own, other) = (level(own, first), level(attained(view, run), first));
                other.checked_sub(own).filter(|&more| more > 0).map(u64::from)
            }
            Order::RoundRobin { slice } => {
                // A slice begins when the job computes, or one that has long to prepare would never get on.
                let ran = view.now.since(run.ready);
                (!run.fetching && ran >= slice).then_some(ran.0)
            }
            _ => None,
        }
    }

    /// When a run may come to give way by nothing but the time that passes.
    pub fn next_cut(self, view: &View<'_>) -> Option<Time> {
        let when = |run: &Running| match self {
            Order::RoundRobin { slice } => Some(run.ready + slice).filter(|_| !run.fetching),
            Order::Las { level: first } => {
                let attained = attained(view, run);
                let next = first.0.checked_shl(level(attained, first))?;
                // Rounded up, so that the level is reached then.
                let missing = next.saturating_sub(attained.0).div_ceil(u64::from(run.devices().max(1)));
                Some(view.now + Span(missing.max(1)))
            }
            _ => None,
        };
        let runs = view.running.iter().filter(|run| view.job(run.members[0]).request_model().is_none());
        runs.filter_map(when).filter(|&when| when > view.now).min()
    }
}

/// What a run leaves to be done, on the best kind for it.
fn rest(view: &View<'_>, run: &Running) -> Option<Span> {
    let work = Work { job: run.members[0], stream: None };
    let computes = run.expected_finish.since(view.now.max(run.ready)).as_secs_f64();
    let part = computes / span_here(view, run)?.as_secs_f64().max(1e-9);
    Some(remaining(view, work).scaled(part.min(1.0)))
}

/// Device-time that a run's job has received.
fn attained(view: &View<'_>, run: &Running) -> Span {
    let job = run.members[0];
    view.progress(job).received * u64::from(view.job(job).gang)
        + view.now.since(run.start) * u64::from(run.devices())
}
