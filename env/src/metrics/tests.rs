//! Worlds small enough to be measured by hand.

use std::sync::Arc;

use super::*;
use crate::catalog::Catalog;
use crate::cluster::{Cluster, Node};
use crate::job::{Job, Task, Truth, Workload};
use crate::objective::Objective;
use crate::rules::{Change, NodeChange, Prices, Restarts, Resume, Rules};
use crate::sim::Rates;
use crate::units::{JobId, KindId, NodeId, Span, Time};
use crate::view::{Decision, Discipline, Share, View};

/// Nodes of (kind, devices) and rigid jobs of (arrival, seconds, gang). The first kind draws 100 W or 300 W and costs
/// 3.6 dollars an hour, the second 50 W or 200 W and 1.8 dollars.
fn world(nodes: &[(u16, u32)], jobs: &[(u64, u64, u32)], objective: Objective) -> World {
    let node = |(at, &(kind, devices)): (usize, &(u16, u32))| Node {
        name: format!("n{at}"),
        kind: KindId(kind),
        devices,
        procs_per_device: 1,
        rack: 0,
    };
    let cluster = Cluster::new(nodes.iter().enumerate().map(node).collect());
    let mut workload = Workload::default();
    for (label, &(arrival, seconds, gang)) in (0..).zip(jobs) {
        let task = Task::Rigid { requested: Span::from_secs(seconds) };
        workload.push(Job::new(label, second(arrival), task, gang), Truth::AsEstimated);
    }
    let hold = Some(Span::from_secs(1000));
    let mut world =
        World::new(Catalog::builtin(), cluster, workload, Discipline::Free, objective, hold).unwrap();
    let rates = [("a", 100.0, 300.0, 3.6), ("b", 50.0, 200.0, 1.8)];
    world.rates = rates[..world.cluster.kinds().len()]
        .iter()
        .map(|&(kind, idle_w, busy_w, price_per_hour)| Rates {
            kind: kind.into(),
            idle_w,
            busy_w,
            price_per_hour,
        })
        .collect();
    world
}

fn second(second: u64) -> Time {
    Time::ZERO + Span::from_secs(second)
}

