//! `yardmaster scenarios` and `yardmaster policies`.

use anyhow::Result;
use yardmaster_agent::registry;
use yardmaster_env::spec;

use crate::output::Output;

/// One line a scenario.
pub(crate) fn scenarios() -> Result<()> {
    let mut text = String::new();
    for (name, _) in spec::BUILTIN {
        let scenario = spec::builtin(name)?;
        let spec = scenario.spec();
        text += &format!("{name:<16} {:<16} {}\n", spec.objective.name(), spec.about);
    }
    Output::Stdout.write(&text)
}

/// One line a rule, then one for each number it takes.
pub(crate) fn policies() -> Result<()> {
    let mut text = String::from(
        "Join an order, a placement and a batching rule by `+`, as in sjf+wrr+timeout(ms=2).\n\n",
    );
    for entry in registry::entries() {
        text += &format!("{:<18} {:<10} {}\n", entry.name, entry.part, entry.about);
        for parameter in entry.parameters {
            text += &format!("{:30}{parameter}: {}\n", "", parameter.about);
        }
    }
    Output::Stdout.write(&text)
}
