//! The candidate scorer: one logit for each legal action, whatever the size of the cluster.
//!
//! ```text
//! e_j = tower(job row)      e_n = tower(node row)      the same weights for each row
//! c   = relu(context [mean e_j, max e_j, mean e_n, max e_n, global])
//! candidate (j, n, pair):  (query.job e_j + query.context c) . (key.node e_n) / sqrt(D)
//!                          + score . relu(pair.pair pair + pair.job e_j + pair.node e_n + pair.context c + b)
//! wait:                    wait.1 relu(wait.0 c)
//! the prior's action:      + lambda
//! ```
//!
//! ReLU is the only non-linearity: there is no `exp` here whose last bit could differ between machines.

use ndarray::ArrayView2;
use thiserror::Error;
use yardmaster_env::observe::Observation;

use crate::kernel::{add_product, dot, normalise, pool, relu, relu_dot, repeat};
pub use crate::net_layout::{Dims, Entry, Layout, Sizes};

/// Normalised features are clipped to `-CLIP..=CLIP`.
pub const CLIP: f32 = 10.0;

/// Why weights and a layout do not make a network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NetError {
    /// The flat vector has another length than the layout.
    #[error("{got} weights for a network of {need}")]
    Length {
        /// Weights given.
        got: usize,
        /// Weights needed.
        need: usize,
    },
    /// A weight is infinite or not a number.
    #[error("weight {index} of `{name}` is {value}")]
    NotFinite {
        /// Name of the array.
        name: &'static str,
        /// Place in that array.
        index: usize,
        /// The value, as text.
        value: String,
    },
    /// A layer without a unit.
    #[error("layer width `{0}` is zero")]
    ZeroWidth(&'static str),
}

/// Places of the arrays in the policy's layout.
#[derive(Clone, Copy)]
enum Slot {
    Job,
    Node = 4,
    Context = 8,
    QueryJob = 10,
    QueryContext,
    KeyNode,
    PairPair,
    PairJob,
    PairNode,
    PairContext,
    PairBias,
    Score,
    Wait,
    Norm = 23,
}

/// A group of features, by its place among the normaliser's arrays.
#[derive(Clone, Copy)]
enum Group {
    Global,
    Job,
    Node,
    Pair,
}

/// The forward pass. It never changes; a trainer makes a new one for each set of weights.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyNet {
    dims: Dims,
    sizes: Sizes,
    layout: Layout,
    params: Vec<f32>,
    lambda: f32,
}

/// The buffers of a decision; they grow when a larger observation comes and are then reused.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    features: Vec<f32>,   // the group at hand, normalised
    hidden: Vec<f32>,     // (rows, H)
    jobs: Vec<f32>,       // (jobs, D)
    nodes: Vec<f32>,      // (nodes, D)
    pooled: Vec<f32>,     // (4 D + global)
    context: Vec<f32>,    // (C)
    query_bias: Vec<f32>, // (D)
    queries: Vec<f32>,    // (jobs, D)
    keys: Vec<f32>,       // (nodes, D)
    pair_bias: Vec<f32>,  // (P)
    pair_jobs: Vec<f32>,  // (jobs, P)
    pair_nodes: Vec<f32>, // (nodes, P)
    pairs: Vec<f32>,      // (candidates, P)
    logits: Vec<f32>,     // (actions)
}

impl PolicyNet {
    /// A network from its flat weights, in the order of [`Layout::policy`].
    pub fn new(dims: Dims, sizes: Sizes, lambda: f32, params: &[f32]) -> Result<Self, NetError> {
        let widths = [
            ("hidden", sizes.hidden),
            ("embed", sizes.embed),
            ("context", sizes.context),
            ("pair", sizes.pair),
            ("wait", sizes.wait),
        ];
        if let Some((name, _)) = widths.iter().find(|(_, width)| *width == 0) {
            return Err(NetError::ZeroWidth(name));
        }
        let layout = Layout::policy(&dims, &sizes);
        if params.len() != layout.total() {
            return Err(NetError::Length { got: params.len(), need: layout.total() });
        }
        if let Some(at) = params.iter().position(|value| !value.is_finite()) {
            let entry = layout.entries().iter().rfind(|entry| entry.offset <= at && !entry.is_empty());
            let (name, offset) = entry.map_or(("", 0), |entry| (entry.name, entry.offset));
            return Err(NetError::NotFinite { name, index: at - offset, value: params[at].to_string() });
        }
        Ok(Self { dims, sizes, layout, params: params.to_vec(), lambda })
    }

