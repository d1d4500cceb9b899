//! Rules that choose work and devices together.

use super::Parameter;
use crate::heuristics::batching::Batching;
use crate::heuristics::completion::EarliestCompletion;
use crate::heuristics::fifo::Fifo;
use crate::heuristics::order::Order;
use crate::heuristics::placement::Placing;
use crate::heuristics::random::Random;
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
#[allow(dead_code, reason = "which rule uses what is told by the table")]
pub(super) struct Ingredients<'a> {
    /// What the policy is to be called.
    pub(super) name: &'a str,
    /// One value per parameter, in their order.
    pub(super) values: &'a [f64],
    pub(super) order: Order,
    pub(super) placing: Placing,
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
        parameters: &[],
        takes: &["batching"],
        make: |of| Box::new(EarliestCompletion::eft(of.name, of.batching)),
    },
    WholeRule {
        name: "mct",
        about: "the start that ends first; work may wait for a busy faster device",
        parameters: &[],
        takes: &["batching"],
        make: |of| Box::new(EarliestCompletion::mct(of.name, of.batching)),
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
