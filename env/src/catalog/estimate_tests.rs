//! Tests of the estimates: how far they are from measured cells, and where they refuse.

use expect_test::expect;

use super::estimate::Line;
use super::*;

/// Quantiles of ratios of estimate to measurement, as a line of text.
fn spread(what: &str, mut ratios: Vec<f64>) -> String {
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[((ratios.len() - 1) as f64 * share).round() as usize];
    let [p10, p50, p90] = [0.1, 0.5, 0.9].map(at);
    format!("{what:<14} {:>4} cells: p10 {p10:.2}  median {p50:.2}  p90 {p90:.2}\n", ratios.len())
}

fn measured(cell: &&Cell) -> bool {
    cell.provenance == Provenance::Measured && cell.value > 0.0
}

const CLASSES: [(DeviceClass, &str); 3] =
    [(DeviceClass::Cpu, "cpu"), (DeviceClass::Gpu, "gpu"), (DeviceClass::Tpu, "tpu")];

#[test]
fn a_line_through_points_on_a_line_is_that_line() {
    let Line { a, b } = Line::fit(&[(1.0, 2.5), (4.0, 4.0), (16.0, 10.0), (64.0, 34.0)]);
    assert!((a - 2.0).abs() < 1e-9 && (b - 0.5).abs() < 1e-9, "{a} + {b} x batch");
}

