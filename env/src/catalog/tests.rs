//! Tests of the catalogue: what is in it, provenance, interpolation, refusals, and values against their
//! sources.

use super::*;
use crate::testing::shared_data;
use std::collections::{BTreeMap, BTreeSet};

fn names(catalog: &Catalog, cell: &Cell) -> (String, DeviceClass) {
    let device = catalog.device(cell.kind);
    (device.name.clone(), device.class)
}

#[test]
fn the_embedded_catalogue_parses_and_knows_its_devices() {
    let catalog = Catalog::builtin();
    for name in ["processor", "k80", "p100", "v100", "t4", "a100", "a30", "clx-9282", "tpu-v3"] {
        let kind = catalog.kind(name).unwrap();
        assert_eq!(catalog.device(kind).name, name);
    }
    assert_eq!(catalog.job_types().len(), 26);
    assert_eq!(catalog.kind("v101"), None);
}

#[test]
fn every_cell_has_a_source_that_says_how_it_was_derived() {
    let catalog = Catalog::builtin();
    for cell in catalog.training_cells().chain(catalog.inference_cells()) {
        let derivation = &catalog.source(&cell.source).unwrap().derivation;
        assert!(!derivation.is_empty());
        let word = match cell.provenance {
            Provenance::Measured => continue,
            Provenance::Scaled => "scaled",
            Provenance::Estimated => "estimated",
        };
        assert!(derivation.starts_with(word), "{} is {word}, its source says: {derivation}", cell.source);
    }
    let scaled = ["scaled", "estimated"];
    let measured = |cell: &&Cell| cell.provenance == Provenance::Measured;
    for cell in catalog.training_cells().chain(catalog.inference_cells()).filter(measured) {
        let derivation = &catalog.source(&cell.source).unwrap().derivation;
        assert!(!scaled.iter().any(|word| derivation.starts_with(word)), "{}", cell.source);
    }
}

#[test]
fn three_models_are_measured_on_three_kinds_with_a_cpu() {
    let catalog = Catalog::builtin();
    let mut kinds: BTreeMap<u16, BTreeSet<(String, DeviceClass)>> = BTreeMap::new();
    for cell in catalog.inference_cells().filter(|cell| cell.provenance == Provenance::Measured) {
        kinds.entry(cell.model).or_default().insert(names(catalog, cell));
    }
    let enough = |kinds: &&BTreeSet<(String, DeviceClass)>| {
        kinds.len() >= 3
            && [DeviceClass::Cpu, DeviceClass::Gpu]
                .iter()
                .all(|class| kinds.iter().any(|kind| kind.1 == *class))
    };
    assert!(kinds.values().filter(enough).count() >= 3, "{kinds:?}");
    assert!(kinds.len() >= 6);
}

#[test]
fn time_per_step_is_linear_between_batches_and_unknown_beyond() {
    let catalog = Catalog::builtin();
    let model = catalog.training("ResNet-50").unwrap();
    let [k80, v100] = ["k80", "v100"].map(|name| catalog.kind(name).unwrap());
    let speed =
        |kind, gang, batch| catalog.training_speed(model, kind, gang, batch).map(|speed| speed.samples_per_s);
    let [a, b] = [16, 32].map(|batch| f64::from(batch) / speed(v100, 1, batch).unwrap());
    let between = 24.0 / speed(v100, 1, 24).unwrap();
    assert!((between - (a + b) / 2.0).abs() < 1e-12);
    assert_eq!(speed(v100, 1, 129), None);
    assert_eq!(speed(v100, 1, 15), None);
    assert_eq!(speed(v100, 3, 48), None);
    // Two workers with 128 images each do not fit on K80, nor does anything towards it count as known.
    assert_eq!((speed(k80, 2, 256), speed(k80, 2, 192)), (None, None));
    assert!(speed(k80, 2, 128).is_some());
}

#[test]
fn latency_is_linear_between_batches_and_carries_the_weaker_provenance() {
    let catalog = Catalog::builtin();
    let model = catalog.inference("bert-6l").unwrap();
    let v100 = catalog.kind("v100").unwrap();
    let ms = |batch| catalog.latency(model, v100, batch).map(|span| span.as_secs_f64() * 1e3);
    assert_eq!((ms(1), ms(8), ms(17), ms(0)), (Some(2.0), Some(7.5), None, None));
    assert!((ms(3).unwrap() - (2.0 + 5.5 * 2.0 / 7.0)).abs() < 1e-6);
    assert_eq!(catalog.max_batch(model, v100), 16);
    assert_eq!(catalog.max_batch(model, catalog.kind("k80").unwrap()), 0);
    let [mobilenet, tpu] = [catalog.inference("mobilenet").unwrap(), catalog.inference("resnet50").unwrap()];
    let provenance =
        |model, kind: &str, batch| catalog.latency_provenance(model, catalog.kind(kind).unwrap(), batch);
    assert_eq!(provenance(mobilenet, "clx-9282", 1), Some(Provenance::Measured));
    assert_eq!(provenance(mobilenet, "clx-9282", 2), Some(Provenance::Scaled));
    assert_eq!(provenance(tpu, "tpu-v3", 32), Some(Provenance::Estimated));
}

