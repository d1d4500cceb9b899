//! What must hold of every sequence of operations on every small data plane.

use proptest::collection::vec;
use proptest::prelude::*;

use super::testing::{drain, plane, setup};
use super::{Artefact, ArtefactId, Compression, DataPlane, DataSetup, Model, Residency, Retention};
use crate::units::{NodeId, Span, Time};

const NODES: u32 = 5;
const ARTEFACTS: u32 = 6;

/// One call; tags and nodes are taken modulo what there is.
#[derive(Clone, Debug)]
enum Call {
    /// On one or more nodes; a run that has the tag is released before.
    Begin(Vec<u32>, Vec<u32>, u64),
    Release(u64),
    Publish(u32, u32),
    Lose(u32),
}

/// A setup and calls with the nanoseconds before each.
#[derive(Clone, Debug)]
struct Case {
    setup: DataSetup,
    calls: Vec<(u64, Call)>,
}

fn any_setup() -> impl Strategy<Value = DataSetup> {
    let artefact = (1..2000_u64, prop_oneof![Just(1.0), 1.0..5.0]);
    let rate = || prop_oneof![Just(1e9), 1e8..1e11];
    let node = (0..4000_u64, rate(), rate());
    let switches = (any::<bool>(), any::<bool>(), proptest::option::of(1e8..1e10));
    let latencies = (0..3000_u64, 0..500_u64);
    let artefacts = vec(artefact, ARTEFACTS as usize);
    let nodes = vec(node, NODES as usize);
    (artefacts, nodes, vec(rate(), 2), rate(), latencies, switches).prop_map(
        |(artefacts, nodes, racks, storage, (store, link), (caching, replication, compression))| {
            let mut setup = setup(NODES, 2);
            let name = |at: usize| at.to_string();
            setup.artefacts = (artefacts.into_iter().enumerate())
                .map(|(at, (bytes, compression_ratio))| Artefact { name: name(at), bytes, compression_ratio })
                .collect();
            for (node, (cache, disk, nic)) in setup.nodes.iter_mut().zip(nodes) {
                (node.cache_bytes, node.disk_bytes_per_s, node.nic_bytes_per_s) = (cache, disk, nic);
            }
            for (rack, uplink) in setup.racks.iter_mut().zip(racks) {
                rack.uplink_bytes_per_s = uplink;
            }
            setup.storage.bytes_per_s = storage;
            (setup.storage.latency, setup.link_latency) = (Span(store), Span(link));
            (setup.switches.caching, setup.switches.replication) = (caching, replication);
            let compression =
                compression.map(|decompressed_bytes_per_s| Compression { decompressed_bytes_per_s });
            setup.switches.compression = compression;
            setup
        },
    )
}

fn case(faults: bool) -> impl Strategy<Value = Case> {
    let begin = (vec(0..NODES, 1..4), vec(0..ARTEFACTS, 0..4), 0..12_u64);
    let call = prop_oneof![
        6 => begin.prop_map(|(nodes, needed, tag)| Call::Begin(nodes, needed, tag)),
        if faults { 3 } else { 0 } => (0..12_u64).prop_map(Call::Release),
        1 => (0..NODES, 0..ARTEFACTS).prop_map(|(node, artefact)| Call::Publish(node, artefact)),
        u32::from(faults) => (0..NODES).prop_map(Call::Lose),
    ];
    let gap = prop_oneof![Just(0), 0..5000_u64];
    (any_setup(), vec((gap, call), 1..40)).prop_map(|(setup, calls)| Case { setup, calls })
}

/// Carries out all calls; the plane, the time, and what became ready on the way.
fn play(case: &Case) -> (DataPlane, Time, Vec<u64>) {
    let (mut plane, mut now, mut ready) = (plane(case.setup.clone()), Time::ZERO, Vec::new());
    for (gap, call) in &case.calls {
        now += Span(*gap);
        plane.advance(now);
        ready.extend(std::iter::from_fn(|| plane.pop_ready()));
        carry_out(&mut plane, now, call);
        plane.check();
        plane.advance(now);
        plane.check();
        assert!(plane.next().is_none_or(|next| next > now), "what is due has happened");
    }
    (plane, now, ready)
}

fn carry_out(plane: &mut DataPlane, now: Time, call: &Call) {
    match *call {
        Call::Begin(ref nodes, ref needed, tag) => {
            plane.release(now, tag);
            let needed: Vec<ArtefactId> = needed.iter().map(|&id| ArtefactId(id)).collect();
            nodes.iter().for_each(|&node| begin(plane, now, NodeId(node), &needed, tag));
        }
        Call::Release(tag) => plane.release(now, tag),
        Call::Publish(node, artefact) => plane.publish(now, NodeId(node), ArtefactId(artefact)),
        Call::Lose(node) => plane.lose(now, NodeId(node)),
    }
}

