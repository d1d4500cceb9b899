//! Users who are wrong about what their jobs need, each in a way of their own.
//!
//! That users' estimates are far off and that the error belongs to the user is known from batch queues: Mu'alem and
//! Feitelson, IEEE TPDS 12(6), 2001; Tsafrir, Etsion and Feitelson, IEEE TPDS 18(6), 2007.

use serde::{Deserialize, Serialize};

use super::error::{WorkloadError, check, not_negative};
use super::random::{Random, derive_seed};
use crate::job::Truth;
use crate::units::TrainingId;

/// Users claim `true samples / (habit * noise)`. The habit belongs to user and model, the noise to the job; both are
/// lognormal with median 1, and half of the variance of the logarithm of a habit is common to all models of a user.
/// Habits are drawn anew for each episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimates {
    /// Standard deviation of the natural logarithm of a habit, from 0 to 5.
    pub sigma: f64,
    /// Users, from 1; each job belongs to any of them with the same probability.
    pub users: u32,
    /// Standard deviation of the natural logarithm of the noise, from 0 to 5.
    #[serde(default = "default_noise")]
    pub noise: f64,
}

fn default_noise() -> f64 {
    0.3
}

impl Estimates {
    pub(super) fn check(&self) -> Result<(), WorkloadError> {
        for (key, value) in [("sigma", self.sigma), ("noise", self.noise)] {
            check(key, not_negative(key, value)?, value <= 5.0, "from 0 to 5")?;
        }
        check("users", f64::from(self.users), self.users > 0, "at least 1").map(|_| ())
    }
}

/// The users of an episode.
pub(super) struct Users {
    estimates: Estimates,
    seed: u64,
    random: Random,
}

/// What a user says of a job, and the truth about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Claim {
    /// From 1; 0 is nobody.
    pub(super) user: u32,
    /// What the user says.
    pub(super) samples: u64,
    pub(super) truth: Truth,
}

impl Users {
    /// Users of checked settings.
    pub(super) fn new(estimates: Estimates, seed: u64) -> Users {
        Users { estimates, seed, random: Random::new(derive_seed(seed, 0)) }
    }

    /// Draws the owner of a job that needs so many samples, and what that user says of it: whole steps of `batch`.
    pub(super) fn claim(&mut self, model: TrainingId, batch: u32, samples: u64) -> Claim {
        let user = 1 + self.random.below(self.estimates.users as usize) as u32;
        let noise = self.estimates.noise * self.random.normal();
        let factor = libm::exp(self.habit(user, model) + noise);
        let batch = u64::from(batch.max(1));
        let said = batch * ((samples as f64 / (factor * batch as f64)).round() as u64).max(1);
        Claim { user, samples: said, truth: Truth::Steps(samples as f64 / said as f64) }
    }

    /// Logarithm of true over claimed samples, noise apart.
    fn habit(&self, user: u32, model: TrainingId) -> f64 {
        let of_user = derive_seed(self.seed, u64::from(user));
        let of_pair = derive_seed(of_user, 1 + u64::from(model.0));
        let draw = |seed| Random::new(seed).normal();
        self.estimates.sigma * libm::sqrt(0.5) * (draw(of_user) + draw(of_pair))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESTIMATES: Estimates = Estimates { sigma: 1.5, users: 20, noise: 0.3 };

    fn ln_ratios(users: &mut Users, model: u16, count: usize) -> Vec<(u32, f64)> {
        let mut draw = || {
            let claim = users.claim(TrainingId(model), 64, 1 << 40);
            let Truth::Steps(factor) = claim.truth else { panic!("{claim:?}") };
            assert!((claim.samples as f64 * factor / (1_u64 << 40) as f64 - 1.0).abs() < 1e-12);
            (claim.user, libm::log(factor))
        };
        (0..count).map(|_| draw()).collect()
    }

    fn variance(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64
    }

    #[test]
    fn a_user_is_wrong_in_the_same_way_again() {
        let mut users = Users::new(ESTIMATES, 5);
        let all = ln_ratios(&mut users, 3, 20_000);
        for user in 1..=20 {
            let own: Vec<f64> = all.iter().filter(|(other, _)| *other == user).map(|(_, ln)| *ln).collect();
            assert!((800..1200).contains(&own.len()), "{}", own.len());
            assert!((variance(&own) / 0.09 - 1.0).abs() < 0.2, "{}", variance(&own));
        }
    }

    #[test]
    fn habits_have_the_variance_asked_for_and_users_half_of_it() {
        let users = Users::new(Estimates { users: 4000, ..ESTIMATES }, 5);
        let habits = |model| (1..=4000).map(|user| users.habit(user, TrainingId(model))).collect::<Vec<_>>();
        let (one, other) = (habits(0), habits(1));
        assert!((variance(&one) / 2.25 - 1.0).abs() < 0.1, "{}", variance(&one));
        let apart: Vec<f64> = one.iter().zip(&other).map(|(one, other)| one - other).collect();
        assert!((variance(&apart) / 2.25 - 1.0).abs() < 0.1, "{}", variance(&apart));
    }

    #[test]
    fn settings_are_checked() {
        let bad = |estimates: Estimates| estimates.check().unwrap_err().to_string();
        assert_eq!(bad(Estimates { sigma: 9.0, ..ESTIMATES }), "`sigma` is 9; it must be from 0 to 5");
        assert_eq!(bad(Estimates { users: 0, ..ESTIMATES }), "`users` is 0; it must be at least 1");
        assert!(bad(Estimates { noise: f64::NAN, ..ESTIMATES }).starts_with("`noise` is NaN"));
    }
}
