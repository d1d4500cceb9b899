//! `yardmaster inspect catalog`: devices, models and speeds, and how sure each of them is.

mod json;

use std::fmt::Write;

use yardmaster_env::catalog::{
    Catalog, Cell, Coverage, DeviceClass, Method, Precision, Provenance, Sources, TrainingModel,
};
use yardmaster_env::units::{InferenceId, KindId, TrainingId};

pub(crate) use json::json;

use crate::columns::{Columns, Side, wrapped};

/// Width of the page, in characters.
const PAGE: usize = 120;

/// Device kinds side by side in a matrix.
const ACROSS: usize = 8;

/// The largest gang that is looked for in the table.
const LARGEST_GANG: u32 = 64;

/// The whole catalogue as text.
pub(crate) fn text(catalog: &Catalog) -> String {
    let variants: usize = catalog.inference_models().iter().map(|model| model.variants.len()).sum();
    let mut text = format!(
        "catalogue: {} device kinds, {} models to train, {} model families with {variants} variants to serve\n",
        catalog.devices().len(),
        catalog.training_models().len(),
        catalog.inference_models().len(),
    );
    text += &share("training", catalog.training_cells());
    text += &share("inference", catalog.inference_cells());
    text +=
        "\nA figure is measured (or published by the vendor) unless it is marked: ' scaled, ~ estimated.\n";
    text += &devices(catalog);
    text += &training(catalog);
    text += &variants_table(catalog);
    text += "\nSpeeds below: what the cells of a model on one device are (m measured, s scaled, e estimated), and their\n\
             batches; r a roofline estimate only, on request; . nothing. After / the batch that is known not to run.\n";
    text += &training_coverage(catalog);
    text += &gangs(catalog);
    text += &inference_coverage(catalog);
    text + &sources(catalog)
}

/// How many cells of a table are what.
fn share<'a>(table: &str, cells: impl Iterator<Item = &'a Cell>) -> String {
    let mut counts = [0_usize; 3];
    for cell in cells {
        counts[cell.provenance as usize] += 1;
    }
    let total: usize = counts.iter().sum();
    let percent = counts.map(|count| 100.0 * count as f64 / total as f64);
    let [m, s, e] = [0, 1, 2].map(|at| format!("{} ({:.0} %)", counts[at], percent[at]));
    format!("  {table:<10} {total:>4} cells: {m} measured, {s} scaled, {e} estimated\n")
}

/// A figure with the mark of its provenance; a dash where it is 0 and nothing else.
fn figure(catalog: &Catalog, sources: &Sources, (key, value): (&'static str, f64)) -> String {
    let mark = match catalog.provenance(sources, key) {
        Provenance::Measured => ' ',
        Provenance::Scaled => '\'',
        Provenance::Estimated => '~',
    };
    if value == 0.0 { "- ".to_owned() } else { format!("{}{mark}", number(value)) }
}

/// Four significant digits at most, without trailing zeros.
fn number(value: f64) -> String {
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn class(class: DeviceClass) -> &'static str {
    match class {
        DeviceClass::Cpu => "cpu",
        DeviceClass::Gpu => "gpu",
        DeviceClass::Tpu => "tpu",
    }
}

fn precision(precision: Precision) -> &'static str {
    match precision {
        Precision::Fp32 => "fp32",
        Precision::Fp16 => "fp16",
        Precision::Int8 => "int8",
    }
}

fn devices(catalog: &Catalog) -> String {
    let mut table = Columns::new(
        &[
            "device", "class", "memory", "bandw.", "fp32", "fp16", "int8", "link", "idle", "busy", "price",
            "source",
        ],
        &[Side::Left, Side::Left],
    );
    table.row(
        ["", "", "GiB", "GB/s", "Tflop/s", "Tflop/s", "Top/s", "GB/s", "W", "W", "$/h", ""].map(Into::into),
    );
    for device in catalog.devices() {
        let figures = device.figures().map(|pair| figure(catalog, &device.sources, pair));
        let source = device.sources.of("").to_owned();
        let names = [device.name.clone(), class(device.class).to_owned()];
        table.row(names.into_iter().chain(figures).chain([source]));
    }
    format!("\ndevices\n{}", table.left_last().page())
}

