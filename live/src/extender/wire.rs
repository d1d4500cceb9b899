//! Requests and responses of `k8s.io/kube-scheduler/extender/v1`.
//!
//! The Go structs have no JSON tags, so that keys are the names of the fields; schedulers before 1.17 sent them in lower
//! case. Responses are in the first spelling, which both read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::object::{Node, Pod};

/// `ExtenderArgs`: a pod and the nodes that the scheduler considers.
#[derive(Debug)]
pub struct Arguments<'a> {
    /// The pod.
    pub pod: Pod,
    nodes: Option<Nodes<'a>>,
    names: Option<Vec<Name<'a>>>,
}

#[derive(Deserialize)]
struct RawArguments<'a> {
    #[serde(alias = "pod", rename = "Pod")]
    pod: Pod,
    #[serde(alias = "nodes", rename = "Nodes", default, borrow)]
    nodes: Option<RawNodes<'a>>,
    #[serde(alias = "nodenames", alias = "nodeNames", rename = "NodeNames", default, borrow)]
    names: Option<Vec<Name<'a>>>,
}

#[derive(Deserialize)]
struct RawNodes<'a> {
    #[serde(alias = "Items", default, borrow)]
    items: Option<Vec<&'a RawValue>>,
}

/// A name, borrowed from the request where it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Full objects: as they came, to be sent back, and what is read of them.
#[derive(Debug)]
struct Nodes<'a> {
    raw: Vec<&'a RawValue>,
    read: Vec<Node>,
}

/// Why a request is not one.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No JSON, or other JSON.
    #[error("not the arguments of a scheduler extender: {0}")]
    Json(#[from] serde_json::Error),
    /// Neither kind of nodes.
    #[error("the request has neither `Nodes` nor `NodeNames`")]
    NoNodes,
}

impl<'a> Arguments<'a> {
    /// Reads a request.
    pub fn parse(body: &'a [u8]) -> Result<Arguments<'a>, RequestError> {
        let RawArguments { pod, nodes, names } = serde_json::from_slice(body)?;
        let nodes = nodes.map(|nodes| -> Result<Nodes<'a>, RequestError> {
            let raw = nodes.items.unwrap_or_default();
            let read: Result<Vec<Node>, _> =
                raw.iter().map(|item| serde_json::from_str(item.get())).collect();
            Ok(Nodes { raw, read: read? })
        });
        let nodes = nodes.transpose()?;
        if nodes.is_none() && names.is_none() {
            return Err(RequestError::NoNodes);
        }
        Ok(Arguments { pod, nodes, names })
    }

    /// The names of the nodes, in the order of the request; of full objects, where both kinds are there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let full = self.nodes.iter().flat_map(|nodes| &nodes.read).map(|node| node.metadata.name.as_str());
        let names = self.names.iter().filter(|_| self.nodes.is_none()).flatten();
        full.chain(names.map(|name| &*name.0))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        let full = self.nodes.as_ref().map(|nodes| nodes.read.len());
        full.or(self.names.as_ref().map(Vec::len)).unwrap_or(0)
    }

    /// Whether the scheduler considers no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The nodes, where the scheduler sent them in full.
    pub fn full_nodes(&self) -> Option<&[Node]> {
        self.nodes.as_ref().map(|nodes| nodes.read.as_slice())
    }
}

/// `ExtenderFilterResult`: a subset of the nodes, in the form in which they came.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FilterResult<'a> {
    nodes: Option<NodeList<'a>>,
    node_names: Option<Vec<&'a str>>,
    failed_nodes: BTreeMap<String, String>,
    failed_and_unresolvable_nodes: BTreeMap<String, String>,
    error: String,
}

#[derive(Debug, Serialize)]
struct NodeList<'a> {
    items: Vec<&'a RawValue>,
}

