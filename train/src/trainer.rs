//! The training loop: play, estimate, update, and now and then validate and save.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rayon::{ThreadPool, ThreadPoolBuilder};
use yardmaster_agent::net::{Dims, Layout, PolicyNet};

use crate::adam::Adam;
use crate::checkpoint::{self, Progress};
use crate::clock;
use crate::config::Config;
use crate::env::Environment;
use crate::gae::{Track, relative};
use crate::init::{Moments, critic_layout, weights};
use crate::log::Metrics;
use crate::losses::{Losses, explained_variance};
use crate::parts;
use crate::ppo::{Learner, Lesson, Loss, Network, Pass};
use crate::rollout::{Acting, Episode, State, play, play_taught};
use crate::seed::{Purpose, stream};
use crate::teach::{self, Taught};

/// What a validation found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validation {
    /// Lower is better; the best checkpoint has the lowest.
    pub score: f64,
    /// Further rows for the log, such as `eval/<scenario>/<metric>`.
    pub rows: Vec<(String, f64)>,
}

/// Judges a policy on episodes that it was not trained on.
pub type Validate = Box<dyn FnMut(&PolicyNet) -> Result<Validation> + Send>;

/// A learner among its environments.
pub struct Trainer<E> {
    envs: Vec<E>,
    learner: Learner,
    progress: Progress,
    pool: ThreadPool,
    validate: Option<Validate>,
    /// What the teacher has said so far.
    taught: Vec<Taught>,
    /// The best policy so far, while there is a teacher.
    kept: Option<Learner>,
    /// Whether the policy came with its normalisers.
    started: bool,
}

/// Episodes with what they teach.
struct Estimates {
    tracks: Vec<Track>,
    advantages: Vec<Vec<f32>>,
    targets: Vec<Vec<f32>>,
}

impl<E: Environment> Trainer<E> {
    /// Begins a run. `config.envs` environments, features of width `dims`, and `future` features for the critic.
    pub fn new(config: Config, envs: Vec<E>, dims: Dims, future: usize) -> Result<Self> {
        let network = |layout: Layout, index| {
            let mut random = stream(config.seed, Purpose::Weights, 0, index);
            let adam = Adam::new(weights(&layout, &mut random));
            Network::new(layout, adam)
        };
        let mut policy = network(Layout::policy(&dims, &config.sizes), 0);
        parts::switch_off(&mut policy, &config.without);
        let critic = network(critic_layout(&dims, &config.sizes, future), 1);
        let adam_steps = [0, 0];
        let progress = Progress {
            config,
            dims,
            future,
            iteration: 0,
            steps: 0,
            adam_steps,
            best: None,
            calibrated: false,
        };
        Self::assemble(progress, Learner::new(policy, critic), envs)
    }

    /// Begins with the weights of a policy, and its normalisers, in place of drawn ones.
    ///
    /// # Errors
    /// A network of other widths.
    pub fn start_from(&mut self, net: &PolicyNet) -> Result<()> {
        let Progress { config, dims, .. } = &self.progress;
        ensure!(
            (net.dims(), net.sizes()) == (dims, &config.sizes),
            "it has {:?} on {:?}, this run {:?} on {dims:?}",
            net.sizes(),
            net.dims(),
            config.sizes
        );
        self.learner.policy.adam.params.copy_from_slice(net.params());
        parts::switch_off(&mut self.learner.policy, &config.without);
        if config.teach == 0 {
            parts::sharpen(&mut self.learner.policy, config.sharpen);
        }
        self.learner.average.clone_from(&self.learner.policy.adam.params);
        self.started = true;
        Ok(())
    }

    /// Goes on from a checkpoint, bit for bit.
    pub fn resume(config: &Config, envs: Vec<E>, path: &Path) -> Result<Self> {
        let (mut progress, learner) = checkpoint::read(path)?;
        ensure!(
            progress.config.continues(config),
            "the run in {} has other settings; start a new one",
            path.display()
        );
        progress.config = config.clone();
        Self::assemble(progress, learner, envs)
    }

    fn assemble(progress: Progress, learner: Learner, envs: Vec<E>) -> Result<Self> {
        let config = &progress.config;
        config.check()?;
        ensure!(envs.len() == config.envs, "{} environments for envs = {}", envs.len(), config.envs);
        let pool = ThreadPoolBuilder::new().num_threads(config.threads).build().context("no threads")?;
        Ok(Self {
            envs,
            learner,
            progress,
            pool,
            validate: None,
            taught: Vec::new(),
            kept: None,
            started: false,
        })
    }

    /// Validates with this from now on.
    #[must_use]
    pub fn with_validation(mut self, validate: Validate) -> Self {
        self.validate = Some(validate);
        self
    }

