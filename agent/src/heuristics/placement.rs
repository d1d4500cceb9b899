//! Which devices a chosen piece of work gets, among those that are free.

use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::NodeId;
use yardmaster_env::view::{Placement, Share, View};

use super::Work;
use crate::registry::Rule;

/// A placement rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Placing {
    /// The free devices on which the work ends first.
    Fastest,
    /// The first node that has enough free devices.
    FirstFit,
    /// Smooth weighted round-robin over device kinds; a kind weighs its devices times their measured speed for the
    /// work at hand, relative to the fastest kind.
    WeightedRoundRobin {
        /// What each kind is owed, in turns.
        credit: Vec<f64>,
    },
}

/// All placement rules.
pub const PLACEMENTS: &[Rule<Placing>] = &[
    Rule {
        name: "fastest",
        about: "the free devices on which the work ends first",
        parameters: &[],
        make: |_| Placing::Fastest,
    },
    Rule {
        name: "first-fit",
        about: "the first node with enough free devices",
        parameters: &[],
        make: |_| Placing::FirstFit,
    },
    Rule {
        name: "wrr",
        about: "smooth weighted round-robin, weights = devices x measured speed",
        parameters: &[],
        make: |_| Placing::WeightedRoundRobin { credit: Vec::new() },
    },
];

impl Placing {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Placing::Fastest => "fastest",
            Placing::FirstFit => "first-fit",
            Placing::WeightedRoundRobin { .. } => "wrr",
        }
    }

    /// Forgets past turns.
    pub fn reset(&mut self) {
        if let Placing::WeightedRoundRobin { credit } = self {
            credit.clear();
        }
    }

    /// Devices for the work, with their kind; `None` if it fits nowhere now.
    pub fn choose(&mut self, view: &View<'_>, work: Work) -> Option<(KindSlot, Placement)> {
        let slot = match self {
            Placing::Fastest => {
                let slots = (0..view.timing.kinds()).filter(|&slot| work.fits(view, slot));
                slots.min_by_key(|&slot| work.span(view, slot))?
            }
            Placing::FirstFit => return first_fit(view, work),
            Placing::WeightedRoundRobin { credit } => next_turn(credit, view, work)?,
        };
        view.place_job(work.job, slot).map(|nodes| (slot, nodes))
    }
}

/// The first node with room for the whole gang; a gang that fits no single node is spread.
fn first_fit(view: &View<'_>, work: Work) -> Option<(KindSlot, Placement)> {
    let gang = view.job(work.job).gang;
    for (at, &free) in view.free.iter().enumerate() {
        let node = NodeId(at as u32);
        let slot = view.slot_of(node);
        if free >= gang && work.most(view, slot) > 0 {
            return Some((slot, Placement::from_iter([Share { node, devices: gang }])));
        }
    }
    let slot = (0..view.timing.kinds()).find(|&slot| work.fits(view, slot))?;
    view.place(slot, gang).map(|nodes| (slot, nodes))
}

/// The kind whose turn it is. Every kind earns its weight, the richest of those that have room pays for the turn
/// (the smooth variant, as in nginx, which interleaves the turns).
fn next_turn(credit: &mut Vec<f64>, view: &View<'_>, work: Work) -> Option<KindSlot> {
    let kinds = view.timing.kinds();
    credit.resize(kinds, 0.0);
    let shortest = work.shortest(view).as_secs_f64();
    let weight = |slot: KindSlot| {
        let speed = work.span(view, slot).map_or(0.0, |span| shortest / span.as_secs_f64().max(1e-9));
        f64::from(view.cluster.devices_of(view.cluster.kinds()[slot])) * speed
    };
    let open = (0..kinds).filter(|&slot| work.fits(view, slot));
    let chosen = open.max_by(|&one, &other| {
        // The lower slot wins a tie, so the comparison prefers it.
        (credit[one] + weight(one)).total_cmp(&(credit[other] + weight(other))).then(other.cmp(&one))
    })?;
    let total: f64 = (0..kinds).map(weight).sum();
    for (slot, credit) in credit.iter_mut().enumerate().take(kinds) {
        *credit += weight(slot);
    }
    credit[chosen] -= total;
    Some(chosen)
}
