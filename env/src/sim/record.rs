//! What became of each job.

use crate::units::{Span, Time};
use crate::view::Placement;

/// Where a job stands; each is in exactly one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not yet submitted.
    #[default]
    Future,
    /// Waits.
    Queued,
    /// Waits for the stage before it.
    Blocked,
    /// Occupies devices.
    Running,
    /// Done.
    Finished,
    /// Could never run on this cluster.
    Refused,
    /// Left at its deadline without having been served.
    Dropped,
}

impl State {
    /// How many states there are.
    pub(super) const COUNT: usize = State::Dropped as usize + 1;
}

/// What became of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Where it stands.
    pub state: State,
    /// When it started; meaningful once running.
    pub start: Time,
    /// When it finishes; meaningful once running.
    pub finish: Time,
    /// Requests served with it, itself included; a training job's batch; 1 for a rigid job.
    pub batch: u32,
    /// Where it runs or ran.
    pub nodes: Placement,
    /// When and where it ran, in order, if it could run more than once (discipline `rounds`) or did (it was cut off);
    /// `start` is then the first start and `finish` the last finish. Empty otherwise.
    pub slices: Vec<Slice>,
}

/// One run of a job that ran more than once.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// When its devices were taken; under `rounds`, the beginning of the round.
    pub start: Time,
    /// When it ended or was cut off; under `rounds` its devices idle from then to the end of the round.
    pub finish: Time,
    /// Where it ran.
    pub nodes: Placement,
}

impl Record {
    /// How long the job has occupied devices, once it has finished.
    pub fn run_time(&self) -> Span {
        if self.slices.is_empty() {
            return self.finish.since(self.start);
        }
        self.slices.iter().fold(Span::ZERO, |sum, slice| sum + slice.finish.since(slice.start))
    }
}
