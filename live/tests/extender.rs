//! Conformance of the scheduler extender: recorded request shapes, both spellings of keys, names or full objects.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use yardmaster_env::units::Time;
use yardmaster_live::extender::Extender;
use yardmaster_live::extender::config::Config;
use yardmaster_live::extender::folder::Folder;
use yardmaster_live::extender::object::{List, Node, Pod};
use yardmaster_live::extender::score::{HIGHEST, Scorer};
use yardmaster_live::extender::wire::{Arguments, BindingArguments};
use yardmaster_live::policy::{Loaded, Source};

/// 2026-11-21 12:00 UTC.
const NOW: Time = Time(1_795_262_400 * 1_000_000_000);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/extender")
}

fn fixture(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap()
}

fn learned() -> Source {
    Source::Checkpoint(Path::new(env!("CARGO_MANIFEST_DIR")).join("../checkpoints/pool12.safetensors"))
}

fn rule(name: &str) -> Source {
    Source::Rule(name.to_owned())
}

fn scorer(source: &Source) -> Scorer {
    Scorer::new(Loaded::load(source).unwrap().mind().unwrap())
}

/// An extender that knows no node.
fn bare(source: Source) -> Extender {
    Extender::new(Config::parse(&fixture("mapping.toml"), "mapping.toml").unwrap(), scorer(&source))
}

/// An extender that has been told the nodes and the pods.
fn informed(source: Source) -> Extender {
    let extender = bare(source);
    let nodes: List<Node> = serde_json::from_str(&fixture("nodes.json")).unwrap();
    let pods: List<Pod> = serde_json::from_str(&fixture("pods.json")).unwrap();
    extender.set_nodes(&nodes.items);
    extender.set_pods(&pods.items, NOW);
    extender
}

fn filter(extender: &Extender, request: &str) -> Value {
    let request = Arguments::parse(request.as_bytes()).unwrap();
    serde_json::to_value(extender.filter(&request)).unwrap()
}

fn prioritize(extender: &Extender, request: &str) -> Vec<(String, i64)> {
    let answer = extender.answer("POST", "/k8s/prioritize", request.as_bytes(), NOW);
    // What the scheduler reads is a bare array of objects with these two keys.
    let sent: Value = serde_json::from_slice(&answer.body).unwrap();
    let pair = |row: &Value| {
        assert_eq!(row.as_object().unwrap().len(), 2, "{row}");
        (row["Host"].as_str().unwrap().to_owned(), row["Score"].as_i64().unwrap())
    };
    sent.as_array().unwrap().iter().map(pair).collect()
}

/// The fixture with other annotations, requests or names.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut request: Value = serde_json::from_str(&fixture("filter_names.json")).unwrap();
    change(&mut request);
    request.to_string()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn names_come_back_as_names_and_only_the_impossible_is_missing() {
    for file in ["filter_names.json", "filter_names_lower.json"] {
        let result = filter(&informed(rule("mct")), &fixture(file));
        assert_eq!(names(&result["NodeNames"]), ["k80-0", "p100-0", "v100-0", "v100-1", "new-0"], "{file}");
        assert_eq!(result["Nodes"], Value::Null);
        assert_eq!(result["FailedNodes"], json!({"cpu-0": "yardmaster: no accelerator"}));
        assert_eq!(result["FailedAndUnresolvableNodes"], result["FailedNodes"]);
        assert_eq!(result["Error"], "");
    }
}

#[test]
fn full_objects_come_back_as_they_were() {
    for file in ["filter_nodes.json", "filter_nodes_lower.json"] {
        let sent: Value = serde_json::from_str(&fixture(file)).unwrap();
        let sent = sent.get("Nodes").unwrap_or(&sent["nodes"])["items"].as_array().unwrap().clone();
        // It knows nothing but the request.
        let result = filter(&bare(rule("mct")), &fixture(file));
        assert_eq!(result["Nodes"]["items"], json!(sent[..3]), "{file}");
        assert_eq!(result["NodeNames"], Value::Null);
        assert_eq!(result["FailedNodes"], json!({"cpu-0": "yardmaster: no accelerator"}));
        let scores = prioritize(&bare(rule("mct")), &fixture(file));
        assert_eq!(
            scores.iter().map(|(host, _)| host.as_str()).collect::<Vec<_>>(),
            ["k80-0", "p100-0", "v100-0", "cpu-0"]
        );
        assert!(scores[2].1 > scores[1].1 && scores[1].1 >= scores[0].1 && scores[3].1 == 0, "{scores:?}");
    }
}

