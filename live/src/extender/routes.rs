//! The verbs beside the routes of the decision service: same address, same authentication, same policy, same fallback, same
//! disable file.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::any;
use yardmaster_env::units::Time;

use super::Extender;
use super::answer::{Answer, PREFIX, ROUTES, Tally};
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
        if extender.known() == 0 {
            let folder = path.display();
            tracing::warn!(
                "{folder} tells of no node yet: write {folder}/nodes.json with `kubectl get nodes -o json`"
            );
        }
        let watched = Arc::clone(&extender);
        thread::spawn(move || {
            loop {
                thread::sleep(PAUSE);
                refresh(&mut folder, &watched);
            }
        });
    }
    service.metrics().extender.begin();
    let beside = Arc::new(Beside { service: Arc::clone(service), extender });
    let paths = ROUTES.iter().map(|(_, path)| format!("{PREFIX}{path}"));
    paths.fold(Router::new(), |router, path| router.route(&path, any(handle))).with_state(beside)
}

fn refresh(folder: &mut Folder, extender: &Extender) {
    match folder.refresh(extender, now()) {
        Ok(true) => {
            let (nodes, usable) = (extender.known(), extender.usable());
            tracing::info!(nodes, usable, "nodes and pods were read");
            if nodes > 0 && usable == 0 {
                let labels = extender.config().kind_labels.join(", ");
                tracing::warn!(
                    "no node has devices of a kind in the mapping: compare its [kinds] with {labels}"
                );
            }
        }
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "what was known of nodes and pods stays"),
    }
}

fn now() -> Time {
    Time(unix_ms().saturating_mul(1_000_000))
}

async fn handle(State(beside): State<Arc<Beside>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    // One of those that are routed, so that there are as many counts as verbs.
    let verb = path.strip_prefix(PREFIX).unwrap_or(&path).trim_start_matches('/');
    let metrics = beside.service.metrics();
    match answer(&beside, verb, request).await {
        Ok(answer) => {
            metrics.extender.count(verb, &answer.tally);
            response(answer)
        }
        Err(refusal) => {
            metrics.refused.with_label_values(&[refusal.reason]).inc();
            metrics.extender.count(verb, &Tally { is_error: true, ..Tally::default() });
            refuse(&refusal)
        }
    }
}

async fn answer(beside: &Beside, verb: &str, request: Request) -> Result<Answer, Refusal> {
    let config = beside.service.config();
    let (method, path) = (request.method().as_str().to_owned(), request.uri().path().to_owned());
    let most = config.most_bytes;
    let body = tokio::time::timeout(config.patience, to_bytes(request.into_body(), most)).await;
    let body = body
        .map_err(|_| Refusal::new(408, "too-slow", "the body did not arrive in time"))?
        .map_err(|_| Refusal::new(413, "too-large", format!("a body may have at most {most} bytes")))?;
    let begin = Instant::now();
    beside.keep_up();
    // Scores take less than what it costs to ask another thread; lists and bindings take longer.
    let answer = if ["filter", "prioritize"].contains(&verb) {
        beside.extender.answer(&method, &path, &body, now())
    } else {
        let extender = Arc::clone(&beside.extender);
        let asked = tokio::task::spawn_blocking(move || extender.answer(&method, &path, &body, now())).await;
        asked.map_err(|error| Refusal::new(500, "internal", error.to_string()))?
    };
    beside.service.metrics().extender.took(verb, begin.elapsed());
    Ok(answer)
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
