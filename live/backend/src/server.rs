//! HTTP in front of the device.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::device::Device;
use crate::protocol::{Request, Signature};

/// Larger requests are refused.
const MAX_BODY_BYTES: usize = 64 << 20;

struct Served {
    kind: String,
    models: Vec<Signature>,
    device: Device,
}

/// Serves until the process is ended; says on the standard output where.
pub(crate) async fn run(listen: &str, kind: &str, models: Vec<Signature>, device: Device) -> Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; give --listen an address that is free, such as 127.0.0.1:0")
    })?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // Without it an answer may wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
    });
    let served = Arc::new(Served { kind: kind.to_owned(), models, device });
    // Models are loaded before anything is served, so that whoever is alive is ready.
    let routes = Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(|| async {}))
        .route("/v2/health/ready", get(|| async {}))
        .route("/v2/models/{model}", get(metadata))
        .route("/v2/models/{model}/ready", get(metadata))
        .route("/v2/models/{model}/infer", post(infer))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(served);
    axum::serve(listener, routes).await.context("the server has stopped")
}

impl Served {
    fn model(&self, name: &str) -> Result<(usize, &Signature), Refusal> {
        let found = self.models.iter().enumerate().find(|(_, signature)| signature.model == name);
        found.ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("there is no model {name:?} here")))
    }
}

async fn server(State(served): State<Arc<Served>>) -> Json<Value> {
    Json(json!({ "name": served.kind, "version": env!("CARGO_PKG_VERSION"), "extensions": [] }))
}

async fn metadata(
    State(served): State<Arc<Served>>,
    Path(model): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(served.model(&model)?.1.metadata()))
}

async fn infer(
    State(served): State<Arc<Served>>,
    Path(model): Path<String>,
    body: axum::body::Bytes,
) -> Result<Response, Refusal> {
    let (at, signature) = served.model(&model)?;
    let bad = |error: String| Refusal(StatusCode::BAD_REQUEST, error);
    let request: Request = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    let (batch, input) = signature.batch(&request).map_err(|error| bad(error.to_string()))?;
    let output = served.device.run(at, batch, input).await;
    let output = output.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))?;
    Ok(Json(signature.answer(request.id, batch, output)).into_response())
}

/// An answer that is an error, as the protocol says it.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}
