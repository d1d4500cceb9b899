//! The learner on worlds small enough to know the answer.

use std::path::Path;
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_agent::frozen::Origin;
use yardmaster_agent::net::{Dims, PolicyNet, Scratch};
use yardmaster_env::observe::{Observation, Pair, Schema};
use yardmaster_train::config::Config;
use yardmaster_train::env::{Environment, Step};
use yardmaster_train::parity;
use yardmaster_train::parts::Part;
use yardmaster_train::rollout::{Acting, State, episode};
use yardmaster_train::trainer::{Trainer, Validation};

const DIMS: Dims = Dims { global: 2, job: 2, node: 1, pair: 3 };
const LENGTH: usize = 16;

/// Which world: what is right, and what the prior says.
#[derive(Clone, Copy)]
enum Task {
    /// The marked candidate is right; where none is marked, waiting is. No prior.
    Marked,
    /// The same, with a prior that is wrong half of the time.
    MisledPrior,
    /// The same, with a prior that is right.
    RightPrior,
}

/// A reward of one for the right action among distractors, `LENGTH` times.
struct Toy {
    task: Task,
    random: Xoshiro256PlusPlus,
    obs: Observation,
    right: usize,
    prior: Option<usize>,
    future: [f32; 1],
    left: usize,
    errors: usize,
}

impl Toy {
    fn new(task: Task) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(0);
        let obs = Observation::default();
        Self { task, random, obs, right: 0, prior: None, future: [0.0], left: 0, errors: 0 }
    }

    fn many(task: Task, count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::new(task)).collect()
    }

    fn deal(&mut self) {
        let random = &mut self.random;
        let (jobs, nodes) = (random.random_range(1..4_u32), random.random_range(1..3_u32));
        let count = random.random_range(2..6_usize);
        let wait = random.random_bool(0.5);
        self.right = random.random_range(0..count + usize::from(wait));
        self.prior = match self.task {
            Task::Marked => None,
            Task::RightPrior => Some(self.right),
            Task::MisledPrior if random.random_bool(0.5) => Some(self.right),
            Task::MisledPrior => Some((self.right + 1) % (count + usize::from(wait))),
        };
        let mut noise = |n: usize| (0..n).map(|_| random.random::<f32>()).collect::<Vec<_>>();
        let mut pair_features = noise(count * DIMS.pair);
        for (i, features) in pair_features.chunks_mut(DIMS.pair).enumerate() {
            features[1] = if i == self.right { 1.0 } else { 0.0 };
        }
        let (global, job_rows, node_rows) =
            (noise(DIMS.global), noise(jobs as usize * 2), noise(nodes as usize));
        let pair = |i: usize| Pair { job: i as u32 % jobs, node: i as u32 % nodes };
        let pairs = (0..count).map(pair).collect();
        self.obs = Observation { global, jobs: job_rows, nodes: node_rows, pair_features, pairs, wait };
        self.future = [self.left as f32];
    }
}

impl Environment for Toy {
    fn reset(&mut self, seed: u64) {
        self.random = Xoshiro256PlusPlus::seed_from_u64(seed);
        (self.left, self.errors) = (LENGTH, 0);
        self.deal();
    }
    fn length(&self) -> usize {
        LENGTH
    }
    fn observation(&self) -> &Observation {
        &self.obs
    }
    fn prior(&self) -> Option<usize> {
        self.prior
    }
    fn future(&self) -> &[f32] {
        &self.future
    }
    fn step(&mut self, action: usize) -> Step {
        let hit = action == self.right;
        self.errors += usize::from(!hit);
        self.left -= 1;
        self.deal();
        Step { reward: f32::from(u8::from(hit)), elapsed: 1.0, terminated: self.left == 0, truncated: false }
    }
    fn score(&self) -> f64 {
        self.errors as f64 / LENGTH as f64
    }
    /// A tutor who is always right.
    fn has_tutor(&self) -> bool {
        true
    }
    fn example(&mut self) -> Option<Vec<f32>> {
        Some((0..self.obs.actions()).map(|action| f32::from(u8::from(action == self.right))).collect())
    }
    /// An error costs one; now and then an action is not tried.
    fn regrets(
        &mut self,
        _net: &Arc<PolicyNet>,
        _is_tail: bool,
        random: &mut Xoshiro256PlusPlus,
    ) -> Option<Vec<f32>> {
        let cost = |action: usize| f32::from(u8::from(action != self.right));
        let prior = self.prior?;
        let tried =
            |action: usize, random: &mut Xoshiro256PlusPlus| action == prior || random.random_bool(0.8);
        let regret = |action: usize| cost(action) - cost(prior);
        let all = 0..self.obs.actions();
        Some(all.map(|action| if tried(action, random) { regret(action) } else { f32::NAN }).collect())
    }
}

