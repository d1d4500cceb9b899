//! The legal actions of a decision as a short list: work group x node group x batch, and wait.
//!
//! Identical jobs are one work group, devices of one kind are one node group, so the list stays small on a large
//! cluster. When more than [`MAX_WORKS`] groups wait, several cheap orders each keep their first.
//!
//! A policy that learns is also shown the jobs that it may cut off, and what a rule proposes: whatever that is, it is
//! among the actions, so that whoever follows the rule does exactly what the rule does.

mod alike;
mod cap;
mod runs;

use std::cmp::Reverse;

pub use self::alike::alike;
use self::alike::{begun, likeness};
pub use self::runs::MAX_RUNS;
use crate::job::Choice;
use crate::timing::{KindSlot, Way};
use crate::units::{JobId, Span};
use crate::view::{Decision, Share, View};

/// Work groups that are offered at most.
pub const MAX_WORKS: usize = 32;

/// Identical jobs that wait, or the waiting requests of one model, or a job that runs and may be cut off.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkGroup {
    /// The one that has waited longest.
    pub job: JobId,
    /// How many there are.
    pub count: u32,
    /// The stream, if these are requests.
    pub stream: Option<usize>,
    /// The sequence of the run, if the job runs.
    pub run: Option<u64>,
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

/// Start this work on these nodes in this batch; or cut it off, if it runs.
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
    /// What could be started; then what could be cut off.
    pub works: Vec<WorkGroup>,
    /// How many of them wait.
    pub waiting: usize,
    /// Where.
    pub nodes: Vec<NodeGroup>,
    /// Legal combinations, by work, then node, then falling batch; last the proposal, if it is none of them.
    pub list: Vec<Candidate>,
    /// Whether waiting is legal; it is then action `list.len()`.
    pub wait: bool,
    /// (work groups, kinds): how long the work takes in its largest batch; [`Span::MAX`] where it does not run.
    pub spans: Vec<Span>,
    /// Best span of each work group.
    pub best: Vec<Span>,
    /// What a rule proposes, with its action.
    proposal: Option<(usize, Decision)>,
    /// (groups of jobs): their likeness, aligned with `works`.
    likenesses: Vec<u64>,
    /// Open addressing: 1 + the index of a group, 0 where nothing is.
    table: Vec<u32>,
    keep: Vec<bool>,
    ranks: [Vec<Reverse<(u64, usize)>>; 3],
    /// Of each gang of a job the fastest way on a kind.
    fastest: Vec<(Choice, Span)>,
    /// Work left and place of what runs.
    runs: Vec<(u64, usize)>,
}

impl Candidates {
    /// Lists what may be started at this moment, and whether to wait is legal.
    pub fn fill(&mut self, view: &View<'_>) {
        self.list_waiting(view, None);
        self.list_starts(view);
    }

    /// Lists all legal actions of this moment: what may be started, what may be cut off, and what a rule proposes.
    pub fn fill_all(&mut self, view: &View<'_>, proposal: Option<Decision>) {
        self.list_waiting(view, proposal.as_ref());
        self.list_runs(view, proposal.as_ref());
        self.list_starts(view);
        self.list_cuts(view);
        self.proposal = proposal.and_then(|proposal| Some((self.admit(view, &proposal)?, proposal)));
    }

    fn list_waiting(&mut self, view: &View<'_>, proposal: Option<&Decision>) {
        self.proposal = None;
        self.list_works(view);
        self.measure(view);
        if self.works.len() > MAX_WORKS {
            let proposed = proposal.and_then(|proposal| self.work_of(view, proposal));
            self.cap(view, proposed);
        }
        self.waiting = self.works.len();
    }

    fn list_starts(&mut self, view: &View<'_>) {
        self.nodes.clear();
        for (slot, &kind) in view.cluster.kinds().iter().enumerate() {
            let devices = view.cluster.devices_of(kind);
            self.nodes.push(NodeGroup { slot, free: view.free_by_kind[slot], devices });
        }
        self.list.clear();
        for work in 0..self.waiting {
            for node in 0..self.nodes.len() {
                self.list_batches(view, work, node);
            }
        }
        self.wait = view.may_wait;
    }