/// The honest error of the roofline: of every cell that somebody measured.
#[test]
fn the_roofline_is_near_the_measured_latencies_at_the_median_and_far_in_the_tails() {
    let catalog = Catalog::builtin();
    let mut text = String::new();
    for (class, name) in CLASSES {
        let ratio = |cell: &Cell| {
            let variant = &catalog.inference[usize::from(cell.model)].variants[usize::from(cell.variant)];
            let seconds = roofline::batch_seconds(variant, catalog.device(cell.kind), cell.batch)?;
            (catalog.device(cell.kind).class == class).then_some(seconds * 1e6 / cell.value)
        };
        text += &spread(name, catalog.inference_cells().filter(measured).filter_map(ratio).collect());
    }
    expect![[r#"
        cpu              12 cells: p10 0.38  median 1.13  p90 2.21
        gpu             501 cells: p10 0.39  median 0.97  p90 2.67
        tpu               4 cells: p10 0.12  median 0.18  p90 3.35
    "#]]
    .assert_eq(&text);
}

#[test]
fn the_roofline_is_near_the_measured_steps_at_the_median_and_far_in_the_tails() {
    let catalog = Catalog::builtin();
    let one = |cell: &&Cell| measured(cell) && cell.gang == 1;
    let ratio = |cell: &Cell| {
        let model = &catalog.training[usize::from(cell.model)];
        let seconds = roofline::step_seconds(model, catalog.device(cell.kind), cell.batch)?;
        Some(seconds * cell.value / f64::from(cell.batch))
    };
    let text = spread("gpu", catalog.training_cells().filter(one).filter_map(ratio).collect());
    expect![[r#"
        gpu             111 cells: p10 0.51  median 1.01  p90 2.31
    "#]]
    .assert_eq(&text);
}

/// Each curve without its largest batch, which the line through the others then foretells.
#[test]
fn the_line_foretells_the_largest_batch_of_a_curve() {
    let catalog = Catalog::builtin();
    let mut curves: std::collections::BTreeMap<_, Vec<(f64, f64)>> = std::collections::BTreeMap::new();
    for cell in catalog.inference_cells().filter(measured) {
        let points = curves.entry((cell.model, cell.variant, cell.kind)).or_default();
        points.push((f64::from(cell.batch), cell.value));
    }
    let ratio = |points: &Vec<(f64, f64)>| {
        let (last, rest) = points.split_last().unwrap();
        let line = (rest.len() >= 2).then(|| Line::fit(rest))?;
        Some((line.a + line.b * last.0) / last.1)
    };
    let text = spread("line", curves.values().filter_map(ratio).collect());
    expect![[r#"
        line             80 cells: p10 0.81  median 1.00  p90 1.12
    "#]]
    .assert_eq(&text);
}

#[test]
fn gangs_computed_from_one_device_are_near_the_measured_ones_at_the_median() {
    let catalog = Catalog::builtin();
    let mut text = String::new();
    for gang in [2, 4, 8] {
        let of_gang = |cell: &&Cell| measured(cell) && cell.gang == gang;
        let ratio = |cell: &Cell| {
            let (model, kind) = (TrainingId(cell.model), cell.kind);
            let alone = catalog.step_without_limit(model, kind, cell.batch / gang)?;
            let exchange =
                parallel::all_reduce_seconds(catalog.training_model(model), catalog.device(kind), gang)?;
            (alone.method == Method::Table)
                .then(|| (alone.value + exchange) * cell.value / f64::from(cell.batch))
        };
        let ratios = catalog.training_cells().filter(of_gang).filter_map(ratio).collect();
        text += &spread(&format!("gang of {gang}"), ratios);
    }
    expect![[r#"
        gang of 2        59 cells: p10 0.77  median 0.92  p90 1.08
        gang of 4        73 cells: p10 0.56  median 0.83  p90 0.98
        gang of 8        82 cells: p10 0.52  median 0.81  p90 1.00
    "#]]
    .assert_eq(&text);
}

#[test]
fn an_estimate_says_how_it_was_made() {
    let catalog = Catalog::builtin();
    let latency = |model: &str, kind: &str, batch| {
        let (model, kind) = (catalog.inference(model).unwrap(), catalog.kind(kind).unwrap());
        catalog.estimate_latency(model, 0, kind, batch).map(|e| (e.method, e.provenance))
    };
    assert_eq!(latency("resnet50", "v100", 24), Some((Method::Table, Provenance::Measured)));
    assert_eq!(latency("resnet50", "v100", 300), Some((Method::Affine, Provenance::Scaled)));
    assert_eq!(latency("resnet50", "h100", 8), Some((Method::Roofline, Provenance::Estimated)));
    assert_eq!(latency("mobilenet", "titan-rtx", 8), Some((Method::Anchored, Provenance::Scaled)));
    // Beyond the memory of the device, without a precision it has, and without a batch.
    assert_eq!(latency("llama-2-7b", "t4", 4096), None);
    assert_eq!(latency("vgg16", "edge-tpu", 1), None);
    assert_eq!(latency("resnet50", "v100", 0), None);
    let speed = |model: &str, kind: &str, gang, batch| {
        let (model, kind) = (catalog.training(model).unwrap(), catalog.kind(kind).unwrap());
        catalog.estimate_training_speed(model, kind, gang, batch).map(|e| (e.method, e.provenance))
    };
    assert_eq!(speed("ResNet-50", "v100", 1, 24), Some((Method::Table, Provenance::Measured)));
    assert_eq!(speed("ResNet-50", "v100", 1, 8), Some((Method::Affine, Provenance::Scaled)));
    assert_eq!(speed("ResNet-50", "v100", 3, 96), Some((Method::Parallel, Provenance::Scaled)));
    assert_eq!(speed("BERT-large", "h100", 1, 32), Some((Method::Roofline, Provenance::Estimated)));
    assert_eq!(speed("BERT-large", "a100", 1, 16), Some((Method::Anchored, Provenance::Scaled)));
    // A batch that three cannot share, one that is known not to run, and one that does not fit.
    assert_eq!(speed("ResNet-50", "v100", 3, 97), None);
    assert_eq!(speed("ResNet-50", "k80", 2, 256), None);
    assert_eq!(speed("ResNet-50", "v100", 1, 512), None);
}

#[test]
fn estimates_agree_with_the_tables_and_never_fall_beyond_them() {
    let catalog = Catalog::builtin();
    for cell in catalog.inference_cells() {
        let (model, kind) = (InferenceId(cell.model), cell.kind);
        let at = |batch| catalog.estimate_latency(model, cell.variant, kind, batch).map(|e| e.value);
        let known = catalog.variant_latency(model, cell.variant, kind, cell.batch);
        assert_eq!(at(cell.batch), known);
        if cell.batch == catalog.variant_max_batch(model, cell.variant, kind) {
            assert!(at(cell.batch + 1).is_none_or(|beyond| Some(beyond) >= known), "{cell:?}");
        }
    }
}
