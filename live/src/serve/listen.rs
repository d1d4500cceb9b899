//! Sockets: connections in, signals, and the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::service::Service;

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

/// Open connections.
struct Connections {
    graceful: std::sync::Mutex<Option<GracefulShutdown>>,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Connections {
    fn new(most: usize, patience: Duration) -> Connections {
        let graceful = std::sync::Mutex::new(Some(GracefulShutdown::new()));
        Connections { graceful, places: Arc::new(Semaphore::new(most)), patience }
    }

    /// Serves one connection in the background; it is closed at once where there are too many.
    fn serve(self: &Arc<Self>, stream: TcpStream, router: Router, tls: Option<TlsAcceptor>) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::warn!("too many connections");
            return;
        };
        // An error means that it has gone already, which reading finds out.
        let _ = stream.set_nodelay(true);
        let own = Arc::clone(self);
        tokio::spawn(async move {
            match tls {
                None => own.talk(stream, router).await,
                Some(tls) => match tokio::time::timeout(own.patience, tls.accept(stream)).await {
                    Ok(Ok(stream)) => own.talk(stream, router).await,
                    Ok(Err(why)) => tracing::debug!(%why, "no handshake"),
                    Err(_) => tracing::debug!("a handshake took too long"),
                },
            }
            drop(place);
        });
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.patience);
        let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let watched = {
            let graceful = self.graceful.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            graceful.as_ref().map(hyper_util::server::graceful::GracefulShutdown::watcher)
        };
        // None: the service is stopping.
        let Some(watcher) = watched else { return };
        if let Err(why) = watcher.watch(connection).await {
            tracing::debug!(%why, "a connection ended");
        }
    }

    /// Lets requests that have begun end, for so long at most.
    async fn drain(&self, most: Duration) {
        let graceful = self.graceful.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(graceful) = graceful else { return };
        if tokio::time::timeout(most, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were cut off");
        }
    }
}
