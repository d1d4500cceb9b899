//! Recorded workloads of other people: read, counted, drawn and simulated by the command.

use std::io::Write;

use yardmaster_env::trace::azure_llm::ServiceTime;

use crate::support::{Bench, shared_data};

const PHILLY: &str = "timestamp,duration,num_gpus,gpu_time,cluster\r\n2017-10-09 07:02:00,66.5,4,266.0,11cb48\r\n\
                      2017-10-09 07:00:00,10,1,10,6214e9\r\n2017-10-09 07:00:00,NaN,1,,6214e9\r\n";
const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\nn0,64000,262144,2,P100\nn1,96000,786432,8,G2\n";
const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,deletion_time,scheduled_time\n\
                    a,6000,1024,1,460,,0,900,100\nb,6000,1024,8,1000,G2,10,60,40\nc,6000,1024,0,0,,20,60,40\n";
const REQUESTS: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,374,44\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn each_layout_is_known_by_its_header() {
    let bench = Bench::new();
    bench.put("philly.csv", format!("\u{feff}{PHILLY}"));
    bench.put("philly.csv.gz", gzip(PHILLY));
    bench.put("pods.csv", PODS);
    bench.put("nodes.csv", NODES);
    bench.put("requests.csv", REQUESTS);
    for file in ["philly.csv", "philly.csv.gz"] {
        let text = bench.ok(&format!("inspect {file}"));
        assert!(text.contains("3 rows, 2 jobs\n  dropped 1: unknown duration"), "{text}");
        assert!(text.contains("jobs by devices\n  1 │"), "{text}");
    }
    let text = bench.ok("inspect pods.csv --cluster nodes.csv --svg pods.svg");
    assert!(text.contains("3 rows, 2 jobs") && text.contains("machines: 2 nodes, 10 devices"), "{text}");
    let svg = bench.get("pods.svg");
    for part in ["Arrivals per hour", "seconds they take (log scale)", "Devices of a job"] {
        assert!(svg.contains(part), "{part} is missing in {svg}");
    }
    assert!(bench.ok("inspect nodes.csv").contains("8 GPUs G2 are not in the catalogue"));
    assert!(bench.ok("inspect requests.csv").contains("note: durations are estimated, not measured"));
}

#[test]
fn what_is_read_can_be_simulated() {
    let bench = Bench::new();
    bench.put("philly.csv.gz", gzip(PHILLY));
    bench.put("pods.csv", PODS);
    bench.put("nodes.csv", NODES);
    bench.put("requests.csv", REQUESTS);
    for (trace, cluster, jobs) in
        [("philly.csv.gz", "gpu36", 2), ("pods.csv", "nodes.csv", 2), ("requests.csv", "nodes.csv", 1)]
    {
        let report =
            bench.json(&format!("simulate --trace {trace} --cluster {cluster} --policy sjf --json -"));
        assert_eq!(report["jobs"], jobs, "{trace}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let bench = Bench::new();
    bench.put("nodes.csv", NODES);
    bench.put("pods.csv", PODS);
    bench.put("latin.csv", b"timestamp,duration,num_gpus\n2017-10-09 07:02:00,5,\xe9\n");
    bench.put("cut.csv.gz", &gzip(PHILLY)[..40]);
    bench.put("columns.csv", "timestamp,duration,gpus\n");
    let cases = [
        ("inspect latin.csv", "latin.csv line 2: byte 0xe9 is not UTF-8 text; convert"),
        ("inspect cut.csv.gz", "cannot unpack cut.csv.gz: the gzip data is damaged or cut off"),
        ("inspect columns.csv", "columns.csv line 1: column `num_gpus` is missing"),
        (
            "simulate --trace nodes.csv --policy sjf",
            "nodes.csv lists machines, not jobs: give it as --cluster",
        ),
        ("simulate --trace pods.csv --policy sjf", "does not say which machines there are"),
        (
            "simulate --trace pods.csv --cluster pods.csv --policy sjf",
            "--cluster pods.csv: the file lists jobs",
        ),
        ("inspect nodes.csv --svg n.svg", "--svg: nodes.csv holds no jobs that could be drawn"),
    ];
    for (arguments, expected) in cases {
        let error = bench.fails(arguments);
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    assert!(!bench.list().iter().any(|name| name == "n.svg"));
}

#[test]
fn public_traces_are_read_whole() {
    let bench = Bench::new();
    let traces = [
        ("philly/philly_jobs_sia.csv.gz", "82247 rows, 82247 jobs"),
        ("openb/openb_pod_list_default.csv", "8152 rows, 6203 jobs"),
        ("openb/openb_node_list_all_node.csv", "1523 rows, 1213 nodes with GPUs"),
        ("serving/splitwise_conv.csv", "19366 rows, 19366 jobs"),
        ("serving/splitwise_code.csv", "8819 rows, 8819 jobs"),
    ];
    for (file, expected) in traces {
        let Some(path) = shared_data(file) else { continue };
        let text = bench.ok(&format!("inspect {}", path.display()));
        assert!(text.contains(expected), "{text}");
    }
}

/// The constants of the estimate are what its source says: times of a layer, in 32 layers.
#[test]
fn the_service_time_follows_from_its_source() {
    let Some(path) = shared_data("serving/vidur_linear_ms_per_layer.csv") else { return };
    let table = std::fs::read_to_string(path).unwrap();
    let layer_ms = |tokens: u32| {
        let row = format!("a100,meta-llama/Llama-2-7b-hf,1,{tokens},");
        let rows: Vec<f64> = table.lines().filter_map(|line| line.strip_prefix(&row)?.parse().ok()).collect();
        rows.iter().sum::<f64>() / rows.len() as f64
    };
    let model_s = |tokens| 32.0 * layer_ms(tokens) / 1e3;
    let ours = ServiceTime::LLAMA2_7B_A100;
    assert!((ours.pass.as_secs_f64() - model_s(1)).abs() < 1e-6);
    for (tokens, tolerance) in [(512, 1e-3), (1024, 0.05), (2048, 0.05), (4096, 1e-3)] {
        let ratio = ours.of(tokens, 1).as_secs_f64() / model_s(tokens);
        assert!((ratio - 1.0).abs() < tolerance, "{tokens} tokens: {ratio}");
    }
}
