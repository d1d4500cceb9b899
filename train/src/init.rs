//! First weights: orthogonal (Saxe et al. 2014), and the constants that normalise features.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_agent::net::{Dims, Entry, Layout, Sizes};

/// Layers whose output is a logit: nearly zero, so that the first policy is the prior.
const NEARLY_ZERO: [&str; 4] = ["score.w", "wait.1.w", "key.node.w", "actor.2.w"];
const VALUE_HEAD: &str = "value.1.w";
/// Layers whose output is a value.
const VALUE_HEADS: [&str; 2] = [VALUE_HEAD, "critic.2.w"];

/// The critic: the towers and the context of the policy, with `future` beside the global features, and a head.
pub fn critic_layout(dims: &Dims, sizes: &Sizes, future: usize) -> Layout {
    let Sizes { hidden: h, embed: d, context: c, wait: w, .. } = *sizes;
    Layout::new(
        &[
            ("job.0.w", &[dims.job, h]),
            ("job.0.b", &[h]),
            ("job.1.w", &[h, d]),
            ("job.1.b", &[d]),
            ("node.0.w", &[dims.node, h]),
            ("node.0.b", &[h]),
            ("node.1.w", &[h, d]),
            ("node.1.b", &[d]),
            ("context.w", &[4 * d + dims.global + future, c]),
            ("context.b", &[c]),
            ("value.0.w", &[c, w]),
            ("value.0.b", &[w]),
            (VALUE_HEAD, &[w, 1]),
            ("value.1.b", &[1]),
        ],
        &[
            ("norm.future.shift", &[future]),
            ("norm.future.scale", &[future]),
            ("norm.return.shift", &[1]),
            ("norm.return.scale", &[1]),
        ],
    )
}

/// The first flat weights of a layout.
pub fn weights(layout: &Layout, random: &mut Xoshiro256PlusPlus) -> Vec<f32> {
    let mut flat = vec![0.0; layout.total()];
    for entry in layout.entries() {
        let into = &mut flat[entry.offset..][..entry.len()];
        if entry.name.ends_with(".scale") {
            into.fill(1.0);
        } else if entry.name.ends_with(".w") {
            into.copy_from_slice(&orthogonal(entry, gain(entry.name), random));
        }
    }
    flat
}

fn gain(name: &str) -> f64 {
    match name {
        name if VALUE_HEADS.contains(&name) => 1.0,
        name if NEARLY_ZERO.contains(&name) => 0.01,
        _ => std::f64::consts::SQRT_2,
    }
}

/// A matrix (inputs, outputs) whose rows or columns, whichever are fewer, are orthogonal and of length `gain`.
fn orthogonal(entry: &Entry, gain: f64, random: &mut Xoshiro256PlusPlus) -> Vec<f32> {
    let (inputs, outputs) = (entry.shape[0], entry.shape[1]);
    let (few, many) = (inputs.min(outputs), inputs.max(outputs));
    let mut vectors: Vec<Vec<f64>> = Vec::new();
    while vectors.len() < few {
        let mut vector: Vec<f64> = (0..many).map(|_| normal(random)).collect();
        for other in &vectors {
            let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
            vector.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
        let length = vector.iter().map(|a| a * a).sum::<f64>().sqrt();
        if length > 1e-6 {
            vector.iter_mut().for_each(|a| *a /= length);
            vectors.push(vector);
        }
    }
    let at = |i: usize, o: usize| if inputs <= outputs { vectors[i][o] } else { vectors[o][i] };
    (0..inputs * outputs).map(|k| (gain * at(k / outputs, k % outputs)) as f32).collect()
}

/// A standard normal number (Box and Muller 1958).
fn normal(random: &mut Xoshiro256PlusPlus) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

/// Running mean and deviation of columns.
#[derive(Clone, Debug)]
pub struct Moments {
    count: f64,
    sum: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// Of `width` columns.
    pub fn new(width: usize) -> Self {
        Self { count: 0.0, sum: vec![0.0; width], squares: vec![0.0; width] }
    }

    /// Adds rows (any, width).
    pub fn add(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.sum.len().max(1)) {
            self.count += 1.0;
            for (k, value) in row.iter().enumerate() {
                self.sum[k] += f64::from(*value);
                self.squares[k] += f64::from(*value) * f64::from(*value);
            }
        }
    }

    /// Means (width), and one over the deviations (width); one where a column never varied.
    pub fn shift_and_scale(&self) -> (Vec<f32>, Vec<f32>) {
        let count = self.count.max(1.0);
        let mean = |k: usize| self.sum[k] / count;
        let scale = |k: usize| match (self.squares[k] / count - mean(k) * mean(k)).max(0.0).sqrt() {
            deviation if deviation > 1e-4 => (1.0 / deviation) as f32,
            _ => 1.0,
        };
        let columns = 0..self.sum.len();
        (columns.clone().map(|k| mean(k) as f32).collect(), columns.map(scale).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn rows_or_columns_are_orthogonal() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        for shape in [vec![3, 7], vec![7, 3]] {
            let (inputs, outputs) = (shape[0], shape[1]);
            let entry = Entry { name: "x.w", shape, offset: 0 };
            let w = orthogonal(&entry, 2.0, &mut random);
            let vector = |i: usize| -> Vec<f32> {
                if inputs < outputs {
                    w[i * outputs..][..outputs].to_vec()
                } else {
                    w.iter().skip(i).step_by(outputs).copied().collect()
                }
            };
            for a in 0..3 {
                for b in 0..3 {
                    let product: f32 = vector(a).iter().zip(vector(b)).map(|(x, y)| x * y).sum();
                    assert!((product - if a == b { 4.0 } else { 0.0 }).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn moments_are_mean_and_inverse_deviation() {
        let mut moments = Moments::new(2);
        moments.add(&[1.0, 5.0, 3.0, 5.0]);
        assert_eq!(moments.shift_and_scale(), (vec![2.0, 5.0], vec![1.0, 1.0]));
        moments.add(&[8.0, 5.0]);
        let (shift, scale) = moments.shift_and_scale();
        assert!((shift[0] - 4.0).abs() < 1e-6 && (scale[0] - 1.0 / (26.0_f32 / 3.0).sqrt()).abs() < 1e-6);
    }
}
