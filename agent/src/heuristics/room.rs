//! Who is next in a batch queue whose choice is binding: whoever is done soonest for its width, the time until there is
//! room included.
//!
//! Where the chosen job is started before any other, to choose one that does not fit leaves the machine to drain. Orders that
//! look at the jobs alone (SJF, SAF, F1) do that all the time. Here the wait until enough processors should be free counts
//! as well, as `wait` times the wait + the time the job takes, times its processors to the `width`. The larger `wait` is,
//! the more what fits comes before what does not, its width apart: near list scheduling (Graham 1969), which backfills unasked.
//!
//! Where others may overtake the chosen job (`commit-backfill`) it is the other way round: choosing a job that has to wait
//! reserves its room, and costs nobody anything who is done before. Then the cost is divided by the wait in minutes to the
//! power of `overtake`. On generated Lublin-Feitelson sequences that is worth 12 % of the mean slowdown of SAF.

use smallvec::smallvec;
use yardmaster_env::releases::Releases;
use yardmaster_env::units::{JobId, Span};
use yardmaster_env::view::{Decision, View};

use super::Work;
use crate::policy::Policy;
use crate::registry::{Parameter, Rule};

/// Rules for batch queues, which may be joined to any other for everything else.
pub const QUEUES: &[Rule<RoomWeights>] = &[Rule {
    name: "room",
    about: "batch queues: done soonest for its width, the time until there is room included; else as saf, or what it is joined to",
    parameters: &[WAIT, WIDTH, OVERTAKE],
    make: |values| RoomWeights { wait: values[0], width: values[1], overtake: values[2] },
}];

const WAIT: Parameter = Parameter {
    name: "wait",
    default: 10.0,
    range: (0.0, 1e6),
    whole: false,
    tries: &[0.0, 0.3, 1.0, 3.0, 10.0, 100.0],
    about: "weight of the time until there is room",
};

const WIDTH: Parameter = Parameter {
    name: "width",
    default: 1.0,
    range: (0.0, 10.0),
    whole: false,
    tries: &[0.0, 0.3, 0.5, 0.7, 1.0, 1.3, 1.6],
    about: "exponent of the processors; 0 looks at times alone",
};

const OVERTAKE: Parameter = Parameter {
    name: "overtake",
    default: 0.0,
    range: (0.0, 10.0),
    whole: false,
    tries: &[0.0, 0.2, 0.3, 0.4, 0.5, 0.7],
    about: "how much a wait for room speaks for a job, as others may overtake it meanwhile",
};

/// What the rule weighs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoomWeights {
    /// Of the time until there is room.
    pub wait: f64,
    /// Exponent of the processors.
    pub width: f64,
    /// Exponent of 1 + the minutes until there is room, which the cost is divided by.
    pub overtake: f64,
}

/// The least of (`wait` x time until there is room + time) x processors^`width` / (1 + minutes until there is
/// room)^`overtake` first.
pub struct Room {
    weights: RoomWeights,
    releases: Releases,
    elsewhere: Box<dyn Policy>,
}

impl Room {
    /// With these weights, and another policy for everything but batch queues, whose name it takes.
    pub fn new(weights: RoomWeights, elsewhere: Box<dyn Policy>) -> Room {
        Room { weights, releases: Releases::default(), elsewhere }
    }

    fn cost(&self, view: &View<'_>, job: JobId) -> f64 {
        let work = Work { job, stream: None };
        let shortest = work.shortest(view).as_secs_f64();
        let kinds = 0..view.timing.kinds();
        let waits = kinds.filter_map(|slot| self.releases.wait(slot, view.job(job).gang));
        let wait = waits.min().map_or(f64::INFINITY, Span::as_secs_f64);
        let RoomWeights { wait: weight, width, overtake } = self.weights;
        let area = (weight * wait + shortest) * libm::pow(f64::from(view.job(job).procs), width);
        if overtake == 0.0 { area } else { area / libm::pow(1.0 + wait / 60.0, overtake) }
    }
}

