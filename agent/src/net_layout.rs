//! Which weight lies where: one flat vector, cut into named arrays.

use serde::{Deserialize, Serialize};
use yardmaster_env::observe::Schema;

/// Widths of the four groups of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dims {
    /// Features of the whole moment.
    pub global: usize,
    /// Features of a work group.
    pub job: usize,
    /// Features of a node group.
    pub node: usize,
    /// Features of a candidate.
    pub pair: usize,
}

impl From<&Schema> for Dims {
    fn from(schema: &Schema) -> Self {
        Self {
            global: schema.global.len(),
            job: schema.job.len(),
            node: schema.node.len(),
            pair: schema.pair.len(),
        }
    }
}

/// Widths of the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sizes {
    /// Hidden layer of the two towers.
    pub hidden: usize,
    /// What a tower gives for each row.
    pub embed: usize,
    /// The pooled context.
    pub context: usize,
    /// Hidden layer of a candidate.
    pub pair: usize,
    /// Hidden layer of the action to wait.
    pub wait: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { hidden: 64, embed: 32, context: 96, pair: 48, wait: 32 }
    }
}

/// A named array in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Such as `job.0.w`: a matrix ends in `.w` and has shape (inputs, outputs), a bias ends in `.b`.
    pub name: &'static str,
    /// One or two dimensions, row-major.
    pub shape: Vec<usize>,
    /// Where it begins.
    pub offset: usize,
}

impl Entry {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds nothing, as where a feature group is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The arrays of one network in order: first those that gradients train, then the constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    entries: Vec<Entry>,
    trained: usize,
    total: usize,
}

impl Layout {
    /// Lays the arrays out one after another.
    pub fn new(trained: &[(&'static str, &[usize])], constant: &[(&'static str, &[usize])]) -> Self {
        let mut total = 0;
        let mut entries = Vec::new();
        let mut lay = |(name, shape): &(&'static str, &[usize])| {
            entries.push(Entry { name, shape: shape.to_vec(), offset: total });
            total += shape.iter().product::<usize>();
            total
        };
        let trained = trained.iter().map(&mut lay).last().unwrap_or(0);
        constant.iter().for_each(|entry| {
            lay(entry);
        });
        Self { entries, trained, total }
    }

    /// The candidate scorer of [`crate::net`]; the order is that of its `Slot`.
    pub fn policy(dims: &Dims, sizes: &Sizes) -> Self {
        let Sizes { hidden: h, embed: d, context: c, pair: p, wait: w } = *sizes;
        Self::new(
            &[
                ("job.0.w", &[dims.job, h]),
                ("job.0.b", &[h]),
                ("job.1.w", &[h, d]),
                ("job.1.b", &[d]),
                ("node.0.w", &[dims.node, h]),
                ("node.0.b", &[h]),
                ("node.1.w", &[h, d]),
                ("node.1.b", &[d]),
                ("context.w", &[4 * d + dims.global, c]),
                ("context.b", &[c]),
                ("query.job.w", &[d, d]),
                ("query.context.w", &[c, d]),
                ("key.node.w", &[d, d]),
                ("pair.pair.w", &[dims.pair, p]),
                ("pair.job.w", &[d, p]),
                ("pair.node.w", &[d, p]),
                ("pair.context.w", &[c, p]),
                ("pair.b", &[p]),
                ("score.w", &[p, 1]),
                ("wait.0.w", &[c, w]),
                ("wait.0.b", &[w]),
                ("wait.1.w", &[w, 1]),
                ("wait.1.b", &[1]),
            ],
            &Self::normaliser(dims),
        )
    }

    /// The constant entries that normalise the features.
    pub fn normaliser(dims: &Dims) -> [(&'static str, &[usize]); 8] {
        use std::slice::from_ref;
        [
            ("norm.global.shift", from_ref(&dims.global)),
            ("norm.global.scale", from_ref(&dims.global)),
            ("norm.job.shift", from_ref(&dims.job)),
            ("norm.job.scale", from_ref(&dims.job)),
            ("norm.node.shift", from_ref(&dims.node)),
            ("norm.node.scale", from_ref(&dims.node)),
            ("norm.pair.shift", from_ref(&dims.pair)),
            ("norm.pair.scale", from_ref(&dims.pair)),
        ]
    }

    /// The arrays in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The array of that name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Length of the part that gradients train; it comes first.
    pub fn trained(&self) -> usize {
        self.trained
    }

    /// Length of the flat vector.
    pub fn total(&self) -> usize {
        self.total
    }
}
