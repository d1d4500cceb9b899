//! The trait behind which every scheduler stands, learned or not.

use std::sync::Arc;

use yardmaster_env::sim::{Illegal, Simulator, World};
use yardmaster_env::view::{Decision, View};

/// Decides what starts where. Sees a [`View`] and nothing else.
pub trait Policy: Send {
    /// The name under which the registry builds it.
    fn name(&self) -> &str;

    /// Forgets all episodes before; `seed` decides every random choice to come.
    fn reset(&mut self, seed: u64) {
        let _ = seed;
    }

    /// A legal decision for this moment.
    fn decide(&mut self, view: &View<'_>) -> Decision;

    /// A copy that goes on from here by itself, for planners; `None` from a policy that cannot be copied, of which a
    /// new one has to do.
    fn fork(&self) -> Option<Box<dyn Policy>> {
        None
    }
}

impl<P: Policy + ?Sized> Policy for Box<P> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn reset(&mut self, seed: u64) {
        (**self).reset(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        (**self).decide(view)
    }

    fn fork(&self) -> Option<Box<dyn Policy>> {
        (**self).fork()
    }
}

/// A policy made an illegal decision: a defect of the policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy {policy} made an illegal decision at {now_ns} ns: {why}")]
pub struct PolicyDefect {
    /// Whose.
    pub policy: String,
    /// When.
    pub now_ns: u64,
    /// What was illegal.
    pub why: Illegal,
}

/// Lets a policy schedule a whole episode.
pub fn play(world: &Arc<World>, policy: &mut dyn Policy, seed: u64) -> Result<Simulator, PolicyDefect> {
    let mut sim = Simulator::new(Arc::clone(world));
    policy.reset(seed);
    while let Some(view) = sim.next_decision() {
        let decision = policy.decide(&view);
        sim.apply(decision).map_err(|why| PolicyDefect {
            policy: policy.name().to_owned(),
            now_ns: sim.now().0,
            why,
        })?;
    }
    Ok(sim)
}
