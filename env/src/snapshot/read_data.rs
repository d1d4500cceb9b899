//! Where data is and what is loaded, from what a text says.

use std::sync::Arc;

use super::SnapshotError;
use super::read::Reader;
use super::state::{DataState, LoadState, LoadedState, TransferState};
use crate::data::{Cached, DataPlane, DeviceId, DeviceState, Holding, Model, Moving, Picture, Source};
use crate::loads::Loads;
use crate::units::{NodeId, Time};
use crate::view::Running;

/// Where data is, if that matters.
pub(super) fn data(reader: &Reader<'_>) -> Result<Option<DataPlane>, SnapshotError> {
    let now = Time(reader.state.now_ns);
    match (reader.site.data(), &reader.state.data) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(SnapshotError::range("data", "given", "absent, as the cluster has none")),
        (Some(spec), None) => Ok(Some(DataPlane::new(Arc::clone(spec)))),
        (Some(spec), Some(state)) => {
            let picture = picture(reader, state)?;
            let plane = DataPlane::of_picture(Arc::clone(spec), now, &picture);
            plane.map(Some).map_err(|why| SnapshotError::range("data", why, "consistent"))
        }
    }
}

fn picture(reader: &Reader<'_>, state: &DataState) -> Result<Picture, SnapshotError> {
    let site = reader.site;
    let artefact = |name: &str| site.artefact(name, || "an artefact in data".into());
    let node = |name: &str| site.node(name, || "a machine in data".into());
    let mut caches = vec![Vec::new(); site.cluster().nodes().len()];
    for (name, cache) in &state.caches {
        let cached = |cached: &super::CachedState| {
            Ok(Cached { artefact: artefact(&cached.artefact)?, present: !cached.coming })
        };
        caches[node(name)?.index()] = cache.iter().map(cached).collect::<Result<_, SnapshotError>>()?;
    }
    let moving = |transfer: &TransferState| {
        Ok(Moving {
            node: node(&transfer.to)?,
            artefact: artefact(&transfer.artefact)?,
            source: transfer
                .from
                .as_deref()
                .map_or(Ok(Source::Storage), |name| node(name).map(Source::Replica))?,
            compressed: transfer.compressed,
            kept: transfer.kept,
            waiters: transfer.waiters.clone(),
            starts: Time(transfer.starts_ns),
            since: Time(transfer.since_ns),
            left_bytes: transfer.left_bytes,
            bytes_per_s: transfer.bytes_per_s,
            finish: Time(transfer.finish_ns),
        })
    };
    let holding = |run: &super::HoldingState| {
        let hold = |(name, id): &(String, String)| Ok((node(name)?, artefact(id)?));
        let holds = run.holds.iter().map(hold).collect::<Result<_, SnapshotError>>()?;
        Ok(Holding { tag: run.run, pending: run.pending, holds })
    };
    Ok(Picture {
        caches,
        transfers: state.transfers.iter().map(moving).collect::<Result<_, SnapshotError>>()?,
        runs: state.runs.iter().map(holding).collect::<Result<_, SnapshotError>>()?,
    })
}

/// What is loaded, if that matters. What runs on each machine must be what its devices are busy with.
pub(super) fn loads(reader: &Reader<'_>, running: &[Running]) -> Result<Option<Loads>, SnapshotError> {
    let Some(empty) = reader.site.loads() else {
        return match reader.state.loads.is_empty() {
            true => Ok(None),
            false => Err(SnapshotError::range("loads", "given", "absent, as the cluster has none")),
        };
    };
    let mut residency = empty.residency().clone();
    for (name, devices) in &reader.state.loads {
        let node = reader.site.node(name, || "a machine in loads".into())?;
        for (at, state) in devices.iter().enumerate() {
            let device = DeviceId { node, device: at as u32 };
            if !residency.set(device, &device_state(reader, empty, state)?) {
                let must =
                    "a device of the machine, with no more than it has room for, and at work only if busy";
                return Err(SnapshotError::range(format!("loads.{name}[{at}]"), format!("{state:?}"), must));
            }
        }
    }
    for (at, node) in reader.site.cluster().nodes().iter().enumerate() {
        let id = NodeId(at as u32);
        let shares = running.iter().flat_map(|run| &run.nodes).filter(|share| share.node == id);
        let used: u32 = shares.map(|share| share.devices).sum();
        let busy = node.devices - residency.idle(id);
        if used != busy {
            let must = format!("{used}, as many as running says");
            return Err(SnapshotError::range(
                format!("number of busy devices in loads.{}", node.name),
                busy,
                must,
            ));
        }
    }
    Ok(Some(empty.with_residency(residency)))
}

fn device_state(reader: &Reader<'_>, loads: &Loads, state: &LoadState) -> Result<DeviceState, SnapshotError> {
    let model = |loaded: &LoadedState| -> Result<Model, SnapshotError> {
        let stream = reader.site.stream(&loaded.model, || "a model in loads".into())?;
        Ok(loads.model(reader.site.timing().latencies()[stream].model, loaded.variant))
    };
    Ok(DeviceState {
        models: state.models.iter().map(model).collect::<Result<_, _>>()?,
        busy: state.busy,
        runs: state.runs.as_ref().map(model).transpose()?.map(|model| model.key),
        working_bytes: state.working_bytes,
        used: state.used,
    })
}
