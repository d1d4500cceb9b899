//! A frozen policy as an ONNX model: the computation of [`crate::net`], operator by operator.
//!
//! The model scores a batch of decisions at once, padded to the same numbers of jobs, nodes and candidates; masks tell what
//! is padding, and which actions are illegal. Every length but the widths of the features may differ from call to call, and
//! each may be zero but the batch.
//!
//! | input | type | shape | meaning |
//! |---|---|---|---|
//! | `global` | float | (batch, global features) | as in [`Observation`], before normalisation |
//! | `jobs` | float | (batch, jobs, job features) | |
//! | `nodes` | float | (batch, nodes, node features) | |
//! | `pair_features` | float | (batch, candidates, pair features) | |
//! | `pairs` | int64 | (batch, candidates, 2) | rows of the candidate in `jobs` and in `nodes`; 0 in padding |
//! | `job_mask` | bool | (batch, jobs) | false in padding |
//! | `node_mask` | bool | (batch, nodes) | false in padding |
//! | `action_mask` | bool | (batch, candidates + 1) | whether the action is legal; the last action is to wait |
//! | `prior_mask` | bool | (batch, candidates + 1) | true at the prior rule's action, if it has one |
//!
//! | output | type | shape | meaning |
//! |---|---|---|---|
//! | `logits` | float | (batch, candidates + 1) | the lowest finite float where an action is illegal |
//! | `action` | int64 | (batch) | the legal action of the highest logit, the first of equals |
//!
//! Where there are jobs or nodes of none, candidates need at least one row to point to: pad it. The prior rule itself is not
//! part of the model: whoever runs it computes the rule's action, as [`crate::learned`] does.
//! The card is in `metadata_props`; see [`to_bytes`].
//!
//! [`Observation`]: yardmaster_env::observe::Observation

mod graph;
mod proto;

use yardmaster_env::observe::Schema;

use self::graph::{Graph, Value};
use self::proto::Element::{Bool, Float, Int64};
use self::proto::Length::{Fixed, Named};
use self::proto::Message;
use crate::frozen::Frozen;
use crate::net::{CLIP, PolicyNet};

/// Version of the operators that the model uses (of the default domain).
pub const OPSET: i64 = 17;
/// Version of ONNX's file format.
pub const IR_VERSION: i64 = 8;

/// The model file. `metadata_props` holds, from the card: `schema_id`, `features.global`, `features.job`, `features.node`
/// and `features.pair` (JSON lists of names), `scenario`, `scenario_digest`, `objective`, `prior`, `lambda`, `mask_rule`,
/// `seed`, `steps`, `revision`, `format` and `digest` (SHA-256 of the weights).
pub fn to_bytes(frozen: &Frozen) -> Vec<u8> {
    let about = "One logit for each action: start a candidate, or wait. Inputs are padded to common lengths; masks tell what counts.";
    let graph = Export::new(frozen.net()).graph().finish("yardmaster_policy", about);
    let opset = Message::default().text(1, "").number(2, OPSET);
    let model = Message::default()
        .number(1, IR_VERSION)
        .text(2, env!("CARGO_PKG_NAME"))
        .text(3, env!("CARGO_PKG_VERSION"))
        .number(5, i64::from(frozen.card().format))
        .text(6, about)
        .message(7, &graph)
        .message(8, &opset);
    let properties = metadata(frozen);
    let properties = properties.iter().map(|(key, value)| Message::default().text(1, key).text(2, value));
    model.messages(14, &properties.collect::<Vec<_>>()).into_bytes()
}

/// What the model's file says about the policy.
fn metadata(frozen: &Frozen) -> Vec<(&'static str, String)> {
    let card = frozen.card();
    let origin = &card.origin;
    let Schema { global, job, node, pair, .. } = &origin.schema;
    let names = |list: &[String]| serde_json::to_string(list).expect("a list of texts has a JSON form");
    vec![
        ("format", card.format.to_string()),
        ("schema_id", card.schema_id.clone()),
        ("features.global", names(global)),
        ("features.job", names(job)),
        ("features.node", names(node)),
        ("features.pair", names(pair)),
        ("scenario", origin.scenario.clone()),
        ("scenario_digest", origin.scenario_digest.clone()),
        ("objective", origin.objective.clone()),
        ("prior", origin.prior.clone()),
        ("lambda", card.lambda.to_string()),
        ("mask_rule", origin.mask_rule.clone()),
        ("seed", origin.seed.to_string()),
        ("steps", origin.steps.to_string()),
        ("revision", origin.revision.clone()),
        ("digest", card.digest.clone()),
    ]
}

/// The graph under construction, with the constants that several parts use.
struct Export<'a> {
    net: &'a PolicyNet,
    graph: Graph,
    rows: Value,
    features: Value,
    zero: Value,
    clip: [Value; 2],
}

