//! Rules that choose work and devices together.

use yardmaster_env::units::Span;

use super::Parameter;
use crate::heuristics::backfill::Backfill;
use crate::heuristics::batching::Batching;
use crate::heuristics::completion::{EarliestCompletion, Weights};
use crate::heuristics::fifo::Fifo;
use crate::heuristics::mapping::{Mapping, Prefer};
use crate::heuristics::matching::Matching;
use crate::heuristics::moves::Mover;
use crate::heuristics::order::Order;
use crate::heuristics::random::Random;
use crate::heuristics::ways::Width;
use crate::optimise::genetic::{Genetic, Goal, Settings};
use crate::optimise::shares::{Aim, Shares};
use crate::policy::Policy;

/// An entry of the table.
pub(super) struct WholeRule {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// Which of `order`, `placement` and `batching` may be joined to it.
    pub(super) takes: &'static [&'static str],
    pub(super) make: fn(Ingredients<'_>) -> Box<dyn Policy>,
}

/// What a whole rule is made of. What was not named is the default of [`super::build`].
pub(super) struct Ingredients<'a> {
    /// What the policy is to be called.
    pub(super) name: &'a str,
    /// One value per parameter, in their order.
    pub(super) values: &'a [f64],
    pub(super) order: Order,
    pub(super) batching: Batching,
}

/// All of them.
pub(super) const WHOLE: &[WholeRule] = &[
    WholeRule {
        name: "random",
        about: "any legal start, with equal probability",
        parameters: &[],
        takes: &[],
        make: |_| Box::new(Random::default()),
    },
    WholeRule {
        name: "eft",
        about: "the start that ends first, on free devices",
        parameters: &[FETCH, WIDTH],
        takes: &["batching"],
        make: |of| {
            let (fetch, width) = (of.values[0], width(of.values[1]));
            let weights = Weights { patient: false, fetch, width, ..Weights::default() };
            Box::new(EarliestCompletion::new(of.name, weights, of.batching))
        },
    },
    WholeRule {
        name: "mct",
        about: "the start that ends first; work may wait for a busy faster device",
        parameters: &[FETCH, Parameter { default: 0.0, ..OVERDUE }, WIDTH],
        takes: &["batching"],
        make: |of| {
            let (fetch, overdue, width) = (of.values[0], of.values[1], width(of.values[2]));
            Box::new(EarliestCompletion::new(
                of.name,
                Weights { fetch, overdue, width, ..Weights::default() },
                of.batching,
            ))
        },
    },
    WholeRule {
        name: "reserve",
        about: "as mct; long work leaves some devices of each kind free",
        parameters: &[LONG, Parameter { default: 2.0, ..SPARE }],
        takes: &["batching"],
        make: |of| {
            let (long, spare) = (hours(of.values[0]), of.values[1] as u32);
            Box::new(EarliestCompletion::new(
                of.name,
                Weights { long, spare, ..Weights::default() },
                of.batching,
            ))
        },
    },
    WholeRule {
        name: "price",
        about: "as mct; waits weigh more, and devices that others are fast on cost more",
        parameters: &[ALPHA, BETA, FETCH, LONG, SPARE, OVERDUE, NARROW, PREEMPT, MIGRATE, WIDTH],
        takes: &["batching"],
        make: |of| {
            let &[alpha, beta, fetch, long, spare, overdue, narrow, preempt, migrate, extra] = of.values
            else {
                unreachable!("one value per parameter")
            };
            let weights = Weights {
                patient: true,
                alpha,
                beta,
                fetch,
                long: hours(long),
                spare: spare as u32,
                overdue,
                narrow,
                width: width(extra),
                mover: Mover { preempt, migrate },
            };
            Box::new(EarliestCompletion::new(of.name, weights, of.batching))
        },
    },
    WholeRule {
        name: "matching",
        about: "starts what the best schedule of all that waits starts now (an assignment problem)",
        parameters: &[AHEAD, OVERDUE, REPLAN],
        takes: &["batching"],
        make: |of| {
            Box::new(Matching::new(of.name, of.values[0], of.values[1], of.values[2] == 1.0, of.batching))
        },
    },
    WholeRule {
        name: "min-min",
        about: "maps what waits onto devices, what ends first first",
        parameters: &[],
        takes: &["batching"],
        make: |of| Box::new(Mapping::new(of.name, Prefer::Min, of.batching)),
    },
    WholeRule {
        name: "max-min",
        about: "maps what waits onto devices, what ends last first",
        parameters: &[],
        takes: &["batching"],
        make: |of| Box::new(Mapping::new(of.name, Prefer::Max, of.batching)),
    },
    WholeRule {
        name: "sufferage",
        about: "maps what waits onto devices, what loses most by its second choice first",
        parameters: &[],
        takes: &["batching"],
        make: |of| Box::new(Mapping::new(of.name, Prefer::Sufferage, of.batching)),
    },
    WholeRule {
        name: "easy",
        about: "EASY backfilling: overtakes the head of the queue if that does not delay it",
        parameters: &[],
        takes: &["order", "batching"],
        make: |of| Box::new(Backfill::easy(of.name, of.order, of.batching)),
    },
    WholeRule {
        name: "conservative",
        about: "conservative backfilling: overtakes if that delays nobody before it",
        parameters: &[],
        takes: &["order", "batching"],
        make: |of| Box::new(Backfill::conservative(of.name, of.order, of.batching)),
    },
    WholeRule {
        name: "fifo",
        about: "first in, first out, blind to speed; time slices: whole devices until done",
        parameters: &[],
        takes: &["batching"],
        make: |of| Box::new(Fifo::blind(of.name)),
    },
    WholeRule {
        name: "fifo-perf",
        about: "the same, each on the fastest kind with room (Gavel's fifo_perf)",
        parameters: &[],
        takes: &["batching"],
        make: |of| Box::new(Fifo::perf(of.name)),
    },
    WholeRule {
        name: "max-min-fairness-perf",
        about: "time slices: the least progress against an equal share as large as it can be (Gavel, LP)",
        parameters: &[],
        takes: &[],
        make: |of| Box::new(Shares::new(of.name, Aim::MaxMinFairness)),
    },
    WholeRule {
        name: "min-total-duration-perf",
        about: "time slices: all jobs end as soon as they can (Gavel, LP)",
        parameters: &[],
        takes: &[],
        make: |of| Box::new(Shares::new(of.name, Aim::MinTotalDuration)),
    },
    WholeRule {
        name: "finish-time-fairness-perf",
        about: "time slices: the largest slowdown against an equal share small (Themis and Gavel, LP)",
        parameters: &[],
        takes: &[],
        make: |of| Box::new(Shares::new(of.name, Aim::FinishTimeFairness)),
    },
    WholeRule {
        name: "ga",
        about: "a genetic algorithm plans order and kinds of all that waits, again whenever jobs have come",
        parameters: &[
            Parameter {
                name: "population",
                default: 24.0,
                range: (4.0, 1000.0),
                whole: true,
                tries: &[12.0, 24.0, 48.0],
                about: "plans in a generation",
            },
            Parameter {
                name: "generations",
                default: 30.0,
                range: (0.0, 10_000.0),
                whole: true,
                tries: &[10.0, 30.0, 100.0],
                about: "generations after the first",
            },
            Parameter {
                name: "makespan",
                default: 0.0,
                range: (0.0, 1.0),
                whole: true,
                tries: &[0.0, 1.0],
                about: "1: the end of the last job is to be small, in place of the weighted completion times",
            },
        ],
        takes: &[],
        make: |of| {
            let goal = if of.values[2] > 0.0 { Goal::Makespan } else { Goal::CompletionTime };
            let settings = Settings { population: of.values[0] as usize, generations: of.values[1] as usize };
            Box::new(Genetic::new(of.name, goal, settings))
        },
    },
];

