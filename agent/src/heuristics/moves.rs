//! When to cut off what runs: for work that is much shorter, or to go on where it ends much sooner.
//!
//! A run that began at this very moment is never cut off, so that no moment sees the same devices change hands twice; nor is
//! one whose data is still on its way, or two jobs could keep each other from ever having theirs.

use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{JobId, Span};
use yardmaster_env::view::{Discipline, Running, View};

use super::Work;
use super::completion::Weights;
use super::ways::{Form, Width, widest};

/// Thresholds for cutting off what runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mover {
    /// A newcomer must be shorter than this share of what is left of the run; 0 preempts nothing.
    pub preempt: f64,
    /// What is left elsewhere, the restart included, must be shorter than this share of what is left here; 0
    /// moves nothing.
    pub migrate: f64,
}

/// A run to cut off, and what is started on free devices then.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// Its sequence.
    pub run: u64,
    /// What is started.
    pub work: Work,
    /// How.
    pub form: Form,
}

/// The runs that can be cut off, by kind slot, those with most left first: (left, devices, sequence).
#[derive(Clone, Debug)]
pub struct Victims {
    by_kind: Vec<Vec<(Span, u32, u64)>>,
    threshold: f64,
}

impl Mover {
    /// Whether anything may be cut off.
    pub fn may(self, view: &View<'_>) -> bool {
        let allowed = view.rules.preempt && view.discipline == Discipline::Free;
        allowed && (self.preempt > 0.0 || self.migrate > 0.0)
    }

    /// Who may be cut off for others; `None` if nobody is.
    pub fn victims(self, view: &View<'_>) -> Option<Victims> {
        if self.preempt == 0.0 {
            return None;
        }
        let mut by_kind = vec![Vec::new(); view.timing.kinds()];
        for run in view.running.iter().filter(|run| !run.fetching && view.is_preemptible(run)) {
            by_kind[run.slot].push((view.left_of(run), run.devices(), run.sequence));
        }
        by_kind.iter_mut().for_each(|runs| runs.sort_unstable_by(|one, other| other.cmp(one)));
        Some(Victims { by_kind, threshold: self.preempt })
    }

    /// The move that saves most.
    pub fn migrate(self, view: &View<'_>, weights: &Weights) -> Option<Move> {
        if self.migrate == 0.0 || view.free_by_kind.iter().all(|&free| free == 0) {
            return None;
        }
        let mut best: Option<(Span, Move)> = None;
        for run in view.running.iter().filter(|run| !run.fetching && view.is_preemptible(run)) {
            let here = view.left_of(run);
            for slot in 0..view.timing.kinds() {
                let Some(form) = elsewhere(view, run, slot, weights.width) else { continue };
                let there = form.compute + form.setup;
                let saved = Span(here.0.saturating_sub(there.0));
                let pays = there < here.scaled(self.migrate);
                if pays && best.as_ref().is_none_or(|(most, _)| saved > *most) {
                    let work = Work { job: run.members[0], stream: None };
                    best = Some((saved, Move { run: run.sequence, work, form }));
                }
            }
        }
        best.map(|(_, found)| found)
    }
}

impl Victims {
    /// The run to cut off for work that would end only after `end` otherwise: of those that have enough left, where the
    /// work ends first the one with most left.
    pub fn cut_for(&self, view: &View<'_>, weights: &Weights, work: Work, end: Span) -> Option<Move> {
        let late = |deadline| view.now + end > deadline;
        if view.job(work.job).deadline.is_some_and(|deadline| !late(deadline)) {
            return None;
        }
        let mut best: Option<(Span, Move)> = None;
        for (slot, runs) in self.by_kind.iter().enumerate() {
            let form = match weights.width {
                Width::Own => Form::own(view, work, slot),
                Width::Extra(_) => weights.width.forms(view, work, slot, |_| true).last().copied(),
            };
            let Some(form) = form else { continue };
            let span = form.compute + form.setup;
            let enough = |(_, devices, _): &&(Span, u32, u64)| view.free_by_kind[slot] + devices >= form.gang;
            let Some(&(left, _, run)) = runs.iter().find(enough) else { continue };
            let pays = span < left.scaled(self.threshold) && span < end;
            if pays && best.as_ref().is_none_or(|(least, _)| span < *least) {
                best = Some((span, Move { run, work, form }));
            }
        }
        best.map(|(_, found)| found)
    }
}

/// How the rest of a run could go on with free devices of a kind.
fn elsewhere(view: &View<'_>, run: &Running, slot: KindSlot, width: Width) -> Option<Form> {
    let job: JobId = run.members[0];
    let work = Work { job, stream: None };
    let own = if run.slot == slot { run.devices() } else { 0 };
    let free = view.free_by_kind[slot] + own;
    let form = match width {
        Width::Own if run.slot == slot => return None,
        Width::Extra(extra) if view.ways(job).next().is_some() => widest(view, work, slot, extra, free)?,
        _ => Form::own(view, work, slot).filter(|form| form.gang <= free)?,
    };
    let here = span_here(view, run)?;
    // The estimates are of all that was left when the run began; some of that is done.
    let part = view.left_of(run).as_secs_f64() / here.as_secs_f64().max(1e-9);
    let restart = view.rules.resume.restarts.of(view.job(job));
    let fetch = view.setup_on(job, slot);
    Some(Form { compute: form.compute.scaled(part.min(1.0)), setup: restart + fetch, ..form })
}

/// How long the rest that a run began with takes where it runs.
pub(super) fn span_here(view: &View<'_>, run: &Running) -> Option<Span> {
    let (job, gang) = (run.members[0], run.devices());
    let way = view.ways(job).find(|way| way.choice.gang == gang && way.choice.batch == run.batch);
    let all = match way {
        Some(way) => view.estimate_way(job, way, run.slot)?,
        None => view.estimate(job, run.slot)?,
    };
    let restart = view.restart(job);
    Some(Span(all.0 - restart.0.min(all.0)))
}
