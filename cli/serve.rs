//! `yardmaster serve`: a policy decides for a running system.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use yardmaster_live::extender::bind::Binder;
use yardmaster_live::extender::score::Scorer;
use yardmaster_live::extender::{self, Extender};
use yardmaster_live::policy::{Loaded, Source};
use yardmaster_live::serve::config::SHORTEST_TOKEN;
use yardmaster_live::serve::{self, AuditFile, Config, Tls};

use crate::args::Serve;
use crate::file::text;

/// Where a token may be besides a file; never on the command line, which others can read.
const TOKEN: &str = "YARDMASTER_TOKEN";

pub(crate) fn run(args: &Serve) -> Result<()> {
    serve::log(args.log_json);
    let config = config(args)?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let told = |address| {
        // Scripts and tests read the port here; if nobody reads, nothing is lost.
        let mut out = std::io::stdout();
        let _ = writeln!(out, "listening on {scheme}://{address}").and_then(|()| out.flush());
    };
    let extender = args.kubernetes.as_deref().map(|mapping| extender(args, mapping)).transpose()?;
    let more = |service: &_| match extender {
        Some(extender) => extender::routes::routes(service, extender, args.kubernetes_state.clone()),
        None => serve::no_more_routes(),
    };
    Ok(serve::run(config, more, told)?)
}

/// What answers a Kubernetes scheduler.
fn extender(args: &Serve, mapping: &Path) -> Result<Extender> {
    let mapping = extender::config::Config::parse(&text(mapping)?, &mapping.display().to_string())?;
    let fallback = Loaded::load(&Source::Rule(args.fallback.clone()))?.mind()?;
    let extender = Extender::new(mapping, Scorer::new(fallback));
    Ok(match &args.kubernetes_bind {
        Some(proxy) => extender.with_binder(Binder::new(proxy)?),
        None => extender,
    })
}

/// The policy that options name.
pub(crate) fn source(policy: Option<&str>, checkpoint: Option<&Path>) -> Result<Source> {
    match (policy, checkpoint) {
        (_, Some(path)) => Ok(Source::Checkpoint(path.to_owned())),
        (Some(name), None) => Ok(Source::Rule(name.to_owned())),
        (None, None) => bail!("give --policy or --checkpoint"),
    }
}

fn config(args: &Serve) -> Result<Config> {
    let span = |what: &str, seconds: f64| {
        Duration::try_from_secs_f64(seconds)
            .with_context(|| format!("{what} is {seconds}, it must be a time from 0"))
    };
    let tls = args.tls_cert.as_ref().zip(args.tls_key.as_ref());
    Ok(Config {
        shadows: args.shadow.iter().map(|name| shadow(name)).collect(),
        shadow_every: args.shadow_every.max(1),
        fallback: args.fallback.clone(),
        listen: args.listen,
        deadline: span("--deadline-ms", args.deadline_ms / 1e3)?,
        misses: args.misses,
        rest: span("--rest-s", args.rest_s)?,
        workers: args.workers.clamp(1, 256),
        disable_file: args.disable_file.clone(),
        max_age: span("--max-age-s", args.max_age_s)?,
        most_bytes: args.max_body_mb.saturating_mul(1 << 20),
        patience: span("--patience-s", args.patience_s)?,
        most_per_second: args.max_rate,
        connections: args.max_connections.max(1),
        drain: span("--drain-s", args.drain_s)?,
        tokens: tokens(args.token_file.as_deref(), std::env::var(TOKEN).ok())?,
        tls: tls.map(|(certificate, key)| Tls {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: args.client_ca.clone(),
        }),
        allow_unauthenticated: args.allow_unauthenticated,
        audit: args.audit.as_ref().map(|path| AuditFile {
            path: path.clone(),
            most_bytes: args.audit_mb.saturating_mul(1 << 20),
            keep: args.audit_keep,
        }),
        drill: args.drill.clone(),
        ..Config::new(source(args.policy.as_deref(), args.checkpoint.as_deref())?)
    })
}

fn shadow(name: &str) -> Source {
    match name.ends_with(".safetensors") {
        true => Source::Checkpoint(name.into()),
        false => Source::Rule(name.to_owned()),
    }
}

/// Tokens of a file, one a line, and of the environment.
pub(crate) fn tokens(file: Option<&Path>, variable: Option<String>) -> Result<Vec<String>> {
    let own = variable.into_iter().map(|token| (TOKEN.to_owned(), token));
    let mut tokens: Vec<(String, String)> = own.collect();
    if let Some(path) = file {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
        let lines = lines.filter(|(line, _)| !line.is_empty());
        let before = tokens.len();
        tokens.extend(lines.map(|(line, number)| (format!("line {number} of {shown}"), line.to_owned())));
        if tokens.len() == before {
            bail!("{shown} has no token: write one of at least {SHORTEST_TOKEN} characters on each line");
        }
    }
    if let Some((place, token)) = tokens.iter().find(|(_, token)| token.len() < SHORTEST_TOKEN) {
        let length = token.len();
        bail!(
            "{place} is a token of {length} characters, which can be guessed: give at least {SHORTEST_TOKEN}"
        );
    }
    Ok(tokens.into_iter().map(|(_, token)| token).collect())
}
