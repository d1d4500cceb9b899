//! Which waiting jobs can stand for each other.

use crate::job::{Job, Task};
use crate::units::JobId;
use crate::view::{Discipline, View};

/// Whether a job has run before, so that no other is like it.
pub(super) fn begun(view: &View<'_>, job: JobId) -> bool {
    view.discipline == Discipline::Free && view.progress(job).slices > 0
}

/// Whether two waiting jobs can stand for each other.
pub fn alike(view: &View<'_>, one: JobId, other: JobId) -> bool {
    if begun(view, one) || begun(view, other) {
        return false;
    }
    // The spans of other tasks follow from what they are.
    let rigid = matches!(view.job(one).task, Task::Rigid { .. });
    if rigid && view.timing.spans(one) != view.timing.spans(other) {
        return false;
    }
    let (one, other) = (view.job(one), view.job(other));
    one.task == other.task
        && one.gang == other.gang
        && one.procs == other.procs
        && one.weight == other.weight
        && one.deadline == other.deadline
        && one.inputs == other.inputs
        && one.choices == other.choices
        && one.user == other.user
}

/// A hash of all that [`alike`] compares. That two different jobs share one costs a merge, nothing else.
pub(super) fn likeness(job: &Job) -> u64 {
    let [what, size, volume] = match job.task {
        Task::Rigid { requested } => [0, 0, requested.0],
        Task::Training { model, batch, samples } => [1 << 16 | u64::from(model.0), u64::from(batch), samples],
        Task::Request { model } => [2 << 16 | u64::from(model.0), 0, 0],
        Task::Steps { speeds, steps } => [3 << 16, u64::from(speeds), steps],
    };
    let gang = u64::from(job.gang) << 32 | u64::from(job.procs);
    // Adding zero makes one of the two zeros, which are equal.
    let (weight, deadline) =
        ((job.weight + 0.0).to_bits(), job.deadline.map_or(u64::MAX, |deadline| deadline.0));
    // Odd factors: each word alone decides the sum, and high bits come down at the end.
    let words = [
        (what << 32 | size, 0x9e37_79b9_7f4a_7c15),
        (volume, 0xbf58_476d_1ce4_e5b9),
        (gang, 0x94d0_49bb_1331_11eb),
        (weight, 0xd6e8_feb8_6659_fd93),
        (deadline, 0xa076_1d64_78bd_642f_u64),
    ];
    let sum = words.iter().fold(0_u64, |sum, (word, factor)| sum.wrapping_add(word.wrapping_mul(*factor)));
    (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}
