//! The arithmetic of the network: a few dense loops, the same bits on every machine.
//!
//! Each output is its start value plus its products in ascending order of the input, a multiplication and an
//! addition apiece, never fused. Only different outputs share a vector instruction, so the width that the
//! compiler picks changes the speed and not one bit of a result.

use multiversion::multiversion;
use ndarray::ArrayView2;

/// Rows and outputs that are computed together, so that they stay in registers.
const ROWS: usize = 4;
const OUTPUTS: usize = 16;
/// Of what is left of the outputs.
const HALF: usize = 8;
/// Partial sums of a dot product.
const LANES: usize = 8;

/// `out[r, o] += sum_k x[r, k] w[k, o]`.
///
/// Shapes: `x` (rows, inputs), `w` (inputs, outputs), `out` (rows, outputs), all row-major.
pub fn add_product(x: &[f32], w: ArrayView2<'_, f32>, out: &mut [f32]) {
    let (inputs, outputs) = w.dim();
    let w = w.to_slice().expect("the weights of a layout are contiguous");
    if inputs == 0 || outputs == 0 {
        return;
    }
    debug_assert_eq!(x.len() / inputs, out.len() / outputs, "rows in and rows out differ");
    add_slices(x, w, inputs, outputs, out);
}

/// [`add_product`] on slices, compiled once for each vector width and chosen when it runs.
#[multiversion(targets("x86_64+avx2"))]
fn add_slices(x: &[f32], w: &[f32], inputs: usize, outputs: usize, out: &mut [f32]) {
    let whole = x.len() / inputs / ROWS * ROWS;
    let (x_whole, x_rest) = x.split_at(whole * inputs);
    let (out_whole, out_rest) = out.split_at_mut(whole * outputs);
    for (x, out) in x_whole.chunks_exact(ROWS * inputs).zip(out_whole.chunks_exact_mut(ROWS * outputs)) {
        add_rows::<ROWS>(x, w, outputs, out);
    }
    for (x, out) in x_rest.chunks_exact(inputs).zip(out_rest.chunks_exact_mut(outputs)) {
        add_rows::<1>(x, w, outputs, out);
    }
}

/// [`add_product`] for exactly `R` rows.
#[inline(always)]
fn add_rows<const R: usize>(x: &[f32], w: &[f32], outputs: usize, out: &mut [f32]) {
    let mut first = 0;
    while first + OUTPUTS <= outputs {
        add_block::<R, OUTPUTS>(x, w, outputs, first, out);
        first += OUTPUTS;
    }
    while first + HALF <= outputs {
        add_block::<R, HALF>(x, w, outputs, first, out);
        first += HALF;
    }
    while first < outputs {
        add_block::<R, 1>(x, w, outputs, first, out);
        first += 1;
    }
}

