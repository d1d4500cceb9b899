//! The dispatcher: one thread that holds all queues, asks the policy, and sees to it that everyone is answered.
//!
//! It is a thread of its own and no task, because a timer of the runtime is exact to a millisecond only, which is as long
//! as some batches take.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use yardmaster_env::serving::Late;
use yardmaster_env::units::{Span, Time};

use super::client::CallError;
use super::config::Config;
use super::decide::{Decider, Step};
use super::state::{Launch, State, Ticket};
use super::stats::Stats;
use super::tensor::{self, ModelMeta, Row};

/// What the dispatcher is told.
pub(super) enum Event {
    /// A request has come.
    Arrive(Arrival),
    /// The caller of the request with this number has gone away.
    Cancel(u64),
    /// A batch has ended.
    Done { sequence: u64, result: Result<Vec<String>, CallError> },
    /// What a back end answered when asked whether it is ready.
    Health { node: usize, up: bool },
    /// The time to drain is over: whoever still waits is told so.
    GiveUp,
}

/// A request, checked.
pub(super) struct Arrival {
    /// Unique.
    pub(super) number: u64,
    pub(super) model: usize,
    pub(super) row: Row,
    /// From now.
    pub(super) deadline: Option<Duration>,
    pub(super) reply: oneshot::Sender<Result<Answered, Failure>>,
}

/// A request's answer, and how it came about.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    /// A JSON array of tensors.
    pub(super) outputs: String,
    pub(super) node: usize,
    /// Requests in its batch.
    pub(super) batch: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// As many wait as may.
    Full,
    /// No back end that serves the model is up.
    Down,
    /// Its deadline passed while it waited, and late requests are dropped.
    Late,
    /// It has waited as long as one may.
    Waited,
    /// All attempts came to nothing; the last one so.
    Failed(String),
    /// The gateway stops.
    Draining,
}

/// What all parts of a gateway share.
pub(super) struct Shared {
    pub(super) config: Config,
    /// By model, once a back end has told.
    pub(super) metas: Vec<OnceLock<ModelMeta>>,
    pub(super) stats: Stats,
}

/// A request that has no answer yet.
struct Pending {
    number: u64,
    model: usize,
    row: Arc<Row>,
    reply: oneshot::Sender<Result<Answered, Failure>>,
    arrival: Time,
    deadline: Option<Time>,
    /// When it is given up if it still waits.
    expires: Time,
    attempts: u32,
}

/// The thread's own.
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    state: State,
    decider: Decider,
    events: Receiver<Event>,
    /// For the calls that it makes.
    sender: Sender<Event>,
    runtime: Handle,
    begin: Instant,
    pending: HashMap<Ticket, Pending>,
    tickets: HashMap<u64, Ticket>,
    batches: HashMap<u64, Launch>,
    /// Earliest first; those that have been answered since are skipped.
    expiries: BinaryHeap<Reverse<(Time, Ticket)>>,
    /// Those that have come since the policy was last asked, oldest first.
    fresh: Vec<Ticket>,
}

impl Dispatcher {
    pub(super) fn new(
        shared: Arc<Shared>,
        decider: Decider,
        (sender, events): (Sender<Event>, Receiver<Event>),
        runtime: Handle,
    ) -> Dispatcher {
        let (scenario, models) = (&shared.config.scenario, &shared.config.models);
        let ids: Vec<_> = models.iter().map(|model| model.id).collect();
        let state = State::new(scenario, &ids);
        let (pending, tickets, batches, expiries, fresh) = Default::default();
        let begin = Instant::now();
        Dispatcher {
            shared,
            state,
            decider,
            events,
            sender,
            runtime,
            begin,
            pending,
            tickets,
            batches,
            expiries,
            fresh,
        }
    }