    /// The action of a proposal, which joins the list if it is not there yet; `None` if it is of a kind that no action
    /// stands for.
    fn admit(&mut self, view: &View<'_>, proposal: &Decision) -> Option<usize> {
        if let Decision::Wait { .. } = proposal {
            self.wait = true;
            return Some(self.list.len());
        }
        let work = self.work_of(view, proposal)?;
        let (slot, batch, variant, gang) = match proposal {
            Decision::Start { job: _, nodes, batch, variant } => {
                (view.slot_of(nodes.first()?.node), *batch, *variant, devices(nodes))
            }
            // One action a work group stands for both of these.
            _ => return self.list.iter().position(|candidate| candidate.work == work),
        };
        let wanted = Candidate { work, node: slot, batch, variant, gang };
        let listed = self.list.iter().position(|candidate| *candidate == wanted);
        Some(listed.unwrap_or_else(|| {
            self.list.push(wanted);
            self.list.len() - 1
        }))
    }

    /// The work group that a decision starts or cuts off.
    fn work_of(&self, view: &View<'_>, decision: &Decision) -> Option<usize> {
        let job = match decision {
            Decision::Preempt { run } => return self.works.iter().position(|work| work.run == Some(*run)),
            Decision::Start { job, .. } => *job,
            Decision::Reserve { order } => *order.first()?,
            Decision::Wait { .. } | Decision::Allocate { .. } => return None,
        };
        let same = |work: &WorkGroup| work.run.is_none() && (work.job == job || alike(view, work.job, job));
        self.works.iter().position(same)
    }

    /// The action that stands for what the rule proposes.
    pub fn proposal(&self) -> Option<usize> {
        self.proposal.as_ref().map(|(action, _)| *action)
    }

    /// Number of legal actions.
    pub fn actions(&self) -> usize {
        self.list.len() + usize::from(self.wait)
    }

    /// The decision that an action stands for; `None` if there is no such action.
    pub fn decision(&self, view: &View<'_>, action: usize) -> Option<Decision> {
        if let Some((_, proposal)) = self.proposal.as_ref().filter(|(at, _)| *at == action) {
            return Some(proposal.clone());
        }
        let Some(candidate) = self.list.get(action) else {
            return (action == self.list.len() && self.wait).then_some(Decision::Wait { until: None });
        };
        let WorkGroup { job, run, .. } = self.works[candidate.work];
        if let Some(run) = run {
            return Some(Decision::Preempt { run });
        }
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
            Decision::Allocate { .. } => return None,
            Decision::Preempt { .. } => {
                let work = self.work_of(view, decision)?;
                return self.list.iter().position(|candidate| candidate.work == work);
            }
            Decision::Reserve { order } => (*order.first()?, 0, 1, 0, view.job(*order.first()?).gang),
            Decision::Start { job, nodes, batch, variant } => {
                (*job, view.slot_of(nodes.first()?.node), *batch, *variant, devices(nodes))
            }
        };
        let same = |work: &WorkGroup| work.run.is_none() && (work.job == job || alike(view, work.job, job));
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
                    self.works.push(WorkGroup { job, count: 1, stream: None, run: None });
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
                let count = waiting.queue.len() as u32;
                self.works.push(WorkGroup { job, count, stream: Some(stream), run: None });
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

    /// Of each gang the batch that is fastest on the kind, its statistical efficiency counted: any other holds the same devices for longer.
    /// One that turns out not to fit is none of the job's ways any more, and the next fastest comes up.
    fn list_ways(&mut self, view: &View<'_>, work: usize, node: usize) {
        let NodeGroup { slot, free, .. } = self.nodes[node];
        self.fastest.clear();
        for way in view.ways(self.works[work].job) {
            let Some(span) = way.span(slot).filter(|_| way.choice.gang <= free) else { continue };
            let same = self.fastest.iter_mut().find(|(choice, _)| choice.gang == way.choice.gang);
            match same {
                Some(fastest) if span < fastest.1 => *fastest = (way.choice, span),
                Some(_) => {}
                None => self.fastest.push((way.choice, span)),
            }
        }
        for &(choice, _) in &self.fastest {
            let Choice { gang, batch } = choice;
            self.list.push(Candidate { work, node, batch, variant: 0, gang });
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

fn devices(nodes: &[Share]) -> u32 {
    nodes.iter().map(|share| share.devices).sum()
}
