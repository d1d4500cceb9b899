//! Models and their variants.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Entry, GIGA, MIB, from_toml, unique};
use crate::catalog::{Catalog, CatalogError, Domain, InferenceModel, Precision, TrainingModel, Variant};
use crate::units::Span;

const FILE: &str = "models.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModels {
    #[serde(default)]
    training: Vec<RawTraining>,
    #[serde(default)]
    inference: Vec<RawInference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTraining {
    name: String,
    description: String,
    domain: Domain,
    precision: Precision,
    weights_mib: f64,
    dense_mib: Option<f64>,
    gflop_per_sample: f64,
    activation_mib_per_sample: f64,
    optimiser_states: u32,
    noise_scale: f64,
    restart_s: f64,
    host_cores: u32,
    #[serde(default)]
    default_mix: bool,
    source: String,
    #[serde(default)]
    sources: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInference {
    name: String,
    description: String,
    domain: Domain,
    variants: Vec<RawVariant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVariant {
    name: String,
    precision: Precision,
    weights_mib: f64,
    accuracy: f64,
    gflop_per_sample: f64,
    activation_mib_per_sample: f64,
    source: String,
    #[serde(default)]
    sources: BTreeMap<String, Vec<String>>,
}

type Models = (Vec<TrainingModel>, Vec<InferenceModel>);

pub(super) fn models(text: &str, catalog: &Catalog) -> Result<Models, CatalogError> {
    let raw: RawModels = from_toml(FILE, text)?;
    let training: Vec<TrainingModel> =
        raw.training.into_iter().map(|raw| train(raw, catalog)).collect::<Result<_, _>>()?;
    let inference: Vec<InferenceModel> =
        raw.inference.into_iter().map(|raw| family(raw, catalog)).collect::<Result<_, _>>()?;
    unique(FILE, "training model", training.iter().map(|model| model.name.as_str()))?;
    unique(FILE, "inference model", inference.iter().map(|model| model.name.as_str()))?;
    Ok((training, inference))
}

fn bytes(mib: f64) -> u64 {
    (mib * MIB).round() as u64
}

fn train(raw: RawTraining, catalog: &Catalog) -> Result<TrainingModel, CatalogError> {
    let entry = Entry { file: FILE, what: "model", name: &raw.name };
    let figure = |key, value| entry.positive(key, value);
    let dense_mib = raw.dense_mib.unwrap_or(raw.weights_mib);
    entry.require("dense_mib", dense_mib, dense_mib <= raw.weights_mib, "at most weights_mib")?;
    Ok(TrainingModel {
        weights_bytes: bytes(figure("weights_mib", raw.weights_mib)?),
        dense_bytes: bytes(entry.not_negative("dense_mib", dense_mib)?),
        flop_per_sample: figure("gflop_per_sample", raw.gflop_per_sample)? * GIGA,
        activation_bytes_per_sample: bytes(figure(
            "activation_mib_per_sample",
            raw.activation_mib_per_sample,
        )?),
        optimiser_states: raw.optimiser_states,
        noise_scale: figure("noise_scale", raw.noise_scale)?,
        restart: Span::from_secs_f64(entry.not_negative("restart_s", raw.restart_s)?),
        host_cores: raw.host_cores,
        default_mix: raw.default_mix,
        sources: entry.sources(raw.source, raw.sources, &TrainingModel::FIGURES, catalog)?,
        name: raw.name.clone(),
        description: raw.description,
        domain: raw.domain,
        precision: raw.precision,
    })
}

fn family(raw: RawInference, catalog: &Catalog) -> Result<InferenceModel, CatalogError> {
    let RawInference { name, description, domain, variants: raw } = raw;
    let entry = Entry { file: FILE, what: "model", name: &name };
    entry.require("variants", raw.len() as f64, !raw.is_empty(), "one or more")?;
    let variants: Vec<Variant> =
        raw.into_iter().map(|raw| variant(&name, raw, catalog)).collect::<Result<_, _>>()?;
    unique(FILE, "variant", variants.iter().map(|variant| variant.name.as_str()))?;
    let accuracy = variants[0].accuracy;
    entry.require("accuracy", accuracy, accuracy == 1.0, "1 for the first variant, the reference")?;
    Ok(InferenceModel { name, description, domain, variants })
}

fn variant(family: &str, raw: RawVariant, catalog: &Catalog) -> Result<Variant, CatalogError> {
    let full = format!("{family}/{}", raw.name);
    let entry = Entry { file: FILE, what: "variant", name: &full };
    let figure = |key, value| entry.positive(key, value);
    entry.require("accuracy", raw.accuracy, raw.accuracy <= 1.0, "at most 1, that of the reference")?;
    Ok(Variant {
        weights_bytes: bytes(figure("weights_mib", raw.weights_mib)?),
        accuracy: figure("accuracy", raw.accuracy)?,
        flop_per_sample: figure("gflop_per_sample", raw.gflop_per_sample)? * GIGA,
        activation_bytes_per_sample: bytes(figure(
            "activation_mib_per_sample",
            raw.activation_mib_per_sample,
        )?),
        sources: entry.sources(raw.source, raw.sources, &Variant::FIGURES, catalog)?,
        name: raw.name,
        precision: raw.precision,
    })
}
