//! Devices of several kinds, and runs that are cut off.

use yardmaster_env::job::StepSpeeds;
use yardmaster_env::rules::{Restarts, Resume, Rules};

use super::*;

/// Steps of every job, so many that all times are whole.
const STEPS: u64 = 2_520_000;

/// As [`check`]; `letter@arrival:3/5/-s` takes 3 s on the first kind, 5 s on the second, and does not run on the third.
/// With `restart`, jobs may be preempted and restart for so many seconds.
fn check_kinds(policy: &str, case: &str, restart: Option<u64>, expect: Expect) {
    let (nodes, jobs) = case.split_once('|').unwrap();
    let mut workload = Workload::default();
    for (at, word) in jobs.split_whitespace().enumerate() {
        let (arrival, rest) = word.split_once('@').unwrap().1.split_once(':').unwrap();
        let (times, gang) = rest.split_once('*').unwrap_or((rest, "1"));
        let gang = gang.parse().unwrap();
        let speed = |time: &str| Some(STEPS as f64 / time.parse::<f64>().ok()?);
        let times = times.trim_end_matches('s').split('/').enumerate();
        let by_kind = times.filter_map(|(kind, time)| Some((KindId(kind as u16), speed(time)?))).collect();
        workload.speeds.push(StepSpeeds { name: word.into(), gang, by_kind });
        let task = Task::Steps { speeds: at as u32, steps: STEPS };
        workload.push(Job::new(at as u64, Time::ZERO + seconds(arrival), task, gang), Truth::AsEstimated);
    }
    let objective = Objective::CompletionTime;
    let world =
        World::new(Catalog::builtin(), cluster(nodes), workload, Discipline::Free, objective, None).unwrap();
    let restarts = Restarts::Alike(Span::from_secs(restart.unwrap_or(0)));
    let resume = Resume { restarts, checkpoint: None };
    let world = world.with_rules(Rules { preempt: restart.is_some(), resume, ..Rules::default() }).unwrap();
    let sim = play(&Arc::new(world), &mut *registry::build(policy).unwrap(), 0).unwrap();
    expect.assert_eq(&gantt::text(&sim, Span::from_secs(1)));
}

