//! `yardmaster slurm`: a policy places the held jobs of a Slurm partition.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use yardmaster_agent::learned::Learned;
use yardmaster_agent::policy::Policy;
use yardmaster_agent::registry;
use yardmaster_env::catalog::Catalog;
use yardmaster_live::slurm::{Adapter, Commands, Config, Event, Settings};

use crate::args::Slurm;
use crate::file::text;
use crate::input;
use crate::silence::Silence;

/// Runs the command, without end unless told to look once.
pub(crate) fn run(args: &Slurm) -> Result<()> {
    let policy = policy(args)?;
    let config = match &args.config {
        Some(path) => Config::parse(&text(path)?, path, Catalog::builtin())?,
        None => Config::default(),
    };
    let slurm = Commands { limit: config.command_limit };
    let settings = Settings {
        partition: args.partition.clone(),
        interval: args.interval,
        disable_file: args.disable_file.clone(),
        dry_run: args.dry_run,
        config,
    };
    tell("info", &format!("{} places held jobs of partition {}", policy.name(), settings.partition));
    // A policy that panics is an event of the log, and not the end.
    let _silence = Silence::begin();
    let mut adapter = Adapter::new(slurm, policy, settings);
    loop {
        let mut mistaken = None;
        let pause = adapter.look(now(), &mut |event| match event {
            Event::NoPartition { was_there: false, .. } => mistaken = Some(event.to_string()),
            event => log(event),
        });
        // A name that was never right would be waited for in vain; one that was may come back.
        if let Some(why) = mistaken {
            bail!("{why}");
        }
        if args.once {
            break;
        }
        thread::sleep(pause);
    }
    if adapter.is_unreachable() {
        bail!("Slurm could not be reached");
    }
    Ok(())
}

fn policy(args: &Slurm) -> Result<Box<dyn Policy>> {
    match (&args.checkpoint, &args.policy) {
        (Some(path), _) => {
            let shown = path.display();
            let frozen = input::policy(path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let learned = Learned::from_frozen(name, &frozen);
            Ok(Box::new(learned.with_context(|| format!("{shown} is not a usable frozen policy"))?))
        }
        (None, Some(name)) => Ok(registry::build(name)?),
        (None, None) => bail!("give --policy or --checkpoint"),
    }
}

fn log(event: Event) {
    tell(if event.is_warning() { "warning" } else { "info" }, &event.to_string());
}

/// One line of the log, on the standard error: seconds since 1970, how much it matters, what happened.
fn tell(level: &str, words: &str) {
    eprintln!("{:.3} {level} {words}", now().as_secs_f64());
}

#[allow(
    clippy::disallowed_methods,
    reason = "jobs of Slurm live in real time; this is the command that reads the clock"
)]
fn now() -> Duration {
    // A clock before 1970 is taken for 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
