//! What the service's OpenAPI document says, held against what is truly sent and answered.

use serde_json::{Value, json};

use super::{Server, checkpoint, question, value};

/// What of `value` is not as `schema` says; as much of JSON Schema as the document uses.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let referred = document.pointer(name.trim_start_matches('#'));
        return faults(document, referred.unwrap_or_else(|| panic!("{name} is not there")), value, at);
    }
    let mut found = Vec::new();
    let mut check = |holds: bool, what: String| found.extend((!holds).then(|| format!("{at}: {what}")));
    match schema["type"].as_str() {
        Some("object") => check(value.is_object(), format!("{value} is no object")),
        Some("array") => check(value.is_array(), format!("{value} is no array")),
        Some("string") => check(value.is_string(), format!("{value} is no text")),
        Some("boolean") => check(value.is_boolean(), format!("{value} is no truth value")),
        Some("integer") => check(value.is_u64(), format!("{value} is no whole number")),
        _ => {}
    }
    if let Some(choices) = schema["enum"].as_array() {
        check(choices.contains(value), format!("{value} is none of {choices:?}"));
    }
    let fields = value.as_object().map(|object| object.iter().collect::<Vec<_>>()).unwrap_or_default();
    for name in schema["required"].as_array().into_iter().flatten() {
        check(value.get(name.as_str().unwrap()).is_some(), format!("{name} is missing"));
    }
    for (bound, holds) in [
        ("minProperties", fields.len() as u64 >= schema["minProperties"].as_u64().unwrap_or(0)),
        ("maxProperties", fields.len() as u64 <= schema["maxProperties"].as_u64().unwrap_or(u64::MAX)),
    ] {
        check(holds, format!("{} fields, against {bound}", fields.len()));
    }
    for (name, inner) in fields {
        match schema["properties"].get(name) {
            Some(known) => found.extend(faults(document, known, inner, &format!("{at}.{name}"))),
            None if schema["additionalProperties"] == json!(false) => {
                found.push(format!("{at}: nothing is said of {name}"));
            }
            None => {}
        }
    }
    for (index, inner) in
        value.as_array().into_iter().flatten().enumerate().filter(|_| schema.get("items").is_some())
    {
        found.extend(faults(document, &schema["items"], inner, &format!("{at}[{index}]")));
    }
    found
}

#[test]
fn the_document_describes_what_is_sent_and_answered() {
    for options in
        [vec!["--checkpoint".to_owned(), checkpoint()], vec!["--policy".to_owned(), "mct".to_owned()]]
    {
        let server = Server::start(&options.iter().map(String::as_str).collect::<Vec<_>>());
        let document = value(&server.get("/openapi.json"));
        let holds = |schema: &str, told: &Value| {
            let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
            assert_eq!(faults(&document, &schema, told, ""), Vec::<String>::new(), "{told}");
        };
        holds("Question", &question());
        holds("Answer", &value(&server.post("/v1/decide", &question())));
        holds("Handle", &value(&server.post("/v1/clusters", &question()["cluster"])));
        holds("Clusters", &value(&server.get("/v1/clusters")));
        holds("Policies", &value(&server.get("/v1/policies")));
        holds("Reloaded", &value(&server.post("/v1/policies", &json!({}))));
        holds("Ready", &value(&server.get("/readyz")));
        let refused = server.post("/v1/decide", &json!({ "cluster": 3 }));
        assert!(refused.status >= 400);
        holds("Refusal", &serde_json::from_str(refused.text().as_ref()).unwrap());

        let schema = json!({ "$ref": "#/components/schemas/Answer" });
        let wrong = json!({ "decisions": [{ "start": { "jobs": [-1] } }], "by": "chance", "policy": "a", "sequence": 1, "more": 1 });
        let found = faults(&document, &schema, &wrong, "").join("; ");
        for part in ["-1", "\"nodes\" is missing", "chance", "\"reason\" is missing", "more", "minProperties"]
        {
            assert!(found.contains(part), "{part} is not in {found}");
        }
    }
}
