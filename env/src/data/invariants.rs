//! No cache and no link is ever over-committed; nothing in use is evicted; indices agree with what they index.

use super::DataPlane;
use super::route::Source;
use crate::units::NodeId;

/// Rounding of sums of rates, relative to a capacity.
const SLACK: f64 = 1e-9;

impl DataPlane {
    /// Checks everything, for debug builds and tests.
    ///
    /// # Panics
    ///
    /// If anything is wrong, which is a fault of this module.
    pub fn check(&self) {
        self.check_caches();
        self.check_links();
        self.check_runs();
    }

    fn check_caches(&self) {
        let mut present = 0;
        for (at, cache) in self.caches.iter().enumerate() {
            let node = NodeId(at as u32);
            cache.check();
            for entry in cache.entries() {
                present += usize::from(entry.present);
                let bringing = self.flows.bringing(node, entry.id).is_some();
                assert_ne!(bringing, entry.present, "{:?} on {node:?} is here, or it comes", entry.id);
                let rack = self.spec.node(node).rack;
                let known = self.replicas.nearest(entry.id, rack).any(|holder| holder == node);
                assert_eq!(known, entry.present, "replica {:?} on {node:?}", entry.id);
            }
        }
        assert_eq!(present, self.replicas.len(), "replicas that are nowhere");
    }

    fn check_links(&self) {
        let mut used = vec![(0_u32, 0_u32, 0.0_f64); self.spec.links().len()];
        let flows = self.flows.list();
        for (flow, &link) in
            flows.iter().flat_map(|flow| flow.route.path.iter().map(move |link| (flow, link)))
        {
            let (flows, waiting, rate) = &mut used[link.index()];
            *flows += 1;
            *waiting += u32::from(flow.rate() == 0.0);
            *rate += flow.rate();
            let (load, capacity) = (self.flows.load(link), self.spec.capacity(link));
            assert!(*rate <= capacity * (1.0 + SLACK), "{rate} on a link of {capacity}");
            assert!((0.0..=capacity * (1.0 + SLACK)).contains(&load.used), "{load:?}");
        }
        for (link, load) in self.flows.loads() {
            let (flows, waiting, rate) = used[link];
            assert_eq!((load.flows, load.waiting), (flows, waiting), "transfers on link {link}");
            assert!(
                (load.used - rate).abs() <= rate * SLACK,
                "link {link} carries {rate}, not {}",
                load.used
            );
        }
    }

    fn check_runs(&self) {
        for (at, cache) in self.caches.iter().enumerate() {
            let node = NodeId(at as u32);
            for entry in cache.entries() {
                let holds = self.runs.iter().flat_map(|run| &run.holds);
                let runs = holds.filter(|&&hold| hold == (node, entry.id)).count();
                let copies =
                    self.flows.list().iter().filter(|flow| {
                        flow.artefact == entry.id && flow.route.source == Source::Replica(node)
                    });
                assert_eq!(cache.pins(entry.id) as usize, runs + copies.count(), "pins of {:?}", entry.id);
            }
            let held = |hold: &&(NodeId, _)| hold.0 == node;
            for (_, id) in self.runs.iter().flat_map(|run| &run.holds).filter(held) {
                assert!(cache.get(*id).is_some(), "{id:?} is in use on {node:?} and was evicted");
            }
        }
        for run in &self.runs {
            let awaited = self.flows.list().iter().filter(|flow| flow.waiters.contains(&run.tag)).count();
            assert!(run.pending as usize >= awaited, "run {} waits for {awaited} transfers", run.tag);
        }
    }
}
