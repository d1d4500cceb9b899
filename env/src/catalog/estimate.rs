//! Answers beyond the tables, each with the way it was made.
//!
//! In this order: the table; a line `a + b x batch` through the cells of the curve; the roofline through a
//! single cell; the roofline alone. Never beyond the device's memory, nor at or beyond a batch that a table
//! says does not run. The line is a least-squares fit of relative errors, so that small batches count as much
//! as large ones; above the table it gives no less than the last cell, below no more than the first.

use super::table::Curve;
use super::{Catalog, Cell, Provenance, memory, parallel, roofline};
use crate::units::{InferenceId, KindId, Span, TrainingId};

/// How an estimate was made, from strong to weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// A cell of the table, or two and a straight line between them.
    Table,
    /// A line through all cells of the curve: `scaled`.
    Affine,
    /// The roofline, stretched so that it passes through the only cell of the curve: `scaled`.
    Anchored,
    /// The speed of one device, and a model of what the gang exchanges: `scaled`.
    Parallel,
    /// Operations, bytes and data sheet alone: `estimated`.
    Roofline,
}

/// An answer with the way it was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate<T> {
    /// The answer.
    pub value: T,
    /// The weakest provenance of what it was computed from.
    pub provenance: Provenance,
    /// How it was made.
    pub method: Method,
}

impl<T> Estimate<T> {
    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Estimate<U> {
        let Estimate { value, provenance, method } = self;
        Estimate { value: f(value), provenance, method }
    }
}

impl Catalog {
    /// How long one device takes to answer a batch with a variant, beyond the tables too.
    ///
    /// `None` where the model does not fit into the device's memory, is known not to run, or computes with
    /// numbers that the device has not.
    pub fn estimate_latency(
        &self,
        model: InferenceId,
        variant: u16,
        kind: KindId,
        batch: u32,
    ) -> Option<Estimate<Span>> {
        let curve = self.latencies.curve(model.0, variant, kind, 1);
        let device = self.device(kind);
        let figures = &self.inference_model(model).variants[usize::from(variant)];
        let us = |_: f64, us: f64| us;
        if let Some(value) = curve.and_then(|curve| tabulated(curve, batch, us)) {
            return Some(value.map(|us| Span::from_secs_f64(us * 1e-6)));
        }
        if batch == 0 || batch > memory::largest_served(figures, device) {
            return None;
        }
        let roofline = |batch| roofline::batch_seconds(figures, device, batch);
        let seconds = |_: f64, us: f64| us * 1e-6;
        beyond(curve, batch, seconds, roofline).map(|value| value.map(Span::from_secs_f64))
    }

    /// How fast a gang of one kind trains with steps of `batch` samples over the whole gang, in samples per
    /// second, beyond the tables too.
    ///
    /// A gang without a curve is that many replicas, each as fast as one device, that exchange their gradients
    /// after every step (see [`Catalog::parallel_plan`]). `None` as for [`Catalog::estimate_latency`], and for
    /// a batch that the gang cannot share evenly.
    pub fn estimate_training_speed(
        &self,
        model: TrainingId,
        kind: KindId,
        gang: u32,
        batch: u32,
    ) -> Option<Estimate<f64>> {
        let step = self.step_estimate(model, kind, gang, batch)?;
        Some(step.map(|seconds| f64::from(batch) / seconds))
    }

    /// Seconds of a step of replicas; see [`Catalog::estimate_training_speed`].
    fn step_estimate(&self, model: TrainingId, kind: KindId, gang: u32, batch: u32) -> Option<Estimate<f64>> {
        let curve = self.speeds.curve(model.0, 0, kind, gang);
        if let Some(value) = curve.and_then(|curve| tabulated(curve, batch, |batch, speed| batch / speed)) {
            return Some(value);
        }
        if batch == 0 || gang == 0 || !batch.is_multiple_of(gang) {
            return None;
        }
        let fits = self.gang_training_memory(model, gang, batch / gang) <= self.device(kind).memory_bytes;
        let stalls = curve.and_then(Curve::cliff).is_some_and(|cliff| batch >= cliff);
        match gang {
            _ if stalls || !fits => None,
            1 => self.step_without_limit(model, kind, batch),
            _ if curve.is_some_and(|curve| curve.running().nth(1).is_some()) => {
                beyond(curve, batch, |batch, speed| batch / speed, |_| None)
            }
            _ => self.replicas(model, kind, gang, batch / gang),
        }
    }

