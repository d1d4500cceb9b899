//! The routes of the service.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::{get, post};
use http_body_util::LengthLimitError;

use super::auth::{Rate, Tokens};
use super::openapi;
use super::service::{Refusal, Service};
use crate::policy::Source;

/// What handlers share.
#[derive(Clone)]
pub struct Shared {
    /// The service.
    pub service: Arc<Service>,
    tokens: Tokens,
    rate: Arc<Rate>,
}

type Answer = Result<Response<Body>, Refusal>;

/// All routes of [`openapi::ROUTES`], behind authentication where the settings ask for it. `more` is served beside them,
/// behind the same authentication and limits.
pub fn router(service: Arc<Service>, more: Router) -> Router {
    let config = service.config();
    let shared = Shared {
        tokens: Tokens::new(&config.tokens),
        rate: Arc::new(Rate::new(config.most_per_second, Instant::now())),
        service,
    };
    let guarded = Router::new()
        .route("/v1/decide", post(decide))
        .route("/v1/explain", post(explain))
        .route("/v1/clusters", get(clusters).post(register))
        .route("/v1/policies", get(policies).post(reload))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(document))
        .with_state(shared.clone())
        .merge(more)
        .layer(from_fn_with_state(shared.clone(), guard));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(shared)
        .merge(guarded)
        .fallback(|| async { refuse(&Refusal::new(404, "no-route", "no such path: see /openapi.json")) })
        .method_not_allowed_fallback(|method: Method| async move {
            let message = format!("this path does not take {method}: see /openapi.json");
            refuse(&Refusal::new(405, "no-method", message))
        })
}

/// Lets in who has a token, as long as there are not too many.
async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response<Body> {
    let refusal = if !shared.tokens.admit(request.headers()) {
        Some(Refusal::new(401, "unauthenticated", "a bearer token is needed"))
    } else if !shared.rate.admit(Instant::now()) {
        Some(Refusal::new(429, "rate", "too many requests"))
    } else {
        None
    };
    match refusal {
        None => next.run(request).await,
        Some(refusal) => {
            shared.service.metrics().refused.with_label_values(&[refusal.reason]).inc();
            refuse(&refusal)
        }
    }
}

/// An answer that is an error.
pub fn refuse(refusal: &Refusal) -> Response<Body> {
    let body = serde_json::json!({ "error": refusal.message, "reason": refusal.reason }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match refusal.status {
        401 => _ = headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        // What is left of the body is not read.
        408 | 413 => _ = headers.insert(CONNECTION, HeaderValue::from_static("close")),
        _ => {}
    }
    response
}

fn json(text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Shared {
    /// A whole body, within the limits of size and time.
    ///
    /// # Errors
    /// It is too large, or too slow.
    pub async fn body(&self, request: Request) -> Result<Vec<u8>, Refusal> {
        let config = self.service.config();
        let most = config.most_bytes;
        let large = || Refusal::new(413, "too-large", format!("a body may have at most {most} bytes"));
        let told =
            request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if told.is_some_and(|length: usize| length > most) {
            return Err(large());
        }
        match tokio::time::timeout(config.patience, to_bytes(request.into_body(), most)).await {
            Ok(Ok(bytes)) => Ok(bytes.into()),
            Ok(Err(why)) => Err(match why.into_inner().is::<LengthLimitError>() {
                true => large(),
                false => Refusal::new(400, "malformed", "the body broke off"),
            }),
            Err(_) => Err(Refusal::new(408, "too-slow", "the body did not arrive in time")),
        }
    }

    /// Books a refusal.
    fn finish(&self, answer: Answer) -> Response<Body> {
        answer.unwrap_or_else(|refusal| {
            self.service.metrics().refused.with_label_values(&[refusal.reason]).inc();
            refuse(&refusal)
        })
    }
}

async fn decide(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let answer = async {
        let body = shared.body(request).await?;
        Ok(json(shared.service.decide(&body, Instant::now()).await?))
    };
    shared.finish(answer.await)
}

async fn explain(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let answer = async {
        let body = shared.body(request).await?;
        let service = Arc::clone(&shared.service);
        // Shapley values take milliseconds, for which decisions should not wait.
        let explained = tokio::task::spawn_blocking(move || service.explain(&body)).await;
        let explained = explained.map_err(|why| Refusal::new(500, "internal", why.to_string()))??;
        let text = serde_json::to_string(&explained)
            .map_err(|why| Refusal::new(500, "internal", why.to_string()))?;
        Ok(json(text))
    };
    shared.finish(answer.await)
}

async fn register(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let answer = async {
        let body = shared.body(request).await?;
        let handle = shared.service.register(&body)?;
        Ok(json(serde_json::json!({ "handle": handle }).to_string()))
    };
    shared.finish(answer.await)
}

async fn clusters(State(shared): State<Shared>) -> Response<Body> {
    let list = shared.service.clusters().list();
    let list: Vec<_> =
        list.iter().map(|(handle, nodes)| serde_json::json!({ "handle": handle, "nodes": nodes })).collect();
    json(serde_json::json!({ "clusters": list }).to_string())
}

async fn policies(State(shared): State<Shared>) -> Response<Body> {
    json(shared.service.policies().to_string())
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Reload {
    /// Another file than the one that is loaded.
    checkpoint: Option<std::path::PathBuf>,
}

async fn reload(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let answer = async {
        let body = shared.body(request).await?;
        let wanted = if body.is_empty() { Ok(Reload::default()) } else { serde_json::from_slice(&body) };
        let wanted: Reload = wanted.map_err(|why| Refusal::new(400, "malformed", why.to_string()))?;
        let service = Arc::clone(&shared.service);
        let source = wanted.checkpoint.map(Source::Checkpoint);
        // Reading and verifying must not keep decisions waiting.
        let loaded = tokio::task::spawn_blocking(move || service.reload(source)).await;
        let loaded = loaded.map_err(|why| Refusal::new(500, "internal", why.to_string()))?;
        let about =
            loaded.map_err(|why| Refusal::new(422, "reload", format!("{why}; the old policy stays")))?;
        Ok(json(serde_json::json!({ "active": about }).to_string()))
    };
    shared.finish(answer.await)
}

async fn ready(State(shared): State<Shared>) -> Response<Body> {
    let policy = shared.service.policy();
    json(serde_json::json!({ "ready": true, "policy": policy.name(), "digest": policy.digest() }).to_string())
}

async fn metrics(State(shared): State<Shared>) -> Response<Body> {
    let mut response = Response::new(Body::from(shared.service.metrics().text()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}

async fn document() -> Response<Body> {
    json(openapi::document().to_string())
}