fn play(world: World, mut decide: impl FnMut(&View<'_>) -> Decision) -> Simulator {
    let mut sim = Simulator::new(Arc::new(world));
    while let Some(view) = sim.next_decision() {
        let decision = decide(&view);
        sim.apply(decision).unwrap();
    }
    sim
}

/// Starts the oldest job on the first kind where it fits, and nothing before it.
fn in_order(view: &View<'_>) -> Decision {
    let oldest = view.queue.first().copied();
    let start = oldest.and_then(|job| {
        let slot = (0..view.timing.kinds()).find(|&slot| view.fits(job, slot))?;
        Some(Decision::Start { job, nodes: view.place(slot, view.job(job).gang)?, batch: 1, variant: 0 })
    });
    start.unwrap_or(Decision::Wait { until: None })
}

fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

/// `a` runs the first job to 100 s; `b` the second to 50 s, the third to 80 s, and idles for 20 s.
fn three_jobs(objective: Objective) -> World {
    let mut world = world(&[(0, 1), (1, 1)], &[(0, 100, 1), (0, 50, 1), (0, 30, 1)], objective);
    for (job, user) in world.workload.jobs.iter_mut().zip([0, 1, 1]) {
        job.user = user;
    }
    world
}

#[test]
fn machines_are_measured_as_by_hand() {
    let metrics = Metrics::of(&play(three_jobs(Objective::CompletionTime), in_order));
    let machines = &metrics.machines;
    near(machines.episode_s, 100.0);
    near(machines.energy_kwh * 3.6e6, 100.0 * 300.0 + 80.0 * 200.0 + 20.0 * 50.0);
    near(machines.dollars, 0.10 + 0.05);
    near(machines.device_utilization, 0.9);
    let kinds: Vec<(&str, f64)> =
        machines.kinds.iter().map(|kind| (kind.kind.as_str(), kind.utilization)).collect();
    assert_eq!(kinds, [("a", 1.0), ("b", 0.8)]);
    near(machines.kinds[1].busy_device_h, 80.0 / 3600.0);
    assert_eq!((machines.idle_while_waiting_device_h, machines.fragmentation), (0.0, Some(0.0)));
    assert_eq!(metrics.wasted, Wasted::default());
    assert_eq!((metrics.p50_jct_s, metrics.p95_jct_s, metrics.p99_jct_s), (80.0, 100.0, 100.0));
}

/// Slowdowns are 1, 1 and 80/30. The mean numbers of jobs are 2.3, 3 and 2.625 of one device of each kind.
#[test]
fn fairness_is_measured_as_by_hand() {
    let fairness = Metrics::of(&play(three_jobs(Objective::CompletionTime), in_order)).fairness;
    let (late, mean) = (8.0_f64 / 3.0, 11.0_f64 / 6.0);
    assert_eq!((fairness.users, fairness.rho_jobs), (2, 3));
    near(fairness.jain_users_slowdown, (1.0 + mean).powi(2) / (2.0 * (1.0 + mean * mean)));
    near(fairness.jain_jobs_slowdown, (2.0 + late).powi(2) / (3.0 * (2.0 + late * late)));
    let rhos = [100.0 / 230.0, 50.0 / 150.0, 80.0 / 78.75];
    near(fairness.mean_rho, rhos.iter().sum::<f64>() / 3.0);
    near(fairness.max_rho, 80.0 / 78.75);
    near(fairness.p95_rho, 80.0 / 78.75);
}

/// Three devices cannot be had from 2 of 4; the fourth job could have them from second 5 on, and is held back.
#[test]
fn free_devices_are_stranded_or_left_free_by_choice() {
    let jobs = [(0, 10, 2), (0, 5, 3), (5, 5, 1)];
    let machines = Metrics::of(&play(world(&[(0, 4)], &jobs, Objective::CompletionTime), in_order)).machines;
    near(machines.idle_while_waiting_device_h * 3600.0, 20.0);
    assert_eq!(machines.fragmentation, Some(0.5));
    near(machines.idle_while_waiting_share, 20.0 / 60.0);
}

#[test]
fn fragmentation_is_not_told_where_only_one_job_may_start() {
    let mut world = world(&[(0, 4)], &[(0, 10, 2), (0, 5, 3)], Objective::CompletionTime);
    world.discipline = Discipline::Commit;
    let sim = play(world, |view| Decision::Reserve { order: smallvec::smallvec![view.queue[0]] });
    assert_eq!(Metrics::of(&sim).machines.fragmentation, None);
}

/// Of three gangs one lies on two nodes and would fit on one; the gang of three needs two.
#[test]
fn gangs_on_more_nodes_than_needed_are_scattered() {
    let jobs = [(0, 10, 2), (0, 20, 2), (20, 5, 3)];
    let sim = play(world(&[(0, 2), (0, 2)], &jobs, Objective::CompletionTime), |view| {
        if view.now > Time::ZERO {
            return in_order(view);
        }
        let nodes = [0, 1].map(|node| Share { node: NodeId(node), devices: 1 });
        match view.queue.first() {
            Some(&job) if job == JobId(0) => {
                Decision::Start { job, nodes: nodes.into_iter().collect(), batch: 1, variant: 0 }
            }
            _ => Decision::Wait { until: Some(second(10)) },
        }
    });
    near(Metrics::of(&sim).machines.scattered_share, 1.0 / 3.0);
}

/// The stages take 10 s and 20 s, from second 0 and 15 on; another job runs from 10 to 15.
#[test]
fn a_pipeline_is_one_job() {
    let jobs = [(0, 10, 1), (0, 5, 1), (0, 20, 1)];
    let mut world = world(&[(0, 1)], &jobs, Objective::CompletionTime);
    world.workload.jobs[2].after = Some(JobId(0));
    world.workload.jobs[0].deadline = Some(second(1));
    world.workload.jobs[2].deadline = Some(second(40));
    world.workload.jobs[1].deadline = Some(second(14));
    // The stages that follow each other are noted when a world is built.
    let World { cluster, workload, discipline, objective, hold, .. } = world;
    let world = World::new(Catalog::builtin(), cluster, workload, discipline, objective, hold).unwrap();
    let metrics = Metrics::of(&play(world, in_order));
    assert_eq!((metrics.jobs, metrics.deadlines, metrics.deadlines_met), (2, 2, 1));
    near(metrics.mean_jct_s, (35.0 + 15.0) / 2.0);
    near(metrics.mean_wait_s, (0.0 + 10.0) / 2.0);
    near(metrics.mean_bounded_slowdown, (35.0 / 30.0 + 1.5) / 2.0);
    near(metrics.goodput_per_s, 1.0 / 35.0);
    near(metrics.slo_attainment, 0.5);
    near(metrics.utilization, 1.0);
}

/// Preempted at 4 s for one of 5 s, the first job restarts for 2 s and ends at 17 s.
#[test]
fn restarts_are_waste() {
    let rules = Rules {
        preempt: true,
        resume: Resume { restarts: Restarts::Alike(Span::from_secs(2)), checkpoint: None },
        ..Rules::default()
    };
    let world = world(&[(0, 1)], &[(0, 10, 1), (4, 5, 1)], Objective::CompletionTime);
    let sim = play(world.with_rules(rules).unwrap(), |view| match view.running.first() {
        Some(run) if view.now == second(4) => Decision::Preempt { run: run.sequence },
        None if view.now == second(4) => {
            Decision::Start { job: JobId(1), nodes: view.place(0, 1).unwrap(), batch: 1, variant: 0 }
        }
        _ => in_order(view),
    });
    assert_eq!(sim.records()[0].finish, second(17));
    let Metrics { wasted, machines, .. } = Metrics::of(&sim);
    near(wasted.restart_waste_device_h * 3600.0, 2.0);
    near(wasted.waste_share, 2.0 / 17.0);
    assert_eq!((wasted.preemptions, wasted.cut_off), (1, 0));
    near(machines.device_utilization, 1.0);
}

/// The node fails at 6 s and is back at 8 s: all is lost, and nobody pays for the time between.
#[test]
fn what_a_failure_takes_is_waste_and_a_failed_machine_is_free() {
    let mut world = world(&[(0, 1)], &[(0, 10, 1)], Objective::Cost);
    let change = |at, change| NodeChange { at: second(at), node: NodeId(0), change };
    world.workload.changes = vec![change(6, Change::Fail), change(8, Change::Join)];
    let metrics = Metrics::of(&play(world, in_order));
    near(metrics.wasted.failure_waste_device_h * 3600.0, 6.0);
    near(metrics.wasted.waste_share, 6.0 / 16.0);
    assert_eq!((metrics.wasted.preemptions, metrics.wasted.cut_off), (0, 1));
    near(metrics.machines.dollars, 0.001 * 16.0);
    near(metrics.objective, 0.001 * 16.0);
}

#[test]
fn energy_and_cost_are_objectives_for_each_unit_of_weight() {
    let energy = Metrics::of(&play(three_jobs(Objective::Energy), in_order));
    near(energy.objective, energy.machines.energy_kwh / 3.0);
    let cost = Metrics::of(&play(three_jobs(Objective::Cost), in_order));
    near(cost.objective, 0.15 / 3.0);
}

#[test]
fn prices_are_added_to_any_objective() {
    let rules = || Rules { prices: Prices { kwh: 2.0, dollar: 3.0 }, ..Rules::default() };
    for objective in [Objective::CompletionTime, Objective::Energy, Objective::Cost] {
        let plain = Metrics::of(&play(three_jobs(objective), in_order));
        let priced = Metrics::of(&play(three_jobs(objective).with_rules(rules()).unwrap(), in_order));
        let machines = &plain.machines;
        let extra = (2.0 * machines.energy_kwh + 3.0 * machines.dollars) / 3.0;
        near(priced.objective, plain.objective + extra);
    }
}

#[test]
fn waiting_saves_neither_energy_nor_money() {
    for objective in [Objective::Energy, Objective::Cost] {
        let eager = play(three_jobs(objective), in_order).cost().score();
        let mut last = eager;
        for pause in [10, 100, 1000] {
            let later = play(three_jobs(objective), |view| {
                if view.now < second(pause) {
                    Decision::Wait { until: Some(second(pause)) }
                } else {
                    in_order(view)
                }
            });
            let score = later.cost().score();
            assert!(score > last, "{objective:?}: {score} after {pause} s of waiting, {last} before");
            last = score;
        }
    }
}

#[test]
fn percentiles_are_nearest_rank() {
    let values = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(percentile(&values, 0.5), 2.0);
    assert_eq!(percentile(&values, 0.99), 4.0);
    assert_eq!(percentile(&[], 0.5), 0.0);
}
