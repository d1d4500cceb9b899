use super::super::FUTURE;
use super::super::testing::{random_env, random_world};
use super::*;
use crate::candidates::{MAX_RUNS, MAX_WORKS};

/// Plays an episode by the first or last legal action in turn; gives the rewards.
fn play(env: &mut SchedulingEnv, seed: u64) -> Vec<StepResult> {
    env.begin(seed).unwrap();
    let mut steps = Vec::new();
    loop {
        let starts = env.observation().pairs.len();
        let action = if steps.len() % 2 == 0 { 0 } else { starts.saturating_sub(1) };
        let step = env.act(action).unwrap();
        steps.push(step);
        if step.terminated || step.truncated {
            return steps;
        }
    }
}

#[test]
fn rewards_of_a_finished_episode_sum_to_the_objective() {
    for (seed, reward_scale) in [(1, 1.0), (2, 1.0), (3, 25.0), (4, 0.1)] {
        let mut env = random_env(Settings { reward_scale, ..Settings::default() });
        let steps = play(&mut env, seed);
        assert!(steps.last().unwrap().terminated);
        let sum: f64 = steps.iter().map(|step| step.reward).sum();
        let stats = env.stats().unwrap();
        assert!((sum + stats.objective / reward_scale).abs() < 1e-9 * (1.0 + sum.abs()), "{stats:?}");
        assert_eq!((stats.episode_return, stats.length, stats.seed), (sum, steps.len() as u64, seed));
        let last = env.simulator().unwrap().now();
        let elapsed = steps.iter().map(|step| step.elapsed).fold(Span::ZERO, |sum, span| sum + span);
        assert_eq!(last.0, elapsed.0, "the first decision is at time 0");
    }
}

#[test]
fn a_long_episode_is_truncated() {
    let mut env = random_env(Settings { max_decisions: Some(3), ..Settings::default() });
    let steps = play(&mut env, 1);
    assert_eq!(steps.len(), 3);
    assert!(steps[2].truncated && !steps[2].terminated);
    assert_eq!(env.act(0), Err(EnvError::Over));
    assert_eq!(env.stats().map(|stats| stats.length), Some(3));
}

#[test]
fn the_flat_interface_is_the_ragged_one() {
    let mut ragged = random_env(Settings::default());
    let steps = play(&mut ragged, 7);
    let mut env = random_env(Settings::default());
    let spaces = Env::spaces(&env);
    let (mut obs, mut mask) = (vec![0.0; spaces.observation_len()], vec![false; spaces.actions]);
    env.reset(7, &mut obs, &mut mask).unwrap();
    for (at, step) in steps.iter().enumerate() {
        let block = spaces.block("jobs").unwrap();
        let jobs = &env.observation().jobs;
        assert_eq!(&obs[block.offset..][..jobs.len()], jobs);
        let legal: Vec<usize> = (0..spaces.actions - 1).filter(|&action| mask[action]).collect();
        assert_eq!(legal.len(), env.observation().pairs.len());
        let wait = spaces.actions - 1;
        assert_eq!(mask[wait], env.observation().wait);
        let action = if at % 2 == 0 { legal[0] } else { legal[legal.len() - 1] };
        let transition = env.step(action, &mut obs, &mut mask).unwrap();
        assert_eq!(
            (transition.reward, transition.terminated, transition.truncated),
            (step.reward, step.terminated, step.truncated)
        );
    }
    assert_eq!(env.stats(), ragged.stats());
    assert!(!mask.contains(&true), "nothing is legal at the end");
}

#[test]
fn what_the_padding_hides_is_counted() {
    let padding = Padding { candidates: 1, ..Padding::default() };
    let mut env = random_env(Settings { padding, ..Settings::default() });
    let (mut obs, mut mask) = (vec![0.0; env.spaces.observation_len()], vec![false; 2]);
    env.reset(1, &mut obs, &mut mask).unwrap();
    let hidden = loop {
        let transition = env.step(0, &mut obs, &mut mask).unwrap();
        if let Some(stats) = transition.stats {
            break stats.clipped;
        }
    };
    assert!(hidden > 0);
}

#[test]
fn refusals_change_nothing() {
    let mut env = random_env(Settings::default());
    assert_eq!(env.act(0), Err(EnvError::Over));
    assert!(env.view().is_none() && env.observation().actions() == 0);
    env.begin(5).unwrap();
    let (digest, observation) = (env.simulator().unwrap().digest(), env.observation().clone());
    let actions = observation.actions();
    assert_eq!(env.act(actions), Err(EnvError::NoSuchAction { action: actions, actions }));
    let masked = env.spaces.actions - 2;
    assert_eq!(env.accepts(masked), Err(EnvError::Masked { action: masked }));
    assert_eq!(env.simulator().unwrap().digest(), digest);
    assert_eq!(*env.observation(), observation);
}

#[test]
fn settings_and_worlds_that_cannot_work_are_refused() {
    let empty = |_| random_world(0, 0);
    let mut env = SchedulingEnv::new(empty, Settings::default()).unwrap();
    assert_eq!(env.begin(3), Err(EnvError::NothingToDecide { seed: 3 }));
    let settings = Settings { reward_scale: 0.0, ..Settings::default() };
    let error = SchedulingEnv::new(empty, settings).err().unwrap();
    assert_eq!(error.to_string(), "reward_scale is 0, it must be positive and finite");
    let padding = Padding { nodes: 1, ..Padding::default() };
    let mut env = random_env(Settings { padding, ..Settings::default() });
    let mut obs = vec![0.0; env.spaces.observation_len()];
    let mut mask = vec![false; env.spaces.actions];
    let error = env.reset(0, &mut obs, &mut mask);
    assert_eq!(error, Err(EnvError::TooManyKinds { kinds: 2, rows: 1 }));
    assert_eq!(Padding::default().jobs, MAX_WORKS + MAX_RUNS);
}

#[test]
fn the_future_counts_what_is_to_come() {
    let mut env = random_env(Settings::default());
    let mut future = Vec::new();
    env.future(&mut future);
    assert!(future.is_empty());
    env.begin(2).unwrap();
    env.future(&mut future);
    assert_eq!(future.len(), FUTURE);
    let sim = env.simulator().unwrap();
    let world = sim.world();
    let to_come =
        (sim.arrived()..world.workload.len()).filter(|&at| world.shortest(JobId(at as u32)).is_some());
    assert_eq!(future[FUTURE - 2], (to_come.count() as f32).ln_1p());
    for pair in [0, 1] {
        let over_horizons = future[pair..].iter().step_by(2).copied();
        assert!(over_horizons.is_sorted() && future.iter().all(|value| value.is_finite()));
    }
    play(&mut env, 2);
    future.clear();
    env.future(&mut future);
    assert_eq!(future, [0.0; FUTURE]);
}
