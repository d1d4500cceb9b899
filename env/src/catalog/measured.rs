//! Speeds that somebody has measured on machines of their own, as a scenario file brings them along.
//!
//! They stand after everything else in a catalogue, so that the ids of what was there before stay as they are.

use serde::{Deserialize, Serialize};

use super::{
    Catalog, Cell, Device, DeviceClass, Domain, InferenceModel, Peaks, Precision, Provenance, Source,
    Sources, Variant,
};
use crate::units::{InferenceId, KindId};

/// Id of the source that measured figures name.
pub const MEASURED: &str = "own-measurement";

/// `[measured]` of a scenario: device kinds, models and batch latencies that the catalogue does not have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// What was measured, when, with what.
    pub how: String,
    /// The device kinds.
    pub devices: Vec<MeasuredDevice>,
    /// The latencies.
    pub latencies: Vec<MeasuredLatency>,
}

/// A device kind that was measured. What it is not asked for is 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredDevice {
    /// A name that the catalogue does not have.
    pub name: String,
    /// What sort of processor it is.
    pub class: DeviceClass,
    /// Power when it has nothing to do, in watts.
    #[serde(default)]
    pub idle_w: f64,
    /// Power when it computes, in watts.
    #[serde(default)]
    pub busy_w: f64,
    /// Price of having it, in US dollars an hour.
    #[serde(default)]
    pub price_per_hour: f64,
}

/// How long one device takes to answer a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredLatency {
    /// The model: one of the catalogue, which is then served in its reference variant, or a new one.
    pub model: String,
    /// One of [`Measured::devices`].
    pub device: String,
    /// Requests that are answered together.
    pub batch: u32,
    /// Microseconds from the call to the answer.
    pub latency_us: f64,
}

/// What is wrong with measured speeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeasuredError {
    /// Ids are positions: a kind cannot be defined twice.
    #[error("[measured] names the device {name:?} a second time, or after one of the catalogue: rename it")]
    KnownDevice {
        /// Its name.
        name: String,
    },
    /// A latency on nothing.
    #[error("[measured] has a latency of {model:?} on {device:?}, which is not among its devices")]
    UnknownDevice {
        /// Of what.
        model: String,
        /// On what.
        device: String,
    },
    /// A number out of range.
    #[error("[measured] {what} is {value}, it must be {must}")]
    Range {
        /// Which number.
        what: String,
        /// What it is.
        value: String,
        /// What it may be.
        must: &'static str,
    },
    /// A batch given twice.
    #[error("[measured] has two latencies of {model:?} on {device:?} at batch {batch}: leave one out")]
    Twice {
        /// Of what.
        model: String,
        /// On what.
        device: String,
        /// At which batch.
        batch: u32,
    },
}

impl Catalog {
    /// This catalogue, and what was measured behind it. Every latency is [`Provenance::Measured`].
    ///
    /// # Errors
    /// Device names that are taken, latencies on other devices or given twice, numbers out of range.
    pub fn with_measured(&self, measured: &Measured) -> Result<Catalog, MeasuredError> {
        let mut catalog = self.clone();
        catalog.sources.push(Source {
            id: MEASURED.to_owned(),
            citation: measured.how.clone(),
            licence: "of whoever measured".to_owned(),
            provenance: Provenance::Measured,
            derivation: "taken as measured".to_owned(),
        });
        for device in &measured.devices {
            catalog.add_device(device)?;
        }
        for latency in &measured.latencies {
            catalog.add_latency(measured, latency)?;
        }
        Ok(catalog)
    }

    fn add_device(&mut self, measured: &MeasuredDevice) -> Result<(), MeasuredError> {
        let MeasuredDevice { name, class, idle_w, busy_w, price_per_hour } = measured.clone();
        if self.kind(&name).is_some() {
            return Err(MeasuredError::KnownDevice { name });
        }
        for (key, value) in [("idle_w", idle_w), ("busy_w", busy_w), ("price_per_hour", price_per_hour)] {
            require(format!("{key} of {name:?}"), value, value >= 0.0, "a number from 0")?;
        }
        self.devices.push(Device {
            description: format!("{name}, measured"),
            name,
            class,
            memory_bytes: 0,
            memory_bytes_per_s: 0.0,
            peaks: Peaks::default(),
            link_bytes_per_s: 0.0,
            idle_w,
            busy_w,
            price_per_hour,
            sources: Sources::new(MEASURED.to_owned(), std::collections::BTreeMap::new()),
        });
        Ok(())
    }

