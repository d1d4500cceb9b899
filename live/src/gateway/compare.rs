//! The same arrivals live and simulated: how well the simulator tells what the gateway does, policy by policy.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use yardmaster_agent::policy::{Policy, play};
use yardmaster_env::metrics::Metrics;
use yardmaster_env::spec::{Scenario, Split};

use super::client::Client;
use crate::load::infer::{Outcome, Plan, Report, run};

/// A gateway that has not said where it is, or is not ready, after so long does not come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a comparison broke off.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The gateway does not come up.
    #[error("the gateway with {policy} does not come up: {why}")]
    Gateway {
        /// Of which policy.
        policy: String,
        /// What happened.
        why: String,
    },
    /// Load that cannot be sent, or an episode that cannot be simulated.
    #[error("{policy}: {why}")]
    Run {
        /// Of which policy.
        policy: String,
        /// What happened.
        why: String,
    },
}

/// A gateway in a process of its own, ended when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// To it.
    pub client: Client,
}

impl Process {
    /// Starts `command gateway --config FILE --listen 127.0.0.1:0 ARGUMENTS` and waits until it is ready.
    ///
    /// # Errors
    /// A command that does not start or does not become ready.
    pub async fn start(
        command: &Path,
        config: &Path,
        policy: &str,
        arguments: &[String],
    ) -> Result<Process, CompareError> {
        let wrong = |why: String| CompareError::Gateway { policy: policy.to_owned(), why };
        let child = Command::new(command)
            .args(["gateway", "--listen", "127.0.0.1:0", "--config"])
            .arg(config)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        let mut child = child.map_err(|error| wrong(format!("{}: {error}", command.display())))?;
        let mut line = String::new();
        let said = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let client = match (said, url) {
            (Some(Ok(_)), Some(url)) => Client::new(&url).map_err(wrong),
            _ => Err(wrong(format!("it said {line:?} and no address"))),
        };
        let client = match client {
            Ok(client) => client,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let process = Process { child, client };
        let begin = Instant::now();
        while let Err(error) = process.client.ready(PATIENCE).await {
            if begin.elapsed() > PATIENCE {
                return Err(wrong(error.to_string()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One policy with one seed, live and simulated.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Row {
    /// The policy.
    pub policy: String,
    /// The episode.
    pub seed: u64,
    /// What the load generator measured.
    pub live: Report,
    /// What the simulator says of the same arrivals.
    pub simulated: Simulated,
}

/// What the simulator says. Times in milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Simulated {
    /// Mean latency.
    pub mean_ms: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 99th percentile of the latency.
    pub p99_ms: f64,
    /// Share of all requests that are answered by their deadline.
    pub slo_attainment: f64,
    /// Requests per batch.
    pub mean_batch: f64,
}

impl Simulated {
    /// Plays a test episode, the one that [`Plan::of`] sends.
    ///
    /// # Errors
    /// An episode that cannot be generated, a policy that decides against the rules; for people.
    pub fn of(scenario: &Scenario, seed: u64, policy: &mut dyn Policy) -> Result<Simulated, String> {
        let world = scenario.world(Split::Test.seed(seed, 0)).map_err(|error| error.to_string())?;
        let sim = play(&Arc::new(world), policy, 0).map_err(|error| error.to_string())?;
        let metrics = Metrics::of(&sim);
        Ok(Simulated {
            mean_ms: metrics.mean_jct_s * 1e3,
            p50_ms: metrics.p50_jct_s * 1e3,
            p99_ms: metrics.p99_jct_s * 1e3,
            slo_attainment: metrics.slo_attainment,
            mean_batch: metrics.mean_batch,
        })
    }
}

/// Who takes part.
pub struct Contestant {
    /// Its name in tables.
    pub name: String,
    /// What makes `gateway` decide by it.
    pub arguments: Vec<String>,
    /// Builds it, for the simulator.
    pub build: Box<dyn Fn() -> Result<Box<dyn Policy>, String>>,
}

/// What is to be compared where.
pub struct Comparison<'a> {
    /// This program, whose `gateway` is started for each run.
    pub command: PathBuf,
    /// The configuration of the gateway.
    pub config: &'a Path,
    /// The scenario that it names.
    pub scenario: &'a Scenario,
    /// Episodes; within one all policies take turns, so that what disturbs the machine disturbs all alike.
    pub seeds: Vec<u64>,
}

impl Comparison<'_> {
    /// Runs everything; `done` is told each row with its requests.
    ///
    /// # Errors
    /// See [`CompareError`].
    pub async fn run(
        &self,
        contestants: &[Contestant],
        mut done: impl FnMut(&Row, &[Outcome]),
    ) -> Result<Vec<Row>, CompareError> {
        let mut rows = Vec::new();
        for &seed in &self.seeds {
            for contestant in contestants {
                let (row, outcomes) = self.once(contestant, seed).await?;
                done(&row, &outcomes);
                rows.push(row);
            }
        }
        Ok(rows)
    }

    async fn once(&self, contestant: &Contestant, seed: u64) -> Result<(Row, Vec<Outcome>), CompareError> {
        let Contestant { name, arguments, build } = contestant;
        let wrong = |why: String| CompareError::Run { policy: name.clone(), why };
        let simulated = Simulated::of(self.scenario, seed, &mut *build().map_err(wrong)?).map_err(wrong)?;
        let plan = Plan::of(self.scenario, seed).map_err(|error| wrong(error.to_string()))?;
        let gateway = Process::start(&self.command, self.config, name, arguments).await?;
        let outcomes = run(&gateway.client, &plan, seed).await.map_err(|error| wrong(error.to_string()))?;
        let live = Report::of(&outcomes);
        Ok((Row { policy: name.clone(), seed, live, simulated }, outcomes))
    }
}
