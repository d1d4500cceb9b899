//! Parts of the policy's network that a run can do without, to measure what they are worth.
//!
//! A part is switched off in the weights: they are set to what takes it out of the logits, and never trained. A frozen
//! policy needs to know nothing of it.

use serde::{Deserialize, Serialize};

use crate::ppo::Network;

/// The logit of an action that is not to be taken unless there is no other.
const NEVER: f32 = -1e3;

/// A part of the network; see `yardmaster_agent::net`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What the two towers say of a candidate's own work and nodes.
    Towers,
    /// The features of a candidate.
    PairFeatures,
    /// What candidates see of the moment as a whole; the action to wait sees it still.
    Context,
    /// The action to wait, unless it is the only one.
    Wait,
}

impl Part {
    /// The arrays that take it out, and what their weights are then.
    fn arrays(self) -> &'static [(&'static str, f32)] {
        match self {
            Self::Towers => &[("key.node.w", 0.0), ("pair.job.w", 0.0), ("pair.node.w", 0.0)],
            Self::PairFeatures => &[("pair.pair.w", 0.0)],
            Self::Context => &[("query.context.w", 0.0), ("pair.context.w", 0.0)],
            Self::Wait => &[("wait.1.w", 0.0), ("wait.1.b", NEVER)],
        }
    }
}

/// Takes the parts out of a policy's network for good.
pub fn switch_off(policy: &mut Network, without: &[Part]) {
    for &(name, value) in without.iter().flat_map(|part| part.arrays()) {
        policy.fix(name, value);
    }
}

/// Multiplies all logits but the prior's raise.
pub fn sharpen(policy: &mut Network, factor: f32) {
    // Weights that each logit is linear in: of its affinity, of its score, and of waiting.
    for name in ["query.job.w", "query.context.w", "score.w", "wait.1.w", "wait.1.b"] {
        policy.scale(name, factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adam::Adam;
    use yardmaster_agent::net::{Dims, Layout, Sizes};

    const ALL: [Part; 4] = [Part::Towers, Part::PairFeatures, Part::Context, Part::Wait];

    fn network() -> Network {
        let layout = Layout::policy(&Dims { global: 3, job: 4, node: 5, pair: 6 }, &Sizes::default());
        let adam = Adam::new(vec![1.0; layout.total()]);
        Network::new(layout, adam)
    }

    #[test]
    fn what_is_switched_off_stays_so_and_the_rest_learns() {
        for part in ALL {
            let mut network = network();
            switch_off(&mut network, &[part]);
            let gradient = vec![0.5; network.layout.trained()];
            (0..3).for_each(|_| {
                network.step(gradient.clone(), 0.1, 1e9);
            });
            let fixed: Vec<&str> = part.arrays().iter().map(|(name, _)| *name).collect();
            for entry in network.layout.entries().iter().filter(|entry| !entry.name.starts_with("norm.")) {
                let values = &network.adam.params[entry.offset..][..entry.len()];
                let wanted = part.arrays().iter().find(|(name, _)| *name == entry.name);
                let is_right = |value: &f32| wanted.map_or(*value < 1.0, |(_, wanted)| value == wanted);
                assert!(values.iter().all(is_right), "{part:?}: {} of {fixed:?}", entry.name);
            }
        }
    }

    #[test]
    fn what_is_switched_off_is_not_sharpened() {
        for part in ALL {
            let mut network = network();
            switch_off(&mut network, &[part]);
            let before = network.clone();
            sharpen(&mut network, 4.0);
            for (name, value) in part.arrays() {
                let entry = network.layout.entry(name).unwrap();
                let values = &network.adam.params[entry.offset..][..entry.len()];
                assert!(values.iter().all(|weight| weight == value), "{part:?}: {name}");
            }
            assert_ne!(network.adam.params, before.adam.params, "{part:?}: the rest is");
        }
    }

    #[test]
    fn fixed_weights_take_no_share_of_the_gradients_norm() {
        let mut network = network();
        switch_off(&mut network, &[Part::PairFeatures]);
        let entry = network.layout.entry("pair.pair.w").unwrap().clone();
        let mut gradient = vec![0.0; network.layout.trained()];
        gradient[entry.offset] = 1e6;
        gradient[0] = 3.0;
        assert_eq!(network.step(gradient, 0.1, 1e9), 3.0);
    }
}
