//! The legal actions of a decision as a short list: work group x node group x batch, and wait.
//!
//! Identical jobs are one work group, devices of one kind are one node group, so the list stays small on a large
//! cluster. When more than [`MAX_WORKS`] groups wait, several cheap orders each keep their first.

use crate::job::{Job, Task};
use crate::timing::KindSlot;
use crate::units::{JobId, Span};
use crate::view::{Decision, View};

/// Work groups that are offered at most.
pub const MAX_WORKS: usize = 32;

/// Identical jobs that wait, or the waiting requests of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkGroup {
    /// The one that has waited longest.
    pub job: JobId,
    /// How many there are.
    pub count: u32,
    /// The stream, if these are requests.
    pub stream: Option<usize>,
}

/// Nodes whose devices are interchangeable.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeGroup {
    /// Their device kind.
    pub slot: KindSlot,
    /// Devices that are free.
    pub free: u32,
    /// All their devices.
    pub devices: u32,
}

/// Start this work on these nodes in this batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Index into [`Candidates::works`].
    pub work: usize,
    /// Index into [`Candidates::nodes`].
    pub node: usize,
    /// Requests served together; a training job's batch; 1 for a rigid job.
    pub batch: u32,
}

/// The candidates of one decision. Reused from one decision to the next.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// What could be started.
    pub works: Vec<WorkGroup>,
    /// Where.
    pub nodes: Vec<NodeGroup>,
    /// Legal combinations, by work, then node, then falling batch.
    pub list: Vec<Candidate>,
    /// Whether waiting is legal; it is then action `list.len()`.
    pub wait: bool,
    /// (work groups, kinds): how long the work takes in its largest batch; [`Span::MAX`] where it does not run.
    pub spans: Vec<Span>,
    /// Best span of each work group.
    pub best: Vec<Span>,
    /// (likeness, position in the queue)
    order: Vec<(u64, usize)>,
    keep: Vec<bool>,
    ranks: [Vec<(u64, usize)>; 4],
}

impl Candidates {
    /// Lists the legal actions of this moment.
    pub fn fill(&mut self, view: &View<'_>) {
        self.list_works(view);
        self.measure(view);
        if self.works.len() > MAX_WORKS {
            self.cap(view);
            self.measure(view);
        }
        self.nodes.clear();
        for (slot, &kind) in view.cluster.kinds().iter().enumerate() {
            let devices = view.cluster.devices_of(kind);
            self.nodes.push(NodeGroup { slot, free: view.free_by_kind[slot], devices });
        }
        self.list.clear();
        for work in 0..self.works.len() {
            for node in 0..self.nodes.len() {
                self.list_batches(view, work, node);
            }
        }
        self.wait = view.may_wait;
    }

    /// Number of legal actions.
    pub fn actions(&self) -> usize {
        self.list.len() + usize::from(self.wait)
    }

    /// The decision that an action stands for; `None` if there is no such action.
    pub fn decision(&self, view: &View<'_>, action: usize) -> Option<Decision> {
        let Some(candidate) = self.list.get(action) else {
            return (action == self.list.len() && self.wait).then_some(Decision::Wait { until: None });
        };
        let job = self.works[candidate.work].job;
        if view.discipline.commits() {
            return Some(Decision::Reserve { order: smallvec::smallvec![job] });
        }
        let nodes = view.place(self.nodes[candidate.node].slot, view.job(job).gang)?;
        Some(Decision::Start { job, nodes, batch: candidate.batch })
    }

    /// The action that stands for a decision, if it is listed: the same work group, device kind and the nearest
    /// batch.
    pub fn action_of(&self, view: &View<'_>, decision: &Decision) -> Option<usize> {
        let (job, slot, batch) = match decision {
            Decision::Wait { .. } => return self.wait.then_some(self.list.len()),
            Decision::Allocate { .. } => return None,
            Decision::Reserve { order } => (*order.first()?, 0, 1),
            Decision::Start { job, nodes, batch } => (*job, view.slot_of(nodes.first()?.node), *batch),
        };
        let same = |work: &WorkGroup| work.job == job || alike(view.job(work.job), view.job(job));
        let matches = self.list.iter().enumerate().filter(|(_, candidate)| {
            self.nodes[candidate.node].slot == slot && same(&self.works[candidate.work])
        });
        let distance = |candidate: &Candidate| candidate.batch.abs_diff(batch);
        matches.min_by_key(|(_, candidate)| distance(candidate)).map(|(at, _)| at)
    }

    /// All work groups, in order of their oldest job; streams last.
    fn list_works(&mut self, view: &View<'_>) {
        self.works.clear();
        self.order.clear();
        for (at, &job) in view.queue.iter().enumerate() {
            self.order.push((likeness(view.job(job)), at));
        }
        // Identical jobs have equal likeness, so after sorting they are neighbours, oldest first.
        self.order.sort_unstable();
        self.keep.clear();
        self.keep.resize(view.queue.len(), true);
        let mut first = 0;
        for next in 1..self.order.len() {
            let (one, other) = (self.order[first], self.order[next]);
            let same = one.0 == other.0 && alike(view.job(view.queue[one.1]), view.job(view.queue[other.1]));
            if same {
                self.keep[other.1] = false;
            } else {
                first = next;
            }
        }
        let merged = self.keep.contains(&false);
        for (at, &job) in view.queue.iter().enumerate().filter(|(at, _)| self.keep[*at]) {
            let same = |other: &&JobId| alike(view.job(**other), view.job(job));
            let count = if merged { view.queue[at..].iter().filter(same).count() } else { 1 };
            self.works.push(WorkGroup { job, count: count as u32, stream: None });
        }
        for (stream, waiting) in view.streams.iter().enumerate() {
            if let Some(&job) = waiting.queue.first() {
                self.works.push(WorkGroup { job, count: waiting.queue.len() as u32, stream: Some(stream) });
            }
        }
    }

