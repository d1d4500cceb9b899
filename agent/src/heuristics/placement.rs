//! Which devices a chosen piece of work gets, among those that are free.
//!
//! Sources: the fits are Johnson's (1974) for bin packing, node by node; the dot product is that of Tetris (Grandl et al.,
//! SIGCOMM 2014); fragmentation gradient descent is Weng et al. (USENIX ATC 2023), with gangs for pods; smooth
//! weighted round-robin is that of nginx. Gangs that fit no single node are spread.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_env::timing::KindSlot;
use yardmaster_env::units::NodeId;
use yardmaster_env::view::{Placement, Share, View};

use super::gangs::Gangs;
use super::{Work, waiting};
use crate::registry::Rule;

/// A placement rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Placing {
    /// The free devices on which the work ends first.
    Fastest,
    /// Any node that has enough free devices.
    Random {
        /// Draws it.
        rng: Xoshiro256PlusPlus,
    },
    /// The nodes in turn.
    RoundRobin {
        /// Whose turn it is.
        next: usize,
    },
    /// The node that runs the fewest pieces of work for its devices.
    LeastConnections,
    /// The first node that has enough free devices.
    FirstFit,
    /// The node with the fewest free devices that are enough.
    BestFit,
    /// The node whose free devices and speed are most like what the work wants.
    DotProduct,
    /// The node where the fewest devices become useless for gangs like those seen lately.
    FragmentationGradient {
        /// The sizes of those gangs.
        gangs: Gangs,
    },
    /// The kind with most free devices for the work that waits for it.
    Demand,
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
        name: "random-fit",
        about: "any node with enough free devices",
        parameters: &[],
        make: |_| Placing::Random { rng: Xoshiro256PlusPlus::seed_from_u64(0) },
    },
    Rule {
        name: "round-robin",
        about: "the nodes in turn",
        parameters: &[],
        make: |_| Placing::RoundRobin { next: 0 },
    },
    Rule {
        name: "least-connections",
        about: "the node that runs the fewest pieces of work for its devices",
        parameters: &[],
        make: |_| Placing::LeastConnections,
    },
    Rule {
        name: "first-fit",
        about: "the first node with enough free devices",
        parameters: &[],
        make: |_| Placing::FirstFit,
    },
    Rule {
        name: "best-fit",
        about: "the node with the fewest free devices that are enough",
        parameters: &[],
        make: |_| Placing::BestFit,
    },
    Rule {
        name: "dot-product",
        about: "the node whose free devices and speed align best with the work (Tetris)",
        parameters: &[],
        make: |_| Placing::DotProduct,
    },
    Rule {
        name: "fragmentation-gradient",
        about: "the node where the fewest devices become useless for gangs seen lately",
        parameters: &[],
        make: |_| Placing::FragmentationGradient { gangs: Gangs::default() },
    },
    Rule {
        name: "demand",
        about: "the kind with most free devices for the work that waits for it",
        parameters: &[],
        make: |_| Placing::Demand,
    },
    Rule {
        name: "wrr",
        about: "smooth weighted round-robin, weights = devices x measured speed",
        parameters: &[],
        make: |_| Placing::WeightedRoundRobin { credit: Vec::new() },
    },
];

impl Placing {
    /// Forgets past turns; `seed` decides what is drawn.
    pub fn reset(&mut self, seed: u64) {
        match self {
            Placing::Random { rng } => *rng = Xoshiro256PlusPlus::seed_from_u64(seed),
            Placing::RoundRobin { next } => *next = 0,
            Placing::FragmentationGradient { gangs } => *gangs = Gangs::default(),
            Placing::WeightedRoundRobin { credit } => credit.clear(),
            _ => {}
        }
    }

    /// Devices for the work, with their kind; `None` if it fits nowhere now.
    pub fn choose(&mut self, view: &View<'_>, work: Work) -> Option<(KindSlot, Placement)> {
        if let Some(slot) = self.kind(view, work) {
            return view.place_job(work.job, slot).map(|nodes| (slot, nodes));
        }
        let devices = view.job(work.job).gang;
        match self.node(view, work) {
            Some(node) => Some((view.slot_of(node), Placement::from_iter([Share { node, devices }]))),
            None => {
                let slot = (0..view.timing.kinds()).find(|&slot| work.fits(view, slot))?;
                view.place(slot, devices).map(|nodes| (slot, nodes))
            }
        }
    }

