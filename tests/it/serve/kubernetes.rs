//! The verbs of a Kubernetes scheduler's extender, beside the service's own routes.

use std::path::PathBuf;

use serde_json::{Value, json};
use yardmaster_live::load::client::Client;

use super::{Server, checkpoint, value};
use crate::support::ours;

fn fixture(file: &str) -> PathBuf {
    ours("live/tests/data/extender").join(file)
}

fn request() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("filter_names.json")).unwrap()).unwrap()
}

/// A folder as `kubectl` in a loop writes it.
fn state() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["nodes.json", "pods.json"] {
        std::fs::copy(fixture(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn start(folder: &tempfile::TempDir, more: &[&str]) -> Server {
    let (checkpoint, mapping) = (checkpoint(), fixture("mapping.toml"));
    let folder = folder.path().to_str().unwrap();
    let mut options = vec!["--checkpoint", &checkpoint, "--kubernetes", mapping.to_str().unwrap()];
    options.extend(["--kubernetes-state", folder]);
    options.extend(more);
    Server::start(&options)
}

#[test]
fn a_scheduler_is_answered_by_the_policy_or_its_fallback() {
    let folder = state();
    let off = folder.path().join("off");
    let server = start(&folder, &["--disable-file", off.to_str().unwrap()]);
    let filtered = value(&server.post("/k8s/filter", &request()));
    assert_eq!(filtered["NodeNames"], json!(["k80-0", "p100-0", "v100-0", "v100-1", "new-0"]));
    assert_eq!(filtered["FailedNodes"], json!({"cpu-0": "yardmaster: no accelerator"}));
    let scores = |server: &Server| {
        let scores = value(&server.post("/k8s/prioritize", &request()));
        let scores = scores.as_array().unwrap().iter().map(|row| row["Score"].as_i64().unwrap());
        scores.collect::<Vec<_>>()
    };
    let by_policy = scores(&server);
    assert!(by_policy[3] >= 8 && by_policy[4] == 0, "{by_policy:?}");
    std::fs::write(&off, "").unwrap();
    server.until("the fallback answers", |server| {
        value(&server.get("/v1/policies"))["disabled"] == true && scores(server).len() == 6
    });
}

#[test]
fn nodes_that_join_are_seen_while_it_runs() {
    let folder = state();
    let server = start(&folder, &[]);
    let of_new = |server: &Server| value(&server.post("/k8s/prioritize", &request()))[5]["Score"].as_i64();
    assert_eq!(of_new(&server), Some(0));
    let mut nodes: Value = serde_json::from_slice(&std::fs::read(fixture("nodes.json")).unwrap()).unwrap();
    let mut joined = nodes["items"][2].clone();
    joined["metadata"]["name"] = json!("new-0");
    nodes["items"].as_array_mut().unwrap().push(joined);
    std::fs::write(folder.path().join("draft"), nodes.to_string()).unwrap();
    std::fs::rename(folder.path().join("draft"), folder.path().join("nodes.json")).unwrap();
    server.until("the folder was read again", |server| of_new(server) > Some(0));
}

#[test]
fn a_scheduler_needs_a_token_as_everybody_does() {
    let folder = state();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "0123456789abcdef\n").unwrap();
    let server = start(&folder, &["--token-file", tokens.to_str().unwrap()]);
    assert_eq!(server.post("/k8s/filter", &request()).status, 401);
    let mut client = Client::connect(&server.address, Some("0123456789abcdef")).unwrap();
    let answer = client.post("/k8s/filter", request().to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn what_a_scheduler_asks_is_counted_where_the_service_counts() {
    let folder = state();
    let off = folder.path().join("off");
    let server = start(&folder, &["--disable-file", off.to_str().unwrap()]);
    let of = |name: &str| server.metric(&format!("yardmaster_extender_{name}"));
    assert!(
        server.get("/metrics").text().contains("yardmaster_extender_fallbacks_total{reason=\"panic\"} 0\n")
    );
    for _ in 0..3 {
        value(&server.post("/k8s/filter", &request()));
    }
    value(&server.post("/k8s/prioritize", &request()));
    assert_eq!(server.post("/k8s/prioritize", &json!({})).status, 400);
    let told = value(&server.post("/k8s/filter", &json!({})));
    assert_ne!(told["Error"], "", "an error that is told with status 200");
    assert_eq!(of("requests_total{result=\"ok\",verb=\"filter\"}"), 3.0);
    assert_eq!(of("requests_total{result=\"error\",verb=\"filter\"}"), 1.0);
    assert_eq!(of("requests_total{result=\"error\",verb=\"prioritize\"}"), 1.0);
    // Of six nodes one has no device, another one is not known.
    assert_eq!(
        (of("candidates_total{result=\"kept\"}"), of("candidates_total{result=\"filtered\"}")),
        (15.0, 3.0)
    );
    assert_eq!(
        (of("candidates_total{result=\"scored\"}"), of("candidates_total{result=\"unknown\"}")),
        (5.0, 1.0)
    );
    assert_eq!(of("seconds_count{verb=\"filter\"}"), 4.0);
    assert_eq!(of("seconds_bucket{verb=\"filter\",le=\"+Inf\"}"), 4.0);
    assert_eq!(of("fallbacks_total{reason=\"disabled\"}"), 0.0);
    std::fs::write(&off, "").unwrap();
    server.until("the fallback scores", |server| {
        value(&server.post("/k8s/prioritize", &request()));
        of("fallbacks_total{reason=\"disabled\"}") > 0.0
    });
}

#[test]
fn without_the_option_there_are_no_verbs() {
    let server = Server::start(&["--policy", "mct"]);
    assert!(!server.get("/metrics").text().contains("extender"));
    assert_eq!(server.post("/k8s/filter", &request()).status, 404);
}
