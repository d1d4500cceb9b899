//! Time slices, in rounds of 2 s; an allocation stands for 4 s.

use super::*;

/// Rounds of 2 s. `a` and `b` are cut off for `c` and `d`; `e` comes in between and is in line before those who were
/// served meanwhile.
#[test]
fn round_robin_serves_in_turn() {
    let case = "2 gpu | a@0:5s b@0:3s c@0:2s d@0:4s e@3:1s";
    check_under(
        Discipline::Rounds,
        "rr",
        case,
        expect![[r#"
        gpu.0 |aaccaadda|
        gpu.1 |bbddb.e..|
               0 s
    "#]],
    );
}

/// A gang waits for its turn, and then comes before all others; who fits beside it does not wait.
#[test]
fn round_robin_with_a_gang() {
    check_under(
        Discipline::Rounds,
        "rr",
        "3 gpu | a@0:4s b@0:4s c@0:4s*3 d@0:2s e@0:2s*2",
        expect![[r#"
        gpu.0 |aaccaabbcc|
        gpu.1 |bbccee..cc|
        gpu.2 |ddccee..cc|
               0 s       10 s
    "#]],
    );
}

/// Under rounds a rule of the free discipline decides anew in each round, so that a shorter job takes over.
#[test]
fn shortest_first_preempts_under_rounds() {
    check_under(
        Discipline::Rounds,
        "sjf",
        "1 gpu | a@0:6s b@1:2s c@3:3s",
        expect![[r#"
        gpu |aabbcccaaaa|
             0 s       10 s
    "#]],
    );
}

/// An allocation stands for 4 s: `d` has to wait until then although `c` has left its device. The first, made at
/// time 0, stands for no time.
#[test]
fn first_in_first_out_keeps_its_allocation() {
    let case = "2 gpu | a@0:1s b@0:9s c@0:1s d@0:3s";
    check_under(
        Discipline::Rounds,
        "fifo",
        case,
        expect![[r#"
            gpu.0 |a.bbbbbbb|
            gpu.1 |bbc...ddd|
                   0 s
        "#]],
    );
}

/// The head of the queue is a gang without room: nobody overtakes it.
#[test]
fn first_in_first_out_stops_at_its_head() {
    let case = "2 fast 1 slow | a@0:4s b@0:6s*2 c@0:2s";
    check_under(
        Discipline::Rounds,
        "fifo-perf",
        case,
        expect![[r#"
        fast.0 |aaaabbbbbb|
        fast.1 |....bbbbbb|
        slow   |....cc....|
                0 s       10 s
    "#]],
    );
}
