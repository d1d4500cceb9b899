//! What goes into the card of an export: decisions to check it with, and what it is worth.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::json;
use yardmaster_agent::evaluate::{Contestant, evaluate};
use yardmaster_agent::frozen::MIN_GOLDEN;
use yardmaster_agent::net::PolicyNet;
use yardmaster_agent::policy::play;
use yardmaster_agent::registry;
use yardmaster_env::spec::{self, Scenario, Split};

use super::episode::Scheduling;
use super::judge::VALIDATION_BASE;
use crate::env::Environment;
use crate::rollout::State;

/// Decisions that an export is checked with.
const STATES: usize = 256;
/// Test episodes whose digests go into a card.
const DIGESTS: usize = 4;

/// Decisions that the prior meets on validation seeds of each scenario, evenly spread over an episode's length.
pub(super) fn states(envs: Vec<Scheduling>, names: &str) -> Result<Vec<State>> {
    let share = STATES / envs.len();
    let states: Vec<State> = envs.into_iter().flat_map(|env| met(env, share)).collect();
    if states.len() < MIN_GOLDEN {
        bail!("scenario {names} asks for too few decisions to freeze a policy");
    }
    Ok(states)
}

/// About so many decisions of one scenario.
fn met(mut env: Scheduling, count: usize) -> Vec<State> {
    let mut met = Vec::new();
    for number in 0..4 {
        env.reset(Split::Validation.seed(VALIDATION_BASE, number));
        loop {
            met.push(State {
                obs: env.observation().clone(),
                prior: env.prior(),
                future: env.future().to_vec(),
            });
            let step = env.step(env.prior().unwrap_or(0));
            if step.terminated || step.truncated {
                break;
            }
        }
    }
    let stride = (met.len() / count).max(1);
    met.into_iter().step_by(stride).take(count).collect()
}

/// What a card says of a policy's worth in each of its scenarios; in those that are another of them on more or fewer nodes it is
/// not measured.
pub fn benchmark(
    scenarios: &[Arc<Scenario>],
    net: &PolicyNet,
    prior: &str,
    episodes: u64,
    base: u64,
) -> Result<serde_json::Value> {
    let one = |scenario: &Scenario| worth(scenario, net, prior, episodes, base);
    if let [scenario] = scenarios {
        return one(scenario);
    }
    let originals = spec::originals(scenarios.iter().map(Arc::as_ref));
    let each = originals.into_iter().map(one).collect::<Result<Vec<_>>>()?;
    Ok(json!({ "scenarios": each }))
}

/// In one scenario: its mean and ratios to the rules on test seeds, and the digests of the
/// first episodes, by which any program can prove that it makes the same choices.
fn worth(
    scenario: &Scenario,
    net: &PolicyNet,
    prior: &str,
    episodes: u64,
    base: u64,
) -> Result<serde_json::Value> {
    let mut contestants = vec![Contestant::learned("learned", Arc::new(net.clone()), prior)?];
    let seeds: Vec<u64> = (0..episodes).map(|number| Split::Test.seed(base, number)).collect();
    let world = |seed| -> Result<_> { Ok(Arc::new(scenario.world(seed)?)) };
    for rule in registry::standard(&*world(seeds[0])?) {
        contestants.push(Contestant::rule(rule)?);
    }
    let rows = evaluate(&contestants, &seeds, world, || ())?;
    let row = rows.first().context("there is one row a contestant")?;
    let digests: Vec<String> = seeds
        .iter()
        .take(DIGESTS)
        .map(|&seed| {
            let sim = play(&world(seed)?, &mut *(contestants[0].build)(), seed)?;
            Ok(format!("{:016x}", sim.digest()))
        })
        .collect::<Result<_>>()?;
    Ok(json!({
        "scenario": scenario.spec().name,
        "episodes": episodes,
        "seed": base,
        "mean": row.mean,
        "ci95": row.ci95,
        "ratio_to": row.ratio_to,
        "digests": digests,
    }))
}