const AHEAD: Parameter = Parameter {
    name: "ahead",
    default: 1.0,
    range: (0.0, 100.0),
    whole: false,
    tries: &[0.0, 0.5, 1.0, 2.0, 4.0],
    about: "jobs to come that a busy device keeps waiting",
};

const REPLAN: Parameter = Parameter {
    name: "replan",
    default: 0.0,
    range: (0.0, 1.0),
    whole: true,
    tries: &[0.0, 1.0],
    about: "1 also schedules anew what runs, where that may be preempted",
};

const ALPHA: Parameter = Parameter {
    name: "alpha",
    default: 2.0,
    range: (0.0, 100.0),
    whole: false,
    tries: &[1.0, 1.5, 2.0, 3.0, 4.0],
    about: "weight of the wait for busy devices",
};

const BETA: Parameter = Parameter {
    name: "beta",
    default: 1.0,
    range: (0.0, 10.0),
    whole: false,
    tries: &[0.0, 0.5, 1.0, 1.5, 2.0],
    about: "exponent of the inefficiency on a kind; 0 looks at no prices",
};

const FETCH: Parameter = Parameter {
    name: "fetch",
    default: 1.0,
    range: (0.0, 100.0),
    whole: false,
    tries: &[1.0, 2.0, 3.0, 5.0],
    about: "weight of bringing data, loading models and restarting",
};

const LONG: Parameter = Parameter {
    name: "long_h",
    default: 33.0,
    range: (0.0, 1e6),
    whole: false,
    tries: &[8.0, 16.0, 33.0, 66.0],
    about: "work that computes longer leaves devices free, in hours",
};

const SPARE: Parameter = Parameter {
    name: "spare",
    default: 0.0,
    range: (0.0, 1e6),
    whole: true,
    tries: &[0.0, 1.0, 2.0],
    about: "how many devices of each kind it leaves free",
};

const OVERDUE: Parameter = Parameter {
    name: "overdue",
    default: 0.5,
    range: (0.0, 100.0),
    whole: false,
    tries: &[0.0, 0.25, 0.5, 1.0],
    about: "what outlives its estimate goes on for so many times as long as it has run",
};

const NARROW: Parameter = Parameter {
    name: "narrow",
    default: 0.0,
    range: (0.0, 10.0),
    whole: false,
    tries: &[0.0, 0.25, 0.5, 1.0],
    about: "exponent of the gang in the order of what could start; above 0 narrow jobs come first",
};

const PREEMPT: Parameter = Parameter {
    name: "preempt",
    default: 0.0,
    range: (0.0, 1.0),
    whole: false,
    tries: &[0.0, 0.3, 0.5, 0.7, 0.85],
    about: "work shorter than this share of what is left of a run preempts it; 0 never",
};

const MIGRATE: Parameter = Parameter {
    name: "migrate",
    default: 0.0,
    range: (0.0, 1.0),
    whole: false,
    tries: &[0.0, 0.5, 0.7, 0.85],
    about: "a run moves where what is left, with the restart, is shorter than this share; 0 never",
};

const WIDTH: Parameter = Parameter {
    name: "width",
    default: -1.0,
    range: (-1.0, 100.0),
    whole: false,
    tries: &[-1.0, 0.0, 0.25, 0.5, 1.0],
    about: "device-seconds that a job may take over the least, to be faster on more devices; below 0 as submitted",
};

fn hours(hours: f64) -> Span {
    Span::from_secs_f64(hours * 3600.0)
}

fn width(extra: f64) -> Width {
    if extra < 0.0 { Width::Own } else { Width::Extra(extra) }
}