/// Embedded rows of one kind: (batch, rows, D), zero in padding, and their mask (batch, rows, 1).
struct Rows {
    embedded: Value,
    mask: Value,
}

impl<'a> Export<'a> {
    fn new(net: &'a PolicyNet) -> Export<'a> {
        let mut graph = Graph::default();
        let rows = graph.list("axis_rows", &[1]);
        let features = graph.list("axis_features", &[2]);
        let zero = graph.float("zero", 0.0);
        let clip = [graph.float("clip.low", -CLIP), graph.float("clip.high", CLIP)];
        Export { net, graph, rows, features, zero, clip }
    }

    fn graph(mut self) -> Graph {
        let jobs = self.tower("job", "jobs", self.net.dims().job);
        let nodes = self.tower("node", "nodes", self.net.dims().node);
        let context = self.context(&jobs, &nodes);
        let candidates = self.candidates(&jobs, &nodes, &context);
        let wait = self.wait(&context);
        let logits = self.graph.apply_int("Concat", &[&candidates, &wait], "axis", 1);
        self.finish(&logits);
        self.graph
    }

    /// Rows of features, normalised, through two layers; `group` is `job` or `node`.
    fn tower(&mut self, group: &str, input: &'static str, width: usize) -> Rows {
        let shape = [Named("batch"), Named(input), Fixed(width)];
        let raw = self.graph.input(input, "features of each row", Float, &shape);
        let mask =
            self.graph.input(&format!("{group}_mask"), "false in padding", Bool, &[shape[0], shape[1]]);
        let mask = self.graph.apply("Unsqueeze", &[&mask, &self.features]);
        let x = self.normalise(group, &raw);
        let hidden = self.layer(&x, &format!("{group}.0"));
        let embedded = self.layer(&hidden, &format!("{group}.1"));
        // What stands in padding may be anything, even not a number, and must not reach the pools.
        let embedded = self.graph.apply("Where", &[&mask, &embedded, &self.zero]);
        Rows { embedded, mask }
    }

    /// relu of the pooled rows and the global features, through a layer: (batch, C).
    fn context(&mut self, jobs: &Rows, nodes: &Rows) -> Value {
        let width = Fixed(self.net.dims().global);
        let raw = self.graph.input("global", "features of the moment", Float, &[Named("batch"), width]);
        let [job_mean, job_max] = self.pool(jobs, "job");
        let [node_mean, node_max] = self.pool(nodes, "node");
        let global = self.normalise("global", &raw);
        let parts = [&job_mean, &job_max, &node_mean, &node_max, &global];
        let pooled = self.graph.apply_int("Concat", &parts, "axis", 1);
        self.layer(&pooled, "context")
    }

    /// Mean and maximum over the rows that are there, zeros where there are none: twice (batch, D).
    fn pool(&mut self, rows: &Rows, group: &str) -> [Value; 2] {
        let g = &mut self.graph;
        // A row of zeros more changes neither sum nor maximum, which is never below zero, and makes both defined.
        let one_more = g.list(&format!("{group}.one_more_row"), &[0, 0, 0, 0, 1, 0]);
        let padded = g.apply("Pad", &[&rows.embedded, &one_more]);
        let sum = g.apply_int("ReduceSum", &[&padded, &self.rows], "keepdims", 0);
        let max = g.reduce_max(&padded, 1);
        let max = g.apply("Squeeze", &[&max, &self.rows]);
        let ones = g.apply_int("Cast", &[&rows.mask], "to", Float as i64);
        let ones = g.apply("Pad", &[&ones, &one_more]);
        let count = g.apply_int("ReduceSum", &[&ones, &self.rows], "keepdims", 0);
        let one = g.float(&format!("{group}.one"), 1.0);
        let count = g.apply("Max", &[&count, &one]);
        let mean = g.apply("Div", &[&sum, &count]);
        [mean, max]
    }

    /// The logits of the candidates: (batch, candidates).
    fn candidates(&mut self, jobs: &Rows, nodes: &Rows, context: &Value) -> Value {
        let count = Named("candidates");
        let about = "rows of each candidate in jobs and nodes; 0 in padding";
        let pairs = self.graph.input("pairs", about, Int64, &[Named("batch"), count, Fixed(2)]);
        let shape = [Named("batch"), count, Fixed(self.net.dims().pair)];
        let raw = self.graph.input("pair_features", "features of each candidate", Float, &shape);
        let [first, second] = [0, 1].map(|column| self.column(&pairs, column));

        let queries = self.shifted(&jobs.embedded, "query.job.w", context, "query.context.w", None);
        let keys = self.product(&nodes.embedded, "key.node.w");
        let query = self.pick(&queries, &first);
        let key = self.pick(&keys, &second);
        let products = self.graph.apply("Mul", &[&query, &key]);
        let dot = self.graph.apply_int("ReduceSum", &[&products, &self.features], "keepdims", 0);
        let root = self.graph.float("root_of_width", (self.net.sizes().embed as f32).sqrt());
        let dot = self.graph.apply("Div", &[&dot, &root]);

        let of_jobs = self.shifted(&jobs.embedded, "pair.job.w", context, "pair.context.w", Some("pair.b"));
        let of_nodes = self.product(&nodes.embedded, "pair.node.w");
        let of_job = self.pick(&of_jobs, &first);
        let of_node = self.pick(&of_nodes, &second);
        let hidden = self.graph.apply("Add", &[&of_job, &of_node]);
        let x = self.normalise("pair", &raw);
        let of_pair = self.product(&x, "pair.pair.w");
        let hidden = self.graph.apply("Add", &[&hidden, &of_pair]);
        let hidden = self.graph.apply("Relu", &[&hidden]);
        let score = self.product(&hidden, "score.w");
        let score = self.graph.apply("Squeeze", &[&score, &self.features]);
        self.graph.apply("Add", &[&dot, &score])
    }

    /// The logit of waiting: (batch, 1).
    fn wait(&mut self, context: &Value) -> Value {
        let hidden = self.layer(context, "wait.0");
        self.affine(&hidden, "wait.1")
    }

    /// Raises the prior's logit, strikes illegal actions out, and takes the best.
    fn finish(&mut self, logits: &Value) {
        let shape = [Named("batch"), Named("candidates + 1")];
        let g = &mut self.graph;
        let legal = g.input("action_mask", "which actions are legal; the last is to wait", Bool, &shape);
        let prior = g.input("prior_mask", "true at the prior rule's action, if it has one", Bool, &shape);
        let lambda = g.float("lambda", self.net.lambda());
        let lowest = g.float("lowest", f32::MIN);
        let raise = g.apply("Where", &[&prior, &lambda, &self.zero]);
        let logits = g.apply("Add", &[logits, &raise]);
        let logits = g.apply("Where", &[&legal, &logits, &lowest]);
        let action = g.arg_max(&logits, 1);
        g.output("logits", "lowest finite float where illegal", Float, &shape, &logits);
        g.output("action", "the legal action of the highest logit", Int64, &shape[..1], &action);
    }

    /// `clamp((x - shift) * scale)` by column.
    fn normalise(&mut self, group: &str, x: &Value) -> Value {
        let shift = self.weights(&format!("norm.{group}.shift"));
        let scale = self.weights(&format!("norm.{group}.scale"));
        let g = &mut self.graph;
        let moved = g.apply("Sub", &[x, &shift]);
        let scaled = g.apply("Mul", &[&moved, &scale]);
        g.apply("Clip", &[&scaled, &self.clip[0], &self.clip[1]])
    }

    /// `relu(x w + b)`.
    fn layer(&mut self, x: &Value, name: &str) -> Value {
        let sum = self.affine(x, name);
        self.graph.apply("Relu", &[&sum])
    }

    /// `x w + b`.
    fn affine(&mut self, x: &Value, name: &str) -> Value {
        let product = self.product(x, &format!("{name}.w"));
        let bias = self.weights(&format!("{name}.b"));
        self.graph.apply("Add", &[&product, &bias])
    }

    /// `rows w + context v (+ bias)`, where the context is the same for all rows of a decision.
    fn shifted(&mut self, rows: &Value, w: &str, context: &Value, v: &str, bias: Option<&str>) -> Value {
        let product = self.product(rows, w);
        let mut shift = self.product(context, v);
        if let Some(bias) = bias {
            let bias = self.weights(bias);
            shift = self.graph.apply("Add", &[&shift, &bias]);
        }
        let shift = self.graph.apply("Unsqueeze", &[&shift, &self.rows]);
        self.graph.apply("Add", &[&product, &shift])
    }

    /// `x w`.
    fn product(&mut self, x: &Value, name: &str) -> Value {
        let w = self.weights(name);
        self.graph.apply("MatMul", &[x, &w])
    }

    /// One column of `pairs`, as indices for [`Export::pick`]: (batch, candidates, 1).
    fn column(&mut self, pairs: &Value, column: i64) -> Value {
        let which = self.graph.list(&format!("column_{column}"), &[column]);
        self.graph.apply_int("Gather", &[pairs, &which], "axis", 2)
    }

    /// The row of each candidate: `rows` (batch, rows, width) to (batch, candidates, width).
    fn pick(&mut self, rows: &Value, index: &Value) -> Value {
        self.graph.apply_int("GatherND", &[rows, index], "batch_dims", 1)
    }

    /// The network's array of that name, which the graph's constant bears too.
    fn weights(&mut self, name: &str) -> Value {
        let entry = self.net.layout().entry(name).expect("the names are those of the layout");
        let values = &self.net.params()[entry.offset..][..entry.len()];
        self.graph.floats(name, &entry.shape, values)
    }
}