    /// Counters and settings.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Weights and moments.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Whether the decisions to train on have been made.
    pub fn done(&self) -> bool {
        self.progress.steps >= self.progress.config.steps
    }

    /// What has been learned: the policy with the mean of the weights.
    pub fn policy(&self) -> Result<PolicyNet> {
        self.net(&self.learner.average)
    }

    /// The policy with the weights as they are now, which explores and learns.
    fn student(&self) -> Result<PolicyNet> {
        self.net(&self.learner.policy.adam.params)
    }

    fn net(&self, weights: &[f32]) -> Result<PolicyNet> {
        let Progress { config, dims, steps, iteration, .. } = &self.progress;
        let sharpen = if *iteration < config.teach { 1.0 } else { config.sharpen };
        let lambda = match self.imitating() {
            true => 0.0,
            false => sharpen * config.linear(config.prior_start, config.prior_end, *steps),
        };
        Ok(PolicyNet::new(*dims, config.sizes, lambda, weights)?)
    }

    /// Saves the run.
    pub fn save(&self, path: &Path) -> Result<()> {
        checkpoint::write(path, &self.progress, &self.learner)
    }

    /// Plays an episode in each environment and learns from them.
    ///
    /// Errors: weights that are no longer finite.
    pub fn iterate(&mut self) -> Result<Metrics> {
        if !self.progress.calibrated {
            self.calibrate()?;
        }
        if self.progress.iteration < self.progress.config.teach {
            return self.teach();
        }
        let (start, cpu) = (Instant::now(), clock::process_seconds());
        let net = self.student()?;
        let iteration = self.progress.iteration + 1;
        let acting = if self.imitating() { Acting::Prior } else { Acting::Sample };
        let config = self.progress.config.clone();
        let (pool, envs) = (&self.pool, &mut self.envs);
        let episodes = pool.install(|| play(envs, &net, &config, iteration, acting));
        let played = Instant::now();
        let estimates = self.pool.install(|| estimate(&self.learner, &config, &episodes));
        let pass = Pass {
            config: &config,
            iteration,
            lambda: net.lambda(),
            rate: config.linear(1.0, 0.0, self.progress.steps),
            critic_only: iteration <= config.imitate + config.teach + config.critic_first
                && iteration > config.imitate + config.teach,
            loss: if acting == Acting::Prior { Loss::Imitate } else { Loss::Ppo },
        };
        let lessons = self.lessons(&episodes, &estimates);
        let (pool, learner) = (&self.pool, &mut self.learner);
        let losses = pool.install(|| learner.update(&lessons, &pass));
        self.learner.track(config.average);
        self.progress.iteration = iteration;
        self.progress.steps += lessons.len() as u64;
        self.progress.adam_steps = [self.learner.policy.adam.steps, self.learner.critic.adam.steps];
        let seconds = [played - start, played.elapsed()].map(|span| span.as_secs_f64());
        let mut metrics = metrics(&self.progress, &pass, &episodes, &estimates, &losses, seconds);
        if let Some((end, begin)) = clock::process_seconds().zip(cpu) {
            metrics.push("performance/cpu_seconds", end - begin);
        }
        Ok(metrics)
    }

    /// Plays an episode in each environment, asks the teacher, and learns from all that it has said.
    fn teach(&mut self) -> Result<Metrics> {
        let start = Instant::now();
        let net = self.policy()?;
        let config = self.progress.config.clone();
        let iteration = self.progress.iteration + 1;
        let acting = if iteration <= config.teach_prior { Acting::Prior } else { Acting::Greedy };
        let (pool, envs) = (&self.pool, &mut self.envs);
        let episodes = pool.install(|| play_taught(envs, &net, &config, iteration, acting));
        let played = Instant::now();
        let count = episodes.len() as f64;
        let score = episodes.iter().map(|episode| episode.score).sum::<f64>() / count;
        let lengths: usize = episodes.iter().map(|episode| episode.samples.len()).sum();
        self.taught.retain(|one| one.is_remembered(iteration, &config));
        let fresh = self.taught.len();
        for (env, episode) in self.envs.iter().zip(episodes) {
            self.taught.extend(Taught::of(env.task(), iteration, episode.samples));
        }
        ensure!(!self.taught.is_empty(), "teach: nobody can look ahead here; set teach = 0");
        let (pool, learner, taught) = (&self.pool, &mut self.learner, &self.taught);
        let report = pool.install(|| teach::fit(learner, taught, fresh, &config, net.lambda(), iteration));
        self.learner.track(config.teach_average);
        let states = self.taught.len();
        self.progress.iteration = iteration;
        if iteration == config.teach {
            self.leave_teacher();
        }
        self.progress.adam_steps = [self.learner.policy.adam.steps, self.learner.critic.adam.steps];
        let mut metrics = Metrics::new(iteration, self.progress.steps);
        for (name, value) in [
            ("charts/score", score),
            ("charts/episodic_length", lengths as f64 / count),
            ("teach/states", states as f64),
            ("teach/regret_before", report.before),
            ("teach/regret", report.after),
            ("teach/least_regret", report.least),
            ("teach/surprise", report.surprise),
            ("performance/play_seconds", (played - start).as_secs_f64()),
            ("performance/learn_seconds", played.elapsed().as_secs_f64()),
        ] {
            metrics.push(name, value);
        }
        Ok(metrics)
    }

