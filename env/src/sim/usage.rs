//! What the machines are used for and what that costs: integrals of rates that are constant between events.

use super::Simulator;
use crate::catalog::Catalog;
use crate::cluster::Cluster;
use crate::rules::Prices;
use crate::timing::KindSlot;
use crate::units::{KindId, Span};

/// What a device of each kind draws and costs, by kind slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// What the kind is called.
    pub kind: String,
    /// Power with nothing to do, in watts.
    pub idle_w: f64,
    /// Power when in use, in watts.
    pub busy_w: f64,
    /// US dollars an hour in service.
    pub price_per_hour: f64,
}

impl Rates {
    /// From the catalogue, for the kinds of a cluster. One that is not in it draws and costs nothing.
    pub fn of(catalog: &Catalog, cluster: &Cluster) -> Vec<Rates> {
        let rates = |kind: &KindId| match catalog.devices().get(kind.index()) {
            Some(device) => Rates {
                kind: device.name.clone(),
                idle_w: device.idle_w,
                busy_w: device.busy_w,
                price_per_hour: device.price_per_hour,
            },
            None => Rates { kind: format!("kind-{}", kind.0), idle_w: 0.0, busy_w: 0.0, price_per_hour: 0.0 },
        };
        cluster.kinds().iter().map(rates).collect()
    }
}

/// Use of the machines so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Devices in service now, by kind slot.
    service: Vec<u32>,
    /// Energy of all devices in service, in joules.
    pub energy_j: f64,
    /// Price of all devices in service, in US dollars.
    pub dollars: f64,
    /// Device-seconds in use, by kind slot.
    pub busy_s: Vec<f64>,
    /// Device-seconds in service, by kind slot.
    pub service_s: Vec<f64>,
    /// Device-seconds free while something waited.
    pub idle_while_waiting_s: f64,
    /// Those among them that nothing which waited could have used: it does not run on devices of this kind, or needs
    /// more of them than were free. Not told under the batch-queue disciplines, where only the chosen job may start.
    pub stranded_s: f64,
    /// What was spent on nothing.
    pub waste: Waste,
}

/// What the machines are doing from one event to the next.
pub(super) struct Picture<'a> {
    /// Devices in use, by kind slot.
    pub(super) busy: &'a [u32],
    /// Devices that are free, by kind slot.
    pub(super) free: &'a [u32],
    /// Whether something waits.
    pub(super) anyone_waits: bool,
    /// Free devices that nothing which waits could use.
    pub(super) stranded: u32,
}

/// Device-seconds that came to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Waste {
    /// Saving, loading and warming up after a preemption or failure.
    pub restarts_s: f64,
    /// Computed since the last checkpoint when a machine failed, or thrown away with a batch of requests.
    pub failures_s: f64,
    /// Runs that ended for want of memory.
    pub out_of_memory_s: f64,
    /// Jobs preempted.
    pub preemptions: u64,
    /// Jobs and batches cut off by a failure.
    pub cut_off: u64,
    /// Starts that ended for want of memory.
    pub out_of_memory: u64,
}

impl Usage {
    /// All devices in service.
    pub(super) fn new(cluster: &Cluster) -> Usage {
        let service: Vec<u32> = cluster.kinds().iter().map(|&kind| cluster.devices_of(kind)).collect();
        let zeros = vec![0.0; service.len()];
        Usage { service, busy_s: zeros.clone(), service_s: zeros, ..Usage::default() }
    }

    pub(super) fn enter_service(&mut self, slot: KindSlot, devices: u32) {
        self.service[slot] += devices;
    }

    pub(super) fn leave_service(&mut self, slot: KindSlot, devices: u32) {
        self.service[slot] -= devices;
    }

    /// Devices in service now, by kind slot.
    pub fn in_service(&self) -> &[u32] {
        &self.service
    }

    /// Lets time run with so many devices in use; gives what that adds to the objective.
    pub(super) fn advance(
        &mut self,
        span: Span,
        rates: &[Rates],
        picture: &Picture<'_>,
        prices: Prices,
    ) -> f64 {
        let seconds = span.as_secs_f64();
        let Picture { busy, free, anyone_waits, stranded } = *picture;
        self.stranded_s += f64::from(stranded) * seconds;
        let (mut watts, mut dollars_per_hour) = (0.0, 0.0);
        for (slot, rates) in rates.iter().enumerate() {
            let (used, service) = (f64::from(busy[slot]), f64::from(self.service[slot]));
            watts += rates.idle_w * (service - used) + rates.busy_w * used;
            dollars_per_hour += rates.price_per_hour * service;
            self.busy_s[slot] += used * seconds;
            self.service_s[slot] += service * seconds;
            if anyone_waits {
                self.idle_while_waiting_s += f64::from(free[slot]) * seconds;
            }
        }
        self.energy_j += watts * seconds;
        self.dollars += dollars_per_hour * seconds / 3600.0;
        (prices.kwh * watts / 3.6e6 + prices.dollar * dollars_per_hour / 3600.0) * seconds
    }
}

impl Simulator {
    /// Free devices that nothing which waits could use; 0 where nothing waits.
    pub(super) fn stranded(&self) -> u32 {
        if self.world.discipline.commits() {
            return 0;
        }
        let free = self.free_by_kind.iter().enumerate();
        free.filter(|&(slot, &free)| free > 0 && !self.is_useful(slot, free)).map(|(_, free)| free).sum()
    }

    /// Whether something that waits could start on so many devices of a kind, of which there is at least one.
    pub(super) fn is_useful(&self, slot: KindSlot, free: u32) -> bool {
        self.queue.smallest_gang(slot).is_some_and(|gang| gang <= free) || self.is_asked(slot)
    }

    /// Whether a request waits that runs on a kind.
    fn is_asked(&self, slot: KindSlot) -> bool {
        let mut streams = self.streams.iter().enumerate();
        streams.any(|(at, stream)| !stream.queue.is_empty() && self.world.timing.is_served(at, slot))
    }
}
