//! How a gang divides a model: replicas that share the batch, devices that share a replica.
//!
//! Replicas exchange gradients by a ring: `2 (n - 1) / n x bytes / link` (Patarasuk and Yuan, 2009), not
//! hidden behind the backward pass. Devices that share a replica compute `1 / n` of it and exchange the
//! activations at the end of each layer in both passes, which [`EXCHANGED`] tells as a share of what is kept
//! for the backward pass.

use super::memory::Shard;
use super::{Catalog, Device, Estimate, Method, Provenance, TrainingModel};
use crate::units::{KindId, TrainingId};

/// What a collective reaches of the link's bandwidth.
const LINK_SHARE: f64 = 0.7;

/// Seconds for each of the messages of a ring.
const MESSAGE_S: f64 = 20e-6;

/// Bytes exchanged over bytes kept: a transformer layer keeps about 34 bytes a token and hidden unit in half
/// precision and exchanges 4 x 2 in its two all-reduces of each pass (Korthikanti et al., 2022), so 8 / 34.
const EXCHANGED: f64 = 8.0 / 34.0;

/// A way to divide a training job over a gang.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Replicas, each with its share of the batch.
    pub data: u32,
    /// Devices that share a replica; `data x model` is the gang.
    pub model: u32,
    /// Speed of the whole gang.
    pub samples_per_s: f64,
    /// Memory of each device, in bytes.
    pub memory_bytes: u64,
    /// The weakest provenance of what the speed was computed from.
    pub provenance: Provenance,
    /// How the speed was computed.
    pub method: Method,
}

impl Plan {
    fn beats(&self, other: &Plan) -> bool {
        let faster = self.samples_per_s > other.samples_per_s;
        self.provenance < other.provenance || self.provenance == other.provenance && faster
    }
}

impl Catalog {
    /// The fastest way to train with steps of `batch` samples on a gang of one kind, among all `data x model =
    /// gang` that fit into the devices' memory. An estimate does not beat a measurement: the strongest
    /// provenance comes first, then speed, then more replicas.
    ///
    /// Replicas alone are as fast as the gang was measured to be, where it was. `None` where nothing fits, the
    /// batch cannot be shared evenly, or nothing is known.
    pub fn parallel_plan(&self, model: TrainingId, kind: KindId, gang: u32, batch: u32) -> Option<Plan> {
        let mut best: Option<Plan> = None;
        for shared in (1..=gang).filter(|shared| gang.is_multiple_of(*shared)) {
            let shard = Shard { data: gang / shared, model: shared };
            let plan = self.plan(model, kind, shard, batch);
            best = plan.filter(|plan| best.is_none_or(|best| plan.beats(&best))).or(best);
        }
        best
    }

    fn plan(&self, model: TrainingId, kind: KindId, shard: Shard, batch: u32) -> Option<Plan> {
        let Shard { data, model: shared } = shard;
        if batch == 0 || !batch.is_multiple_of(data) {
            return None;
        }
        let memory_bytes = shard.memory(self.training_model(model), batch / data);
        let Estimate { value: samples_per_s, provenance, method } = if shared == 1 {
            self.estimate_training_speed(model, kind, data, batch)?
        } else if memory_bytes <= self.device(kind).memory_bytes {
            self.shared_speed(model, kind, shard, batch)?
        } else {
            return None;
        };
        Some(Plan { data, model: shared, samples_per_s, memory_bytes, provenance, method })
    }

    /// Speed of replicas that several devices share each.
    fn shared_speed(
        &self,
        model: TrainingId,
        kind: KindId,
        shard: Shard,
        batch: u32,
    ) -> Option<Estimate<f64>> {
        let (figures, device) = (self.training_model(model), self.device(kind));
        let share = batch / shard.data;
        let alone = self.step_without_limit(model, kind, share)?;
        let n = f64::from(shard.model);
        let activations = EXCHANGED * figures.activation_bytes_per_sample as f64 * f64::from(share);
        let exchanged = ring_seconds(device, shard.model, activations)?;
        let gradients = ring_seconds(device, shard.data, figures.dense_bytes as f64 / n)?;
        let value = f64::from(batch) / (alone.value / n + exchanged + gradients);
        // Nothing here was measured: not even the exchange is a measurement of another gang.
        Some(Estimate {
            value,
            provenance: Provenance::Estimated,
            method: alone.method.max(Method::Parallel),
        })
    }
}

/// Seconds to add up the gradients of replicas and give each the sum.
pub(super) fn all_reduce_seconds(model: &TrainingModel, device: &Device, replicas: u32) -> Option<f64> {
    ring_seconds(device, replicas, model.dense_bytes as f64)
}

/// Seconds of a ring all-reduce; `None` without a link.
fn ring_seconds(device: &Device, devices: u32, bytes: f64) -> Option<f64> {
    if devices <= 1 {
        return Some(0.0);
    }
    let steps = 2.0 * f64::from(devices - 1);
    let rate = device.link_bytes_per_s * LINK_SHARE;
    (rate > 0.0).then(|| steps * (bytes / f64::from(devices) / rate + MESSAGE_S))
}