    /// The kind, by the rules that look at kinds.
    fn kind(&mut self, view: &View<'_>, work: Work) -> Option<KindSlot> {
        let slots = (0..view.timing.kinds()).filter(|&slot| work.fits(view, slot));
        match self {
            Placing::Fastest => slots.min_by_key(|&slot| work.span(view, slot)),
            Placing::Demand => {
                let demand = demand(view);
                let share = |slot: KindSlot| f64::from(view.free_by_kind[slot]) / demand[slot].max(1e-9);
                // The faster one of those that are equally free.
                let faster = |slot: KindSlot| std::cmp::Reverse(work.span(view, slot));
                slots.max_by(|&one, &other| {
                    share(one).total_cmp(&share(other)).then(faster(one).cmp(&faster(other)))
                })
            }
            Placing::WeightedRoundRobin { credit } => next_turn(credit, view, work),
            _ => None,
        }
    }

    /// The single node, by the rules that look at nodes.
    fn node(&mut self, view: &View<'_>, work: Work) -> Option<NodeId> {
        let gang = view.job(work.job).gang;
        let free = |node: NodeId| view.free[node.index()];
        let runs: Vec<bool> = (0..view.timing.kinds()).map(|slot| work.most(view, slot) > 0).collect();
        let open = |node: NodeId| free(node) >= gang && runs[view.slot_of(node)];
        let count = view.free.len();
        let mut nodes = (0..count).map(|at| NodeId(at as u32)).filter(|&node| open(node));
        let span = |node: NodeId| work.span(view, view.slot_of(node)).unwrap_or_default();
        match self {
            Placing::Random { rng } => {
                let nodes: Vec<NodeId> = nodes.collect();
                (!nodes.is_empty()).then(|| nodes[rng.random_range(0..nodes.len())])
            }
            Placing::RoundRobin { next } => {
                let turns = (0..count).map(|turn| NodeId(((*next + turn) % count) as u32));
                let node = turns.into_iter().find(|&node| open(node))?;
                *next = node.index() + 1;
                Some(node)
            }
            Placing::LeastConnections => {
                let pieces = pieces(view);
                let load = |node: NodeId| f64::from(pieces[node.index()]) / devices(view, node);
                nodes.min_by(|&one, &other| load(one).total_cmp(&load(other)))
            }
            Placing::FirstFit => nodes.next(),
            Placing::BestFit => nodes.min_by_key(|&node| (free(node), span(node))),
            Placing::DotProduct => {
                let largest = view.cluster.nodes().iter().map(|node| node.devices).max().unwrap_or(1);
                let shortest = work.shortest(view).as_secs_f64();
                let part = |devices: u32| f64::from(devices) / f64::from(largest);
                // The work wants all the speed there is, and its gang.
                let speed = |node: NodeId| shortest / span(node).as_secs_f64().max(1e-9);
                let aligned = |node: NodeId| part(gang) * part(free(node)) + speed(node);
                nodes.max_by(|&one, &other| aligned(one).total_cmp(&aligned(other)).then(other.cmp(&one)))
            }
            Placing::FragmentationGradient { gangs } => {
                gangs.update(view);
                let grows = |node: NodeId| gangs.useless(free(node) - gang) - gangs.useless(free(node));
                nodes.min_by(|&one, &other| {
                    grows(one).total_cmp(&grows(other)).then(span(one).cmp(&span(other)))
                })
            }
            _ => None,
        }
    }
}

/// How many pieces of work each node runs.
fn pieces(view: &View<'_>) -> Vec<u32> {
    let mut pieces = vec![0; view.free.len()];
    for share in view.running.iter().flat_map(|run| &run.nodes) {
        pieces[share.node.index()] += 1;
    }
    pieces
}

fn devices(view: &View<'_>, node: NodeId) -> f64 {
    f64::from(view.cluster.node(node).devices)
}

/// Device-seconds that wait for each kind, each piece of work being counted where it is fastest.
fn demand(view: &View<'_>) -> Vec<f64> {
    let mut demand = vec![0.0; view.timing.kinds()];
    for work in waiting(view) {
        let spans = (0..demand.len()).filter_map(|slot| Some((work.span(view, slot)?, slot)));
        if let Some((span, slot)) = spans.min() {
            demand[slot] += span.as_secs_f64() * f64::from(view.job(work.job).gang);
        }
    }
    demand
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
