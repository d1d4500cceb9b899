//! Device kinds.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Entry, GIGA, MIB, from_toml, unique};
use crate::catalog::{Catalog, CatalogError, Device, DeviceClass, Peaks};

const FILE: &str = "devices.toml";
const TERA: f64 = 1e12;

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
    memory_gb_per_s: f64,
    fp32_tflops: f64,
    fp16_tflops: f64,
    int8_tops: f64,
    link_gb_per_s: f64,
    idle_w: f64,
    busy_w: f64,
    price_per_hour: f64,
    source: String,
    #[serde(default)]
    sources: BTreeMap<String, Vec<String>>,
}

pub(super) fn devices(text: &str, catalog: &Catalog) -> Result<Vec<Device>, CatalogError> {
    let raw = from_toml::<RawDevices>(FILE, text)?.device;
    let devices = raw.into_iter().map(|raw| device(raw, catalog)).collect::<Result<Vec<_>, _>>()?;
    unique(FILE, "device", devices.iter().map(|device| device.name.as_str()))?;
    Ok(devices)
}

fn device(raw: RawDevice, catalog: &Catalog) -> Result<Device, CatalogError> {
    let entry = Entry { file: FILE, what: "device", name: &raw.name };
    let figure = |key, value| entry.not_negative(key, value);
    entry.require("busy_w", raw.busy_w, raw.busy_w >= raw.idle_w, "at least idle_w")?;
    Ok(Device {
        memory_bytes: (figure("memory_gib", raw.memory_gib)? * MIB * 1024.0) as u64,
        memory_bytes_per_s: figure("memory_gb_per_s", raw.memory_gb_per_s)? * GIGA,
        peaks: Peaks {
            fp32: figure("fp32_tflops", raw.fp32_tflops)? * TERA,
            fp16: figure("fp16_tflops", raw.fp16_tflops)? * TERA,
            int8: figure("int8_tops", raw.int8_tops)? * TERA,
        },
        link_bytes_per_s: figure("link_gb_per_s", raw.link_gb_per_s)? * GIGA,
        idle_w: figure("idle_w", raw.idle_w)?,
        busy_w: figure("busy_w", raw.busy_w)?,
        price_per_hour: figure("price_per_hour", raw.price_per_hour)?,
        sources: entry.sources(raw.source, raw.sources, &Device::FIGURES, catalog)?,
        name: raw.name.clone(),
        description: raw.description,
        class: raw.class,
    })
}
