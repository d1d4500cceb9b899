//! What the learner asks of a world.

use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_agent::net::PolicyNet;
use yardmaster_env::observe::Observation;

/// What a step brought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Reward since the last decision.
    pub reward: f32,
    /// Time to the next decision, in the environment's unit; discounts by time use it.
    pub elapsed: f32,
    /// The episode ended by itself: nothing is to come.
    pub terminated: bool,
    /// The episode was cut off: more would have come, and `observation` still holds the last one.
    pub truncated: bool,
}

/// A world that asks for decisions, one episode after another. The same seed and actions give the same episode.
pub trait Environment: Send {
    /// Begins an episode.
    fn reset(&mut self, seed: u64);
    /// Which of several tasks this is, where they take turns: costs are compared within a task only.
    fn task(&self) -> usize {
        0
    }
    /// About how many decisions the episode will ask for.
    fn length(&self) -> usize;
    /// The decision at hand; valid until the episode terminates, and at least one action is legal.
    fn observation(&self) -> &Observation;
    /// The prior heuristic's action, if it takes one.
    fn prior(&self) -> Option<usize>;
    /// What only the critic may see, such as arrivals to come; always of the same length.
    fn future(&self) -> &[f32];
    /// What each action would cost more than the prior's, as a teacher finds who tries some of them: (actions), NaN for
    /// one that it did not try. `None` where nobody can teach.
    /// What follows is decided by the prior, or by the policy that learns, `net`, where `is_tail`.
    fn regrets(
        &mut self,
        net: &Arc<PolicyNet>,
        is_tail: bool,
        random: &mut Xoshiro256PlusPlus,
    ) -> Option<Vec<f32>> {
        let _ = (net, is_tail, random);
        None
    }
    /// How likely a tutor, who knows the way here, is to take each action: (actions). `None` where there is none, or no action stands
    /// for what it does.
    fn example(&mut self) -> Option<Vec<f32>> {
        None
    }
    /// Whether there is a tutor.
    fn has_tutor(&self) -> bool {
        false
    }
    /// Takes an action below `observation().actions()`.
    fn step(&mut self, action: usize) -> Step;
    /// At an episode's end: the objective, lower is better.
    fn score(&self) -> f64;
}
