//! HTTP in front of the dispatcher.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::LengthLimitError;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::dispatch::{Answered, Arrival, Event, Failure, Shared};
use super::tensor::{self, ModelMeta, Row};

/// Header of a request: milliseconds from arrival to deadline.
pub const DEADLINE_HEADER: &str = "x-deadline-ms";
/// Header of an answer: the node that it comes from.
pub const BACKEND_HEADER: &str = "x-yardmaster-backend";
/// Header of an answer: requests in its batch.
pub const BATCH_HEADER: &str = "x-yardmaster-batch";

/// What the handlers share.
pub(super) struct Front {
    pub(super) shared: Arc<Shared>,
    pub(super) events: Sender<Event>,
    pub(super) next: AtomicU64,
    pub(super) draining: AtomicBool,
}

/// The routes.
pub(super) fn routes(front: Arc<Front>) -> Router {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(|| async {}))
        .route("/healthz", get(|| async {}))
        .route("/v2/health/ready", get(ready))
        .route("/readyz", get(ready))
        .route("/v2/models/{model}", get(metadata))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/metrics", get(metrics))
        .with_state(front)
        .fallback(|| async {
            Refusal::new(StatusCode::NOT_FOUND, "no such path: see docs/gateway.md for those there are")
        })
        .method_not_allowed_fallback(|method: Method| async move {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path does not take {method}"))
        })
}

impl Front {
    fn model(&self, name: &str) -> Result<usize, Refusal> {
        let found = self.shared.config.models.iter().position(|model| model.name == name);
        found.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, format!("there is no model {name:?} here")))
    }

    fn meta(&self, model: usize) -> Result<&ModelMeta, Refusal> {
        let none =
            || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no back end has described the model yet");
        self.shared.metas[model].get().ok_or_else(none)
    }

    /// A whole body, within the limits of size and time.
    async fn read(&self, body: Body) -> Result<Bytes, Refusal> {
        let raw = &self.shared.config.raw;
        let (most, limit) = (raw.max_body_bytes, Duration::from_millis(raw.read_timeout_ms));
        match tokio::time::timeout(limit, to_bytes(body, most)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(why)) => Err(match why.into_inner().is::<LengthLimitError>() {
                true => {
                    let large = format!("the body is larger than {most} bytes (max_body_bytes)");
                    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, large)
                }
                false => Refusal::new(StatusCode::BAD_REQUEST, "the body broke off"),
            }),
            Err(_) => {
                let slow = format!("the body did not arrive within {limit:?} (read_timeout_ms)");
                Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, slow))
            }
        }
    }

    /// Whether every model can be served.
    fn is_ready(&self) -> bool {
        let all = 0..self.shared.config.models.len();
        !self.draining.load(Ordering::Relaxed) && all.into_iter().all(|model| self.serves(model))
    }

    fn serves(&self, model: usize) -> bool {
        let config = &self.shared.config;
        let (catalog, nodes) = (config.scenario.catalog(), config.scenario.cluster().nodes());
        let runs = |node: usize| catalog.max_batch(config.models[model].id, nodes[node].kind) > 0;
        let up = |node: usize| self.shared.stats.backend(node).up.get() == 1;
        self.shared.metas[model].get().is_some() && (0..nodes.len()).any(|node| up(node) && runs(node))
    }
}

async fn server() -> Json<Value> {
    Json(json!({ "name": "yardmaster-gateway", "version": env!("CARGO_PKG_VERSION"), "extensions": [] }))
}

async fn ready(State(front): State<Arc<Front>>) -> StatusCode {
    if front.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metadata(
    State(front): State<Arc<Front>>,
    Path(model): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(front.meta(front.model(&model)?)?.json()))
}

async fn model_ready(
    State(front): State<Arc<Front>>,
    Path(model): Path<String>,
) -> Result<StatusCode, Refusal> {
    let served = front.serves(front.model(&model)?);
    Ok(if served { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
}

async fn metrics(State(front): State<Arc<Front>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], front.shared.stats.text())
}