    fn add_latency(&mut self, all: &Measured, measured: &MeasuredLatency) -> Result<(), MeasuredError> {
        let MeasuredLatency { model, device, batch, latency_us } = measured;
        let what = |key: &str| format!("{key} of {model:?} on {device:?}");
        require(what("batch"), f64::from(*batch), *batch > 0, "at least 1")?;
        require(what("latency_us"), *latency_us, *latency_us > 0.0, "a number above 0")?;
        let own = all.devices.iter().any(|one| one.name == *device);
        let kind = self.kind(device).filter(|_| own);
        let kind = kind
            .ok_or_else(|| MeasuredError::UnknownDevice { model: model.clone(), device: device.clone() })?;
        let InferenceId(id) = self.inference(model).unwrap_or_else(|| self.add_model(model));
        let cell = Cell {
            model: id,
            variant: 0,
            kind,
            gang: 1,
            batch: *batch,
            value: *latency_us,
            provenance: Provenance::Measured,
            source: MEASURED.to_owned(),
        };
        let twice = |_| MeasuredError::Twice { model: model.clone(), device: device.clone(), batch: *batch };
        self.latencies.insert(cell).map_err(twice)
    }

    /// A model of which nothing is known but its speed.
    fn add_model(&mut self, name: &str) -> InferenceId {
        let variant = Variant {
            name: "measured".to_owned(),
            precision: Precision::Fp32,
            weights_bytes: 0,
            accuracy: 1.0,
            flop_per_sample: 0.0,
            activation_bytes_per_sample: 0,
            sources: Sources::new(MEASURED.to_owned(), std::collections::BTreeMap::new()),
        };
        self.inference.push(InferenceModel {
            name: name.to_owned(),
            description: format!("{name}, measured"),
            domain: Domain::Vision,
            variants: vec![variant],
        });
        InferenceId((self.inference.len() - 1) as u16)
    }

    /// The name of a device kind; of one of another catalogue only its number.
    pub fn kind_name(&self, kind: KindId) -> String {
        self.devices.get(kind.index()).map_or_else(|| format!("kind {}", kind.0), |known| known.name.clone())
    }

    /// The name of an inference model; of one of another catalogue only its number.
    pub fn inference_name(&self, model: InferenceId) -> String {
        let known = self.inference.get(model.index());
        known.map_or_else(|| format!("model {}", model.0), |known| known.name.clone())
    }
}

fn require(what: String, value: f64, holds: bool, must: &'static str) -> Result<(), MeasuredError> {
    if holds && value.is_finite() {
        Ok(())
    } else {
        Err(MeasuredError::Range { what, value: value.to_string(), must })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    fn measured() -> Measured {
        let latency = |model: &str, batch, latency_us| MeasuredLatency {
            model: model.into(),
            device: "desk".into(),
            batch,
            latency_us,
        };
        let device = MeasuredDevice {
            name: "desk".into(),
            class: DeviceClass::Cpu,
            idle_w: 5.0,
            busy_w: 20.0,
            price_per_hour: 0.0,
        };
        Measured {
            how: "by hand".into(),
            devices: vec![device],
            latencies: vec![
                latency("own", 1, 100.0),
                latency("own", 3, 200.0),
                latency("resnet50", 1, 5000.0),
            ],
        }
    }

    #[test]
    fn what_was_measured_stands_behind_what_was_known() {
        let builtin = Catalog::builtin();
        let catalog = builtin.with_measured(&measured()).unwrap();
        assert_eq!(catalog.devices()[..builtin.devices().len()], *builtin.devices());
        let (kind, own) = (catalog.kind("desk").unwrap(), catalog.inference("own").unwrap());
        assert_eq!(catalog.latency(own, kind, 2), Some(Span::from_micros(150)));
        assert_eq!(catalog.max_batch(own, kind), 3);
        assert_eq!(catalog.latency_provenance(own, kind, 2), Some(Provenance::Measured));
        let known = catalog.inference("resnet50").unwrap();
        assert_eq!(known, builtin.inference("resnet50").unwrap());
        assert_eq!(catalog.latency(known, kind, 1), Some(Span::from_micros(5000)));
        assert_eq!((catalog.kind_name(kind).as_str(), builtin.inference("own")), ("desk", None));
        assert_eq!(builtin.kind_name(kind), format!("kind {}", kind.0));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let refused = |change: fn(&mut Measured)| {
            let mut measured = measured();
            change(&mut measured);
            Catalog::builtin().with_measured(&measured).unwrap_err().to_string()
        };
        assert!(refused(|all| all.devices[0].name = "v100".into()).contains("\"v100\" a second time"));
        assert!(refused(|all| all.latencies[0].device = "t4".into()).contains("not among its devices"));
        assert!(refused(|all| all.latencies[1].batch = 1).contains("two latencies of \"own\""));
        assert!(
            refused(|all| all.latencies[0].latency_us = -1.0)
                .contains("latency_us of \"own\" on \"desk\" is -1")
        );
        assert!(refused(|all| all.devices[0].busy_w = f64::NAN).contains("busy_w of \"desk\" is NaN"));
    }
}
