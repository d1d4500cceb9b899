//! A policy decides on a snapshot, after JSON, as it does on the view that the snapshot is of: in every scenario that is
//! shipped, at every decision of the first part of an episode.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::path::Path;
use std::sync::Arc;

use yardmaster_agent::frozen::{self, Frozen};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::policy::Policy;
use yardmaster_agent::registry;
use yardmaster_env::sim::Simulator;
use yardmaster_env::snapshot::{Site, Snapshot};
use yardmaster_env::spec::{BUILTIN, Split, builtin};
use yardmaster_env::view::{Decision, View};

/// Decisions of an episode that are compared.
const DECISIONS: usize = 160;

/// Both instances of a policy: one sees views, the other snapshots of them.
struct Pair {
    views: Box<dyn Policy>,
    snapshots: Box<dyn Policy>,
    /// It remembers nothing of jobs by their place, so that what has ended may be left out.
    trimmed: bool,
}

impl Pair {
    fn of(build: impl Fn() -> Box<dyn Policy>, trimmed: bool) -> Pair {
        let (mut views, mut snapshots) = (build(), build());
        views.reset(5);
        snapshots.reset(5);
        Pair { views, snapshots, trimmed }
    }
}

fn checkpoint(scenario: &str) -> Option<Frozen> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../checkpoints/{scenario}.safetensors"));
    file.exists().then(|| frozen::read(&std::fs::read(&file).unwrap()).unwrap())
}

/// What has gone through text and back.
fn through_json(view: &View<'_>, site: &mut Option<Arc<Site>>, trimmed: bool) -> Snapshot {
    let whole = Snapshot::of(view).unwrap();
    let again = Snapshot::from_json(&whole.to_json()).unwrap();
    assert_eq!(again, whole, "a snapshot after JSON");
    let site = site.get_or_insert_with(|| Arc::clone(again.site()));
    assert_eq!(site, again.site(), "the part that does not change");
    let mut state = whole.state();
    if trimmed {
        state.trim();
    }
    Snapshot::new(site, &state).unwrap()
}

/// A decision with jobs called as the whole snapshot calls them.
fn named(snapshot: &Snapshot, decision: Decision) -> Decision {
    let name = |job: yardmaster_env::units::JobId| yardmaster_env::units::JobId(snapshot.id(job) as u32);
    match decision {
        Decision::Start { job, nodes, batch, variant } => {
            Decision::Start { job: name(job), nodes, batch, variant }
        }
        Decision::Reserve { order } => Decision::Reserve { order: order.into_iter().map(name).collect() },
        other => other,
    }
}

fn compare(scenario: &str, pairs: &mut [Pair]) -> usize {
    let world = Arc::new(builtin(scenario).unwrap().world(Split::Test.seed(11, 0)).unwrap());
    let mut sim = Simulator::new(world);
    let mut site = None;
    let mut decisions = 0;
    while decisions < DECISIONS {
        let Some(view) = sim.next_decision() else { break };
        let mut chosen = None;
        for pair in &mut *pairs {
            let own = pair.views.decide(&view);
            let snapshot = through_json(&view, &mut site, pair.trimmed);
            let other = named(&snapshot, pair.snapshots.decide(&snapshot.view()));
            assert_eq!(other, own, "{scenario}: decision {decisions} of {}", pair.views.name());
            chosen = Some(own);
        }
        sim.apply(chosen.unwrap()).unwrap();
        decisions += 1;
    }
    decisions
}

#[test]
fn every_scenario_is_decided_alike() {
    for (scenario, _) in BUILTIN {
        let spec = builtin(scenario).unwrap();
        let rule = spec.spec().prior.clone();
        let build = || registry::build(&rule).unwrap();
        let mut pairs = vec![Pair::of(build, false), Pair::of(build, true)];
        if let Some(frozen) = checkpoint(scenario) {
            let learned =
                || -> Box<dyn Policy> { Box::new(Learned::from_frozen(*scenario, &frozen).unwrap()) };
            pairs.push(Pair::of(learned, true));
        }
        let decisions = compare(scenario, &mut pairs);
        assert!(decisions > 20, "{scenario} has {decisions} decisions");
    }
}

#[test]
fn rules_that_remember_jobs_decide_alike_where_nothing_is_left_out() {
    let cases = [
        ("pool12", "ga"),
        ("pool12", "price"),
        ("pool12", "matching"),
        ("pool12", "random"),
        ("pool12", "price(spare=2)"),
        ("preempt", "srpt"),
        ("preempt", "las"),
        ("elastic", "price(alpha=1,beta=0,preempt=0.5,migrate=0.9,width=1)"),
        ("estimates", "sjf"),
        ("serving-burst", "mct+aimd"),
        ("serving-swap", "tardiness"),
        ("locality", "mct(fetch=3)"),
        ("datacenter", "price(fetch=5)"),
        ("hpc-256", "wfp3"),
        ("shared", "price+tardiness"),
    ];
    for (scenario, rule) in cases {
        let mut pairs = [Pair::of(|| registry::build(rule).unwrap(), false)];
        assert!(compare(scenario, &mut pairs) > 20, "{scenario} with {rule}");
    }
}
