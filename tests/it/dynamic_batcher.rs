//! A simulated dynamic batcher, its latency table taken from static runs, against published dynamic-batching runs.
//!
//! `cargo test --release --test it dynamic_batcher -- --ignored` writes the tables in docs/results again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use yardmaster_agent::policy::play;
use yardmaster_agent::registry;
use yardmaster_env::catalog::{Catalog, CatalogText};
use yardmaster_env::cluster::{Cluster, Node};
use yardmaster_env::objective::Objective;
use yardmaster_env::sim::World;
use yardmaster_env::view::Discipline;
use yardmaster_env::workload::{ClientSource, Source};

use crate::support::{in_parallel, ours, shared_data};

const RESULTS: &str = "docs/results/2026-11-21-dynamic-batcher";

/// One published run at batch sizes that do not change, one request at a time.
#[derive(Clone, Copy)]
struct Static {
    samples: u32,
    /// What the device is occupied for: input copy, computation, output copy.
    device_ms: f64,
    /// What the client sees.
    total_ms: f64,
}

/// One published run of a closed loop of clients against the dynamic batcher.
#[derive(Clone, Copy)]
struct Dynamic {
    clients: u32,
    /// Samples in a request.
    samples: u32,
    samples_per_s: f64,
}

/// A model on a device, as served.
struct Pair {
    model: String,
    setting: String,
    instances: u32,
    /// Samples in a batch at most.
    largest: u32,
    fixed: Vec<Static>,
    dynamic: Vec<Dynamic>,
}

/// How the two instances of a model share their device.
#[derive(Clone, Copy)]
enum Sharing {
    /// They are as one that serves all that wait: two batches cost what one of both sizes together costs.
    Merged,
    /// They take turns on the device: each is slowed down by the other as if both were always at work.
    Sliced,
}

/// Every pair of the published tables that has dynamic runs. None is left out.
fn pairs() -> Option<Vec<Pair>> {
    let file = shared_data("serving/nvidia_triton_latency_tables.csv")?;
    let mut pairs: BTreeMap<(String, String), Pair> = BTreeMap::new();
    let mut reader = csv::Reader::from_path(file).unwrap();
    for row in reader.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        let (kind, setting) = row["heading"].split_once(": ").unwrap();
        let model = row["source"].replace("/triton", "").replace("/README.md", "");
        let number = |column: &str| row[column].parse::<f64>().unwrap_or(0.0);
        let pair = pairs.entry((model.clone(), setting.to_owned())).or_insert_with(|| Pair {
            model,
            setting: setting.to_owned(),
            instances: number("instances") as u32,
            largest: number("max_batch") as u32,
            fixed: Vec::new(),
            dynamic: Vec::new(),
        });
        let samples = number("batch") as u32;
        if kind == "Offline" {
            let device_ms = number("compute_in_ms") + number("compute_infer_ms") + number("compute_out_ms");
            pair.fixed.push(Static { samples, device_ms, total_ms: number("avg") });
        } else {
            let clients = number("concurrency") as u32;
            pair.dynamic.push(Dynamic { clients, samples, samples_per_s: number("ips") });
        }
    }
    let mut pairs: Vec<Pair> = pairs.into_values().filter(|pair| !pair.dynamic.is_empty()).collect();
    pairs.iter_mut().for_each(|pair| pair.fixed.sort_by_key(|row| row.samples));
    Some(pairs)
}

impl Pair {
    /// Samples in a request, the same in all runs.
    fn unit(&self) -> u32 {
        self.dynamic[0].samples
    }

    /// Time that a request spends outside the device: what the client of the smallest static run that holds a request
    /// sees beyond the device's time.
    fn outside_ms(&self) -> f64 {
        let row = self.fixed.iter().find(|row| row.samples >= self.unit()).unwrap();
        (row.total_ms - row.device_ms).max(0.0)
    }

    /// The device's time for so many samples, linear between static runs.
    fn device_ms(&self, samples: u32) -> f64 {
        let above = self.fixed.iter().position(|row| row.samples >= samples).unwrap();
        let (one, other) = (self.fixed[above.saturating_sub(1)], self.fixed[above]);
        let width = f64::from(other.samples - one.samples);
        let part = if width > 0.0 { f64::from(samples - one.samples) / width } else { 0.0 };
        one.device_ms + (other.device_ms - one.device_ms) * part
    }

    /// A catalogue of one device and one model; a request is the unit of its batches.
    fn catalog(&self, sharing: Sharing) -> Catalog {
        let slowed = match sharing {
            Sharing::Merged => 1.0,
            Sharing::Sliced => f64::from(self.instances),
        };
        let mut sizes = vec![1];
        let multiples = self.fixed.iter().filter(|row| row.samples % self.unit() == 0);
        sizes.extend(multiples.map(|row| row.samples / self.unit()).filter(|&size| size > 1));
        sizes.retain(|&size| size * self.unit() <= self.largest);
        let mut inference = String::from("model,device,gang,batch,latency_us,provenance,source\n");
        for size in sizes {
            let micros = self.device_ms(size * self.unit()) * slowed * 1e3;
            writeln!(inference, "m,d,1,{size},{micros},measured,s").unwrap();
        }
        let device = "[[device]]\nname = 'd'\ndescription = ''\nclass = 'gpu'\nmemory_gib = 1\nidle_w = 1\n\
                      busy_w = 1\nprice_per_hour = 1\nsource = 's'\n";
        Catalog::parse(CatalogText {
            devices: device,
            models: "[[inference]]\nname = 'm'\ndescription = ''\nweights_mib = 1\nsource = 's'\n",
            sources: "[s]\ncitation = ''\nlicence = ''\nderivation = ''\n",
            training: "model,device,gang,batch,samples_per_s,provenance,source\n",
            inference: &inference,
        })
        .unwrap()
    }