fn config() -> Config {
    Config {
        steps: 100_000,
        envs: 16,
        rollouts_per_trace: 4,
        threads: 2,
        gamma: 0.5,
        learning_rate: 5e-3,
        critic_learning_rate: 5e-3,
        minibatch: 128,
        target_kl: 0.05,
        prior_start: 0.0,
        prior_end: 0.0,
        teach: 0,
        critic_first: 0,
        epochs: 3,
        ent_coef: 0.01,
        ..Config::default()
    }
}

fn trainer(task: Task, config: &Config) -> Trainer<Toy> {
    Trainer::new(config.clone(), Toy::many(task, config.envs), DIMS, 1).expect("the settings are right")
}

/// Share of wrong decisions of the best actions, on seeds of its own.
fn errors(task: Task, trainer: &Trainer<Toy>) -> f64 {
    let net = trainer.policy().expect("finite weights");
    let play = |seed: u64| {
        let mut toy = Toy::new(task);
        toy.reset(1_000_000 + seed);
        episode(&mut toy, &net, 1000, Acting::Greedy, &mut Xoshiro256PlusPlus::seed_from_u64(0)).score
    };
    (0..50_u64).map(play).sum::<f64>() / 50.0
}

fn states(task: Task, count: usize) -> Vec<State> {
    let mut toy = Toy::new(task);
    (0..count as u64)
        .map(|seed| {
            toy.reset(seed);
            State { obs: toy.obs.clone(), prior: toy.prior, future: toy.future.to_vec() }
        })
        .collect()
}

#[test]
fn the_marked_candidate_is_found_within_8000_decisions() {
    let mut trainer = trainer(Task::Marked, &config());
    assert!(errors(Task::Marked, &trainer) > 0.4);
    while trainer.progress().steps < 8_000 {
        trainer.iterate().unwrap();
    }
    let errors = errors(Task::Marked, &trainer);
    assert!(errors < 0.02, "{errors} of the decisions are wrong");
}

#[test]
fn a_prior_that_is_wrong_half_of_the_time_is_overridden() {
    let config = Config { prior_start: 2.0, prior_end: 2.0, relative_share: 0.3, ..config() };
    let mut trainer = trainer(Task::MisledPrior, &config);
    let first = errors(Task::MisledPrior, &trainer);
    assert!((first - 0.5).abs() < 0.1, "the first policy is not the prior: {first}");
    while trainer.progress().steps < 16_000 {
        trainer.iterate().unwrap();
    }
    let errors = errors(Task::MisledPrior, &trainer);
    assert!(errors < 0.05, "{errors} of the decisions are wrong");
}

#[test]
fn what_a_teacher_tries_is_learned_without_a_reward() {
    let config = Config {
        teach: 6,
        teach_states: 100,
        teach_minibatch: 64,
        teach_learning_rate: 5e-3,
        prior_start: 2.0,
        prior_end: 2.0,
        ..config()
    };
    let mut trainer = trainer(Task::MisledPrior, &config);
    for round in 1..=6 {
        assert_eq!(trainer.can_save(), round == 1, "what was taught is in no checkpoint");
        let metrics = trainer.iterate().unwrap();
        let names = ["teach/regret_before", "teach/regret", "teach/least_regret"];
        let [before, after, least] = names.map(|name| metrics.get(name).unwrap());
        assert!(least <= after && after < before, "round {round}: {least} {after} {before}");
    }
    assert!(trainer.can_save());
    assert_eq!(trainer.progress().steps, 0, "no decision was rewarded");
    let errors = errors(Task::MisledPrior, &trainer);
    assert!(errors < 0.05, "{errors} of the decisions are wrong");
}

/// What is least costly with a price on being sure is a softmax of the costs, over that price.
#[test]
fn a_policy_that_is_to_stay_undecided_is_as_sure_as_costs_differ() {
    let sureness = |teach_entropy: f32| {
        let teach = Config { teach: 6, teach_states: 100, teach_minibatch: 64, ..config() };
        let config = Config { teach_learning_rate: 5e-3, teach_imitate: 0.0, teach_entropy, ..teach };
        let mut trainer = trainer(Task::MisledPrior, &config);
        (0..6).for_each(|_| drop(trainer.iterate().unwrap()));
        let (net, mut scratch) = (trainer.policy().unwrap(), Scratch::default());
        let mut toy = Toy::new(Task::MisledPrior);
        let gap = |seed: u64| {
            toy.reset(1_000_000 + seed);
            let logits = net.logits(&toy.obs, toy.prior, &mut scratch);
            let wrong = logits.iter().sum::<f32>() - logits[toy.right];
            logits[toy.right] - wrong / (logits.len() - 1) as f32
        };
        (0..100_u64).map(gap).sum::<f32>() / 100.0
    };
    let [sure, half, undecided] = [0.0, 1.0, 2.0].map(sureness);
    assert!((1.8..2.2).contains(&(half / undecided)), "{half} for {undecided}");
    assert!(sure > 1.2 * half, "{sure} for {half}");
}

