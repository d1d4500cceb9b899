//! A front for inference back ends that speak the Open Inference Protocol v2: requests queue here by model, a policy
//! chooses back end, batch and moment, and each caller gets its own answer back.
//!
//! [`state`] holds the queues as the arrays that a policy is shown, without clock or socket; [`decide`] puts a rule
//! behind the policy; `dispatch` is the thread that owns both and keeps time; `front` and [`client`] are HTTP on either
//! side; [`tensor`] joins requests and splits answers. A simulated cluster and this one are driven by the same views: a
//! test feeds both the same arrivals and compares every batch.

pub mod client;
pub mod compare;
pub mod config;
pub mod decide;
mod dispatch;
pub mod front;
mod health;
pub mod profile;
pub mod report;
pub mod state;
pub mod stats;
pub mod tensor;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use yardmaster_agent::policy::Policy;
use yardmaster_env::units::Span;

use crate::connections::Connections;
use config::Config;
use decide::Decider;
use dispatch::{Dispatcher, Event, Shared};
use front::Front;
use stats::Stats;

/// How long to wait after a plain wait, where the scenario does not say.
const HOLD: Span = Span::from_micros(2_000);

/// For errors to reach those who have no answer when the gateway gives up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// Where.
        address: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// It has no authentication of its own.
    #[error(
        "{address} can be reached from elsewhere, and the gateway asks nobody who he is: add --expose if that is meant"
    )]
    Exposed {
        /// Where.
        address: SocketAddr,
    },
    /// The server has stopped.
    #[error("the gateway has stopped: {0}")]
    Stopped(#[from] std::io::Error),
}

/// Serves until `stop` comes true, then lets what has been taken in end. `policy` decides, `fallback` where it fails;
/// `told` gets the address. Anything but loopback is refused unless `expose`.
///
/// # Errors
/// See [`GatewayError`].
pub async fn run(
    config: Config,
    (policy, fallback): (Box<dyn Policy>, Box<dyn Policy>),
    expose: bool,
    told: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), GatewayError> {
    let address = config.raw.listen.clone();
    let listener = TcpListener::bind(&address).await.map_err(|why| GatewayError::Listen { address, why })?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && !expose {
        return Err(GatewayError::Exposed { address });
    }
    let hold = config.scenario.spec().hold_ms.map_or(HOLD, |ms| Span::from_secs_f64(ms / 1e3));
    let decider = Decider::new(policy, fallback, hold);
    let nodes = config.scenario.cluster().nodes().iter().map(|node| node.name.as_str());
    let models = config.models.iter().map(|model| model.name.as_str());
    let stats = Stats::new(decider.name(), models, nodes);
    let metas = config.models.iter().map(|_| OnceLock::new()).collect();
    let drain = Duration::from_millis(config.raw.drain_ms);
    let shared = Arc::new(Shared { config, metas, stats });

    let (sender, events) = std::sync::mpsc::channel();
    let channel = (sender.clone(), events);
    let dispatcher = Dispatcher::new(Arc::clone(&shared), decider, channel, Handle::current());
    let thread = std::thread::Builder::new().name("dispatch".into()).spawn(|| dispatcher.run())?;
    for node in 0..shared.config.backends.len() {
        tokio::spawn(health::watch(Arc::clone(&shared), node, sender.clone()));
    }
    let front = Arc::new(Front {
        shared,
        events: sender.clone(),
        next: AtomicU64::new(0),
        draining: AtomicBool::new(false),
    });
    told(address);
    let raw = &front.shared.config.raw;
    let connections = Connections::new(raw.max_connections, Duration::from_millis(raw.read_timeout_ms));
    let (connections, routes) = (Arc::new(connections), front::routes(Arc::clone(&front)));
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.serve(stream, routes.clone(), None),
                // Too many open files, or a caller that has gone: the others are served on.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
    drop(listener);
    front.draining.store(true, Ordering::Relaxed);
    // Whoever has no answer by then gets an error, so that the connections end; one that does not send on is cut off.
    tokio::spawn(async move {
        tokio::time::sleep(drain).await;
        let _ = sender.send(Event::GiveUp);
    });
    connections.drain(drain + LAST_WORDS).await;
    let _ = front.events.send(Event::GiveUp);
    let _ = thread.join();
    Ok(())
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
