//! Where the rows of a drawing lie, and what is merged when there is too much to draw.

use super::{Bar, Chart};
use crate::sim::Simulator;
use crate::timing::KindSlot;
use crate::units::{NodeId, Time};
use crate::view::slot_of;

/// Height that the rows of a large cluster share.
const PLENTY: f64 = 800.0;

/// The rows of a drawing.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// From top to bottom: a node each, or several nodes of one kind.
    pub(super) groups: Vec<Group>,
    /// (nodes): the group of each.
    group_of: Vec<usize>,
    /// Height of a device's row; of a group's, if these are areas.
    pub(super) row: f64,
    /// Height of all.
    pub(super) height: f64,
    /// Whether a group is drawn as its busy share and not device by device.
    pub(super) areas: bool,
}

/// Neighbouring rows under one label.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) label: String,
    pub(super) slot: KindSlot,
    /// Devices.
    pub(super) lanes: u32,
    /// Distance from the top of the rows.
    pub(super) top: f64,
    pub(super) height: f64,
}

impl Rows {
    /// Rows for each device or, for `areas`, at most about `max_rows` for nodes.
    pub(super) fn new(sim: &Simulator, max_rows: usize, areas: bool) -> Rows {
        let cluster = &sim.world().cluster;
        let mut order: Vec<NodeId> = (0..cluster.nodes().len()).map(|at| NodeId(at as u32)).collect();
        order.sort_by_key(|&node| slot_of(cluster, node));
        let per_group = if areas { fewest_per_group(sim, max_rows) } else { 1 };
        let mut rows =
            Rows { groups: Vec::new(), group_of: vec![0; order.len()], row: 0.0, height: 0.0, areas };
        let of_kind = order.chunk_by(|&one, &other| slot_of(cluster, one) == slot_of(cluster, other));
        for nodes in of_kind.flat_map(|nodes| nodes.chunks(per_group)) {
            rows.push(sim, nodes);
        }
        rows.stack();
        rows
    }

    fn push(&mut self, sim: &Simulator, nodes: &[NodeId]) {
        let cluster = &sim.world().cluster;
        let name = |node: NodeId| &cluster.node(node).name;
        let (Some(&first), Some(&last)) = (nodes.first(), nodes.last()) else { return };
        let label = match nodes.len() {
            1 => name(first).clone(),
            count => format!("{} \u{2026} {} ({count} nodes)", name(first), name(last)),
        };
        for node in nodes {
            self.group_of[node.index()] = self.groups.len();
        }
        let lanes = nodes.iter().map(|&node| cluster.node(node).devices).sum();
        self.groups.push(Group { label, slot: slot_of(cluster, first), lanes, top: 0.0, height: 0.0 });
    }

    /// Gives each group its place.
    fn stack(&mut self) {
        let rows: usize =
            if self.areas { self.groups.len() } else { self.groups.iter().map(|g| g.lanes as usize).sum() };
        let most = if self.areas { 48.0 } else { 22.0 };
        self.row = (PLENTY / rows.max(1) as f64).clamp(5.0, most);
        let gap = if self.row >= 10.0 { 5.0 } else { 2.0 };
        for group in &mut self.groups {
            group.top = self.height;
            group.height = self.row * if self.areas { 1.0 } else { f64::from(group.lanes) };
            self.height += group.height + gap;
        }
    }

    pub(super) fn slot(&self, node: NodeId) -> KindSlot {
        self.groups[self.group_of[node.index()]].slot
    }

    /// Top of a device's row; a group is a node where devices are drawn.
    pub(super) fn lane_top(&self, node: NodeId, lane: u32) -> f64 {
        self.groups[self.group_of[node.index()]].top + f64::from(lane) * self.row
    }
}

/// How many nodes of a kind must share a row for `max_rows` to suffice.
fn fewest_per_group(sim: &Simulator, max_rows: usize) -> usize {
    let cluster = &sim.world().cluster;
    let nodes = |kind| cluster.nodes().iter().filter(|node| node.kind == kind).count();
    let counts: Vec<usize> = cluster.kinds().iter().map(|&kind| nodes(kind)).collect();
    let all = cluster.nodes().len().max(1);
    let rows = |per_group: usize| counts.iter().map(|count| count.div_ceil(per_group)).sum::<usize>();
    (1..all).find(|&per_group| rows(per_group) <= max_rows).unwrap_or(all)
}

