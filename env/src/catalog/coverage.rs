//! What the tables know of a model on a device kind.

use std::collections::BTreeSet;

use super::table::Curve;
use super::{Catalog, Provenance};
use crate::units::{InferenceId, KindId, TrainingId};

/// What the tables know of a model on one device of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Cells that run.
    pub cells: u32,
    /// What they are, strong to weak.
    pub provenances: BTreeSet<Provenance>,
    /// Smallest and largest batch.
    pub batches: (u32, u32),
    /// The smallest batch that is known not to run.
    pub cliff: Option<u32>,
}

impl Coverage {
    fn of(curve: &Curve) -> Option<Coverage> {
        let first = curve.running().next()?;
        Some(Coverage {
            cells: curve.running().count() as u32,
            provenances: curve.running().map(|cell| cell.provenance).collect(),
            batches: (first.batch, curve.max_batch()),
            cliff: curve.cliff(),
        })
    }
}

impl Catalog {
    /// What the table of training knows of a model on a gang; `None` where nothing runs.
    pub fn training_coverage(&self, model: TrainingId, kind: KindId, gang: u32) -> Option<Coverage> {
        Coverage::of(self.speeds.curve(model.0, 0, kind, gang)?)
    }

    /// What the table of inference knows of a variant; `None` where nothing runs.
    pub fn inference_coverage(&self, model: InferenceId, variant: u16, kind: KindId) -> Option<Coverage> {
        Coverage::of(self.latencies.curve(model.0, variant, kind, 1)?)
    }
}
