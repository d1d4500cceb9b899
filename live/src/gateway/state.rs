//! What waits and what runs at the gateway, kept as the arrays that a [`View`] lends to a policy.
//!
//! It has no clock and no socket: whoever calls tells the time. A caller knows its request by a [`Ticket`], which stays
//! the same when old jobs are forgotten and the others numbered anew.

use yardmaster_env::cluster::Cluster;
use yardmaster_env::job::{Job, Task};
use yardmaster_env::objective::Objective;
use yardmaster_env::rules::Rules;
use yardmaster_env::spec::Scenario;
use yardmaster_env::timing::Timing;
use yardmaster_env::units::{InferenceId, JobId, NodeId, Span, Time};
use yardmaster_env::view::{Decision, Discipline, History, Running, Share, Stream, View, slot_of};

/// Jobs that are kept at least before the finished ones among them are forgotten.
const KEEP: usize = 1 << 16;

/// A request, for as long as the gateway lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A batch that starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// What to finish it by.
    pub sequence: u64,
    /// Where.
    pub node: usize,
    /// Of which model, as a position in the list that the state was made with.
    pub model: usize,
    /// The requests, oldest first.
    pub members: Vec<Ticket>,
}

/// Why a decision cannot be carried out here. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// Only batches of requests are started here.
    #[error("the gateway cannot {0}")]
    Other(&'static str),
    /// Not the oldest request of a model.
    #[error("job {0} is not the oldest request of a model")]
    NotOldest(u32),
    /// Not one free device.
    #[error("a batch needs one free device of a back end that is up")]
    NotFree,
    /// A size that does not wait or has not been measured.
    #[error("a batch of {batch} with {waiting} waiting does not run there")]
    WrongBatch {
        /// Its size.
        batch: u32,
        /// Requests of the model.
        waiting: usize,
    },
}

/// Queues, devices and what runs on them.
#[derive(Debug)]
pub struct State {
    objective: Objective,
    cluster: Cluster,
    timing: Timing,
    rules: Rules,
    /// Stream of each model, in the order of the models given.
    stream_of: Vec<usize>,
    /// The model of each stream, as a position in the models given.
    model_of: Vec<usize>,
    jobs: Vec<Job>,
    /// Ticket of the first job.
    base: u64,
    streams: Vec<Stream>,
    /// Free devices by node, those of back ends that are down included.
    idle: Vec<u32>,
    up: Vec<bool>,
    free: Vec<u32>,
    free_by_kind: Vec<u32>,
    in_service: Vec<u32>,
    running: Vec<Running>,
    history: History,
    sequence: u64,
}

impl State {
    /// All back ends down, nothing waiting. A position in `models` names a model from here on; they are distinct.
    pub fn new(scenario: &Scenario, models: &[InferenceId]) -> State {
        let cluster = scenario.cluster().clone();
        let example = |&model: &InferenceId| Job::new(0, Time::ZERO, Task::Request { model }, 1);
        let examples: Vec<Job> = models.iter().map(example).collect();
        let timing = Timing::new(scenario.catalog(), &cluster, &examples);
        let stream_of: Vec<usize> =
            models.iter().map(|&model| timing.stream_of(model).unwrap_or_default()).collect();
        let streams: Vec<Stream> = timing.models().map(|model| Stream { model, queue: Vec::new() }).collect();
        let position = |stream: &Stream| models.iter().position(|&model| model == stream.model);
        let model_of = streams.iter().filter_map(position).collect();
        let idle: Vec<u32> = cluster.nodes().iter().map(|node| node.devices).collect();
        let (nodes, kinds) = (cluster.nodes().len(), cluster.kinds().len());
        let forecast = yardmaster_env::forecast::Forecast::new(streams.len());
        State {
            objective: scenario.spec().objective,
            timing,
            rules: Rules::default(),
            stream_of,
            model_of,
            jobs: Vec::new(),
            base: 0,
            streams,
            idle,
            up: vec![false; nodes],
            free: vec![0; nodes],
            free_by_kind: vec![0; kinds],
            in_service: vec![0; kinds],
            running: Vec::new(),
            history: History { forecast, ..History::default() },
            sequence: 0,
            cluster,
        }
    }

