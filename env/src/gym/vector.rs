//! Many environments in step, into the caller's buffers.

use super::{Env, EnvError, EpisodeStats, Spaces, fits};

/// What happens to an environment whose episode has ended, as Gymnasium's `AutoresetMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Autoreset {
    /// The next step ignores its action and begins the next episode: reward 0, neither terminated nor truncated.
    #[default]
    NextStep,
    /// The same step begins the next episode: its observation is the new one, and the last one of the finished
    /// episode is lent by [`VecEnv::final_observation`].
    SameStep,
    /// Nothing, until [`VecEnv::reset_where`] is called; a step before that is an error.
    Disabled,
}

/// The caller's buffers for `n` environments, row-major.
#[derive(Debug)]
pub struct BatchMut<'a> {
    /// (n, observation)
    pub obs: &'a mut [f32],
    /// (n, actions)
    pub mask: &'a mut [bool],
    /// (n)
    pub rewards: &'a mut [f64],
    /// (n)
    pub terminated: &'a mut [bool],
    /// (n)
    pub truncated: &'a mut [bool],
}

/// Buffers of its own for a caller who has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// (n, observation)
    pub obs: Vec<f32>,
    /// (n, actions)
    pub mask: Vec<bool>,
    /// (n)
    pub rewards: Vec<f64>,
    /// (n)
    pub terminated: Vec<bool>,
    /// (n)
    pub truncated: Vec<bool>,
}

impl Batch {
    /// Buffers for `n` environments of these spaces.
    pub fn new(n: usize, spaces: &Spaces) -> Batch {
        Batch {
            obs: vec![0.0; n * spaces.observation_len()],
            mask: vec![false; n * spaces.actions],
            rewards: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
        }
    }

    /// Lends the buffers for a step.
    pub fn lend(&mut self) -> BatchMut<'_> {
        BatchMut {
            obs: &mut self.obs,
            mask: &mut self.mask,
            rewards: &mut self.rewards,
            terminated: &mut self.terminated,
            truncated: &mut self.truncated,
        }
    }
}

/// The seed of episode `episode` of environment `env`: (seed, env, episode) through the finaliser of SplitMix64, so
/// that neighbours have nothing in common.
pub fn episode_seed(seed: u64, env: usize, episode: u64) -> u64 {
    [env as u64, episode].into_iter().fold(mix(seed), |state, word| mix(state.wrapping_add(word)))
}

fn mix(word: u64) -> u64 {
    let mut word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Environments of the same spaces, stepped together. Results depend on the seed and the actions alone, not on
/// which of the step methods is called.
#[derive(Clone, Debug)]
pub struct VecEnv<E> {
    slots: Vec<Slot<E>>,
    shape: Shape,
    spaces: Spaces,
    seed: u64,
}

/// Lengths of one environment's rows, and what becomes of finished episodes.
#[derive(Clone, Copy, Debug)]
struct Shape {
    obs: usize,
    actions: usize,
    autoreset: Autoreset,
}

#[derive(Clone, Debug)]
struct Slot<E> {
    env: E,
    index: usize,
    /// Episodes begun since the reset of the whole.
    episodes: u64,
    over: bool,
    stats: Option<EpisodeStats>,
    /// Last observation of the episode that this step finished, under [`Autoreset::SameStep`].
    last: Option<Vec<f32>>,
}

/// One environment's part of the buffers.
struct Row<'a> {
    obs: &'a mut [f32],
    mask: &'a mut [bool],
    reward: &'a mut f64,
    terminated: &'a mut bool,
    truncated: &'a mut bool,
}

impl<E: Env> VecEnv<E> {
    /// A vector of these environments; none has an episode yet.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] if there is none or its spaces are empty, [`EnvError::SpacesDiffer`] if they are not alike.
    pub fn new(envs: Vec<E>, autoreset: Autoreset) -> Result<VecEnv<E>, EnvError> {
        let spaces = envs.first().map(Env::spaces).ok_or(EnvError::BadSetting {
            setting: "number of environments",
            value: 0.0,
            must: "at least 1",
        })?;
        if spaces.observation_len().min(spaces.actions) == 0 {
            return Err(EnvError::BadSetting { setting: "length of a row", value: 0.0, must: "at least 1" });
        }
        if let Some(index) = envs.iter().position(|env| env.spaces() != spaces) {
            return Err(EnvError::SpacesDiffer { index });
        }
        let slot = |(index, env)| Slot { env, index, episodes: 0, over: false, stats: None, last: None };
        let shape = Shape { obs: spaces.observation_len(), actions: spaces.actions, autoreset };
        Ok(VecEnv { slots: envs.into_iter().enumerate().map(slot).collect(), shape, spaces, seed: 0 })
    }

