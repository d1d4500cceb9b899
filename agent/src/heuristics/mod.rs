//! Classical rules: an order, a placement and a batching rule make a policy; some rules choose all at once.

pub mod aimd;
pub mod assignment;
pub mod backfill;
pub mod batching;
pub mod completion;
pub mod composite;
pub mod cutting;
pub mod fifo;
pub mod gangs;
pub mod mapping;
pub mod matching;
pub mod moves;
pub mod order;
pub mod placement;
pub mod prices;
pub mod random;
pub mod ranked;
pub mod room;
pub mod serving;
pub mod shared;
pub mod ways;

use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::{JobId, Span};
use yardmaster_env::view::View;

/// Something that could be started: a waiting job, or the oldest requests of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The job, or the oldest request.
    pub job: JobId,
    /// The stream, if these are requests.
    pub stream: Option<usize>,
}

/// Everything that waits: jobs in order of arrival, then streams.
pub fn waiting<'a>(view: &View<'a>) -> impl Iterator<Item = Work> + 'a {
    let jobs = view.queue.iter().map(|&job| Work { job, stream: None });
    jobs.chain(streams(view))
}

/// The oldest request of each stream.
pub fn streams<'a>(view: &View<'a>) -> impl Iterator<Item = Work> + 'a {
    let heads = view.streams.iter().enumerate();
    heads.filter_map(|(at, stream)| stream.queue.first().map(|&job| Work { job, stream: Some(at) }))
}

impl Work {
    /// The largest batch that could start on a kind now; 0 where the work does not run.
    pub fn most(&self, view: &View<'_>, slot: KindSlot) -> u32 {
        match self.stream {
            Some(stream) => view.timing.largest(stream, slot, view.streams[stream].queue.len() as u32),
            None => u32::from(view.estimate(self.job, slot).is_some()),
        }
    }

    /// The variant that serves requests on a kind; 0 for a job.
    pub fn variant(&self, view: &View<'_>, slot: KindSlot) -> u16 {
        self.stream.map_or(0, |stream| view.timing.default_variant(stream, slot))
    }

    /// Estimated duration on a kind in the largest batch; `None` where the work does not run.
    pub fn span(&self, view: &View<'_>, slot: KindSlot) -> Option<Span> {
        match self.stream {
            Some(stream) => view.timing.batch(stream, slot, self.most(view, slot)),
            None => view.estimate(self.job, slot),
        }
    }

    /// Estimated duration on the best kind.
    pub fn shortest(&self, view: &View<'_>) -> Span {
        (0..view.timing.kinds()).filter_map(|slot| self.span(view, slot)).min().unwrap_or(Span::MAX)
    }

    /// Whether the work could start on a kind now.
    pub fn fits(&self, view: &View<'_>, slot: KindSlot) -> bool {
        view.free_by_kind[slot] >= view.job(self.job).gang && self.most(view, slot) > 0
    }
}
