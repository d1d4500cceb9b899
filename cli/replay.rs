//! `yardmaster replay`: what another policy would have decided.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use yardmaster_live::audit::Reader;
use yardmaster_live::policy::Loaded;
use yardmaster_live::regret::Regret;
use yardmaster_live::replay::{Gain, Replayed, replay};

use crate::args::Replay;
use crate::output::Output;
use crate::serve;

pub(crate) fn run(args: &Replay) -> Result<()> {
    let [json] = Output::all([("--json", args.json.as_deref())])?;
    let source = serve::source(args.policy.as_deref(), args.checkpoint.as_deref())?;
    let loaded = Loaded::load(&source)?;
    let shown = args.log.display();
    let mut log = Reader::open(&args.log).with_context(|| format!("cannot read {shown}"))?;
    let regret = Regret::new(&args.tail)?;
    let replayed = replay(&mut log, &mut loaded.mind()?, &regret, args.samples);
    let replayed = replayed.with_context(|| format!("{shown}"))?;
    // A torn line is left out of a log; a file of nothing else is none.
    ensure!(
        replayed.decisions + replayed.unreadable > 0,
        "{shown} holds no decision, and {} lines that are none: give what `yardmaster serve --audit` has written",
        replayed.torn
    );
    if !json.as_ref().is_some_and(Output::is_stdout) {
        Output::Stdout.write(text(loaded.name(), &replayed))?;
    }
    match json {
        Some(json) => json.write(&(serde_json::to_string_pretty(&replayed)? + "\n")),
        None => Ok(()),
    }
}

fn text(policy: &str, replayed: &Replayed) -> String {
    let Replayed { decisions, different, by_kind, gain, torn, unreadable, by_fallback } = replayed;
    let share = 100.0 * *different as f64 / (*decisions).max(1) as f64;
    let mut text =
        format!("{policy} would have decided {different} of {decisions} otherwise ({share:.1} %)\n");
    for (kind, count) in by_kind {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {count:8}  {kind}");
    }
    if let Some(Gain { tried, mean, standard_error }) = gain {
        let _ = writeln!(
            text,
            "simulated gain of each: {mean:.4} +- {standard_error:.4} (standard error, {tried} tried; seconds of completion \
             time, or misses where requests have deadlines)"
        );
    }
    let notes = [
        (*by_fallback, "were decided by the fallback rule"),
        (*unreadable, "have no decision that can be read"),
        (*torn as u64, "lines were torn and left out"),
    ];
    for (count, what) in notes.into_iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "{count} {what}");
    }
    text
}