/// At 6 s the ratios are 1 + 6/8 for `b` and 1 + 1/4 for `d`; sjf would take `d`.
#[test]
fn highest_response_ratio_next_serves_the_long_job_that_waited() {
    check(
        "hrrn",
        "1 gpu | a@0:4s b@0:8s c@1:2s d@5:4s",
        expect![[r#"
        gpu |aaaaccbbbbbbbbdddd|
             0 s       10 s
    "#]],
    );
}

/// `b` takes 2 s and `a`, which has 4 s left, restarts for 1 s; `c` is not short enough to be worth a restart.
#[test]
fn shortest_remaining_time_preempts() {
    check_kinds(
        "srpt",
        "1 gpu | a@0:6s b@2:2s c@6:3s",
        Some(1),
        expect![[r#"
            gpu |aabbaaaaaccc|
                 0 s       10 s
        "#]],
    );
}

/// Levels end at 2, 4 and 8 s: `a` gives way once it has received 2 s; `b` goes on when it has come to the same level.
#[test]
fn least_attained_service_serves_newcomers() {
    check_kinds(
        "las(level_h=0.0005555555555555556)",
        "1 gpu | a@0:6s b@1:3s",
        Some(0),
        expect![[r#"
            gpu |aabbbaaaa|
                 0 s
        "#]],
    );
}

/// Slices of 2 s; `c` takes the place of `a`, which takes that of `b`.
#[test]
fn round_robin_cuts_slices() {
    check_kinds(
        "rr(slice_h=0.0005555555555555556)",
        "2 gpu | a@0:6s b@1:6s c@1:4s",
        Some(0),
        expect![[r#"
            gpu.0 |aaccbbaa.|
            gpu.1 |.bbaaccbb|
                   0 s
        "#]],
    );
}

/// `b` is reserved for 4 s. `c` ends by then; `d` would not, and `e` takes what `b` leaves free.
#[test]
fn easy_backfills_what_does_not_delay_the_head() {
    check(
        "easy",
        "4 gpu | a@0:4s*2 b@0:2s*3 c@0:3s d@0:5s*2 e@0:6s",
        expect![[r#"
        gpu.0 |aaaabbddddd|
        gpu.1 |aaaabbddddd|
        gpu.2 |ccc.bb.....|
        gpu.3 |eeeeee.....|
               0 s       10 s
    "#]],
    );
}

/// `d` on the device that `b` leaves free would delay `c`, which has a reservation too.
#[test]
fn conservative_backfilling_delays_nobody() {
    check(
        "conservative",
        "4 gpu | a@0:4s*2 b@0:2s*3 c@0:2s*4 d@0:7s",
        expect![[r#"
            gpu.0 |aaaabbccddddddd|
            gpu.1 |aaaabbcc.......|
            gpu.2 |....bbcc.......|
            gpu.3 |......cc.......|
                   0 s       10 s
        "#]],
    );
}

#[test]
fn easy_may_delay_those_behind_the_head() {
    check(
        "easy",
        "4 gpu | a@0:4s*2 b@0:2s*3 c@0:2s*4 d@0:7s",
        expect![[r#"
            gpu.0 |aaaabb.cc|
            gpu.1 |aaaabb.cc|
            gpu.2 |dddddddcc|
            gpu.3 |....bb.cc|
                   0 s
        "#]],
    );
}

/// The shortest of those behind the head comes first.
#[test]
fn easy_with_another_order() {
    check(
        "easy+sjf",
        "2 gpu | a@0:4s b@1:3s*2 c@1:3s d@1:1s",
        expect![[r#"
        gpu.0 |aaaabbbccc|
        gpu.1 |.d..bbb...|
               0 s       10 s
    "#]],
    );
}

/// `b` waits 1 s for the fast device rather than taking 9 s on the slow one, which `c` gets.
#[test]
fn a_reservation_is_on_the_kind_where_the_work_ends_first() {
    check_kinds(
        "easy",
        "1 fast 1 slow | a@0:1/9s b@0:2/9s c@0:2/3s",
        None,
        expect![[r#"
        fast |abb|
        slow |ccc|
              0 s
    "#]],
    );
}

#[test]
fn min_min_maps_short_work_first() {
    check_kinds(
        "min-min",
        "1 fast 1 slow | a@0:4/8s b@0:2/3s c@0:1/2s",
        None,
        expect![[r#"
        fast |cbbaaaa|
        slow |.......|
              0 s
    "#]],
    );
}

#[test]
fn max_min_maps_long_work_first() {
    check_kinds(
        "max-min",
        "1 fast 1 slow | a@0:4/8s b@0:2/3s c@0:1/2s",
        None,
        expect![[r#"
        fast |aaaac|
        slow |bbb..|
              0 s
    "#]],
    );
}

/// `a` would end first on the fast device, and lose 1 s without it; `b` would lose 7 s.
#[test]
fn sufferage_gives_the_device_to_whom_it_matters() {
    check_kinds(
        "sufferage",
        "1 fast 1 slow | a@0:2/3s b@0:3/10s",
        None,
        expect![[r#"
        fast |bbb|
        slow |aaa|
              0 s
    "#]],
    );
}

/// Ends add up to 3 + 2 + 4 s: `a` leaves the fast device, where it would end first, to the others.
#[test]
fn matching_finds_the_least_sum_of_completion_times() {
    check_kinds(
        "matching(ahead=0)",
        "1 fast 1 slow | a@0:1/3s b@0:2/9s c@0:2/9s",
        None,
        expect![[r#"
            fast |accbb|
            slow |.....|
                  0 s
        "#]],
    );
}

#[test]
fn minimum_completion_time_crowds_where_matching_does_not() {
    check_kinds(
        "mct",
        "1 fast 1 slow | a@0:1/3s b@0:2/9s c@0:2/9s",
        None,
        expect![[r#"
            fast |abbcc|
            slow |.....|
                  0 s
        "#]],
    );
}

/// `b` is below half of what `a` has left, `c` is not.
#[test]
fn preemption_for_much_shorter_work() {
    check_kinds(
        "price(alpha=1,beta=0,preempt=0.5)",
        "1 gpu | a@0:8s b@2:2s c@8:2s",
        Some(1),
        expect![[r#"
            gpu |aabbaaaaaaacc|
                 0 s       10 s
        "#]],
    );
}

/// At 3 s `b` has 5 s left on the slow device, and 3.75 s on the fast one.
#[test]
fn migration_to_a_faster_kind_that_comes_free() {
    check_kinds(
        "price(alpha=1,beta=0,migrate=0.8)",
        "1 fast 1 slow | a@0:3/20s b@0:6/8s c@3:-/1s",
        Some(0),
        expect![[r#"
            fast |aaabbbb|
            slow |bbbc...|
                  0 s
        "#]],
    );
}

/// Work of more than 3.6 s leaves one device free; `b` waits and `c` does not.
#[test]
fn long_work_leaves_devices_free() {
    check(
        "reserve(long_h=0.001,spare=1)",
        "2 gpu | a@0:5s b@0:5s c@1:2s",
        expect![[r#"
        gpu.0 |aaaaabbbbb|
        gpu.1 |.cc.......|
               0 s       10 s
    "#]],
    );
}

/// Both are faster on the fast device; `b` ten times, `a` hardly. Prices send `a` to the slow one.
#[test]
fn prices_keep_the_scarce_kind_for_whom_it_matters() {
    check_kinds(
        "price(alpha=1)",
        "1 fast 1 slow | a@0:3/4s b@0:4/40s",
        None,
        expect![[r#"
        fast |bbbb|
        slow |aaaa|
              0 s
    "#]],
    );
}

#[test]
fn without_prices_the_shorter_job_takes_it() {
    check_kinds(
        "mct",
        "1 fast 1 slow | a@0:3/4s b@0:4/40s",
        None,
        expect![[r#"
        fast |aaabbbb|
        slow |.......|
              0 s
    "#]],
    );
}

#[test]
fn heavier_work_first_unless_it_waited() {
    check(
        "priority",
        "1 gpu | a@0:2s b@0:2s c@1:1s",
        expect![[r#"
        gpu |aabbc|
             0 s
    "#]],
    );
}

#[test]
fn placement_first_fit() {
    check(
        "fcfs+first-fit",
        "2 a1 2 a2 4 b1 | a@0:3s b@0:3s c@0:3s*2 d@0:2s",
        expect![[r#"
        a1.0 |aaa|
        a1.1 |bbb|
        a2.0 |ccc|
        a2.1 |ccc|
        b1.0 |dd.|
        b1.1 |...|
        b1.2 |...|
        b1.3 |...|
              0 s
    "#]],
    );
}

#[test]
fn placement_best_fit() {
    check(
        "fcfs+best-fit",
        "2 a1 2 a2 4 b1 | a@0:3s b@0:3s c@0:3s*2 d@0:2s",
        expect![[r#"
        a1.0 |aaa|
        a1.1 |bbb|
        a2.0 |ccc|
        a2.1 |ccc|
        b1.0 |dd.|
        b1.1 |...|
        b1.2 |...|
        b1.3 |...|
              0 s
    "#]],
    );
}

#[test]
fn placement_round_robin() {
    check(
        "fcfs+round-robin",
        "2 a1 2 a2 4 b1 | a@0:3s b@0:3s c@0:3s*2 d@0:2s",
        expect![[r#"
        a1.0 |aaa|
        a1.1 |dd.|
        a2.0 |bbb|
        a2.1 |...|
        b1.0 |ccc|
        b1.1 |ccc|
        b1.2 |...|
        b1.3 |...|
              0 s
    "#]],
    );
}

#[test]
fn placement_least_connections() {
    check(
        "fcfs+least-connections",
        "2 a1 2 a2 4 b1 | a@0:3s b@0:3s c@0:3s*2 d@0:2s",
        expect![[r#"
        a1.0 |aaa|
        a1.1 |...|
        a2.0 |bbb|
        a2.1 |...|
        b1.0 |ccc|
        b1.1 |ccc|
        b1.2 |dd.|
        b1.3 |...|
              0 s
    "#]],
    );
}

#[test]
fn placement_dot_product() {
    check(
        "fcfs+dot-product",
        "2 a1 2 a2 4 b1 | a@0:3s b@0:3s c@0:3s*2 d@0:2s",
        expect![[r#"
        a1.0 |ccc|
        a1.1 |ccc|
        a2.0 |dd.|
        a2.1 |...|
        b1.0 |aaa|
        b1.1 |bbb|
        b1.2 |...|
        b1.3 |...|
              0 s
    "#]],
    );
}

#[test]
fn placement_demand() {
    check(
        "fcfs+demand",
        "2 a1 2 a2 4 b1 | a@0:3s b@0:3s c@0:3s*2 d@0:2s",
        expect![[r#"
        a1.0 |dd.|
        a1.1 |...|
        a2.0 |...|
        a2.1 |...|
        b1.0 |aaa|
        b1.1 |bbb|
        b1.2 |ccc|
        b1.3 |ccc|
              0 s
    "#]],
    );
}

#[test]
fn placement_random_fit() {
    check(
        "fcfs+random-fit",
        "2 a1 2 a2 4 b1 | a@0:3s b@0:3s c@0:3s*2 d@0:2s",
        expect![[r#"
        a1.0 |aaa|
        a1.1 |dd.|
        a2.0 |bbb|
        a2.1 |...|
        b1.0 |ccc|
        b1.1 |ccc|
        b1.2 |...|
        b1.3 |...|
              0 s
    "#]],
    );
}

/// Pairs are common: the third job goes beside the second, where no pair fits any more.
#[test]
fn placement_fragmentation_gradient() {
    check(
        "fcfs+fragmentation-gradient",
        "2 a1 2 a2 | a@0:5s*2 b@0:5s*2 c@5:4s d@5:4s e@5:4s*2",
        expect![[r#"
            a1.0 |aaaaacccc|
            a1.1 |aaaaadddd|
            a2.0 |bbbbbeeee|
            a2.1 |bbbbbeeee|
                  0 s
        "#]],
    );
}
