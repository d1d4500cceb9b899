//! A schedule as a self-contained SVG.

use std::fmt::Write;

use super::paint::{colour, escape, shade, shorten};
use super::rows::{Area, Block, Rows, merge};
use super::scale::{Unit, nice};
use super::{Bar, Chart};
use crate::catalog::DeviceClass;
use crate::sim::Simulator;
use crate::timing::KindSlot;
use crate::units::{Span, Time};

/// How a schedule is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct SvgOptions {
    /// Headline; none if empty.
    pub title: String,
    /// Names of the device kinds, aligned with `Cluster::kinds`; missing ones are named after their class.
    pub kinds: Vec<String>,
    /// Width of the picture in pixels; its height follows from the rows.
    pub width: u32,
    /// Clusters with more devices are drawn as the busy share of whole nodes, or of several.
    pub max_rows: usize,
    /// With more bars than this, neighbours that are too short to see are drawn as one; with still more, the
    /// schedule is drawn as that of a large cluster.
    pub max_bars: usize,
    /// How long the time axis is at least, so that schedules of several policies can be compared by eye.
    pub extent: Span,
    /// Whether bars tell more under the pointer; this is most of the size of a file.
    pub tooltips: bool,
}

impl Default for SvgOptions {
    fn default() -> SvgOptions {
        SvgOptions {
            title: String::new(),
            kinds: Vec::new(),
            width: 1200,
            max_rows: 128,
            max_bars: 4000,
            extent: Span::ZERO,
            tooltips: true,
        }
    }
}

const TOP: f64 = 14.0;
const RIGHT: f64 = 24.0;

/// Draws a simulation that has run: a row per device, grouped by node, a bar per job or batch in the colour of its
/// device kind, in alternating shades; tooltips tell the rest. Too many devices or bars are drawn as the busy share
/// of each node over time. What was merged or left out is noted at the foot.
pub fn svg(sim: &Simulator, options: &SvgOptions) -> String {
    let mut chart = Chart::of(sim);
    chart.end = chart.end.max(chart.origin + options.extent);
    let large = sim.world().cluster.devices() as usize > options.max_rows;
    let blocks = if large { None } else { merged(sim, &chart, options) };
    let rows = Rows::new(sim, options.max_rows.max(1), blocks.is_none());
    let mut sheet = Sheet::new(sim, &chart, rows, options);
    sheet.head();
    sheet.bands();
    match blocks {
        Some((blocks, limit)) => sheet.bars(&blocks, limit),
        None => sheet.areas(),
    }
    sheet.axis();
    sheet.foot();
    sheet.finish()
}

/// Bars, neighbours merged below a limit in nanoseconds; `None` if there are too many all the same.
fn merged(sim: &Simulator, chart: &Chart, options: &SvgOptions) -> Option<(Vec<Block>, f64)> {
    let sheet = Sheet::new(sim, chart, Rows::new(sim, 1, false), options);
    merge(&chart.bars, options.max_bars, sheet.extent() / (sheet.width - RIGHT - sheet.left))
}

struct Sheet<'a> {
    sim: &'a Simulator,
    chart: &'a Chart,
    rows: Rows,
    options: &'a SvgOptions,
    width: f64,
    /// Left edge of the time axis.
    left: f64,
    /// Top edge of the rows.
    top: f64,
    unit: Unit,
    notes: Vec<String>,
    body: String,
}

/// Writes into the picture; a `String` takes everything.
macro_rules! draw {
    ($sheet:expr, $($text:tt)*) => { let _ = writeln!($sheet.body, $($text)*); };
}

