//! What does not change of a view, told in names.

use std::collections::BTreeMap;

use super::FORMAT;
use super::spec::{
    ClusterSpec, FootprintSpec, KindSpec, MachineSpec, MemoryState, NetworkState, NodeNetwork, RulesSpec,
    ScalingSpec, StreamSpec, VariantSpec,
};
use crate::catalog::Catalog;
use crate::data::{DataSetup, Retention};
use crate::loads::Loads;
use crate::rules::{Restarts, Rules};
use crate::timing::{Latencies, Rows, Timing};
use crate::units::{InferenceId, KindId, Span};
use crate::view::View;

impl ClusterSpec {
    /// What does not change of a view. Kinds and models that the catalogue does not know are called by their numbers.
    pub fn of(view: &View<'_>) -> ClusterSpec {
        let kinds = view.cluster.kinds();
        let names: Vec<String> = kinds.iter().map(|&kind| kind_name(kind)).collect();
        let own = |(slot, kind): (usize, &KindId)| {
            let unknown = kind.index() >= Catalog::builtin().devices().len();
            unknown.then(|| KindSpec { name: kind_name(*kind), class: view.timing.class(slot) })
        };
        let machine = |node: &crate::cluster::Node| MachineSpec {
            name: node.name.clone(),
            kind: kind_name(node.kind),
            devices: node.devices,
            procs_per_device: node.procs_per_device,
            rack: node.rack,
        };
        ClusterSpec {
            format: FORMAT,
            name: String::new(),
            discipline: view.discipline,
            objective: Some(view.objective),
            kinds: kinds.iter().enumerate().filter_map(own).collect(),
            nodes: view.cluster.nodes().iter().map(machine).collect(),
            streams: view.timing.latencies().iter().map(|latencies| stream(latencies, &names)).collect(),
            step_speeds: step_speeds(view.timing, &names),
            rules: rules(view),
            data: view.data.map(|data| network(data.spec().setup())),
            loads: view.loads.map(|loads| memory(loads, view.timing)),
        }
    }
}

fn kind_name(kind: KindId) -> String {
    let known = Catalog::builtin().devices().get(kind.index());
    known.map_or_else(|| format!("kind-{}", kind.0), |device| device.name.clone())
}

pub(super) fn model_name(model: InferenceId) -> String {
    let known = Catalog::builtin().inference_models().get(model.index());
    known.map_or_else(|| format!("model-{}", model.0), |model| model.name.clone())
}

fn stream(latencies: &Latencies, kinds: &[String]) -> StreamSpec {
    let served = |span: &Span| (*span != Span::MAX).then_some(span.0);
    let variant = |rows: &Rows| VariantSpec {
        variant: rows.variant,
        accuracy: rows.accuracy,
        batch_ns: kinds
            .iter()
            .zip(&rows.by_kind)
            .filter(|(_, spans)| !spans.is_empty())
            .map(|(kind, spans)| (kind.clone(), spans.iter().map(served).collect()))
            .collect(),
    };
    StreamSpec {
        model: model_name(latencies.model),
        accuracy: None,
        variants: latencies.variants.iter().map(variant).collect(),
    }
}

fn step_speeds(timing: &Timing, kinds: &[String]) -> Vec<BTreeMap<String, f64>> {
    let row = |speeds: &Vec<f64>| {
        let known = kinds.iter().cloned().zip(speeds.iter().copied());
        known.filter(|(_, speed)| *speed > 0.0).collect()
    };
    timing.steps().iter().map(row).collect()
}

fn rules(view: &View<'_>) -> RulesSpec {
    let Rules { preempt, resume, spread, autoscale, prices, calibrated } = view.rules;
    let (restart_ns, restart_ns_by_model) = match &resume.restarts {
        Restarts::Alike(span) => (span.0, None),
        Restarts::ByModel(spans) => {
            let models = Catalog::builtin().training_models().iter().map(|model| model.name.clone());
            (0, Some(models.zip(spans.iter().map(|span| span.0)).collect()))
        }
    };
    let scaling = |rule: &crate::rules::Autoscale| ScalingSpec {
        nodes: rule.nodes.iter().map(|&node| view.cluster.node(node).name.clone()).collect(),
        least: rule.least,
        waiting: rule.waiting,
        idle_ns: rule.idle.0,
        boot_ns: rule.boot.0,
    };
    RulesSpec {
        preempt: *preempt,
        restart_ns,
        restart_ns_by_model,
        checkpoint_ns: resume.checkpoint.map(|span| span.0),
        spread: *spread,
        autoscale: autoscale.iter().map(scaling).collect(),
        prices: *prices,
        calibrated: *calibrated,
    }
}

fn network(setup: &DataSetup) -> NetworkState {
    let node = |node: &crate::data::NodeData| NodeNetwork {
        cache_bytes: node.cache_bytes,
        disk_bytes_per_s: node.disk_bytes_per_s,
        nic_bytes_per_s: node.nic_bytes_per_s,
        rack: node.rack.0,
    };
    NetworkState {
        artefacts: setup.artefacts.clone(),
        nodes: setup.nodes.iter().map(node).collect(),
        uplinks_bytes_per_s: setup.racks.iter().map(|rack| rack.uplink_bytes_per_s).collect(),
        storage_bytes_per_s: setup.storage.bytes_per_s,
        storage_latency_ns: setup.storage.latency.0,
        link_latency_ns: setup.link_latency.0,
        caching: setup.switches.caching,
        replication: setup.switches.replication,
        decompressed_bytes_per_s: setup
            .switches
            .compression
            .map(|compression| compression.decompressed_bytes_per_s),
    }
}

fn memory(loads: &Loads, timing: &Timing) -> MemoryState {
    let rules = loads.rules();
    let size = |size: &crate::loads::Footprint| FootprintSpec {
        weights_bytes: size.weights,
        per_request_bytes: size.per_request,
    };
    let models = timing.models().filter_map(|model| {
        let sizes = rules.models.get(model.index())?;
        Some((model_name(model), sizes.iter().map(size).collect()))
    });
    MemoryState {
        keep: rules.retention == Retention::Reserve,
        bytes_per_s: rules.bytes_per_s,
        latency_ns: rules.latency.0,
        memory_bytes: rules.memory_bytes.clone(),
        models: models.collect(),
    }
}
