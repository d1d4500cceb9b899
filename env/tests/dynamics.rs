//! What must hold where work is cut off and machines come and go: random clusters, pipelines, failures, autoscaling,
//! preemption, and random decisions.

#![allow(clippy::unwrap_used, reason = "a fault may end a test")]

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use yardmaster_env::candidates::Candidates;
use yardmaster_env::catalog::Catalog;
use yardmaster_env::cluster::{Cluster, Node};
use yardmaster_env::data::{
    Artefact, ArtefactId, Compression, DataSetup, DataSpec, NodeData, Rack, RackId, Retention, Storage,
    Switches,
};
use yardmaster_env::job::{Choice, Job, Task, Truth, Workload};
use yardmaster_env::loads::LoadRules;
use yardmaster_env::metrics::Metrics;
use yardmaster_env::objective::Objective;
use yardmaster_env::observe::Observer;
use yardmaster_env::rules::{Autoscale, Change, NodeChange, Prices, Restarts, Resume, Rules, Spread};
use yardmaster_env::sim::{Illegal, NodeState, Simulator, State, World};
use yardmaster_env::units::{JobId, KindId, NodeId, Span, Time};
use yardmaster_env::view::{Decision, Discipline};

/// A world and the choices made in it. Times are half seconds.
#[derive(Clone, Debug)]
struct Case {
    /// (kind, devices, rack)
    nodes: Vec<(u16, u32, u16)>,
    jobs: Vec<JobCase>,
    /// (node, from, length, whether it is drained and does not fail)
    outages: Vec<(usize, u64, u64, bool)>,
    preempt: bool,
    restart: u64,
    checkpoint: Option<u64>,
    spread: bool,
    /// (machines that stay, waiting, idle, boot)
    autoscale: Option<(u32, u8, u64, u64)>,
    equipment: Equipment,
    choices: Vec<usize>,
}

/// Parts of the world that are switched on.
#[derive(Clone, Debug)]
struct Equipment {
    /// Training jobs in place of rigid ones, with choices of gang and batch.
    elastic: bool,
    memory: bool,
    data: bool,
    /// Whether models stay loaded.
    loads: Option<bool>,
    variants: bool,
}

#[derive(Clone, Debug)]
struct JobCase {
    gap: u64,
    requested: u64,
    truth: Option<u64>,
    gang: u32,
    /// Whether it is a stage after the job before it.
    stage: bool,
    /// Whether it is a request, which runs on some device kinds only.
    request: bool,
    /// True over expected memory, in quarters.
    memory: u8,
    /// What it reads.
    inputs: Vec<u32>,
}

