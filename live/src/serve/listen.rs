//! Sockets: connections in, signals, and the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use super::service::Service;
use crate::connections::Connections;

/// Serves until the process is told to stop (SIGTERM or SIGINT), then lets open requests end. SIGHUP loads the policy
/// again. `bound` is told the address.
///
/// # Errors
/// The address cannot be bound, signals cannot be heard.
pub async fn listen(
    service: Arc<Service>,
    router: Router,
    tls: Option<TlsAcceptor>,
    bound: impl FnOnce(SocketAddr),
) -> std::io::Result<()> {
    let config = service.config();
    let listener = TcpListener::bind(config.listen).await?;
    let [mut terminate, mut interrupt, mut hangup] =
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
    bound(listener.local_addr()?);
    let graceful = Arc::new(Connections::new(config.connections, config.patience));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => graceful.serve(stream, router.clone(), tls.clone()),
                // Too many open files, or a caller that has gone: the others are served on.
                Err(why) => {
                    tracing::warn!(%why, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            _ = hangup.recv() => {
                let service = Arc::clone(&service);
                // What comes of it is logged and counted.
                tokio::task::spawn_blocking(move || drop(service.reload(None)));
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);
    tracing::info!("draining");
    graceful.drain(config.drain).await;
    service.flush();
    tracing::info!("stopped");
    Ok(())
}
