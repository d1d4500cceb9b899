//! HTTP connections of a server: so many at a time, none that is kept waiting for ever, and an end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// Open connections.
pub(crate) struct Connections {
    graceful: std::sync::Mutex<Option<GracefulShutdown>>,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Connections {
    /// At most so many; a request's head and a handshake may take as long as `patience`.
    pub(crate) fn new(most: usize, patience: Duration) -> Connections {
        let graceful = std::sync::Mutex::new(Some(GracefulShutdown::new()));
        Connections { graceful, places: Arc::new(Semaphore::new(most)), patience }
    }

    /// Serves one connection in the background; it is closed at once where there are too many.
    pub(crate) fn serve(self: &Arc<Self>, stream: TcpStream, router: Router, tls: Option<TlsAcceptor>) {
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
    pub(crate) async fn drain(&self, most: Duration) {
        let graceful = self.graceful.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(graceful) = graceful else { return };
        if tokio::time::timeout(most, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were cut off");
        }
    }
}
