//! Transfers under way: latency first, then bytes at a fair rate that changes whenever a transfer begins or ends.
//!
//! Between two such moments rates are constant, so that ends are known exactly and nothing is done in between. An end
//! is rounded up to a whole nanosecond: a transfer never takes no time.

use smallvec::SmallVec;

use super::fair::{self, Demand};
use super::link::{LinkId, Links, Load};
use super::route::Route;
use super::spec::ArtefactId;
use crate::units::{NodeId, Span, Time};

/// How long bytes take at a rate in bytes per second, rounded up.
pub(super) fn transfer_time(bytes: f64, rate: f64) -> Span {
    // The cast saturates: longer than five centuries is never.
    Span((bytes / rate * 1e9).ceil() as u64)
}

/// One artefact on its way to one node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flow {
    pub(super) node: NodeId,
    pub(super) artefact: ArtefactId,
    pub(super) route: Route,
    /// It has its room in the cache of the node; otherwise it is streamed for the one run that waits for it.
    pub(super) kept: bool,
    /// Tags of the runs that wait for it, in the order in which they came; at least one.
    pub(super) waiters: SmallVec<[u64; 2]>,
    /// The first byte.
    pub(super) starts: Time,
    /// Bytes that were left `since`.
    pub(super) left: f64,
    pub(super) since: Time,
    /// Bytes per second; 0 before the first byte.
    pub(super) rate: f64,
    /// The last byte, if nothing begins or ends before; an estimate before the first byte.
    pub(super) finish: Time,
}

impl Flow {
    fn is_waiting(&self) -> bool {
        self.rate == 0.0
    }

    fn event(&self) -> Time {
        if self.is_waiting() { self.starts } else { self.finish }
    }

    fn left_at(&self, now: Time) -> f64 {
        (self.left - self.rate * (now - self.since).as_secs_f64()).max(0.0)
    }

    /// Whole bytes that were on the wire until now.
    pub(super) fn moved(&self, now: Time) -> u64 {
        if self.is_waiting() { 0 } else { (self.route.wire as f64 - self.left_at(now)) as u64 }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    pub(super) fn finish(&self) -> Time {
        self.finish
    }

    fn demand(&self) -> Demand<'_> {
        Demand { path: &self.route.path, limit: self.route.limit }
    }

    /// An unchanged rate leaves everything as it is, so that nothing is rounded again.
    fn set_rate(&mut self, now: Time, rate: f64) {
        if rate == self.rate {
            return;
        }
        self.left = self.left_at(now);
        self.since = now;
        self.rate = rate;
        self.finish = now + transfer_time(self.left, rate);
    }
}

/// All transfers under way, in the order in which they began, and what they put on the links.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flows {
    list: Vec<Flow>,
    /// One for each link.
    loads: Vec<Load>,
    /// The next first or last byte.
    next: Option<Time>,
}

impl Flows {
    pub(super) fn new(links: &Links) -> Flows {
        Flows { list: Vec::new(), loads: vec![Load::default(); links.len()], next: None }
    }

    /// These transfers, in the order in which they began.
    pub(super) fn restored(links: &Links, list: Vec<Flow>) -> Flows {
        let mut flows = Flows::new(links);
        for (flow, link) in list.iter().flat_map(|flow| flow.route.path.iter().map(move |link| (flow, link)))
        {
            let load = &mut flows.loads[link.index()];
            load.flows += 1;
            load.waiting += u32::from(flow.is_waiting());
            load.used += flow.rate;
        }
        Flows { next: list.iter().map(Flow::event).min(), list, ..flows }
    }

    pub(super) fn list(&self) -> &[Flow] {
        &self.list
    }

    pub(super) fn load(&self, link: LinkId) -> &Load {
        &self.loads[link.index()]
    }

    /// Links by their index.
    pub(super) fn loads(&self) -> impl Iterator<Item = (usize, &Load)> {
        self.loads.iter().enumerate()
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.next
    }

    /// The transfer that brings an artefact into the cache of a node.
    pub(super) fn bringing(&self, node: NodeId, artefact: ArtefactId) -> Option<&Flow> {
        self.list.iter().find(|flow| flow.kept && flow.node == node && flow.artefact == artefact)
    }

