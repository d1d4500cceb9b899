//! A schedule as fixed-width text.

use std::fmt::Write;

use super::scale::Unit;
use super::{Bar, Chart};
use crate::sim::Simulator;
use crate::units::{JobId, Span, Time};

const MAX_COLUMNS: u64 = 240;
const MAX_ROWS: usize = 64;
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A row per device, a column per `cell`, a letter per job in order of arrival (`a` to `9`, then from `a` again), `.`
/// where a device is idle:
///
/// ```text
/// fast.0 |aaaabb|
/// fast.1 |aaaa..|
/// slow   |cc....|
///        0 s
/// ```
///
/// A column shows the job that fills most of it, a row below the jobs that were refused, were dropped or still wait. The axis
/// begins with the first submission. Cells are doubled until the row has at most 240; at most 64 devices are drawn.
pub fn text(sim: &Simulator, cell: Span) -> String {
    let chart = Chart::of(sim);
    let extent = chart.end.since(chart.origin).0;
    let mut cell = cell.0.max(1);
    while extent.div_ceil(cell) > MAX_COLUMNS {
        cell *= 2;
    }
    let sheet = Sheet { chart: &chart, cell, columns: extent.div_ceil(cell) as usize };
    let names = lane_names(sim);
    let width = names.iter().take(MAX_ROWS).map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, node, lane) in names.iter().take(MAX_ROWS) {
        let on_lane =
            |bar: &&Bar| bar.node.index() == *node && (bar.lane..bar.lane + bar.lanes).contains(lane);
        let row = sheet.row(chart.bars.iter().filter(on_lane));
        // A `String` takes everything that is written.
        let _ = writeln!(out, "{name:width$} |{row}|");
    }
    if names.len() > MAX_ROWS {
        let _ = writeln!(out, "({} more devices)", names.len() - MAX_ROWS);
    }
    let _ = writeln!(out, "{:width$}  {}", "", sheet.axis().trim_end());
    let beside = [("refused", &chart.refused), ("dropped", &chart.dropped), ("waiting", &chart.waiting)];
    for (what, jobs) in beside {
        if !jobs.is_empty() {
            let letters: String = jobs.iter().map(|&job| letter(job)).collect();
            let _ = writeln!(out, "{what}: {letters}");
        }
    }
    out
}

struct Sheet<'a> {
    chart: &'a Chart,
    /// Nanoseconds a column.
    cell: u64,
    columns: usize,
}

impl Sheet<'_> {
    fn row<'b>(&self, bars: impl Iterator<Item = &'b Bar>) -> String {
        let mut cells = vec![(0, '.'); self.columns];
        for bar in bars {
            let from = self.offset(bar.start);
            let to = self.offset(bar.finish);
            let first = (from / self.cell) as usize;
            let last = (to.div_ceil(self.cell) as usize).clamp(first, self.columns);
            for (column, shown) in cells.iter_mut().enumerate().take(last).skip(first) {
                let begin = column as u64 * self.cell;
                let filled = to.min(begin + self.cell) - from.max(begin);
                if filled > shown.0 {
                    *shown = (filled, letter(bar.job));
                }
            }
        }
        cells.into_iter().map(|(_, letter)| letter).collect()
    }

    fn offset(&self, time: Time) -> u64 {
        time.since(self.chart.origin).0
    }

    /// A label every ten columns, as far as they fit.
    fn axis(&self) -> String {
        let unit = Unit::for_extent(self.chart.end.since(self.chart.origin));
        let mut axis = String::new();
        for column in (0..=self.columns).step_by(10) {
            let label = format!("{} {}", unit.number((column as u64 * self.cell) as f64), unit.name);
            if axis.is_empty() || axis.len() < column {
                let _ = write!(axis, "{:gap$}{label}", "", gap = column - axis.len());
            }
        }
        axis
    }
}

/// (name, node, device) of each device, in order.
fn lane_names(sim: &Simulator) -> Vec<(String, usize, u32)> {
    let nodes = sim.world().cluster.nodes().iter().enumerate();
    nodes
        .flat_map(|(at, node)| {
            (0..node.devices).map(move |lane| match node.devices {
                1 => (node.name.clone(), at, lane),
                _ => (format!("{}.{lane}", node.name), at, lane),
            })
        })
        .collect()
}

fn letter(job: JobId) -> char {
    char::from(LETTERS[job.index() % LETTERS.len()])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::candidates::Candidates;
    use crate::gym::testing::random_world;

    /// Starts whatever is listed first.
    fn run(jobs: usize) -> Simulator {
        let mut sim = Simulator::new(random_world(4, jobs));
        let mut candidates = Candidates::default();
        while let Some(view) = sim.next_decision() {
            candidates.fill(&view);
            let decision = candidates.decision(&view, 0).unwrap();
            sim.apply(decision).unwrap();
        }
        sim
    }

    #[test]
    fn a_schedule_as_text() {
        expect![[r#"
            n0   |aaaaaaaaaaaaa........|
            n1.0 |..b..d.......gggggggg|
            n1.1 |..b..d.......gggggggg|
            n2.0 |...cc....fffffff.....|
            n2.1 |...cc....fffffff.....|
            n2.2 |.........fffffff.....|
            n3.0 |..b..d.eeeeeegggggggg|
            n3.1 |..b..d.eeeeeegggggggg|
            n3.2 |..b..d.eeeeeegggggggg|
            n3.3 |..b..d.eeeeeegggggggg|
                  0 s       10 s      20 s
        "#]]
        .assert_eq(&text(&run(7), Span::from_secs(1)));
        assert!(text(&run(0), Span(1)).starts_with("n0   ||\n"), "nothing ran");
    }

    #[test]
    fn long_schedules_are_drawn_in_longer_cells() {
        let drawn = text(&run(40), Span::from_micros(1));
        assert!(drawn.lines().all(|line| line.len() <= 240 + 8), "{drawn}");
    }

    #[test]
    fn an_unfinished_schedule_ends_now() {
        let mut sim = Simulator::new(random_world(4, 7));
        let mut candidates = Candidates::default();
        for _ in 0..3 {
            let view = sim.next_decision().unwrap();
            candidates.fill(&view);
            let decision = candidates.decision(&view, 0).unwrap();
            sim.apply(decision).unwrap();
        }
        expect![[r#"
            n0   |aaa|
            n1.0 |..b|
            n1.1 |..b|
            n2.0 |...|
            n2.1 |...|
            n2.2 |...|
            n3.0 |..b|
            n3.1 |..b|
            n3.2 |..b|
            n3.3 |..b|
                  0 s
        "#]]
        .assert_eq(&text(&sim, Span::from_secs(1)));
    }
}
