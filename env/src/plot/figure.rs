//! A figure of one or more panels as a self-contained SVG, in light colours, or dark ones where the reader's are.

use std::fmt::Write;

use super::Axis;
use crate::gantt::paint::escape;

/// One pair of axes with what is drawn between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Headline.
    pub title: String,
    /// Along the bottom.
    pub x: Axis,
    /// Along the left.
    pub y: Axis,
    /// What is drawn.
    pub content: Content,
    /// Height between the axes in pixels.
    pub height: u32,
}

/// What a panel shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Bars from the bottom: left border, right border, height.
    Bars(Vec<(f64, f64, f64)>),
    /// Lines, with a legend in their order.
    Curves(Vec<Curve>),
}

/// One line of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its name in the legend; without one it is not there.
    pub name: String,
    /// x and y of its points.
    pub points: Vec<(f64, f64)>,
    /// Which of eight colours it has.
    pub colour: usize,
    /// Whether it is drawn dotted, thin and dark.
    pub dotted: bool,
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
/// Characters of a line below the panels.
const NOTE_CHARS: usize = 125;
/// Above each panel, for its headline.
const HEAD: f64 = 34.0;
/// Below each panel, for its axis.
const FOOT: f64 = 52.0;
/// Eight colours that stand out on white and on black.
pub(super) const COLOURS: [&str; 8] =
    ["#3b7dd8", "#e07b2a", "#3f9e4d", "#a35cc4", "#d6484f", "#1b9aaa", "#b0892c", "#7d7f86"];
pub(super) const STYLE: &str = "text{font:12px system-ui,'DejaVu Sans',sans-serif;fill:#26313b}.title{font-size:16px;font-weight:600}\
    .head{font-size:13px;font-weight:600}.note{font-size:11px;fill:#5b6670}.paper{fill:#fff}\
    .grid{stroke:#5b6670;stroke-opacity:.22;stroke-width:.8}.axis{stroke:#5b6670;stroke-width:1}\
    .dots{stroke:#26313b;stroke-opacity:.75}\
    @media(prefers-color-scheme:dark){text{fill:#d5dbe1}.note{fill:#9aa5b0}.paper{fill:#161b21}\
    .grid,.axis{stroke:#9aa5b0}.dots{stroke:#d5dbe1}}";

/// Draws panels below one another, with a title above and notes below.
pub fn figure(title: &str, panels: &[Panel], notes: &[String]) -> String {
    let mut sheet = Sheet { y: 34.0, body: String::new() };
    sheet.text(14.0, 26.0, r#"class="title""#, title);
    for panel in panels {
        sheet.panel(panel);
    }
    for line in notes.iter().flat_map(|note| wrapped(note)) {
        sheet.y += 16.0;
        sheet.text(14.0, sheet.y, r#"class="note""#, &line);
    }
    let height = sheet.y + 14.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" class=\"paper\"/>\n{}</svg>\n",
        sheet.body
    )
}

/// A note in lines of [`NOTE_CHARS`], broken between words.
pub(super) fn wrapped(note: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in note.split_whitespace() {
        let line = lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < NOTE_CHARS);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(word.into()),
        }
    }
    lines
}

struct Sheet {
    /// The lower edge of what is drawn so far.
    y: f64,
    body: String,
}

/// Writes into the picture; a `String` takes everything.
macro_rules! draw {
    ($sheet:expr, $($text:tt)*) => { let _ = writeln!($sheet.body, $($text)*); };
}