impl<'a> Sheet<'a> {
    fn new(sim: &'a Simulator, chart: &'a Chart, rows: Rows, options: &'a SvgOptions) -> Sheet<'a> {
        let longest = rows.groups.iter().map(|group| group.label.chars().count()).max().unwrap_or(0);
        let title = if options.title.is_empty() { 0.0 } else { 26.0 };
        Sheet {
            sim,
            chart,
            rows,
            options,
            width: f64::from(options.width.max(400)),
            left: 30.0 + 6.6 * longest.min(32) as f64,
            top: TOP + title + 30.0,
            unit: Unit::for_extent(chart.end.since(chart.origin)),
            notes: Vec::new(),
            body: String::new(),
        }
    }

    /// Nanoseconds from the first submission to the right edge.
    fn extent(&self) -> f64 {
        (self.chart.end.since(self.chart.origin).0 as f64).max(1.0)
    }

    fn x(&self, time: Time) -> f64 {
        let share = time.since(self.chart.origin).0 as f64 / self.extent();
        self.left + share * (self.width - RIGHT - self.left)
    }

    fn bottom(&self) -> f64 {
        self.top + self.rows.height
    }

    fn kind_name(&self, slot: KindSlot) -> String {
        let class = || match self.sim.world().timing.class(slot) {
            DeviceClass::Cpu => "CPU",
            DeviceClass::Gpu => "GPU",
            DeviceClass::Tpu => "TPU",
        };
        let named = self.options.kinds.get(slot).cloned();
        named.unwrap_or_else(|| format!("{} (kind {})", class(), slot + 1))
    }

    /// Title and legend.
    fn head(&mut self) {
        if !self.options.title.is_empty() {
            draw!(
                self,
                r#"<text x="14" y="{}" class="title">{}</text>"#,
                TOP + 16.0,
                escape(&self.options.title)
            );
        }
        let y = self.top - 18.0;
        let mut x = self.left;
        let cluster = &self.sim.world().cluster;
        let mut entries: Vec<(String, String)> = Vec::new();
        for (slot, &kind) in cluster.kinds().iter().enumerate() {
            entries.push((
                colour(slot, 0),
                format!("{} \u{d7} {}", cluster.devices_of(kind), self.kind_name(slot)),
            ));
        }
        entries.push(("#e9edf1".into(), "idle".into()));
        for (fill, label) in entries {
            draw!(
                self,
                r##"<rect x="{x:.1}" y="{:.1}" width="12" height="12" rx="2" fill="{fill}" stroke="#8a949e" stroke-width="0.6"/>"##,
                y - 10.0
            );
            draw!(self, r#"<text x="{:.1}" y="{y:.1}">{}</text>"#, x + 17.0, escape(&label));
            x += 17.0 + 6.6 * label.chars().count() as f64 + 22.0;
        }
    }

    /// The idle background of each group with its label.
    fn bands(&mut self) {
        let mut free_from = f64::MIN;
        let (x, width) = (self.left, self.width - RIGHT - self.left);
        for group in std::mem::take(&mut self.rows.groups) {
            let y = self.top + group.top;
            draw!(
                self,
                r##"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{:.1}" fill="#e9edf1"/>"##,
                group.height
            );
            let fill = colour(group.slot, 0);
            draw!(
                self,
                r#"<rect x="{:.1}" y="{y:.1}" width="4" height="{:.1}" fill="{fill}"/>"#,
                x - 7.0,
                group.height
            );
            let middle = y + group.height / 2.0;
            if middle - 6.0 >= free_from {
                let label = escape(&shorten(&group.label, 32));
                draw!(
                    self,
                    r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
                    x - 12.0,
                    middle + 4.0
                );
                free_from = middle + 6.0;
            }
            if !self.rows.areas && self.rows.row >= 6.0 {
                for lane in 1..group.lanes {
                    let y = y + f64::from(lane) * self.rows.row;
                    draw!(
                        self,
                        r##"<path d="M{x:.1} {y:.1}h{width:.1}" stroke="#fff" stroke-width="0.8"/>"##
                    );
                }
            }
            self.rows.groups.push(group);
        }
    }

    fn bars(&mut self, blocks: &[Block], limit: f64) {
        let merged: usize = blocks.iter().map(|block| block.bars).filter(|&bars| bars > 1).sum();
        if merged > 0 {
            let limit = Span(limit as u64);
            self.notes.push(format!("{merged} neighbouring bars shorter than {limit} are merged (darker)"));
        }
        for block in blocks {
            self.bar(block);
        }
    }

    fn bar(&mut self, block: &Block) {
        let bar = &block.first;
        let slot = self.rows.slot(bar.node);
        let y = self.top + self.rows.lane_top(bar.node, bar.lane);
        let height = f64::from(bar.lanes) * self.rows.row;
        let (x, end) = (self.x(bar.start), self.x(block.finish));
        let width = (end - x).max(0.6);
        let inset = if self.rows.row >= 6.0 { 0.7 } else { 0.0 };
        let fill = if block.bars > 1 { colour(slot, 3) } else { colour(slot, shade(bar.job)) };
        let edge = if width > 3.0 { r##" stroke="#fff" stroke-width="0.7""## } else { "" };
        draw!(
            self,
            r#"<rect x="{x:.2}" y="{:.1}" width="{width:.2}" height="{:.1}" fill="{fill}"{edge}{}"#,
            y + inset,
            (height - 2.0 * inset).max(0.8),
            self.closing(block)
        );
        let label = self.label(bar);
        if block.bars == 1 && height >= 11.0 && width >= 7.0 * label.len() as f64 + 4.0 {
            draw!(
                self,
                r#"<text x="{:.1}" y="{:.1}" class="bar">{label}</text>"#,
                x + width / 2.0,
                y + height / 2.0 + 3.6
            );
        }
    }

    /// The end of a bar's element, with the tooltip if it has one.
    fn closing(&self, block: &Block) -> String {
        if !self.options.tooltips {
            return "/>".into();
        }
        format!("><title>{}</title></rect>", escape(&self.tooltip(block)))
    }

    /// The number of the job in its trace, or the size of a batch.
    fn label(&self, bar: &Bar) -> String {
        let job = &self.sim.world().workload.jobs[bar.job.index()];
        match job.request_model() {
            Some(_) => format!("\u{d7}{}", bar.requests),
            None => job.label.to_string(),
        }
    }

    fn tooltip(&self, block: &Block) -> String {
        let bar = &block.first;
        let world = self.sim.world();
        let (job, node) = (&world.workload.jobs[bar.job.index()], &world.cluster.node(bar.node).name);
        if block.bars > 1 {
            let span = block.finish.since(bar.start);
            return format!("{} short jobs or batches on {node} within {span}", block.bars);
        }
        let what = match job.request_model() {
            Some(_) => format!("batch of {} requests, the oldest is {}", bar.requests, job.label),
            None => format!("job {} on {} of {} devices", job.label, bar.lanes, job.gang),
        };
        let at = |time: Time| time.since(self.chart.origin);
        let span = bar.finish.since(bar.start);
        format!(
            "{what}\n{node}\nsubmitted {}, started {}, finished {} ({span})",
            at(job.arrival),
            at(bar.start),
            at(bar.finish)
        )
    }

    /// The busy share of each group over time.
    fn areas(&mut self) {
        let columns = (self.width - RIGHT - self.left).floor() as usize;
        let areas = Area::all(self.chart, &self.rows, columns);
        let (bars, devices) = (self.chart.bars.len(), self.sim.world().cluster.devices());
        let rows = self.rows.groups.len();
        self.notes.push(format!(
            "too much to draw one by one ({bars} bars on {devices} devices): each of the {rows} rows is a node or \
             several, the height of the colour its share of busy devices"
        ));
        let groups: Vec<_> =
            self.rows.groups.iter().map(|g| (g.top, g.height, g.slot, g.label.clone())).collect();
        for ((top, height, slot, label), area) in groups.into_iter().zip(areas) {
            let (base, mut path) = (self.top + top + height, String::new());
            let mut drawn = f64::NAN;
            for (column, &share) in area.shares.iter().enumerate() {
                if (share - drawn).abs() < 1e-3 {
                    continue;
                }
                let x = self.left + column as f64 * (self.width - RIGHT - self.left) / columns as f64;
                let command =
                    if path.is_empty() { format!("M{x:.1} {base:.1}V") } else { format!("H{x:.1}V") };
                let _ = write!(path, "{command}{:.1}", base - share * height);
                drawn = share;
            }
            let mean = 100.0 * area.mean;
            let _ = write!(path, "H{:.1}V{base:.1}Z", self.width - RIGHT);
            let tip = escape(&format!("{label}\nbusy {mean:.0} % of the time"));
            let fill = colour(slot, 0);
            draw!(self, r#"<path d="{path}" fill="{fill}"><title>{tip}</title></path>"#);
        }
    }

    /// Ticks, grid and the name of the axis.
    fn axis(&mut self) {
        let (extent, bottom, top) = (self.extent(), self.bottom(), self.top);
        let step = nice(extent / self.unit.nanos / 9.0) * self.unit.nanos;
        let mut tick = 0.0;
        while tick <= extent * 1.000_001 {
            let x = self.left + tick / extent * (self.width - RIGHT - self.left);
            draw!(
                self,
                r##"<path d="M{x:.1} {top:.1}V{:.1}" stroke="#5b6670" stroke-opacity="0.28" stroke-width="0.8"/>"##,
                bottom + 5.0
            );
            draw!(
                self,
                r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                bottom + 18.0,
                self.unit.number(tick)
            );
            tick += step;
        }
        let middle = (self.left + self.width - RIGHT) / 2.0;
        draw!(
            self,
            r#"<text x="{middle:.1}" y="{:.1}" text-anchor="middle">time since the first submission ({})</text>"#,
            bottom + 35.0,
            self.unit.name
        );
    }

    fn foot(&mut self) {
        let beside = [
            ("could never run", &self.chart.refused),
            ("were dropped at their deadlines", &self.chart.dropped),
            ("still wait", &self.chart.waiting),
        ];
        for (what, jobs) in beside {
            if !jobs.is_empty() {
                self.notes.push(format!("{} jobs {what} and are not drawn", jobs.len()));
            }
        }
        for (line, note) in std::mem::take(&mut self.notes).into_iter().enumerate() {
            let y = self.bottom() + 53.0 + 16.0 * line as f64;
            draw!(self, r#"<text x="{:.1}" y="{y:.1}" class="note">{}</text>"#, self.left, escape(&note));
            self.notes.push(note);
        }
    }

    fn finish(self) -> String {
        let (width, height) = (self.width, self.bottom() + 50.0 + 16.0 * self.notes.len() as f64);
        let style = "text{font:12px system-ui,'DejaVu Sans',sans-serif;fill:#26313b}.title{font-size:16px;font-weight:600}\
                     .bar{font-size:10px;text-anchor:middle;pointer-events:none}.note{font-size:11px;fill:#5b6670}";
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width} {height:.0}\">\n<style>{style}</style>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
            self.body
        )
    }
}

#[cfg(test)]
#[path = "svg_tests.rs"]
mod tests;
