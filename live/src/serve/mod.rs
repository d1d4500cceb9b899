//! The decision service: a state in, decisions with reasons out.
//!
//! [`service`] is all of it but the sockets; [`http`] has the routes, [`listen`] the connections and signals. A policy
//! is asked on threads of its own ([`worker`]), so that one that is slow, panics or decides against the rules keeps
//! nobody waiting: a rule answers instead, and after some misses in a row the policy is left alone for a while
//! ([`breaker`]).

pub mod auth;
pub mod breaker;
pub mod clusters;
pub mod config;
pub mod http;
pub mod listen;
pub mod metrics;
pub mod openapi;
pub mod service;
pub mod shadow;
pub mod tls;
pub mod worker;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;

pub use config::{AuditFile, Config, ConfigError, Tls};
pub use service::{Service, StartError};

/// Why a service ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Settings that are refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something that it needs cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Certificates or keys that cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The address cannot be bound, or the system fails otherwise.
    #[error("cannot serve on {listen}: {source}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Serves until the process is told to stop. `bound` is told the address, once the policy is verified; `more` gives
/// routes that are served beside those of the service, behind the same authentication.
///
/// # Errors
/// Anything that keeps it from serving.
pub fn run(
    config: Config,
    more: impl FnOnce(&Arc<Service>) -> Router,
    bound: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    config.check()?;
    let listen = config.listen;
    let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let service = Arc::new(Service::start(config)?);
    let router = http::router(Arc::clone(&service), more(&service));
    let failed = |source| ServeError::Listen { listen, source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(listen::listen(service, router, tls, bound)).map_err(failed)
}

/// For [`run`], where nothing else is served.
pub fn no_more_routes() -> Router {
    Router::new()
}

/// Writes the log of the program to standard error, as text or as JSON lines. Only the first call counts.
pub fn log(json: bool) {
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
    // An error means that a log is there already.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}
