//! The catalogue as JSON: every figure with its unit in its key, its source and its provenance.

use serde_json::{Map, Value, json};
use yardmaster_env::catalog::{Catalog, Cell, Device, InferenceModel, Source, Sources, TrainingModel};
use yardmaster_env::units::{InferenceId, TrainingId};

/// The whole catalogue.
pub(crate) fn json(catalog: &Catalog) -> Value {
    json!({
        "devices": list(catalog.devices().iter().map(|device| device_entry(catalog, device))),
        "training": list(catalog.training_models().iter().map(|model| training(catalog, model))),
        "inference": list(catalog.inference_models().iter().map(|model| inference(catalog, model))),
        "training_cells": list(catalog.training_cells().map(|cell| training_cell(catalog, cell))),
        "inference_cells": list(catalog.inference_cells().map(|cell| inference_cell(catalog, cell))),
        "sources": list(catalog.sources().iter().map(source)),
    })
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    values.collect::<Vec<_>>().into()
}

/// Figures by name.
fn figures(
    catalog: &Catalog,
    sources: &Sources,
    figures: impl Iterator<Item = (&'static str, f64)>,
) -> Map<String, Value> {
    let entry = |(key, value): (&str, f64)| {
        let provenance = catalog.provenance(sources, key);
        (key.to_owned(), json!({ "value": value, "provenance": provenance, "source": sources.of(key) }))
    };
    figures.map(entry).collect()
}

fn device_entry(catalog: &Catalog, device: &Device) -> Value {
    json!({
        "name": device.name,
        "description": device.description,
        "class": device.class,
        "figures": figures(catalog, &device.sources, device.figures()),
    })
}

fn training(catalog: &Catalog, model: &TrainingModel) -> Value {
    json!({
        "name": model.name,
        "description": model.description,
        "domain": model.domain,
        "precision": model.precision,
        "default_mix": model.default_mix,
        "checkpoint_bytes": model.checkpoint_bytes(),
        "figures": figures(catalog, &model.sources, model.figures()),
    })
}

fn inference(catalog: &Catalog, model: &InferenceModel) -> Value {
    let variants = model.variants.iter().map(|variant| {
        json!({
            "name": variant.name,
            "precision": variant.precision,
            "figures": figures(catalog, &variant.sources, variant.figures()),
        })
    });
    json!({
        "name": model.name,
        "description": model.description,
        "domain": model.domain,
        "variants": list(variants),
    })
}

fn training_cell(catalog: &Catalog, cell: &Cell) -> Value {
    json!({
        "model": catalog.training_model(TrainingId(cell.model)).name,
        "device": catalog.device(cell.kind).name,
        "gang": cell.gang,
        "batch": cell.batch,
        "samples_per_s": cell.value,
        "provenance": cell.provenance,
        "source": cell.source,
    })
}

fn inference_cell(catalog: &Catalog, cell: &Cell) -> Value {
    let family = catalog.inference_model(InferenceId(cell.model));
    json!({
        "model": family.name,
        "variant": family.variants[usize::from(cell.variant)].name,
        "device": catalog.device(cell.kind).name,
        "batch": cell.batch,
        "latency_us": cell.value,
        "provenance": cell.provenance,
        "source": cell.source,
    })
}

fn source(source: &Source) -> Value {
    json!({
        "id": source.id,
        "citation": source.citation,
        "licence": source.licence,
        "provenance": source.provenance,
        "derivation": source.derivation,
    })
}
