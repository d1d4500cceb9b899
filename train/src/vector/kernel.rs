//! What a hand-written backward pass needs beside `yardmaster_agent::kernel`: products with a transposed side, and tanh.
//!
//! The rules are those of that module: a sum is taken in a fixed order, a multiplication and an addition are never
//! fused, and only different outputs share a vector instruction. So a seed gives the same weights on every machine.

use multiversion::multiversion;

/// Rows and columns of a result that are computed together, so that they stay in registers.
const ROWS: usize = 4;
const COLUMNS: usize = 16;

/// `out[i, o] += sum_r x[r, i] y[r, o]`: the gradient of weights from a layer's input and its output's gradient.
///
/// Shapes: `x` (rows, inputs), `y` (rows, outputs), `out` (inputs, outputs), all row-major.
pub(super) fn add_transposed_product(x: &[f32], y: &[f32], inputs: usize, outputs: usize, out: &mut [f32]) {
    debug_assert_eq!(x.len() / inputs, y.len() / outputs, "the two sides have different numbers of rows");
    debug_assert_eq!(out.len(), inputs * outputs);
    transposed_product(x, y, inputs, outputs, out);
}

#[multiversion(targets("x86_64+avx2"))]
fn transposed_product(x: &[f32], y: &[f32], inputs: usize, outputs: usize, out: &mut [f32]) {
    let whole = inputs / ROWS * ROWS;
    for first in (0..whole).step_by(ROWS) {
        transposed_rows::<ROWS>(x, y, (inputs, outputs), first, out);
    }
    for first in whole..inputs {
        transposed_rows::<1>(x, y, (inputs, outputs), first, out);
    }
}

/// The result's rows `first..first + R`.
#[inline(always)]
fn transposed_rows<const R: usize>(
    x: &[f32],
    y: &[f32],
    shape: (usize, usize),
    first: usize,
    out: &mut [f32],
) {
    let outputs = shape.1;
    let whole = outputs / COLUMNS * COLUMNS;
    for column in (0..whole).step_by(COLUMNS) {
        transposed_block::<R, COLUMNS>(x, y, shape, (first, column), out);
    }
    for column in whole..outputs {
        transposed_block::<R, 1>(x, y, shape, (first, column), out);
    }
}

/// The result's rows `row..row + R` and columns `column..column + C`.
#[inline(always)]
fn transposed_block<const R: usize, const C: usize>(
    x: &[f32],
    y: &[f32],
    (inputs, outputs): (usize, usize),
    (row, column): (usize, usize),
    out: &mut [f32],
) {
    let mut sums: [[f32; C]; R] = std::array::from_fn(|r| take(&out[(row + r) * outputs + column..]));
    for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact(outputs)) {
        let (left, right): ([f32; R], [f32; C]) = (take(&x[row..]), take(&y[column..]));
        for r in 0..R {
            for c in 0..C {
                sums[r][c] += left[r] * right[c];
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        out[(row + r) * outputs + column..][..C].copy_from_slice(sums);
    }
}

#[inline(always)]
fn take<const N: usize>(values: &[f32]) -> [f32; N] {
    *values.first_chunk().expect("a block lies inside its row")
}

/// `out` (columns, rows) becomes the transpose of `x` (rows, columns).
pub(super) fn transpose(x: &[f32], columns: usize, out: &mut [f32]) {
    let rows = x.len() / columns;
    for (r, row) in x.chunks_exact(columns).enumerate() {
        for (c, value) in row.iter().enumerate() {
            out[c * rows + r] = *value;
        }
    }
}

/// Adds the rows of `x` (rows, columns) to `out` (columns).
pub(super) fn add_rows(x: &[f32], out: &mut [f32]) {
    for row in x.chunks_exact(out.len()) {
        out.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

/// The hyperbolic tangent of each value, to 4e-7.
///
/// Lambert's continued fraction, cut after its ninth level, gives tanh y = n / d at half of the argument; doubling it,
/// tanh 2y = 2 n d / (d d + n n), takes one division and squares what the cut left out.
pub(super) fn tanh(values: &mut [f32]) {
    tanh_slice(values);
}

#[multiversion(targets("x86_64+avx2"))]
fn tanh_slice(values: &mut [f32]) {
    for value in values {
        // Beyond this the tangent is one in f32.
        let y = value.clamp(-9.2, 9.2) * 0.5;
        let s = y * y;
        let n = y * (34_459_425.0 + s * (4_729_725.0 + s * (135_135.0 + s * (990.0 + s))));
        let d = 34_459_425.0 + s * (16_216_200.0 + s * (945_945.0 + s * (13_860.0 + s * 45.0)));
        // Rounding could lead past one, and the gradient below zero.
        *value = (2.0 * n * d / (d * d + n * n)).clamp(-1.0, 1.0);
    }
}

/// Turns gradients of tanh values into gradients of their arguments: `gradient *= 1 - tanh^2`.
pub(super) fn tanh_backward(tanh: &[f32], gradient: &mut [f32]) {
    gradient.iter_mut().zip(tanh).for_each(|(gradient, tanh)| *gradient *= 1.0 - tanh * tanh);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, mut state: u32) -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn blocks_equal_the_plain_loop_bit_for_bit() {
        for (rows, inputs, outputs) in [(1, 1, 1), (5, 4, 64), (64, 64, 16), (9, 7, 35), (3, 64, 2)] {
            let (x, y) = (numbers(rows * inputs, 3), numbers(rows * outputs, 4));
            let mut out = numbers(inputs * outputs, 5);
            let mut expected = out.clone();
            add_transposed_product(&x, &y, inputs, outputs, &mut out);
            for (i, row) in expected.chunks_exact_mut(outputs).enumerate() {
                for (o, sum) in row.iter_mut().enumerate() {
                    (0..rows).for_each(|r| *sum += x[r * inputs + i] * y[r * outputs + o]);
                }
            }
            assert_eq!(out, expected, "{rows} x {inputs} x {outputs}");
        }
    }

    #[test]
    fn transposing_swaps_rows_and_columns() {
        let mut out = [0.0; 6];
        transpose(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, &mut out);
        assert_eq!(out, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let mut sums = [1.0; 3];
        add_rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut sums);
        assert_eq!(sums, [6.0, 8.0, 10.0]);
    }

    #[test]
    fn tanh_is_exact_to_four_in_ten_million() {
        let grid: Vec<f32> = (-120_000..=120_000).map(|i| i as f32 * 1e-4).chain([-1e30, 1e30]).collect();
        let mut got = grid.clone();
        tanh(&mut got);
        let gap = |(x, got): (&f32, &f32)| (f64::from(*x).tanh() - f64::from(*got)).abs();
        let largest = grid.iter().zip(&got).map(gap).fold(0.0, f64::max);
        assert!(largest < 4e-7, "{largest}");
        assert!(got.iter().all(|value| value.abs() <= 1.0));
    }

    #[test]
    fn gradients_of_tanh_are_difference_quotients() {
        let x = [-1.5_f32, -0.1, 0.0, 0.7];
        let mut values = x;
        tanh(&mut values);
        let mut gradient = [2.0; 4];
        tanh_backward(&values, &mut gradient);
        for (x, gradient) in x.iter().zip(gradient) {
            let exact = (f64::from(x + 1e-3).tanh() - f64::from(x - 1e-3).tanh()) / 2e-3;
            assert!((f64::from(gradient) - 2.0 * exact).abs() < 1e-3);
        }
    }
}
