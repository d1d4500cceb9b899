//! What the classical rules do, in pictures: a row per device, a column per second, a letter per job.
//!
//! `UPDATE_EXPECT=1 cargo test -p yardmaster-agent --test pictures` redraws them. Look at what changed.

#![allow(clippy::unwrap_used, reason = "a fault in a test's own text may end the test")]

use std::sync::Arc;

use expect_test::{Expect, expect};
use yardmaster_agent::policy::play;
use yardmaster_agent::registry;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::{Cluster, Node};
use yardmaster_env::gantt;
use yardmaster_env::job::{Job, Task, Truth, Workload};
use yardmaster_env::objective::Objective;
use yardmaster_env::sim::{RoundRules, World};
use yardmaster_env::units::{KindId, Span, Time};
use yardmaster_env::view::Discipline;

#[path = "pictures/kinds.rs"]
mod kinds;
#[path = "pictures/rounds.rs"]
mod rounds;

/// Plays a policy on `nodes | jobs` and compares the drawing.
///
/// Nodes are `devices name`; names that differ only in their digits are of one kind. Jobs are
/// `letter@arrival:seconds`, then `/seconds` for the true duration if it is another, then `*devices` for a gang. They
/// come in order of arrival, and so of their letters.
fn check(policy: &str, case: &str, expect: Expect) {
    check_under(Discipline::Free, policy, case, expect);
}

fn check_under(discipline: Discipline, policy: &str, case: &str, expect: Expect) {
    let (nodes, jobs) = case.split_once('|').unwrap();
    let (cluster, workload) = (cluster(nodes), workload(jobs));
    let catalog = Catalog::builtin();
    let world = World::new(catalog, cluster, workload, discipline, Objective::CompletionTime, None).unwrap();
    let rounds = RoundRules { quantum: Span::from_secs(2), reallocate: Span::from_secs(4) };
    let world = world.with_rounds(rounds).unwrap();
    let sim = play(&Arc::new(world), &mut *registry::build(policy).unwrap(), 0).unwrap();
    expect.assert_eq(&gantt::text(&sim, Span::from_secs(1)));
}

fn cluster(text: &str) -> Cluster {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (mut kinds, mut nodes): (Vec<&str>, Vec<Node>) = Default::default();
    for pair in words.chunks(2) {
        let (devices, name) = (pair[0].parse().unwrap(), pair[1]);
        let kind = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let slot = kinds.iter().position(|other| *other == kind).unwrap_or(kinds.len());
        if slot == kinds.len() {
            kinds.push(kind);
        }
        nodes.push(Node {
            name: name.into(),
            kind: KindId(slot as u16),
            devices,
            procs_per_device: 1,
            rack: 0,
        });
    }
    Cluster::new(nodes)
}

fn workload(text: &str) -> Workload {
    let mut workload = Workload::default();
    for (at, word) in text.split_whitespace().enumerate() {
        let (name, rest) = word.split_once('@').unwrap();
        assert_eq!(name.as_bytes(), [b'a' + at as u8], "letters follow the order of arrival");
        let (arrival, rest) = rest.split_once(':').unwrap();
        let (times, gang) = rest.split_once('*').unwrap_or((rest, "1"));
        let (requested, truth) = match times.split_once('/') {
            Some((requested, actual)) => (seconds(requested), Truth::Duration(seconds(actual))),
            None => (seconds(times), Truth::AsEstimated),
        };
        let arrival = Time::ZERO + seconds(arrival);
        let job = Job::new(at as u64, arrival, Task::Rigid { requested }, gang.parse().unwrap());
        workload.push(job, truth);
    }
    workload
}

fn seconds(text: &str) -> Span {
    Span::from_secs(text.trim_end_matches('s').parse().unwrap())
}

/// Five jobs of different lengths and sizes at once, and one that comes later.
const MIXED: &str = "3 gpu | a@0:3s*2 b@0:5s c@0:2s*3 d@0:1s e@0:4s*2 f@2:1s";

