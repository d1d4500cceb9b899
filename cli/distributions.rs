//! When jobs arrive, how long they are and how many devices they take: as text, and as a figure.

use std::collections::BTreeMap;

use yardmaster_env::job::{Task, Truth, Workload};
use yardmaster_env::plot::{Axis, Bar, Content, Histogram, Panel, bars, decades, even, figure, short};

/// Rows of the arrivals as text.
const TEXT_BINS: usize = 16;
/// Bars of the arrivals in the figure.
const FIGURE_BINS: usize = 200;
/// Hours of a bar of arrivals over more than a day.
const PARTS_OF_DAY_H: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 24.0];
/// Bars of the sizes in a decade of the figure.
const PER_DECADE: i32 = 8;
/// Sizes of gangs that are shown one by one.
const GANGS: usize = 12;
const PANEL_HEIGHT: u32 = 190;

/// Units of time for bins: name and seconds.
const UNITS: [(&str, f64); 5] = [("d", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)];

/// Histograms of a workload's arrivals, sizes and gangs.
pub(crate) fn text(workload: &Workload) -> String {
    let arrivals = arrivals(workload);
    let (unit, seconds) = unit(end(&arrivals));
    let edges = even(end(&arrivals) / seconds, 1.0, TEXT_BINS);
    let scaled: Vec<f64> = arrivals.iter().map(|at| at / seconds).collect();
    let step = short(edges.get(1).copied().unwrap_or_default());
    let rows = Histogram::new(&scaled, edges);
    let rows: Vec<Bar> =
        rows.bins().map(|(low, _, value)| Bar { label: format!("{} {unit}", short(low)), value }).collect();
    let mut text = bars(&format!("arrivals, a row is {step} {unit}"), &rows);
    for sizes in sizes(workload) {
        let histogram = sizes.histogram(&[1.0, 2.0, 5.0]);
        let label = |low, high| format!("{} to {}", short(low), short(high));
        let mut rows: Vec<Bar> =
            histogram.bins().map(|(low, high, value)| Bar { label: label(low, high), value }).collect();
        if sizes.zeros > 0 {
            rows.insert(0, Bar { label: "0".into(), value: sizes.zeros });
        }
        text += &bars(&format!("{} by size in {}", sizes.what, sizes.unit), &rows);
    }
    text + &bars("jobs by devices", &gangs(workload))
}

/// A figure of the same.
pub(crate) fn svg(workload: &Workload, title: &str, notes: &[String]) -> String {
    let mut panels = vec![arrival_panel(&arrivals(workload))];
    panels.extend(sizes(workload).iter().map(Sizes::panel));
    // With gangs of one size there is nothing to compare.
    panels.extend(Some(gangs(workload)).filter(|gangs| gangs.len() > 1).map(|gangs| gang_panel(&gangs)));
    figure(title, &panels, notes)
}

/// Seconds of each arrival after the first; those that a closed loop has yet to send have none.
fn arrivals(workload: &Workload) -> Vec<f64> {
    let sent = &workload.jobs[..workload.sent_at_first()];
    let first = sent.iter().map(|job| job.arrival).min().unwrap_or_default();
    sent.iter().map(|job| job.arrival.since(first).as_secs_f64()).collect()
}

fn end(arrivals: &[f64]) -> f64 {
    arrivals.iter().copied().fold(0.0, f64::max)
}

/// The largest unit of which a length of time holds at least three.
fn unit(seconds: f64) -> (&'static str, f64) {
    UNITS.into_iter().find(|(_, unit)| seconds >= 3.0 * unit).unwrap_or(("s", 1.0))
}

fn arrival_panel(arrivals: &[f64]) -> Panel {
    let (unit, seconds) = unit(end(arrivals));
    let scaled: Vec<f64> = arrivals.iter().map(|at| at / seconds).collect();
    let histogram = Histogram::new(&scaled, arrival_edges(end(arrivals), seconds));
    let width_s = seconds * (histogram.edges[1] - histogram.edges[0]);
    let per_hour = 3600.0 / width_s;
    let bars: Vec<_> =
        histogram.bins().map(|(low, high, count)| (low, high, count as f64 * per_hour)).collect();
    Panel {
        title: format!("Arrivals per hour, a bar is {}", length(width_s)),
        x: Axis::linear(
            &format!("time since the first arrival ({unit})"),
            0.0,
            bars.last().map_or(1.0, |bar| bar.1),
        ),
        y: height("jobs per hour", &bars),
        content: Content::Bars(bars),
        height: PANEL_HEIGHT,
    }
}

/// Borders of the figure's bars, in units of so many seconds: hours that divide a day, or whole days; within a day at
/// most sixty bars.
fn arrival_edges(end_s: f64, unit_s: f64) -> Vec<f64> {
    let hours = end_s / 3600.0;
    if hours < 24.0 {
        return even(end_s / unit_s, 1.0, 60);
    }
    let fits = |step: &f64| hours / step <= FIGURE_BINS as f64;
    let step = PARTS_OF_DAY_H.into_iter().find(fits).unwrap_or(24.0);
    even(hours, step, FIGURE_BINS.min((hours / step).ceil() as usize))
        .into_iter()
        .map(|edge| edge * 3600.0 / unit_s)
        .collect()
}

