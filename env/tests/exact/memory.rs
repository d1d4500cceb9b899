//! Jobs that need more memory than was expected. ResNet-50 takes 1,316.5 MiB and 85 for each sample of a batch: 12,196.5
//! for 128 and 6,756.5 for 64; a V100 has 16,384.

use std::sync::Arc;

use yardmaster_env::candidates::Candidates;
use yardmaster_env::catalog::{Catalog, CatalogText};
use yardmaster_env::job::{Choice, Truth, Workload};
use yardmaster_env::objective::Objective;
use yardmaster_env::sim::{Illegal, Simulator, State, World};
use yardmaster_env::units::JobId;
use yardmaster_env::view::Discipline;

use crate::script::*;

/// With batches of 64 this takes 126,000 s on a V100: (8000 + 128) / (8000 + 64) = 127 / 126 of the progress for each
/// sample, and 281.266 samples/s.
const SAMPLES: u64 = 127 * 281_266;

fn needing(memory: f64) -> Workload {
    let mut workload = workload(vec![training("ResNet-50", 1, 128, SAMPLES)]);
    workload.truths[0] = Truth::Needs { steps: 1.0, memory };
    workload
}

#[test]
fn a_job_without_memory_loses_its_time_and_comes_back_smaller() {
    let world = world(&[("v100", 1, 0)], needing(1.5)).with_rules(resume(5.0, Some(10.0))).unwrap();
    let mut sim = Simulator::new(Arc::new(world.with_memory(Catalog::builtin(), span(30.0)).unwrap()));
    // 1.5 x 12,196.5 MiB are too much, 1.5 x 6,756.5 are not; nobody knows before it fails.
    follow(&mut sim, &[(0.0, batch(0, &[(0, 1)], 128))]);
    assert_eq!(sim.next_decision().unwrap().now, at(30.0));
    let progress = sim.view().progress(JobId(0));
    assert_eq!((progress.steps, progress.slices, progress.too_many), (0, 1, Some(128)));
    assert_eq!(sim.view().default_batch(JobId(0)), 64);
    assert_eq!(sim.view().estimate(JobId(0), 0), Some(span(126_005.0)));
    let again = sim.apply(batch(0, &[(0, 1)], 128));
    assert_eq!(again, Err(Illegal::NoSuchWay { job: 0, gang: 1, batch: 128 }));
    follow(&mut sim, &[(30.0, batch(0, &[(0, 1)], 64))]);
    finish(&mut sim);
    // 30 + 5 + 126,000
    assert_eq!(ends(&sim), [at(126_035.0)]);
    let waste = sim.usage().waste;
    assert_eq!((waste.out_of_memory_s, waste.out_of_memory, waste.restarts_s), (30.0, 1, 5.0));
    assert_eq!(sim.records()[0].batch, 64);
}

#[test]
fn what_fits_is_not_touched() {
    let world = world(&[("v100", 1, 0)], needing(1.3));
    let world = world.with_memory(Catalog::builtin(), span(30.0)).unwrap();
    // 1.3 x 12,196.5 = 15,855.45 MiB fit: 127 x 281,266 / 319.586 samples/s, as if memory did not matter.
    let sim = play(world, &[(0.0, batch(0, &[(0, 1)], 128))]);
    assert_eq!(ends(&sim), [at(127.0 * 281_266.0 / 319.586)]);
    assert_eq!(sim.usage().waste.out_of_memory, 0);
}

/// 12 x (1,316.5 + 85) = 16,818 MiB for a single sample; an A100 has 40,960.
#[test]
fn a_kind_is_closed_to_a_job_that_would_never_fit() {
    let catalog = Catalog::builtin();
    let alone = world(&[("v100", 1, 0)], needing(12.0)).with_memory(catalog, span(30.0)).unwrap();
    assert_eq!(play(alone, &[]).records()[0].state, State::Refused);
    let both = world(&[("v100", 1, 0), ("a100", 1, 0)], needing(12.0)).with_memory(catalog, span(30.0));
    let mut sim = Simulator::new(Arc::new(both.unwrap()));
    assert!(sim.next_decision().is_some());
    for size in [128, 64, 1] {
        let refused = sim.apply(batch(0, &[(0, 1)], size));
        assert_eq!(refused, Err(Illegal::NoSuchWay { job: 0, gang: 1, batch: size }));
    }
}

/// A K80 of 8 GiB in place of 12: a batch of 128 is expected to need more, one of 64 is not.
#[test]
fn a_kind_where_a_batch_is_known_not_to_fit_is_not_offered_for_it() {
    let text = CatalogText::BUILTIN;
    let devices = text.devices.replacen("memory_gib = 12\n", "memory_gib = 8\n", 1);
    let catalog = Catalog::parse(CatalogText { devices: &devices, ..text }).unwrap();
    let kinds = cluster(&catalog, &[("k80", 1, 0), ("v100", 1, 0)]);
    let objective = Objective::CompletionTime;
    let world = World::new(&catalog, kinds, needing(1.0), Discipline::Free, objective, None).unwrap();
    let mut sim = Simulator::new(Arc::new(world.with_memory(&catalog, span(30.0)).unwrap()));
    assert!(sim.next_decision().is_some());
    let view = sim.view();
    let mut candidates = Candidates::default();
    candidates.fill(&view);
    let k80 = view.slot_of(yardmaster_env::units::NodeId(0));
    let offered = |slot: usize| {
        let here = candidates.list.iter().filter(|one| one.node == slot);
        here.map(|one| one.batch).collect::<Vec<_>>()
    };
    // The fastest that may fit.
    let fastest = view.estimates(JobId(0), k80).min_by_key(|(_, span)| *span).unwrap().0.choice.batch;
    assert!(fastest <= 64, "{fastest}");
    assert_eq!((offered(k80), offered(1 - k80)), (vec![fastest], vec![128]));
    let way = |batch| view.ways(JobId(0)).find(|way| way.choice == Choice { gang: 1, batch }).unwrap();
    assert_eq!((way(128).span(k80), way(64).memory_bytes), (None, 13_513 * 512 * 1024));
    let refused = sim.apply(batch(0, &[(0, 1)], 128));
    assert_eq!(refused, Err(Illegal::NoSuchWay { job: 0, gang: 1, batch: 128 }));
    follow(&mut sim, &[(0.0, batch(0, &[(0, 1)], 64))]);
    finish(&mut sim);
    // 126 x 281,266 samples at 39.6178 samples/s
    let end = ends(&sim)[0].as_secs_f64();
    assert!((end - 126.0 * 281_266.0 / 39.6178).abs() < 1e-6, "{end}");
}