/// [`add_product`] for `R` rows and the outputs `first..first + O`.
#[inline(always)]
fn add_block<const R: usize, const O: usize>(
    x: &[f32],
    w: &[f32],
    outputs: usize,
    first: usize,
    out: &mut [f32],
) {
    let inputs = x.len() / R;
    let rows: [&[f32]; R] = std::array::from_fn(|r| &x[r * inputs..][..inputs]);
    let mut sums: [[f32; O]; R] = std::array::from_fn(|r| take(&out[r * outputs + first..]));
    for k in 0..inputs {
        let weights: [f32; O] = take(&w[k * outputs + first..]);
        for r in 0..R {
            let value = rows[r][k];
            for o in 0..O {
                sums[r][o] += value * weights[o];
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        out[r * outputs + first..][..O].copy_from_slice(sums);
    }
}

/// The first `O` values.
#[inline(always)]
fn take<const O: usize>(values: &[f32]) -> [f32; O] {
    *values.first_chunk().expect("a block lies inside its row")
}

/// The sum of `a[k] b[k]`, in eight partial sums that are added pairwise at the end.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (a_whole, a_rest) = a.as_chunks::<LANES>();
    let (b_whole, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += a * b;
    }
    add_pairwise(sums)
}

/// The sum of `max(hidden[k], 0) w[k]`, summed as in [`dot`].
pub fn relu_dot(hidden: &[f32], w: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (h_whole, h_rest) = hidden.as_chunks::<LANES>();
    let (w_whole, w_rest) = w.as_chunks::<LANES>();
    for (h, w) in h_whole.iter().zip(w_whole) {
        for lane in 0..LANES {
            sums[lane] += h[lane].max(0.0) * w[lane];
        }
    }
    for (lane, (h, w)) in h_rest.iter().zip(w_rest).enumerate() {
        sums[lane] += h.max(0.0) * w;
    }
    add_pairwise(sums)
}

fn add_pairwise(s: [f32; LANES]) -> f32 {
    ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

/// Each value below zero becomes zero.
pub fn relu(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}

/// Fills `out` (rows, width) with copies of `row` (width).
pub fn repeat(row: &[f32], out: &mut [f32]) {
    if !row.is_empty() {
        out.chunks_exact_mut(row.len()).for_each(|to| to.copy_from_slice(row));
    }
}

/// `out = clamp((x - shift) * scale, -clip, clip)` by column; `x` and `out` (rows, width), the others (width).
pub fn normalise(x: &[f32], shift: &[f32], scale: &[f32], clip: f32, out: &mut [f32]) {
    if shift.is_empty() {
        return;
    }
    for (x, out) in x.chunks_exact(shift.len()).zip(out.chunks_exact_mut(shift.len())) {
        for (k, to) in out.iter_mut().enumerate() {
            *to = ((x[k] - shift[k]) * scale[k]).clamp(-clip, clip);
        }
    }
}

/// Column means and column maxima (at least zero) of `rows` (any, width); zeros where there are no rows.
pub fn pool(rows: &[f32], mean: &mut [f32], max: &mut [f32]) {
    mean.fill(0.0);
    max.fill(0.0);
    let width = mean.len();
    for row in rows.chunks_exact(width) {
        for k in 0..width {
            mean[k] += row[k];
            max[k] = max[k].max(row[k]);
        }
    }
    let count = (rows.len() / width).max(1) as f32;
    mean.iter_mut().for_each(|value| *value /= count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(x: &[f32], w: ArrayView2<'_, f32>, out: &mut [f32]) {
        let (inputs, outputs) = w.dim();
        for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact_mut(outputs)) {
            for (o, to) in out.iter_mut().enumerate() {
                for (k, x) in x.iter().enumerate() {
                    *to += x * w[[k, o]];
                }
            }
        }
    }

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    proptest! {
        #[test]
        fn blocks_equal_the_plain_loop_bit_for_bit(rows in 0..11_usize, inputs in 1..40_usize, outputs in 1..40_usize, seed: u32) {
            let x = numbers(rows * inputs, seed);
            let w = numbers(inputs * outputs, !seed);
            let w = ArrayView2::from_shape((inputs, outputs), &w).unwrap();
            let mut out = numbers(rows * outputs, seed ^ 77);
            let mut expected = out.clone();
            add_product(&x, w, &mut out);
            naive(&x, w, &mut expected);
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn dot_is_the_sum_of_products(count in 0..50_usize, seed: u32) {
            let (a, b) = (numbers(count, seed), numbers(count, !seed));
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-5);
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a.max(0.0)) * f64::from(*b)).sum();
            prop_assert!((f64::from(relu_dot(&a, &b)) - exact).abs() < 1e-5);
        }
    }

    #[test]
    fn pooling_no_rows_gives_zeros() {
        let (mut mean, mut max) = ([1.0; 2], [1.0; 2]);
        pool(&[], &mut mean, &mut max);
        assert_eq!((mean, max), ([0.0; 2], [0.0; 2]));
        pool(&[1.0, -2.0, 3.0, -4.0], &mut mean, &mut max);
        assert_eq!((mean, max), ([2.0, -3.0], [3.0, 0.0]));
    }
}
