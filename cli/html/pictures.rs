//! Pictures of a comparison: distributions of completion time, use over time, and schedules side by side. They are drawn
//! from a few episodes that are played again.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use yardmaster_agent::comparison::Row;
use yardmaster_agent::evaluate::in_order;
use yardmaster_agent::policy::play;
use yardmaster_env::gantt::{self, SvgOptions};
use yardmaster_env::metrics::completion_times;
use yardmaster_env::plot::{Axis, Content, Curve, Panel, figure};
use yardmaster_env::sim::{Simulator, World};
use yardmaster_env::units::Span;

use super::escape;
use crate::bench::Comparison;
use crate::bench::field::Field;
use crate::report::{is_rule, ranked};

/// Policies in pictures: more could not be told apart by their colours.
const MOST: usize = 8;
/// Of these, the best rules; the rest is for plain ones to compare with.
const BEST: usize = 6;
/// Plain rules that readers know.
const PLAIN: [&str; 3] = ["fcfs", "sjf", "wrr"];
/// Episodes whose completion times make a distribution.
const EPISODES: usize = 5;
/// Points of a curve.
const POINTS: usize = 160;
/// Bars of a schedule, beyond which neighbours are merged.
const BARS: usize = 420;
/// With more scenarios than this on a page, schedules have no tooltips, most of their size.
const FEW: usize = 3;
/// The colours of the curves of [`figure`], for the legend.
const COLOURS: [&str; MOST] =
    ["#3b7dd8", "#e07b2a", "#3f9e4d", "#a35cc4", "#d6484f", "#1b9aaa", "#b0892c", "#7d7f86"];

/// The pictures of one scenario.
#[derive(Default)]
pub(super) struct Pictures {
    policies: Vec<String>,
    /// How many take part that are not shown.
    others: usize,
    completion: String,
    use_over_time: String,
    schedules: Vec<String>,
}

/// What an episode that was played again leaves.
struct Replay {
    /// Sorted, in seconds.
    times: Vec<f64>,
    /// Of the first episode.
    sim: Option<Simulator>,
}

/// The pictures of each comparison.
pub(super) fn all(fields: &[Field], comparisons: &[Comparison]) -> Vec<Pictures> {
    let tooltips = comparisons.len() <= FEW;
    fields
        .iter()
        .zip(comparisons)
        .map(|(field, comparison)| Pictures::new(field, comparison, tooltips))
        .collect()
}

/// The learned policies, the best rules and plain ones, best first.
fn featured(comparison: &Comparison) -> Vec<&Row> {
    let ranked = ranked(comparison);
    let rules = || ranked.iter().filter(|row| is_rule(row));
    let mut chosen: Vec<&str> =
        ranked.iter().filter(|row| !is_rule(row)).map(|row| row.policy.as_str()).collect();
    let plain = rules().filter(|row| PLAIN.contains(&row.policy.as_str()));
    for row in rules().take(BEST).chain(plain).chain(rules()) {
        if chosen.len() < MOST && !chosen.contains(&row.policy.as_str()) {
            chosen.push(&row.policy);
        }
    }
    chosen.truncate(MOST);
    ranked.into_iter().filter(|row| chosen.contains(&row.policy.as_str())).collect()
}

impl Pictures {
    fn new(field: &Field, comparison: &Comparison, tooltips: bool) -> Pictures {
        let policies: Vec<String> = featured(comparison).iter().map(|row| row.policy.clone()).collect();
        if policies.is_empty() {
            return Pictures::default();
        }
        let replays = replay(field, &policies);
        let sims: Vec<&Simulator> = replays.iter().filter_map(|of| of.first()?.sim.as_ref()).collect();
        let extent = sims.iter().map(|sim| gantt::extent(sim)).max().unwrap_or_default();
        let name = |sim: &Simulator| kinds(sim.world());
        let schedule = |sim: &&Simulator| {
            let kinds = name(sim);
            let options =
                SvgOptions { kinds, max_bars: BARS, max_rows: 48, extent, tooltips, ..SvgOptions::default() };
            inline(&gantt::svg(sim, &options), "gantt")
        };
        Pictures {
            others: comparison.policies.len() - policies.len(),
            completion: completion(&replays),
            use_over_time: use_over_time(&sims, extent),
            schedules: sims.iter().map(schedule).collect(),
            policies,
        }
    }

