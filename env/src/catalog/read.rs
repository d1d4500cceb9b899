//! From text to a catalogue in which every name is defined and every number makes sense.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::TrainingModel;
use super::table::Table;
use super::{
    Catalog, CatalogError, CatalogText, Cell, Device, DeviceClass, InferenceModel, Provenance, Source,
};
use crate::suggest::suggestion;
use crate::units::KindId;

const DEVICES: &str = "devices.toml";
const MODELS: &str = "models.toml";
const SOURCES: &str = "sources.toml";
const MIB: f64 = 1024.0 * 1024.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDevices {
    device: Vec<RawDevice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDevice {
    name: String,
    description: String,
    class: DeviceClass,
    memory_gib: f64,
    idle_w: f64,
    busy_w: f64,
    price_per_hour: f64,
    source: String,
    #[serde(default)]
    estimated: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModels {
    #[serde(default)]
    training: Vec<RawModel>,
    #[serde(default)]
    inference: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    name: String,
    description: String,
    weights_mib: f64,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    citation: String,
    licence: String,
    derivation: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCell {
    model: String,
    device: String,
    gang: u32,
    batch: u32,
    #[serde(alias = "samples_per_s", alias = "latency_us")]
    value: f64,
    provenance: Provenance,
    source: String,
}

pub(super) fn catalog(text: CatalogText<'_>) -> Result<Catalog, CatalogError> {
    let mut catalog = Catalog { sources: sources(text.sources)?, ..Catalog::default() };
    for raw in from_toml::<RawDevices>(DEVICES, text.devices)?.device {
        let device = device(raw, &catalog)?;
        catalog.devices.push(device);
    }
    unique(DEVICES, "device", catalog.devices.iter().map(|device| device.name.as_str()))?;
    models(from_toml(MODELS, text.models)?, &mut catalog)?;
    let training: Vec<&str> = catalog.training.iter().map(|model| model.name.as_str()).collect();
    let inference: Vec<&str> = catalog.inference.iter().map(|model| model.name.as_str()).collect();
    let speeds = table("training.csv", text.training, &training, &catalog)?;
    let latencies = table("inference.csv", text.inference, &inference, &catalog)?;
    if let Some(cell) = latencies.cells().find(|cell| cell.gang != 1 || cell.value <= 0.0) {
        let place = format!("a cell of `{}`", inference[usize::from(cell.model)]);
        let value = format!("gang {}, latency {} us", cell.gang, cell.value);
        return Err(bad("inference.csv", "cell", value, place, "of gang 1 and with a latency above 0"));
    }
    Ok(Catalog { speeds, latencies, ..catalog })
}

fn from_toml<T: DeserializeOwned>(file: &'static str, text: &str) -> Result<T, CatalogError> {
    toml::from_str(text).map_err(|error| CatalogError::Malformed { file, message: error.to_string() })
}

fn sources(text: &str) -> Result<Vec<Source>, CatalogError> {
    let raw: BTreeMap<String, RawSource> = from_toml(SOURCES, text)?;
    let source = |(id, raw): (String, RawSource)| {
        let RawSource { citation, licence, derivation } = raw;
        Source { id, citation, licence, derivation }
    };
    Ok(raw.into_iter().map(source).collect())
}

fn device(raw: RawDevice, catalog: &Catalog) -> Result<Device, CatalogError> {
    let place = || format!("device `{}`", raw.name);
    check_source(DEVICES, &raw.source, place(), catalog)?;
    let figures = [
        ("memory_gib", raw.memory_gib),
        ("idle_w", raw.idle_w),
        ("busy_w", raw.busy_w),
        ("price_per_hour", raw.price_per_hour),
    ];
    for (key, value) in figures {
        if !(value.is_finite() && value >= 0.0) {
            return Err(bad(DEVICES, key, value.to_string(), place(), "a number from 0"));
        }
    }
    if raw.busy_w < raw.idle_w {
        return Err(bad(DEVICES, "busy_w", raw.busy_w.to_string(), place(), "at least idle_w"));
    }
    if let Some(name) = raw.estimated.iter().find(|name| figures.iter().all(|(key, _)| key != name)) {
        let keys = figures.map(|(key, _)| key);
        return Err(unknown(DEVICES, "figure", name, place(), keys));
    }
    Ok(Device {
        name: raw.name,
        description: raw.description,
        class: raw.class,
        memory_bytes: (raw.memory_gib * MIB * 1024.0) as u64,
        idle_w: raw.idle_w,
        busy_w: raw.busy_w,
        price_per_hour: raw.price_per_hour,
        source: raw.source,
        estimated: raw.estimated,
    })
}

fn models(raw: RawModels, catalog: &mut Catalog) -> Result<(), CatalogError> {
    for model in raw.training.iter().chain(&raw.inference) {
        let place = || format!("model `{}`", model.name);
        check_source(MODELS, &model.source, place(), catalog)?;
        if !(model.weights_mib.is_finite() && model.weights_mib > 0.0) {
            return Err(bad(
                MODELS,
                "weights_mib",
                model.weights_mib.to_string(),
                place(),
                "a number above 0",
            ));
        }
    }
    unique(MODELS, "training model", raw.training.iter().map(|model| model.name.as_str()))?;
    unique(MODELS, "inference model", raw.inference.iter().map(|model| model.name.as_str()))?;
    let bytes = |mib: f64| (mib * MIB) as u64;
    let training = |RawModel { name, description, weights_mib, source }: RawModel| TrainingModel {
        name,
        description,
        weights_bytes: bytes(weights_mib),
        source,
    };
    let inference = |RawModel { name, description, weights_mib, source }: RawModel| InferenceModel {
        name,
        description,
        weights_bytes: bytes(weights_mib),
        source,
    };
    catalog.training = raw.training.into_iter().map(training).collect();
    catalog.inference = raw.inference.into_iter().map(inference).collect();
    Ok(())
}

fn table(file: &'static str, text: &str, models: &[&str], catalog: &Catalog) -> Result<Table, CatalogError> {
    let mut table = Table::default();
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    for (at, raw) in reader.deserialize::<RawCell>().enumerate() {
        let raw = raw.map_err(|error| CatalogError::Malformed { file, message: error.to_string() })?;
        let place = format!("line {}", at + 2);
        let cell = cell(file, raw, &place, models, catalog)?;
        if let Err(cell) = table.insert(cell) {
            let name = format!(
                "{} at gang {}, batch {} ({place})",
                models[usize::from(cell.model)],
                cell.gang,
                cell.batch
            );
            return Err(CatalogError::Duplicate { file, what: "cell", name });
        }
    }
    Ok(table)
}

fn cell(
    file: &'static str,
    raw: RawCell,
    place: &str,
    models: &[&str],
    catalog: &Catalog,
) -> Result<Cell, CatalogError> {
    check_source(file, &raw.source, place.into(), catalog)?;
    let model = models.iter().position(|name| *name == raw.model);
    let model =
        model.ok_or_else(|| unknown(file, "model", &raw.model, place.into(), models.iter().copied()))?;
    let names = catalog.devices.iter().map(|device| device.name.as_str());
    let kind = catalog.kind(&raw.device);
    let kind: KindId = kind.ok_or_else(|| unknown(file, "device", &raw.device, place.into(), names))?;
    if raw.gang == 0 || raw.batch == 0 {
        let value = format!("gang {}, batch {}", raw.gang, raw.batch);
        return Err(bad(file, "cell", value, place.into(), "of gang and batch above 0"));
    }
    if !(raw.value.is_finite() && raw.value >= 0.0) {
        return Err(bad(file, "value", raw.value.to_string(), place.into(), "a number from 0"));
    }
    let RawCell { gang, batch, value, provenance, source, .. } = raw;
    Ok(Cell { model: model as u16, kind, gang, batch, value, provenance, source })
}

fn check_source(file: &'static str, id: &str, place: String, catalog: &Catalog) -> Result<(), CatalogError> {
    let ids = catalog.sources.iter().map(|source| source.id.as_str());
    catalog.source(id).map(|_| ()).ok_or_else(|| unknown(file, "source", id, place, ids))
}

fn unique<'a>(
    file: &'static str,
    what: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), CatalogError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(CatalogError::Duplicate { file, what, name: name.into() });
        }
    }
    Ok(())
}

fn unknown<'a>(
    file: &'static str,
    what: &'static str,
    name: &str,
    place: String,
    valid: impl IntoIterator<Item = &'a str>,
) -> CatalogError {
    CatalogError::Unknown { file, what, name: name.into(), place, suggestion: suggestion(name, valid) }
}

fn bad(
    file: &'static str,
    key: &'static str,
    value: String,
    place: String,
    must: &'static str,
) -> CatalogError {
    CatalogError::BadValue { file, key, value, place, must }
}