/// After rounds that are as good as said, whether the policy is that of the round before; what PPO begins with is made surer then too.
#[test]
fn a_round_of_the_teacher_that_goes_astray_is_undone() {
    let teach = Config { teach: 3, teach_states: 100, teach_minibatch: 64, sharpen: 4.0, ..config() };
    let run = |teach_gate: f64, scores: [f64; 3]| {
        let mut scores = scores.into_iter();
        let judge = move |_: &PolicyNet| {
            Ok(Validation { score: scores.next().expect("three rounds are judged"), rows: Vec::new() })
        };
        let config = Config { teach_gate, ..teach.clone() };
        let mut trainer = trainer(Task::MisledPrior, &config).with_validation(Box::new(judge));
        let round = |_| {
            let mut metrics = trainer.iterate().expect("there are no files to fail on");
            trainer.validate(&mut metrics).expect("the judge always answers");
            (trainer.policy().expect("finite weights"), metrics.get("teach/undone").is_some())
        };
        let rounds: Vec<_> = (0..3).map(round).collect();
        (rounds, trainer.learner().clone())
    };
    let undone = |rounds: &[(PolicyNet, bool)]| rounds.iter().map(|(_, undone)| *undone).collect::<Vec<_>>();

    let (free, _) = run(10.0, [1.0, 1.5, 1.2]);
    assert_eq!(undone(&free), [false; 3]);
    let (gated, _) = run(0.3, [1.0, 1.5, 1.2]);
    assert_eq!(undone(&gated), [false, true, false]);
    assert_eq!(
        (&gated[0], &gated[1].0),
        (&free[0], &free[0].0),
        "the second round ends with the policy of the first"
    );
    assert!(gated[2].0 != free[2].0, "the third goes on from the first");
    // Better is better, also where lower is below nothing.
    assert_eq!(undone(&run(0.3, [-1.0, -0.8, -0.6]).0), [false, false, true]);

    let (last, learner) = run(0.3, [1.0, 0.9, 2.0]);
    assert_eq!(undone(&last), [false, false, true]);
    let state = &states(Task::MisledPrior, 1)[0];
    let [mut left, mut right] = [Scratch::default(), Scratch::default()];
    let before = last[1].0.logits(&state.obs, state.prior, &mut left).iter();
    let after = last[2].0.logits(&state.obs, state.prior, &mut right);
    before
        .zip(after)
        .for_each(|(before, after)| assert!((4.0 * before - after).abs() < 1e-4, "{before} {after}"));
    assert_eq!(learner.average, learner.policy.adam.params, "PPO begins with the mean");
}

#[test]
fn episodes_with_a_teacher_may_be_shorter_than_those_of_ppo() {
    for (teach_decisions, expected) in [(0, 12.0), (5, 5.0), (50, 12.0)] {
        let teach = Config { teach: 1, teach_states: 100, teach_minibatch: 64, ..config() };
        let mut trainer = trainer(Task::MisledPrior, &Config { teach_decisions, max_decisions: 12, ..teach });
        let mut length =
            || trainer.iterate().expect("there are no files to fail on").get("charts/episodic_length");
        assert_eq!([length(), length()], [Some(expected), Some(12.0)], "{teach_decisions}");
    }
}

/// PPO begins with the teacher's policy, made surer: the same order of actions, and all logits multiplied, that of waiting too.
#[test]
fn what_was_taught_is_sharpened_once_when_the_teacher_is_done() {
    let teach = Config { teach: 2, teach_states: 100, teach_minibatch: 64, ..config() };
    let config = Config { prior_start: 2.0, prior_end: 2.0, critic_first: 1, ..teach };
    let mut runs =
        [1.0, 4.0].map(|sharpen| trainer(Task::MisledPrior, &Config { sharpen, ..config.clone() }));
    for factor in [1.0, 4.0, 4.0] {
        runs.iter_mut().for_each(|run| drop(run.iterate().unwrap()));
        let [as_taught, sharp] = runs.each_ref().map(|run| run.policy().unwrap());
        assert_eq!(sharp.lambda(), factor * as_taught.lambda());
        let [mut left, mut right] = [Scratch::default(), Scratch::default()];
        for state in states(Task::MisledPrior, 50) {
            let plain = as_taught.logits(&state.obs, state.prior, &mut left).iter();
            let logits = sharp.logits(&state.obs, state.prior, &mut right);
            plain.zip(logits).for_each(|(plain, logit)| assert!((factor * plain - logit).abs() < 1e-4));
        }
    }
}

