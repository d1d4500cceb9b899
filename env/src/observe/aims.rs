//! What a job's waiting and its lateness cost, by what is to be made small.

use super::moment::Moment;
use super::{ln, ln1p};
use crate::job::Job;
use crate::objective::Objective;
use crate::units::{JobId, Span, Time};
use crate::view::View;

/// Beyond this a rate counts as never, or as all that matters.
const BOUND: f32 = 8.0;

impl Moment {
    /// ln of what each `scale` of time that the job is in the system costs: in units of the objective, or where that is
    /// a time, in scales of a job of weight 1.
    pub(super) fn ln_cost_rate(&self, view: &View<'_>, id: JobId) -> f32 {
        let job = view.job(id);
        let rate = match view.objective {
            Objective::CompletionTime => job.weight,
            Objective::Slowdown { .. } => {
                // The whole job, not what is left of one that was cut off.
                let spans = (0..view.timing.kinds()).filter_map(|slot| view.timing.job(id.index(), slot));
                view.objective.rate(job, spans.min().unwrap_or(Span::ZERO)) * f64::from(self.scale)
            }
            _ => view.objective.rate(job, Span::ZERO) * f64::from(self.scale),
        };
        ln(rate as f32).clamp(-BOUND, BOUND)
    }
}

/// ln(1 + what it costs at once that the job misses its deadline), in units of the objective.
pub(super) fn cost_of_lateness(view: &View<'_>, job: &Job) -> f32 {
    ln1p(view.objective.at_start(job, Time::MAX) as f32)
}
