//! Every setting of a training run.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use yardmaster_agent::net::Sizes;
use yardmaster_env::candidates::MAX_RUNS;

use crate::parts::Part;
use crate::teach::Unit;

/// Settings with their usual values; a TOML file names those that differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to train unless the command line says so: a scenario, or several that take turns, as `pool12,mix`.
    pub scenario: Option<String>,
    /// Seeds weights, episodes, actions and minibatches.
    pub seed: u64,
    /// Decisions to train on.
    pub steps: u64,
    /// Environments; each plays one episode an iteration.
    pub envs: usize,
    /// Environments that play the same episode with other actions.
    pub rollouts_per_trace: usize,
    /// Threads; the result does not depend on them.
    pub threads: usize,
    /// Where the learner computes: `cpu`, `cuda` or `cuda:N`, as far as this libtorch has it.
    pub device: String,
    /// Decisions after which an episode is cut off.
    pub max_decisions: usize,
    /// Discount of a step, where `tau` is not set.
    pub gamma: f32,
    /// Discounts by time instead: exp(-elapsed / tau).
    pub tau: Option<f32>,
    /// Lambda of the generalised advantage estimate.
    pub gae_lambda: f32,
    /// Whether rewards count relative to what the prior's episode comes to, so that easy and hard episodes teach alike;
    /// otherwise in the objective's own unit, which gained more where load is now low, now far too high (`shift-serving`).
    pub reward_relative: bool,
    /// Whether the critic, which trains and never decides, sees the arrivals to come.
    pub critic_future: bool,
    /// Share of the advantage relative to the trace's other rollouts.
    pub relative_share: f32,
    /// Adam's step for the policy.
    pub learning_rate: f32,
    /// Adam's step for the critic.
    pub critic_learning_rate: f32,
    /// Passes over an iteration's decisions.
    pub epochs: usize,
    /// Share of them that a pass takes, drawn for each pass; the others only tell what came of them. Neighbouring decisions teach much the
    /// same, and where candidates are many, to learn from a decision takes several times as long as to play it.
    pub learn_share: f32,
    /// Decisions of a minibatch, at least.
    pub minibatch: usize,
    /// Bound of the probability ratio's distance from one.
    pub clip_coef: f32,
    /// Weight of the entropy bonus.
    pub ent_coef: f32,
    /// Weight of the value loss.
    pub vf_coef: f32,
    /// Largest gradient norm, for policy and critic each.
    pub max_grad_norm: f32,
    /// Divergence of a pass after which an iteration's passes end; 0 for never.
    pub target_kl: f32,
    /// Raise of the prior's logit at the start.
    pub prior_start: f32,
    /// Raise of the prior's logit at the end.
    pub prior_end: f32,
    /// Factor of the policy's logits once the teacher is done: what it taught leaves a policy undecided between actions that are never to be
    /// taken, one of hundreds at a time, and PPO plays what it samples.
    pub sharpen: f32,
    /// Iterations of behaviour cloning of the prior before PPO.
    pub imitate: u64,
    /// What is to be made small, in place of the scenario's objective, such as `completion-time+600*energy` (as for
    /// `yardmaster bench --objective`).
    pub objective: Option<String>,
    /// The rule whose action is marked and raised; by default the best tuned one of the scenario.
    pub prior: Option<String>,
    /// A frozen policy whose weights the run starts from, such as one for many scenarios; by default they are drawn.
    pub start: Option<String>,
    /// Iterations of learning from a teacher that tries the actions, before PPO.
    pub teach: u64,
    /// How many of them follow the prior; the others follow the policy.
    pub teach_prior: u64,
    /// In how many of them, at the end, what follows an action that is tried is decided by the policy, not by the prior;
    /// what was said before them is forgotten then.
    pub teach_tail: u64,
    /// Actions that are tried at most in those iterations, the likeliest: a policy takes longer to go on than a rule.
    pub teach_tail_actions: usize,
    /// An iteration with a teacher after which the policy is worse on validation than the best so far by more than this share of it is
    /// undone: the next goes on from the best, with what was said in both. What one policy shows depends on the one before, so that one that
    /// has gone astray leads the next astray too.
    pub teach_gate: f64,
    /// Decisions of an episode with a teacher at most; 0 for as many as `max_decisions`.
    pub teach_decisions: usize,
    /// Of how many decisions of an episode the teacher is asked, about.
    pub teach_states: usize,
    /// Futures that the teacher imagines to try actions on; 0 for the one that truly comes.
    pub teach_futures: usize,
    /// Arrivals in each of them.
    pub teach_horizon: usize,
    /// Actions that it tries at most.
    pub teach_actions: usize,
    /// How many of them cut off a running job, at most; they are drawn.
    pub teach_cuts: usize,
    /// How many of them are those that the policy finds likeliest; what is left is drawn.
    pub teach_likely: usize,
    /// Whether what an action costs counts relative to what the prior's episode comes to, so that easy and hard episodes
    /// teach alike; otherwise as it is, which suits objectives that a few terrible episodes decide.
    pub teach_relative: bool,
    /// What regrets are measured in: `regret`, the mean of all that were tried, or `gain`, what the best of them gains in the mean, which
    /// suits scenarios where most actions are terrible.
    pub teach_unit: Unit,
    /// Who may be tutors: frozen policies (`*.safetensors`) in the scenarios that they were trained in, and in the same on other numbers of
    /// nodes; rules, by their names, everywhere. The tutor of a scenario is the best of them on some training episodes; where a policy was not
    /// trained on as many nodes, and for rules, nobody where the prior is as good, or the prior itself if `prior` is among the names.
    pub tutors: Vec<String>,
    /// How many of the iterations with a teacher, the first, are the tutors', where there is one: the policy learns to do what
    /// its tutor does, as decidedly as it. That is had for nothing beside trying actions, and is as good as the tutor at best.
    pub tutor: u64,
    /// About how many decisions of an episode a tutor is asked then.
    pub tutor_states: usize,
    /// From how many of their iterations, the latest, what the tutors said is learned; 0 for all. It costs little to ask them again, and
    /// more different decisions teach more than more passes over the same.
    pub tutor_memory: u64,
    /// Weight of doing what a tutor does, in units of regret.
    pub tutor_weight: f32,
    /// Standard errors that are added to what an action costs more than the prior's: doubt speaks for the prior.
    pub teach_caution: f64,
    /// Passes over all that was taught, in each of these iterations.
    pub teach_epochs: u64,
    /// Decisions of a minibatch of these passes, at least.
    pub teach_minibatch: usize,
    /// Adam's step for the policy in these passes, at the start; it falls to a fifth.
    pub teach_learning_rate: f32,
    /// Weight of imitating the prior in these passes, in units of regret, at the start; it falls to a fifth. Without it a
    /// policy that waits always, which costs next to nothing at each single decision, is hard to leave.
    pub teach_imitate: f32,
    /// Weight of staying undecided in these passes (entropy over the actions that were tried), in units of regret: actions whose costs differ
    /// by less are told apart by their probabilities still. A softmax that is sure learns nothing of the others.
    pub teach_entropy: f32,
    /// How much of the mean of the policy's weights is kept at each of these iterations; the mean is what is validated,
    /// what decides in the futures, and what PPO begins with. 0 for the last weights alone.
    pub teach_average: f32,
    /// The same for each iteration of PPO, whose mean is what is validated and exported.
    pub average: f32,
    /// Iterations of PPO in which only the critic learns.
    pub critic_first: u64,
    /// Validation episodes that decide which checkpoint is best; shared out where there are several scenarios.
    pub validation_episodes: usize,
    /// Whether the iteration that is best on them is exported; otherwise the last that was validated.
    pub keep_best: bool,
    /// Iterations between validations.
    pub validate_every: u64,
    /// Iterations between checkpoints.
    pub checkpoint_every: u64,
    /// Parts of the network to do without, to see what they are worth: `towers`, `pair-features`, `context`, `wait`.
    pub without: Vec<Part>,
    /// Widths of the layers.
    pub sizes: Sizes,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            scenario: None,
            seed: 1,
            steps: 300_000,
            envs: 96,
            rollouts_per_trace: 4,
            threads: 2,
            device: "cpu".to_owned(),
            max_decisions: 600,
            gamma: 1.0,
            tau: None,
            gae_lambda: 0.98,
            reward_relative: true,
            critic_future: true,
            relative_share: 0.5,
            learning_rate: 2e-4,
            critic_learning_rate: 1e-3,
            epochs: 2,
            learn_share: 1.0,
            minibatch: 2048,
            clip_coef: 0.2,
            ent_coef: 0.001,
            vf_coef: 0.5,
            max_grad_norm: 0.5,
            target_kl: 0.01,
            prior_start: 2.0,
            prior_end: 2.0,
            sharpen: 1.0,
            imitate: 0,
            objective: None,
            prior: None,
            start: None,
            teach: 10,
            teach_prior: 2,
            teach_tail: 0,
            teach_tail_actions: 4,
            teach_gate: 0.1,
            teach_decisions: 0,
            teach_states: 160,
            teach_futures: 0,
            teach_horizon: 40,
            teach_actions: 12,
            teach_cuts: MAX_RUNS,
            teach_likely: 0,
            teach_relative: true,
            teach_unit: Unit::Regret,
            tutors: Vec::new(),
            tutor: 0,
            tutor_states: 160,
            tutor_memory: 0,
            tutor_weight: 0.2,
            teach_caution: 0.5,
            teach_epochs: 3,
            teach_minibatch: 256,
            teach_learning_rate: 1e-3,
            teach_imitate: 0.01,
            teach_entropy: 0.0,
            teach_average: 0.5,
            average: 0.9,
            critic_first: 5,
            validation_episodes: 128,
            keep_best: true,
            validate_every: 5,
            checkpoint_every: 5,
            without: Vec::new(),
            sizes: Sizes::default(),
        }
    }
}