    /// Number of environments; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The spaces of one environment.
    pub fn spaces(&self) -> &Spaces {
        &self.spaces
    }

    /// What happens when an episode ends.
    pub fn autoreset(&self) -> Autoreset {
        self.shape.autoreset
    }

    /// One environment.
    pub fn env(&self, index: usize) -> &E {
        &self.slots[index].env
    }

    /// What the episode was like that the last step finished in this environment, if it did.
    pub fn stats(&self, index: usize) -> Option<&EpisodeStats> {
        self.slots[index].stats.as_ref()
    }

    /// The last observation of the episode that the last step finished in this environment, under
    /// [`Autoreset::SameStep`]; in the other modes it stands in the buffers.
    pub fn final_observation(&self, index: usize) -> Option<&[f32]> {
        self.slots[index].last.as_deref()
    }

    /// Begins episode 0 of every environment; see [`episode_seed`].
    ///
    /// # Errors
    /// [`EnvError::Length`], which changes nothing, or [`EnvError::At`] if an environment cannot begin.
    pub fn reset(&mut self, seed: u64, out: BatchMut<'_>) -> Result<(), EnvError> {
        self.fit(&out)?;
        self.seed = seed;
        self.slots.iter_mut().for_each(|slot| slot.episodes = 0);
        let shape = self.shape;
        self.slots.iter_mut().zip(out.rows(shape)).try_for_each(|(slot, row)| slot.begin(seed, row))
    }

    /// Begins the next episode of the environments that `which` (n) marks; rows of the others are left alone.
    ///
    /// # Errors
    /// [`EnvError::Length`], which changes nothing, or [`EnvError::At`] if an environment cannot begin.
    pub fn reset_where(&mut self, which: &[bool], out: BatchMut<'_>) -> Result<(), EnvError> {
        self.fit(&out)?;
        fits("which", which.len(), self.slots.len())?;
        let (shape, seed) = (self.shape, self.seed);
        let marked = self.slots.iter_mut().zip(out.rows(shape)).zip(which).filter(|(_, which)| **which);
        marked.map(|(pair, _)| pair).try_for_each(|(slot, row)| slot.begin(seed, row))
    }

    /// Steps every environment with its action (n).
    ///
    /// # Errors
    /// [`EnvError::Length`], or [`EnvError::At`] for the first environment that does not take its action: nothing
    /// has changed then. [`EnvError::At`] as well if an environment cannot begin its next episode.
    pub fn step(&mut self, actions: &[usize], out: BatchMut<'_>) -> Result<(), EnvError> {
        self.admit(actions, &out)?;
        step_all(&mut self.slots, actions, out, self.shape, self.seed)
    }

    /// As [`VecEnv::step`], on as many threads.
    ///
    /// # Errors
    /// Those of [`VecEnv::step`].
    pub fn step_parallel(
        &mut self,
        actions: &[usize],
        out: BatchMut<'_>,
        threads: usize,
    ) -> Result<(), EnvError>
    where
        E: Send,
    {
        self.admit(actions, &out)?;
        let (shape, seed) = (self.shape, self.seed);
        let rows = self.slots.len().div_ceil(threads.max(1));
        let mut rest = Some(out);
        let chunks = self.slots.chunks_mut(rows).zip(actions.chunks(rows));
        let results: Vec<Result<(), EnvError>> = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (slots, actions) in chunks {
                let Some((out, after)) = rest.take().map(|rest| rest.split(slots.len(), shape)) else {
                    break;
                };
                rest = Some(after);
                threads.push(scope.spawn(move || step_all(slots, actions, out, shape, seed)));
            }
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        results.into_iter().collect()
    }

