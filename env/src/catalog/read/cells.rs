//! The tables of speeds.

use serde::Deserialize;

use super::{bad, check_source, unknown};
use crate::catalog::table::Table;
use crate::catalog::{Catalog, CatalogError, Cell, InferenceModel, Provenance};
use crate::units::{InferenceId, KindId, TrainingId};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpeed {
    model: String,
    device: String,
    gang: u32,
    batch: u32,
    samples_per_s: f64,
    provenance: Provenance,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLatency {
    model: String,
    #[serde(default)]
    variant: String,
    device: String,
    gang: u32,
    batch: u32,
    latency_us: f64,
    provenance: Provenance,
    source: String,
}

/// What both tables have, with the names still to be looked up.
struct Figure {
    model: u16,
    variant: u16,
    device: String,
    gang: u32,
    batch: u32,
    value: f64,
    provenance: Provenance,
    source: String,
}

/// A line of a file.
struct Line<'a> {
    file: &'static str,
    place: String,
    catalog: &'a Catalog,
}

const TRAINING: &str = "training.csv";
const INFERENCE: &str = "inference.csv";

/// Training speeds in samples per second; 0 where the model does not run.
pub(super) fn speeds(text: &str, catalog: &Catalog) -> Result<Table, CatalogError> {
    read(TRAINING, text, catalog, |raw: RawSpeed, line| {
        let RawSpeed { model, device, gang, batch, samples_per_s: value, provenance, source } = raw;
        let names = catalog.training.iter().map(|model| model.name.as_str());
        let TrainingId(model) =
            catalog.training(&model).ok_or_else(|| line.unknown("model", &model, names))?;
        line.cell(Figure { model, variant: 0, device, gang, batch, value, provenance, source })
    })
}

/// Latencies in microseconds; what does not run has no row.
pub(super) fn latencies(text: &str, catalog: &Catalog) -> Result<Table, CatalogError> {
    read(INFERENCE, text, catalog, |raw: RawLatency, line| {
        let RawLatency { model, variant, device, gang, batch, latency_us: value, provenance, source } = raw;
        let names = catalog.inference.iter().map(|model| model.name.as_str());
        let InferenceId(model) =
            catalog.inference(&model).ok_or_else(|| line.unknown("model", &model, names))?;
        let variant = line.variant(&catalog.inference[usize::from(model)], &variant)?;
        if gang != 1 || value <= 0.0 {
            let value = format!("gang {gang}, latency {value} us");
            return Err(line.bad("cell", value, "of gang 1 and with a latency above 0"));
        }
        line.cell(Figure { model, variant, device, gang, batch, value, provenance, source })
    })
}

fn read<R: for<'de> Deserialize<'de>>(
    file: &'static str,
    text: &str,
    catalog: &Catalog,
    cell: impl Fn(R, &Line<'_>) -> Result<Cell, CatalogError>,
) -> Result<Table, CatalogError> {
    let mut table = Table::default();
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    for (at, raw) in reader.deserialize::<R>().enumerate() {
        let raw = raw.map_err(|error| CatalogError::Malformed { file, message: error.to_string() })?;
        let line = Line { file, place: format!("line {}", at + 2), catalog };
        if let Err(cell) = table.insert(cell(raw, &line)?) {
            let kind = &catalog.device(cell.kind).name;
            let name = format!("{kind} at gang {}, batch {} ({})", cell.gang, cell.batch, line.place);
            return Err(CatalogError::Duplicate { file, what: "cell", name });
        }
    }
    Ok(table)
}

impl Line<'_> {
    /// Index of a variant; no name stands for the reference.
    fn variant(&self, family: &InferenceModel, name: &str) -> Result<u16, CatalogError> {
        let names = family.variants.iter().map(|variant| variant.name.as_str());
        match name {
            "" => Ok(0),
            _ => match names.clone().position(|known| known == name) {
                Some(at) => Ok(at as u16),
                None => Err(self.unknown("variant", name, names)),
            },
        }
    }

    fn cell(&self, figure: Figure) -> Result<Cell, CatalogError> {
        let Figure { model, variant, device, gang, batch, value, provenance, source } = figure;
        let kind = self.kind(&device)?;
        if gang == 0 || batch == 0 {
            let value = format!("gang {gang}, batch {batch}");
            return Err(self.bad("cell", value, "of gang and batch above 0"));
        }
        if !(value.is_finite() && value >= 0.0) {
            return Err(self.bad("value", value.to_string(), "a number from 0"));
        }
        self.check_provenance(&source, provenance)?;
        Ok(Cell { model, variant, kind, gang, batch, value, provenance, source })
    }

    fn kind(&self, device: &str) -> Result<KindId, CatalogError> {
        let names = self.catalog.devices.iter().map(|device| device.name.as_str());
        self.catalog.kind(device).ok_or_else(|| self.unknown("device", device, names))
    }

    /// A cell claims what its source says, and not more.
    fn check_provenance(&self, source: &str, claimed: Provenance) -> Result<(), CatalogError> {
        check_source(self.file, source, self.place.clone(), self.catalog)?;
        let said = self.catalog.source(source).map(|source| source.provenance);
        if said == Some(claimed) {
            return Ok(());
        }
        let value = format!("{claimed:?}").to_lowercase();
        Err(self.bad("provenance", value, "what sources.toml says of its source"))
    }

    fn unknown<'a>(
        &self,
        what: &'static str,
        name: &str,
        valid: impl IntoIterator<Item = &'a str>,
    ) -> CatalogError {
        unknown(self.file, what, name, self.place.clone(), valid)
    }

    fn bad(&self, key: &'static str, value: String, must: &'static str) -> CatalogError {
        bad(self.file, key, value, self.place.clone(), must)
    }
}
