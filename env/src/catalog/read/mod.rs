//! From text to a catalogue in which every name is defined and every number makes sense.

mod cells;
mod devices;
mod models;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Catalog, CatalogError, CatalogText, Provenance, Source, Sources};
use crate::suggest::suggestion;

const SOURCES: &str = "sources.toml";
const MIB: f64 = 1024.0 * 1024.0;
const GIGA: f64 = 1e9;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    citation: String,
    licence: String,
    provenance: Provenance,
    derivation: String,
}

pub(super) fn catalog(text: CatalogText<'_>) -> Result<Catalog, CatalogError> {
    let mut catalog = Catalog { sources: sources(text.sources)?, ..Catalog::default() };
    catalog.devices = devices::devices(text.devices, &catalog)?;
    (catalog.training, catalog.inference) = models::models(text.models, &catalog)?;
    catalog.speeds = cells::speeds(text.training, &catalog)?;
    catalog.latencies = cells::latencies(text.inference, &catalog)?;
    Ok(catalog)
}

fn sources(text: &str) -> Result<Vec<Source>, CatalogError> {
    let raw: BTreeMap<String, RawSource> = from_toml(SOURCES, text)?;
    let source = |(id, raw): (String, RawSource)| {
        let RawSource { citation, licence, provenance, derivation } = raw;
        Source { id, citation, licence, provenance, derivation }
    };
    Ok(raw.into_iter().map(source).collect())
}

fn from_toml<T: DeserializeOwned>(file: &'static str, text: &str) -> Result<T, CatalogError> {
    toml::from_str(text).map_err(|error| CatalogError::Malformed { file, message: error.to_string() })
}

/// An entry of a file, for what is wrong with it.
#[derive(Clone, Copy)]
struct Entry<'a> {
    file: &'static str,
    what: &'static str,
    name: &'a str,
}

impl Entry<'_> {
    fn place(&self) -> String {
        format!("{} `{}`", self.what, self.name)
    }

    /// `value` if it is a number from 0.
    fn not_negative(&self, key: &'static str, value: f64) -> Result<f64, CatalogError> {
        self.require(key, value, value.is_finite() && value >= 0.0, "a number from 0")
    }

    /// `value` if it is a number above 0.
    fn positive(&self, key: &'static str, value: f64) -> Result<f64, CatalogError> {
        self.require(key, value, value.is_finite() && value > 0.0, "a number above 0")
    }

    fn require(
        &self,
        key: &'static str,
        value: f64,
        holds: bool,
        must: &'static str,
    ) -> Result<f64, CatalogError> {
        if holds { Ok(value) } else { Err(bad(self.file, key, value.to_string(), self.place(), must)) }
    }

    /// The sources of an entry: `usual`, and the figures that each other source gives.
    fn sources(
        &self,
        usual: String,
        others: BTreeMap<String, Vec<String>>,
        figures: &[&'static str],
        catalog: &Catalog,
    ) -> Result<Sources, CatalogError> {
        check_source(self.file, &usual, self.place(), catalog)?;
        let mut by_figure = BTreeMap::new();
        for (source, named) in others {
            check_source(self.file, &source, self.place(), catalog)?;
            for figure in named {
                if !figures.contains(&figure.as_str()) {
                    let valid = figures.iter().copied();
                    return Err(unknown(self.file, "figure", &figure, self.place(), valid));
                }
                if by_figure.insert(figure.clone(), source.clone()).is_some() {
                    let name = format!("{figure} (in {})", self.place());
                    return Err(CatalogError::Duplicate { file: self.file, what: "source of", name });
                }
            }
        }
        Ok(Sources::new(usual, by_figure))
    }
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