fn job() -> impl Strategy<Value = JobCase> {
    let gap = prop_oneof![2 => Just(0_u64), 1 => 0..8_u64];
    let flags = (prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    let needs = (2..8_u8, vec(0..4_u32, 0..3));
    (gap, 0..12_u64, proptest::option::of(0..16_u64), 1..5_u32, flags, needs).prop_map(
        |(gap, requested, truth, gang, (stage, request), (memory, inputs))| JobCase {
            gap,
            requested,
            truth,
            gang,
            stage,
            request,
            memory,
            inputs,
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let nodes = vec((0..3_u16, 1..4_u32, 0..2_u16), 1..5);
    let outages = vec((0..5_usize, 0..40_u64, 1..20_u64, any::<bool>()), 0..6);
    let rules = (any::<bool>(), 0..4_u64, proptest::option::of(1..5_u64), any::<bool>());
    let equipment = (any::<[bool; 4]>(), proptest::option::of(any::<bool>())).prop_map(
        |([elastic, memory, data, variants], loads)| Equipment { elastic, memory, data, loads, variants },
    );
    let autoscale = proptest::option::weighted(0.3, (0..2_u32, 1..4_u8, 1..9_u64, 0..5_u64));
    (nodes, vec(job(), 1..40), outages, rules, (autoscale, equipment), vec(0..1000_usize, 1..40)).prop_map(
        |(nodes, jobs, outages, (preempt, restart, checkpoint, spread), (autoscale, equipment), choices)| {
            Case { equipment, nodes, jobs, outages, preempt, restart, checkpoint, spread, autoscale, choices }
        },
    )
}

fn half_seconds(count: u64) -> Span {
    Span(500_000_000) * count
}

impl Case {
    fn cluster(&self, catalog: &Catalog) -> Cluster {
        let kinds = ["p100", "t4", "v100"].map(|name| catalog.kind(name).unwrap());
        let node = |(at, &(kind, devices, rack)): (usize, &(u16, u32, u16))| {
            let kind: KindId = kinds[usize::from(kind)];
            Node { name: format!("n{at}"), kind, devices, procs_per_device: 1, rack }
        };
        Cluster::new(self.nodes.iter().enumerate().map(node).collect())
    }

    fn workload(&self, catalog: &Catalog) -> Workload {
        let model = catalog.inference("resnet50-q").unwrap();
        let training = catalog.training("ResNet-50").unwrap();
        let mut workload = Workload::default();
        if self.equipment.variants {
            workload.floors.push((model, 0.9));
        }
        for number in 0..4 + self.jobs.len() as u64 {
            let bytes = if number < 4 { (1 + number) * 400 } else { 300 };
            workload.artefacts.push(Artefact { name: format!("a{number}"), bytes, compression_ratio: 2.0 });
        }
        let mut now = Time::ZERO;
        for (at, case) in self.jobs.iter().enumerate() {
            let stage = case.stage && at > 0;
            now += if stage { Span::ZERO } else { half_seconds(case.gap) };
            let requested = half_seconds(case.requested);
            let samples = 60 * (1 + case.requested);
            let task = match (case.request, self.equipment.elastic) {
                (true, _) => Task::Request { model },
                (false, true) => Task::Training { model: training, batch: 64 * case.gang, samples },
                (false, false) => Task::Rigid { requested },
            };
            let mut job = Job::new(at as u64, now, task, if case.request { 1 } else { case.gang });
            job.after = stage.then(|| JobId(at as u32 - 1));
            if self.equipment.data {
                job.inputs = case.inputs.iter().map(|&input| ArtefactId(input)).collect();
                job.inputs.extend(stage.then(|| ArtefactId(4 + at as u32 - 1)));
                job.output = Some(ArtefactId(4 + at as u32));
            }
            let truth = match (task, case.truth) {
                (Task::Rigid { .. }, Some(truth)) => Truth::Duration(half_seconds(truth)),
                (Task::Training { .. }, _) => {
                    job.choices.extend([1, 2].map(|gang| Choice { gang, batch: 64 * gang }));
                    let steps = case.truth.map_or(1.0, |truth| 0.5 + truth as f64 / 8.0);
                    Truth::Needs { steps, memory: f64::from(case.memory) / 4.0 }
                }
                _ => Truth::AsEstimated,
            };
            workload.push(job, truth);
        }
        // Outages of one machine may overlap: the first repair ends them.
        for &(node, from, length, drain) in &self.outages {
            let node = NodeId((node % self.nodes.len()) as u32);
            let change = if drain { Change::Drain } else { Change::Fail };
            let at = |count| Time::ZERO + half_seconds(count);
            workload.changes.push(NodeChange { at: at(from), node, change });
            workload.changes.push(NodeChange { at: at(from + length), node, change: Change::Join });
        }
        workload.changes.sort_by_key(|change| change.at);
        // After all of that everything is in service.
        let end = workload.changes.last().map_or(Time::ZERO, |change| change.at);
        for node in 0..self.nodes.len() {
            workload.changes.push(NodeChange { at: end, node: NodeId(node as u32), change: Change::Join });
        }
        workload
    }

    fn rules(&self) -> Rules {
        let scale = |(least, waiting, idle, boot): (u32, u8, u64, u64)| Autoscale {
            nodes: (0..self.nodes.len()).map(|at| NodeId(at as u32)).collect(),
            least,
            waiting: f64::from(waiting),
            idle: half_seconds(idle),
            boot: half_seconds(boot),
        };
        Rules {
            preempt: self.preempt,
            resume: Resume {
                restarts: Restarts::Alike(half_seconds(self.restart)),
                checkpoint: self.checkpoint.map(half_seconds),
            },
            spread: if self.spread { Spread { nodes: 0.25, racks: 0.5 } } else { Spread::default() },
            autoscale: self.autoscale.map(scale).into_iter().collect(),
            prices: Prices { kwh: 2.0, dollar: 3.0 },
            calibrated: self.spread,
        }
    }

    fn world(&self) -> Arc<World> {
        let catalog = Catalog::builtin();
        let (cluster, workload) = (self.cluster(catalog), self.workload(catalog));
        let hold = Some(Span::from_secs(3));
        let objective = Objective::CompletionTime;
        let setup = self.data(&cluster, workload.artefacts.clone());
        let world = World::new(catalog, cluster, workload, Discipline::Free, objective, hold).unwrap();
        let mut world = world.with_rules(self.rules()).unwrap();
        if self.equipment.memory {
            world = world.with_memory(catalog, half_seconds(1)).unwrap();
        }
        if let Some(keep) = self.equipment.loads {
            world = world.with_loads(self.loads(catalog, keep)).unwrap();
        }
        if self.equipment.data {
            world = world.with_data(DataSpec::new(setup).unwrap()).unwrap();
        }
        Arc::new(world)
    }

    /// Nodes that keep about two of the artefacts, behind links of 100 and 200 bytes a second.
    fn data(&self, cluster: &Cluster, artefacts: Vec<Artefact>) -> DataSetup {
        let node = |node: &Node| NodeData {
            cache_bytes: 2000,
            disk_bytes_per_s: 150.0,
            nic_bytes_per_s: 100.0,
            rack: RackId(u32::from(node.rack)),
        };
        DataSetup {
            artefacts,
            nodes: cluster.nodes().iter().map(node).collect(),
            racks: vec![Rack { uplink_bytes_per_s: 200.0 }; 2],
            storage: Storage { bytes_per_s: 250.0, latency: half_seconds(1) },
            link_latency: Span::ZERO,
            switches: Switches {
                caching: true,
                replication: true,
                compression: Some(Compression { decompressed_bytes_per_s: 180.0 }),
            },
        }
    }

    /// Devices that hold the reference and some requests.
    fn loads(&self, catalog: &Catalog, keep: bool) -> LoadRules {
        LoadRules {
            retention: if keep { Retention::Reserve } else { Retention::OnDemand },
            bytes_per_s: 1e8,
            latency: half_seconds(1),
            memory_bytes: vec![400_000_000; self.nodes.len()],
            models: LoadRules::footprints(catalog),
        }
    }

    /// In the long run work is preferred to waiting and to preempting.
    fn choose(&self, sim: &Simulator, candidates: &Candidates) -> Decision {
        let at = sim.decisions() as usize;
        let choice = self.choices[at % self.choices.len()];
        if at >= 20 * self.jobs.len() {
            return candidates.decision(&sim.view(), 0).unwrap();
        }
        let victim = sim.view().running.get(choice % 7).map(|run| run.sequence);
        match victim.filter(|_| choice.is_multiple_of(5)) {
            Some(run) if sim.clone().apply(Decision::Preempt { run }).is_ok() => Decision::Preempt { run },
            _ => candidates.decision(&sim.view(), choice % candidates.actions()).unwrap(),
        }
    }

    fn play(
        &self,
        mut sim: Simulator,
        mut judge: impl FnMut(&Simulator) -> Result<(), TestCaseError>,
    ) -> Result<Simulator, TestCaseError> {
        let mut candidates = Candidates::default();
        while let Some(view) = sim.next_decision() {
            candidates.fill(&view);
            prop_assert!(candidates.actions() > 0, "a decision without actions");
            judge(&sim)?;
            let decision = self.choose(&sim, &candidates);
            prop_assert_eq!(sim.apply(decision), Ok(()));
        }
        Ok(sim)
    }
}

/// Cases of each property: 300, or what YARDMASTER_CASES says (the long mode has 10,000).
fn cases() -> u32 {
    let asked = std::env::var("YARDMASTER_CASES").ok();
    asked.map_or(300, |cases| cases.parse().expect("YARDMASTER_CASES is a whole number"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// What a learner is offered: everything is legal, and what a rule proposes is there as the rule said it.
    #[test]
    fn offered_actions_are_legal_and_a_proposal_is_one_of_them(case in case()) {
        let (mut observer, mut candidates) = (Observer::default(), Candidates::default());
        case.play(Simulator::new(case.world()), |sim| {
            let view = sim.view();
            candidates.fill(&view);
            let proposal = case.choose(sim, &candidates);
            let observation = observer.observe(&view, Some(proposal.clone())).clone();
            let offered = &observer.candidates;
            let taken = offered.proposal().map(|action| offered.decision(&view, action));
            prop_assert_eq!(taken, Some(Some(proposal)));
            prop_assert_eq!(observation.actions(), offered.actions());
            for action in 0..offered.actions() {
                let decision = offered.decision(&view, action).unwrap();
                prop_assert_eq!(sim.clone().apply(decision.clone()), Ok(()), "{:?}", decision);
            }
            let rows = [&observation.global, &observation.jobs, &observation.nodes, &observation.pair_features];
            prop_assert!(rows.into_iter().flatten().all(|value| value.is_finite()), "{:?}", observation);
            Ok(())
        })?;
    }

    #[test]
    fn all_work_is_done_in_order_whatever_happens_to_the_machines(case in case()) {
        let sim = case.play(Simulator::new(case.world()), |sim| {
            let view = sim.view();
            for (at, state) in sim.node_states().iter().enumerate() {
                prop_assert!(*state == NodeState::Up || view.free[at] == 0, "node {} is {:?}", at, state);
            }
            let working = |run: &yardmaster_env::view::Running| {
                run.nodes.iter().all(|share| matches!(
                    sim.node_states()[share.node.index()],
                    NodeState::Up | NodeState::Draining
                ))
            };
            prop_assert!(view.running.iter().all(working), "something runs on a machine that is gone");
            Ok(())
        })?;
        let world = sim.world();
        for (at, (record, job)) in sim.records().iter().zip(&world.workload.jobs).enumerate() {
            let id = JobId(at as u32);
            let possible = |id: JobId| world.shortest(id).is_some();
            let mut chain = std::iter::successors(Some(id), |id| world.workload.jobs[id.index()].after);
            let expected = if chain.all(possible) { State::Finished } else { State::Refused };
            prop_assert_eq!(record.state, expected, "job {}", at);
            if record.state == State::Finished {
                let ready = job.after.map_or(job.arrival, |before| sim.records()[before.index()].finish);
                prop_assert!(record.start >= ready, "stage {} began before the one before it ended", at);
                prop_assert!(record.finish >= record.start);
                prop_assert!(record.slices.windows(2).all(|pair| pair[0].finish <= pair[1].start));
            }
        }
    }

    /// Restarts are paid, nothing else is added: what is not wasted is exactly the work.
    #[test]
    fn time_held_is_work_and_waste(case in case()) {
        let off = Equipment { elastic: false, memory: false, data: false, loads: None, variants: false };
        let case = Case { spread: false, equipment: off, ..case };
        let sim = case.play(Simulator::new(case.world()), |_| Ok(()))?;
        let world = sim.world();
        let mut work = 0.0;
        let (mut held, mut slices) = (0.0, 0);
        for (at, (record, job)) in sim.records().iter().zip(&world.workload.jobs).enumerate() {
            if record.state == State::Finished && !case.jobs[at].request {
                let JobCase { truth, requested, .. } = case.jobs[at];
                let length = half_seconds(truth.unwrap_or(requested)).as_secs_f64();
                work += length * f64::from(job.gang);
                held += record.run_time().as_secs_f64() * f64::from(job.gang);
                slices += record.slices.len().max(1) as u64;
            }
        }
        let requests_cut_off = case.jobs.iter().any(|job| job.request) && sim.usage().waste.cut_off > 0;
        if !requests_cut_off {
            let waste = sim.usage().waste;
            let wasted = waste.restarts_s + waste.failures_s;
            prop_assert!((held - work - wasted).abs() < 1e-5, "held {} work {} wasted {}", held, work, wasted);
            let finished = sim.records().iter().enumerate().filter(|(at, record)| {
                record.state == State::Finished && !case.jobs[*at].request
            }).count() as u64;
            prop_assert_eq!(slices, finished + waste.preemptions + waste.cut_off);
        }
    }

    #[test]
    fn equal_choices_make_equal_histories_also_from_a_clone(case in case(), fork in 0..30_u64) {
        let mut clone = None;
        let sim = case.play(Simulator::new(case.world()), |sim| {
            if sim.decisions() == fork {
                clone = Some(sim.clone());
            }
            Ok(())
        })?;
        let again = case.play(Simulator::new(case.world()), |_| Ok(()))?;
        prop_assert_eq!(sim.digest(), again.digest());
        prop_assert_eq!((sim.usage(), sim.records()), (again.usage(), again.records()));
        if let Some(clone) = clone {
            prop_assert_eq!(sim.digest(), case.play(clone, |_| Ok(()))?.digest());
        }
    }

    /// Energy and price are those of the devices in service and in use, added up from outside.
    #[test]
    fn machines_are_paid_for_while_in_service(case in case()) {
        let sim = case.play(Simulator::new(case.world()), |_| Ok(()))?;
        let usage = sim.usage();
        let devices: f64 = sim.world().cluster.all_devices().iter().map(|&devices| f64::from(devices)).sum();
        let span = sim.now().since(sim.world().workload.jobs[0].arrival).as_secs_f64();
        let (busy, service): (f64, f64) = (usage.busy_s.iter().sum(), usage.service_s.iter().sum());
        prop_assert!(busy <= service + 1e-6 && service <= devices * span + 1e-6);
        let rates = &sim.world().rates;
        let dollars: f64 =
            rates.iter().zip(&usage.service_s).map(|(rates, s)| rates.price_per_hour * s / 3600.0).sum();
        let joules: f64 = (0..rates.len())
            .map(|at| {
                let (busy, service) = (usage.busy_s[at], usage.service_s[at]);
                rates[at].idle_w * (service - busy) + rates[at].busy_w * busy
            })
            .sum();
        prop_assert!((usage.dollars - dollars).abs() < 1e-9 * (1.0 + dollars));
        prop_assert!((usage.energy_j - joules).abs() < 1e-9 * (1.0 + joules));
    }

    /// Shares lie in [0, 1], and energy between that of the same machines all idle and all in use.
    #[test]
    fn measures_are_within_their_bounds(case in case()) {
        let sim = case.play(Simulator::new(case.world()), |_| Ok(()))?;
        let Metrics { jobs, machines, fairness, wasted, deadlines, deadlines_met, .. } = Metrics::of(&sim);
        let mut shares = vec![
            machines.device_utilization,
            machines.idle_while_waiting_share,
            machines.fragmentation.unwrap(),
            machines.scattered_share,
            wasted.waste_share,
        ];
        shares.extend(machines.kinds.iter().map(|kind| kind.utilization));
        prop_assert!(shares.iter().all(|share| (0.0..=1.0 + 1e-9).contains(share)), "{:?}", shares);
        let within = |index: f64, count: usize| {
            let least = 1.0 / count.max(1) as f64;
            (least - 1e-9..=1.0 + 1e-9).contains(&index)
        };
        prop_assert!(within(fairness.jain_jobs_slowdown, jobs) && within(fairness.jain_users_slowdown, fairness.users));
        prop_assert!(fairness.mean_rho <= fairness.max_rho + 1e-9 && fairness.p95_rho <= fairness.max_rho);
        prop_assert!(deadlines_met <= deadlines && fairness.rho_jobs <= jobs);
        let rows = || sim.world().rates.iter().zip(&sim.usage().service_s);
        let idle: f64 = rows().map(|(rates, s)| rates.idle_w * s / 3.6e6).sum();
        let busy: f64 = rows().map(|(rates, s)| rates.busy_w * s / 3.6e6).sum();
        prop_assert!((idle - 1e-9..=busy + 1e-9).contains(&machines.energy_kwh));
    }

    #[test]
    fn preempting_what_cannot_be_is_refused_and_changes_nothing(case in case(), run in 0..50_u64) {
        case.play(Simulator::new(case.world()), |sim| {
            let mut tried = sim.clone();
            let view = sim.view();
            let found = view.running.iter().find(|running| running.sequence == run);
            let legal = case.preempt && found.is_some_and(|running| {
                running.start < view.now && !case.jobs[running.members[0].index()].request
            });
            let outcome: Result<(), Illegal> = tried.apply(Decision::Preempt { run });
            prop_assert_eq!(outcome.is_ok(), legal, "{:?}", outcome);
            prop_assert!(legal || tried.digest() == sim.digest());
            Ok(())
        })?;
    }
}
