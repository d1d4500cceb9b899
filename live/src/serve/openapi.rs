//! The OpenAPI document of the service.

use serde_json::{Map, Value, json};

/// A route.
pub struct Route {
    /// `get` or `post`.
    pub method: &'static str,
    /// Where.
    pub path: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The schema of the body that it takes.
    pub takes: Option<&'static str>,
    /// The schema of its answer; `None` for text.
    pub gives: Option<&'static str>,
}

/// Every route there is.
pub const ROUTES: [Route; 10] = [
    Route {
        method: "post",
        path: "/v1/decide",
        about: "Decides about a state; the last one may be sent again",
        takes: Some("Question"),
        gives: Some("Answer"),
    },
    Route {
        method: "post",
        path: "/v1/explain",
        about: "Explains what the policy would decide about a state, and changes nothing",
        takes: Some("Question"),
        gives: Some("Explanation"),
    },
    Route {
        method: "get",
        path: "/v1/clusters",
        about: "Lists the registered clusters",
        takes: None,
        gives: Some("Clusters"),
    },
    Route {
        method: "post",
        path: "/v1/clusters",
        about: "Registers a cluster and gives its handle",
        takes: Some("Cluster"),
        gives: Some("Handle"),
    },
    Route {
        method: "get",
        path: "/v1/policies",
        about: "The active policy and the shadows, with digests and cards",
        takes: None,
        gives: Some("Policies"),
    },
    Route {
        method: "post",
        path: "/v1/policies",
        about: "Loads the policy again, or another; the old one stays if that fails",
        takes: Some("Reload"),
        gives: Some("Reloaded"),
    },
    Route {
        method: "get",
        path: "/metrics",
        about: "Counts, in the Prometheus text format",
        takes: None,
        gives: None,
    },
    Route {
        method: "get",
        path: "/openapi.json",
        about: "This document",
        takes: None,
        gives: Some("Document"),
    },
    Route { method: "get", path: "/healthz", about: "Whether the process answers", takes: None, gives: None },
    Route {
        method: "get",
        path: "/readyz",
        about: "Whether the policy was verified",
        takes: None,
        gives: Some("Ready"),
    },
];

/// Paths that anybody may ask.
pub const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for Route { method, path, about, takes, gives } in ROUTES {
        let mut answer = json!({ "description": "the answer" });
        answer["content"] = match gives {
            Some(schema) => content(schema),
            None => json!({ "text/plain": { "schema": { "type": "string" } } }),
        };
        let refused = json!({ "description": "refused", "content": content("Refusal") });
        let mut operation = json!({ "summary": about, "responses": { "200": answer, "default": refused } });
        if let Some(schema) = takes {
            operation["requestBody"] =
                json!({ "required": path != "/v1/policies", "content": content(schema) });
        }
        if OPEN.contains(&path) {
            operation["security"] = json!([]);
        }
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "yardmaster decision service", "version": env!("CARGO_PKG_VERSION") },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": refer(schema) } })
}

fn refer(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// An object with these properties, of which these are always there; no others where `closed`.
fn object(about: &str, properties: &Value, required: &[&str], closed: bool) -> Value {
    let mut schema = json!({
        "type": "object", "description": about, "properties": properties, "required": required });
    if closed {
        schema["additionalProperties"] = json!(false);
    }
    schema
}

/// What is sent and answered. States and clusters are described field by field in `docs/snapshot.md`.
fn schemas() -> Value {
    let (text, whole, flag) = (
        json!({ "type": "string" }),
        json!({ "type": "integer", "minimum": 0 }),
        json!({ "type": "boolean" }),
    );
    let list = |items: &Value| json!({ "type": "array", "items": items });
    let (any, number) = (json!({ "type": "object" }), json!({ "type": "number" }));
    let format = json!({ "const": 1 });
    let share = object("devices of a node", &json!({ "node": text, "devices": whole }), &["node"], false);
    let start = json!({ "jobs": list(&whole), "nodes": list(&share), "batch": whole, "variant": whole });
    let one_of = json!({
        "start": object("a job, or a batch of requests, begins", &start, &["jobs", "nodes", "batch", "variant"], true),
        "reserve": object("a batch queue's next jobs", &json!({ "order": list(&whole) }), &["order"], true),
        "allocate": object("time slices are shared out", &json!({ "portions": { "type": "array" }, "fill": flag }),
            &["portions", "fill"], true),
        "preempt": object("a run is cut off", &json!({ "run": whole, "jobs": list(&whole) }), &["run", "jobs"], true),
        "wait": object("nothing more begins for now", &json!({ "until_ns": whole }), &[], true),
        "reason": refer("Reason"),
    });
    let mut decision =
        object("one of start, reserve, allocate, preempt, wait; and its reason", &one_of, &["reason"], true);
    decision["minProperties"] = json!(2);
    decision["maxProperties"] = json!(2);
    json!({
        "Cluster": object("what does not change: docs/snapshot.md, Cluster",
            &json!({ "format": format, "name": text, "discipline": { "enum": ["free", "commit", "commit-backfill", "rounds"] },
                "objective": any, "nodes": list(&any), "kinds": list(&any), "streams": list(&any) }), &["format", "nodes"], false),
        "State": object("what is so now: docs/snapshot.md, State",
            &json!({ "format": format, "sequence": whole, "now_ns": whole, "jobs": list(&any), "running": list(&any),
                "closed": list(&text) }), &["format", "now_ns"], false),
        "Delta": object("what has changed since the last state: docs/snapshot.md, Delta", &json!({}), &[], false),
        "Question": object("a state of a cluster that is sent along or registered, or what has changed",
            &json!({ "cluster": refer("Cluster"), "handle": text, "state": refer("State"), "delta": refer("Delta"),
                "most": whole, "taken_unix_ms": whole }), &[], true),
        "Decision": decision,
        "Reason": object("who decided, how sure it was, and what is expected; times in seconds",
            &json!({ "rule": text, "probability": number, "margin": number, "as_prior": flag, "actions": whole, "unfamiliar": text,
                "waited_s": number, "expected_s": number, "shortest_s": number, "slack_s": number, "left_s": number,
                "waiting": whole, "free": whole }), &[], true),
        "Answer": object("what to do now, in this order",
            &json!({ "decisions": list(&refer("Decision")), "by": { "enum": ["policy", "fallback"] }, "fallback_reason": text,
                "policy": text, "digest": text, "sequence": whole }), &["decisions", "by", "policy", "sequence"], true),
        "Explanation": object("candidates with probabilities, and what speaks for each", &json!({}), &[], false),
        "Clusters": object("the registered clusters",
            &json!({ "clusters": list(&object("one", &json!({ "handle": text, "nodes": whole }), &["handle", "nodes"], true)) }),
            &["clusters"], true),
        "Handle": object("under which states and deltas are sent", &json!({ "handle": text }), &["handle"], true),
        "Policies": object("what decides, and what would",
            &json!({ "active": any, "shadows": list(&any), "fallback": text, "circuit": text, "disabled": flag }),
            &["active", "shadows", "fallback", "circuit", "disabled"], true),
        "Reload": object("another file than the one that is loaded", &json!({ "checkpoint": text }), &[], true),
        "Reloaded": object("what decides now", &json!({ "active": any }), &["active"], true),
        "Ready": object("verified", &json!({ "ready": flag, "policy": text, "digest": text }), &["ready", "policy", "digest"], true),
        "Document": object("OpenAPI 3.1", &json!({}), &[], false),
        "Refusal": object("why not, for people and for programs", &json!({ "error": text, "reason": text }), &["error", "reason"], true),
    })
}
