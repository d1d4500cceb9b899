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
    // Generated workloads draw from these: a new model must not join them unnoticed.
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
fn every_figure_has_a_source_of_its_own_or_the_usual_one() {
    let catalog = Catalog::builtin();
    let [k80, hailo] = ["k80", "hailo-8"].map(|name| catalog.device(catalog.kind(name).unwrap()));
    let of = |device: &Device, figure| catalog.provenance(&device.sources, figure);
    assert_eq!(of(k80, "memory_gib"), Provenance::Measured);
    assert_eq!(of(k80, "busy_w"), Provenance::Scaled);
    assert_eq!(of(k80, "idle_w"), Provenance::Estimated);
    assert_eq!(of(hailo, "int8_tops"), Provenance::Estimated);
    assert!(k80.figures().any(|figure| figure == ("memory_gib", 12.0)));
    let used = |id: &str| {
        catalog.devices.iter().any(|device| Device::FIGURES.iter().any(|f| device.sources.of(f) == id))
            || catalog.training.iter().any(|m| TrainingModel::FIGURES.iter().any(|f| m.sources.of(f) == id))
            || catalog
                .inference
                .iter()
                .flat_map(|family| &family.variants)
                .any(|variant| Variant::FIGURES.iter().any(|figure| variant.sources.of(figure) == id))
            || catalog.training_cells().chain(catalog.inference_cells()).any(|cell| cell.source == id)
    };
    for source in catalog.sources() {
        assert!(used(&source.id), "nothing comes from {}", source.id);
    }
}

#[test]
fn classes_domains_and_variants_are_broad() {
    let catalog = Catalog::builtin();
    let of_class = |class| catalog.devices().iter().filter(|device| device.class == class).count();
    assert!(of_class(DeviceClass::Cpu) >= 4 && of_class(DeviceClass::Gpu) >= 8);
    assert!(of_class(DeviceClass::Tpu) >= 4);
    let domains = [Domain::Vision, Domain::Language, Domain::Recommendation, Domain::Speech];
    assert!(catalog.training_models().len() >= 12 && catalog.inference_models().len() >= 10);
    for domain in domains {
        assert!(catalog.training_models().iter().any(|model| model.domain == domain), "{domain:?}");
        assert!(catalog.inference_models().iter().any(|model| model.domain == domain), "{domain:?}");
    }
    let families = catalog.inference_models().iter().filter(|family| family.variants.len() > 1);
    assert!(families.clone().count() >= 4);
    for family in families {
        assert_eq!(family.reference().accuracy, 1.0);
        let faster = |variant: &Variant| variant.weights_bytes < family.reference().weights_bytes;
        assert!(family.variants.iter().any(faster), "{} has no smaller variant", family.name);
    }
}

/// Ids are positions in the file: what is added goes to the end.
#[test]
fn the_first_models_and_devices_keep_their_places() {
    let catalog = Catalog::builtin();
    let kinds = ["processor", "icl-i3", "clx-9282", "k80", "p100", "v100", "t4", "a30", "a100", "titan-x"];
    for (at, name) in (0..).zip(kinds) {
        assert_eq!(catalog.kind(name), Some(KindId(at)));
    }
    for (at, name) in [(0, "ResNet-18"), (6, "CycleGAN")] {
        assert_eq!(catalog.training(name), Some(TrainingId(at)));
    }
    for (at, name) in [(0, "resnet50"), (4, "bert-large"), (13, "yolo9000")] {
        assert_eq!(catalog.inference(name), Some(InferenceId(at)));
        assert_eq!(catalog.inference_model(InferenceId(at)).variants.len(), 1);
    }
}

