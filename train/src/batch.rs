//! Ragged decisions as tensors: rows of all decisions one after another, with the indices that tie them together.

use tch::{Kind, Tensor};
use yardmaster_agent::kernel::normalise;
use yardmaster_agent::net::{CLIP, Layout};

use crate::device;
use crate::rollout::State;

/// The logit of an action that is not there.
const ABSENT: f64 = -1e9;

/// Normalised features and indices of B decisions with J job rows, N node rows and K candidates in all.
pub struct Batch {
    /// (B, global)
    pub global: Tensor,
    /// (B, future)
    pub future: Tensor,
    /// (J, job)
    pub jobs: Tensor,
    /// (N, node)
    pub nodes: Tensor,
    /// (K, pair)
    pub pairs: Tensor,
    /// Decision of each job row: (J)
    pub job_state: Tensor,
    /// Job row of each candidate: (K)
    pub pair_job: Tensor,
    /// Node row of each candidate: (K)
    pub pair_node: Tensor,
    /// Job rows of each decision: (B)
    pub job_counts: Tensor,
    /// Node rows of each decision: (B)
    pub node_counts: Tensor,
    /// Where the logit of each action lies in [candidates, waits, absent]: (B, most actions)
    pub slots: Tensor,
    /// One at the prior's action: (B, most actions)
    pub prior: Tensor,
    /// Number of decisions.
    pub size: i64,
}

/// The same in plain vectors, while it grows.
#[derive(Default)]
struct Rows {
    global: Vec<f32>,
    future: Vec<f32>,
    jobs: Vec<f32>,
    nodes: Vec<f32>,
    pairs: Vec<f32>,
    job_state: Vec<i64>,
    pair_job: Vec<i64>,
    pair_node: Vec<i64>,
    job_counts: Vec<i64>,
    node_counts: Vec<i64>,
}

impl Batch {
    /// Gathers decisions and normalises them with the constants of the policy's and the critic's weights.
    pub fn new(states: &[&State], policy: (&Layout, &[f32]), critic: (&Layout, &[f32])) -> Self {
        let normal = |part: (&Layout, &[f32]), group: &str, x: &[f32], out: &mut Vec<f32>| {
            let start = out.len();
            out.resize(start + x.len(), 0.0);
            let [shift, scale] = ["shift", "scale"].map(|what| array(part, &format!("norm.{group}.{what}")));
            normalise(x, shift, scale, CLIP, &mut out[start..]);
        };
        let widths = ["job", "node"].map(|group| array(policy, &format!("norm.{group}.shift")).len().max(1));
        let mut rows = Rows::default();
        for (index, state) in states.iter().enumerate() {
            let obs = &state.obs;
            let (first_job, first_node) = (rows.jobs.len() / widths[0], rows.nodes.len() / widths[1]);
            rows.pair_job.extend(obs.pairs.iter().map(|pair| first_job as i64 + i64::from(pair.job)));
            rows.pair_node.extend(obs.pairs.iter().map(|pair| first_node as i64 + i64::from(pair.node)));
            let (jobs, nodes) = (obs.jobs.len() / widths[0], obs.nodes.len() / widths[1]);
            rows.job_state.extend(std::iter::repeat_n(index as i64, jobs));
            rows.job_counts.push(jobs as i64);
            rows.node_counts.push(nodes as i64);
            normal(policy, "global", &obs.global, &mut rows.global);
            normal(policy, "job", &obs.jobs, &mut rows.jobs);
            normal(policy, "node", &obs.nodes, &mut rows.nodes);
            normal(policy, "pair", &obs.pair_features, &mut rows.pairs);
            normal(critic, "future", &state.future, &mut rows.future);
        }
        let (slots, prior) = actions(states);
        rows.into_tensors(states.len() as i64, slots, prior, widths, policy, critic)
    }

    /// The logit of an absent action, for the last of the slots: (1)
    pub fn absent(&self) -> Tensor {
        Tensor::full([1], ABSENT, (Kind::Float, self.slots.device()))
    }
}

impl Rows {
    fn into_tensors(
        self,
        size: i64,
        slots: Tensor,
        prior: Tensor,
        widths: [usize; 2],
        policy: (&Layout, &[f32]),
        critic: (&Layout, &[f32]),
    ) -> Batch {
        let width = |part, group: &str| array(part, &format!("norm.{group}.shift")).len() as i64;
        let matrix = |values: &[f32], rows: i64, columns: i64| placed(values).view([rows, columns]);
        Batch {
            global: matrix(&self.global, size, width(policy, "global")),
            future: matrix(&self.future, size, width(critic, "future")),
            jobs: matrix(&self.jobs, self.job_state.len() as i64, widths[0] as i64),
            nodes: matrix(&self.nodes, (self.nodes.len() / widths[1]) as i64, widths[1] as i64),
            pairs: matrix(&self.pairs, self.pair_job.len() as i64, width(policy, "pair")),
            job_state: placed(&self.job_state),
            pair_job: placed(&self.pair_job),
            pair_node: placed(&self.pair_node),
            job_counts: placed(&self.job_counts),
            node_counts: placed(&self.node_counts),
            slots,
            prior,
            size,
        }
    }
}

/// Slots and one-hot priors: (B, most actions) each.
fn actions(states: &[&State]) -> (Tensor, Tensor) {
    let most = states.iter().map(|state| state.obs.actions()).max().unwrap_or(0);
    let candidates: usize = states.iter().map(|state| state.obs.pairs.len()).sum();
    let absent = (candidates + states.len()) as i64;
    let mut slots = vec![absent; states.len() * most];
    let mut prior = vec![0.0_f32; slots.len()];
    let mut first = 0;
    for (index, state) in states.iter().enumerate() {
        let count = state.obs.pairs.len();
        let row = &mut slots[index * most..][..most];
        row.iter_mut().take(count).enumerate().for_each(|(i, slot)| *slot = (first + i) as i64);
        if state.obs.wait {
            row[count] = (candidates + index) as i64;
        }
        if let Some(action) = state.prior {
            prior[index * most + action] = 1.0;
        }
        first += count;
    }
    let shape = [states.len() as i64, most as i64];
    (placed(&slots).view(shape), placed(&prior).view(shape))
}

/// A tensor of these values on the learner's device.
pub fn placed<T: tch::kind::Element>(values: &[T]) -> Tensor {
    Tensor::from_slice(values).to_device(device::current())
}

/// The values of a named array in flat weights; empty where there is none.
pub fn array<'a>((layout, flat): (&Layout, &'a [f32]), name: &str) -> &'a [f32] {
    layout.entry(name).map_or(&[], |entry| &flat[entry.offset..][..entry.len()])
}