#[test]
fn faults_are_named() {
    let builtin = CatalogText::BUILTIN;
    let training = |row: &str| format!("model,device,gang,batch,samples_per_s,provenance,source\n{row}\n");
    let cases = [
        ("ResNet-51,v100,1,16,3,measured,gavel", "did you mean `ResNet-50`"),
        ("ResNet-50,v10,1,16,3,measured,gavel", "device `v10` (in line 2) is not defined"),
        ("ResNet-50,v100,1,16,3,measured,gravel", "source `gravel`"),
        ("ResNet-50,v100,1,16,3,guessed,gavel", "guessed"),
        ("ResNet-50,v100,1,16,-3,measured,gavel", "value is `-3`"),
        ("ResNet-50,v100,1,16,NaN,measured,gavel", "value is `NaN`"),
        ("ResNet-50,v100,0,16,3,measured,gavel", "gang 0"),
        ("ResNet-50,v100,1,16,3,measured,gavel\nResNet-50,v100,1,16,3,measured,gavel", "is defined twice"),
        ("ResNet-50,v100,1", "line: 2"),
    ];
    for (row, expected) in cases {
        let text = training(row);
        let error = Catalog::parse(CatalogText { training: &text, ..builtin }).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    let devices = builtin.devices.replacen("p100", "k80", 1);
    let error = Catalog::parse(CatalogText { devices: &devices, ..builtin }).unwrap_err();
    assert_eq!(error.to_string(), "devices.toml: device `k80` is defined twice; remove one");
    assert!(Catalog::parse(CatalogText { models: "x = 1", ..builtin }).is_err());
}

/// The rows of a shared CSV file as maps from column to text.
fn rows(file: &str) -> Option<Vec<BTreeMap<String, String>>> {
    let text = shared_data(file)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    Some(reader.deserialize().map(Result::unwrap).collect())
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-5 * b.abs()
}

#[test]
fn training_speeds_are_those_of_gavel() {
    let Some(rows) = rows("tables/gavel_isolated_throughputs.csv") else { return };
    let catalog = Catalog::builtin();
    let mut compared = 0;
    for row in rows.iter().filter(|row| row["consolidated"] == "1") {
        let (gang, steps): (u32, f64) =
            (row["scale_factor"].parse().unwrap(), row["steps_per_s"].parse().unwrap());
        let batch: u32 = row["batch_size"].parse().unwrap_or(1);
        let ids = (catalog.training(&row["model"]).unwrap(), catalog.kind(&row["gpu"]).unwrap());
        let speed = catalog.training_speed(ids.0, ids.1, gang, batch * gang);
        match speed {
            Some(speed) => assert!(close(speed.samples_per_s, steps * f64::from(batch)), "{row:?}"),
            None => assert_eq!(steps, 0.0, "{row:?}"),
        }
        compared += 1;
    }
    assert_eq!(catalog.training_cells().filter(|cell| cell.source == "gavel").count(), compared);
}

#[test]
fn single_stream_latencies_are_those_of_mlperf() {
    let Some(rows) = rows("tables/mlperf_inference_v0.5_closed.csv") else { return };
    let catalog = Catalog::builtin();
    let spots = [
        ("clx-9282-2s_pytorch-caffe2", "resnet", "clx-9282", "resnet50"),
        ("clx-9282-2s_pytorch-caffe2", "mobilenet", "clx-9282", "mobilenet"),
        ("clx_9282-2s_openvino-linux", "ssd-small", "clx-9282", "ssd-mobilenet"),
        ("Xavier", "mobilenet", "xavier", "mobilenet"),
        ("Hailo8", "ssd-small", "hailo-8", "ssd-mobilenet"),
        ("T4x8", "ssd-large", "t4", "ssd-resnet34"),
    ];
    for (system, theirs, device, ours) in spots {
        let is = |row: &&BTreeMap<String, String>| {
            (row["system"].as_str(), row["model"].as_str(), row["scenario"].as_str())
                == (system, theirs, "singlestream")
        };
        let p50: f64 = rows.iter().find(is).unwrap()["p50_ns"].parse().unwrap();
        let latency =
            catalog.latency(catalog.inference(ours).unwrap(), catalog.kind(device).unwrap(), 1).unwrap();
        assert!(close(latency.0 as f64, p50), "{system} {theirs}");
    }
}

#[test]
fn bert_latencies_are_those_of_the_triton_tables() {
    let Some(rows) = rows("serving/nvidia_triton_latency_tables.csv") else { return };
    let catalog = Catalog::builtin();
    let (model, t4) = (catalog.inference("bert-large").unwrap(), catalog.kind("t4").unwrap());
    let wanted = |row: &&BTreeMap<String, String>| {
        row["source"].contains("triton/large")
            && row["heading"] == "Offline: NVIDIA T4, NVIDIA TensorRT with FP16"
    };
    for row in rows.iter().filter(wanted) {
        let latency = catalog.latency(model, t4, row["batch"].parse().unwrap()).unwrap();
        assert!(close(latency.as_secs_f64() * 1e3, row["avg"].parse().unwrap()), "{row:?}");
    }
    assert!(rows.iter().filter(wanted).count() >= 3);
}
