//! One look at Slurm after another: read, decide, check again, act.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use yardmaster_agent::policy::Policy;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::units::KindId;
use yardmaster_env::view::Decision;

use super::arrivals::Arrivals;
use super::breaker::Breaker;
use super::client::Slurm;
use super::config::{Config, Otherwise};
use super::error::SlurmError;
use super::estimate::{self, Estimate};
use super::event::{Action, Event};
use super::jobs::{self, Ask, JobKey, Phase, SlurmJob};
use super::moment::{Moment, Start, Taken};
use super::nodes::{self, Listed};
use super::site::{self, Site, State, TAG, request_gpus};

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The partition whose held jobs are placed.
    pub partition: String,
    /// The time between two looks.
    pub interval: Duration,
    /// While this file exists, nothing is done.
    pub disable_file: Option<PathBuf>,
    /// Says what would be done, and does nothing.
    pub dry_run: bool,
    /// The site.
    pub config: Config,
}

/// Places the held jobs of one partition. All it remembers beside what Slurm knows is how the workload looked and what
/// it has said: it can be ended and started at any time.
pub struct Adapter<S> {
    slurm: S,
    policy: Box<dyn Policy>,
    settings: Settings,
    catalog: &'static Catalog,
    arrivals: Arrivals,
    breaker: Breaker,
    /// Failures to reach Slurm in a row.
    unreachable: u32,
    is_disabled: bool,
    /// When a job that we released was first seen waiting, in time since 1970.
    promised: BTreeMap<JobKey, Duration>,
    /// What was said of a job last, so that it is said once.
    said: BTreeMap<JobKey, String>,
    /// What was said to be passed over.
    ignored: Vec<String>,
}

/// Where events go.
type Log<'a> = &'a mut dyn FnMut(Event);

/// A change that is to be made, with the job as it was when that was decided.
struct Plan {
    job: usize,
    action: Action,
    start: Option<Start>,
}

impl<S: Slurm> Adapter<S> {
    /// An adapter that has not looked yet.
    pub fn new(slurm: S, policy: Box<dyn Policy>, settings: Settings) -> Adapter<S> {
        let breaker = Breaker::new(settings.config.policy_failures, settings.config.policy_pause);
        Adapter {
            slurm,
            policy,
            settings,
            catalog: Catalog::builtin(),
            arrivals: Arrivals::default(),
            breaker,
            unreachable: 0,
            is_disabled: false,
            promised: BTreeMap::new(),
            said: BTreeMap::new(),
            ignored: Vec::new(),
        }
    }

    /// Whether the last look could not reach Slurm.
    pub fn is_unreachable(&self) -> bool {
        self.unreachable > 0
    }

    /// One look at `now`, in time since 1970; gives how long to pause until the next.
    pub fn look(&mut self, now: Duration, log: Log<'_>) -> Duration {
        if self.check_disabled(log) {
            return self.settings.interval;
        }
        match self.try_look(now, log) {
            Ok(pause) => {
                if std::mem::take(&mut self.unreachable) > 0 {
                    log(Event::Reachable);
                }
                pause
            }
            Err(error) => {
                self.unreachable = self.unreachable.saturating_add(1);
                let factor = 1_u32 << self.unreachable.min(16);
                let longest = self.settings.config.longest_pause.max(self.settings.interval);
                let pause = self.settings.interval.saturating_mul(factor).min(longest);
                log(Event::Unreachable(error.to_string(), pause));
                pause
            }
        }
    }

    fn check_disabled(&mut self, log: Log<'_>) -> bool {
        let there = self.settings.disable_file.as_ref().filter(|path| path.exists());
        if there.is_some() != self.is_disabled {
            self.is_disabled = there.is_some();
            log(there.map_or(Event::Enabled, |path| Event::Disabled(path.clone())));
        }
        self.is_disabled
    }