    /// PPO begins with the mean of the weights.
    fn leave_teacher(&mut self) {
        self.learner = self.learner.settled();
        parts::sharpen(&mut self.learner.policy, self.progress.config.sharpen);
        self.learner.average.clone_from(&self.learner.policy.adam.params);
        self.taught = Vec::new();
    }

    /// While there is a teacher, goes back to the best policy from one that is much worse; whether it did.
    fn gate(&mut self, score: f64) -> bool {
        let Progress { best, iteration, ref config, .. } = self.progress;
        if iteration > config.teach {
            self.kept = None;
            return false;
        }
        match (best, &self.kept) {
            (Some(best), Some(kept)) if score > best + config.teach_gate * best.abs() => {
                self.learner.clone_from(kept);
                if iteration == config.teach {
                    self.leave_teacher();
                }
                self.progress.adam_steps = [self.learner.policy.adam.steps, self.learner.critic.adam.steps];
                true
            }
            _ => false,
        }
    }

    /// Whether what the run needs to go on is in a checkpoint; what a teacher has said is not.
    pub fn can_save(&self) -> bool {
        self.taught.is_empty()
    }

    /// Validates where this iteration is one to validate; says whether the policy is to be kept: as the best so far, or
    /// as the last.
    pub fn validate(&mut self, metrics: &mut Metrics) -> Result<bool> {
        let config = &self.progress.config;
        let due = self.progress.iteration.is_multiple_of(config.validate_every)
            || self.progress.iteration <= config.teach
            || self.done();
        let net = self.policy()?;
        let Some(validate) = self.validate.as_mut().filter(|_| due) else {
            return Ok(false);
        };
        let found = validate(&net)?;
        metrics.push("eval/score", found.score);
        found.rows.into_iter().for_each(|(name, value)| metrics.push(&name, value));
        let better = self.progress.best.is_none_or(|best| found.score < best);
        if better {
            self.progress.best = Some(found.score);
            self.kept = (self.progress.iteration < self.progress.config.teach).then(|| self.learner.clone());
        } else if self.gate(found.score) {
            metrics.push("teach/undone", 1.0);
        }
        Ok(better || !self.progress.config.keep_best)
    }

    fn imitating(&self) -> bool {
        let Config { teach, imitate, .. } = self.progress.config;
        (teach..teach + imitate).contains(&self.progress.iteration)
    }

    /// Sets the normalisers, once, from episodes of the first policy; nothing is learned from them.
    fn calibrate(&mut self) -> Result<()> {
        let net = self.policy()?;
        let config = self.progress.config.clone();
        let (pool, envs) = (&self.pool, &mut self.envs);
        let episodes = pool.install(|| play(envs, &net, &config, 0, Acting::Prior));
        let dims = self.progress.dims;
        let widths = [dims.global, dims.job, dims.node, dims.pair, self.progress.future, 1];
        let mut moments = widths.map(Moments::new);
        for episode in &episodes {
            for sample in &episode.samples {
                let obs = &sample.state.obs;
                let groups = [&obs.global, &obs.jobs, &obs.nodes, &obs.pair_features, &sample.state.future];
                moments.iter_mut().zip(groups).for_each(|(moments, rows)| moments.add(rows));
            }
            let values = vec![0.0; episode.samples.len()];
            moments[5].add(&track(&config, episode, values, 0.0).returns());
        }
        for (group, moments) in ["global", "job", "node", "pair", "future", "return"].iter().zip(&moments) {
            let (shift, scale) = moments.shift_and_scale();
            let policy = Some(&mut self.learner.policy).filter(|_| !self.started);
            for network in policy.into_iter().chain([&mut self.learner.critic]) {
                network.set(&format!("norm.{group}.shift"), &shift);
                network.set(&format!("norm.{group}.scale"), &scale);
            }
        }
        self.learner.average.clone_from(&self.learner.policy.adam.params);
        self.progress.calibrated = true;
        Ok(())
    }

