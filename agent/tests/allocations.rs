//! A learned policy decides without touching the allocator, once its buffers have grown.
#![allow(unsafe_code, reason = "an allocator that counts can only be written so")]
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use yardmaster_agent::learned::Learned;
use yardmaster_agent::net::{Dims, Layout as Weights, PolicyNet, Sizes};
use yardmaster_agent::policy::Policy;
use yardmaster_env::observe::Schema;
use yardmaster_env::sim::Simulator;
use yardmaster_env::spec::{self, Split};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A policy of small random weights, so that it strays from its prior.
fn stray() -> PolicyNet {
    let (dims, sizes) = (Dims::from(&Schema::current()), Sizes::default());
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let weights: Vec<f32> =
        (0..Weights::policy(&dims, &sizes).total()).map(|_| 0.1 * (random.random::<f32>() - 0.5)).collect();
    PolicyNet::new(dims, sizes, 0.0, &weights).unwrap()
}

#[test]
fn the_second_episode_allocates_nothing_to_decide() {
    for name in ["pool12", "sweeps", "serving-burst"] {
        let scenario = spec::builtin(name).unwrap();
        let world = Arc::new(scenario.world(Split::Test.seed(0, 0)).unwrap());
        let mut policy = Learned::new("learned", Arc::new(stray()), &scenario.spec().prior).unwrap();
        for episode in 0..2 {
            let mut sim = Simulator::new(Arc::clone(&world));
            let (mut allocations, mut decisions) = (0, 0);
            // It may stray so far that it waits for ever.
            while decisions < 5000
                && let Some(view) = sim.next_decision()
            {
                let before = ALLOCATIONS.get();
                let decision = policy.decide(&view);
                allocations += ALLOCATIONS.get() - before;
                decisions += 1;
                sim.apply(decision).unwrap();
            }
            assert!(decisions > 100, "{name}");
            assert!(
                episode == 0 || allocations == 0,
                "{name}: {allocations} allocations in {decisions} decisions"
            );
        }
    }
}
