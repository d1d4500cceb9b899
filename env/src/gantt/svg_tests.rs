use std::sync::Arc;

use super::*;
use crate::candidates::Candidates;
use crate::catalog::Catalog;
use crate::cluster::{Cluster, Node};
use crate::gym::testing::random_world;
use crate::job::{Job, Task, Truth, Workload};
use crate::objective::Objective;
use crate::sim::World;
use crate::units::KindId;
use crate::view::Discipline;

/// Starts whatever is listed first.
fn run(world: Arc<World>) -> Simulator {
    let mut sim = Simulator::new(world);
    let mut candidates = Candidates::default();
    while let Some(view) = sim.next_decision() {
        candidates.fill(&view);
        let decision = candidates.decision(&view, 0).unwrap();
        sim.apply(decision).unwrap();
    }
    sim
}

fn large(nodes: u32, devices: u32, jobs: u64) -> Arc<World> {
    let node = |at: u32| Node {
        name: format!("node-{at:03}"),
        kind: KindId((at % 3) as u16),
        devices,
        procs_per_device: 1,
        rack: 0,
    };
    let mut workload = Workload::default();
    for label in 0..jobs {
        let span = Span::from_secs(5 + label * 7919 % (1 + label % 600));
        let gang = [1, 1, 2, 1, 4, 8][(label % 6) as usize];
        workload.push(
            Job::new(label, Time(label * 700_000_000), Task::Rigid { requested: span }, gang),
            Truth::AsEstimated,
        );
    }
    let cluster = Cluster::new((0..nodes).map(node).collect());
    let catalog = Catalog::builtin();
    Arc::new(
        World::new(catalog, cluster, workload, Discipline::Free, Objective::CompletionTime, None).unwrap(),
    )
}

fn options(title: &str) -> SvgOptions {
    SvgOptions { title: title.into(), ..SvgOptions::default() }
}

/// With `YARDMASTER_PICTURES` set to a folder, the picture is left there to be looked at.
fn keep(name: &str, picture: &str) {
    if let Some(folder) = std::env::var_os("YARDMASTER_PICTURES") {
        std::fs::write(std::path::Path::new(&folder).join(name), picture).unwrap();
    }
}

/// Elements are closed, texts escaped: enough of XML to notice a slip.
fn is_sound(picture: &str) {
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    for tag in ["text", "title", "svg", "style"] {
        let open =
            picture.matches(&format!("<{tag}>")).count() + picture.matches(&format!("<{tag} ")).count();
        assert_eq!(open, picture.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(!picture.contains("NaN") && !picture.contains("inf"));
}

#[test]
fn a_small_schedule_shows_every_job() {
    let sim = run(random_world(4, 12));
    let picture = svg(&sim, &options("twelve jobs <&> four nodes"));
    keep("small.svg", &picture);
    is_sound(&picture);
    assert!(picture.contains("twelve jobs &lt;&amp;&gt; four nodes"));
    for (at, record) in sim.records().iter().enumerate() {
        let shown = picture.contains(&format!("<title>job {at} on"));
        assert_eq!(shown, record.state == crate::sim::State::Finished, "job {at}");
    }
    assert_eq!(picture, svg(&sim, &options("twelve jobs <&> four nodes")), "drawing is deterministic");
}

#[test]
fn many_short_jobs_are_merged_with_a_note() {
    let sim = run(large(12, 4, 1500));
    let picture = svg(&sim, &options("1500 jobs on 48 devices"));
    keep("many.svg", &picture);
    is_sound(&picture);
    let most = picture.matches("<title>").count() - 100;
    let few = svg(&sim, &SvgOptions { max_bars: most, ..options("merged") });
    keep("merged.svg", &few);
    is_sound(&few);
    assert!(few.contains("are merged (darker)") && few.matches("<title>").count() <= most);
    let fewest = svg(&sim, &SvgOptions { max_bars: 100, ..options("busy share") });
    keep("share.svg", &fewest);
    assert!(fewest.contains("too much to draw") && fewest.matches("<title>").count() == 12);
}

#[test]
fn a_large_cluster_is_drawn_by_node() {
    for (nodes, devices) in [(32, 8), (256, 1)] {
        let picture = svg(&run(large(nodes, devices, 1000)), &options("256 devices"));
        keep(&format!("large-{nodes}.svg"), &picture);
        is_sound(&picture);
        assert!(picture.contains("too much to draw") && picture.matches("<title>").count() <= 128);
    }
}

#[test]
fn nothing_to_draw_is_drawn() {
    let picture = svg(&run(random_world(4, 0)), &SvgOptions::default());
    is_sound(&picture);
}