    /// As parts of the page.
    pub(super) fn html(&self) -> String {
        if self.policies.is_empty() {
            return String::new();
        }
        let mut text = String::from("<h3>Distributions and use</h3>\n<div class=\"legend\">");
        for (policy, colour) in self.policies.iter().zip(COLOURS) {
            let _ = write!(text, "<span><i style=\"background:{colour}\"></i>{}</span>", escape(policy));
        }
        text += "</div>\n";
        if self.others > 0 {
            let _ = writeln!(
                text,
                "<p class=\"meaning\">{} more took part and are not shown here.</p>",
                self.others
            );
        }
        let _ = writeln!(text, "<div class=\"pair\">{}{}</div>", self.completion, self.use_over_time);
        text += "<h3>Schedules of the first episode, on one time axis</h3>\n";
        for (at, (policy, schedule)) in self.policies.iter().zip(&self.schedules).enumerate() {
            let open = if at < 2 { " open=\"\"" } else { "" };
            let policy = escape(policy);
            let _ = writeln!(
                text,
                "<details class=\"more\"{open}><summary>{policy}</summary>\n{schedule}</details>"
            );
        }
        text
    }
}

/// (policies, episodes)
fn replay(field: &Field, policies: &[String]) -> Vec<Vec<Replay>> {
    let episodes = field.seeds.len().min(EPISODES);
    let worlds: Vec<OnceLock<Option<Arc<World>>>> = (0..episodes).map(|_| OnceLock::new()).collect();
    let played: Vec<OnceLock<Replay>> = (0..policies.len() * episodes).map(|_| OnceLock::new()).collect();
    in_order(played.len(), |task| {
        let (number, at) = (task / policies.len(), task % policies.len());
        let generate = || field.source.world(number, field.seeds[number]).ok().map(Arc::new);
        let world = worlds[number].get_or_init(generate).as_ref();
        let contestant = field.contestants.iter().find(|one| one.name == policies[at]);
        // What has been played before is played again, and does not fail now.
        let sim = world.zip(contestant).and_then(|(world, contestant)| {
            play(world, &mut *(contestant.build)(), field.seeds[number]).ok()
        });
        let Some(sim) = sim else { return };
        let times = completion_times(&sim);
        let _ = played[at * episodes + number].set(Replay { times, sim: (number == 0).then_some(sim) });
    });
    let mut played = played.into_iter().filter_map(OnceLock::into_inner);
    policies.iter().map(|_| played.by_ref().take(episodes).collect()).collect()
}

/// Names of the device kinds of a cluster.
fn kinds(world: &World) -> Vec<String> {
    (0..world.cluster.kinds().len()).map(|slot| world.cluster.kind_name(slot)).collect()
}

/// The largest unit of time in which a length is at least 2.
fn unit(seconds: f64) -> (&'static str, f64) {
    let units = [("d", 86_400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)];
    units.into_iter().find(|(_, unit)| seconds >= 2.0 * unit).unwrap_or(("us", 1e-6))
}