    /// Takes in a request, no earlier than the last; the ticket of the next one is one higher.
    pub fn arrive(&mut self, now: Time, model: usize, deadline: Option<Time>) -> Ticket {
        let stream = self.stream_of[model];
        let id = JobId(self.jobs.len() as u32);
        let ticket = Ticket(self.base + u64::from(id.0));
        let task = Task::Request { model: self.streams[stream].model };
        self.jobs.push(Job { deadline, ..Job::new(ticket.0, now, task, 1) });
        self.streams[stream].queue.push(id);
        self.remember(now, stream);
        ticket
    }

    /// What a scheduler remembers of an arrival, as the simulator has it.
    fn remember(&mut self, now: Time, stream: usize) {
        let kinds = self.timing.kinds();
        let spans: Vec<Option<Span>> = (0..kinds).map(|slot| self.timing.batch(stream, slot, 1)).collect();
        let best = spans.iter().flatten().min().map_or(1e-9, |span| span.as_secs_f64().max(1e-9));
        let history = &mut self.history;
        history.arrivals += 1;
        history.sum_ln_work += best.ln();
        history.sum_work += best;
        history.losses.resize(kinds, (0.0, 0.0));
        for (loss, here) in history.losses.iter_mut().zip(spans) {
            let Some(here) = here else { continue };
            loss.0 += best;
            loss.1 += best * (here.as_secs_f64() / best).ln();
        }
        history.first.get_or_insert(now);
        history.forecast.arrive(now, Some(stream));
    }

    /// How many requests of a model wait.
    pub fn waiting(&self, model: usize) -> usize {
        self.streams[self.stream_of[model]].queue.len()
    }

    /// How many requests of a model could start now at most, were all free devices given to it.
    pub fn room(&self, model: usize) -> usize {
        let stream = self.stream_of[model];
        let free = self.free_by_kind.iter().enumerate();
        free.map(|(slot, &free)| free as usize * self.timing.max_batch(stream, slot) as usize).sum()
    }

    /// Takes a request that waits out of its queue; `false` if it does not wait.
    pub fn withdraw(&mut self, ticket: Ticket) -> bool {
        let Some((stream, at)) = self.find(ticket) else { return false };
        self.streams[stream].queue.remove(at);
        true
    }

    fn find(&self, ticket: Ticket) -> Option<(usize, usize)> {
        let id = self.id(ticket)?;
        let stream = self.timing.stream_of(self.jobs[id.index()].request_model()?)?;
        // Requests wait in order of their ids.
        Some((stream, self.streams[stream].queue.binary_search(&id).ok()?))
    }

    fn id(&self, ticket: Ticket) -> Option<JobId> {
        let at = ticket.0.checked_sub(self.base)?;
        (at < self.jobs.len() as u64).then_some(JobId(at as u32))
    }

    /// Puts requests of a batch that came to nothing back into their old places.
    pub fn put_back(&mut self, members: &[Ticket]) {
        for &ticket in members {
            let Some(id) = self.id(ticket) else { continue };
            let model = self.jobs[id.index()].request_model();
            let Some(stream) = model.and_then(|model| self.timing.stream_of(model)) else { continue };
            let queue = &mut self.streams[stream].queue;
            if let Err(at) = queue.binary_search(&id) {
                queue.insert(at, id);
            }
        }
    }

    /// A batch has ended, whatever came of it.
    pub fn finish(&mut self, sequence: u64) {
        let Some(at) = self.running.iter().position(|run| run.sequence == sequence) else { return };
        let run = self.running.remove(at);
        for share in &run.nodes {
            self.idle[share.node.index()] += share.devices;
        }
        self.count_free();
    }

    /// A back end takes batches from now on, or takes none; what it runs goes on until it is [finished](State::finish).
    pub fn set_up(&mut self, node: usize, up: bool) {
        self.up[node] = up;
        self.count_free();
    }

    fn count_free(&mut self) {
        self.free_by_kind.fill(0);
        self.in_service.fill(0);
        for (at, node) in self.cluster.nodes().iter().enumerate() {
            let slot = slot_of(&self.cluster, NodeId(at as u32));
            self.free[at] = if self.up[at] { self.idle[at] } else { 0 };
            self.free_by_kind[slot] += self.free[at];
            self.in_service[slot] += if self.up[at] { node.devices } else { 0 };
        }
    }