#[test]
fn what_a_tutor_does_is_learned_without_trying_anything() {
    let config = Config {
        teach: 6,
        tutors: vec!["toy".to_owned()],
        tutor: 5,
        tutor_states: 100,
        teach_states: 100,
        teach_minibatch: 64,
        teach_learning_rate: 5e-3,
        prior_start: 2.0,
        prior_end: 2.0,
        ..config()
    };
    let mut trainer = trainer(Task::MisledPrior, &config);
    let rounds: Vec<_> = (0..6).map(|_| trainer.iterate().unwrap()).collect();
    let all = |name: &str| rounds.iter().map(|metrics| metrics.get(name).unwrap()).collect::<Vec<_>>();
    let (surprise, least) = (all("teach/surprise"), all("teach/least_regret"));
    assert!(0.0 < surprise[4] && surprise[4] < surprise[0] / 2.0, "{surprise:?}");
    assert!(least[..5].iter().all(|&least| least == 0.0), "nothing was tried: {least:?}");
    assert!(surprise[5] == 0.0 && least[5] < 0.0, "the last round is the teacher's: {surprise:?} {least:?}");
    let errors = errors(Task::MisledPrior, &trainer);
    assert!(errors < 0.05, "{errors} of the decisions are wrong");
}

/// The policy that is judged and shipped has the mean of the weights; the one that explores has the last ones.
#[test]
fn the_policy_is_the_mean_of_the_weights() {
    let run = |average| {
        let mut trainer = trainer(Task::MisledPrior, &Config { average, ..config() });
        let mut mean = Vec::new();
        for _ in 0..3 {
            trainer.iterate().unwrap();
            let last = &trainer.learner().policy.adam.params;
            if mean.is_empty() {
                // The normalisers are set before the first iteration, so the mean begins after it.
                mean.clone_from(&trainer.learner().average);
            } else {
                mean.iter_mut().zip(last).for_each(|(mean, last)| *mean = last + average * (*mean - last));
            }
        }
        assert_eq!(trainer.learner().average, mean);
        assert_eq!(trainer.learner().settled().policy.adam.params, mean);
        (mean, trainer.learner().policy.adam.params.clone())
    };
    let (mean, last) = run(0.0);
    assert_eq!(mean, last);
    let (mean, other) = run(0.75);
    assert_eq!(other, last, "what explores does not depend on the mean");
    assert_ne!(mean, last);
}

#[test]
fn a_world_without_a_teacher_says_so() {
    let mut trainer = trainer(Task::Marked, &Config { teach: 1, ..config() });
    let error = trainer.iterate().unwrap_err().to_string();
    assert!(error.contains("set teach = 0"), "{error}");
}

#[test]
fn imitation_learns_to_do_without_the_prior() {
    let config = Config { imitate: 1000, prior_start: 5.0, ..config() };
    let mut trainer = trainer(Task::RightPrior, &config);
    assert_eq!(trainer.policy().unwrap().lambda(), 0.0);
    assert!(errors(Task::RightPrior, &trainer) > 0.4);
    while trainer.progress().steps < 6_000 {
        trainer.iterate().unwrap();
    }
    let errors = errors(Task::RightPrior, &trainer);
    assert!(errors < 0.02, "{errors} of the decisions are wrong");
}

#[test]
fn threads_do_not_change_the_result_and_seeds_do() {
    let run = |threads, seed| {
        let config = Config { threads, seed, relative_share: 0.5, ..config() };
        let mut trainer = trainer(Task::MisledPrior, &config);
        for _ in 0..4 {
            trainer.iterate().unwrap();
        }
        trainer.learner().clone()
    };
    let one = run(1, 5);
    assert_eq!(one, run(1, 5), "the same seed gives other weights");
    assert_eq!(one, run(2, 5), "threads change the weights");
    assert_ne!(one, run(1, 6));
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.safetensors");
    let config =
        Config { threads: 1, steps: 3_000, prior_start: 1.0, max_decisions: 10, imitate: 1, ..config() };
    let mut straight = trainer(Task::MisledPrior, &config);
    for _ in 0..6 {
        straight.iterate().unwrap();
    }
    let mut first = trainer(Task::MisledPrior, &config);
    for _ in 0..3 {
        first.iterate().unwrap();
    }
    first.save(&path).unwrap();
    drop(first);
    let mut second = Trainer::resume(&config, Toy::many(Task::MisledPrior, config.envs), &path).unwrap();
    for _ in 0..3 {
        second.iterate().unwrap();
    }
    assert_eq!(second.learner(), straight.learner());
    assert_eq!(second.progress(), straight.progress());
    let other = Config { gamma: 0.9, ..config };
    assert!(Trainer::resume(&other, Toy::many(Task::Marked, other.envs), &path).is_err());
}