    /// Adds a waiter to the transfer that [`Flows::bringing`] finds; whether it was not one yet.
    pub(super) fn join(&mut self, node: NodeId, artefact: ArtefactId, tag: u64) -> bool {
        let brings = |flow: &&mut Flow| flow.kept && flow.node == node && flow.artefact == artefact;
        match self.list.iter_mut().find(brings) {
            Some(flow) if !flow.waiters.contains(&tag) => {
                flow.waiters.push(tag);
                true
            }
            _ => false,
        }
    }

    /// Begins a transfer, which is expected to take a time.
    pub(super) fn begin(
        &mut self,
        now: Time,
        (node, artefact, kept): (NodeId, ArtefactId, bool),
        waiters: SmallVec<[u64; 2]>,
        (route, expected): (Route, Span),
    ) {
        for link in &route.path {
            let load = &mut self.loads[link.index()];
            load.flows += 1;
            load.waiting += 1;
        }
        let starts = now + route.latency;
        self.next = Some(self.next.map_or(starts, |next| next.min(starts)));
        let (left, finish) = (route.wire as f64, now + expected);
        self.list.push(Flow {
            node,
            artefact,
            route,
            kept,
            waiters,
            starts,
            left,
            since: starts,
            rate: 0.0,
            finish,
        });
    }

    /// Lets the first and last bytes of a moment happen; gives the transfers that are complete.
    pub(super) fn step(&mut self, links: &Links, now: Time) -> Vec<Flow> {
        self.remove(links, now, |flow| !flow.is_waiting() && flow.finish <= now)
    }

    /// Removes some transfers and shares the links among the others.
    pub(super) fn remove(
        &mut self,
        links: &Links,
        now: Time,
        mut which: impl FnMut(&Flow) -> bool,
    ) -> Vec<Flow> {
        let gone: Vec<Flow> = self.list.extract_if(.., |flow| which(flow)).collect();
        for flow in &gone {
            for link in &flow.route.path {
                let load = &mut self.loads[link.index()];
                load.flows -= 1;
                load.waiting -= u32::from(flow.is_waiting());
                load.used = 0.0;
            }
        }
        self.share(links, now);
        gone
    }

    /// Takes a run from the waiters of all transfers, and ends those that nobody waits for any more.
    pub(super) fn leave(&mut self, links: &Links, now: Time, tag: u64) -> Vec<Flow> {
        for flow in &mut self.list {
            flow.waiters.retain(|waiter| *waiter != tag);
        }
        match self.list.iter().any(|flow| flow.waiters.is_empty()) {
            true => self.remove(links, now, |flow| flow.waiters.is_empty()),
            false => Vec::new(),
        }
    }

    /// Gives each transfer that has begun to move its fair rate.
    fn share(&mut self, links: &Links, now: Time) {
        let moving = |flow: &&Flow| flow.starts <= now;
        let demands: Vec<Demand<'_>> = self.list.iter().filter(moving).map(Flow::demand).collect();
        let rates = fair::rates(|link| links.capacity(link), &demands);
        for link in self.list.iter().filter(moving).flat_map(|flow| &flow.route.path) {
            self.loads[link.index()].used = 0.0;
        }
        let moving = self.list.iter_mut().filter(|flow| flow.starts <= now);
        for (flow, rate) in moving.zip(rates) {
            for link in &flow.route.path {
                let load = &mut self.loads[link.index()];
                load.waiting -= u32::from(flow.is_waiting());
                load.used += rate;
            }
            flow.set_rate(now, rate);
        }
        self.next = self.list.iter().map(Flow::event).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{A, at, node, plane, setup};

    #[test]
    fn an_end_is_rounded_up_so_that_bytes_always_take_time() {
        assert_eq!(transfer_time(1.0, 3.0), Span(333_333_334));
        assert_eq!(transfer_time(1.0, 1e18), Span(1));
        assert_eq!(transfer_time(1.0, 1e-18), Span::MAX);
    }

    #[test]
    fn a_transfer_is_not_touched_by_what_shares_no_full_link() {
        let mut setup = setup(2, 2);
        setup.nodes[0].nic_bytes_per_s = 3.0;
        let mut plane = plane(setup);
        plane.begin(at(0), node(0), &[A], 1);
        plane.advance(at(0));
        let before = plane.flows.list()[0].clone();
        for second in 1..100 {
            plane.begin(at(second), node(1), &[A], 1 + second);
        }
        assert_eq!(plane.flows.list()[0], before, "to the last bit");
    }
}
