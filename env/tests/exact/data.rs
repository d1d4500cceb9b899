//! Fetching: shared links, caches, compression, copies. Each artefact has 1,000 bytes, cards and the store 100 bytes/s.

use yardmaster_env::data::{Compression, DataSetup, Storage, Switches};
use yardmaster_env::units::Span;

use crate::script::*;

const TWO: &[(&str, u32, u16)] = &[("v100", 1, 0), ("v100", 1, 0)];

#[test]
fn two_that_fetch_share_the_store() {
    let jobs = vec![reads(job(0, 10, 1), &[0]), reads(job(0, 10, 1), &[1])];
    let alone = with_data(world(TWO, workload(jobs[..1].to_vec())), data_setup(2, 2));
    // 1,000 / 100 + 10
    assert_eq!(ends(&play(alone, &[(0.0, start(0, 0))])), [at(20.0)]);
    let both = with_data(world(TWO, workload(jobs)), data_setup(2, 2));
    // 1,000 / 50 + 10
    let sim = play(both, &[(0.0, start(0, 0)), (0.0, start(1, 1))]);
    assert_eq!(ends(&sim), [at(30.0), at(30.0)]);
}

#[test]
fn shares_change_when_another_comes_or_goes() {
    let jobs = vec![reads(job(0, 10, 1), &[0]), reads(job(5, 10, 1), &[1])];
    let world = with_data(world(TWO, workload(jobs)), data_setup(2, 2));
    let sim = play(world, &[(0.0, start(0, 0)), (5.0, start(1, 1))]);
    // The first has 500 bytes at 5, the rest at 50 bytes/s until 15; the second has 500 bytes then and the rest at
    // 100 bytes/s until 20.
    assert_eq!(ends(&sim), [at(25.0), at(30.0)]);
}

#[test]
fn two_on_one_node_wait_for_one_transfer() {
    let jobs = vec![reads(job(0, 10, 1), &[0]), reads(job(4, 10, 1), &[0])];
    let world = with_data(world(&[("v100", 2, 0)], workload(jobs)), data_setup(1, 1));
    let sim = play(world, &[(0.0, start(0, 0)), (4.0, start(1, 0))]);
    assert_eq!(ends(&sim), [at(20.0), at(20.0)]);
    let counters = sim.view().data.unwrap().counters();
    assert_eq!((counters.misses, counters.joins, counters.storage_bytes), (1, 1, 1000));
}

/// A cache for two artefacts, jobs of 1 s.
#[test]
fn a_hit_starts_at_once_and_the_least_recently_used_is_evicted() {
    let inputs = [0, 1, 0, 2, 0, 1];
    let jobs = inputs.map(|input| reads(job(0, 1, 1), &[input])).to_vec();
    let world = with_data(world(&[("v100", 1, 0)], workload(jobs)), data_setup(1, 3));
    // Fetched: 0 until 11 and 1 until 22; 0 is there, 23; 2 evicts 1, 34; 0 is there, 35; 1 evicts 2, 46.
    let begins = [0.0, 11.0, 22.0, 23.0, 34.0, 35.0];
    let script: Vec<_> = (0..).zip(begins).map(|(job, begin)| (begin, start(job, 0))).collect();
    let sim = play(world, &script);
    assert_eq!(ends(&sim), [11.0, 22.0, 23.0, 34.0, 35.0, 46.0].map(at));
    let counters = sim.view().data.unwrap().counters();
    assert_eq!((counters.hits, counters.misses, counters.evictions), (2, 4, 2));
}

#[test]
fn without_caches_each_start_fetches_anew() {
    let jobs = vec![reads(job(0, 1, 1), &[0]); 2];
    let setup = data_setup(1, 1);
    let setup = DataSetup { switches: Switches { caching: false, ..setup.switches }, ..setup };
    let world = with_data(world(&[("v100", 1, 0)], workload(jobs)), setup);
    let sim = play(world, &[(0.0, start(0, 0)), (11.0, start(1, 0))]);
    assert_eq!(ends(&sim), [at(11.0), at(22.0)]);
}

