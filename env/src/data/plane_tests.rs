//! Worked examples: bytes, rates and moments that can be followed by hand.

use super::testing::{A, B, C, at, drain, node, plane, setup};
use super::{Compression, Source};
use crate::units::{Span, Time};

fn secs(seconds: f64) -> Span {
    Span::from_secs_f64(seconds)
}

#[test]
fn what_is_here_needs_no_transfer() {
    let mut plane = plane(setup(1, 1));
    assert_eq!((plane.missing(node(0), &[A, A]), plane.estimate(at(0), node(0), &[A, A])), (400, secs(4.0)));
    assert!(plane.begin(at(0), node(0), &[A], 1));
    assert_eq!(plane.missing(node(0), &[A]), 0, "it is on its way");
    assert_eq!(drain(&mut plane), [(1, at(4))]);
    assert_eq!((plane.missing(node(0), &[A]), plane.estimate(at(4), node(0), &[A])), (0, Span::ZERO));
    assert!(!plane.begin(at(5), node(0), &[A], 2));
    assert!(!plane.begin(at(5), node(0), &[], 3));
    assert_eq!((plane.next(), plane.pop_ready()), (None, None));
    assert_eq!((plane.counters().hits, plane.counters().misses, plane.counters().storage_bytes), (1, 1, 400));
}

#[test]
fn two_equal_transfers_on_one_link_take_twice_as_long() {
    let mut plane = plane(setup(1, 1));
    assert_eq!(plane.estimate(at(0), node(0), &[A, B]), secs(8.0));
    plane.begin(at(0), node(0), &[A], 1);
    plane.begin(at(0), node(0), &[B], 2);
    assert_eq!(drain(&mut plane), [(1, at(8)), (2, at(8))]);
}

#[test]
fn a_late_transfer_slows_the_other_only_while_both_last() {
    let mut plane = plane(setup(1, 1));
    plane.begin(at(0), node(0), &[A], 1);
    // A has 200 bytes left at 2 s and needs 4 s for them; B then has 200 bytes left and the link alone.
    assert_eq!(plane.estimate(at(2), node(0), &[B]), secs(8.0), "an equal share for the whole time");
    plane.begin(at(2), node(0), &[B], 2);
    plane.advance(at(2));
    assert_eq!((plane.ready_at(1), plane.ready_at(2), plane.ready_at(3)), (Some(at(6)), Some(at(10)), None));
    assert_eq!(drain(&mut plane), [(1, at(6)), (2, at(8))]);
}

#[test]
fn latency_comes_before_the_first_byte() {
    let mut setup = setup(1, 1);
    setup.storage.latency = secs(1.0);
    setup.link_latency = secs(0.25);
    let mut plane = plane(setup);
    assert_eq!(plane.estimate(at(0), node(0), &[A]), secs(5.5));
    plane.begin(at(0), node(0), &[A], 1);
    assert_eq!(plane.next(), Some(Time::ZERO + secs(1.5)));
    assert_eq!(plane.estimate(at(0), node(0), &[A]), secs(5.5), "under way and known as well as before");
    assert_eq!(drain(&mut plane), [(1, Time::ZERO + secs(5.5))]);
}

#[test]
fn compression_pays_on_a_slow_link_and_not_on_a_fast_one() {
    let source = |nic: f64| {
        let mut setup = setup(1, 1);
        setup.nodes[0].nic_bytes_per_s = nic;
        // 100 compressed bytes at 25 bytes per second.
        setup.switches.compression = Some(Compression { decompressed_bytes_per_s: 100.0 });
        let mut plane = plane(setup);
        let estimate = plane.estimate(at(0), node(0), &[A]);
        plane.begin(at(0), node(0), &[A], 1);
        let wire = plane.transfers().next().unwrap().wire_bytes;
        assert_eq!(drain(&mut plane), [(1, Time::ZERO + estimate)]);
        assert_eq!(plane.used_bytes(node(0)), 400, "a cache keeps what is ready for use");
        (wire, estimate)
    };
    assert_eq!(source(10.0), (100, secs(10.0)), "the wire decides");
    assert_eq!(source(80.0), (100, secs(4.0)), "decompression decides");
    assert_eq!(source(200.0), (400, secs(2.0)));
}

