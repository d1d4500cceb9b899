//! The verbs beside the routes of the decision service: same address, same authentication, same policy, same fallback, same
//! disable file.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::any;
use yardmaster_env::units::Time;

use super::Extender;
use super::answer::{Answer, PREFIX, ROUTES};
use super::folder::Folder;
use crate::clock::unix_ms;
use crate::serve::Service;
use crate::serve::http::refuse;
use crate::serve::service::Refusal;

/// How often the folder is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// What handlers share.
struct Beside {
    service: Arc<Service>,
    extender: Arc<Extender>,
}

/// Routes for [`serve::run`](crate::serve::run). `folder` is read once before this returns and then watched, by a thread that
/// ends with the process.
pub fn routes(service: &Arc<Service>, extender: Extender, folder: Option<PathBuf>) -> Router {
    let extender = Arc::new(extender);
    if let Some(path) = folder {
        let mut folder = Folder::new(&path);
        refresh(&mut folder, &extender);
        let watched = Arc::clone(&extender);
        thread::spawn(move || {
            loop {
                thread::sleep(PAUSE);
                refresh(&mut folder, &watched);
            }
        });
    }
    let beside = Arc::new(Beside { service: Arc::clone(service), extender });
    let paths = ROUTES.iter().map(|(_, path)| format!("{PREFIX}{path}"));
    paths.fold(Router::new(), |router, path| router.route(&path, any(handle))).with_state(beside)
}

fn refresh(folder: &mut Folder, extender: &Extender) {
    match folder.refresh(extender, now()) {
        Ok(true) => tracing::info!(nodes = extender.known(), "nodes and pods were read"),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "what was known of nodes and pods stays"),
    }
}

fn now() -> Time {
    Time(unix_ms().saturating_mul(1_000_000))
}

async fn handle(State(beside): State<Arc<Beside>>, request: Request) -> Response<Body> {
    let config = beside.service.config();
    let (method, path) = (request.method().as_str().to_owned(), request.uri().path().to_owned());
    let body = tokio::time::timeout(config.patience, to_bytes(request.into_body(), config.most_bytes)).await;
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let most = config.most_bytes;
            return refuse(&Refusal::new(413, "too-large", format!("a body may have at most {most} bytes")));
        }
        Err(_) => return refuse(&Refusal::new(408, "too-slow", "the body did not arrive in time")),
    };
    beside.keep_up();
    // Scores take less than what it costs to ask another thread; lists and bindings take longer.
    let answer = if path.ends_with("/filter") || path.ends_with("/prioritize") {
        Ok(beside.extender.answer(&method, &path, &body, now()))
    } else {
        let extender = Arc::clone(&beside.extender);
        tokio::task::spawn_blocking(move || extender.answer(&method, &path, &body, now())).await
    };
    match answer {
        Ok(answer) => response(answer),
        Err(error) => refuse(&Refusal::new(500, "internal", error.to_string())),
    }
}

impl Beside {
    /// Takes over what the service decides with now.
    fn keep_up(&self) {
        self.extender.disable(self.service.is_disabled());
        if let Err(error) = self.extender.follow(&self.service.policy()) {
            tracing::error!(%error, "the extender goes on with the policy before");
        }
    }
}

fn response(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
