//! Binding a pod to its node, for schedulers that leave it to their extender. Off unless asked for.
//!
//! The API server is reached through `kubectl proxy` on the same machine (or in the same pod), which holds the credentials
//! and speaks TLS; here are neither. That is why only a loopback address is taken.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::wire::BindingArguments;

/// For each step of a binding: connecting, sending, and waiting for more of the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Binds pods through a proxy to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binder {
    proxy: SocketAddr,
}

/// Why a pod was not bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address of the proxy is none, or is on another machine.
    #[error("{0:?} is not the address of a `kubectl proxy` on this machine, such as http://127.0.0.1:8001")]
    Address(String),
    /// A name that cannot be one, and might change what is asked.
    #[error("{what} {name:?} is not a name of Kubernetes")]
    Name {
        /// Whose name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The proxy is not there or breaks off.
    #[error("{proxy}: {source}")]
    Io {
        /// Its address.
        proxy: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The API server refuses.
    #[error("the API server answers {status}: {message}")]
    Refused {
        /// The status line, without the version.
        status: String,
        /// What it says.
        message: String,
    },
}

/// The part of `meta/v1.Status` that is for people.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
}

impl Binder {
    /// A binder that asks the proxy at this address, `http://127.0.0.1:PORT`.
    pub fn new(address: &str) -> Result<Binder, BindError> {
        let socket = address.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let proxy = socket.and_then(|text| text.parse::<SocketAddr>().ok());
        let proxy = proxy.filter(|proxy| proxy.ip().is_loopback());
        proxy.map(|proxy| Binder { proxy }).ok_or_else(|| BindError::Address(address.to_owned()))
    }

    /// Binds a pod, and waits until the API server has said so; at most a few seconds.
    pub fn bind(&self, binding: &BindingArguments) -> Result<(), BindError> {
        let request = request(binding, self.proxy)?;
        let answer = self.ask(&request).map_err(|source| BindError::Io { proxy: self.proxy, source })?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status =
            head.lines().next().and_then(|line| line.split_once(' ')).map_or("", |(_, status)| status);
        if status.starts_with("200") || status.starts_with("201") {
            return Ok(());
        }
        let message =
            serde_json::from_str::<Status>(body).map_or_else(|_| body.trim().to_owned(), |body| body.message);
        Err(BindError::Refused { status: status.to_owned(), message })
    }

    fn ask(&self, request: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.proxy, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// `POST pods/NAME/binding` as the API wants it. HTTP 1.0, so that the answer comes in one piece and the connection ends.
fn request(binding: &BindingArguments, proxy: SocketAddr) -> Result<String, BindError> {
    let BindingArguments { pod_name, pod_namespace, pod_uid, node } = binding;
    for (what, name) in [("pod", pod_name), ("namespace", pod_namespace), ("node", node)] {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        if name.is_empty() || name.len() > 253 || !name.bytes().all(known) || name.starts_with('.') {
            return Err(BindError::Name { what, name: name.clone() });
        }
    }
    let body = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod_name, "namespace": pod_namespace, "uid": pod_uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    })
    .to_string();
    Ok(format!(
        "POST /api/v1/namespaces/{pod_namespace}/pods/{pod_name}/binding HTTP/1.0\r\nHost: {proxy}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn pod(name: &str) -> BindingArguments {
        let [pod_name, pod_namespace, pod_uid, node] = [name, "vision", "u1", "gpu-a"].map(str::to_owned);
        BindingArguments { pod_name, pod_namespace, pod_uid, node }
    }

    /// Answers one request, and gives it back.
    fn serve(answer: &'static str) -> (Binder, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let binder = Binder::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}}") {
                let mut part = [0; 512];
                let length = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        (binder, server)
    }

    #[test]
    fn a_pod_is_bound_as_the_api_wants_it() {
        let (binder, server) =
            serve("HTTP/1.0 201 Created\r\n\r\n{\"kind\":\"Status\",\"status\":\"Success\"}");
        binder.bind(&pod("train-0")).unwrap();
        let request = server.join().unwrap();
        assert!(
            request.starts_with("POST /api/v1/namespaces/vision/pods/train-0/binding HTTP/1.0\r\n"),
            "{request}"
        );
        let body: serde_json::Value =
            serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((&body["kind"], &body["metadata"]["uid"]), (&json!("Binding"), &json!("u1")));
        assert_eq!(body["target"], json!({"apiVersion": "v1", "kind": "Node", "name": "gpu-a"}));
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let (binder, server) = serve(
            "HTTP/1.0 409 Conflict\r\n\r\n{\"kind\":\"Status\",\"message\":\"pod train-0 is already assigned\"}",
        );
        let error = binder.bind(&pod("train-0")).unwrap_err().to_string();
        server.join().unwrap();
        assert_eq!(error, "the API server answers 409 Conflict: pod train-0 is already assigned");
    }

    #[test]
    fn only_names_and_only_this_machine() {
        let binder = Binder::new("http://127.0.0.1:1/").unwrap();
        let error = binder.bind(&pod("../../secrets/x")).unwrap_err().to_string();
        assert_eq!(error, "pod \"../../secrets/x\" is not a name of Kubernetes");
        for address in
            ["http://10.0.0.1:8001", "127.0.0.1:8001", "https://127.0.0.1:8001", "http://localhost"]
        {
            assert!(matches!(Binder::new(address), Err(BindError::Address(_))), "{address}");
        }
    }
}