fn training(catalog: &Catalog) -> String {
    let mut table = Columns::new(
        &[
            "model to train",
            "domain",
            "type",
            "weights",
            "dense",
            "work",
            "activ.",
            "states",
            "noise",
            "start",
            "cores",
            "checkp.",
            "source",
        ],
        &[Side::Left, Side::Left, Side::Left],
    );
    table.row(
        ["", "", "", "MiB", "MiB", "Gflop", "MiB", "", "samples", "s", "", "MiB", "of weights"]
            .map(Into::into),
    );
    for model in catalog.training_models() {
        table.row(training_row(catalog, model));
    }
    format!("\nmodels to train (work and activations of one sample)\n{}", table.left_last().page())
}

fn training_row(catalog: &Catalog, model: &TrainingModel) -> Vec<String> {
    let mut row = vec![model.name.clone(), domain(model.domain), precision(model.precision).to_owned()];
    row.extend(model.figures().map(|pair| figure(catalog, &model.sources, pair)));
    row.push(number(model.checkpoint_bytes() as f64 / 1024.0 / 1024.0));
    row.push(model.sources.of("weights_mib").to_owned());
    row
}

fn domain(domain: impl std::fmt::Debug) -> String {
    format!("{domain:?}").to_lowercase()
}

fn variants_table(catalog: &Catalog) -> String {
    let mut table = Columns::new(
        &["model to serve", "variant", "domain", "type", "weights", "accuracy", "work", "activ.", "source"],
        &[Side::Left, Side::Left, Side::Left, Side::Left],
    );
    table.row(["", "", "", "", "MiB", "relative", "Gflop", "MiB", "of weights"].map(Into::into));
    for family in catalog.inference_models() {
        for (at, variant) in family.variants.iter().enumerate() {
            let name = if at == 0 { family.name.clone() } else { String::new() };
            let mut row = vec![name, variant.name.clone(), domain(family.domain)];
            row.push(precision(variant.precision).to_owned());
            row.extend(variant.figures().map(|pair| figure(catalog, &variant.sources, pair)));
            row.push(variant.sources.of("weights_mib").to_owned());
            table.row(row);
        }
    }
    format!("\nmodels to serve (the first variant is the reference)\n{}", table.left_last().page())
}

/// The kinds that run models, in pages of a matrix.
fn pages(catalog: &Catalog) -> Vec<Vec<KindId>> {
    let kinds: Vec<KindId> = (0..catalog.devices().len() as u16).map(KindId).collect();
    let runs = |kind: &KindId| catalog.device(*kind).peak(Precision::Int8).is_some();
    let kinds: Vec<KindId> = kinds.into_iter().filter(runs).collect();
    kinds.chunks(ACROSS).map(<[KindId]>::to_vec).collect()
}

/// A matrix of rows by device kinds; a row without any cell on a page is left out there.
fn matrix(
    catalog: &Catalog,
    title: &str,
    rows: &[String],
    entry: impl Fn(usize, KindId) -> String,
) -> String {
    let mut text = String::new();
    for page in pages(catalog) {
        let mut header = vec![title];
        header.extend(page.iter().map(|kind| catalog.device(*kind).name.as_str()));
        let mut table = Columns::new(&header, &[Side::Left; ACROSS + 1]);
        for (at, name) in rows.iter().enumerate() {
            table.row([name.clone()].into_iter().chain(page.iter().map(|kind| entry(at, *kind))));
        }
        let _ = write!(text, "\n{}", table.page());
    }
    text
}