#[test]
fn a_variant_has_latencies_of_its_own() {
    let catalog = Catalog::builtin();
    let (model, t4) = (catalog.inference("bert-qa").unwrap(), catalog.kind("t4").unwrap());
    let latency = |variant| catalog.variant_latency(model, variant, t4, 8);
    let published = [114_500, 17_900, 5_100].map(|us| Some(Span::from_micros(us)));
    assert_eq!([0, 1, 2].map(latency), published);
    assert_eq!(catalog.latency(model, t4, 8), catalog.variant_latency(model, 0, t4, 8));
    assert_eq!(catalog.variant_max_batch(model, 2, t4), 16);
    assert!(catalog.variant_has_latency(model, 2, t4, 8) && !catalog.variant_has_latency(model, 2, t4, 9));
    assert_eq!(catalog.variant_provenance(model, 2, t4, 9), Some(Provenance::Measured));
    assert_eq!(catalog.variant_latency(model, 3, t4, 8), None);
    let accuracy: Vec<f64> = catalog.inference_model(model).variants.iter().map(|v| v.accuracy).collect();
    assert_eq!(accuracy, [1.0, 0.9681, 0.9119]);
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
    let inference =
        |row: &str| format!("{}{row}\n", &builtin.inference[..=builtin.inference.find('\n').unwrap()]);
    let cases = [
        (
            "bert-qa,6l,t4,1,8,3,measured,triton",
            "variant `6l` (in line 2) is not defined; did you mean `6l-fp16`",
        ),
        ("bert-qa,,t4,2,8,3,measured,triton", "gang 2"),
        ("bert-qa,,t4,1,8,0,measured,triton", "latency 0 us"),
        ("bert-qa,,t4,1,8,3,measured,triton\nbert-qa,large-fp16,t4,1,8,3,measured,triton", "defined twice"),
        (
            "bert-qa,,t4,1,8,3,measured,sibling",
            "provenance is `measured` (in line 2); it must be what sources.toml",
        ),
    ];
    for (row, expected) in cases {
        let text = inference(row);
        let error = Catalog::parse(CatalogText { inference: &text, ..builtin }).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    // Before variants there was no such column, and without it all rows are of the reference.
    let text = "model,device,gang,batch,latency_us,provenance,source\nbert-qa,t4,1,8,3,measured,triton\n";
    assert!(Catalog::parse(CatalogText { inference: text, ..builtin }).is_ok());
    let cases = [
        ("accuracy = 0.9681", "accuracy = 1.1", "accuracy is `1.1` (in variant `bert-qa/6l-fp16`)"),
        ("name = \"6l-fp16\"", "name = \"large-fp16\"", "variant `large-fp16` is defined twice"),
        ("dense_mib = 9", "dense_mib = 99999", "must be at most weights_mib"),
        (
            "memory-cliffs = [\"activation_mib",
            "memory-cliffs = [\"action_mib",
            "figure `action_mib_per_sample`",
        ),
        ("noise_scale = 900\n", "noise_scale = 0\n", "noise_scale is `0` (in model `ResNet-18`)"),
    ];
    for (from, to, expected) in cases {
        let text = builtin.models.replacen(from, to, 1);
        let error = Catalog::parse(CatalogText { models: &text, ..builtin }).unwrap_err().to_string();
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

#[test]
fn training_speeds_are_those_of_the_deep_learning_examples() {
    let Some(rows) = rows("tables/nvidia_dle_batch_tables.csv") else { return };
    let catalog = Catalog::builtin();
    // Model, device, gang and batch of the gang; file, heading and column of the row, and what it is divided by.
    let spots = [
        ("SSD300", "v100", 8, 512, "Detection/SSD", "V100 16GB", "mixed precision", "64", 1.0),
        ("Jasper", "a100-80gb", 4, 256, "Jasper", "A100 80GB", "mixed precision", "64", 1.0),
        ("Mask-RCNN", "v100", 1, 4, "TensorFlow2/Segmentation/MaskRCNN", "V100 16GB", "mixed", "4", 1.0),
        (
            "Transformer-XL",
            "a100",
            2,
            64,
            "PyTorch/LanguageModeling/Transformer-XL",
            "A100 40GB",
            "Mixed",
            "32",
            192.0,
        ),
    ];
    for (model, device, gang, batch, file, heading, column, row_batch, per) in spots {
        let is = |row: &&BTreeMap<String, String>| {
            row["file"].contains(file)
                && row["heading"].contains("Training performance")
                && row["heading"].contains(heading)
                && row["throughput_col"].contains(column)
                && row["batch_size"] == row_batch
                && row["context"].starts_with(&format!("GPUs={gang};"))
        };
        let theirs: f64 = rows.iter().find(is).unwrap()["throughput"].parse().unwrap();
        let ids = (catalog.training(model).unwrap(), catalog.kind(device).unwrap());
        let ours = catalog.training_speed(ids.0, ids.1, gang, batch).unwrap();
        assert!(close(ours.samples_per_s, theirs / per), "{model}: {} and {theirs}", ours.samples_per_s);
    }
}
