//! A legal action at random: the floor of every comparison.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_env::candidates::Candidates;
use yardmaster_env::view::{Decision, View};

use crate::policy::Policy;

/// Takes any candidate with equal probability; waits only where nothing else is legal.
#[derive(Clone, Debug)]
pub struct Random {
    rng: Xoshiro256PlusPlus,
    candidates: Candidates,
}

impl Default for Random {
    fn default() -> Random {
        Random { rng: Xoshiro256PlusPlus::seed_from_u64(0), candidates: Candidates::default() }
    }
}

impl Policy for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn reset(&mut self, seed: u64) {
        self.rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    }

    fn decide(&mut self, view: &View<'_>) -> Decision {
        self.candidates.fill(view);
        let starts = self.candidates.list.len();
        let action = if starts > 0 { self.rng.random_range(0..starts) } else { 0 };
        self.candidates.decision(view, action).unwrap_or(Decision::Wait { until: None })
    }
}
