//! HTTP to a server of the Open Inference Protocol v2: a back end, or the gateway itself.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::tensor::ModelMeta;

/// Longer answers are given up.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It did not get through, or what came back is no answer.
    #[error("{url}: {why}")]
    Broken {
        /// Where to.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// No answer in time.
    #[error("{url}: no answer within {ms} ms")]
    Slow {
        /// Where to.
        url: String,
        /// How long was waited.
        ms: u128,
    },
    /// An answer that says no.
    #[error("{url}: HTTP {status}: {body}")]
    Refused {
        /// Where to.
        url: String,
        /// The status.
        status: u16,
        /// What it says, cut after some hundred characters.
        body: String,
    },
}

impl CallError {
    /// Whether the server is well and the question was wrong: asking another would not help.
    pub fn is_final(&self) -> bool {
        matches!(self, CallError::Refused { status, .. } if (400..500).contains(status) && *status != 429)
    }
}

/// A server and the connections to it.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// To a server at `http://host:port`.
    ///
    /// # Errors
    /// An address that is not of this form.
    pub fn new(url: &str) -> Result<Client, String> {
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|error| format!("{url:?} is no address: {error}"))?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        // A port that is no number is no port to the parser, and port 80 to the connector.
        if authority.is_none_or(|all| all.port().is_none() && all.as_str() != all.host()) {
            return Err(format!("{url:?}: give an address of the form http://host:port"));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        let mut builder = Pool::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30));
        Ok(Client { base, pool: builder.build(connector) })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Asks for a batch of a model; what comes back is the body of the answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn infer(&self, model: &str, body: String, timeout: Duration) -> Result<Bytes, CallError> {
        let request = self.request(Method::POST, &format!("/v2/models/{model}/infer"), body.into());
        Ok(self.answer(request, timeout).await?.1)
    }

    /// What a model takes and gives.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn model(&self, model: &str, timeout: Duration) -> Result<ModelMeta, CallError> {
        let path = format!("/v2/models/{model}");
        let (_, body) = self.answer(self.request(Method::GET, &path, Bytes::new()), timeout).await?;
        serde_json::from_slice(&body)
            .map_err(|error| CallError::Broken { url: self.base.clone() + &path, why: error.to_string() })
    }

    /// What the server calls itself.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn name(&self, timeout: Duration) -> Result<String, CallError> {
        #[derive(serde::Deserialize)]
        struct Server {
            name: String,
        }
        let (_, body) = self.answer(self.request(Method::GET, "/v2", Bytes::new()), timeout).await?;
        let server: Result<Server, _> = serde_json::from_slice(&body);
        server
            .map(|server| server.name)
            .map_err(|error| CallError::Broken { url: self.base.clone() + "/v2", why: error.to_string() })
    }

    /// Whether it takes requests.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ready(&self, timeout: Duration) -> Result<(), CallError> {
        let request = self.request(Method::GET, "/v2/health/ready", Bytes::new());
        self.answer(request, timeout).await.map(|_| ())
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> (String, Method, Bytes) {
        (format!("{}{path}", self.base), method, body)
    }

    /// Sends a request and takes the whole answer, with its headers.
    pub(crate) async fn answer(
        &self,
        (url, method, body): (String, Method, Bytes),
        timeout: Duration,
    ) -> Result<(hyper::HeaderMap, Bytes), CallError> {
        let broken = |why: String| CallError::Broken { url: url.clone(), why };
        let request = Request::builder().method(method).uri(&url).header("content-type", "application/json");
        let request = request.body(Full::new(body)).map_err(|error| broken(error.to_string()))?;
        let call = async {
            let response = self.pool.request(request).await.map_err(|error| broken(chain(&error)))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| broken(error.to_string()))?.to_bytes();
            Ok((parts, body))
        };
        let slow = |_| CallError::Slow { url: url.clone(), ms: timeout.as_millis() };
        let (parts, body) = tokio::time::timeout(timeout, call).await.map_err(slow)??;
        if parts.status.is_success() {
            return Ok((parts.headers, body));
        }
        let body: String = String::from_utf8_lossy(&body).chars().take(300).collect();
        Err(CallError::Refused { url: url.clone(), status: parts.status.as_u16(), body })
    }

    /// Asks for inference as a caller does: the headers of the answer, and its body.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(
        &self,
        model: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(hyper::HeaderMap, Bytes), CallError> {
        self.answer(self.request(Method::POST, &format!("/v2/models/{model}/infer"), body), timeout).await
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
