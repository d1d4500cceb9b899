//! Decisions a second on an environment of usual size:
//! `cargo test --release -p yardmaster-train --test speed -- --ignored --nocapture`.

use yardmaster_agent::net::Dims;
use yardmaster_env::observe::{Observation, Pair};
use yardmaster_train::config::Config;
use yardmaster_train::env::{Environment, Step};
use yardmaster_train::trainer::Trainer;

const DIMS: Dims = Dims { global: 12, job: 16, node: 16, pair: 12 };

/// The same observation again and again: 20 jobs, 6 nodes, 40 candidates.
struct Synthetic {
    obs: Observation,
    left: usize,
}

impl Synthetic {
    fn new(seed: usize) -> Self {
        let noise = |n: usize| (0..n).map(|i| ((i * 7919 + seed * 131) % 1009) as f32 / 1009.0).collect();
        let pairs = (0..40).map(|i| Pair { job: i % 20, node: i % 6 }).collect();
        let obs = Observation {
            global: noise(12),
            jobs: noise(20 * 16),
            nodes: noise(6 * 16),
            pair_features: noise(40 * 12),
            pairs,
            wait: true,
        };
        Self { obs, left: 0 }
    }
}

impl Environment for Synthetic {
    fn reset(&mut self, _seed: u64) {
        self.left = 256;
    }
    fn observation(&self) -> &Observation {
        &self.obs
    }
    fn prior(&self) -> Option<usize> {
        Some(3)
    }
    fn future(&self) -> &[f32] {
        &self.obs.jobs[..8]
    }
    fn step(&mut self, action: usize) -> Step {
        self.left -= 1;
        Step { reward: (action % 5) as f32, elapsed: 1.0, terminated: self.left == 0, truncated: false }
    }
    fn score(&self) -> f64 {
        0.0
    }
}

#[test]
#[ignore = "a measurement"]
fn decisions_a_second() {
    for threads in [1, 2] {
        let config = Config { threads, target_kl: 0.0, ..Config::default() };
        let envs = (0..config.envs).map(Synthetic::new).collect();
        let mut trainer = Trainer::new(config.clone(), envs, DIMS, 8).unwrap();
        for _ in 0..3 {
            let metrics = trainer.iterate().unwrap();
            let rate = |name| (config.envs * 256) as f64 / metrics.get(name).unwrap();
            println!(
                "{threads} threads: acting {:.0}/s, updating ({} epochs) {:.0}/s, both {:.0}/s",
                rate("performance/play_seconds"),
                config.epochs,
                rate("performance/learn_seconds"),
                metrics.get("charts/SPS").unwrap()
            );
        }
    }
}