impl Config {
    /// Refuses settings that cannot be trained with.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [
            ("envs", self.envs),
            ("rollouts_per_trace", self.rollouts_per_trace),
            ("threads", self.threads),
            ("max_decisions", self.max_decisions),
            ("epochs", self.epochs),
            ("validation_episodes", self.validation_episodes),
            ("teach_states", self.teach_states),
            ("tutor_states", self.tutor_states),
            ("teach_actions", self.teach_actions),
            ("teach_tail_actions", self.teach_tail_actions),
            ("teach_minibatch", self.teach_minibatch),
            ("minibatch", self.minibatch),
        ] {
            ensure!(value > 0, "{name} must be at least 1");
        }
        ensure!(self.steps > 0, "steps must be at least 1");
        ensure!(self.validate_every > 0 && self.checkpoint_every > 0, "an interval must be at least 1");
        ensure!(
            self.envs.is_multiple_of(self.rollouts_per_trace),
            "{} envs cannot be shared out to traces of {} rollouts",
            self.envs,
            self.rollouts_per_trace
        );
        ensure!((0.0..=1.0).contains(&self.gamma), "gamma must lie in 0..=1, is {}", self.gamma);
        ensure!(self.tau.is_none_or(|tau| tau > 0.0), "tau must be above 0");
        ensure!((0.0..=1.0).contains(&self.relative_share), "relative_share must lie in 0..=1");
        for (name, value) in [("teach_average", self.teach_average), ("average", self.average)] {
            ensure!((0.0..1.0).contains(&value), "{name} must be at least 0 and below 1, is {value}");
        }
        ensure!(
            self.tutors.is_empty() == (self.tutor == 0),
            "tutors: {} are named, for {} iterations (tutor); give both or neither",
            self.tutors.len(),
            self.tutor
        );
        ensure!(self.tutor <= self.teach, "tutor = {} is more than teach = {}", self.tutor, self.teach);
        ensure!(self.tutor_weight >= 0.0, "tutor_weight must be at least 0, is {}", self.tutor_weight);
        ensure!(self.teach_gate >= 0.0, "teach_gate must be at least 0, is {}", self.teach_gate);
        ensure!(self.teach_entropy >= 0.0, "teach_entropy must be at least 0, is {}", self.teach_entropy);
        ensure!(
            self.learn_share > 0.0 && self.learn_share <= 1.0,
            "learn_share must be above 0 and at most 1, is {}",
            self.learn_share
        );
        ensure!(self.sharpen > 0.0, "sharpen must be above 0, is {}", self.sharpen);
        ensure!(self.teach_caution >= 0.0, "teach_caution must be at least 0, is {}", self.teach_caution);
        Ok(())
    }

    /// The discount over a step that takes `elapsed`.
    pub fn discount(&self, elapsed: f32) -> f32 {
        self.tau.map_or(self.gamma, |tau| (-elapsed / tau).exp())
    }

    /// Whether the policy, and not the prior, decides what follows an action that is tried in this iteration.
    pub fn is_tail(&self, iteration: u64) -> bool {
        iteration + self.teach_tail > self.teach
    }

    /// Linear from `start` to `end` while `steps` decisions are made.
    pub fn linear(&self, start: f32, end: f32, steps: u64) -> f32 {
        let done = (steps as f64 / self.steps as f64).min(1.0) as f32;
        start + (end - start) * done
    }

    /// Whether a run with these settings can go on with those of `other`: only threads and the checkpoint interval may differ.
    pub fn continues(&self, other: &Self) -> bool {
        let same = Self { threads: self.threads, checkpoint_every: self.checkpoint_every, ..other.clone() };
        *self == same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_toml_and_unknown_ones_are_refused() {
        let config = Config { tau: Some(3.5), target_kl: 0.0, ..Config::default() };
        let text = toml::to_string(&config).unwrap();
        let back: Config = toml::from_str(&text).unwrap();
        assert_eq!(back, config);
        assert!(toml::from_str::<Config>("stepz = 3").is_err());
    }

    #[test]
    fn values_that_mean_nothing_are_refused_by_name() {
        for (setting, text) in [
            ("sharpen", "sharpen = 0.0"),
            ("sharpen", "sharpen = nan"),
            ("learn_share", "learn_share = 0.0"),
            ("learn_share", "learn_share = 1.5"),
            ("teach_gate", "teach_gate = -1.0"),
            ("teach_entropy", "teach_entropy = -0.1"),
            ("average", "average = 1.0"),
        ] {
            let config: Config = toml::from_str(text).unwrap();
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(setting), "{text}: {error}");
        }
    }

    #[test]
    fn only_threads_and_the_checkpoint_interval_may_change() {
        let config = Config::default();
        assert!(config.continues(&Config { threads: 7, checkpoint_every: 1, ..config.clone() }));
        assert!(!config.continues(&Config { steps: 7, ..config.clone() }));
    }
}
