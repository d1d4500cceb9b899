//! One look at Slurm after another: read, decide, check again, act.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use yardmaster_agent::policy::Policy;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::units::KindId;

use super::arrivals::Arrivals;
use super::ask::{Asked, ask};
use super::breaker::Breaker;
use super::client::Slurm;
use super::config::{Config, Otherwise};
use super::error::SlurmError;
use super::estimate::{self, Estimate};
use super::event::{Action, Event};
use super::jobs::{self, JobKey, Phase, SlurmJob};
use super::moment::{Moment, Start};
use super::nodes::{self, Listed};
use super::plan::{Plan, hand_over, leave, placeable, remark};
use super::site::{self, Site, State, request_gpus};

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
    pub(super) slurm: S,
    policy: Box<dyn Policy>,
    pub(super) settings: Settings,
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
    /// Whether the partition was there at the last look that asked; nothing before that.
    partition: Option<bool>,
}

/// Where events go.
pub(super) type Log<'a> = &'a mut dyn FnMut(Event);

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
            partition: None,
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

    pub(super) fn check_disabled(&mut self, log: Log<'_>) -> bool {
        let there = self.settings.disable_file.as_ref().filter(|path| path.exists());
        if there.is_some() != self.is_disabled {
            self.is_disabled = there.is_some();
            log(there.map_or(Event::Enabled, |path| Event::Disabled(path.clone())));
        }
        self.is_disabled
    }

    fn try_look(&mut self, now: Duration, log: Log<'_>) -> Result<Duration, SlurmError> {
        let state = self.read(log)?;
        let listed: BTreeSet<JobKey> = state.jobs.iter().map(|job| job.key).collect();
        self.said.retain(|key, _| listed.contains(key));
        let site = self.site(&state);
        self.tell_ignored(&site.ignored, log);
        if self.find_partition(&state, log)? && site.places.is_empty() {
            let partition = &self.settings.partition;
            let empty = format!("partition {partition}, which has no node with GPUs that are known");
            self.tell_ignored(&[empty], log);
        }
        let mut plans = self.overdue(&state, now);
        let waiting = self.sort_out(&state, &site, &mut plans);
        let mut pause = self.settings.interval;
        if self.breaker.is_open(now) {
            let over = |&(job, _): &(usize, Estimate)| hand_over(&state, job, "the policy has failed");
            plans.extend(waiting.iter().map(over));
        } else if !waiting.is_empty() {
            let (starts, until) = self.decide(&state, site, &waiting, now, log);
            plans.extend(starts);
            // A moment that has come already is no reason to look without a pause.
            pause = until.map_or(pause, |until| until.clamp(pause / 4, pause));
        }
        if !plans.is_empty() {
            self.carry_out(&state, plans, log)?;
        }
        Ok(pause)
    }

    /// Slurm's state, as it is now.
    pub(super) fn read(&mut self, log: Log<'_>) -> Result<State, SlurmError> {
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

    pub(super) fn site(&self, state: &State) -> Site {
        Site::of(state, &self.settings.partition, &self.settings.config, self.catalog)
    }

    /// Whether there is such a partition. One with nodes is among the answers; Slurm is asked for its partitions only where
    /// none of them names it, as it may be without nodes.
    fn find_partition(&mut self, state: &State, log: Log<'_>) -> Result<bool, SlurmError> {
        let name = &self.settings.partition;
        let mut is_there = state.nodes.iter().any(|node| node.partitions.contains(name));
        if !is_there {
            let names = self.slurm.run("sinfo", &["--all", "--noheader", "--format=%R"])?;
            let names: Vec<&str> = names.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            is_there = names.contains(&name.as_str());
            if !is_there && self.partition != Some(false) {
                let others = names.iter().map(ToString::to_string).collect();
                log(Event::NoPartition { name: name.clone(), others, was_there: self.partition.is_some() });
            }
        }
        self.partition = Some(is_there);
        Ok(is_there)
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
                Err(why) => plans.extend(match self.settings.config.otherwise {
                    Otherwise::Release => Some(hand_over(state, at, &why)),
                    Otherwise::Leave => leave(state, at, &why),
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
        let known: Vec<Option<Estimate>> = state.jobs.iter().map(known).collect();
        let made = Moment::of(state, site, waiting, &known, now.as_secs_f64(), &mut self.arrivals);
        let asked = made.map_err(|error| error.to_string()).and_then(|mut moment| {
            let asked = ask(&mut *self.policy, &mut moment, state)?;
            Ok((moment, asked))
        });
        match asked {
            Ok((moment, Asked { starts, set_aside, until })) => {
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

    /// Says something of a job, unless it is what was said last.
    pub(super) fn say(
        &mut self,
        key: JobKey,
        words: &str,
        log: Log<'_>,
        event: impl FnOnce(JobKey, String) -> Event,
    ) {
        if self.said.get(&key).is_none_or(|last| last != words) {
            self.said.insert(key, words.to_owned());
            log(event(key, words.to_owned()));
        }
    }
}

fn seconds_text(seconds: f64) -> String {
    if seconds < 100.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}
