//! Packing rules against the published allocation of six rules over ten seeds.

use yardmaster_agent::packing::{self, RULES};
use yardmaster_env::packing::Instance;
use yardmaster_env::trace::openb;

use crate::support::{Bench, in_parallel, keys, shared_data};

/// Rows of the table that the artefact of Weng et al. (2023) comes with: rule here, rule there.
const PUBLISHED: [(&str, &str); 6] = [
    ("random", "01-Random"),
    ("dot-product", "02-DotProd"),
    ("gpu-clustering", "03-GpuClustering"),
    ("gpu-packing", "04-GpuPacking"),
    ("best-fit", "05-BestFit"),
    ("fgd", "06-FGD"),
];
/// Percentage points between the means.
const TOLERANCE: f64 = 1.0;

fn text(file: &str) -> Option<String> {
    shared_data(&format!("openb/{file}")).map(|path| std::fs::read_to_string(path).unwrap())
}

/// The mean of the last column over the published runs.
fn published(table: &str, workload: &str, rule: &str) -> f64 {
    let rows = table.lines().filter(|row| row.starts_with(&format!("{workload},{rule},")));
    let ends: Vec<f64> = rows.map(|row| row.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(ends.len(), 10);
    ends.iter().sum::<f64>() / ends.len() as f64
}

fn check(workload: &str, seeds: std::ops::Range<u64>) {
    let files = ["openb_node_list_gpu_node.csv", &format!("{workload}.csv"), "analysis_allo_discrete.csv"];
    let [Some(nodes), Some(pods), Some(table)] = files.map(text) else { return };
    let nodes = openb::parse_nodes(&nodes, files[0]).unwrap();
    let (pods, _) = openb::parse_pods(&pods, files[1]).unwrap();
    let instance = Instance::new(&nodes, &pods).unwrap();
    let runs: Vec<(usize, u64)> =
        (0..RULES.len()).flat_map(|rule| seeds.clone().map(move |seed| (rule, seed))).collect();
    let ends = in_parallel(&runs, |&(rule, seed)| {
        let rule = packing::rule(RULES[rule].0, &instance).unwrap();
        packing::pack(&instance, &*rule, 130, seed).unwrap().curve.end()
    });
    for (ends, (ours, theirs)) in ends.chunks(runs.len() / RULES.len()).zip(PUBLISHED) {
        let mean = ends.iter().sum::<f64>() / ends.len() as f64;
        let known = published(&table, workload, theirs);
        println!("{workload} {ours}: {mean:.2} %, published {known:.2} %");
        assert!((mean - known).abs() <= TOLERANCE, "{workload} {ours}: {mean:.2} %, published {known:.2} %");
    }
}

#[test]
fn six_rules_allocate_what_is_published() {
    check("openb_pod_list_default", 42..45);
}

#[test]
fn and_where_a_third_of_the_pods_name_gpu_models() {
    check("openb_pod_list_gpuspec33", 42..44);
}

const NODES: &str =
    "sn,cpu_milli,memory_mib,gpu,model\na,16000,1000,2,T4\nb,16000,1000,4,A10\nc,8000,1000,0,\n";
const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,deletion_time,scheduled_time\n\
                    p,1000,10,1,500,,0,1,0\nq,2000,10,1,1000,T4,0,1,0\nr,1000,10,0,0,,0,1,0\n";

#[test]
fn the_command_packs_compares_and_draws() {
    let bench = Bench::new();
    bench.put("nodes.csv", NODES);
    bench.put("pods.csv", PODS);
    bench.put("known.csv", "workload,sc_policy,tune,seed,total_gpus,0,1,2\npods,06-FGD,1.3,42,6,0,1,2\n");
    let pack = "pack --nodes nodes.csv --pods pods.csv";
    let table = bench.ok(&format!("{pack} --seeds 2 --published known.csv --svg p.svg --markdown p.md"));
    assert!(RULES.iter().all(|(name, _)| table.contains(name)), "{table}");
    assert!(table.contains("2.00 %"), "the published end is missing in {table}");
    assert!(bench.get("p.svg").starts_with("<svg") && bench.get("p.md").starts_with("| rule"));
    let rows = bench.json(&format!("{pack} --policy fgd,random --seeds 3 --demand 90 --json -"));
    assert_eq!(keys(&rows[0]), ["end_percent", "policy", "published_percent", "runs"]);
    assert_eq!((rows[1]["policy"].as_str(), rows[0]["runs"].as_array().unwrap().len()), (Some("random"), 3));
    assert_eq!(rows, bench.json(&format!("{pack} --policy fgd,random --seeds 3 --demand 90 --json -")));
    let cases = [
        ("--policy worst-fit", "no packing rule is called `worst-fit`; valid: all, random"),
        ("--seeds 0", "0 is not in 1..=1000"),
        ("--published pods.csv", "column `workload` is missing"),
        ("--pods nodes.csv", "cannot be used multiple times"),
    ];
    for (arguments, expected) in cases {
        let error = bench.fails(&format!("{pack} {arguments}"));
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    let swapped = bench.fails("pack --nodes pods.csv --pods nodes.csv");
    assert!(swapped.contains("pods.csv line 1: column `sn` is missing"), "{swapped}");
}
