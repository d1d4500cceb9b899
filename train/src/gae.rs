//! Advantages: generalised advantage estimation (Schulman et al. 2016), and relative to rollouts of the same trace.

/// An episode in numbers: (steps) each.
#[derive(Clone, Debug, Default)]
pub struct Track {
    /// Reward of each step.
    pub rewards: Vec<f32>,
    /// Time that each step took.
    pub elapsed: Vec<f32>,
    /// Discount over each step.
    pub discounts: Vec<f32>,
    /// The critic's value of each observation.
    pub values: Vec<f32>,
    /// What follows the last step: zero after termination, the critic's value after truncation.
    pub last_value: f32,
}

impl Track {
    /// Generalised advantages: (steps).
    pub fn gae(&self, lambda: f32) -> Vec<f32> {
        let mut advantages = vec![0.0; self.rewards.len()];
        let (mut next_value, mut advantage) = (self.last_value, 0.0);
        for t in (0..advantages.len()).rev() {
            let delta = self.rewards[t] + self.discounts[t] * next_value - self.values[t];
            advantage = delta + self.discounts[t] * lambda * advantage;
            advantages[t] = advantage;
            next_value = self.values[t];
        }
        advantages
    }

    /// Discounted rewards from each step on: (steps).
    pub fn returns(&self) -> Vec<f32> {
        let mut returns = vec![0.0; self.rewards.len()];
        let mut next = self.last_value;
        for t in (0..returns.len()).rev() {
            next = self.rewards[t] + self.discounts[t] * next;
            returns[t] = next;
        }
        returns
    }

    /// When each decision is taken, from the start on: (steps).
    fn times(&self) -> Vec<f32> {
        let mut now = 0.0;
        let after = |elapsed: &f32| {
            let at = now;
            now += elapsed;
            at
        };
        self.elapsed.iter().map(after).collect()
    }
}

/// For each track of one trace, its return from each step on minus the mean return of the others from the same
/// time on: (tracks)(steps). Zero where a trace has one rollout only.
pub fn relative(tracks: &[&Track]) -> Vec<Vec<f32>> {
    let returns: Vec<_> = tracks.iter().map(|track| track.returns()).collect();
    let times: Vec<_> = tracks.iter().map(|track| track.times()).collect();
    let at = |track: usize, time: f32| {
        let step = times[track].partition_point(|&other| other < time);
        returns[track].get(step).copied().unwrap_or(tracks[track].last_value)
    };
    let of_step = |own: usize, t: usize| {
        let others = (0..tracks.len()).filter(|&other| other != own);
        let sum: f32 = others.map(|other| at(other, times[own][t])).sum();
        match tracks.len() - 1 {
            0 => 0.0,
            count => returns[own][t] - sum / count as f32,
        }
    };
    (0..tracks.len()).map(|own| (0..returns[own].len()).map(|t| of_step(own, t)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(last_value: f32) -> Track {
        Track {
            rewards: vec![1.0, -2.0, 0.5, 3.0],
            elapsed: vec![1.0, 2.0, 0.5, 1.0],
            discounts: vec![0.9, 0.8, 0.95, 0.7],
            values: vec![0.3, -0.4, 1.2, 0.6],
            last_value,
        }
    }

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} is not {b:?}");
    }

    /// The definition: sum over l of (product of discount * lambda) * delta.
    fn by_definition(track: &Track, lambda: f32) -> Vec<f32> {
        let steps = track.rewards.len();
        let value = |t: usize| if t < steps { track.values[t] } else { track.last_value };
        let delta = |t: usize| track.rewards[t] + track.discounts[t] * value(t + 1) - value(t);
        let weight =
            |from: usize, to: usize| (from..to).map(|t| track.discounts[t] * lambda).product::<f32>();
        (0..steps).map(|t| (t..steps).map(|l| weight(t, l) * delta(l)).sum()).collect()
    }

    #[test]
    fn gae_is_its_definition() {
        for lambda in [0.0, 0.5, 0.95, 1.0] {
            for last in [0.0, 2.5] {
                close(&track(last).gae(lambda), &by_definition(&track(last), lambda));
            }
        }
    }

    #[test]
    fn lambda_one_is_the_return_minus_the_value() {
        let track = track(1.5);
        let expected: Vec<_> = track.returns().iter().zip(&track.values).map(|(g, v)| g - v).collect();
        close(&track.gae(1.0), &expected);
    }

    #[test]
    fn truncation_bootstraps_and_termination_does_not() {
        let one = |last_value| Track {
            rewards: vec![1.0],
            elapsed: vec![1.0],
            discounts: vec![0.5],
            values: vec![0.25],
            last_value,
        };
        close(&one(0.0).gae(0.95), &[0.75]);
        close(&one(4.0).gae(0.95), &[2.75]);
    }

    #[test]
    fn a_constant_reward_gives_the_geometric_series() {
        let steps = 50;
        let track = Track {
            rewards: vec![1.0; steps],
            elapsed: vec![1.0; steps],
            discounts: vec![0.9; steps],
            values: vec![0.0; steps],
            last_value: 0.0,
        };
        let expected: Vec<_> = (0..steps).map(|t| (1.0 - 0.9_f32.powi((steps - t) as i32)) / 0.1).collect();
        close(&track.gae(1.0), &expected);
    }

    #[test]
    fn relative_advantages_compare_the_same_time() {
        let of = |rewards: &[f32], elapsed: &[f32]| Track {
            rewards: rewards.to_vec(),
            elapsed: elapsed.to_vec(),
            discounts: vec![1.0; rewards.len()],
            values: vec![0.0; rewards.len()],
            last_value: 0.0,
        };
        let a = of(&[-1.0, -2.0, -3.0], &[1.0, 1.0, 1.0]);
        let b = of(&[-4.0, -1.0], &[2.0, 1.0]);
        // Returns: a is -6, -5, -3 at times 0, 1, 2; b is -5, -1 at times 0, 2.
        let both = relative(&[&a, &b]);
        close(&both[0], &[-1.0, -4.0, -2.0]);
        close(&both[1], &[1.0, 2.0]);
        close(&relative(&[&a])[0], &[0.0; 3]);
    }
}