#[test]
fn fcfs() {
    check(
        "fcfs",
        MIXED,
        expect![[r#"
        gpu.0 |aaa..ccdf..|
        gpu.1 |aaa..cceeee|
        gpu.2 |bbbbbcceeee|
               0 s       10 s
    "#]],
    );
}

#[test]
fn sjf() {
    check(
        "sjf",
        MIXED,
        expect![[r#"
            gpu.0 |aaafeeeecc|
            gpu.1 |aaa.eeeecc|
            gpu.2 |dbbbbb..cc|
                   0 s       10 s
        "#]],
    );
}

#[test]
fn ljf() {
    check(
        "ljf",
        MIXED,
        expect![[r#"
            gpu.0 |bbbbbdfcc|
            gpu.1 |eeeeaaacc|
            gpu.2 |eeeeaaacc|
                   0 s
        "#]],
    );
}

#[test]
fn smallest() {
    check(
        "smallest",
        MIXED,
        expect![[r#"
            gpu.0 |bbbbbeeeecc|
            gpu.1 |daaafeeeecc|
            gpu.2 |.aaa.....cc|
                   0 s       10 s
        "#]],
    );
}

#[test]
fn smallest_area() {
    check(
        "saf",
        MIXED,
        expect![[r#"
            gpu.0 |bbbbbcceeee|
            gpu.1 |daaafcceeee|
            gpu.2 |.aaa.cc....|
                   0 s       10 s
        "#]],
    );
}

#[test]
fn earliest_finish() {
    check(
        "eft",
        MIXED,
        expect![[r#"
            gpu.0 |aaafeeeecc|
            gpu.1 |aaa.eeeecc|
            gpu.2 |dbbbbb..cc|
                   0 s       10 s
        "#]],
    );
}

/// Rigid jobs take the same time everywhere, so there is never a faster device to wait for.
#[test]
fn minimum_completion_time() {
    check(
        "mct",
        MIXED,
        expect![[r#"
            gpu.0 |aaafeeeecc|
            gpu.1 |aaa.eeeecc|
            gpu.2 |dbbbbb..cc|
                   0 s       10 s
        "#]],
    );
}

#[test]
fn first_fit_takes_the_first_node_with_room() {
    check(
        "first-fit",
        "3 gpu1 1 gpu2 2 gpu3 | a@0:4s b@0:3s*2 c@0:2s*2 d@0:2s e@2:2s*3",
        expect![[r#"
            gpu1.0 |aaaa|
            gpu1.1 |bbb.|
            gpu1.2 |bbb.|
            gpu2   |ddee|
            gpu3.0 |ccee|
            gpu3.1 |ccee|
                    0 s
        "#]],
    );
}

/// The default placement takes the node that is left with the least room.
#[test]
fn best_fit_within_a_kind() {
    check(
        "fcfs",
        "3 gpu1 1 gpu2 2 gpu3 | a@0:4s b@0:3s*2 c@0:2s*2 d@0:2s e@2:2s*3",
        expect![[r#"
        gpu1.0 |ccee|
        gpu1.1 |ccee|
        gpu1.2 |ddee|
        gpu2   |aaaa|
        gpu3.0 |bbb.|
        gpu3.1 |bbb.|
                0 s
    "#]],
    );
}

#[test]
fn round_robin_deals_jobs_to_kinds_by_their_devices() {
    check(
        "wrr",
        "2 fast 1 slow | a@0:2s b@0:2s c@0:2s d@1:2s e@1:2s f@1:2s",
        expect![[r#"
        fast.0 |aadd|
        fast.1 |ccff|
        slow   |bbee|
                0 s
    "#]],
    );
}

#[test]
fn a_gang_is_of_one_kind() {
    check(
        "fcfs",
        "2 fast 1 slow | a@0:2s b@0:2s*2 c@0:1s*3",
        expect![[r#"
        fast.0 |aabb|
        fast.1 |..bb|
        slow   |....|
                0 s
        refused: c
    "#]],
    );
}

/// First come, first served lets a gang block the queue; the other orders pass it by.
#[test]
fn gangs_block_only_under_fcfs() {
    let case = "4 gpu | a@0:4s*2 b@1:2s*4 c@1:2s d@2:1s*2";
    check(
        "fcfs",
        case,
        expect![[r#"
            gpu.0 |aaaabbcc|
            gpu.1 |aaaabbd.|
            gpu.2 |....bbd.|
            gpu.3 |....bb..|
                   0 s
        "#]],
    );
    check(
        "sjf",
        case,
        expect![[r#"
        gpu.0 |aaaabb|
        gpu.1 |aaaabb|
        gpu.2 |.ccdbb|
        gpu.3 |...dbb|
               0 s
    "#]],
    );
}

/// Sometimes to its ruin: a large gang waits for as long as small jobs arrive.
#[test]
fn a_gang_that_is_passed_by_can_starve() {
    check(
        "smallest",
        "2 gpu | a@0:2s b@0:1s c@1:1s*2 d@1:2s e@2:2s f@3:2s g@4:2s",
        expect![[r#"
            gpu.0 |aaeeggc|
            gpu.1 |bddff.c|
                   0 s
        "#]],
    );
}

/// The head waits for room and nothing passes it, unless it ends before the head could start.
#[test]
fn backfilling_fills_the_gap_before_the_head() {
    let case = "4 gpu | a@0:5s*2 b@1:2s*4 c@1:2s d@1:4s e@2:2s";
    check_under(
        Discipline::Commit,
        "fcfs",
        case,
        expect![[r#"
            gpu.0 |aaaaabbcc..|
            gpu.1 |aaaaabbdddd|
            gpu.2 |.....bbee..|
            gpu.3 |.....bb....|
                   0 s       10 s
        "#]],
    );
    check_under(
        Discipline::CommitBackfill,
        "fcfs",
        case,
        expect![[r#"
        gpu.0 |aaaaabbdddd|
        gpu.1 |aaaaabb....|
        gpu.2 |.cc..bb....|
        gpu.3 |..ee.bb....|
               0 s       10 s
    "#]],
    );
}

/// Backfilling goes by estimates: `a` ends sooner than its user said, `c` holds the head up.
#[test]
fn a_wrong_estimate_lets_backfilling_delay_the_head() {
    let case = "2 gpu | a@0:6s/2s b@1:2s*2 c@1:4s";
    check_under(
        Discipline::Commit,
        "fcfs",
        case,
        expect![[r#"
        gpu.0 |aabbcccc|
        gpu.1 |..bb....|
               0 s
    "#]],
    );
    check_under(
        Discipline::CommitBackfill,
        "fcfs",
        case,
        expect![[r#"
        gpu.0 |aa...bb|
        gpu.1 |.ccccbb|
               0 s
    "#]],
    );
}

#[test]
fn a_chosen_job_is_kept_even_if_a_shorter_one_arrives() {
    let case = "2 gpu | a@0:4s b@1:3s*2 c@2:1s";
    check_under(
        Discipline::Commit,
        "sjf",
        case,
        expect![[r#"
        gpu.0 |aaaabbbc|
        gpu.1 |....bbb.|
               0 s
    "#]],
    );
    check(
        "sjf",
        case,
        expect![[r#"
        gpu.0 |aaaabbb|
        gpu.1 |..c.bbb|
               0 s
    "#]],
    );
}
