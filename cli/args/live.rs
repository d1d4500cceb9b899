//! The command line of what runs beside a live system.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs};

/// Let a policy decide for a running system
#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("decides").required(true).args(["policy", "checkpoint"])))]
pub(crate) struct Serve {
    /// Frozen policy that decides
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Rule that decides, such as mct
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// Policies that are asked beside it without effect: frozen files, or rules by name
    #[arg(long, value_name = "FILE|NAME", num_args = 1..)]
    pub(crate) shadow: Vec<String>,
    /// Show the shadows one decision in so many
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) shadow_every: u64,
    /// Rule that decides where the policy does not
    #[arg(long, value_name = "NAME", default_value = "mct")]
    pub(crate) fallback: String,
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7077", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// Longest time for a decision; the fallback answers within it
    #[arg(long, value_name = "MS", default_value_t = 50.0)]
    pub(crate) deadline_ms: f64,
    /// Misses in a row after which the policy is left alone for a while
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) misses: u32,
    /// How long it is then left alone
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub(crate) rest_s: f64,
    /// Threads that decide
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: usize,
    /// While this file exists the fallback decides
    #[arg(long, value_name = "FILE")]
    pub(crate) disable_file: Option<PathBuf>,
    /// Refuse states that were taken longer ago, if their sender says when
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    pub(crate) max_age_s: f64,
    /// Largest body of a request
    #[arg(long, value_name = "MB", default_value_t = 16)]
    pub(crate) max_body_mb: usize,
    /// How long a request may take to arrive
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub(crate) patience_s: f64,
    /// Turn callers away beyond so many requests a second [default: no limit]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) max_rate: u32,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_connections: usize,
    /// How long open requests have to end after SIGTERM
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub(crate) drain_s: f64,
    /// Bearer tokens that are let in, one a line; also YARDMASTER_TOKEN of the environment
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificate chain for TLS, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key for TLS, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Let in clients with a certificate of this authority only, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Listen beyond loopback though anybody could ask
    #[arg(long)]
    pub(crate) allow_unauthenticated: bool,
    /// Log decisions, one JSON line each
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) audit: Option<PathBuf>,
    /// Begin a new audit file beyond this size
    #[arg(long, value_name = "MB", default_value_t = 256)]
    pub(crate) audit_mb: u64,
    /// Old audit files that are kept
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) audit_keep: u32,
    /// Fire drill: decisions take as many milliseconds longer as this file says, while it exists
    #[arg(long, value_name = "FILE")]
    pub(crate) drill: Option<PathBuf>,
    /// Answer the verbs of kube-scheduler's extenders too; the file says what node labels mean (docs/kubernetes.md)
    #[arg(long, value_name = "MAPPING.toml")]
    pub(crate) kubernetes: Option<PathBuf>,
    /// Folder with nodes.json and pods.json as kubectl prints them, read again when they change
    #[arg(long, value_name = "DIR", requires = "kubernetes")]
    pub(crate) kubernetes_state: Option<PathBuf>,
    /// Bind pods too, through a `kubectl proxy` on this machine
    #[arg(long, value_name = "http://127.0.0.1:PORT", requires = "kubernetes")]
    pub(crate) kubernetes_bind: Option<String>,
    /// Log of the service itself as JSON lines instead of text
    #[arg(long)]
    pub(crate) log_json: bool,
}

/// Ask another policy about everything that an audit log holds
#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("decides").required(true).args(["policy", "checkpoint"])))]
pub(crate) struct Replay {
    /// Audit log of `yardmaster serve`
    #[arg(value_name = "AUDIT.jsonl")]
    pub(crate) log: PathBuf,
    /// Rule to ask
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// Frozen policy to ask
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Differences that are tried on imagined futures at most
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) samples: u64,
    /// Rule that decides what follows in them
    #[arg(long, value_name = "NAME", default_value = "mct")]
    pub(crate) tail: String,
    /// Write the result as JSON (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
}

/// Put load on a decision service and measure how long it takes to answer
#[derive(Debug, ClapArgs)]
pub(crate) struct Load {
    /// Service, such as http://127.0.0.1:7077
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Scenario whose moments are asked about
    #[arg(long, value_name = "NAME|FILE.toml", default_value = "gpu36")]
    pub(crate) scenario: String,
    /// Jobs that wait in each
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) queued: usize,
    /// Different moments, sent in turn
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) states: usize,
    /// Requests in all
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) requests: u64,
    /// Connections; in a closed loop, callers that each wait for their answer
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) connections: u32,
    /// Requests a second, whatever is answered; without it, a closed loop
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<f64>,
    /// File with a bearer token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Episodes that the moments are taken from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write the result as JSON (- for standard output)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:7077 or [::1]:7077".to_owned())
}