impl Policy for Room {
    fn name(&self) -> &str {
        self.elsewhere.name()
    }

    fn fork(&self) -> Option<Box<dyn Policy>> {
        Some(Box::new(Room::new(self.weights, self.elsewhere.fork()?)))
    }

    fn reset(&mut self, seed: u64) {
        self.elsewhere.reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        if !view.discipline.commits() {
            return self.elsewhere.decide(view);
        }
        self.releases.fill(view);
        let costs = view.queue.iter().map(|&job| (self.cost(view, job), job));
        // Of equals the one that has waited longest.
        let least = costs.reduce(|least, next| if next.0 < least.0 { next } else { least });
        least.map_or(Decision::Wait { until: None }, |(_, job)| Decision::Reserve { order: smallvec![job] })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use yardmaster_env::snapshot::Snapshot;
    use yardmaster_env::spec::{Split, builtin};
    use yardmaster_env::units::JobId;

    use super::*;
    use crate::policy::play;
    use crate::registry;

    /// Four processors, three of them busy for another 100 s; two wait for 20 s of two, one for 60 s of one.
    const DRAIN: &str = r#"{
        "cluster": {"format": 1, "discipline": "commit", "nodes": [{"name": "a", "kind": "processor", "devices": 4}]},
        "state": {"format": 1, "now_ns": 0, "jobs": [
            {"id": 1, "arrival_ns": 0, "gang": 3, "task": {"rigid": {"requested_ns": 100000000000}}},
            {"id": 2, "arrival_ns": 0, "gang": 2, "task": {"rigid": {"requested_ns": 20000000000}}},
            {"id": 3, "arrival_ns": 0, "task": {"rigid": {"requested_ns": 60000000000}}}],
            "running": [{"sequence": 1, "jobs": [1], "start_ns": 0, "nodes": [{"node": "a", "devices": 3}]}]}}"#;

    #[test]
    fn a_machine_is_not_drained_for_a_small_area() {
        let snapshot = Snapshot::from_json(DRAIN).unwrap();
        let next = |name: &str| match registry::build(name).unwrap().decide(&snapshot.view()) {
            Decision::Reserve { order } => order[0],
            other => panic!("a batch queue takes an order, not {other:?}"),
        };
        assert_eq!(["saf", "room(wait=0)", "room"].map(next), [JobId(1), JobId(1), JobId(2)]);
        assert_eq!(
            ["room(wait=0.3)", "room(wait=0.3,overtake=1)"].map(next),
            [JobId(2), JobId(1)],
            "others may overtake what waits"
        );
    }

    #[test]
    fn it_is_joined_to_any_rule_for_everything_else() {
        let digest = |scenario: &str, name: &str| {
            let world = Arc::new(builtin(scenario).unwrap().world(Split::Validation.seed(1, 1)).unwrap());
            play(&world, &mut *registry::build(name).unwrap(), 0).unwrap().digest()
        };
        for (scenario, as_if) in [
            ("pool12", "price(alpha=3)"),
            ("shared", "price(alpha=3)+tardiness"),
            ("hpc-256", "room(wait=0.3)"),
        ] {
            assert_eq!(digest(scenario, "price(alpha=3)+tardiness+room(wait=0.3)"), digest(scenario, as_if));
        }
        assert_eq!(digest("pool12", "room(width=0.5)"), digest("pool12", "saf(width=0.5)"));
        assert_eq!(digest("pool12", "room+sjf"), digest("pool12", "sjf"));
    }

    #[test]
    fn without_a_weight_of_waits_it_is_smallest_area_first() {
        let scenario = builtin("hpc-256").unwrap();
        let world = Arc::new(scenario.world(Split::Validation.seed(1, 1)).unwrap());
        let digest = |name: &str| play(&world, &mut *registry::build(name).unwrap(), 0).unwrap().digest();
        assert_eq!(digest("room(wait=0,width=0.5)"), digest("saf(width=0.5)"));
        assert_ne!(digest("room"), digest("saf"));
    }
}