async fn infer(
    State(front): State<Arc<Front>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let model = front.model(&name)?;
    if front.draining.load(Ordering::Relaxed) {
        return Err(Refusal::of(&Failure::Draining));
    }
    let meta = front.meta(model)?;
    let invalid = |why: String| {
        front.shared.stats.model(model).end("invalid");
        Refusal::new(StatusCode::BAD_REQUEST, why)
    };
    let body = front.read(body).await.inspect_err(|_| front.shared.stats.model(model).end("invalid"))?;
    let row = Row::parse(&body, meta).map_err(invalid)?;
    let deadline = deadline(&headers, &row).map_err(invalid)?.or(front.shared.config.models[model].deadline);
    let (reply, answer) = oneshot::channel();
    let number = front.next.fetch_add(1, Ordering::Relaxed);
    let id = row.id.clone();
    let arrival = Arrival { number, model, row, deadline, reply };
    let stopped = || Refusal::of(&Failure::Draining);
    front.events.send(Event::Arrive(arrival)).map_err(|_| stopped())?;
    // Dropped with this handler when the caller goes away.
    let mut guard = Guard { front: Arc::clone(&front), number, waits: true };
    let answered = answer.await;
    guard.waits = false;
    let answered = answered.map_err(|_| stopped())?.map_err(|failure| Refusal::of(&failure))?;
    Ok(respond(&front, &tensor::answer(&name, id.as_deref(), &answered.outputs), &answered))
}

/// The header counts more than the parameter in the body.
fn deadline(headers: &HeaderMap, row: &Row) -> Result<Option<Duration>, String> {
    let given = match headers.get(DEADLINE_HEADER) {
        None => row.deadline_ms,
        Some(text) => {
            let ms = text.to_str().ok().and_then(|text| text.trim().parse().ok());
            let ms = ms.filter(|ms: &f64| *ms > 0.0 && ms.is_finite());
            Some(ms.ok_or_else(|| {
                format!("header {DEADLINE_HEADER} is {text:?}, it must be a number above 0")
            })?)
        }
    };
    // Beyond a day it makes no difference, and stays within what can be counted.
    Ok(given.map(|ms| Duration::from_secs_f64((ms / 1e3).min(86_400.0))))
}

fn respond(front: &Front, body: &str, answered: &Answered) -> Response {
    let mut response = body.to_owned().into_response();
    let node = &front.shared.config.scenario.cluster().nodes()[answered.node].name;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(BATCH_HEADER, HeaderValue::from(answered.batch));
    if let Ok(node) = HeaderValue::from_str(node) {
        headers.insert(BACKEND_HEADER, node);
    }
    response
}

/// Tells the dispatcher when the caller has gone.
struct Guard {
    front: Arc<Front>,
    number: u64,
    /// Whether there is no answer yet.
    waits: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.waits {
            // A dispatcher that has ended has told everyone.
            let _ = self.front.events.send(Event::Cancel(self.number));
        }
    }
}

/// An answer that is an error, as the protocol says it.
struct Refusal {
    status: StatusCode,
    why: String,
}

impl Refusal {
    fn new(status: StatusCode, why: impl Into<String>) -> Refusal {
        Refusal { status, why: why.into() }
    }

    fn of(failure: &Failure) -> Refusal {
        let (status, why) = match failure {
            Failure::Full => (StatusCode::TOO_MANY_REQUESTS, "the queue of the model is full"),
            Failure::Down => (StatusCode::SERVICE_UNAVAILABLE, "no back end that serves the model is up"),
            Failure::Draining => (StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping"),
            Failure::Late => (StatusCode::GATEWAY_TIMEOUT, "the deadline has passed"),
            Failure::Waited => (StatusCode::GATEWAY_TIMEOUT, "no back end was free in time"),
            Failure::Failed(why) => return Refusal::new(StatusCode::BAD_GATEWAY, why.as_str()),
        };
        Refusal::new(status, why)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.why }))).into_response();
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // What is left of the body is not read.
        if matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
