//! How rules do on validation episodes, as ratios to `mct`, or else to the first of them, with paired 95 % intervals.
//!
//! `cargo run --release -p yardmaster-agent --example compare -- EPISODES SCENARIO,... POLICY,...`
//!
//! With `all` for the policies, those that a comparison takes by default.

use std::sync::Arc;

use yardmaster_agent::evaluate::{Contestant, evaluate};
use yardmaster_agent::policy::PolicyDefect;
use yardmaster_agent::registry;
use yardmaster_env::spec::{self, Split};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [episodes, scenarios, policies] = &arguments[..] else {
        return Err("give the number of episodes, scenarios and policies".into());
    };
    let seeds: Vec<u64> = (0..episodes.parse()?).map(|number| Split::Validation.seed(0, number)).collect();
    for name in registry::split_list(scenarios) {
        let scenario = spec::builtin(&name)?;
        let rules = match policies.as_str() {
            "all" => {
                let standard = registry::standard(&scenario.world(Split::Validation.seed(0, 0))?);
                standard.into_iter().map(str::to_owned).collect()
            }
            list => registry::split_list(list),
        };
        let contestants = rules.iter().map(|rule| Contestant::rule(rule)).collect::<Result<Vec<_>, _>>()?;
        let begin = std::time::Instant::now();
        let world = |seed| -> Result<_, PolicyDefect> {
            #[allow(clippy::unwrap_used, reason = "the shipped scenarios generate episodes")]
            let world = scenario.world(seed).unwrap();
            Ok(Arc::new(world))
        };
        let rows = evaluate(&contestants, &seeds, world, || {})?;
        let base = rules.iter().find(|rule| *rule == "mct").unwrap_or(&rules[0]);
        println!("{name}: {:.1} s in all", begin.elapsed().as_secs_f64());
        for row in &rows {
            let ratio = row.ratio_to.get(base).map_or_else(String::new, |ratio| {
                format!("{:.4} [{:.4}, {:.4}]", ratio.ratio, ratio.ci95[0], ratio.ci95[1])
            });
            let preemptions = row.metrics.preemptions;
            println!("  {:<60} {:>12.4} {ratio} {preemptions:.0}", row.policy, row.mean);
        }
    }
    Ok(())
}
