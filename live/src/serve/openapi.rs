//! The OpenAPI document of the service.

use serde_json::{Map, Value, json};

/// A route: method, path, what it does, whether it takes a body.
pub type Route = (&'static str, &'static str, &'static str, bool);

/// Every route there is.
pub const ROUTES: [Route; 10] = [
    (
        "post",
        "/v1/decide",
        "Decides about a state: {cluster | handle, state | delta, most?, taken_unix_ms?}; the last one may be sent again",
        true,
    ),
    ("post", "/v1/explain", "Explains what the policy would decide about a state, and changes nothing", true),
    ("get", "/v1/clusters", "Lists the registered clusters", false),
    ("post", "/v1/clusters", "Registers a cluster and gives its handle", true),
    ("get", "/v1/policies", "The active policy and the shadows, with digests and cards", false),
    (
        "post",
        "/v1/policies",
        "Loads the policy again, or another: {checkpoint?}; the old one stays if that fails",
        true,
    ),
    ("get", "/metrics", "Counts, in the Prometheus text format", false),
    ("get", "/openapi.json", "This document", false),
    ("get", "/healthz", "Whether the process answers", false),
    ("get", "/readyz", "Whether the policy was verified", false),
];

/// Paths that anybody may ask.
pub const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (method, path, about, has_body) in ROUTES {
        let mut operation = json!({
            "summary": about,
            "responses": {
                "200": { "description": "the answer" },
                "default": { "description": "refused", "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Refusal" } } } },
            },
        });
        if has_body {
            operation["requestBody"] =
                json!({ "content": { "application/json": { "schema": { "type": "object" } } } });
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
            "schemas": { "Refusal": {
                "type": "object",
                "required": ["error", "reason"],
                "properties": { "error": { "type": "string" }, "reason": { "type": "string" } },
            } },
        },
    })
}
