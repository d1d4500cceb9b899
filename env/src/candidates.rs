//! The legal actions of a decision as a short list: work group x node group x batch, and wait.
//!
//! Identical jobs are one work group, devices of one kind are one node group, so the list stays small on a large
//! cluster. When more than [`MAX_WORKS`] groups wait, several cheap orders each keep their first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::job::{Choice, Job, Task};
use crate::timing::{KindSlot, Way};
use crate::units::{JobId, Span};
use crate::view::{Decision, Discipline, View};

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
    /// Which of the variants that are accurate enough; 0 for a job.
    pub variant: u16,
    /// Devices; more or fewer than the job was submitted with only where it leaves a choice.
    pub gang: u32,
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
    /// (groups of jobs): their likeness, aligned with `works`.
    likenesses: Vec<u64>,
    /// Open addressing: 1 + the index of a group, 0 where nothing is.
    table: Vec<u32>,
    keep: Vec<bool>,
    ranks: [Vec<Reverse<(u64, usize)>>; 3],
}

impl Candidates {
    /// Lists the legal actions of this moment.
    pub fn fill(&mut self, view: &View<'_>) {
        self.list_works(view);
        self.measure(view);
        if self.works.len() > MAX_WORKS {
            self.cap(view);
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
        let Candidate { batch, variant, gang, node, .. } = *candidate;
        let slot = self.nodes[node].slot;
        let own = gang == view.job(job).gang;
        let nodes = if own { view.place_job(job, slot)? } else { view.place(slot, gang)? };
        Some(Decision::Start { job, nodes, batch, variant })
    }

    /// The action that stands for a decision, if it is listed: the same work group, device kind, gang and variant, and
    /// the nearest batch.
    pub fn action_of(&self, view: &View<'_>, decision: &Decision) -> Option<usize> {
        let (job, slot, batch, variant, gang) = match decision {
            Decision::Wait { .. } => return self.wait.then_some(self.list.len()),
            Decision::Allocate { .. } | Decision::Preempt { .. } => return None,
            Decision::Reserve { order } => (*order.first()?, 0, 1, 0, view.job(*order.first()?).gang),
            Decision::Start { job, nodes, batch, variant } => {
                let gang = nodes.iter().map(|share| share.devices).sum();
                (*job, view.slot_of(nodes.first()?.node), *batch, *variant, gang)
            }
        };
        let same = |work: &WorkGroup| work.job == job || alike(view, work.job, job);
        let matches = self.list.iter().enumerate().filter(|(_, candidate)| {
            self.nodes[candidate.node].slot == slot
                && (candidate.variant, candidate.gang) == (variant, gang)
                && same(&self.works[candidate.work])
        });
        let distance = |candidate: &Candidate| candidate.batch.abs_diff(batch);
        matches.min_by_key(|(_, candidate)| distance(candidate)).map(|(at, _)| at)
    }

    /// All work groups, in order of their oldest job; streams last.
    fn list_works(&mut self, view: &View<'_>) {
        self.works.clear();
        self.likenesses.clear();
        self.table.clear();
        self.table.resize((2 * view.queue.len()).next_power_of_two(), 0);
        for &job in view.queue {
            let likeness = likeness(view.job(job));
            let mut place = likeness as usize & (self.table.len() - 1);
            loop {
                let Some(group) = (self.table[place] as usize).checked_sub(1) else {
                    self.works.push(WorkGroup { job, count: 1, stream: None });
                    self.likenesses.push(likeness);
                    self.table[place] = self.works.len() as u32;
                    break;
                };
                let same = self.likenesses[group] == likeness;
                if same && alike(view, self.works[group].job, job) {
                    self.works[group].count += 1;
                    break;
                }
                place = (place + 1) & (self.table.len() - 1);
            }
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
            let first = self.spans.len();
            match work.stream {
                None if view.corrections.is_empty() && !begun(view, work.job) => {
                    self.spans.extend_from_slice(view.timing.spans(work.job));
                }
                _ => {
                    let spans = (0..view.timing.kinds()).map(|slot| work.span(view, slot));
                    self.spans.extend(spans.map(|span| span.unwrap_or(Span::MAX)));
                }
            }
            self.best.push(self.spans[first..].iter().copied().min().unwrap_or(Span::MAX));
        }
    }

    /// Keeps [`MAX_WORKS`] work groups: in turn the oldest, the smallest, the most urgent and the choosiest.
    fn cap(&mut self, view: &View<'_>) {
        let mut ranks = std::mem::take(&mut self.ranks);
        ranks.iter_mut().for_each(Vec::clear);
        let kinds = view.timing.kinds();
        let measured = self.spans.chunks_exact(kinds).zip(&self.best);
        for (at, (work, (spans, best))) in self.works.iter().zip(measured).enumerate() {
            let job = view.job(work.job);
            let area = best.0.saturating_mul(u64::from(job.gang));
            let deadline = job.deadline.map_or(u64::MAX, |deadline| deadline.0);
            // The bits of positive floats have their order; the complement puts the highest first.
            let choosiness = !choosiness(spans, *best).to_bits();
            let keys = [area, deadline, choosiness];
            ranks.iter_mut().zip(keys).for_each(|(rank, key)| rank.push(Reverse((key, at))));
        }
        // Each order gives a few only, so that sorting it whole would be wasted.
        let mut heaps = ranks.map(BinaryHeap::from);
        self.keep.clear();
        self.keep.resize(self.works.len(), false);
        let mut left = MAX_WORKS;
        // The groups are in order of age already.
        for oldest in 0..self.works.len() {
            let firsts = heaps.iter_mut().filter_map(|heap| heap.pop().map(|Reverse((_, at))| at));
            for at in [oldest].into_iter().chain(firsts) {
                if left > 0 && !std::mem::replace(&mut self.keep[at], true) {
                    left -= 1;
                }
            }
            if left == 0 {
                break;
            }
        }
        self.drop_others();
        self.ranks = heaps.map(BinaryHeap::into_vec);
    }

    /// Removes the work groups that are not kept, with their spans.
    fn drop_others(&mut self) {
        let kinds = self.spans.len() / self.works.len();
        let mut kept = 0;
        for at in (0..self.works.len()).filter(|&at| self.keep[at]) {
            self.works.swap(kept, at);
            self.best[kept] = self.best[at];
            self.spans.copy_within(at * kinds..(at + 1) * kinds, kept * kinds);
            kept += 1;
        }
        self.works.truncate(kept);
        self.best.truncate(kept);
        self.spans.truncate(kept * kinds);
    }

    fn list_batches(&mut self, view: &View<'_>, work: usize, node: usize) {
        let group = &self.works[work];
        match group.stream {
            Some(stream) => self.list_requests(view, work, node, stream),
            None if view.ways(group.job).next().is_some() => self.list_ways(view, work, node),
            None => {
                let gang = view.job(group.job).gang;
                let Some(batch) = group.most(view, self.nodes[node].slot) else { return };
                if view.discipline.commits() || self.nodes[node].free >= gang {
                    self.list.push(Candidate { work, node, batch, variant: 0, gang });
                }
            }
        }
    }

    /// Of each variant the largest batch, three quarters and half of it, and one.
    fn list_requests(&mut self, view: &View<'_>, work: usize, node: usize, stream: usize) {
        let (count, slot) = (self.works[work].count, self.nodes[node].slot);
        if self.nodes[node].free == 0 {
            return;
        }
        for variant in 0..view.timing.variants(stream) {
            let largest = |wanted| view.timing.variant_largest(stream, variant, slot, wanted);
            let most = largest(count);
            let mut last = 0;
            for wanted in [most, most - most / 4, most.div_ceil(2), 1] {
                let batch = largest(wanted);
                if batch != last {
                    self.list.push(Candidate { work, node, batch, variant, gang: 1 });
                    last = batch;
                }
            }
        }
    }

    fn list_ways(&mut self, view: &View<'_>, work: usize, node: usize) {
        let NodeGroup { slot, free, .. } = self.nodes[node];
        for way in view.ways(self.works[work].job) {
            let Choice { gang, batch } = way.choice;
            if gang <= free && way.span(slot).is_some() {
                self.list.push(Candidate { work, node, batch, variant: 0, gang });
            }
        }
    }
}

impl Candidate {
    /// How long it takes; `None` if it cannot be.
    pub fn span(&self, view: &View<'_>, work: &WorkGroup, slot: KindSlot) -> Option<Span> {
        match work.stream {
            Some(stream) => view.timing.variant_batch(stream, self.variant, slot, self.batch),
            None => {
                let mine = |way: &&Way| way.choice == Choice { gang: self.gang, batch: self.batch };
                match view.ways(work.job).find(mine) {
                    Some(way) => view.estimate_way(work.job, way, slot),
                    None => view.estimate(work.job, slot),
                }
            }
        }
    }
}

impl WorkGroup {
    /// The largest batch on a kind; `None` where the work does not run.
    pub fn most(&self, view: &View<'_>, slot: KindSlot) -> Option<u32> {
        match self.stream {
            Some(stream) => Some(view.timing.largest(stream, slot, self.count)).filter(|&most| most > 0),
            None => view.estimate(self.job, slot).map(|_| view.default_batch(self.job)),
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

/// How much work loses on its worst kind against its best.
fn choosiness(spans: &[Span], best: Span) -> f64 {
    let worst = spans.iter().max().map_or(0, |span| span.0);
    worst as f64 / best.0.max(1) as f64
}

/// Whether a job has run before, so that no other is like it.
fn begun(view: &View<'_>, job: JobId) -> bool {
    view.discipline == Discipline::Free && view.progress(job).slices > 0
}

/// Whether two waiting jobs can stand for each other.
pub fn alike(view: &View<'_>, one: JobId, other: JobId) -> bool {
    if begun(view, one) || begun(view, other) {
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
fn likeness(job: &Job) -> u64 {
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