#[test]
fn every_name_gets_a_score_from_0_to_10_in_order() {
    for source in [learned(), rule("mct"), rule("fcfs")] {
        let extender = informed(source);
        let scores = prioritize(&extender, &fixture("filter_names.json"));
        let hosts: Vec<&str> = scores.iter().map(|(host, _)| host.as_str()).collect();
        assert_eq!(hosts, ["k80-0", "p100-0", "v100-0", "v100-1", "cpu-0", "new-0"]);
        assert!(scores.iter().all(|(_, score)| (0..=i64::from(HIGHEST)).contains(score)), "{scores:?}");
        let of = |host: &str| scores.iter().find(|(name, _)| name == host).unwrap().1;
        assert_eq!((of("cpu-0"), of("new-0")), (0, 0), "without devices, and unknown");
        // The fuller of two alike is the better one: the other keeps room for a gang.
        assert!(of("v100-1") > of("v100-0"), "{scores:?}");
        assert!(of("k80-0") > 0 && of("p100-0") > 0, "{scores:?}");
    }
}

/// A ResNet-50 is ten times as fast on a V100 as on a K80, and all kinds are free.
#[test]
fn the_policy_prefers_the_fast_kind() {
    for source in [learned(), rule("mct"), rule("fcfs+fastest")] {
        let shown = source.to_string();
        let extender = bare(source);
        let nodes: List<Node> = serde_json::from_str(&fixture("nodes.json")).unwrap();
        extender.set_nodes(&nodes.items);
        let scores = prioritize(&extender, &fixture("filter_names.json"));
        assert!(scores[2].1 >= 8 && scores[3].1 >= 8, "{shown}: {scores:?}");
        assert!(scores[0].1 < 8 && scores[1].1 < 8, "{shown}: {scores:?}");
    }
}

#[test]
fn pods_of_a_group_are_drawn_to_their_rack() {
    let extender = informed(rule("mct"));
    let request = |group: &str| {
        changed(|request| {
            let annotations = &mut request["Pod"]["metadata"]["annotations"];
            *annotations = json!({"yardmaster/seconds": "60", "yardmaster/group": group});
            request["NodeNames"] = json!(["v100-0", "v100-1"]);
            request["Pod"]["spec"]["containers"][0]["resources"] = json!({"limits": {"nvidia.com/gpu": 1}});
        })
    };
    let difference = |group| {
        let scores = prioritize(&extender, &request(group));
        scores[1].1 - scores[0].1
    };
    assert_eq!(difference("team"), difference("other") + 1);
}

#[test]
fn what_can_never_run_is_kept_back_with_the_reason() {
    let extender = informed(rule("mct"));
    let gang = changed(|request| {
        request["Pod"]["spec"]["containers"][0]["resources"] = json!({"limits": {"nvidia.com/gpu": "8"}});
        request["NodeNames"] = json!(["v100-0", "new-0"]);
    });
    let result = filter(&extender, &gang);
    assert_eq!(names(&result["NodeNames"]), ["new-0"]);
    assert_eq!(result["FailedNodes"]["v100-0"], "yardmaster: the node has 4 devices, the pod asks for 8");
    let large = changed(|request| {
        request["Pod"]["metadata"]["annotations"]["yardmaster/gpu-memory-gib"] = json!("15");
    });
    let result = filter(&extender, &large);
    assert_eq!(names(&result["NodeNames"]), ["p100-0", "v100-0", "v100-1", "new-0"]);
    assert_eq!(result["FailedNodes"]["k80-0"], "yardmaster: a device has 11.2 GiB, the pod needs 15 GiB");
    // A node that is full now is none of the extender's business.
    let full = changed(|request| {
        request["Pod"]["spec"]["containers"][0]["resources"] = json!({"limits": {"nvidia.com/gpu": "4"}});
        request["NodeNames"] = json!(["v100-1"]);
    });
    assert_eq!(names(&filter(&extender, &full)["NodeNames"]), ["v100-1"]);
}

#[test]
fn a_pod_without_devices_is_let_through_everywhere() {
    let request = changed(|request| request["Pod"]["spec"]["containers"] = json!([{"name": "c"}]));
    let extender = informed(learned());
    assert_eq!(names(&filter(&extender, &request)["NodeNames"]).len(), 6);
    assert!(prioritize(&extender, &request).iter().all(|(_, score)| *score == 0));
}

