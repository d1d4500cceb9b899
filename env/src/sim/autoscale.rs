//! Machines that are switched on when work piles up, and off when they have nothing to do: a rule, not a policy.

use super::{NodeState, Simulator};
use crate::rules::Autoscale;
use crate::units::{NodeId, Time};

impl Simulator {
    /// Switches off, before anything has happened, all machines that a rule does not keep.
    pub(super) fn switch_off_spares(&mut self) {
        let world = std::sync::Arc::clone(&self.world);
        for rule in &world.rules.autoscale {
            for &node in rule.nodes.iter().skip(rule.least as usize) {
                self.set_node(node, NodeState::Off);
            }
        }
    }

    pub(super) fn is_scaled(&self, node: NodeId) -> bool {
        self.world.rules.autoscale.iter().any(|rule| rule.nodes.contains(&node))
    }

    pub(super) fn autoscale(&mut self) {
        let world = std::sync::Arc::clone(&self.world);
        for rule in &world.rules.autoscale {
            self.end_boots(rule);
            while self.wants_more(rule) {
                let off = rule.nodes.iter().find(|node| self.state_of(**node) == NodeState::Off);
                let Some(&node) = off else { break };
                self.set_node(node, NodeState::Booting { until: self.now + rule.boot });
            }
            self.end_boots(rule);
            // The last ones first, so that those which stay are the same ones.
            for &node in rule.nodes.iter().rev() {
                if self.idles(rule, node).is_some_and(|end| end <= self.now) && self.can_spare(rule) {
                    self.set_node(node, NodeState::Off);
                }
            }
        }
    }

    fn end_boots(&mut self, rule: &Autoscale) {
        for &node in &rule.nodes {
            if matches!(self.state_of(node), NodeState::Booting { until } if until <= self.now) {
                self.set_node(node, NodeState::Up);
            }
        }
    }

    /// When the next machine has been idle for long enough to be switched off, if it can be spared.
    pub(super) fn next_idle(&self) -> Option<Time> {
        let rules = self.world.rules.autoscale.iter().filter(|rule| self.can_spare(rule));
        rules.flat_map(|rule| rule.nodes.iter().filter_map(|&node| self.idles(rule, node))).min()
    }

    /// When a machine that has nothing to do will have been idle for long enough.
    fn idles(&self, rule: &Autoscale, node: NodeId) -> Option<Time> {
        let idle = self.state_of(node) == NodeState::Up && self.nodes.busy[node.index()] == 0;
        idle.then(|| self.nodes.idle_since[node.index()] + rule.idle)
    }

    fn wants_more(&self, rule: &Autoscale) -> bool {
        let active = self.active(rule);
        // A job that needs more than there is would otherwise wait for ever.
        let stuck = active == self.up(rule)
            && self.running.is_empty()
            && self.all_waiting() > 0
            && !self.anything_fits();
        stuck || self.all_waiting() as f64 > rule.waiting * f64::from(active)
    }

    /// Whether one machine less would be enough, now and after the next look.
    fn can_spare(&self, rule: &Autoscale) -> bool {
        let left = self.active(rule).saturating_sub(1);
        // A gang that waits for several machines to be up together would otherwise never see that.
        let gathers = self.running.is_empty() && self.all_waiting() > 0;
        let needed = gathers || self.all_waiting() as f64 > rule.waiting * f64::from(left);
        left >= rule.least && !needed
    }

    fn active(&self, rule: &Autoscale) -> u32 {
        let active =
            |node: &&NodeId| matches!(self.state_of(**node), NodeState::Up | NodeState::Booting { .. });
        rule.nodes.iter().filter(active).count() as u32
    }

    fn up(&self, rule: &Autoscale) -> u32 {
        rule.nodes.iter().filter(|node| self.state_of(**node) == NodeState::Up).count() as u32
    }

    fn state_of(&self, node: NodeId) -> NodeState {
        self.nodes.states[node.index()]
    }

    /// Jobs and requests that wait for devices.
    pub(super) fn all_waiting(&self) -> usize {
        self.queue.len() + self.streams.iter().map(|stream| stream.queue.len()).sum::<usize>()
    }
}