    /// Seconds of a step of replicas with `share` samples each, from the speed of one device.
    fn replicas(&self, model: TrainingId, kind: KindId, gang: u32, share: u32) -> Option<Estimate<f64>> {
        let alone = self.step_without_limit(model, kind, share)?;
        let exchange = parallel::all_reduce_seconds(self.training_model(model), self.device(kind), gang)?;
        Some(Estimate {
            value: alone.value + exchange,
            provenance: alone.provenance.max(Provenance::Scaled),
            method: alone.method.max(Method::Parallel),
        })
    }

    /// Seconds of a step on one device, as if its memory were large enough.
    pub(super) fn step_without_limit(
        &self,
        model: TrainingId,
        kind: KindId,
        batch: u32,
    ) -> Option<Estimate<f64>> {
        let curve = self.speeds.curve(model.0, 0, kind, 1);
        let seconds = |batch: f64, speed: f64| batch / speed;
        let known = curve.and_then(|curve| tabulated(curve, batch, seconds));
        let figures = self.training_model(model);
        let roofline = |batch| roofline::step_seconds(figures, self.device(kind), batch);
        known.or_else(|| beyond(curve, batch, seconds, roofline))
    }
}

fn tabulated(curve: &Curve, batch: u32, time: impl Fn(f64, f64) -> f64) -> Option<Estimate<f64>> {
    let (value, provenance) = curve.interpolate(batch, time)?;
    Some(Estimate { value, provenance, method: Method::Table })
}

/// Seconds outside of a curve; `seconds(batch, value)` is the time of a cell.
fn beyond(
    curve: Option<&Curve>,
    batch: u32,
    seconds: impl Fn(f64, f64) -> f64,
    roofline: impl Fn(u32) -> Option<f64>,
) -> Option<Estimate<f64>> {
    if curve.and_then(Curve::cliff).is_some_and(|cliff| batch >= cliff) {
        return None;
    }
    let points: Vec<(f64, f64)> = curve
        .into_iter()
        .flat_map(Curve::running)
        .map(|cell| (f64::from(cell.batch), seconds(f64::from(cell.batch), cell.value)))
        .collect();
    let weakest = |cell: &Cell| cell.provenance.max(Provenance::Scaled);
    let provenance = curve.into_iter().flat_map(Curve::running).map(weakest).max();
    match (points.as_slice(), provenance) {
        (&[(at, known)], Some(provenance)) => {
            let stretch = known / roofline(at as u32)?;
            let value = stretch * roofline(batch)?;
            Some(Estimate { value, provenance, method: Method::Anchored })
        }
        (&[first, .., last], Some(provenance)) => {
            let value = Line::fit(&points).beyond(f64::from(batch), first, last);
            Some(Estimate { value, provenance, method: Method::Affine })
        }
        _ => {
            let value = roofline(batch)?;
            Some(Estimate { value, provenance: Provenance::Estimated, method: Method::Roofline })
        }
    }
}

/// A line `a + b x batch`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) a: f64,
    pub(super) b: f64,
}

impl Line {
    /// The line with the smallest sum of squared relative errors through (batch, time) at two batches or more.
    pub(super) fn fit(points: &[(f64, f64)]) -> Line {
        let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
            points.iter().map(|&(x, y)| term(x, y) / (y * y)).sum()
        };
        let (weight, x, y) = (sum(&|_, _| 1.0), sum(&|x, _| x), sum(&|_, y| y));
        let (xx, xy) = (sum(&|x, _| x * x), sum(&|x, y| x * y));
        let b = (weight * xy - x * y) / (weight * xx - x * x);
        Line { a: (y - b * x) / weight, b }
    }

    /// The time at a batch outside of the points between `first` and `last`.
    fn beyond(self, batch: f64, first: (f64, f64), last: (f64, f64)) -> f64 {
        let time = self.a + self.b * batch;
        if batch > last.0 {
            time.max(last.1)
        } else {
            time.clamp(0.0, first.1).max(first.1 * batch / first.0)
        }
    }
}