    fn try_look(&mut self, now: Duration, log: Log<'_>) -> Result<Duration, SlurmError> {
        let state = self.read(log)?;
        let site = self.site(&state);
        self.tell_ignored(&site.ignored, log);
        let mut plans = self.overdue(&state, now);
        let waiting = self.sort_out(&state, &site, &mut plans);
        let mut pause = self.settings.interval;
        if self.breaker.is_open(now) {
            let over = |&(job, _): &(usize, Estimate)| hand_over(&state, job, "the policy has failed");
            plans.extend(waiting.iter().map(over));
        } else if !waiting.is_empty() {
            let (starts, until) = self.decide(&state, site, &waiting, now, log);
            plans.extend(starts);
            pause = until.map_or(pause, |until| pause.min(until));
        }
        if !plans.is_empty() {
            self.carry_out(&state, plans, log)?;
        }
        Ok(pause)
    }

    /// Slurm's state, as it is now.
    fn read(&mut self, log: Log<'_>) -> Result<State, SlurmError> {
        let text = self.slurm.run("squeue", &["--json"])?;
        let (jobs, mut unreadable) = jobs::parse(&text)?;
        let text = self.slurm.run("sinfo", &["--json"])?;
        let listed = match nodes::parse("sinfo --json", &text)? {
            Listed::Elsewhere => {
                let text = self.slurm.run("scontrol", &["show", "nodes", "--json"])?;
                nodes::parse("scontrol show nodes --json", &text)?
            }
            listed => listed,
        };
        let Listed::Nodes(nodes, more) = listed else {
            return Err(SlurmError::Json {
                command: "scontrol show nodes --json".into(),
                why: "no nodes".into(),
            });
        };
        unreadable.extend(more);
        self.tell_ignored(&unreadable, log);
        Ok(State { jobs, nodes })
    }

    fn site(&self, state: &State) -> Site {
        Site::of(state, &self.settings.partition, &self.settings.config, self.catalog)
    }

    fn tell_ignored(&mut self, sentences: &[String], log: Log<'_>) {
        for sentence in sentences {
            if !self.ignored.contains(sentence) {
                self.ignored.push(sentence.clone());
                log(Event::Ignored(sentence.clone()));
            }
        }
    }

    /// Whether a job is one of those that are placed here.
    fn is_ours(&self, job: &SlurmJob) -> bool {
        let mut partitions = job.request.partition.split(',');
        partitions.any(|name| name == self.settings.partition)
            && estimate::is_ours(&job.request, &self.settings.config)
    }

    fn estimate(&self, job: &SlurmJob, kinds: &[KindId]) -> Result<Estimate, String> {
        let gpus = request_gpus(&job.request).unwrap_or(1);
        estimate::estimate(&job.request, gpus, kinds, &self.settings.config, self.catalog)
    }

    /// Jobs that were released for a place and have not started for too long.
    fn overdue(&mut self, state: &State, now: Duration) -> Vec<Plan> {
        let patience = self.settings.config.patience;
        let promised = |job: &&(usize, &SlurmJob)| self.is_ours(job.1) && site::is_promised(job.1);
        let jobs: Vec<(usize, &SlurmJob)> = state.jobs.iter().enumerate().collect();
        let waiting: Vec<(usize, JobKey)> =
            jobs.iter().filter(promised).map(|(at, job)| (*at, job.key)).collect();
        self.promised.retain(|key, _| waiting.iter().any(|(_, other)| other == key));
        let mut plans = Vec::new();
        for (at, key) in waiting {
            let since = *self.promised.entry(key).or_insert(now);
            if now.saturating_sub(since) >= patience {
                let job = &state.jobs[at];
                let why = format!(
                    "not started on {} within {patience:?} ({})",
                    job.request.required_nodes.join(","),
                    job.reason
                );
                plans.push(Plan { job: at, action: Action::Free { remark: remark(job, &why) }, start: None });
            }
        }
        plans
    }

