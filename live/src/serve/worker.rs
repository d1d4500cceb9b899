//! Threads that decide, so that a policy which is slow or broken keeps nobody waiting.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use yardmaster_env::snapshot::{Snapshot, Told};
use yardmaster_env::view::Decision;

use crate::policy::{Loaded, Mind};
use crate::reason::{Outlook, Reason};

/// Decisions about one snapshot, in order.
pub type Decided = Vec<Answer>;

/// One decision.
#[derive(Clone, Debug)]
pub struct Answer {
    /// As the policy made it.
    pub decision: Decision,
    /// In the sender's names.
    pub told: Told,
    /// Why.
    pub reason: Reason,
}

/// Why a policy's decisions cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More wait for it than it can answer.
    Busy,
    /// It panicked.
    Panic,
    /// It decided against the rules.
    Illegal(String),
}

struct Question {
    snapshot: Arc<Snapshot>,
    loaded: Arc<Loaded>,
    most: usize,
    reply: oneshot::Sender<Result<Decided, Fault>>,
}

/// The threads.
#[derive(Clone)]
pub struct Workers {
    questions: SyncSender<Question>,
}

impl Workers {
    /// So many threads, and at most so many questions that wait. They end with the last copy of this. For the drill see
    /// [`super::Config::drill`].
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(threads: usize, waiting: usize, drill: Option<&Path>) -> std::io::Result<Workers> {
        let (questions, receiver) = sync_channel(waiting);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads.max(1) {
            let (receiver, drill) = (Arc::clone(&receiver), drill.map(Path::to_owned));
            let thread = std::thread::Builder::new().name(format!("decide-{number}"));
            thread.spawn(move || work(&receiver, drill.as_deref()))?;
        }
        Ok(Workers { questions })
    }

    /// Asks for at most so many decisions.
    ///
    /// # Errors
    /// [`Fault::Busy`].
    pub fn ask(
        &self,
        snapshot: Arc<Snapshot>,
        loaded: Arc<Loaded>,
        most: usize,
    ) -> Result<oneshot::Receiver<Result<Decided, Fault>>, Fault> {
        let (reply, answer) = oneshot::channel();
        match self.questions.try_send(Question { snapshot, loaded, most, reply }) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Fault::Busy),
        }
    }
}

/// Answers until nobody can ask any more.
fn work(questions: &Mutex<Receiver<Question>>, drill: Option<&Path>) {
    let mut own: Option<(Arc<Loaded>, Mind)> = None;
    loop {
        let next = questions.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Question { snapshot, loaded, most, reply }) = next else { return };
        // Whoever asked has given up.
        if reply.is_closed() {
            continue;
        }
        if own.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, &loaded)) {
            own = loaded.mind().ok().map(|mind| (loaded, mind));
        }
        if let Some(pause) = drill.and_then(slowness) {
            std::thread::sleep(pause);
        }
        let answer = match &mut own {
            Some((_, mind)) => catch_unwind(AssertUnwindSafe(|| decide(mind, &snapshot, most))),
            None => Ok(Err(Fault::Panic)),
        };
        if answer.is_err() {
            // What it left behind is not to be trusted.
            own = None;
        }
        // An error means that the answer came too late.
        let _ = reply.send(answer.unwrap_or(Err(Fault::Panic)));
    }
}

/// The milliseconds that a file says, if it is there.
fn slowness(file: &Path) -> Option<Duration> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(Duration::from_millis(text.trim().parse().ok()?))
}

/// Decides until the policy waits, or nothing further can be told from the snapshot. Each decision is checked here: no
/// network is trusted with its own mask.
pub fn decide(mind: &mut Mind, snapshot: &Arc<Snapshot>, most: usize) -> Result<Decided, Fault> {
    let mut decided = Decided::new();
    let mut present = Arc::clone(snapshot);
    while decided.len() < most.max(1) {
        let (decision, mut reason) = mind.decide(&present);
        present.check(&decision).map_err(|why| Fault::Illegal(why.to_string()))?;
        reason.outlook = Outlook::of(&present.view(), &decision);
        let told = present.tell(&decision);
        let is_last = decided.len() + 1 >= most;
        let goes_on = !is_last && Arc::make_mut(&mut present).carry_out(&decision).unwrap_or(false);
        decided.push(Answer { decision, told, reason });
        if !goes_on || !present.has_choice() {
            break;
        }
    }
    Ok(decided)
}