#[test]
fn compression_halves_the_bytes_and_costs_decompression() {
    let end = |decompressed: Option<f64>| {
        let setup = data_setup(1, 1);
        let compression =
            decompressed.map(|decompressed_bytes_per_s| Compression { decompressed_bytes_per_s });
        let setup = DataSetup { switches: Switches { compression, ..setup.switches }, ..setup };
        let world = world(&[("v100", 1, 0)], workload(vec![reads(job(0, 10, 1), &[0])]));
        ends(&play(with_data(world, setup), &[(0.0, start(0, 0))]))[0]
    };
    assert_eq!(end(None), at(20.0));
    // 500 bytes at 100 bytes/s
    assert_eq!(end(Some(400.0)), at(15.0));
    // 500 bytes at 125 / 2 bytes/s: 8 s
    assert_eq!(end(Some(125.0)), at(18.0));
    // At 80 / 2 bytes/s they would take 12.5 s: the raw ones are taken.
    assert_eq!(end(Some(80.0)), at(20.0));
}

#[test]
fn a_copy_of_another_node_is_nearer_than_a_slow_store() {
    let end = |replication: bool| {
        let setup = data_setup(2, 1);
        let storage = Storage { bytes_per_s: 50.0, latency: span(3.0) };
        let link_latency = span(0.5);
        let switches = Switches { replication, ..setup.switches };
        let setup = DataSetup { storage, switches, link_latency, ..setup };
        let jobs = vec![reads(job(0, 1, 1), &[0]), reads(job(100, 1, 1), &[0])];
        let sim =
            play(with_data(world(TWO, workload(jobs)), setup), &[(0.0, start(0, 0)), (100.0, start(1, 1))]);
        // 3 s in the store, 0.5 s in the uplink and 0.5 s in the card, 1,000 / 50 s, 1 s.
        assert_eq!(ends(&sim)[0], at(25.0));
        ends(&sim)[1]
    };
    assert_eq!(end(false), at(125.0));
    // 0.5 s in each of two cards, 1,000 / 100 s, 1 s.
    assert_eq!(end(true), at(112.0));
}

#[test]
fn a_gang_waits_until_all_its_nodes_have_the_data() {
    let jobs = vec![reads(job(0, 1, 1), &[0]), reads(job(0, 10, 2), &[0])];
    let world = with_data(world(TWO, workload(jobs)), data_setup(2, 1));
    let sim = play(world, &[(0.0, start(0, 0)), (11.0, spread(1, &[(0, 1), (1, 1)]))]);
    // The first node has it from 10 on, the second from 21 on.
    assert_eq!(ends(&sim), [at(11.0), at(31.0)]);
}

#[test]
fn what_is_preempted_while_it_fetches_begins_anew() {
    let jobs = vec![reads(job(0, 10, 1), &[0]), job(4, 10, 1)];
    let rules = resume(5.0, None);
    let world = world(&[("v100", 1, 0)], workload(jobs)).with_rules(rules).unwrap();
    let script = [(0.0, start(0, 0)), (4.0, preempt(0)), (4.0, start(1, 0)), (14.0, start(0, 0))];
    let sim = play(with_data(world, data_setup(1, 1)), &script);
    // 14 + 10 to fetch + 5 to restart + 10 = 39; the 400 bytes and 4 s until 4 are lost.
    assert_eq!(ends(&sim), [at(39.0), at(14.0)]);
    assert_eq!(sim.view().data.unwrap().counters().wasted_bytes, 400);
    assert_eq!(sim.usage().waste.restarts_s, 9.0);
    assert_eq!(sim.view().progress(yardmaster_env::units::JobId(0)).received, Span::from_secs(4 + 25));
}