#[test]
fn hints_that_cannot_be_understood_are_errors_that_say_so() {
    let cases = [
        (
            json!({"yardmaster/model": "ResNet-51"}),
            "yardmaster/model is \"ResNet-51\", expected one of ResNet-18, ",
        ),
        (
            json!({"yardmaster/model": "ResNet-50"}),
            "yardmaster/batch is \"\", expected a number, as there is yardmaster/model",
        ),
        (json!({"yardmaster/seconds": "-3"}), "yardmaster/seconds is \"-3\", expected a number above 0"),
    ];
    for (annotations, expected) in cases {
        let request = changed(|request| request["Pod"]["metadata"]["annotations"] = annotations);
        let extender = informed(rule("mct"));
        let error = filter(&extender, &request)["Error"].as_str().unwrap().to_owned();
        assert!(error.contains(expected) && error.starts_with("pod train-resnet-0: "), "{error}");
        let request = Arguments::parse(request.as_bytes()).unwrap();
        assert_eq!(extender.prioritize(&request, NOW).unwrap_err().to_string(), error);
    }
}

#[test]
fn what_is_no_request_is_refused() {
    let error = |text: &str| Arguments::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(error("{").starts_with("not the arguments of a scheduler extender: EOF"), "{}", error("{"));
    let neither = error(r#"{"Pod":{"metadata":{"name":"p"}}}"#);
    assert_eq!(neither, "the request has neither `Nodes` nor `NodeNames`");
    assert!(error(r#"{"Pod":{},"NodeNames":[]}"#).contains("missing field `metadata`"));
    let bind: BindingArguments =
        serde_json::from_str(r#"{"podName":"p","PodNamespace":"n","podUID":"u","node":"gpu-a"}"#).unwrap();
    assert_eq!((bind.pod_name.as_str(), bind.node.as_str()), ("p", "gpu-a"));
}

/// Names with escapes are rare and legal JSON.
#[test]
fn escaped_names_are_the_same_names() {
    let request = fixture("filter_names.json").replace("\"cpu-0\"", "\"cp\\u0075-0\"");
    let result = filter(&informed(rule("mct")), &request);
    assert_eq!(result["FailedNodes"], json!({"cpu-0": "yardmaster: no accelerator"}));
}

#[test]
fn paths_and_statuses_are_what_a_scheduler_expects() {
    let extender = bare(rule("mct"));
    let ask = |method: &str, path: &str, body: &str| {
        let answer = extender.answer(method, path, body.as_bytes(), NOW);
        (answer.status, serde_json::from_slice::<Value>(&answer.body).unwrap())
    };
    assert_eq!(ask("PUT", "/k8s/nodes", &fixture("nodes.json")), (200, json!({"nodes": 5})));
    assert_eq!(ask("PUT", "/k8s/pods", &fixture("pods.json")), (200, json!({"nodes": 5})));
    let (status, filtered) = ask("POST", "/k8s/filter", &fixture("filter_names.json"));
    assert_eq!((status, names(&filtered["NodeNames"]).len()), (200, 5));
    let (status, scores) = ask("POST", "/k8s/prioritize", &fixture("filter_names.json"));
    assert_eq!((status, scores.as_array().unwrap().len()), (200, 6));
    // An error of filter is told in the result, one of prioritize by the status, which the scheduler ignores.
    let (status, filtered) = ask("POST", "/k8s/filter", "{}");
    assert!(
        status == 200 && filtered["Error"].as_str().unwrap().contains("missing field `Pod`"),
        "{filtered}"
    );
    assert_eq!(ask("POST", "/k8s/prioritize", "{}").0, 400);
    let bind = json!({"PodName": "p", "PodNamespace": "n", "PodUID": "u", "Node": "gpu-a"}).to_string();
    let (status, refused) = ask("POST", "/k8s/bind", &bind);
    assert!(status == 200 && refused["Error"].as_str().unwrap().contains("was not asked to bind pods (n/p)"));
    assert_eq!(ask("GET", "/k8s/filter", "").0, 405);
    assert_eq!(ask("POST", "/k8s/preempt", "").0, 404);
    assert_eq!(ask("PUT", "/k8s/nodes", "[]").0, 400);
    assert_eq!(extender.known(), 5, "what was wrong changed nothing");
}

#[test]
fn a_folder_is_read_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let put = |file: &str, content: &str| std::fs::write(folder.path().join(file), content).unwrap();
    let extender = bare(rule("mct"));
    let mut state = Folder::new(folder.path());
    assert!(!state.refresh(&extender, NOW).unwrap(), "nothing is there");
    put("nodes.json", &fixture("nodes.json"));
    put("pods.json", &fixture("pods.json"));
    assert!(state.refresh(&extender, NOW).unwrap());
    assert!(!state.refresh(&extender, NOW).unwrap(), "nothing has changed");
    let scores = prioritize(&extender, &fixture("filter_names.json"));
    assert!(scores[3].1 > scores[2].1, "pods are known: {scores:?}");
    put("nodes.json", "{\"items\": [");
    let error = state.refresh(&extender, NOW).unwrap_err().to_string();
    assert!(error.contains("nodes.json is not a list as `kubectl get -o json` prints it: EOF"), "{error}");
    assert_eq!((extender.known(), extender.usable()), (5, 4), "what was known stays");
    put("nodes.json", "{\"items\": []}");
    assert!(state.refresh(&extender, NOW).unwrap());
    assert_eq!(extender.known(), 0);
}

/// The fallback scores until there is a policy, and while it is disabled; a policy that is reloaded takes over.
#[test]
fn the_extender_follows_the_policy_of_its_service() {
    let extender = informed(rule("mct"));
    let request = fixture("filter_names.json");
    let by_fallback = || {
        let request = Arguments::parse(request.as_bytes()).unwrap();
        extender.prioritize(&request, NOW).unwrap().fallback_reason
    };
    assert_eq!(by_fallback(), Some("no-policy"), "there is none yet");
    let policy = Arc::new(Loaded::load(&learned()).unwrap());
    extender.follow(&policy).unwrap();
    assert_eq!(by_fallback(), None);
    extender.disable(true);
    assert_eq!(by_fallback(), Some("disabled"));
    extender.disable(false);
    extender.follow(&Arc::new(Loaded::load(&rule("fcfs")).unwrap())).unwrap();
    assert_eq!(by_fallback(), None);
}

/// Hand-written examples of the shapes, from outside the project.
#[test]
fn the_recorded_shapes_are_understood_and_answered_alike() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var_os("YARDMASTER_DATA").map_or_else(beside, PathBuf::from);
    let data = data.join("serving/k8s_extender");
    if !data.is_dir() {
        println!("skipped: {} is absent", data.display());
        return;
    }
    let read = |file: &str| std::fs::read_to_string(data.join(file)).unwrap();
    let extender = bare(rule("mct"));
    let nodes: List<Node> = serde_json::from_value(json!({"items": [
        {"metadata": {"name": "gpu-a", "labels": {"nvidia.com/gpu.product": "Tesla-V100-SXM2-16GB"}},
         "status": {"allocatable": {"nvidia.com/gpu": "4"}}},
        {"metadata": {"name": "gpu-b", "labels": {"nvidia.com/gpu.product": "Tesla-K80"}},
         "status": {"allocatable": {"nvidia.com/gpu": "4"}}},
        {"metadata": {"name": "cpu-c"}},
    ]}))
    .unwrap();
    extender.set_nodes(&nodes.items);
    let request = read("filter_request.json");
    let (ours, theirs) = (filter(&extender, &request), read("filter_response.json"));
    let mut theirs: Value = serde_json::from_str(&theirs).unwrap();
    assert_eq!(ours["NodeNames"], theirs["NodeNames"]);
    assert_eq!(names_of(&ours["FailedNodes"]), names_of(&theirs["FailedNodes"]));
    assert_eq!(names_of(&ours), names_of(theirs.take()));
    // Their scores are an example; what has to agree is the shape, and that what was kept back is the worst.
    let expected: Value = serde_json::from_str(&read("prioritize_response.json")).unwrap();
    assert_eq!(names_of(&expected[0]), ["Host", "Score"]);
    let scores = prioritize(&extender, &request);
    let of = |host: &Value| scores.iter().find(|(name, _)| host == name).unwrap().1;
    assert!(
        expected.as_array().unwrap().iter().all(|row| of(&row["Host"]) > of(&json!("cpu-c"))),
        "{scores:?}"
    );
    let bind: BindingArguments = serde_json::from_str(&read("bind_request.json")).unwrap();
    assert_eq!((bind.pod_uid.as_str(), bind.pod_namespace.as_str()), ("u1", "default"));
}

/// The keys of an object.
fn names_of(value: impl std::borrow::Borrow<Value>) -> Vec<String> {
    value.borrow().as_object().unwrap().keys().cloned().collect()
}
