//! What an iteration of PPO says about itself, under the names that researchers look for.

use std::time::Duration;

/// Means over minibatches, in the usual names.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// The policy's loss.
    pub policy_loss: f64,
    /// The critic's loss.
    pub value_loss: f64,
    /// Entropy of the policy.
    pub entropy: f64,
    /// Mean of ratio - 1 - log ratio.
    pub approx_kl: f64,
    /// Mean of -log ratio.
    pub old_approx_kl: f64,
    /// Share of ratios beyond the clip.
    pub clipfrac: f64,
    /// Norm of the policy's gradient.
    pub grad_norm: f64,
    /// Epochs begun.
    pub epochs: f64,
    /// Seconds, summed over threads, that went into gathering the decisions of minibatches and taking gradients out of tensors.
    pub transfer_seconds: f64,
}

/// Sums over the minibatches so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    sums: [f64; 7],
    minibatches: f64,
    transfer: Duration,
}

impl Losses {
    /// The losses with their names in the log.
    pub fn rows(&self) -> [(&'static str, f64); 8] {
        [
            ("losses/policy_loss", self.policy_loss),
            ("losses/value_loss", self.value_loss),
            ("losses/entropy", self.entropy),
            ("losses/approx_kl", self.approx_kl),
            ("losses/old_approx_kl", self.old_approx_kl),
            ("losses/clipfrac", self.clipfrac),
            ("losses/grad_norm", self.grad_norm),
            ("performance/transfer_seconds", self.transfer_seconds),
        ]
    }
}

impl Tally {
    /// Counts a minibatch: its policy loss, value loss, entropy, both divergences, share of clipped ratios and norm of the
    /// gradient, and what gathering it took.
    pub(crate) fn add(&mut self, means: [f64; 7], transfer: Duration) {
        self.sums.iter_mut().zip(means).for_each(|(sum, mean)| *sum += mean);
        self.minibatches += 1.0;
        self.transfer += transfer;
    }

    /// Means over the minibatches of so many epochs.
    pub(crate) fn losses(&self, epochs: usize) -> Losses {
        let count = self.minibatches.max(1.0);
        let [policy_loss, value_loss, entropy, approx_kl, old_approx_kl, clipfrac, grad_norm] =
            self.sums.map(|sum| sum / count);
        Losses {
            policy_loss,
            value_loss,
            entropy,
            approx_kl,
            old_approx_kl,
            clipfrac,
            grad_norm,
            epochs: epochs as f64,
            transfer_seconds: self.transfer.as_secs_f64(),
        }
    }
}

/// One minus the variance of the critic's errors over that of the returns that it was to foresee; zero where those do not
/// vary.
pub(crate) fn explained_variance<'a>(
    values: impl IntoIterator<Item = &'a f32>,
    returns: impl Iterator<Item = f32> + Clone,
) -> f64 {
    let errors = returns.clone().zip(values).map(|(target, value)| f64::from(target) - f64::from(*value));
    let (errors, total) = (variance(errors), variance(returns.map(f64::from)));
    if total > 0.0 { 1.0 - errors / total } else { 0.0 }
}

fn variance(numbers: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    // In one pass, without the loss of digits that a sum of squares has (Welford 1962).
    for number in numbers {
        count += 1.0;
        let gap = number - mean;
        mean += gap / count;
        squares += gap * (number - mean);
    }
    if count > 0.0 { squares / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_critic_explains_is_one_if_it_is_right_and_zero_if_it_is_constant() {
        let returns = [1.0_f32, 2.0, 3.0, 6.0];
        let of = |values: &[f32]| explained_variance(values, returns.iter().copied());
        assert!((of(&returns) - 1.0).abs() < 1e-12);
        assert!(of(&[3.0; 4]).abs() < 1e-12);
        assert!(of(&[6.0, 3.0, 2.0, 1.0]) < 0.0, "worse than nothing");
        assert_eq!(explained_variance(&[1.0, 2.0], [5.0, 5.0].into_iter()), 0.0, "nothing to explain");
    }

    #[test]
    fn losses_are_means_over_minibatches() {
        let mut tally = Tally::default();
        tally.add([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], Duration::from_secs(1));
        tally.add([3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 3.0], Duration::from_secs(2));
        let losses = tally.losses(4);
        assert_eq!((losses.policy_loss, losses.entropy, losses.grad_norm), (2.0, 2.0, 5.0));
        assert_eq!((losses.epochs, losses.transfer_seconds), (4.0, 3.0));
    }
}
