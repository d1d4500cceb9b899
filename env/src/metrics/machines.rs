//! What the machines did and what that cost.

use serde::{Deserialize, Serialize};

use crate::sim::{Record, Simulator, State, Usage, World};
use crate::units::NodeId;

/// Use of the machines over the episode: from the first submission to the last completion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machines {
    /// How long the episode was, in seconds.
    pub episode_s: f64,
    /// Energy of all devices in service, idle or in use.
    pub energy_kwh: f64,
    /// Price of all devices in service, in US dollars.
    pub dollars: f64,
    /// Device-time in use / device-time in service.
    pub device_utilization: f64,
    /// Each kind of device.
    pub kinds: Vec<KindUse>,
    /// Device-hours free while something waited.
    pub idle_while_waiting_device_h: f64,
    /// The same / device-time in service.
    pub idle_while_waiting_share: f64,
    /// Stranded device-time / device-time free while something waited. A free device is stranded at a moment at which
    /// none of what waits could start on the free devices of its kind, because it does not run there or needs more of
    /// them than are free; the rest was left free by choice. After Weng et al. (ATC'23), who count for each
    /// class of task the free devices that it cannot use; here a device counts only if nothing that waits can use it.
    /// `None` under the batch-queue disciplines, where only the chosen job may start.
    pub fragmentation: Option<f64>,
    /// Share of the starts of gangs (of two devices and more) on more nodes than the gang needs on an empty cluster; 0
    /// without gangs.
    pub scattered_share: f64,
}

/// Use of one kind of device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KindUse {
    /// The kind, as in the catalogue.
    pub kind: String,
    /// Device-hours in use.
    pub busy_device_h: f64,
    /// Device-hours in service.
    pub service_device_h: f64,
    /// Their ratio.
    pub utilization: f64,
}

/// Device-time that came to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wasted {
    /// Device-hours of saving, loading and warming up after a preemption or failure.
    pub restart_waste_device_h: f64,
    /// Device-hours of computing that a failure took.
    pub failure_waste_device_h: f64,
    /// Device-hours of runs that ended for want of memory.
    pub out_of_memory_waste_device_h: f64,
    /// All of these / device-time in use.
    pub waste_share: f64,
    /// Jobs preempted.
    pub preemptions: u64,
    /// Jobs and batches cut off by a failure.
    pub cut_off: u64,
    /// Starts that ended for want of memory.
    pub out_of_memory: u64,
}

impl Machines {
    pub(super) fn of(sim: &Simulator) -> Machines {
        let (usage, world) = (sim.usage(), sim.world());
        let first = world.workload.jobs.first().map_or(sim.now(), |job| job.arrival);
        let (busy, service) = (usage.busy_s.iter().sum(), usage.service_s.iter().sum());
        let fragmentation = ratio(usage.stranded_s, usage.idle_while_waiting_s);
        Machines {
            episode_s: sim.now().since(first).as_secs_f64(),
            energy_kwh: usage.energy_j / 3.6e6,
            dollars: usage.dollars,
            device_utilization: ratio(busy, service),
            kinds: kinds(usage, world),
            idle_while_waiting_device_h: usage.idle_while_waiting_s / 3600.0,
            idle_while_waiting_share: ratio(usage.idle_while_waiting_s, service),
            fragmentation: (!world.discipline.commits()).then_some(fragmentation),
            scattered_share: scattered(sim),
        }
    }
}

impl Wasted {
    pub(super) fn of(usage: &Usage) -> Wasted {
        let waste = usage.waste;
        let all_s = waste.restarts_s + waste.failures_s + waste.out_of_memory_s;
        Wasted {
            restart_waste_device_h: waste.restarts_s / 3600.0,
            failure_waste_device_h: waste.failures_s / 3600.0,
            out_of_memory_waste_device_h: waste.out_of_memory_s / 3600.0,
            waste_share: ratio(all_s, usage.busy_s.iter().sum()),
            preemptions: waste.preemptions,
            cut_off: waste.cut_off,
            out_of_memory: waste.out_of_memory,
        }
    }
}

fn kinds(usage: &Usage, world: &World) -> Vec<KindUse> {
    let rows = world.rates.iter().zip(usage.busy_s.iter().zip(&usage.service_s));
    rows.map(|(rates, (&busy, &service))| KindUse {
        kind: rates.kind.clone(),
        busy_device_h: busy / 3600.0,
        service_device_h: service / 3600.0,
        utilization: ratio(busy, service),
    })
    .collect()
}

fn scattered(sim: &Simulator) -> f64 {
    let world = sim.world();
    let room: Vec<Vec<u32>> = (0..world.cluster.kinds().len()).map(|slot| room(world, slot)).collect();
    let (mut starts, mut scattered) = (0.0, 0.0);
    for (job, record) in world.workload.jobs.iter().zip(sim.records()) {
        if job.gang < 2 || record.state != State::Finished {
            continue;
        }
        for nodes in placements(record) {
            let slot = nodes.first().map_or(0, |share| sim.view().slot_of(share.node));
            let needed = room[slot].partition_point(|&devices| devices < job.gang) + 1;
            starts += 1.0;
            scattered += f64::from(u8::from(nodes.len() > needed));
        }
    }
    ratio(scattered, starts)
}

/// Devices of the largest node of a kind, of the two largest, and so on.
fn room(world: &World, slot: usize) -> Vec<u32> {
    let devices = |node: &NodeId| world.cluster.node(*node).devices;
    let mut sums: Vec<u32> = world.cluster.nodes_of(slot).iter().map(devices).collect();
    sums.sort_unstable_by_key(|&devices| std::cmp::Reverse(devices));
    for at in 1..sums.len() {
        sums[at] += sums[at - 1];
    }
    sums
}

/// Where a job was started, each time.
fn placements(record: &Record) -> impl Iterator<Item = &crate::view::Placement> {
    let only = record.slices.is_empty().then_some(&record.nodes);
    record.slices.iter().map(|slice| &slice.nodes).chain(only)
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
