//! Cells by (model, variant, device kind, gang), and interpolation between their batch sizes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::units::KindId;

/// How a figure came about, from strong to weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// Somebody ran this model at this batch size on this device; of a figure that is no speed: published by
    /// those who made the thing.
    Measured,
    /// Computed from a measurement of another batch size or device.
    Scaled,
    /// Judgement.
    Estimated,
}

/// One figure of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Index of the training or inference model.
    pub model: u16,
    /// Index of the variant of an inference model; 0, the reference, for training.
    pub variant: u16,
    /// The device kind.
    pub kind: KindId,
    /// Devices that work together.
    pub gang: u32,
    /// Samples per step, or requests per batch, of the whole gang.
    pub batch: u32,
    /// Samples per second (training) or microseconds (inference).
    pub value: f64,
    /// How it came about.
    pub provenance: Provenance,
    /// Id of its source.
    pub source: String,
}

/// The cells of one model on one gang, ascending in batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Curve(Vec<Cell>);

impl Curve {
    /// Time at a batch size, linear between the two cells around it, with the weaker provenance of the two;
    /// `time(batch, value)` is the time of a cell. `None` outside the cells and where either does not run.
    pub(super) fn interpolate(
        &self,
        batch: u32,
        time: impl Fn(f64, f64) -> f64,
    ) -> Option<(f64, Provenance)> {
        let at = self.0.partition_point(|cell| cell.batch < batch);
        let above = self.0.get(at)?;
        let below = if above.batch == batch { above } else { self.0.get(at.checked_sub(1)?)? };
        if above.value <= 0.0 || below.value <= 0.0 {
            return None;
        }
        let [t0, t1] = [below, above].map(|cell| time(f64::from(cell.batch), cell.value));
        let width = f64::from(above.batch - below.batch);
        let share = if width > 0.0 { f64::from(batch - below.batch) / width } else { 0.0 };
        Some((t0 + (t1 - t0) * share, below.provenance.max(above.provenance)))
    }

    /// Whether there is a cell that runs for exactly this batch.
    pub(super) fn has(&self, batch: u32) -> bool {
        let at = self.0.binary_search_by_key(&batch, |cell| cell.batch);
        at.is_ok_and(|at| self.0[at].value > 0.0)
    }

    /// The largest batch that runs, 0 if none.
    pub(super) fn max_batch(&self) -> u32 {
        self.running().next_back().map_or(0, |cell| cell.batch)
    }

    /// The cells that run.
    pub(super) fn running(&self) -> impl DoubleEndedIterator<Item = &Cell> + Clone {
        self.0.iter().filter(|cell| cell.value > 0.0)
    }

    /// The smallest batch that is known not to run.
    pub(super) fn cliff(&self) -> Option<u32> {
        self.0.iter().find(|cell| cell.value <= 0.0).map(|cell| cell.batch)
    }
}

/// All curves.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table(BTreeMap<(u16, u16, KindId, u32), Curve>);

impl Table {
    /// Adds a cell; gives it back if its place is taken.
    pub(super) fn insert(&mut self, cell: Cell) -> Result<(), Cell> {
        let curve = &mut self.0.entry((cell.model, cell.variant, cell.kind, cell.gang)).or_default().0;
        match curve.binary_search_by_key(&cell.batch, |other| other.batch) {
            Ok(_) => Err(cell),
            Err(at) => {
                curve.insert(at, cell);
                Ok(())
            }
        }
    }

    pub(super) fn curve(&self, model: u16, variant: u16, kind: KindId, gang: u32) -> Option<&Curve> {
        self.0.get(&(model, variant, kind, gang))
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.0.values().flat_map(|curve| &curve.0)
    }
}