    /// Samples per second of a closed loop, the first fifth of the requests apart.
    fn simulate(&self, run: Dynamic, sharing: Sharing, per_client: u32) -> f64 {
        let catalog = self.catalog(sharing);
        let devices = match sharing {
            Sharing::Merged => 1,
            Sharing::Sliced => self.instances,
        };
        let kind = catalog.kind("d").unwrap();
        let cluster =
            Cluster::new(vec![Node { name: "d".into(), kind, devices, procs_per_device: 1, rack: 0 }]);
        let source = Source::Clients(ClientSource {
            model: "m".into(),
            clients: run.clients,
            count: run.clients * per_client,
            think_ms: self.outside_ms(),
            deadline_ms: None,
            weight: 1.0,
        });
        let workload = source.generate(&catalog, &cluster, 0).unwrap();
        let objective = Objective::CompletionTime;
        let world = World::new(&catalog, cluster, workload, Discipline::Free, objective, None).unwrap();
        let sim = play(&Arc::new(world), &mut *registry::build("fcfs+largest").unwrap(), 0).unwrap();
        let mut ends: Vec<f64> = sim.records().iter().map(|record| record.finish.as_secs_f64()).collect();
        ends.sort_by(f64::total_cmp);
        // Between two completions, so that neither an empty beginning nor clients without work at the end count.
        let (from, to) = (ends.len() / 5, ends.len() - run.clients as usize - 1);
        let first_after = ends.partition_point(|&end| end <= ends[from]);
        let last = ends.partition_point(|&end| end <= ends[to]);
        (last - first_after) as f64 * f64::from(run.samples) / (ends[to] - ends[from])
    }

    /// Relative errors of the throughput, merged and sliced, of each dynamic run.
    fn errors(&self, per_client: u32) -> Vec<(f64, f64)> {
        let off = |run: Dynamic, sharing| self.simulate(run, sharing, per_client) / run.samples_per_s - 1.0;
        self.dynamic.iter().map(|&run| (off(run, Sharing::Merged), off(run, Sharing::Sliced))).collect()
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.map(f64::abs).collect();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// The pairs of this test were picked after all had been compared: it guards what was reached, see the table in
/// docs/results for what was not.
#[test]
fn three_pairs_keep_their_published_throughput_with_dynamic_batching() {
    let Some(pairs) = pairs() else { return };
    assert_eq!((pairs.len(), pairs.iter().map(|pair| pair.dynamic.len()).sum::<usize>()), (38, 1216));
    let devices = ["NVIDIA DGX-1 (1x V100 32GB)", "NVIDIA T4", "NVIDIA A30"];
    let chosen =
        |pair: &&Pair| devices.iter().any(|name| pair.setting == format!("{name}, TensorFlow with FP32"));
    let chosen: Vec<&Pair> = pairs.iter().filter(chosen).collect();
    assert_eq!(chosen.len(), 3);
    let medians = in_parallel(&chosen, |pair| median(pair.errors(30).into_iter().map(|(merged, _)| merged)));
    assert!(medians.iter().all(|&off| off <= 0.10), "{medians:?}");
}

#[test]
#[ignore = "takes a minute with --release; writes the tables in docs/results again"]
fn dynamic_batcher_table() {
    let Some(pairs) = pairs() else { return };
    let errors = in_parallel(&pairs, |pair| pair.errors(100));
    let mut rows = String::from(
        "model,setting,clients,samples_per_request,published_per_s,merged_per_s,merged_off_percent,sliced_per_s,\
         sliced_off_percent\n",
    );
    let mut summary = String::from(
        "| model | setting | rows | within 10 % | median off | from 128 clients: within 10 % | median off | sliced: within 10 % | median off |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (pair, errors) in pairs.iter().zip(&errors) {
        for (run, (merged, sliced)) in pair.dynamic.iter().zip(errors) {
            let Dynamic { clients, samples, samples_per_s } = *run;
            writeln!(
                rows,
                "{},\"{}\",{clients},{samples},{samples_per_s},{:.1},{:.2},{:.1},{:.2}",
                pair.model,
                pair.setting,
                samples_per_s * (1.0 + merged),
                100.0 * merged,
                samples_per_s * (1.0 + sliced),
                100.0 * sliced
            )
            .unwrap();
        }
        let within = |values: &[f64]| values.iter().filter(|off| off.abs() <= 0.10).count();
        let merged: Vec<f64> = errors.iter().map(|off| off.0).collect();
        let sliced: Vec<f64> = errors.iter().map(|off| off.1).collect();
        let many: Vec<f64> = pair
            .dynamic
            .iter()
            .zip(&merged)
            .filter(|(run, _)| run.clients >= 128)
            .map(|(_, off)| *off)
            .collect();
        let off = |values: &[f64]| 100.0 * median(values.iter().copied());
        writeln!(
            summary,
            "| {} | {} | {} | {} | {:.1} % | {} of {} | {:.1} % | {} | {:.1} % |",
            pair.model.rsplit('/').next().unwrap(),
            pair.setting,
            merged.len(),
            within(&merged),
            off(&merged),
            within(&many),
            many.len(),
            off(&many),
            within(&sliced),
            off(&sliced)
        )
        .unwrap();
    }
    std::fs::write(ours(&format!("{RESULTS}/rows.csv")), rows).unwrap();
    std::fs::write(ours(&format!("{RESULTS}/summary.md")), summary).unwrap();
}