/// Empirical distribution functions of completion time.
fn completion(replays: &[Vec<Replay>]) -> String {
    let pooled = |of: &Vec<Replay>| {
        let mut times: Vec<f64> = of.iter().flat_map(|replay| &replay.times).copied().collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let pooled: Vec<Vec<f64>> = replays.iter().map(pooled).collect();
    let quantile = |level: f64| {
        let at = |times: &Vec<f64>| times.get((level * (times.len() - 1) as f64) as usize).copied();
        pooled.iter().filter(|times| !times.is_empty()).filter_map(at).collect::<Vec<f64>>()
    };
    let low = quantile(0.005).into_iter().fold(f64::INFINITY, f64::min);
    let high = quantile(1.0).into_iter().fold(0.0, f64::max);
    let (name, unit) = unit(quantile(0.5).into_iter().fold(0.0, f64::max));
    let is_wide = low > 0.0 && high > 20.0 * low;
    let label = |scale| format!("completion time of a job ({name}{scale})");
    let x = match is_wide {
        true => Axis::log(&label(", log scale"), low / unit, high / unit),
        false => Axis::linear(&label(""), 0.0, high / unit),
    };
    let curve = |(colour, times): (usize, &Vec<f64>)| {
        let points = steps(times).into_iter().map(|(time, share)| (time / unit, share)).collect();
        Curve { name: String::new(), points, colour, dotted: false }
    };
    let curves = pooled.iter().enumerate().map(curve).collect();
    let episodes = replays.first().map_or(0, Vec::len);
    let title = format!("Completion times of {episodes} episode{}", if episodes == 1 { "" } else { "s" });
    panel(title, x, Axis::linear("share of jobs done within", 0.0, 1.0), curves)
}

/// The empirical distribution of sorted values in at most [`POINTS`] points, as (value, share not above it).
fn steps(sorted: &[f64]) -> Vec<(f64, f64)> {
    let (count, points) = (sorted.len(), sorted.len().min(POINTS));
    let at = |point: usize| ((point + 1) * count).div_ceil(points) - 1;
    (0..points).map(|point| (sorted[at(point)], (at(point) + 1) as f64 / count as f64)).collect()
}

/// The busy share of all devices over the first episode.
fn use_over_time(sims: &[&Simulator], extent: Span) -> String {
    let (name, unit) = unit(extent.as_secs_f64());
    let length = extent.as_secs_f64() / unit;
    let curve = |(colour, sim): (usize, &&Simulator)| {
        let shares = gantt::busy_shares(sim, extent, POINTS);
        let middle = |at: usize| (at as f64 + 0.5) / POINTS as f64 * length;
        let points = shares.into_iter().enumerate().map(|(at, share)| (middle(at), share)).collect();
        Curve { name: String::new(), points, colour, dotted: false }
    };
    let curves = sims.iter().enumerate().map(curve).collect();
    let x = Axis::linear(&format!("time since the first submission ({name})"), 0.0, length);
    panel("Use of the devices in the first episode".into(), x, Axis::linear("share in use", 0.0, 1.0), curves)
}

fn panel(title: String, x: Axis, y: Axis, curves: Vec<Curve>) -> String {
    let panel = Panel { title, x, y, content: Content::Curves(curves), height: 300 };
    inline(&figure("", &[panel], &[]), "figure")
}

/// A picture as part of a page: without a style of its own, and as wide as there is room.
fn inline(svg: &str, class: &str) -> String {
    let (open, rest) = svg.split_once('>').unwrap_or((svg, ""));
    let view = open.find("viewBox").map_or("", |at| &open[at..]);
    let content = rest.split_once("</style>").map_or(rest, |(_, content)| content);
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" {view}>{}", content.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_ends_at_one_and_keeps_few_points() {
        assert_eq!(steps(&[2.0, 3.0]), [(2.0, 0.5), (3.0, 1.0)]);
        assert!(steps(&[]).is_empty());
        let many: Vec<f64> = (0..10_000).map(f64::from).collect();
        let steps = steps(&many);
        assert_eq!((steps.len(), steps[steps.len() - 1]), (POINTS, (9999.0, 1.0)));
        assert!(steps.is_sorted_by(|one, other| one.1 < other.1));
    }

    #[test]
    fn a_picture_leaves_its_style_behind() {
        let svg = "<svg width=\"9\" viewBox=\"0 0 9 9\">\n<style>text{x}</style>\n<rect/></svg>\n";
        assert_eq!(
            inline(svg, "a"),
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"a\" viewBox=\"0 0 9 9\"><rect/></svg>\n"
        );
    }
}