impl Sheet {
    fn text(&mut self, x: f64, y: f64, attributes: &str, text: &str) {
        draw!(self, r#"<text x="{x:.1}" y="{y:.1}" {attributes}>{}</text>"#, escape(text));
    }

    fn panel(&mut self, panel: &Panel) {
        let frame = Frame { top: self.y + HEAD, height: f64::from(panel.height), x: &panel.x, y: &panel.y };
        self.text(LEFT, frame.top - 12.0, r#"class="head""#, &panel.title);
        self.axes(&frame);
        match &panel.content {
            Content::Bars(bars) => self.bars(&frame, bars),
            Content::Curves(curves) => self.curves(&frame, curves),
        }
        self.y = frame.bottom() + FOOT;
    }

    fn axes(&mut self, frame: &Frame<'_>) {
        let (left, right, bottom) = (LEFT, WIDTH - RIGHT, frame.bottom());
        for (value, text) in frame.y.ticks(frame.height / 45.0) {
            let y = frame.down(value);
            draw!(self, r#"<path d="M{left} {y:.1}H{right}" class="grid"/>"#);
            self.text(left - 8.0, y + 4.0, r#"text-anchor="end""#, &text);
        }
        for (value, text) in frame.x.ticks(9.0) {
            let x = frame.across(value);
            draw!(self, r#"<path d="M{x:.1} {bottom:.1}v5" class="axis"/>"#);
            self.text(x, bottom + 18.0, r#"text-anchor="middle""#, &text);
        }
        draw!(self, r#"<path d="M{left} {bottom:.1}H{right}" class="axis"/>"#);
        self.text((left + right) / 2.0, bottom + 36.0, r#"text-anchor="middle""#, &frame.x.label);
        let middle = (frame.top + bottom) / 2.0;
        let turned = format!(r#"text-anchor="middle" transform="rotate(-90 18 {middle:.1})""#);
        self.text(18.0, middle, &turned, &frame.y.label);
    }

    fn bars(&mut self, frame: &Frame<'_>, bars: &[(f64, f64, f64)]) {
        for &(low, high, value) in bars.iter().filter(|(_, _, value)| *value > 0.0) {
            let (x, end) = (frame.across(low), frame.across(high));
            // A hairline between bars that are wide enough for one.
            let gap = if end - x > 4.0 { 1.0 } else { 0.0 };
            let y = frame.down(value).min(frame.bottom() - 1.0);
            draw!(
                self,
                r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" fill="{}"/>"#,
                end - x - gap,
                frame.bottom() - y,
                COLOURS[0]
            );
        }
    }

    fn curves(&mut self, frame: &Frame<'_>, curves: &[Curve]) {
        for curve in curves {
            let mut path = String::new();
            for (at, &(x, y)) in curve.points.iter().enumerate() {
                let command = if at == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{command}{:.1} {:.1}", frame.across(x), frame.down(y));
            }
            draw!(self, r#"<path d="{path}" fill="none" {}/>"#, stroke(curve));
        }
        let named: Vec<&Curve> = curves.iter().filter(|curve| !curve.name.is_empty()).collect();
        let longest = named.iter().map(|curve| curve.name.chars().count()).max().unwrap_or_default();
        let x = WIDTH - RIGHT - 52.0 - 6.8 * longest as f64;
        let mut y = frame.bottom() - 14.0 - 18.0 * named.len().saturating_sub(1) as f64;
        for curve in named {
            draw!(self, r#"<path d="M{x:.1} {:.1}h28" fill="none" {}/>"#, y - 4.0, stroke(curve));
            self.text(x + 36.0, y, "", &curve.name);
            y += 18.0;
        }
    }
}

fn stroke(curve: &Curve) -> String {
    if curve.dotted {
        return r#"class="dots" stroke-width="1.2" stroke-dasharray="1.5 4" stroke-linecap="round""#.into();
    }
    format!(
        r#"stroke="{}" stroke-width="1.8" stroke-linejoin="round""#,
        COLOURS[curve.colour % COLOURS.len()]
    )
}

/// The rectangle between the axes of a panel.
struct Frame<'a> {
    top: f64,
    height: f64,
    x: &'a Axis,
    y: &'a Axis,
}

impl Frame<'_> {
    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    fn across(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - RIGHT - LEFT)
    }

    fn down(&self, value: f64) -> f64 {
        self.bottom() - self.y.place(value) * self.height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_broken_between_words() {
        let note = "word ".repeat(40);
        let lines = wrapped(&note);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines.join(" "), note.trim());
        assert_eq!(wrapped(""), [""]);
    }

    #[test]
    fn a_figure_holds_its_panels_in_order() {
        let panel = |title: &str, content| Panel {
            title: title.into(),
            x: Axis::linear("hours", 0.0, 10.0),
            y: Axis::linear("jobs", 0.0, 5.0),
            content,
            height: 100,
        };
        let curve =
            Curve { name: "a & b".into(), points: vec![(0.0, 1.0), (10.0, 5.0)], colour: 1, dotted: false };
        let bars = Content::Bars(vec![(0.0, 5.0, 5.0), (5.0, 10.0, 0.0)]);
        let panels = [panel("<first>", bars), panel("second", Content::Curves(vec![curve]))];
        let svg = figure("title", &panels, &["a note".into()]);
        let at = |part: &str| svg.find(part).unwrap_or_else(|| panic!("{part} is missing in {svg}"));
        assert!(at("title</text>") < at("&lt;first&gt;") && at("&lt;first&gt;") < at("second"));
        assert!(at("second") < at("a &amp; b") && at("a &amp; b") < at("a note"));
        assert_eq!(svg.matches("<rect").count(), 2, "the paper and the one bar that is not empty");
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"));
    }
}