impl<'a> FilterResult<'a> {
    /// The nodes of the request whose names pass.
    pub fn keep(request: &'a Arguments<'a>, mut fits: impl FnMut(&str) -> bool) -> FilterResult<'a> {
        let nodes = request.nodes.as_ref().map(|nodes| {
            let pairs = nodes.raw.iter().zip(&nodes.read);
            NodeList {
                items: pairs.filter(|(_, node)| fits(&node.metadata.name)).map(|(raw, _)| *raw).collect(),
            }
        });
        let names = request.names.as_ref().filter(|_| nodes.is_none());
        let names = names.map(|names| names.iter().map(|name| &*name.0).filter(|name| fits(name)).collect());
        FilterResult { nodes, node_names: names, ..FilterResult::default() }
    }

    /// Adds the nodes that were kept back. They are in both lists: the second, which newer schedulers read and let take
    /// precedence, says that to preempt other pods there would not help.
    pub fn with_failed(mut self, failed: BTreeMap<String, String>) -> FilterResult<'a> {
        self.failed_and_unresolvable_nodes.clone_from(&failed);
        self.failed_nodes = failed;
        self
    }

    /// A failure, which fails the pod unless the extender is `ignorable`.
    pub fn error(text: String) -> FilterResult<'a> {
        FilterResult { error: text, ..FilterResult::default() }
    }

    /// Whether it is a failure.
    pub fn is_error(&self) -> bool {
        !self.error.is_empty()
    }

    /// Names of the nodes that were kept back, with the reasons.
    pub fn failed(&self) -> &BTreeMap<String, String> {
        &self.failed_nodes
    }
}

/// `HostPriorityList`: how good each node of a request is, from 0 to [`super::score::HIGHEST`]; as bytes, as it is thousands
/// of rows long and the same but for names and scores.
pub fn host_priorities<'n>(names: impl Iterator<Item = &'n str>, scores: &[u8]) -> Vec<u8> {
    const ROOM: usize = 64;
    let mut text = Vec::with_capacity(ROOM * scores.len() + 2);
    text.push(b'[');
    for (at, (name, score)) in names.zip(scores).enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(b"{\"Host\":");
        push_text(&mut text, name);
        text.extend_from_slice(b",\"Score\":");
        if *score >= 10 {
            text.push(b'0' + score / 10 % 10);
        }
        text.extend_from_slice(&[b'0' + score % 10, b'}']);
    }
    text.push(b']');
    text
}

/// A text as JSON; names of nodes have nothing to escape.
fn push_text(text: &mut Vec<u8>, name: &str) {
    // All bytes at once, without an end in the middle, is what vector instructions do.
    let odd = name.bytes().fold(false, |odd, byte| odd | (byte < 0x20) | (byte == b'"') | (byte == b'\\'));
    if !odd {
        text.push(b'"');
        text.extend_from_slice(name.as_bytes());
        text.push(b'"');
    } else {
        text.extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
    }
}

/// `ExtenderBindingArgs`: which pod goes where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BindingArguments {
    /// The pod's name.
    #[serde(alias = "podname", alias = "podName", rename = "PodName")]
    pub pod_name: String,
    /// Its namespace.
    #[serde(alias = "podnamespace", alias = "podNamespace", rename = "PodNamespace")]
    pub pod_namespace: String,
    /// Its identity.
    #[serde(alias = "poduid", alias = "podUID", rename = "PodUID")]
    pub pod_uid: String,
    /// The node.
    #[serde(alias = "node", rename = "Node")]
    pub node: String,
}

/// `ExtenderBindingResult`: empty where all went well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BindingResult {
    /// Why the pod was not bound.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_what_a_reader_of_json_reads() {
        let names = ["gpu-a", "a \"b\"\\", "\u{1}\n", "Größe", ""];
        let text = host_priorities(names.into_iter(), &[0, 9, 10, 7, 1]);
        let read: Vec<(String, u64)> = serde_json::from_slice::<Vec<serde_json::Value>>(&text)
            .unwrap()
            .iter()
            .map(|row| (row["Host"].as_str().unwrap().to_owned(), row["Score"].as_u64().unwrap()))
            .collect();
        let expected = names.map(str::to_owned).into_iter().zip([0, 9, 10, 7, 1]).collect::<Vec<_>>();
        assert_eq!(read, expected);
        assert_eq!(host_priorities([].into_iter(), &[]), b"[]");
    }
}