    /// Widths of the features.
    pub fn dims(&self) -> &Dims {
        &self.dims
    }

    /// Widths of the layers.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Names, shapes and offsets of the weights.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The flat weights.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// What the logit of the prior's action is raised by.
    pub fn lambda(&self) -> f32 {
        self.lambda
    }

    /// One logit for each action, in the order of [`Observation`]: (actions).
    ///
    /// `prior` is the action that the prior heuristic takes, if it takes one.
    pub fn logits<'s>(&self, obs: &Observation, prior: Option<usize>, scratch: &'s mut Scratch) -> &'s [f32] {
        self.check_shapes(obs);
        self.embed(obs, scratch);
        self.pool_context(obs, scratch);
        self.project(scratch);
        scratch.logits.clear();
        self.score_candidates(obs, scratch);
        if obs.wait {
            let wait = self.wait_logit(scratch);
            scratch.logits.push(wait);
        }
        if let Some(logit) = prior.and_then(|action| scratch.logits.get_mut(action)) {
            *logit += self.lambda;
        }
        &scratch.logits
    }

    /// The action of the highest logit, the first of equals; `None` where no action is legal.
    pub fn choose(&self, obs: &Observation, prior: Option<usize>, scratch: &mut Scratch) -> Option<usize> {
        first_highest(self.logits(obs, prior, scratch))
    }

    fn check_shapes(&self, obs: &Observation) {
        let Dims { global, job, node, pair } = self.dims;
        assert_eq!(obs.global.len(), global, "global features");
        assert_eq!(obs.pair_features.len(), obs.pairs.len() * pair, "pair features");
        assert_eq!(obs.jobs.len() % job.max(1), 0, "job features");
        assert_eq!(obs.nodes.len() % node.max(1), 0, "node features");
        debug_assert!(
            obs.global.iter().chain(&obs.jobs).chain(&obs.nodes).all(|x| x.is_finite())
                && obs.pair_features.iter().all(|x| x.is_finite()),
            "a feature is not finite"
        );
    }

    fn embed(&self, obs: &Observation, s: &mut Scratch) {
        self.normalise(Group::Job, &obs.jobs, &mut s.features);
        self.tower(Slot::Job, self.dims.job, &s.features, &mut s.hidden, &mut s.jobs);
        self.normalise(Group::Node, &obs.nodes, &mut s.features);
        self.tower(Slot::Node, self.dims.node, &s.features, &mut s.hidden, &mut s.nodes);
    }

    /// Two layers over rows: `x` (rows, width) to `out` (rows, D).
    fn tower(&self, first: Slot, width: usize, x: &[f32], hidden: &mut Vec<f32>, out: &mut Vec<f32>) {
        let first = first as usize;
        let rows = x.len() / width.max(1);
        self.affine(x, first, self.vector(first + 1), rows, hidden);
        relu(hidden);
        self.affine(hidden, first + 2, self.vector(first + 3), rows, out);
        relu(out);
    }

    fn pool_context(&self, obs: &Observation, s: &mut Scratch) {
        let d = self.sizes.embed;
        s.pooled.resize(4 * d, 0.0);
        for (rows, pooled) in [&s.jobs, &s.nodes].into_iter().zip(s.pooled.chunks_exact_mut(2 * d)) {
            let (mean, max) = pooled.split_at_mut(d);
            pool(rows, mean, max);
        }
        self.normalise(Group::Global, &obs.global, &mut s.features);
        s.pooled.extend_from_slice(&s.features);
        let context = Slot::Context as usize;
        self.affine(&s.pooled, context, self.vector(context + 1), 1, &mut s.context);
        relu(&mut s.context);
    }

    /// What candidates share: once for each job row, each node row and the context.
    fn project(&self, s: &mut Scratch) {
        let (jobs, nodes) = (s.jobs.len() / self.sizes.embed, s.nodes.len() / self.sizes.embed);
        self.linear(&s.context, Slot::QueryContext as usize, 1, &mut s.query_bias);
        self.affine(&s.jobs, Slot::QueryJob as usize, &s.query_bias, jobs, &mut s.queries);
        self.linear(&s.nodes, Slot::KeyNode as usize, nodes, &mut s.keys);
        let bias = self.vector(Slot::PairBias as usize);
        self.affine(&s.context, Slot::PairContext as usize, bias, 1, &mut s.pair_bias);
        self.affine(&s.jobs, Slot::PairJob as usize, &s.pair_bias, jobs, &mut s.pair_jobs);
        self.linear(&s.nodes, Slot::PairNode as usize, nodes, &mut s.pair_nodes);
    }

    fn score_candidates(&self, obs: &Observation, s: &mut Scratch) {
        let Sizes { embed: d, pair: p, .. } = self.sizes;
        let row = |index: u32, width: usize| index as usize * width..(index as usize + 1) * width;
        self.normalise(Group::Pair, &obs.pair_features, &mut s.features);
        s.pairs.resize(obs.pairs.len() * p, 0.0);
        for (pair, hidden) in obs.pairs.iter().zip(s.pairs.chunks_exact_mut(p)) {
            let of_job = &s.pair_jobs[row(pair.job, p)];
            let of_node = &s.pair_nodes[row(pair.node, p)];
            for ((to, job), node) in hidden.iter_mut().zip(of_job).zip(of_node) {
                *to = job + node;
            }
        }
        add_product(&s.features, self.matrix(Slot::PairPair as usize), &mut s.pairs);
        let score = self.vector(Slot::Score as usize);
        let root = (d as f32).sqrt();
        for (pair, hidden) in obs.pairs.iter().zip(s.pairs.chunks_exact(p)) {
            let query = &s.queries[row(pair.job, d)];
            let key = &s.keys[row(pair.node, d)];
            s.logits.push(dot(query, key) / root + relu_dot(hidden, score));
        }
    }

    fn wait_logit(&self, s: &mut Scratch) -> f32 {
        let wait = Slot::Wait as usize;
        self.affine(&s.context, wait, self.vector(wait + 1), 1, &mut s.hidden);
        relu_dot(&s.hidden, self.vector(wait + 2)) + self.vector(wait + 3)[0]
    }

    /// `out = bias + x w`, `x` (rows, inputs), `out` (rows, outputs).
    fn affine(&self, x: &[f32], slot: usize, bias: &[f32], rows: usize, out: &mut Vec<f32>) {
        let w = self.matrix(slot);
        out.resize(rows * w.ncols(), 0.0);
        repeat(bias, out);
        add_product(x, w, out);
    }

    /// `out = x w`, `x` (rows, inputs), `out` (rows, outputs).
    fn linear(&self, x: &[f32], slot: usize, rows: usize, out: &mut Vec<f32>) {
        let w = self.matrix(slot);
        out.clear();
        out.resize(rows * w.ncols(), 0.0);
        add_product(x, w, out);
    }

    /// The first feature of an observation, by group and place, that lies so far from what was seen in training that
    /// the network sees it clipped: more than [`CLIP`] of its scales from its mean.
    pub fn unfamiliar(&self, obs: &Observation) -> Option<(&'static str, usize)> {
        let groups = [
            ("global", Group::Global, &obs.global),
            ("job", Group::Job, &obs.jobs),
            ("node", Group::Node, &obs.nodes),
            ("pair", Group::Pair, &obs.pair_features),
        ];
        groups.into_iter().find_map(|(name, group, values)| {
            let slot = Slot::Norm as usize + 2 * group as usize;
            let (shift, scale) = (self.vector(slot), self.vector(slot + 1));
            let far = |row: &[f32]| {
                let mut features = row.iter().zip(shift.iter().zip(scale));
                features.position(|(value, (shift, scale))| ((value - shift) * scale).abs() > CLIP)
            };
            values.chunks(shift.len().max(1)).find_map(far).map(|at| (name, at))
        })
    }

    fn normalise(&self, group: Group, x: &[f32], out: &mut Vec<f32>) {
        let slot = Slot::Norm as usize + 2 * group as usize;
        out.resize(x.len(), 0.0);
        normalise(x, self.vector(slot), self.vector(slot + 1), CLIP, out);
    }

    /// The matrix in that slot: (inputs, outputs).
    fn matrix(&self, slot: usize) -> ArrayView2<'_, f32> {
        let shape = &self.layout.entries()[slot].shape;
        ArrayView2::from_shape((shape[0], shape[1]), self.vector(slot)).expect("the layout's own shape")
    }

    /// All values in that slot.
    fn vector(&self, slot: usize) -> &[f32] {
        let entry = &self.layout.entries()[slot];
        &self.params[entry.offset..][..entry.len()]
    }
}

/// Index of the highest value, the first of equals.
pub fn first_highest(values: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (index, &value) in values.iter().enumerate() {
        if best.is_none_or(|(_, highest)| value > highest) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
#[path = "net_tests.rs"]
pub(crate) mod tests;
