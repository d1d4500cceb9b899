//! How long the extender takes to prioritise: request bytes in, response bytes out.
//!
//! usage: prioritize [--names 5000] [--requests 3000] [--policy FILE.safetensors|RULE] [--shuffle] [--out ROWS.csv]
//!
//! Each request is for a pod that was not seen before and names all nodes, of which three quarters have eight GPUs of one of
//! four kinds, in 40 racks; about half of the GPUs are held. One thread. Times are processor times of that thread, so that
//! what else runs on the machine does not count but for what it does to caches; wall-clock times stand beside them. With
//! `--shuffle` each request has the names in an order of its own.

#![allow(clippy::unwrap_used, reason = "a measurement stops where something is missing")]

use std::fmt::Write;
use std::time::Instant;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};
use yardmaster_env::units::{Span, Time};
use yardmaster_live::extender::Extender;
use yardmaster_live::extender::config::Config;
use yardmaster_live::extender::object::{List, Node, Pod};
use yardmaster_live::extender::score::Scorer;
use yardmaster_live::policy::{Loaded, Source};

const MAPPING: &str =
    "[kinds]\n\"K80\" = \"k80\"\n\"P100\" = \"p100\"\n\"V100\" = \"v100\"\n\"T4\" = \"t4\"\n";
const PRODUCTS: [&str; 4] = ["K80", "P100", "V100", "T4"];
const MODELS: [&str; 3] = ["ResNet-18", "ResNet-50", "Transformer"];
/// 2026-11-21 12:00 UTC.
const START: Time = Time(1_795_262_400 * 1_000_000_000);

fn main() {
    let names: usize = option("--names", "5000").parse().unwrap();
    let requests: usize = option("--requests", "3000").parse().unwrap();
    let policy = option("--policy", "checkpoints/pool12.safetensors");
    let shuffle = std::env::args().any(|argument| argument == "--shuffle");
    let source = match policy.ends_with(".safetensors") {
        true => Source::Checkpoint(policy.clone().into()),
        false => Source::Rule(policy.clone()),
    };
    let scorer = Scorer::new(Loaded::load(&source).unwrap().mind().unwrap());
    let extender = Extender::new(Config::parse(MAPPING, "mapping").unwrap(), scorer);
    let nodes: List<Node> = serde_json::from_value(nodes(names)).unwrap();
    let pods: List<Pod> = serde_json::from_value(pods(names)).unwrap();
    extender.set_nodes(&nodes.items);
    extender.set_pods(&pods.items, START);
    let (mut micros, mut wall) = (Vec::with_capacity(requests), Vec::with_capacity(requests));
    let mut bytes = (0, 0);
    for number in 0..requests {
        let body = request(number, names, shuffle);
        let now = START + Span::from_secs(number as u64);
        let (begin, begin_cpu) = (Instant::now(), processor_micros());
        let answer = extender.answer("POST", "/k8s/prioritize", &body, now);
        micros.push(processor_micros() - begin_cpu);
        wall.push(begin.elapsed().as_secs_f64() * 1e6);
        assert_eq!(answer.status, 200);
        bytes = (body.len(), answer.body.len());
    }
    report(&policy, names, bytes, micros, wall);
}

fn option(name: &str, default: &str) -> String {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).unwrap_or_else(|| default.to_owned())
}

fn product(node: usize) -> Option<&'static str> {
    (!node.is_multiple_of(4)).then(|| PRODUCTS[node / 4 % 4])
}

fn name(node: usize) -> String {
    format!("ip-10-0-{}-{}.pool.internal", node / 256, node % 256)
}

fn nodes(count: usize) -> Value {
    let node = |number| {
        let labels = product(number).map(|product| {
            json!({"nvidia.com/gpu.product": product, "nvidia.com/gpu.memory": "16160",
                "topology.kubernetes.io/rack": format!("r{}", number % 40)})
        });
        let devices = if labels.is_some() { "8" } else { "0" };
        json!({"metadata": {"name": name(number), "labels": labels},
            "status": {"allocatable": {"cpu": "64", "nvidia.com/gpu": devices}}})
    };
    json!({"items": (0..count).map(node).collect::<Vec<_>>()})
}

/// Two pods on each node with GPUs, of 1 to 4 GPUs.
fn pods(count: usize) -> Value {
    let pod = |number: usize| {
        let seconds = (600 + 37 * (number % 500)).to_string();
        json!({"metadata": {"name": format!("p{number}"), "annotations": {"yardmaster/seconds": seconds}},
            "spec": {"nodeName": name(number % count), "containers": [
                {"resources": {"limits": {"nvidia.com/gpu": (1 + number % 4).to_string()}}}]},
            "status": {"phase": "Running", "startTime": "2026-11-21T11:50:00Z"}})
    };
    let held = (0..2 * count).filter(|number| product(number % count).is_some());
    json!({"items": held.map(pod).collect::<Vec<_>>()})
}

fn request(number: usize, names: usize, shuffle: bool) -> Vec<u8> {
    let mut nodes: Vec<String> = (0..names).map(name).collect();
    if shuffle {
        nodes.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(number as u64));
    }
    let request = json!({
        "Pod": {
            "metadata": {"name": format!("job-{number}"), "namespace": "bench", "uid": format!("u-{number}"),
                "annotations": {"yardmaster/model": MODELS[number % 3], "yardmaster/batch": "64",
                    "yardmaster/samples": (1_000_000 * (1 + number % 17)).to_string()}},
            "spec": {"containers": [{"name": "c", "image": "trainer:1", "resources": {
                "requests": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"},
                "limits": {"nvidia.com/gpu": "1"}}}]},
        },
        "Nodes": null,
        "NodeNames": nodes,
    });
    serde_json::to_vec(&request).unwrap()
}

/// Processor time of this thread.
fn processor_micros() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn report(policy: &str, names: usize, bytes: (usize, usize), micros: Vec<f64>, wall: Vec<f64>) {
    let mut rows = "request,processor_us,wall_us\n".to_owned();
    for (number, (time, wall)) in micros.iter().zip(&wall).enumerate() {
        let _ = writeln!(rows, "{number},{time:.1},{wall:.1}");
    }
    let out = option("--out", "");
    if !out.is_empty() {
        std::fs::write(out, rows).unwrap();
    }
    let count = micros.len();
    println!(
        "{policy}: {names} names, {count} requests of {} bytes, responses of {} bytes",
        bytes.0, bytes.1
    );
    for (what, mut times) in [("processor", micros), ("wall clock", wall)] {
        times.sort_by(f64::total_cmp);
        let [p50, p90, p99, most] = [50, 90, 99, 100].map(|percent| times[(count - 1) * percent / 100]);
        let mean = times.iter().sum::<f64>() / count as f64;
        println!("{what}: mean {mean:.0} us, p50 {p50:.0}, p90 {p90:.0}, p99 {p99:.0}, max {most:.0}");
    }
}
