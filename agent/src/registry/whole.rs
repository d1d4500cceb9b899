//! Rules that choose work and devices together.

use super::Parameter;
use crate::heuristics::batching::Batching;
use crate::heuristics::completion::EarliestCompletion;
use crate::heuristics::fifo::Fifo;
use crate::heuristics::order::Order;
use crate::heuristics::placement::Placing;
use crate::heuristics::random::Random;
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
];
