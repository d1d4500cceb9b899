//! What jobs really need, from how wrong their users were before.
//!
//! The logarithm of true over claimed work is taken as a sum: a bias of everyone, one of the user, one of the user with
//! this model, and the noise of the job, each normal. Given the spreads, the posterior of such a tree is normal and is
//! found exactly by passing messages up and down it (Pearl 1988): an estimate is shrunk towards the user's mean where
//! little is known of the model, and that towards everyone's where little is known of the user.

use std::collections::BTreeMap;

/// Standard deviations of the natural logarithm of true over claimed work, each above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spreads {
    /// Of the bias that everyone has, around a ratio of 1.
    pub everyone: f64,
    /// Of users around everyone.
    pub user: f64,
    /// Of a user's models around the user.
    pub model: f64,
    /// Of jobs around their user and model.
    pub job: f64,
}

impl Default for Spreads {
    /// Users who are off by a factor of about four; see [`crate::workload::Estimates`].
    fn default() -> Spreads {
        Spreads { everyone: 0.5, user: 1.0, model: 1.0, job: 0.3 }
    }
}

/// What is believed about the ratio of true to claimed work of a job to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief {
    /// Mean of its natural logarithm.
    pub mean_ln: f64,
    /// Standard deviation of its natural logarithm, the noise of the job included.
    pub sd_ln: f64,
}

impl Belief {
    /// The median of the ratio, by which a claim is multiplied.
    pub fn ratio(&self) -> f64 {
        libm::exp(self.mean_ln)
    }
}

/// Learns from finished jobs; users and models are any numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrator {
    spreads: Spreads,
    everyone: Normal,
    users: BTreeMap<u32, Normal>,
    /// By user and model, the mean over jobs.
    models: BTreeMap<(u32, u32), Normal>,
}

impl Default for Calibrator {
    fn default() -> Calibrator {
        Calibrator::new(Spreads::default())
    }
}

impl Calibrator {
    /// One that knows nothing yet.
    pub fn new(spreads: Spreads) -> Calibrator {
        let everyone = Normal::of(0.0, spreads.everyone * spreads.everyone);
        Calibrator { spreads, everyone, users: BTreeMap::new(), models: BTreeMap::new() }
    }

    /// Takes in a finished job. Work is in any unit, the same for both; what is not above 0 says nothing and is left
    /// out.
    pub fn observe(&mut self, user: u32, model: u32, claimed: f64, actual: f64) {
        let ln = libm::log(actual / claimed);
        if !(claimed > 0.0 && ln.is_finite()) {
            return;
        }
        let Spreads { user: of_user, model: of_model, job, .. } = self.spreads;
        let own = self.models.entry((user, model)).or_default();
        let before = own.blurred(of_model);
        *own = own.and(Normal::of(ln, job * job));
        let change = own.blurred(of_model).without(before);
        let own = self.users.entry(user).or_default();
        let before = own.blurred(of_user);
        *own = own.and(change);
        self.everyone = self.everyone.and(own.blurred(of_user).without(before));
    }

    /// What is to be expected of a job of this user and model; without any finished job a ratio of 1.
    pub fn predict(&self, user: u32, model: u32) -> Belief {
        let of_user = self.users.get(&user).copied().unwrap_or_default();
        let of_model = self.models.get(&(user, model)).copied().unwrap_or_default();
        let Spreads { user: user_spread, model: model_spread, job, .. } = self.spreads;
        // Down the tree: what all others say of everyone, all other models of the user, and then the jobs themselves.
        let others = self.everyone.without(of_user.blurred(user_spread));
        let user = others.blurred(user_spread).and(of_user.without(of_model.blurred(model_spread)));
        let belief = user.blurred(model_spread).and(of_model);
        Belief {
            mean_ln: belief.weighted / belief.precision,
            sd_ln: libm::sqrt(1.0 / belief.precision + job * job),
        }
    }
}

/// A normal distribution, or by default none at all, as precision and precision times mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Normal {
    precision: f64,
    weighted: f64,
}

impl Normal {
    fn of(mean: f64, variance: f64) -> Normal {
        Normal { precision: 1.0 / variance, weighted: mean / variance }
    }

    /// What both say.
    fn and(self, other: Normal) -> Normal {
        Normal { precision: self.precision + other.precision, weighted: self.weighted + other.weighted }
    }

    /// What is left when `other`, which it contains, is taken away.
    fn without(self, other: Normal) -> Normal {
        Normal { precision: self.precision - other.precision, weighted: self.weighted - other.weighted }
    }

