//! An actor and a critic for flat observations: two layers of tanh each, in one flat vector of weights.
//!
//! Forward and backward passes are written by hand and work on many rows at a time. At this size the calls of an
//! automatic differentiation weigh more than the arithmetic; `tests/vector.rs` compares the gradients with libtorch's.

use ndarray::ArrayView2;
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_agent::kernel::{add_product, repeat};
use yardmaster_agent::net::Layout;

use super::kernel::{add_rows, add_transposed_product, tanh, tanh_backward, transpose};
use crate::init;

/// Widths of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Values of an observation.
    pub observation: usize,
    /// Units of each hidden layer.
    pub hidden: usize,
    /// Number of actions.
    pub actions: usize,
}

/// Where the weights of both towers lie. The weights themselves belong to the optimiser.
#[derive(Clone, Debug, PartialEq)]
pub struct ActorCritic {
    /// Observations (rows, observation) to logits (rows, actions).
    pub actor: Tower,
    /// Observations (rows, observation) to values (rows, 1).
    pub critic: Tower,
    layout: Layout,
}

impl ActorCritic {
    /// A network of this shape.
    pub fn new(Shape { observation: x, hidden: h, actions: a }: Shape) -> Self {
        let layout = Layout::new(
            &[
                ("actor.0.w", &[x, h]),
                ("actor.0.b", &[h]),
                ("actor.1.w", &[h, h]),
                ("actor.1.b", &[h]),
                ("actor.2.w", &[h, a]),
                ("actor.2.b", &[a]),
                ("critic.0.w", &[x, h]),
                ("critic.0.b", &[h]),
                ("critic.1.w", &[h, h]),
                ("critic.1.b", &[h]),
                ("critic.2.w", &[h, 1]),
                ("critic.2.b", &[1]),
            ],
            &[],
        );
        let actor = Tower { first: 0, widths: [x, h, h, a] };
        let critic = Tower { first: actor.length(), widths: [x, h, h, 1] };
        debug_assert_eq!(layout.total(), actor.length() + critic.length());
        Self { actor, critic, layout }
    }

    /// Names and places of the weights.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// First weights: orthogonal, the last layers scaled to 0.01 (actor) and 1 (critic), biases zero.
    pub fn weights(&self, random: &mut Xoshiro256PlusPlus) -> Vec<f32> {
        init::weights(&self.layout, random)
    }
}

/// Three layers: tanh, tanh, affine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tower {
    /// Where its weights begin.
    first: usize,
    /// Inputs, hidden, hidden, outputs.
    widths: [usize; 4],
}

/// What a forward pass leaves for the backward pass; the buffers are used again.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    /// Hidden layers: (rows, hidden) each.
    hidden: [Vec<f32>; 2],
    /// (rows, outputs)
    pub out: Vec<f32>,
}

/// Buffers of a backward pass.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Gradients of the two hidden layers: (rows, hidden) each.
    hidden: [Vec<f32>; 2],
    transposed: Vec<f32>,
}

impl Tower {
    fn length(&self) -> usize {
        self.widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
    }

    /// Where the weights of a layer begin, its inputs and its outputs; the biases follow the weights.
    fn layer(&self, layer: usize) -> (usize, usize, usize) {
        let before = self.widths[..=layer].windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum::<usize>();
        (self.first + before, self.widths[layer], self.widths[layer + 1])
    }

    /// Observations (rows, inputs) to `activations.out` (rows, outputs), with the weights of the whole network.
    pub fn forward(&self, weights: &[f32], x: &[f32], activations: &mut Activations) {
        let Activations { hidden: [first, second], out } = activations;
        self.affine(0, weights, x, first);
        tanh(first);
        self.affine(1, weights, first, second);
        tanh(second);
        self.affine(2, weights, second, out);
    }

    fn affine(&self, layer: usize, weights: &[f32], x: &[f32], out: &mut Vec<f32>) {
        let (at, inputs, outputs) = self.layer(layer);
        out.resize(x.len() / inputs * outputs, 0.0);
        repeat(&weights[at + inputs * outputs..][..outputs], out);
        add_product(x, matrix(&weights[at..], inputs, outputs), out);
    }

    /// Adds to `gradient`, which is as long as the weights, what `of_out` (rows, outputs), the gradient of the
    /// last forward pass's result, means for them.
    pub fn backward(
        &self,
        weights: &[f32],
        x: &[f32],
        activations: &Activations,
        of_out: &[f32],
        scratch: &mut Scratch,
        gradient: &mut [f32],
    ) {
        let Activations { hidden: [first, second], .. } = activations;
        let Scratch { hidden: [of_first, of_second], transposed } = scratch;
        self.gather(2, second, of_out, gradient);
        self.descend(2, weights, of_out, transposed, of_second);
        tanh_backward(second, of_second);
        self.gather(1, first, of_second, gradient);
        self.descend(1, weights, of_second, transposed, of_first);
        tanh_backward(first, of_first);
        self.gather(0, x, of_first, gradient);
    }

    /// The gradient of a layer's weights and biases, from its inputs and the gradient of its outputs.
    fn gather(&self, layer: usize, x: &[f32], of_out: &[f32], gradient: &mut [f32]) {
        let (at, inputs, outputs) = self.layer(layer);
        let (of_weights, of_biases) = gradient[at..][..(inputs + 1) * outputs].split_at_mut(inputs * outputs);
        add_transposed_product(x, of_out, inputs, outputs, of_weights);
        add_rows(of_out, of_biases);
    }

    /// The gradient of a layer's inputs, from that of its outputs.
    fn descend(
        &self,
        layer: usize,
        weights: &[f32],
        of_out: &[f32],
        transposed: &mut Vec<f32>,
        of_in: &mut Vec<f32>,
    ) {
        let (at, inputs, outputs) = self.layer(layer);
        transposed.resize(inputs * outputs, 0.0);
        transpose(&weights[at..][..inputs * outputs], outputs, transposed);
        of_in.clear();
        of_in.resize(of_out.len() / outputs * inputs, 0.0);
        add_product(of_out, matrix(transposed, outputs, inputs), of_in);
    }
}

fn matrix(values: &[f32], rows: usize, columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), &values[..rows * columns]).expect("a slice has its own length")
}