fn training_coverage(catalog: &Catalog) -> String {
    let rows: Vec<String> = catalog.training_models().iter().map(|model| model.name.clone()).collect();
    matrix(catalog, "to train", &rows, |at, kind| {
        let model = TrainingId(at as u16);
        let estimate = || catalog.estimate_training_speed(model, kind, 1, 1).map(|estimate| estimate.method);
        known(catalog.training_coverage(model, kind, 1), estimate)
    })
}

fn inference_coverage(catalog: &Catalog) -> String {
    let of_family = |(model, at): (InferenceId, usize)| {
        let family = catalog.inference_model(model);
        (model, at as u16, format!("{}/{}", family.name, family.variants[at].name))
    };
    let variants: Vec<(InferenceId, u16, String)> = (0..)
        .map(InferenceId)
        .zip(catalog.inference_models())
        .flat_map(|(model, family)| (0..family.variants.len()).map(move |at| (model, at)))
        .map(of_family)
        .collect();
    let rows: Vec<String> = variants.iter().map(|(_, _, name)| name.clone()).collect();
    matrix(catalog, "to serve", &rows, |at, kind| {
        let (model, variant, _) = variants[at];
        let estimate = || catalog.estimate_latency(model, variant, kind, 1).map(|estimate| estimate.method);
        known(catalog.inference_coverage(model, variant, kind), estimate)
    })
}

/// An entry of a matrix.
fn known(coverage: Option<Coverage>, estimate: impl Fn() -> Option<Method>) -> String {
    let Some(Coverage { provenances, batches: (low, high), cliff, .. }) = coverage else {
        return if estimate() == Some(Method::Roofline) { "r" } else { "." }.to_owned();
    };
    let letters: String = provenances.into_iter().map(letter).collect();
    let high = if low == high { String::new() } else { format!("-{}", short(high)) };
    format!("{letters} {}{high}{}", short(low), beyond(cliff))
}

/// The batch that does not run, after a stroke.
fn beyond(cliff: Option<u32>) -> String {
    cliff.map(|batch| format!("/{}", short(batch))).unwrap_or_default()
}

fn letter(provenance: Provenance) -> char {
    match provenance {
        Provenance::Measured => 'm',
        Provenance::Scaled => 's',
        Provenance::Estimated => 'e',
    }
}

/// A batch in at most four characters: `64k` is 65536, `1M` 1048576.
fn short(batch: u32) -> String {
    match batch {
        ..10_000 => batch.to_string(),
        10_000..1_000_000 => format!("{}k", batch / 1024),
        _ => format!("{}M", batch / 1024 / 1024),
    }
}

/// Gangs of more than one device that were measured, model by model.
fn gangs(catalog: &Catalog) -> String {
    let mut text = "\ngangs in the table\n".to_owned();
    for (model, figures) in (0..).map(TrainingId).zip(catalog.training_models()) {
        let of_kind = |kind: KindId| {
            let size = |gang: u32| {
                let cliff = catalog.training_coverage(model, kind, gang)?.cliff;
                Some(format!("{gang}{}", beyond(cliff)))
            };
            let sizes: Vec<String> = (2..=LARGEST_GANG).filter_map(size).collect();
            let name = &catalog.device(kind).name;
            (!sizes.is_empty()).then(|| format!("{name} {}", sizes.join(",")))
        };
        let kinds: Vec<String> =
            (0..catalog.devices().len() as u16).map(KindId).filter_map(of_kind).collect();
        if !kinds.is_empty() {
            let _ = writeln!(text, "  {:<16} {}", figures.name, kinds.join("; "));
        }
    }
    text
}

fn sources(catalog: &Catalog) -> String {
    let mut text = "\nsources\n".to_owned();
    for source in catalog.sources() {
        let provenance = format!("{:?}", source.provenance).to_lowercase();
        let _ = writeln!(text, "  {} ({provenance}; {})", source.id, source.licence);
        text += &wrapped(&source.citation, PAGE, 6);
        text += &wrapped(&source.derivation, PAGE, 6);
    }
    text
}