/// One bar, or several that are too short to be told apart.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) first: Bar,
    pub(super) finish: Time,
    /// How many.
    pub(super) bars: usize,
}

/// Merges neighbours on the same devices that are shorter than a limit and lie closer than it: the smallest limit,
/// in nanoseconds, of 1, 2 or 4 pixels that leaves at most `max_bars`, if one is needed. `None` if none suffices.
pub(super) fn merge(bars: &[Bar], max_bars: usize, pixel: f64) -> Option<(Vec<Block>, f64)> {
    let limits = [0.0, 1.0, 2.0, 4.0].map(|pixels| pixels * pixel);
    limits
        .into_iter()
        .map(|limit| (merge_below(bars, limit), limit))
        .find(|(blocks, _)| blocks.len() <= max_bars)
}

fn merge_below(bars: &[Bar], limit: f64) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for bar in bars {
        let short = (bar.finish.since(bar.start).0 as f64) < limit;
        let same = |block: &&mut Block| {
            (block.first.node, block.first.lane, block.first.lanes) == (bar.node, bar.lane, bar.lanes)
                && (bar.start.since(block.finish).0 as f64) < limit
        };
        match blocks.last_mut().filter(|_| short && open).filter(same) {
            Some(block) => {
                block.finish = block.finish.max(bar.finish);
                block.bars += 1;
            }
            None => blocks.push(Block { first: bar.clone(), finish: bar.finish, bars: 1 }),
        }
        open = short;
    }
    blocks
}

/// The busy share of a group of nodes.
#[derive(Clone, Debug)]
pub(super) struct Area {
    /// (columns): share of busy devices in each column of the picture, 0 to 1.
    pub(super) shares: Vec<f64>,
    /// Over the whole picture.
    pub(super) mean: f64,
}

impl Area {
    /// One per group.
    pub(super) fn all(chart: &Chart, rows: &Rows, columns: usize) -> Vec<Area> {
        let extent = (chart.end.since(chart.origin).0 as f64).max(1.0);
        let mut busy = vec![vec![0.0; columns.max(1)]; rows.groups.len()];
        for bar in &chart.bars {
            let column = |time: Time| time.since(chart.origin).0 as f64 / extent * columns as f64;
            let devices = f64::from(bar.lanes);
            let shares = &mut busy[rows.group_of[bar.node.index()]];
            spread(shares, column(bar.start), column(bar.finish), devices);
        }
        let area = |(busy, group): (Vec<f64>, &Group)| {
            let devices = f64::from(group.lanes.max(1));
            let shares: Vec<f64> = busy.iter().map(|busy| (busy / devices).min(1.0)).collect();
            let mean = shares.iter().sum::<f64>() / shares.len() as f64;
            Area { shares, mean }
        };
        busy.into_iter().zip(&rows.groups).map(area).collect()
    }
}

/// Adds `amount` over the columns from `start` to `end`, in part where they are covered in part.
pub(super) fn spread(columns: &mut [f64], start: f64, end: f64, amount: f64) {
    let last = columns.len();
    for (at, value) in
        columns.iter_mut().enumerate().take((end.ceil() as usize).min(last)).skip(start as usize)
    {
        let (from, to) = (start.max(at as f64), end.min(at as f64 + 1.0));
        *value += amount * (to - from).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::JobId;

    fn bar(start: u64, finish: u64) -> Bar {
        let (start, finish) = (Time(start), Time(finish));
        Bar { job: JobId(0), requests: 1, start, finish, node: NodeId(0), lane: 0, lanes: 1 }
    }

    #[test]
    fn only_short_neighbours_merge() {
        let bars = [bar(0, 1), bar(1, 2), bar(2, 50), bar(50, 51), bar(52, 53), bar(90, 91)];
        let merged = |most| {
            let (blocks, limit) = merge(&bars, most, 2.0)?;
            Some((blocks.iter().map(|block| block.bars).collect::<Vec<_>>(), limit))
        };
        assert_eq!(merged(6), Some((vec![1; 6], 0.0)));
        assert_eq!(merged(5), Some((vec![2, 1, 2, 1], 2.0)));
        assert_eq!(merged(1), None);
    }

    #[test]
    fn partly_covered_columns_count_in_part() {
        let mut columns = [0.0; 4];
        spread(&mut columns, 0.5, 2.25, 2.0);
        assert_eq!(columns, [1.0, 2.0, 0.5, 0.0]);
    }
}
