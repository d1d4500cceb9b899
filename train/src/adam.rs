//! Adam (Kingma and Ba 2015) on one flat vector.

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPS: f32 = 1e-5;

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
        let norm = gradient.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>().sqrt() as f32;
        let scale = (max_norm / (norm + 1e-6)).min(1.0);
        self.steps += 1;
        let unbias = |beta: f32| (1.0 - f64::from(beta).powf(self.steps as f64)) as f32;
        let (unbias_1, unbias_2) = (unbias(BETA_1), unbias(BETA_2).sqrt());
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((param, (first, second)), gradient) in self.params.iter_mut().zip(moments).zip(gradient) {
            let gradient = gradient * scale;
            *first = BETA_1 * *first + (1.0 - BETA_1) * gradient;
            *second = BETA_2 * *second + (1.0 - BETA_2) * gradient * gradient;
            *param -= learning_rate * (*first / unbias_1) / (second.sqrt() / unbias_2 + EPS);
        }
        norm
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