/// Node 0 has A; where the given node gets it from.
fn source_of(change: impl FnOnce(&mut super::DataSetup), to: u32) -> (Source, u64) {
    let mut setup = setup(4, 2);
    change(&mut setup);
    let mut plane = plane(setup);
    plane.publish(at(0), node(0), A);
    plane.begin(at(0), node(to), &[A], 1);
    let source = plane.transfers().next().unwrap().source;
    let end = drain(&mut plane)[0].1;
    (source, end.0 / 1_000_000)
}

#[test]
fn the_faster_of_replica_and_store_is_taken() {
    let replica = Source::Replica(node(0));
    assert_eq!(source_of(|_| (), 2), (replica, 4000), "of equals the replica");
    assert_eq!(source_of(|setup| setup.racks[0].uplink_bytes_per_s = 1.0, 2), (replica, 4000), "same rack");
    // Into rack 1 all must pass its uplink, but only the replica leaves through that of rack 0.
    assert_eq!(source_of(|setup| setup.racks[0].uplink_bytes_per_s = 1.0, 1), (Source::Storage, 4000));
    assert_eq!(source_of(|setup| setup.nodes[0].disk_bytes_per_s = 50.0, 2), (Source::Storage, 4000));
    assert_eq!(source_of(|setup| setup.storage.bytes_per_s = 10.0, 1), (replica, 4000));
    let far = |setup: &mut super::DataSetup| {
        setup.switches.replication = false;
        setup.storage.bytes_per_s = 10.0;
    };
    assert_eq!(source_of(far, 1), (Source::Storage, 40_000));
}

#[test]
fn a_replica_in_the_rack_comes_before_a_distant_one_and_a_busy_one_last() {
    let mut plane = plane(setup(6, 2));
    plane.publish(at(0), node(1), A);
    plane.publish(at(0), node(2), A);
    plane.begin(at(0), node(0), &[A], 1);
    plane.begin(at(0), node(4), &[A], 2);
    let sources: Vec<Source> = plane.transfers().map(|transfer| transfer.source).collect();
    assert_eq!(sources, [Source::Replica(node(2)), Source::Replica(node(1))]);
}

#[test]
fn the_store_is_shared_by_all() {
    let mut plane = plane(setup(4, 2));
    let ids = 0..4;
    ids.clone().for_each(|at| assert!(plane.begin(Time::ZERO, node(at), &[A], 7)));
    assert_eq!(drain(&mut plane), [(7, at(8))], "a gang is ready when its last node is");
    ids.for_each(|at| assert!(plane.holds(node(at), A)));
}

#[test]
fn the_least_recently_used_leaves_and_what_is_in_use_stays() {
    let mut plane = plane(setup(1, 1));
    let visit = |plane: &mut super::DataPlane, second, id, tag| {
        plane.begin(at(second), node(0), &[id], tag);
        drain(plane);
    };
    visit(&mut plane, 0, A, 1);
    visit(&mut plane, 10, B, 2);
    assert_eq!(plane.used_bytes(node(0)), 800);
    // Both in use: C is streamed.
    visit(&mut plane, 20, C, 3);
    assert_eq!(plane.contents(node(0)).collect::<Vec<_>>(), [A, B]);
    assert_eq!((plane.counters().streamed, plane.counters().evictions), (1, 0));
    plane.release(at(30), 2);
    plane.release(at(31), 3);
    plane.release(at(32), 1);
    // A was used last.
    visit(&mut plane, 40, C, 4);
    assert_eq!(plane.contents(node(0)).collect::<Vec<_>>(), [A, C]);
    assert_eq!(plane.counters().evictions, 1);
}