    fn measure(&mut self, view: &View<'_>) {
        self.spans.clear();
        self.best.clear();
        for work in &self.works {
            let mut best = Span::MAX;
            for slot in 0..view.timing.kinds() {
                let span = work.span(view, slot).unwrap_or(Span::MAX);
                best = best.min(span);
                self.spans.push(span);
            }
            self.best.push(best);
        }
    }

    /// Keeps [`MAX_WORKS`] work groups: in turn the oldest, the smallest, the most urgent and the choosiest.
    fn cap(&mut self, view: &View<'_>) {
        let mut ranks = std::mem::take(&mut self.ranks);
        ranks.iter_mut().for_each(Vec::clear);
        for (at, work) in self.works.iter().enumerate() {
            let job = view.job(work.job);
            let area = self.best[at].0.saturating_mul(u64::from(job.gang));
            let deadline = job.deadline.map_or(u64::MAX, |deadline| deadline.0);
            // The bits of positive floats have their order; the complement puts the highest first.
            let choosiness = !self.choosiness(at).to_bits();
            ranks
                .iter_mut()
                .zip([at as u64, area, deadline, choosiness])
                .for_each(|(rank, key)| rank.push((key, at)));
        }
        ranks.iter_mut().for_each(|rank| rank.sort_unstable());
        self.keep.clear();
        self.keep.resize(self.works.len(), false);
        let in_turn = (0..self.works.len()).flat_map(|rank| ranks.iter().map(move |order| order[rank].1));
        let mut kept = 0;
        for at in in_turn {
            if !std::mem::replace(&mut self.keep[at], true) {
                kept += 1;
            }
            if kept == MAX_WORKS {
                break;
            }
        }
        let mut keep = self.keep.iter();
        self.works.retain(|_| keep.next().copied().unwrap_or(false));
        self.ranks = ranks;
    }

    /// How much the work loses on its worst kind against its best.
    fn choosiness(&self, work: usize) -> f64 {
        let kinds = self.spans.len() / self.works.len();
        let spans = &self.spans[work * kinds..][..kinds];
        let worst = spans.iter().max().map_or(0, |span| span.0);
        worst as f64 / self.best[work].0.max(1) as f64
    }

    fn list_batches(&mut self, view: &View<'_>, work: usize, node: usize) {
        let group = &self.works[work];
        let slot = self.nodes[node].slot;
        let commits = view.discipline.commits();
        let Some(most) = group.most(view, slot) else { return };
        if !commits && self.nodes[node].free < view.job(group.job).gang {
            return;
        }
        let Some(stream) = group.stream else {
            self.list.push(Candidate { work, node, batch: most });
            return;
        };
        let mut last = 0;
        for wanted in [most, most - most / 4, most.div_ceil(2), 1] {
            let batch = view.timing.largest(stream, slot, wanted);
            if batch != last {
                self.list.push(Candidate { work, node, batch });
                last = batch;
            }
        }
    }
}

impl WorkGroup {
    /// The largest batch on a kind; `None` where the work does not run.
    pub fn most(&self, view: &View<'_>, slot: KindSlot) -> Option<u32> {
        match (self.stream, view.job(self.job).task) {
            (Some(stream), _) => Some(view.timing.largest(stream, slot, self.count)).filter(|&most| most > 0),
            (None, Task::Training { batch, .. }) => view.estimate(self.job, slot).map(|_| batch),
            (None, _) => view.estimate(self.job, slot).map(|_| 1),
        }
    }

    /// How long the work takes on a kind in its largest batch.
    pub fn span(&self, view: &View<'_>, slot: KindSlot) -> Option<Span> {
        match self.stream {
            Some(stream) => self.most(view, slot).and_then(|most| view.timing.batch(stream, slot, most)),
            None => view.estimate(self.job, slot),
        }
    }
}

/// Whether two waiting jobs can stand for each other.
fn alike(one: &Job, other: &Job) -> bool {
    one.task == other.task
        && one.gang == other.gang
        && one.procs == other.procs
        && one.weight == other.weight
        && one.deadline == other.deadline
}

/// A hash of all that [`alike`] compares. That two different jobs share one costs a merge, nothing else.
fn likeness(job: &Job) -> u64 {
    let task = match job.task {
        Task::Rigid { requested } => [0, requested.0, 0, 0],
        Task::Training { model, batch, samples } => [1, u64::from(model.0), u64::from(batch), samples],
        Task::Steps { speeds, steps } => [3, u64::from(speeds), steps, 0],
        Task::Request { model } => [2, u64::from(model.0), 0, 0],
    };
    let gang = u64::from(job.gang) << 32 | u64::from(job.procs);
    // Adding zero makes one of the two zeros, which are equal.
    let rest = [gang, (job.weight + 0.0).to_bits(), job.deadline.map_or(u64::MAX, |deadline| deadline.0)];
    let mix = |state: u64, word: u64| {
        let mixed = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    };
    task.into_iter().chain(rest).fold(0, mix)
}