    /// Checks everything about a step before anything happens.
    fn admit(&self, actions: &[usize], out: &BatchMut<'_>) -> Result<(), EnvError> {
        self.fit(out)?;
        fits("actions", actions.len(), self.slots.len())?;
        let begins = |slot: &Slot<E>| slot.over && self.shape.autoreset == Autoreset::NextStep;
        let mut stepped = self.slots.iter().zip(actions).filter(|(slot, _)| !begins(slot));
        stepped.try_for_each(|(slot, &action)| slot.env.accepts(action).map_err(|why| slot.at(why)))
    }

    fn fit(&self, out: &BatchMut<'_>) -> Result<(), EnvError> {
        let n = self.slots.len();
        fits("observation", out.obs.len(), n * self.shape.obs)?;
        fits("mask", out.mask.len(), n * self.shape.actions)?;
        fits("rewards", out.rewards.len(), n)?;
        fits("terminated", out.terminated.len(), n)?;
        fits("truncated", out.truncated.len(), n)
    }
}

fn step_all<E: Env>(
    slots: &mut [Slot<E>],
    actions: &[usize],
    out: BatchMut<'_>,
    shape: Shape,
    seed: u64,
) -> Result<(), EnvError> {
    let mut result = Ok(());
    // All go on after a failure, so that the outcome is the same however the slots are divided.
    for ((slot, row), &action) in slots.iter_mut().zip(out.rows(shape)).zip(actions) {
        let stepped = slot.step(action, shape.autoreset, seed, row);
        result = result.and(stepped);
    }
    result
}

impl<E: Env> Slot<E> {
    fn at(&self, why: EnvError) -> EnvError {
        EnvError::At { index: self.index, why: Box::new(why) }
    }

    fn begin(&mut self, seed: u64, row: Row<'_>) -> Result<(), EnvError> {
        self.restart(seed, row.obs, row.mask)?;
        (self.stats, self.last) = (None, None);
        (*row.reward, *row.terminated, *row.truncated) = (0.0, false, false);
        Ok(())
    }

    fn restart(&mut self, seed: u64, obs: &mut [f32], mask: &mut [bool]) -> Result<(), EnvError> {
        let seed = episode_seed(seed, self.index, self.episodes);
        self.env.reset(seed, obs, mask).map_err(|why| self.at(why))?;
        self.episodes += 1;
        self.over = false;
        Ok(())
    }

    fn step(&mut self, action: usize, mode: Autoreset, seed: u64, row: Row<'_>) -> Result<(), EnvError> {
        if self.over && mode == Autoreset::NextStep {
            return self.begin(seed, row);
        }
        let transition = self.env.step(action, row.obs, row.mask).map_err(|why| self.at(why))?;
        *row.reward = transition.reward;
        (*row.terminated, *row.truncated) = (transition.terminated, transition.truncated);
        (self.stats, self.last) = (transition.stats, None);
        self.over = transition.terminated || transition.truncated;
        if self.over && mode == Autoreset::SameStep {
            self.last = Some(row.obs.to_vec());
            self.restart(seed, row.obs, row.mask)?;
        }
        Ok(())
    }
}

impl<'a> BatchMut<'a> {
    fn rows(self, shape: Shape) -> impl Iterator<Item = Row<'a>> {
        let values = self.obs.chunks_exact_mut(shape.obs).zip(self.mask.chunks_exact_mut(shape.actions));
        let ends = self.terminated.iter_mut().zip(self.truncated);
        values.zip(self.rewards).zip(ends).map(|(((obs, mask), reward), (terminated, truncated))| Row {
            obs,
            mask,
            reward,
            terminated,
            truncated,
        })
    }

    /// The first `rows` rows, and the others.
    fn split(self, rows: usize, shape: Shape) -> (BatchMut<'a>, BatchMut<'a>) {
        let (obs, obs_after) = self.obs.split_at_mut(rows * shape.obs);
        let (mask, mask_after) = self.mask.split_at_mut(rows * shape.actions);
        let (rewards, rewards_after) = self.rewards.split_at_mut(rows);
        let (terminated, terminated_after) = self.terminated.split_at_mut(rows);
        let (truncated, truncated_after) = self.truncated.split_at_mut(rows);
        let after = BatchMut {
            obs: obs_after,
            mask: mask_after,
            rewards: rewards_after,
            terminated: terminated_after,
            truncated: truncated_after,
        };
        (BatchMut { obs, mask, rewards, terminated, truncated }, after)
    }
}

#[cfg(test)]
#[path = "vector_tests.rs"]
mod tests;