    /// The jobs that can be placed, with their estimates; plans for those that cannot. New jobs enter the history.
    fn sort_out(&mut self, state: &State, site: &Site, plans: &mut Vec<Plan>) -> Vec<(usize, Estimate)> {
        let kinds = site.kinds();
        if let Some(first) = state.jobs.first() {
            self.arrivals.begin(first.submit_s);
        }
        let mut waiting = Vec::new();
        for (at, job) in
            state.jobs.iter().enumerate().filter(|(_, job)| self.is_ours(job)).collect::<Vec<_>>()
        {
            let estimate = self.estimate(job, &kinds);
            if let (Ok(estimate), Some(gpus)) = (&estimate, request_gpus(&job.request)) {
                self.arrivals.see(job.key, job.submit_s, gpus, &estimate.seconds);
            }
            let is_ready = job.phase == Phase::Held { by_admin: false } && job.request.dependency.is_empty();
            if !is_ready || site.places.is_empty() {
                continue;
            }
            match estimate.and_then(|estimate| placeable(job, site, estimate)) {
                Ok(estimate) => waiting.push((at, estimate)),
                Err(why) => plans.push(match self.settings.config.otherwise {
                    Otherwise::Release => hand_over(state, at, &why),
                    Otherwise::Leave => {
                        let remark = remark(job, &format!("left held: {why}"));
                        Plan { job: at, action: Action::Note { remark }, start: None }
                    }
                }),
            }
        }
        waiting
    }

    /// Asks the policy until it waits; gives what it starts, and how long it wants to wait.
    fn decide(
        &mut self,
        state: &State,
        site: Site,
        waiting: &[(usize, Estimate)],
        now: Duration,
        log: Log<'_>,
    ) -> (Vec<Plan>, Option<Duration>) {
        let kinds = site.kinds();
        let known = |job: &SlurmJob| if self.is_ours(job) { self.estimate(job, &kinds).ok() } else { None };
        // `known` borrows all of this, and the history is written to meanwhile.
        let estimates: Vec<Option<Estimate>> = state.jobs.iter().map(known).collect();
        let known = |job: &SlurmJob| {
            let at = state.jobs.iter().position(|other| std::ptr::eq(other, job));
            at.and_then(|at| estimates[at].clone())
        };
        let now_s = now.as_secs_f64();
        let mut moment = Moment::of(state, site, waiting, &known, now_s, &mut self.arrivals, self.catalog);
        match ask(&mut *self.policy, &mut moment, state) {
            Ok(Asked { starts, set_aside, until }) => {
                if self.breaker.succeeded() {
                    log(Event::PolicyBack);
                }
                for job in set_aside {
                    let key = state.jobs[job].key;
                    self.say(key, "what is free has not the shape it asks for", log, Event::Waits);
                }
                let plan = |(rank, start)| self.plan(state, &moment, rank, start);
                ((0..).zip(starts).map(plan).collect(), until)
            }
            Err(why) => {
                let (times, open) = self.breaker.failed(now);
                log(Event::PolicyFailed(why, times));
                if open {
                    log(Event::PolicyPaused(self.settings.config.policy_pause));
                }
                (Vec::new(), None)
            }
        }
    }

    fn plan(&self, state: &State, moment: &Moment, rank: u32, start: Start) -> Plan {
        let job = &state.jobs[start.job];
        let nodes: Vec<String> =
            start.nodes.iter().map(|&(place, _)| moment.site.places[place].name.clone()).collect();
        let why = format!(
            "placed on {} ({}) by {}, {} expected",
            nodes.join(","),
            self.catalog.device(start.kind).name,
            self.policy.name(),
            seconds_text(start.seconds),
        );
        let priority = self.settings.config.priority.map(|first| first.saturating_sub(rank).max(1));
        Plan {
            job: start.job,
            action: Action::Place { nodes, remark: remark(job, &why), priority },
            start: Some(start),
        }
    }