fn begin(plane: &mut DataPlane, now: Time, node: NodeId, needed: &[ArtefactId], tag: u64) {
    let idle = plane.next().is_none();
    let estimate = plane.estimate(now, node, needed);
    let waits = plane.begin(now, node, needed, tag);
    assert_eq!(waits, estimate > Span::ZERO, "an estimate is 0 where nothing is missing");
    if idle && waits {
        assert_estimate(plane.clone(), tag, now + estimate, needed.len());
    }
}

/// On idle links the estimate of one transfer is its end, and that of several no later than theirs.
fn assert_estimate(mut plane: DataPlane, tag: u64, estimate: Time, needed: usize) {
    let ends = drain(&mut plane);
    let end = ends.iter().find(|end| end.0 == tag).map(|end| end.1);
    if needed == 1 {
        assert_eq!(end, Some(estimate));
    }
    // Several transfers are rounded up one by one.
    assert!(end.is_none_or(|end| estimate.0 <= end.0 + 1), "{estimate:?} {end:?}");
}

proptest! {
    /// Caches and links are never over-committed, pins and indices are right ([`DataPlane::check`] after each call),
    /// all transfers end, and all is released in the end.
    #[test]
    fn every_state_is_sound_and_every_transfer_ends(case in case(true)) {
        let (mut plane, now, _) = play(&case);
        drain(&mut plane);
        prop_assert_eq!(plane.transfers().count(), 0);
        let end = plane.next().unwrap_or(now).max(now) + Span::from_secs(1_000_000);
        (0..12).for_each(|tag| plane.release(end, tag));
        plane.check();
        prop_assert!(plane.runs.is_empty());
    }

    /// Each run that begins becomes ready exactly as often as it waits, and each byte that is moved is a transfer's.
    #[test]
    fn what_begins_becomes_ready_and_bytes_are_conserved(case in case(false)) {
        // One run for each begin.
        let mut calls = case.calls.clone();
        for (tag, (_, call)) in calls.iter_mut().enumerate() {
            if let Call::Begin(_, _, own) = call {
                *own = tag as u64;
            }
        }
        let mut plane = plane(case.setup.clone());
        let (mut now, mut waiting, mut ready, mut wire) = (Time::ZERO, Vec::new(), Vec::new(), 0);
        for (gap, call) in &calls {
            now += Span(*gap);
            plane.advance(now);
            ready.extend(std::iter::from_fn(|| plane.pop_ready()));
            let before = plane.transfers().count();
            carry_out(&mut plane, now, call);
            wire += plane.transfers().skip(before).map(|transfer| transfer.wire_bytes).sum::<u64>();
            if let Call::Begin(_, _, tag) = call {
                waiting.extend(plane.ready_at(*tag).map(|_| *tag));
            }
        }
        ready.extend(drain(&mut plane).iter().map(|(tag, _)| *tag));
        ready.sort_unstable();
        prop_assert_eq!(ready, waiting);
        let counters = plane.counters();
        prop_assert_eq!((counters.storage_bytes + counters.replica_bytes, counters.wasted_bytes), (wire, 0));
    }

    /// The same calls give the same state, however often time is told in between.
    #[test]
    fn equal_sequences_give_equal_states(case in case(true), steps in 1..4_u64) {
        let often = Case { calls: case.calls.iter().flat_map(|(gap, call)| {
            let pause = (gap / steps, Call::Release(u64::MAX));
            let rest = gap - gap / steps * (steps - 1);
            std::iter::repeat_n(pause, steps as usize - 1).chain([(rest, call.clone())])
        }).collect(), ..case.clone() };
        let (one, other) = (play(&case), play(&often));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(drain(&mut one.0.clone()), drain(&mut other.0.clone()));
    }

    /// No device is over-committed; a pick is what a start then does.
    #[test]
    fn device_memory_is_never_over_committed(
        reserve in any::<bool>(),
        calls in vec((0..3_u32, 0..5_u32, 0..10_u64, any::<bool>()), 1..60),
    ) {
        let retention = if reserve { Retention::Reserve } else { Retention::OnDemand };
        let mut residency = Residency::new(retention, &[(2, 12), (1, 20), (3, 8)]);
        let mut busy = Vec::new();
        for (node, key, working, start) in calls {
            // Key 0 stands for work without a model.
            let model = (key > 0).then(|| Model { key, bytes: 1 + 3 * u64::from(key) });
            let bytes = model.map_or(0, |model| model.bytes);
            match residency.pick(NodeId(node), model, working).filter(|_| start) {
                Some(pick) => {
                    let held = residency.loaded(pick.device).any(|loaded| loaded == key);
                    prop_assert_eq!(pick.load, model.is_some() && !held);
                    let before = residency.used_bytes(pick.device) - if held { bytes } else { 0 };
                    let gone = residency.start(pick.device, model, working);
                    let after = residency.used_bytes(pick.device) - bytes - working;
                    prop_assert_eq!((before - after, gone.is_empty()), (pick.evicts, pick.evicts == 0));
                    busy.push(pick.device);
                }
                None if !busy.is_empty() => residency.finish(busy.remove(working as usize % busy.len())),
                None => {}
            }
            residency.check();
            prop_assert_eq!(residency.holds(NodeId(node), 99), false);
        }
    }
}