    /// Runs until nobody can tell it anything any more, or it is told to give up.
    pub(super) fn run(mut self) {
        let mut wake: Option<Time> = None;
        loop {
            let now = self.now();
            let event = match wake.map(|wake| Duration::from_nanos(wake.since(now).0)) {
                Some(wait) => self.events.recv_timeout(wait),
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::GiveUp) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
            }
            // All that has happened by now is known before anything is decided.
            while let Ok(event) = self.events.try_recv() {
                if matches!(event, Event::GiveUp) {
                    return self.give_up();
                }
                self.handle(event);
            }
            let until = self.decide();
            self.turn_away();
            wake = [until, self.next_expiry()].into_iter().flatten().min();
        }
        self.give_up();
    }

    fn now(&self) -> Time {
        Time(self.begin.elapsed().as_nanos() as u64)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive(arrival) => self.arrive(arrival),
            Event::Cancel(number) => self.cancel(number),
            Event::Done { sequence, result } => self.done(sequence, result),
            Event::Health { node, up } => self.health(node, up),
            // Taken out by the loop.
            Event::GiveUp => {}
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let Arrival { number, model, row, deadline, reply } = arrival;
        let raw = &self.shared.config.raw;
        // What could start at once does not count yet: the policy has not been asked.
        let most = raw.max_queue + self.state.room(model);
        let refusal = if !self.state.is_served(model) {
            Some((Failure::Down, "unavailable"))
        } else if self.state.waiting(model) >= most {
            Some((Failure::Full, "full"))
        } else {
            None
        };
        if let Some((failure, end)) = refusal {
            self.shared.stats.model(model).end(end);
            // The caller may have gone.
            let _ = reply.send(Err(failure));
            return;
        }
        let now = self.now();
        let deadline = deadline.map(|span| now + Span(span.as_nanos() as u64));
        let drops = self.shared.config.scenario.spec().late == Late::Drop;
        let longest = now + Span(raw.max_wait_ms * 1_000_000);
        let expires = deadline.filter(|_| drops).map_or(longest, |deadline| deadline.min(longest));
        let ticket = self.state.arrive(now, model, deadline);
        let row = Arc::new(row);
        self.tickets.insert(number, ticket);
        self.expiries.push(Reverse((expires, ticket)));
        let pending = Pending { number, model, row, reply, arrival: now, deadline, expires, attempts: 0 };
        self.pending.insert(ticket, pending);
        self.fresh.push(ticket);
        self.count_waiting(model);
    }

    /// Refuses the youngest of those that have just come where more wait than may, now that the policy has been asked.
    fn turn_away(&mut self) {
        let most = self.shared.config.raw.max_queue;
        for ticket in std::mem::take(&mut self.fresh).into_iter().rev() {
            let Some(model) = self.pending.get(&ticket).map(|pending| pending.model) else { continue };
            if self.state.waiting(model) > most && self.state.withdraw(ticket) {
                self.fail(ticket, Failure::Full, "full");
            }
        }
    }

    /// A request that waits leaves its queue; one that is being served is served for nobody.
    fn cancel(&mut self, number: u64) {
        let Some(ticket) = self.tickets.remove(&number) else { return };
        if let Some(pending) = self.pending.remove(&ticket) {
            self.state.withdraw(ticket);
            self.shared.stats.model(pending.model).end("cancelled");
            self.count_waiting(pending.model);
        }
    }

    fn health(&mut self, node: usize, up: bool) {
        let gauge = &self.shared.stats.backend(node).up;
        if (gauge.get() == 1) != up {
            let name = &self.shared.config.scenario.cluster().nodes()[node].name;
            eprintln!("back end {name} is {}", if up { "up" } else { "down" });
        }
        gauge.set(u64::from(up));
        self.state.set_up(node, up);
    }

    fn done(&mut self, sequence: u64, result: Result<Vec<String>, CallError>) {
        self.state.finish(sequence);
        let Some(launch) = self.batches.remove(&sequence) else { return };
        match result {
            Ok(outputs) => {
                for (&ticket, outputs) in launch.members.iter().zip(outputs) {
                    self.answer(ticket, Answered { outputs, node: launch.node, batch: launch.members.len() });
                }
            }
            Err(error) => self.failed(&launch, &error),
        }
    }

    fn answer(&mut self, ticket: Ticket, answered: Answered) {
        let now = self.now();
        let Some(pending) = self.take(ticket) else { return };
        let stats = self.shared.stats.model(pending.model);
        stats.end("answered");
        stats.latency.observe(Duration::from_nanos(now.since(pending.arrival).0));
        stats.missed.add(u64::from(pending.deadline.is_some_and(|deadline| now > deadline)));
        let _ = pending.reply.send(Ok(answered));
    }

    /// Who may try again goes back into the queue; a back end that failed takes nothing until it is found well.
    fn failed(&mut self, launch: &Launch, error: &CallError) {
        let name = &self.shared.config.scenario.cluster().nodes()[launch.node].name;
        eprintln!("back end {name} failed with a batch of {}: {error}", launch.members.len());
        self.shared.stats.backend(launch.node).failures.add(1);
        if !error.is_final() {
            self.health(launch.node, false);
        }
        let now = self.now();
        for &ticket in &launch.members {
            let Some(pending) = self.pending.get(&ticket) else { continue };
            let spent = pending.attempts >= self.shared.config.raw.attempts;
            if error.is_final() || spent {
                self.fail(ticket, Failure::Failed(error.to_string()), "failed");
            } else if pending.expires <= now {
                self.expire(ticket);
            } else {
                let (expires, model) = (pending.expires, pending.model);
                self.expiries.push(Reverse((expires, ticket)));
                self.state.put_back(&[ticket]);
                self.count_waiting(model);
            }
        }
    }

    fn fail(&mut self, ticket: Ticket, failure: Failure, end: &str) {
        let Some(pending) = self.take(ticket) else { return };
        self.shared.stats.model(pending.model).end(end);
        let _ = pending.reply.send(Err(failure));
        self.count_waiting(pending.model);
    }

    fn expire(&mut self, ticket: Ticket) {
        let late = self.pending.get(&ticket).is_some_and(|one| one.deadline == Some(one.expires));
        let (failure, end) = if late { (Failure::Late, "late") } else { (Failure::Waited, "gave_up") };
        self.fail(ticket, failure, end);
    }

    fn take(&mut self, ticket: Ticket) -> Option<Pending> {
        let pending = self.pending.remove(&ticket)?;
        self.tickets.remove(&pending.number);
        Some(pending)
    }

    /// Gives up who has waited too long; when the next one will have.
    fn next_expiry(&mut self) -> Option<Time> {
        let now = self.now();
        while let Some(&Reverse((expires, ticket))) = self.expiries.peek() {
            if self.pending.contains_key(&ticket) && expires > now {
                return Some(expires);
            }
            self.expiries.pop();
            // One that is being served is finished.
            if self.pending.contains_key(&ticket) && self.state.withdraw(ticket) {
                self.expire(ticket);
            }
        }
        None
    }

    /// Starts what the policy wants started; when to ask it again at the latest.
    fn decide(&mut self) -> Option<Time> {
        self.next_expiry();
        loop {
            let (begin, asked, failed) = (Instant::now(), self.decider.decisions, self.decider.fallbacks);
            let now = self.now();
            let step = self.decider.next(&mut self.state, now);
            if self.decider.decisions > asked {
                self.shared.stats.deciding.observe(begin.elapsed());
                self.shared.stats.fallbacks.add(self.decider.fallbacks - failed);
            }
            match step {
                Step::Wait(until) => return until,
                Step::Start(launch) => self.launch(launch),
            }
        }
    }

    fn launch(&mut self, launch: Launch) {
        let stats = self.shared.stats.backend(launch.node);
        stats.batches.add(1);
        stats.requests.add(launch.members.len() as u64);
        let mut rows = Vec::with_capacity(launch.members.len());
        for ticket in &launch.members {
            if let Some(pending) = self.pending.get_mut(ticket) {
                pending.attempts += 1;
                rows.push(Arc::clone(&pending.row));
            }
        }
        debug_assert_eq!(rows.len(), launch.members.len(), "whoever waits has no answer yet");
        let (shared, sender) = (Arc::clone(&self.shared), self.sender.clone());
        let (node, model, sequence) = (launch.node, launch.model, launch.sequence);
        self.batches.insert(sequence, launch);
        self.count_waiting(model);
        self.runtime.spawn(async move {
            let result = call(&shared, node, model, &rows).await;
            // The dispatcher ends only when nobody waits for the answer any more.
            let _ = sender.send(Event::Done { sequence, result });
        });
    }

    fn count_waiting(&self, model: usize) {
        self.shared.stats.model(model).waiting.set(self.state.waiting(model) as u64);
    }

    fn give_up(mut self) {
        for (_, pending) in self.pending.drain() {
            self.shared.stats.model(pending.model).end("unavailable");
            let _ = pending.reply.send(Err(Failure::Draining));
        }
    }
}

/// Sends a batch to a back end: the outputs of each row.
async fn call(
    shared: &Shared,
    node: usize,
    model: usize,
    rows: &[Arc<Row>],
) -> Result<Vec<String>, CallError> {
    let gone = |why: &str| CallError::Broken { url: "gateway".to_owned(), why: why.to_owned() };
    let client = shared.config.backends[node].as_ref().ok_or_else(|| gone("the node has no back end"))?;
    let meta = shared.metas[model].get().ok_or_else(|| gone("the model has not been described"))?;
    let body = tensor::join(meta, rows.iter().map(|row| &**row));
    let timeout = Duration::from_millis(shared.config.raw.call_timeout_ms);
    let answer = client.infer(&meta.name, body, timeout).await?;
    let broken = |why| CallError::Broken { url: client.url().to_owned(), why };
    tensor::split(&answer, meta, rows.len()).map_err(broken)
}
