//! Adam (Kingma and Ba 2015) on one flat vector.

use multiversion::multiversion;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPS: f32 = 1e-5;
/// Partial sums of a norm.
const LANES: usize = 8;

/// Weights that are trained, and their moments: (weights) each.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// The weights.
    pub params: Vec<f32>,
    /// Mean gradient.
    pub first: Vec<f32>,
    /// Mean squared gradient.
    pub second: Vec<f32>,
    /// Steps taken.
    pub steps: u64,
}

impl Adam {
    /// Starts from these weights.
    pub fn new(params: Vec<f32>) -> Self {
        let zeros = vec![0.0; params.len()];
        Self { params, first: zeros.clone(), second: zeros, steps: 0 }
    }

    /// Takes a step against `gradient`, which is first scaled down to `max_norm`; gives its norm before that.
    ///
    /// A gradient may be shorter than the weights: the weights beyond it are constants.
    pub fn step(&mut self, gradient: &[f32], learning_rate: f32, max_norm: f32) -> f32 {
        let norm = norm(gradient);
        let scale = (max_norm / (norm + 1e-6)).min(1.0);
        self.steps += 1;
        let unbias = |beta: f32| (1.0 - f64::from(beta).powf(self.steps as f64)) as f32;
        let (unbias_1, unbias_2) = (unbias(BETA_1), unbias(BETA_2).sqrt());
        let rates = Rates { scale, learning_rate, unbias_1, unbias_2 };
        advance(&mut self.params, &mut self.first, &mut self.second, gradient, rates);
        norm
    }
}

/// What is the same for all weights of a step.
#[derive(Clone, Copy)]
struct Rates {
    scale: f32,
    learning_rate: f32,
    unbias_1: f32,
    unbias_2: f32,
}

/// Euclidean length. The order of the sum is fixed, so the vector width does not change the result.
#[multiversion(targets("x86_64+avx2"))]
fn norm(gradient: &[f32]) -> f32 {
    let mut sums = [0.0_f64; LANES];
    let (whole, rest) = gradient.as_chunks::<LANES>();
    for values in whole {
        for lane in 0..LANES {
            sums[lane] += f64::from(values[lane]) * f64::from(values[lane]);
        }
    }
    let rest: f64 = rest.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    (sums.iter().sum::<f64>() + rest).sqrt() as f32
}

/// One step of each weight that has a gradient.
#[multiversion(targets("x86_64+avx2"))]
fn advance(params: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32], rates: Rates) {
    let Rates { scale, learning_rate, unbias_1, unbias_2 } = rates;
    let moments = first.iter_mut().zip(second);
    for ((param, (first, second)), gradient) in params.iter_mut().zip(moments).zip(gradient) {
        let gradient = gradient * scale;
        *first = BETA_1 * *first + (1.0 - BETA_1) * gradient;
        *second = BETA_2 * *second + (1.0 - BETA_2) * gradient * gradient;
        *param -= learning_rate * (*first / unbias_1) / (second.sqrt() / unbias_2 + EPS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_has_the_learning_rates_length() {
        let mut adam = Adam::new(vec![1.0, 1.0, 1.0]);
        let norm = adam.step(&[0.3, -0.4], 0.1, 10.0);
        assert!((norm - 0.5).abs() < 1e-6);
        assert!((adam.params[0] - 0.9).abs() < 1e-4 && (adam.params[1] - 1.1).abs() < 1e-4);
        assert_eq!(adam.params[2], 1.0, "a constant moved");
    }

    #[test]
    fn it_finds_the_minimum_of_a_parabola() {
        let mut adam = Adam::new(vec![3.0, -2.0]);
        for _ in 0..2000 {
            let gradient = [2.0 * (adam.params[0] - 1.0), 20.0 * (adam.params[1] + 1.0)];
            adam.step(&gradient, 0.01, 1e9);
        }
        assert!((adam.params[0] - 1.0).abs() < 1e-2 && (adam.params[1] + 1.0).abs() < 1e-2);
    }
}
