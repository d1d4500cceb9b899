//! The extender's HTTP interface without the HTTP: a method, a path and a body in, a status and a body out.
//!
//! So any server can carry it, and a test needs none.

use serde::Serialize;
use serde::de::DeserializeOwned;
use yardmaster_env::units::Time;

use super::object::{List, Node, Pod};
use super::wire::{self, Arguments, BindingArguments, BindingResult, FilterResult};
use super::{Extender, Prioritized};

/// Under which path the verbs are: the end of `urlPrefix` in a scheduler's configuration.
pub const PREFIX: &str = "/k8s";
/// Method and path below [`PREFIX`] of all that is answered.
pub const ROUTES: [(&str, &str); 5] =
    [("POST", "/filter"), ("POST", "/prioritize"), ("POST", "/bind"), ("PUT", "/nodes"), ("PUT", "/pods")];

/// What is sent back: JSON with a status of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, or what is wrong with the request: 400, 404 or 405.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
    /// For whoever counts.
    pub tally: Tally,
}

/// What came of a request, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whether the body tells of an error, whatever the status.
    pub is_error: bool,
    /// Nodes of the request.
    pub nodes: usize,
    /// Those among them that `filter` kept back.
    pub kept_back: usize,
    /// Those among them that nothing is known of, which `prioritize` gives the score 0.
    pub unknown: usize,
    /// Why the fallback has scored, if it has.
    pub fallback_reason: Option<&'static str>,
}

/// What went wrong with a request, as its answer tells.
#[derive(Serialize)]
struct Fault {
    error: String,
}

/// What is known after nodes or pods were told.
#[derive(Serialize)]
struct Known {
    nodes: usize,
}

impl Extender {
    /// Answers a request; `path` is the whole path, `now` the moment since 1970. Takes microseconds to milliseconds, but
    /// for `/bind`, which waits for the API server.
    pub fn answer(&self, method: &str, path: &str, body: &[u8], now: Time) -> Answer {
        let verb = path.strip_prefix(PREFIX).unwrap_or_default();
        let Some((expected, _)) = ROUTES.iter().find(|(_, known)| *known == verb) else {
            return Answer::fault(404, format!("there is no {path}"));
        };
        if *expected != method {
            return Answer::fault(405, format!("{path} takes {expected}, not {method}"));
        }
        match verb {
            "/filter" => self.answer_filter(body),
            "/prioritize" => self.answer_prioritize(body, now),
            "/bind" => self.answer_bind(body),
            "/nodes" => self.answer_list(body, |nodes: &[Node]| self.set_nodes(nodes)),
            _ => self.answer_list(body, |pods: &[Pod]| self.set_pods(pods, now)),
        }
    }

    fn answer_filter(&self, body: &[u8]) -> Answer {
        let arguments = match Arguments::parse(body) {
            Ok(arguments) => arguments,
            // The scheduler shows `Error` in the pod's events; of other statuses it shows the number.
            Err(error) => return Answer::ok(&FilterResult::error(error.to_string())).failed(),
        };
        let result = self.filter(&arguments);
        let kept_back = result.failed().len();
        let tally = Tally { nodes: arguments.len(), kept_back, ..Tally::default() };
        let answer = Answer { tally, ..Answer::ok(&result) };
        if result.is_error() { answer.failed() } else { answer }
    }

    fn answer_prioritize(&self, body: &[u8], now: Time) -> Answer {
        let arguments = match Arguments::parse(body) {
            Ok(arguments) => arguments,
            Err(error) => return Answer::fault(400, error.to_string()),
        };
        match self.prioritize(&arguments, now) {
            Ok(Prioritized { scores, outcome, fallback_reason }) => {
                let body = wire::host_priorities(arguments.names(), &scores);
                let unknown = outcome.unknown;
                let tally = Tally { nodes: scores.len(), unknown, fallback_reason, ..Tally::default() };
                Answer { status: 200, body, tally }
            }
            Err(error) => Answer::fault(400, error.to_string()),
        }
    }

    /// Binds, where that was asked for; otherwise refuses in the form that a scheduler understands.
    fn answer_bind(&self, body: &[u8]) -> Answer {
        let error = match (serde_json::from_slice::<BindingArguments>(body), &self.binder) {
            (Err(error), _) => format!("not the arguments of a binding: {error}"),
            (Ok(binding), Some(binder)) => {
                binder.bind(&binding).err().map(|error| error.to_string()).unwrap_or_default()
            }
            (Ok(BindingArguments { pod_namespace, pod_name, .. }), None) => {
                format!(
                    "yardmaster was not asked to bind pods ({pod_namespace}/{pod_name}): leave out `bindVerb`, or start it with --kubernetes-bind"
                )
            }
        };
        let is_error = !error.is_empty();
        let answer = Answer::ok(&BindingResult { error });
        if is_error { answer.failed() } else { answer }
    }

    /// Takes in a list as the API server gives it.
    fn answer_list<T: DeserializeOwned>(&self, body: &[u8], take: impl FnOnce(&[T])) -> Answer {
        match serde_json::from_slice::<List<T>>(body) {
            Ok(list) => {
                take(&list.items);
                Answer::ok(&Known { nodes: self.known() })
            }
            Err(error) => Answer::fault(400, format!("not a list of objects: {error}")),
        }
    }
}

impl Answer {
    fn ok(body: &impl Serialize) -> Answer {
        match serde_json::to_vec(body) {
            Ok(body) => Answer { status: 200, body, tally: Tally::default() },
            Err(error) => Answer::fault(500, error.to_string()),
        }
    }

    fn fault(status: u16, error: String) -> Answer {
        let body = serde_json::to_vec(&Fault { error }).unwrap_or_default();
        Answer { status, body, tally: Tally::default() }.failed()
    }

    fn failed(mut self) -> Answer {
        self.tally.is_error = true;
        self
    }
}