    /// Whether a back end that is up serves a model.
    pub fn is_served(&self, model: usize) -> bool {
        let stream = self.stream_of[model];
        (0..self.in_service.len())
            .any(|slot| self.in_service[slot] > 0 && self.timing.is_served(stream, slot))
    }

    /// Whether there is anything to decide: a request waits for a model that a free device serves.
    pub fn is_choice(&self) -> bool {
        let asked = |slot: usize| {
            let mut streams = self.streams.iter().enumerate();
            streams.any(|(at, stream)| !stream.queue.is_empty() && self.timing.is_served(at, slot))
        };
        self.free_by_kind.iter().enumerate().any(|(slot, &free)| free > 0 && asked(slot))
    }

    /// What a policy sees.
    pub fn view(&self, now: Time) -> View<'_> {
        View {
            now,
            cluster: &self.cluster,
            timing: &self.timing,
            jobs: &self.jobs,
            queue: &[],
            continuity: None,
            streams: &self.streams,
            free: &self.free,
            free_by_kind: &self.free_by_kind,
            running: &self.running,
            history: &self.history,
            progress: &[],
            corrections: &[],
            in_service: &self.in_service,
            rules: &self.rules,
            data: None,
            loads: None,
            objective: self.objective,
            discipline: Discipline::Free,
            may_wait: true,
            outlook: None,
        }
    }

    /// Starts the batch of a decision.
    ///
    /// # Errors
    /// A decision that is not the start of a batch that waits, on one free device that runs it.
    pub fn start(&mut self, now: Time, decision: &Decision) -> Result<Launch, Illegal> {
        let Decision::Start { job, nodes, batch, variant } = decision else {
            return Err(Illegal::Other("reserve, allocate or preempt"));
        };
        let head = |stream: &Stream| stream.queue.first() == Some(job);
        let stream = self.streams.iter().position(head).ok_or(Illegal::NotOldest(job.0))?;
        let [Share { node, devices: 1 }] = nodes.as_slice() else { return Err(Illegal::NotFree) };
        if self.free.get(node.index()).is_none_or(|&free| free == 0) {
            return Err(Illegal::NotFree);
        }
        let slot = slot_of(&self.cluster, *node);
        let waiting = self.streams[stream].queue.len();
        let span = self.timing.variant_batch(stream, *variant, slot, *batch);
        let span = span.filter(|_| (*batch as usize) <= waiting);
        let span = span.ok_or(Illegal::WrongBatch { batch: *batch, waiting })?;
        let members: Vec<JobId> = self.streams[stream].queue.drain(..*batch as usize).collect();
        self.sequence += 1;
        self.running.push(Running {
            members: members.iter().copied().collect(),
            batch: *batch,
            variant: *variant,
            start: now,
            ready: now,
            fetching: false,
            expected_finish: now + span,
            nodes: nodes.clone(),
            slot,
            sequence: self.sequence,
        });
        self.idle[node.index()] -= 1;
        self.count_free();
        let members = members.iter().map(|id| Ticket(self.base + u64::from(id.0))).collect();
        Ok(Launch { sequence: self.sequence, node: node.index(), model: self.model_of[stream], members })
    }

    /// Forgets old requests once there are many; `true` if those that are left have new numbers, which a policy that
    /// remembers any must be told.
    pub fn forget(&mut self) -> bool {
        if self.jobs.len() < 2 * KEEP {
            return false;
        }
        let waiting = self.streams.iter().filter_map(|stream| stream.queue.first());
        let running = self.running.iter().flat_map(|run| &run.members);
        let oldest = waiting.chain(running).min().map_or(self.jobs.len(), |id| id.index());
        if oldest < KEEP {
            return false;
        }
        self.jobs.drain(..oldest);
        self.base += oldest as u64;
        let waiting = self.streams.iter_mut().flat_map(|stream| &mut stream.queue);
        let running = self.running.iter_mut().flat_map(|run| &mut run.members);
        waiting.chain(running).for_each(|id| id.0 -= oldest as u32);
        true
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
