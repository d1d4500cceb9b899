//! Choices that need no programme: the node with the least load, and the path that is fastest.
//!
//! - Nodes: each task goes to the node whose load is the least part of its capacity (without a capacity, the least
//!   load), the first of equals, and adds to its load.
//! - Paths, for a transfer of `D` bytes: the least `delay + D / bandwidth`. Without `D`, each path carries so much at
//!   a time (`size`) and the least delay per unit is taken, `delay / size`. The first of equals wins.

use serde::Serialize;

use super::error::AllocationError;

/// Loads that differ by less than this part are equal: sums of decimal fractions carry noise.
const EQUAL: f64 = 1e-12;

/// `[placement]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Nodes {
    /// How many tasks are placed, one after the other.
    pub tasks: usize,
    /// What each adds to the load of its node.
    pub load: f64,
    /// At least one.
    pub nodes: Vec<Node>,
}

/// A node that takes tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique.
    pub name: String,
    /// What it bears already.
    pub load: f64,
    /// What it can bear; `None` for no bound.
    pub capacity: Option<f64>,
}

/// Where a task went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Placed {
    /// Its number, from 1.
    pub task: usize,
    /// Its node.
    pub node: String,
    /// The node's load before it.
    pub load_before: f64,
    /// And with it.
    pub load_after: f64,
}

impl Node {
    fn relative(&self) -> f64 {
        self.load / self.capacity.unwrap_or(1.0)
    }

    /// By how much a task would exceed what it can bear.
    fn over(&self, task: f64) -> f64 {
        let capacity = self.capacity.unwrap_or(f64::INFINITY);
        let over = self.load + task - capacity;
        if over > EQUAL * capacity { over } else { 0.0 }
    }
}

impl Nodes {
    pub(super) fn place(&self, file: &str) -> Result<Vec<Placed>, AllocationError> {
        let mut nodes = self.nodes.clone();
        (1..=self.tasks).map(|task| self.next(&mut nodes, task, file)).collect()
    }

    fn next(&self, nodes: &mut [Node], task: usize, file: &str) -> Result<Placed, AllocationError> {
        let least =
            first_least(nodes.iter().map(|node| (node.over(self.load) == 0.0).then(|| node.relative())));
        let Some(at) = least else {
            return Err(self.full(nodes, task, file));
        };
        let node = &mut nodes[at];
        let load_before = node.load;
        node.load += self.load;
        Ok(Placed { task, node: node.name.clone(), load_before, load_after: node.load })
    }

    fn full(&self, nodes: &[Node], task: usize, file: &str) -> AllocationError {
        let least = first_least(nodes.iter().map(|node| Some(node.relative()))).unwrap_or(0);
        let Node { name, load, capacity } = nodes[least].clone();
        let capacity = capacity.unwrap_or(f64::INFINITY);
        let over = nodes[least].over(self.load);
        AllocationError::Full { file: file.into(), task, node: name, load, capacity, over }
    }
}

/// `[transfer]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Paths {
    /// What is to be carried; `None` if the delay per unit decides.
    pub bytes: Option<f64>,
    /// At least one.
    pub paths: Vec<Path>,
}

/// A path that data can take.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Unique.
    pub name: String,
    /// Until the first byte arrives, in seconds.
    pub delay_s: f64,
    /// Bytes a second, where that is known.
    pub bytes_per_s: Option<f64>,
    /// What decides.
    pub price: PathPrice,
}

/// What decides between paths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PathPrice {
    /// The time of a transfer at so many bytes a second.
    Transfer(f64),
    /// The delay per unit, of which the path carries so many at a time.
    PerUnit(f64),
}

/// The path of a transfer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Transfer {
    /// Its name.
    pub path: String,
    /// What is carried, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<f64>,
    /// In the order of the file.
    pub paths: Vec<PathRow>,
    /// Which path is best from how many bytes on, ascending from 0; empty where some bandwidth is not known.
    pub best_from: Vec<Breakpoint>,
}

/// What a path would cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathRow {
    /// Its name.
    pub name: String,
    /// Seconds of the transfer, or seconds per unit.
    pub price_s: f64,
}

/// From so many bytes on, this path is best.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Breakpoint {
    /// Bytes.
    pub bytes: f64,
    /// Its name.
    pub path: String,
}

impl Paths {
    pub(super) fn choose(&self) -> Transfer {
        let price = |path: &Path| match path.price {
            PathPrice::Transfer(rate) => path.delay_s + self.bytes.unwrap_or(0.0) / rate,
            PathPrice::PerUnit(size) => path.delay_s / size,
        };
        let prices: Vec<f64> = self.paths.iter().map(price).collect();
        let best = first_least(prices.iter().map(|&price| Some(price))).unwrap_or(0);
        let row = |(path, price_s): (&Path, f64)| PathRow { name: path.name.clone(), price_s };
        Transfer {
            path: self.paths[best].name.clone(),
            bytes: self.bytes,
            paths: self.paths.iter().zip(prices).map(row).collect(),
            best_from: self.best_from(),
        }
    }

    /// The lower envelope of the lines `delay + D / bandwidth`.
    fn best_from(&self) -> Vec<Breakpoint> {
        let line = |path: &Path| Some((path.delay_s, 1.0 / path.bytes_per_s?));
        let Some(lines) = self.paths.iter().map(line).collect::<Option<Vec<(f64, f64)>>>() else {
            return Vec::new();
        };
        let point = |bytes, at: usize| Breakpoint { bytes, path: self.paths[at].name.clone() };
        // With nothing to carry the least delay is best, and of equal delays the greater bandwidth from then on.
        let key = |at: &usize| lines[*at];
        let order = |one: &usize, other: &usize| {
            key(one).partial_cmp(&key(other)).unwrap_or(std::cmp::Ordering::Equal)
        };
        let Some(mut now) = (0..lines.len()).min_by(order) else { return Vec::new() };
        let mut envelope = vec![point(0.0, now)];
        // The next to be best is the flatter line that is met first; of those met together the flattest.
        let meets = |now: usize, at: usize| (lines[at].0 - lines[now].0) / (lines[now].1 - lines[at].1);
        while let Some(next) =
            (0..lines.len()).filter(|&at| lines[at].1 < lines[now].1).min_by(|&one, &other| {
                let keys = [one, other].map(|at| (meets(now, at), lines[at].1));
                keys[0].partial_cmp(&keys[1]).unwrap_or(std::cmp::Ordering::Equal)
            })
        {
            envelope.push(point(meets(now, next), next));
            now = next;
        }
        envelope
    }
}

/// The first of the least values, those that differ by noise being equal.
fn first_least(values: impl Iterator<Item = Option<f64>>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (at, value) in values.enumerate().filter_map(|(at, value)| Some((at, value?))) {
        if best.is_none_or(|(_, least)| value < least - EQUAL * least.abs()) {
            best = Some((at, value));
        }
    }
    best.map(|(at, _)| at)
}