    fn lessons<'a>(&self, episodes: &'a [Episode], estimates: &Estimates) -> Vec<Lesson<'a>> {
        let constant = |name: &str| crate::batch::array(self.learner.critic.part(), name)[0];
        let (shift, scale) = (constant("norm.return.shift"), constant("norm.return.scale"));
        let of_episode = estimates.advantages.iter().zip(&estimates.targets);
        let each = episodes.iter().zip(of_episode).flat_map(|(episode, (advantages, targets))| {
            episode.samples.iter().zip(advantages.iter().zip(targets))
        });
        each.map(|(sample, (&advantage, &target))| Lesson {
            sample,
            advantage,
            target: (target - shift) * scale,
        })
        .collect()
    }
}

/// Values, advantages and value targets of all episodes.
fn estimate(learner: &Learner, config: &Config, episodes: &[Episode]) -> Estimates {
    let states: Vec<&State> = episodes
        .iter()
        .flat_map(|episode| episode.samples.iter().map(|sample| &sample.state).chain(&episode.last))
        .collect();
    let mut values = learner.values(&states).into_iter();
    let mut tracks = Vec::new();
    for episode in episodes {
        let own: Vec<f32> = values.by_ref().take(episode.samples.len()).collect();
        let last = if episode.last.is_some() { values.next().unwrap_or(0.0) } else { 0.0 };
        tracks.push(track(config, episode, own, last));
    }
    let mut advantages: Vec<Vec<f32>> = tracks.iter().map(|track| track.gae(config.gae_lambda)).collect();
    let add = |(track, advantages): (&Track, &Vec<f32>)| {
        track.values.iter().zip(advantages).map(|(v, a)| v + a).collect()
    };
    let targets = tracks.iter().zip(&advantages).map(add).collect();
    if config.relative_share > 0.0 {
        mix(config.relative_share, config.rollouts_per_trace, &tracks, &mut advantages);
    }
    Estimates { tracks, advantages, targets }
}

/// Mixes in advantages relative to the other rollouts of the same trace.
fn mix(share: f32, rollouts: usize, tracks: &[Track], advantages: &mut [Vec<f32>]) {
    for (tracks, advantages) in tracks.chunks(rollouts).zip(advantages.chunks_mut(rollouts)) {
        let relative = relative(&tracks.iter().collect::<Vec<_>>());
        for (to, from) in advantages.iter_mut().flatten().zip(relative.iter().flatten()) {
            *to = (1.0 - share) * *to + share * from;
        }
    }
}

fn track(config: &Config, episode: &Episode, values: Vec<f32>, last_value: f32) -> Track {
    let of =
        |number: fn(&crate::rollout::Sample) -> f32| episode.samples.iter().map(number).collect::<Vec<_>>();
    let elapsed = of(|sample| sample.elapsed);
    let discounts = elapsed.iter().map(|&elapsed| config.discount(elapsed)).collect();
    Track { rewards: of(|sample| sample.reward), elapsed, discounts, values, last_value }
}

fn metrics(
    progress: &Progress,
    pass: &Pass<'_>,
    episodes: &[Episode],
    estimates: &Estimates,
    losses: &Losses,
    [play, learn]: [f64; 2],
) -> Metrics {
    let count = episodes.len() as f64;
    let decisions: usize = episodes.iter().map(|episode| episode.samples.len()).sum();
    let rewards = estimates.tracks.iter().flat_map(|track| &track.rewards).map(|&reward| f64::from(reward));
    let values = estimates.tracks.iter().flat_map(|track| &track.values);
    let targets = estimates.targets.iter().flatten().copied();
    let spent = |of: fn(&Episode) -> Duration| episodes.iter().map(of).sum::<Duration>().as_secs_f64();
    let mut metrics = Metrics::new(progress.iteration, progress.steps);
    for (name, value) in [
        ("charts/episodic_return", rewards.sum::<f64>() / count),
        ("charts/episodic_length", decisions as f64 / count),
        ("charts/score", episodes.iter().map(|episode| episode.score).sum::<f64>() / count),
        ("charts/SPS", decisions as f64 / (play + learn)),
        ("charts/learning_rate", f64::from(pass.config.learning_rate * pass.rate)),
        ("charts/prior_weight", f64::from(pass.lambda)),
        ("losses/explained_variance", explained_variance(values, targets)),
        ("losses/epochs", losses.epochs),
        ("performance/play_seconds", play),
        ("performance/learn_seconds", learn),
        // Parts of the two, summed over threads.
        ("performance/environment_seconds", spent(|episode| episode.spent.environment)),
        ("performance/forward_seconds", spent(|episode| episode.spent.forward)),
    ] {
        metrics.push(name, value);
    }
    losses.rows().into_iter().for_each(|(name, value)| metrics.push(name, value));
    metrics
}
