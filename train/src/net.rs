//! The candidate scorer of `yardmaster_agent::net`, and the critic, on tensors with gradients.

use std::collections::HashMap;

use tch::{Kind, Tensor};
use yardmaster_agent::net::Layout;

use crate::batch::Batch;
use crate::device;

/// Trained weights as one leaf tensor, cut into the layout's arrays.
pub struct Leaf {
    /// (trained weights)
    pub flat: Tensor,
    parts: HashMap<&'static str, Tensor>,
}

impl Leaf {
    /// A leaf with the trained part of `flat`.
    pub fn new(layout: &Layout, flat: &[f32], gradient: bool) -> Self {
        let trained = Tensor::from_slice(&flat[..layout.trained()]).to_device(device::current());
        let leaf = trained.set_requires_grad(gradient);
        let trained: Vec<_> =
            layout.entries().iter().filter(|entry| entry.offset + entry.len() <= layout.trained()).collect();
        let lengths: Vec<i64> = trained.iter().map(|entry| entry.len() as i64).collect();
        let pieces = leaf.split_with_sizes(lengths, 0);
        let shape = |shape: &[usize]| shape.iter().map(|&n| n as i64).collect::<Vec<_>>();
        let named = trained
            .iter()
            .zip(pieces)
            .map(|(entry, piece)| (entry.name, piece.view(shape(&entry.shape).as_slice())));
        let parts = named.collect();
        Self { flat: leaf, parts }
    }

    fn get(&self, name: &str) -> &Tensor {
        &self.parts[name]
    }

    fn affine(&self, x: &Tensor, name: &str) -> Tensor {
        self.get(&format!("{name}.b")).addmm(x, self.get(&format!("{name}.w")))
    }

    /// Rows (rows, features) to (rows, D).
    fn tower(&self, x: &Tensor, name: &str) -> Tensor {
        let hidden = self.affine(x, &format!("{name}.0")).relu();
        self.affine(&hidden, &format!("{name}.1")).relu()
    }

    /// Job rows (J, D), node rows (N, D) and context (B, C).
    fn embed(&self, batch: &Batch, global: &Tensor) -> [Tensor; 3] {
        let jobs = self.tower(&batch.jobs, "job");
        let nodes = self.tower(&batch.nodes, "node");
        let [mean_jobs, max_jobs] = pool(&jobs, &batch.job_counts);
        let [mean_nodes, max_nodes] = pool(&nodes, &batch.node_counts);
        let all = Tensor::cat(&[mean_jobs, max_jobs, mean_nodes, max_nodes, global.shallow_clone()], 1);
        let context = self.affine(&all, "context").relu();
        [jobs, nodes, context]
    }

    /// The policy's logits: (B, most actions), absent actions far below all others.
    pub fn logits(&self, batch: &Batch, lambda: f32) -> Tensor {
        let [jobs, nodes, context] = self.embed(batch, &batch.global);
        let side = |a: &str, b: &str| Tensor::cat(&[self.get(a), self.get(b)], 1);
        let width = self.get("query.job.w").size()[1];
        // Query and hidden layer side by side (D + P): one product and one gather for both.
        let mut shared = context.matmul(&side("query.context.w", "pair.context.w"));
        let none = Tensor::zeros([width], (Kind::Float, self.flat.device()));
        shared += Tensor::cat(&[&none, self.get("pair.b")], 0);
        let of_job = jobs.matmul(&side("query.job.w", "pair.job.w")) + rows(&shared, &batch.job_state);
        let of_node = nodes.matmul(&side("key.node.w", "pair.node.w"));
        let (of_job, of_node) = (rows(&of_job, &batch.pair_job), rows(&of_node, &batch.pair_node));
        let split = |x: &Tensor| (x.narrow(1, 0, width), x.narrow(1, width, x.size()[1] - width));
        let ((query, job), (key, node)) = (split(&of_job), split(&of_node));
        let affinity = (query * key).sum_dim_intlist(1, false, Kind::Float) / (width as f64).sqrt();
        let hidden = (job + node + batch.pairs.matmul(self.get("pair.pair.w"))).relu();
        let score = hidden.matmul(self.get("score.w")).squeeze_dim(1);
        let wait = self.affine(&self.affine(&context, "wait.0").relu(), "wait.1").squeeze_dim(1);
        let all = Tensor::cat(&[affinity + score, wait, batch.absent()], 0);
        let logits = all.index_select(0, &batch.slots.view(-1)).view_as(&batch.slots);
        logits + &batch.prior * f64::from(lambda)
    }

    /// The critic's values in units of the normalised return: (B)
    pub fn values(&self, batch: &Batch) -> Tensor {
        let global = Tensor::cat(&[&batch.global, &batch.future], 1);
        let [_, _, context] = self.embed(batch, &global);
        self.affine(&self.affine(&context, "value.0").relu(), "value.1").squeeze_dim(1)
    }
}

/// Means and maxima of consecutive rows (any, D), `counts` (B) of them each: (B, D), zeros where there are none.
fn pool(rows: &Tensor, counts: &Tensor) -> [Tensor; 2] {
    let reduce = |how: &str| {
        Tensor::segment_reduce(rows, how, Some(counts), None::<&Tensor>, None::<&Tensor>, 0, false, 0.0)
    };
    [reduce("mean"), reduce("max")]
}

/// Rows of `x` (rows, width) by index (any).
fn rows(x: &Tensor, index: &Tensor) -> Tensor {
    x.index_select(0, index)
}