    /// Makes the changes, each against a state that was read after all were decided.
    fn carry_out(&mut self, state: &State, plans: Vec<Plan>, log: Log<'_>) -> Result<(), SlurmError> {
        if self.settings.dry_run {
            for plan in plans {
                let key = state.jobs[plan.job].key;
                self.say(key, &plan.action.to_string(), log, |key, _| Event::Would(key, plan.action.clone()));
            }
            return Ok(());
        }
        let fresh = self.read(log)?;
        let mut site = self.site(&fresh);
        for plan in plans {
            if self.check_disabled(log) {
                return Ok(());
            }
            let job = &state.jobs[plan.job];
            if let Err(why) = still_holds(job, &plan, &fresh, &mut site) {
                log(Event::Changed(job.key, why));
                continue;
            }
            self.act(job, plan.action, log)?;
        }
        Ok(())
    }

    /// Makes one change. Slurm's refusal leaves the job as it is; an error means that Slurm does not answer.
    fn act(&mut self, job: &SlurmJob, action: Action, log: Log<'_>) -> Result<(), SlurmError> {
        let key = job.key;
        let result = match &action {
            Action::Place { nodes, remark, priority } => {
                let list = nodes.join(",");
                self.update(key, &[("ReqNodeList", &list), ("AdminComment", remark)])
                    .and_then(|()| self.release(key))
                    .and_then(|()| {
                        priority.map_or(Ok(()), |priority| {
                            self.update(key, &[("Priority", &priority.to_string())])
                        })
                    })
            }
            Action::HandOver { remark } => {
                // Nodes of an earlier attempt of ours, of which only the release is missing.
                let ours = job.admin_comment.contains(TAG) && !job.request.required_nodes.is_empty();
                let nodes = if ours { &[("ReqNodeList", "")][..] } else { &[] };
                let changes = [&[("AdminComment", remark.as_str())][..], nodes].concat();
                self.update(key, &changes).and_then(|()| self.release(key))
            }
            Action::Free { remark } => self.update(key, &[("ReqNodeList", ""), ("AdminComment", remark)]),
            Action::Note { remark } if *remark == job.admin_comment => return Ok(()),
            Action::Note { remark } => self.update(key, &[("AdminComment", remark)]),
        };
        match result {
            Ok(()) => log(Event::Did(key, action)),
            Err(error @ SlurmError::Failed { .. }) => self.say(key, &error.to_string(), log, Event::Failed),
            Err(error) => {
                log(Event::Failed(key, error.to_string()));
                return Err(error);
            }
        }
        Ok(())
    }

    fn update(&mut self, key: JobKey, changes: &[(&str, &str)]) -> Result<(), SlurmError> {
        let job = format!("JobId={key}");
        let changes: Vec<String> = changes.iter().map(|(field, value)| format!("{field}={value}")).collect();
        let arguments: Vec<&str> =
            ["update", &job].into_iter().chain(changes.iter().map(String::as_str)).collect();
        self.slurm.run("scontrol", &arguments).map(|_| ())
    }

    fn release(&mut self, key: JobKey) -> Result<(), SlurmError> {
        self.slurm.run("scontrol", &["release", &key.to_string()]).map(|_| ())
    }

    /// Says something of a job, unless it is what was said last.
    fn say(&mut self, key: JobKey, words: &str, log: Log<'_>, event: impl FnOnce(JobKey, String) -> Event) {
        if self.said.get(&key).is_none_or(|last| last != words) {
            self.said.insert(key, words.to_owned());
            log(event(key, words.to_owned()));
        }
    }
}

/// What a policy wants at one moment.
struct Asked {
    starts: Vec<Start>,
    set_aside: Vec<usize>,
    until: Option<Duration>,
}

