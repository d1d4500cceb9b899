//! The ragged observation in a vector of fixed length.
//!
//! | block      | shape                              | padding |
//! |------------|------------------------------------|---------|
//! | `global`   | (1, global features)               | -       |
//! | `jobs`     | (`padding.jobs`, job features)     | 0       |
//! | `nodes`    | (`padding.nodes`, node features)   | 0       |
//! | `pairs`    | (`padding.candidates`, pair features) | 0    |
//! | `indices`  | (`padding.candidates`, 2): rows in `jobs` and `nodes` of each candidate | -1 |
//!
//! Action `i < padding.candidates` is candidate `i`, action `padding.candidates` is to wait.

use super::Spaces;
use crate::candidates::{MAX_RUNS, MAX_WORKS};
use crate::observe::{GLOBAL, JOB, NODE, Observation, PAIR};

/// Rows of the flat observation. Candidates that find no room are masked out, and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    /// Rows for work groups.
    pub jobs: usize,
    /// Rows for node groups, one a device kind.
    pub nodes: usize,
    /// Rows for candidates.
    pub candidates: usize,
}

impl Default for Padding {
    fn default() -> Padding {
        Padding { jobs: MAX_WORKS + MAX_RUNS, nodes: 8, candidates: 256 }
    }
}

impl Padding {
    /// The spaces of a flat observation with these rows.
    pub fn spaces(&self) -> Spaces {
        let blocks = [
            ("global", 1, GLOBAL.len()),
            ("jobs", self.jobs, JOB.len()),
            ("nodes", self.nodes, NODE.len()),
            ("pairs", self.candidates, PAIR.len()),
            ("indices", self.candidates, 2),
        ];
        Spaces::new(&blocks, self.candidates + 1)
    }

    /// Whether candidate `action` of the observation has a row, and so has both rows it points to.
    pub(super) fn shows(&self, observation: &Observation, action: usize) -> bool {
        let pair = observation.pairs.get(action).filter(|_| action < self.candidates);
        pair.is_some_and(|pair| (pair.job as usize) < self.jobs && (pair.node as usize) < self.nodes)
    }

    /// Writes an observation and its mask into buffers that fit [`Padding::spaces`]; gives the number of
    /// candidates that found no room.
    pub(super) fn write(&self, observation: &Observation, mut obs: &mut [f32], mask: &mut [bool]) -> u64 {
        let mut fill = |values: &[f32], length: usize| {
            let (block, rest) = std::mem::take(&mut obs).split_at_mut(length);
            let shown = values.len().min(length);
            block[..shown].copy_from_slice(&values[..shown]);
            block[shown..].fill(0.0);
            obs = rest;
        };
        fill(&observation.global, GLOBAL.len());
        fill(&observation.jobs, self.jobs * JOB.len());
        fill(&observation.nodes, self.nodes * NODE.len());
        fill(&observation.pair_features, self.candidates * PAIR.len());
        obs.fill(-1.0);
        for (row, pair) in obs.chunks_exact_mut(2).zip(&observation.pairs) {
            row.copy_from_slice(&[pair.job as f32, pair.node as f32]);
        }
        for (action, legal) in mask[..self.candidates].iter_mut().enumerate() {
            *legal = self.shows(observation, action);
        }
        mask[self.candidates] = observation.wait;
        let shown = mask[..self.candidates].iter().filter(|&&legal| legal).count();
        (observation.pairs.len() - shown) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Pair;

    #[test]
    fn what_finds_no_room_is_masked_and_counted() {
        let padding = Padding { jobs: 2, nodes: 1, candidates: 3 };
        let pairs = [(0, 0), (1, 1), (2, 0), (0, 0)].map(|(job, node)| Pair { job, node });
        let observation = Observation {
            global: vec![1.0; GLOBAL.len()],
            jobs: vec![2.0; 3 * JOB.len()],
            nodes: vec![3.0; 2 * NODE.len()],
            pair_features: vec![4.0; 4 * PAIR.len()],
            pairs: pairs.to_vec(),
            wait: true,
        };
        let spaces = padding.spaces();
        let mut obs = vec![9.0; spaces.observation_len()];
        let mut mask = vec![false; spaces.actions];
        assert_eq!(padding.write(&observation, &mut obs, &mut mask), 3);
        assert_eq!(mask, [true, false, false, true]);
        let indices = &obs[spaces.block("indices").unwrap().offset..];
        assert_eq!(indices, [0.0, 0.0, 1.0, 1.0, 2.0, 0.0]);
    }

    #[test]
    fn padding_is_zero_and_minus_one() {
        let padding = Padding { jobs: 1, nodes: 1, candidates: 1 };
        let spaces = padding.spaces();
        let mut obs = vec![9.0; spaces.observation_len()];
        let mut mask = vec![true; spaces.actions];
        assert_eq!(padding.write(&Observation::default(), &mut obs, &mut mask), 0);
        assert_eq!(mask, [false, false]);
        let indices = spaces.block("indices").unwrap().offset;
        assert!(obs[..indices].iter().all(|&value| value == 0.0));
        assert_eq!(obs[indices..], [-1.0, -1.0]);
    }
}
