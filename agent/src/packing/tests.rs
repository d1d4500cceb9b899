//! Tests of the rules by hand-made nodes, and of a whole run.

use yardmaster_env::trace::openb;

use super::*;

/// A node with this CPU, what is left of its GPUs, and the sizes of the pods on it.
fn room(cpu_milli: u32, gpus: &[u32], sizes: u64) -> Room {
    Room { cpu_milli, memory_mib: 1000, gpus: gpus.iter().copied().collect(), model: 1, sizes }
}

fn demand(cpu_milli: u32, gpus: u32, gpu_milli: u32) -> Demand {
    Demand { cpu_milli, memory_mib: 10, gpus, gpu_milli, models: 0 }
}

fn instance() -> Instance {
    let nodes =
        "sn,cpu_milli,memory_mib,gpu,model\na,16000,1000,2,T4\nb,16000,1000,2,T4\nc,8000,1000,4,A10\n";
    let head =
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,deletion_time,scheduled_time\n";
    let pods = "p,1000,10,1,500,,0,1,0\nq,2000,10,1,1000,,0,1,0\nr,1000,10,1,300,T4,0,1,0\ns,1000,10,0,0,,0,1,0\n\
                t,1000,10,2,1000,A10,0,1,0\n";
    let (pods, _) = openb::parse_pods(&format!("{head}{pods}"), "pods").unwrap();
    Instance::new(&openb::parse_nodes(nodes, "nodes").unwrap(), &pods).unwrap()
}

#[test]
fn best_fit_and_dot_product_score_as_published() {
    let (room, demand) = (room(64_000, &[1000, 600], 1), demand(8000, 1, 500));
    // 1 - (56/128 + 1.1/8) / 2
    assert_eq!(BestFit.score(&room, &demand), 71);
    // 1 - (64/128 * 8/128 + 1.6/8 * 0.5/8) / 2
    assert_eq!(DotProduct.score(&room, &demand), 97);
}

#[test]
fn clustering_prefers_pods_of_its_size_and_packing_what_is_in_use() {
    let share = demand(1000, 1, 500);
    let clustering = |gpus: &[u32], sizes| GpuClustering.score(&room(9000, gpus, sizes), &share);
    assert_eq!(
        [clustering(&[500], 1), clustering(&[500, 0], 3), clustering(&[1000], 0), clustering(&[500, 0], 2)],
        [98, 73, 46, 23]
    );
    assert_eq!(GpuClustering.score(&room(9000, &[1000], 0), &demand(1000, 0, 0)), 0);
    let packing = |gpus: &[u32]| GpuPacking.score(&room(9000, gpus, 0), &share);
    assert_eq!([packing(&[600, 1000]), packing(&[400, 1000]), packing(&[1000; 4])], [94, 49, 29]);
}

#[test]
fn a_share_takes_the_fullest_gpu_where_it_fits() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0);
    assert_eq!(BestFit.device(&room(9000, &[1000, 700, 500, 700], 1), &demand(1, 1, 600), &mut rng), 1);
}

#[test]
fn fragmentation_is_what_typical_pods_cannot_use() {
    let typical = Typical::of(&instance());
    // Five demands a fifth each. Of 1.4 GPUs left on T4, the half and the whole can use 1.0, three tenths all; the pod
    // without GPUs and that for A10 use nothing.
    let expected = 1400.0 - (1000.0 + 1000.0 + 1400.0) / 5.0;
    let mut left = instance().rooms[0].clone();
    left.gpus[1] = 400;
    assert!((typical.fragmentation(&left) - expected).abs() < 1e-9);
    // Without CPU nobody uses anything.
    left.cpu_milli = 0;
    assert!((typical.fragmentation(&left) - 1400.0).abs() < 1e-9);
}

#[test]
fn the_gradient_leads_to_the_gpu_that_is_scattered_already() {
    let instance = instance();
    let rule = FragmentationGradient::new(Typical::of(&instance));
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0);
    let mut left = instance.rooms[0].clone();
    left.gpus[1] = 300;
    let wanted = Demand { models: left.model, ..demand(1000, 1, 300) };
    assert_eq!(rule.device(&left, &wanted, &mut rng), 1);
    assert!(rule.score(&left, &wanted) > rule.score(&instance.rooms[1], &wanted));
}

#[test]
fn every_rule_packs_and_one_seed_replays_it() {
    let instance = instance();
    for (name, _) in RULES {
        let rule = rule(name, &instance).unwrap();
        let first = pack(&instance, &*rule, 130, 3).unwrap();
        assert_eq!(first, pack(&instance, &*rule, 130, 3).unwrap(), "{name}");
        let left: u64 = first.rooms.iter().map(Room::total_gpu_milli).sum();
        let end = 100.0 * (1.0 - left as f64 / instance.total_gpu_milli() as f64);
        assert!(first.refused < first.pods && end > 50.0 && first.curve.end() <= end + 1e-9, "{name} {end}");
    }
    assert!(rule("worst-fit", &instance).is_none());
}
