//! `yardmaster load`: how long a decision service takes to answer under load.

use anyhow::{Context, Result, bail};
use yardmaster_live::load::client::Client;
use yardmaster_live::load::states::States;
use yardmaster_live::load::{self, Outcome, Plan};

use crate::args::Load;
use crate::input;
use crate::output::Output;
use crate::serve::tokens;

pub(crate) fn run(args: &Load) -> Result<()> {
    let [json] = Output::all([("--json", args.json.as_deref())])?;
    let Some(address) = args.url.strip_prefix("http://") else {
        bail!("{}: the service must be named as http://HOST:PORT; for TLS put a proxy between", args.url);
    };
    let address = address.trim_end_matches('/').to_owned();
    let token = tokens(args.token_file.as_deref(), None)?.into_iter().next();
    let scenario = input::scenario(&args.scenario)?;
    let states = States::of(&scenario, args.queued, args.states.max(1), args.seed)?;
    let cluster = serde_json::to_string(&states.cluster)?;
    let registered = Client::connect(&address, token.as_deref())?.post("/v1/clusters", cluster.as_bytes())?;
    if registered.status != 200 {
        bail!("the cluster was not registered: {}", registered.text());
    }
    let plan = Plan {
        address,
        path: "/v1/decide".into(),
        token,
        bodies: states.bodies(),
        requests: args.requests,
        connections: args.connections,
        per_second: args.rate,
    };
    let bytes = plan.bodies.iter().map(String::len).sum::<usize>() / plan.bodies.len().max(1);
    let outcome = load::run(&plan).context("no load was put on the service")?;
    if !json.as_ref().is_some_and(Output::is_stdout) {
        Output::Stdout.write(text(&plan, bytes, &outcome))?;
    }
    match json {
        Some(json) => json.write(&(serde_json::to_string(&outcome)? + "\n")),
        None => Ok(()),
    }
}

fn text(plan: &Plan, bytes: usize, outcome: &Outcome) -> String {
    let Outcome {
        answered,
        failed,
        by_fallback,
        per_second,
        mean_us,
        p50_us,
        p90_us,
        p99_us,
        p999_us,
        max_us,
        ..
    } = outcome;
    let kind = match plan.per_second {
        Some(rate) => format!("open loop at {rate} a second"),
        None => "closed loop".to_owned(),
    };
    format!(
        "{kind}, {} connections, {} states of {bytes} bytes\n\
         answered {answered}, failed {failed}, by the fallback {by_fallback}: {per_second:.0} a second\n\
         mean {mean_us:.0} us, p50 {p50_us} us, p90 {p90_us} us, p99 {p99_us} us, p99.9 {p999_us} us, max {max_us} us\n",
        plan.connections,
        plan.bodies.len(),
    )
}