#[test]
fn without_caching_each_run_transfers_its_own() {
    let mut setup = setup(1, 1);
    setup.switches.caching = false;
    let mut plane = plane(setup);
    plane.begin(at(0), node(0), &[A], 1);
    plane.begin(at(0), node(0), &[A], 2);
    assert_eq!(drain(&mut plane), [(1, at(8)), (2, at(8))]);
    assert!(plane.begin(at(9), node(0), &[A], 3));
    assert_eq!((plane.counters().misses, plane.counters().streamed), (3, 3));
}

#[test]
fn two_runs_share_a_transfer_and_one_may_leave() {
    let mut plane = plane(setup(1, 1));
    plane.begin(at(0), node(0), &[A], 1);
    assert!(plane.begin(at(1), node(0), &[A, B], 2));
    assert_eq!(plane.counters().joins, 1);
    plane.release(at(2), 1);
    assert_eq!(plane.transfers().count(), 2);
    // A had 250 bytes left at 2 s, at 50 bytes per second; B 350.
    assert_eq!(drain(&mut plane), [(2, at(8))]);
    assert_eq!(plane.counters().wasted_bytes, 0);
}

#[test]
fn a_run_that_is_given_up_frees_link_and_room() {
    let mut plane = plane(setup(1, 1));
    plane.begin(at(0), node(0), &[A], 1);
    plane.begin(at(0), node(0), &[B], 2);
    plane.release(at(4), 1);
    plane.check();
    assert_eq!((plane.used_bytes(node(0)), plane.counters().wasted_bytes), (400, 200));
    assert_eq!(drain(&mut plane), [(2, at(6))]);
    assert_eq!(plane.counters().storage_bytes, 600);
    plane.release(at(7), 1);
}

#[test]
fn a_ready_run_that_is_given_up_is_not_ready() {
    let mut plane = plane(setup(1, 1));
    plane.begin(at(0), node(0), &[A], 1);
    plane.release(at(4), 1);
    assert_eq!(plane.pop_ready(), None);
    assert!(plane.holds(node(0), A), "but its data had come");
}

#[test]
fn a_failed_node_loses_its_cache_and_others_ask_elsewhere() {
    let mut plane = plane(setup(3, 1));
    plane.publish(at(0), node(0), A);
    plane.begin(at(0), node(1), &[A], 1);
    plane.begin(at(0), node(0), &[B], 2);
    plane.lose(at(1), node(0));
    plane.check();
    assert!(!plane.holds(node(0), A));
    let transfer = plane.transfers().next().unwrap();
    assert_eq!((transfer.node, transfer.source, plane.transfers().count()), (node(1), Source::Storage, 1));
    assert_eq!(drain(&mut plane), [(1, at(5))], "from the start again; run 2 never is");
    assert_eq!(plane.counters().wasted_bytes, 200);
    plane.release(at(6), 2);
    plane.check();
}

#[test]
fn a_source_stays_while_it_is_copied() {
    let mut plane = plane(setup(2, 1));
    plane.publish(at(0), node(0), A);
    plane.begin(at(0), node(1), &[A], 1);
    plane.publish(at(1), node(0), B);
    plane.publish(at(1), node(0), C);
    assert_eq!(plane.contents(node(0)).collect::<Vec<_>>(), [A, C]);
    plane.check();
    drain(&mut plane);
    plane.publish(at(9), node(0), B);
    assert_eq!(plane.contents(node(0)).collect::<Vec<_>>(), [C, B]);
}

#[test]
fn nodes_of_equal_contents_have_equal_signatures() {
    let mut plane = plane(setup(2, 1));
    assert_eq!(plane.signature(node(0)), plane.signature(node(1)));
    plane.publish(at(0), node(0), A);
    assert_ne!(plane.signature(node(0)), plane.signature(node(1)));
    plane.begin(at(0), node(1), &[A], 1);
    assert_ne!(plane.signature(node(0)), plane.signature(node(1)), "it has not come yet");
    drain(&mut plane);
    assert_eq!(plane.signature(node(0)), plane.signature(node(1)));
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut plane = plane(setup(1, 1));
    let before = plane.clone();
    plane.begin(at(0), node(0), &[A], 1);
    assert_eq!((before.used_bytes(node(0)), before.next()), (0, None));
}