    /// What it says of something that lies around it with this standard deviation.
    fn blurred(self, spread: f64) -> Normal {
        let share = 1.0 / (1.0 + self.precision * spread * spread);
        Normal { precision: self.precision * share, weighted: self.weighted * share }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;
    use rand_xoshiro::Xoshiro256PlusPlus;

    #[test]
    fn without_data_the_claim_stands() {
        let belief = Calibrator::default().predict(3, 4);
        assert_eq!(belief.ratio(), 1.0);
        let variance: f64 = 0.25 + 1.0 + 1.0 + 0.09;
        assert!((belief.sd_ln - variance.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn jobs_that_say_nothing_are_left_out() {
        let mut calibrator = Calibrator::default();
        for (claimed, actual) in [(0.0, 1.0), (1.0, 0.0), (-1.0, -1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)]
        {
            calibrator.observe(1, 1, claimed, actual);
        }
        assert_eq!(calibrator, Calibrator::default());
    }

    #[test]
    fn shrinkage_goes_from_model_to_user_to_everyone() {
        let mut calibrator = Calibrator::default();
        for _ in 0..50 {
            calibrator.observe(1, 1, 10.0, 80.0);
        }
        let [known, model, user] =
            [(1, 1), (1, 2), (2, 1)].map(|(user, model)| calibrator.predict(user, model));
        assert!((known.ratio() / 8.0 - 1.0).abs() < 0.01, "{known:?}");
        assert!(known.ratio() > model.ratio() && model.ratio() > user.ratio() && user.ratio() > 1.0);
        assert!(known.sd_ln < model.sd_ln && model.sd_ln < user.sd_ln);
    }

    #[test]
    fn habits_are_recovered() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut normal = |sd: f64| sd * random.sample::<f64, _>(StandardNormal);
        let mut calibrator = Calibrator::default();
        let mut habits = Vec::new();
        for user in 0..20 {
            let bias = normal(1.0);
            for model in 0..5 {
                let habit = bias + normal(1.0);
                for _ in 0..40 {
                    calibrator.observe(user, model, 7.0, 7.0 * libm::exp(habit + normal(0.3)));
                }
                habits.push((user, model, habit));
            }
        }
        for (user, model, habit) in habits {
            let belief = calibrator.predict(user, model);
            // Five standard errors of 0.3 / sqrt(40).
            assert!((belief.mean_ln - habit).abs() < 0.24, "{user} {model}: {belief:?}, habit {habit}");
        }
    }

    /// The same posterior by conditioning the joint normal of all observations, by Gaussian elimination.
    #[test]
    fn messages_give_the_exact_posterior() {
        let seen =
            [(0, 0, 1.5), (0, 0, 1.1), (0, 1, -0.3), (1, 0, 0.4), (2, 3, 2.0), (1, 0, 0.9), (2, 3, 1.0)];
        let spreads = Spreads { everyone: 0.7, user: 1.1, model: 0.6, job: 0.4 };
        let mut calibrator = Calibrator::new(spreads);
        for (user, model, ln) in seen {
            calibrator.observe(user, model, 2.0, 2.0 * libm::exp(ln));
        }
        let covariance = |one: (u32, u32), other: (u32, u32)| {
            let same_user = f64::from(u8::from(one.0 == other.0));
            let same_model = f64::from(u8::from(one == other));
            spreads.everyone.powi(2) + same_user * spreads.user.powi(2) + same_model * spreads.model.powi(2)
        };
        for asked in [(0, 0), (0, 1), (0, 7), (1, 0), (1, 3), (2, 3), (9, 9)] {
            let mut rows: Vec<Vec<f64>> = seen
                .map(|one| Vec::from_iter(seen.map(|other| covariance((one.0, one.1), (other.0, other.1)))))
                .into();
            for (at, row) in rows.iter_mut().enumerate() {
                row[at] += spreads.job.powi(2);
                row.push(covariance((seen[at].0, seen[at].1), asked));
            }
            let weights = solve(rows);
            let mean: f64 = weights.iter().zip(seen).map(|(weight, (_, _, ln))| weight * ln).sum();
            let explained: f64 = weights
                .iter()
                .zip(seen)
                .map(|(weight, one)| weight * covariance((one.0, one.1), asked))
                .sum();
            let sd = (covariance(asked, asked) - explained + spreads.job.powi(2)).sqrt();
            let belief = calibrator.predict(asked.0, asked.1);
            assert!((belief.mean_ln - mean).abs() < 1e-9, "{asked:?}: {belief:?}, expected {mean}");
            assert!((belief.sd_ln - sd).abs() < 1e-9, "{asked:?}: {belief:?}, expected {sd}");
        }
    }

    /// Solves a system whose right-hand side is the last column; the matrix is positive definite.
    fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
        for at in 0..rows.len() {
            let pivot = rows[at][at];
            rows[at].iter_mut().for_each(|cell| *cell /= pivot);
            let row = rows[at].clone();
            for other in (0..rows.len()).filter(|other| *other != at) {
                let factor = rows[other][at];
                rows[other].iter_mut().zip(&row).for_each(|(cell, from)| *cell -= factor * from);
            }
        }
        rows.into_iter().filter_map(|mut row| row.pop()).collect()
    }
}