/// A length of time in the largest unit that it fills.
fn length(seconds: f64) -> String {
    let (name, unit) = UNITS.into_iter().find(|(_, unit)| seconds >= 0.999 * unit).unwrap_or(("s", 1.0));
    format!("{} {name}", short(seconds / unit))
}

/// An axis for bars from 0 to a little above the highest.
fn height(label: &str, bars: &[(f64, f64, f64)]) -> Axis {
    Axis::linear(label, 0.0, 1.06 * bars.iter().map(|(_, _, value)| *value).fold(0.0, f64::max))
}

/// The sizes of one sort of job.
struct Sizes {
    what: &'static str,
    unit: &'static str,
    /// Those above 0.
    values: Vec<f64>,
    zeros: usize,
}

/// Sizes of the sorts of job there are; requests have none.
fn sizes(workload: &Workload) -> Vec<Sizes> {
    let mut found = [
        Sizes { what: "rigid jobs", unit: "seconds they take", values: Vec::new(), zeros: 0 },
        Sizes { what: "training jobs", unit: "samples", values: Vec::new(), zeros: 0 },
        Sizes { what: "jobs of steps", unit: "steps", values: Vec::new(), zeros: 0 },
    ];
    for (job, truth) in workload.jobs.iter().zip(&workload.truths) {
        let (sort, size) = match (job.task, truth) {
            (Task::Rigid { .. }, Truth::Duration(duration)) => (0, duration.as_secs_f64()),
            (Task::Rigid { requested }, _) => (0, requested.as_secs_f64()),
            (Task::Training { samples, .. }, _) => (1, samples as f64),
            (Task::Steps { steps, .. }, _) => (2, steps as f64),
            (Task::Request { .. }, _) => continue,
        };
        if size > 0.0 {
            found[sort].values.push(size);
        } else {
            found[sort].zeros += 1;
        }
    }
    found.into_iter().filter(|sizes| !sizes.values.is_empty()).collect()
}

impl Sizes {
    fn histogram(&self, multiples: &[f64]) -> Histogram {
        let low = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.values.iter().copied().fold(0.0, f64::max);
        Histogram::new(&self.values, decades(low, high, multiples))
    }

    fn panel(&self) -> Panel {
        let multiples: Vec<f64> =
            (0..PER_DECADE).map(|at| 10.0_f64.powf(f64::from(at) / f64::from(PER_DECADE))).collect();
        let histogram = self.histogram(&multiples);
        let bars: Vec<_> = histogram.bins().map(|(low, high, count)| (low, high, count as f64)).collect();
        let (low, high) = (histogram.edges[0], histogram.edges[histogram.edges.len() - 1]);
        Panel {
            title: format!("Sizes of {}, {PER_DECADE} bars a decade", self.what),
            x: Axis::log(&format!("{} (log scale)", self.unit), low, high),
            y: height("jobs", &bars),
            content: Content::Bars(bars),
            height: PANEL_HEIGHT,
        }
    }
}

/// Jobs by the number of their devices; the rarest numbers are one row.
fn gangs(workload: &Workload) -> Vec<Bar> {
    let mut counts = BTreeMap::new();
    for job in &workload.jobs {
        *counts.entry(job.gang).or_insert(0_usize) += 1;
    }
    let mut frequent: Vec<(u32, usize)> = counts.iter().map(|(&gang, &count)| (gang, count)).collect();
    frequent.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let rest: usize = frequent.drain(GANGS.min(frequent.len())..).map(|(_, count)| count).sum();
    frequent.sort_unstable();
    let row = |(gang, value): (u32, usize)| Bar { label: gang.to_string(), value };
    let mut rows: Vec<Bar> = frequent.into_iter().map(row).collect();
    if rest > 0 {
        rows.push(Bar { label: "other".into(), value: rest });
    }
    rows
}

fn gang_panel(gangs: &[Bar]) -> Panel {
    let bars: Vec<_> = (0..)
        .zip(gangs)
        .map(|(at, gang): (u32, &Bar)| (f64::from(at) - 0.4, f64::from(at) + 0.4, gang.value as f64))
        .collect();
    let most = gangs.iter().map(|gang| gang.value).max().unwrap_or(1) as f64;
    Panel {
        title: "Devices of a job".into(),
        x: Axis::names("devices", gangs.iter().map(|gang| gang.label.clone()).collect()),
        // A few large gangs matter as much as many small jobs.
        y: Axis::log("jobs (log scale)", 0.7, 1.5 * most),
        content: Content::Bars(bars),
        height: PANEL_HEIGHT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_of_arrivals_divide_the_day() {
        let width = |days: f64| {
            let edges = arrival_edges(days * 86_400.0, 86_400.0);
            (length(86_400.0 * (edges[1] - edges[0])), edges.len() - 1)
        };
        assert_eq!(width(7.0), ("1 h".into(), 168));
        assert_eq!(width(18.6), ("3 h".into(), 149));
        assert_eq!(width(109.0), ("1 d".into(), 109));
        assert_eq!(width(900.0), ("5 d".into(), 180));
        let hour = arrival_edges(3600.0, 60.0);
        assert_eq!((hour.len(), hour[60]), (61, 60.0));
        assert_eq!(length(0.02), "20 ms");
    }
}