/// Asks until the policy waits or nothing is left to decide. A panic or an illegal decision is an error; what was
/// decided before it counts for nothing.
fn ask(policy: &mut dyn Policy, moment: &mut Moment, state: &State) -> Result<Asked, String> {
    // Jobs are numbered anew at each look, and what a rule remembers of the last would be of others.
    policy.reset(0);
    let mut asked = Asked { starts: Vec::new(), set_aside: Vec::new(), until: None };
    while moment.has_choice() {
        let view = moment.view();
        let decision =
            catch_unwind(AssertUnwindSafe(|| policy.decide(&view))).map_err(|panic| panic_text(&*panic))?;
        match moment.take(state, &decision)? {
            Some(Taken::Start(start)) => asked.starts.push(start),
            Some(Taken::SetAside(job)) => asked.set_aside.push(job),
            None => {
                if let Decision::Wait { until: Some(until) } = decision {
                    asked.until = Some(Duration::from_nanos(until.since(moment.view().now).0.max(1)));
                }
                break;
            }
        }
    }
    Ok(asked)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(ToString::to_string).or(panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_else(|| "without a word".into()))
}

/// Whether the adapter can place the job at all; why not, else.
fn placeable(job: &SlurmJob, site: &Site, mut estimate: Estimate) -> Result<Estimate, String> {
    let request = &job.request;
    match request.gpus {
        Ask::Nothing => return Err("it asks for no GPU".into()),
        Ask::Other => return Err("it asks for GPUs by task or socket, or for several types".into()),
        Ask::PerNode(_) | Ask::PerJob(_) => {}
    }
    if !request.required_nodes.is_empty() && !job.admin_comment.contains(TAG) {
        return Err("its owner has chosen its nodes".into());
    }
    if !request.reservation.is_empty() {
        return Err(format!("it wants the reservation {}", request.reservation));
    }
    if request.features.contains(['|', '[', '(', '*', '!']) {
        return Err(format!("its constraint {:?} is more than a list of features", request.features));
    }
    estimate.seconds.retain(|(kind, _)| site.could_hold(request, *kind));
    if estimate.seconds.is_empty() {
        return Err("no nodes of one kind that it runs on have what it asks for".into());
    }
    Ok(estimate)
}

fn hand_over(state: &State, job: usize, why: &str) -> Plan {
    let remark = remark(&state.jobs[job], &format!("left to Slurm: {why}"));
    Plan { job, action: Action::HandOver { remark }, start: None }
}

/// The AdminComment of a job with our words at its end, in place of those of ours that are there.
fn remark(job: &SlurmJob, words: &str) -> String {
    // What ends a value, or a line of a log, is no part of a remark.
    let words: String = words.chars().map(|c| if c.is_control() || c == '"' { '\'' } else { c }).collect();
    let others = job.admin_comment.split(TAG).next().unwrap_or_default().trim_end_matches([' ', ';']);
    if others.is_empty() { format!("{TAG} {words}") } else { format!("{others}; {TAG} {words}") }
}

/// Whether a plan still makes sense in a state that was read after it was made; books its place if so.
fn still_holds(job: &SlurmJob, plan: &Plan, fresh: &State, site: &mut Site) -> Result<(), String> {
    let now = site::find(&fresh.jobs, job.key).ok_or("it is gone")?;
    if now.phase != job.phase {
        return Err(format!("it was {:?} and is {:?}", job.phase, now.phase));
    }
    if now.request != job.request {
        return Err("its owner asks for something else".into());
    }
    let Some(start) = &plan.start else { return Ok(()) };
    let Action::Place { nodes, .. } = &plan.action else { return Ok(()) };
    // Places may have other numbers by now.
    let mut wanted = Vec::new();
    for (name, &(_, gpus)) in nodes.iter().zip(&start.nodes) {
        let at = site.places.iter().position(|place| place.name == *name);
        wanted.push((at.ok_or_else(|| format!("node {name} is gone"))?, gpus));
    }
    if site.fit(&now.request, start.kind, &wanted).as_ref() != Some(&wanted) {
        return Err(format!("{} has no longer room for it", nodes.join(",")));
    }
    site.take(&now.request, &wanted);
    Ok(())
}

fn seconds_text(seconds: f64) -> String {
    if seconds < 100.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}