/// Scores of three validations, and whether each is one to keep.
fn validations(keep_best: bool) -> anyhow::Result<Vec<(Option<f64>, bool)>> {
    let scores = [3.0, 1.0, 2.0];
    let mut calls = 0;
    let validate = move |_: &_| {
        calls += 1;
        Ok(Validation { score: scores[calls - 1], rows: vec![("eval/toy/errors".to_owned(), 0.5)] })
    };
    let config = Config { validate_every: 2, keep_best, ..config() };
    let mut trainer = trainer(Task::Marked, &config).with_validation(Box::new(validate));
    let mut found = Vec::new();
    for _ in 0..6 {
        let mut metrics = trainer.iterate()?;
        let is_kept = trainer.validate(&mut metrics)?;
        found.push((metrics.get("eval/score"), is_kept));
    }
    Ok(found)
}

#[test]
fn the_best_checkpoint_has_the_lowest_score_unless_the_last_is_wanted() {
    let none = (None, false);
    let best = [none, (Some(3.0), true), none, (Some(1.0), true), none, (Some(2.0), false)];
    let last = [none, (Some(3.0), true), none, (Some(1.0), true), none, (Some(2.0), true)];
    assert_eq!(validations(true).unwrap(), best);
    assert_eq!(validations(false).unwrap(), last);
}

#[test]
fn without_the_features_that_tell_nothing_is_learned_also_after_a_resume() {
    let config = Config { without: vec![Part::PairFeatures], ..config() };
    let mut first = trainer(Task::Marked, &config);
    first.iterate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.safetensors");
    first.save(&path).unwrap();
    let mut resumed = Trainer::resume(&config, Toy::many(Task::Marked, config.envs), &path).unwrap();
    while resumed.progress().steps < 8_000 {
        resumed.iterate().unwrap();
    }
    let errors = errors(Task::Marked, &resumed);
    assert!(errors > 0.4, "only {errors} of the decisions are wrong");
    let policy = resumed.policy().unwrap();
    let entry = policy.layout().entry("pair.pair.w").unwrap();
    assert!(policy.params()[entry.offset..][..entry.len()].iter().all(|weight| *weight == 0.0));
}

fn origin() -> Origin {
    let names = |group: &str, count| (0..count).map(|i| format!("{group}{i}")).collect();
    let schema =
        Schema { global: names("g", 2), job: names("j", 2), node: names("n", 1), pair: names("p", 3) };
    let text = |text: &str| text.to_owned();
    Origin {
        schema,
        prior: text("toy"),
        mask_rule: text("listed"),
        objective: text("errors"),
        scenario: text("toy"),
        scenario_digest: text(""),
        command: text("test"),
        revision: text(""),
        seed: 1,
        steps: 1,
        benchmark: serde_json::Value::Null,
    }
}

#[test]
fn an_export_computes_what_was_trained() {
    let mut trainer = trainer(Task::MisledPrior, &Config { prior_start: 1.0, ..config() });
    for _ in 0..5 {
        trainer.iterate().unwrap();
    }
    let mut states = states(Task::MisledPrior, 50);
    states[3].obs = Observation { global: vec![0.5, 0.5], wait: true, ..Observation::default() };
    states[3].prior = None;
    let net = trainer.policy().unwrap();
    let parity = parity::compare(&trainer.learner().settled(), &net, &states);
    assert!(parity.largest < 1e-5 && parity.differing == 0, "{parity:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.safetensors");
    let frozen = parity::export(&path, &trainer.learner().settled(), net.clone(), origin(), &states).unwrap();
    assert_eq!(frozen.net(), &net);

    let mut wrong = net.params().to_vec();
    wrong[net.layout().entry("wait.1.b").unwrap().offset] += 1.0;
    let wrong = yardmaster_agent::net::PolicyNet::new(DIMS, *net.sizes(), net.lambda(), &wrong).unwrap();
    let error = parity::export(Path::new("never"), &trainer.learner().settled(), wrong, origin(), &states)
        .unwrap_err();
    assert!(error.to_string().starts_with("the forward passes differ"), "{error}");
}
