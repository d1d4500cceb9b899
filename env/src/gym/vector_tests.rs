use super::super::testing::random_env;
use super::super::{SchedulingEnv, Settings};
use super::*;

fn vector(n: usize, autoreset: Autoreset) -> (VecEnv<SchedulingEnv>, Batch) {
    let settings = Settings { max_decisions: Some(9), ..Settings::default() };
    let env = VecEnv::new((0..n).map(|_| random_env(settings)).collect(), autoreset).unwrap();
    let batch = Batch::new(n, env.spaces());
    (env, batch)
}

/// The `step`-th of the legal actions of each environment, in turn.
fn choose(batch: &Batch, actions: usize, step: usize) -> Vec<usize> {
    let choose = |mask: &[bool]| {
        let legal: Vec<usize> = (0..mask.len()).filter(|&action| mask[action]).collect();
        legal.get(step % legal.len().max(1)).copied().unwrap_or(0)
    };
    batch.mask.chunks(actions).map(choose).collect()
}

#[test]
fn threads_do_not_change_results() {
    for autoreset in [Autoreset::NextStep, Autoreset::SameStep] {
        let (mut one, mut batch) = vector(5, autoreset);
        one.reset(11, batch.lend()).unwrap();
        for threads in [1, 2, 3, 8] {
            let (mut many, mut other) = vector(5, autoreset);
            one.reset(11, batch.lend()).unwrap();
            many.reset(11, other.lend()).unwrap();
            for step in 0..40 {
                let actions = choose(&batch, one.spaces().actions, step);
                one.step(&actions, batch.lend()).unwrap();
                many.step_parallel(&actions, other.lend(), threads).unwrap();
                assert_eq!(batch, other, "step {step}");
                for index in 0..5 {
                    assert_eq!(one.stats(index), many.stats(index));
                    assert_eq!(one.final_observation(index), many.final_observation(index));
                }
            }
        }
    }
}

#[test]
fn next_step_resets_in_a_step_of_its_own() {
    let (mut env, mut batch) = vector(1, Autoreset::NextStep);
    env.reset(3, batch.lend()).unwrap();
    let mut step = 0;
    while env.stats(0).is_none() {
        let actions = choose(&batch, env.spaces().actions, step);
        env.step(&actions, batch.lend()).unwrap();
        step += 1;
    }
    assert!(batch.terminated[0] || batch.truncated[0]);
    assert_eq!(env.stats(0).map(|stats| stats.seed), Some(episode_seed(3, 0, 0)));
    env.step(&[usize::MAX], batch.lend()).unwrap();
    assert_eq!((batch.rewards[0], batch.terminated[0], batch.truncated[0]), (0.0, false, false));
    assert!(env.stats(0).is_none());
    let fresh = first_observation(episode_seed(3, 0, 1));
    assert_eq!(batch.obs, fresh);
}

#[test]
fn same_step_lends_the_final_observation() {
    let (mut env, mut batch) = vector(1, Autoreset::SameStep);
    let (mut plain, mut last) = vector(1, Autoreset::Disabled);
    env.reset(3, batch.lend()).unwrap();
    plain.reset(3, last.lend()).unwrap();
    let mut step = 0;
    while env.stats(0).is_none() {
        assert_eq!(batch, last);
        let actions = choose(&batch, env.spaces().actions, step);
        env.step(&actions, batch.lend()).unwrap();
        plain.step(&actions, last.lend()).unwrap();
        step += 1;
    }
    assert_eq!(env.final_observation(0), Some(&last.obs[..]));
    assert_eq!((&batch.rewards, &batch.truncated), (&last.rewards, &last.truncated));
    assert_eq!(batch.obs, first_observation(episode_seed(3, 0, 1)));
    // Without autoreset the same step is refused until the environment is reset.
    let at = |why| EnvError::At { index: 0, why: Box::new(why) };
    assert_eq!(plain.step(&[0], last.lend()), Err(at(EnvError::Over)));
    plain.reset_where(&[true], last.lend()).unwrap();
    assert_eq!(last.obs, batch.obs);
}

fn first_observation(seed: u64) -> Vec<f32> {
    let mut env = random_env(Settings::default());
    let spaces = env.spaces();
    let (mut obs, mut mask) = (vec![0.0; spaces.observation_len()], vec![false; spaces.actions]);
    env.reset(seed, &mut obs, &mut mask).unwrap();
    obs
}

#[test]
fn one_refusal_stops_the_whole_step() {
    let (mut env, mut batch) = vector(3, Autoreset::NextStep);
    let over = Err(EnvError::At { index: 0, why: Box::new(EnvError::Over) });
    assert_eq!(env.step(&[0; 3], batch.lend()), over);
    env.reset(1, batch.lend()).unwrap();
    let before = batch.clone();
    let actions = env.spaces().actions;
    let error = env.step(&[0, 0, actions], batch.lend()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("environment 2: there is no action {actions}: the environment has {actions}")
    );
    assert_eq!(batch, before);
    assert_eq!(env.env(0).simulator().map(crate::sim::Simulator::decisions), Some(0));
    assert!(matches!(env.step(&[0; 2], batch.lend()), Err(EnvError::Length { buffer: "actions", .. })));
    batch.rewards.pop();
    assert!(matches!(env.step(&[0; 3], batch.lend()), Err(EnvError::Length { buffer: "rewards", .. })));
}

#[test]
fn environments_must_be_there_and_alike() {
    assert!(VecEnv::<SchedulingEnv>::new(Vec::new(), Autoreset::Disabled).is_err());
    let mut settings = Settings::default();
    let first = random_env(settings);
    settings.padding.candidates = 7;
    let error = VecEnv::new(vec![first, random_env(settings)], Autoreset::Disabled).err();
    assert_eq!(error, Some(EnvError::SpacesDiffer { index: 1 }));
}

#[test]
fn seeds_differ_by_environment_and_episode() {
    let mut seeds: Vec<u64> = (0..8).flat_map(|env| (0..8).map(move |k| episode_seed(0, env, k))).collect();
    seeds.extend((0..64).map(|env| episode_seed(1, env, 0)));
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 128);
}
