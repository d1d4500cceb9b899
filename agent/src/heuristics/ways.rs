//! With how many devices a job runs that leaves the choice.
//!
//! More devices end a job sooner and take more device-seconds, since the larger batch and the exchange of gradients
//! cost efficiency. A rule takes the fastest way that is not much less efficient than the best one, and no more than an
//! equal part of the free devices while others wait (dynamic equipartition, Tucker and Gupta 1989).

use smallvec::SmallVec;
use yardmaster_env::timing::{KindSlot, Way};
use yardmaster_env::units::Span;
use yardmaster_env::view::{Decision, View};

use super::Work;

/// How wide jobs run that leave the choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    /// As they were submitted.
    Own,
    /// As fast as can be with at most `1 + extra` times the least device-seconds there are on the kind.
    Extra(f64),
}

/// A way to start a piece of work on a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// Where.
    pub slot: KindSlot,
    /// Devices.
    pub gang: u32,
    /// The batch of a job that leaves a choice; elsewhere the batching rule has it.
    pub batch: Option<u32>,
    /// How long it computes.
    pub compute: Span,
    /// How long it holds the devices before: data, model, restart.
    pub setup: Span,
}

impl Form {
    /// As submitted; `None` where the work does not run.
    pub fn own(view: &View<'_>, work: Work, slot: KindSlot) -> Option<Form> {
        Form::own_if(view, work, slot, |_| true)
    }

    /// As submitted, if it is worth a look with so much to compute: what it takes before is dear to find out.
    fn own_if(view: &View<'_>, work: Work, slot: KindSlot, worth: impl Fn(Span) -> bool) -> Option<Form> {
        let (all, restart) = (work.span(view, slot)?, view.restart(work.job));
        let compute = Span(all.0 - restart.0.min(all.0));
        worth(compute).then(|| {
            let setup = view.setup_on(work.job, slot) + restart;
            Form { slot, gang: view.job(work.job).gang, batch: None, compute, setup }
        })
    }

    /// The decision to start so; `batch` is that of the batching rule. `None` if the devices are not free.
    pub fn start(&self, view: &View<'_>, work: Work, batch: u32) -> Option<Decision> {
        let own = self.gang == view.job(work.job).gang;
        let nodes =
            if own { view.place_job(work.job, self.slot)? } else { view.place(self.slot, self.gang)? };
        let (batch, variant) = (self.batch.unwrap_or(batch), work.variant(view, self.slot));
        Some(Decision::Start { job: work.job, nodes, batch, variant })
    }
}

impl Width {
    /// Whether the work could start on a kind now in some way.
    pub fn fits(self, view: &View<'_>, work: Work, slot: KindSlot) -> bool {
        work.fits(view, slot) || self.is_open(view, work)
    }

    /// The ways that are worth a look on a kind: the one that needs no more devices than are free, then, if it is
    /// another, the best one, which may have to wait. Work that leaves no choice is left out where it is not worth a
    /// look with so much to compute.
    pub fn forms(
        self,
        view: &View<'_>,
        work: Work,
        slot: KindSlot,
        worth: impl Fn(Span) -> bool,
    ) -> SmallVec<[Form; 2]> {
        let Some(extra) = self.extra(view, work) else {
            return Form::own_if(view, work, slot, worth).into_iter().collect();
        };
        let free = view.free_by_kind[slot].min(fair(view));
        let mut forms = SmallVec::new();
        let (ways, all) = (spans(view, work, slot), view.in_service[slot].min(fair(view)));
        let widest = |most| widest_of(&ways, view, work, slot, extra, most);
        forms.extend(widest(free));
        if all != free {
            forms.extend(widest(all));
        }
        forms.dedup();
        forms
    }

    /// Whether the rule chooses how wide the work runs.
    pub fn is_open(self, view: &View<'_>, work: Work) -> bool {
        self.extra(view, work).is_some()
    }

    fn extra(self, view: &View<'_>, work: Work) -> Option<f64> {
        match self {
            Width::Extra(extra) if view.ways(work.job).next().is_some() => Some(extra),
            _ => None,
        }
    }
}

/// An equal part of the free devices for each job that waits; at least one.
fn fair(view: &View<'_>) -> u32 {
    let devices: u32 = view.free_by_kind.iter().sum();
    (devices / (view.queue.len() as u32).max(1)).max(1)
}

/// The fastest way on at most `most` devices of a kind that takes at most `1 + extra` times the least device-seconds.
pub(super) fn widest(view: &View<'_>, work: Work, slot: KindSlot, extra: f64, most: u32) -> Option<Form> {
    widest_of(&spans(view, work, slot), view, work, slot, extra, most)
}

/// The ways to run a job on a kind, with how long each takes.
type Spans<'a> = SmallVec<[(&'a Way, Span); 12]>;

fn spans<'a>(view: &View<'a>, work: Work, slot: KindSlot) -> Spans<'a> {
    view.estimates(work.job, slot).collect()
}

/// As [`widest`], of these.
fn widest_of(
    ways: &Spans<'_>,
    view: &View<'_>,
    work: Work,
    slot: KindSlot,
    extra: f64,
    most: u32,
) -> Option<Form> {
    let gang = |way: &Way| way.choice.gang;
    let area = |(way, span): &(&Way, Span)| span.as_secs_f64() * f64::from(gang(way));
    let least = ways.iter().map(area).fold(f64::INFINITY, f64::min);
    let few = || ways.iter().filter(|(way, _)| gang(way) <= most);
    // The narrowest there is remains, whatever it takes.
    let narrowest = few().map(|(way, _)| gang(way)).min()?;
    let efficient = |one: &&(&Way, Span)| gang(one.0) == narrowest || area(one) <= (1.0 + extra) * least;
    let (way, all) = few().filter(efficient).min_by_key(|(_, span)| *span)?;
    let restart = view.restart(work.job);
    let compute = Span(all.0 - restart.0.min(all.0));
    let setup = view.setup_on(work.job, slot) + restart;
    Some(Form { slot, gang: gang(way), batch: Some(way.choice.batch), compute, setup })
}
