//! What it answers when all is well.

use serde_json::{Value, json};
use yardmaster_live::serve::openapi::{ROUTES, Route};

use super::{Server, checkpoint, question, states, value};
use crate::support::ours;

#[test]
fn a_frozen_policy_decides_and_gives_its_reasons() {
    let server = Server::start(&["--checkpoint", &checkpoint()]);
    let answer = value(&server.post("/v1/decide", &question()));
    assert_eq!((&answer["by"], &answer["policy"]), (&json!("policy"), &json!("pool12")));
    let decision = &answer["decisions"][0];
    assert_eq!(decision["start"]["nodes"].as_array().unwrap().len(), 1, "{decision}");
    let probability = decision["reason"]["probability"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&probability) && decision["reason"]["actions"].as_u64().unwrap() > 3);
    assert!(server.metric("yardmaster_decisions_total{act=\"start\"}") == 1.0);
    assert!(server.get("/metrics").text().contains("yardmaster_policy_info{digest="));
}

#[test]
fn a_rule_says_which_it_is_and_what_it_expects() {
    let server = Server::start(&["--policy", "mct"]);
    let mut question = question();
    question["most"] = json!(100);
    let answer = value(&server.post("/v1/decide", &question));
    let decisions = answer["decisions"].as_array().unwrap();
    let starts: Vec<&Value> = decisions.iter().filter(|one| one.get("start").is_some()).collect();
    assert!(!starts.is_empty(), "{answer}");
    for start in starts {
        let reason = |name: &str| start["reason"][name].as_f64().unwrap();
        assert_eq!(start["reason"]["rule"], "mct");
        assert!(reason("expected_s") >= reason("shortest_s") && reason("shortest_s") > 0.0, "{start}");
        assert!(reason("waited_s") >= 0.0 && start["reason"].get("probability").is_none(), "{start}");
    }
    let last = decisions.last().unwrap();
    let jobs = states().states[0].jobs.len() as u64;
    let waiting = last["reason"]["waiting"].as_u64().unwrap();
    assert!(last.get("wait").is_some() && last["reason"]["free"].is_u64() && waiting < jobs, "{last}");
}

#[test]
fn several_decisions_of_one_moment_do_not_use_a_device_twice() {
    let server = Server::start(&["--policy", "mct"]);
    let mut question = question();
    question["most"] = json!(100);
    let answer = value(&server.post("/v1/decide", &question));
    let decisions = answer["decisions"].as_array().unwrap();
    let starts: Vec<&str> =
        decisions.iter().filter_map(|one| one["start"]["nodes"][0]["node"].as_str()).collect();
    assert!(starts.len() > 1, "{answer}");
    // The machines of this scenario have one device each.
    let distinct: std::collections::BTreeSet<&&str> = starts.iter().collect();
    assert_eq!(distinct.len(), starts.len(), "{starts:?}");
}

#[test]
fn a_cluster_is_registered_once_and_changes_are_sent() {
    let server = Server::start(&["--policy", "mct"]);
    let states = states();
    let cluster = serde_json::to_value(&states.cluster).unwrap();
    let handle = value(&server.post("/v1/clusters", &cluster))["handle"].clone();
    assert_eq!(handle, "pool12");
    let delta = |now: u64, ended: &[u64]| {
        json!({ "handle": "pool12",
        "delta": { "format": 1, "now_ns": now, "ended": ended } })
    };
    let early = server.post("/v1/decide", &delta(1, &[]));
    assert_eq!((early.status, early.text().contains("send a whole one first")), (409, true));
    let whole = json!({ "handle": "pool12", "state": states.states[0] });
    let first = value(&server.post("/v1/decide", &whole));
    let now = states.states[0].now_ns;
    let job = first["decisions"][0]["start"]["jobs"][0].as_u64().unwrap();
    let again = value(&server.post("/v1/decide", &delta(now + 1, &[job])));
    assert_ne!(again["decisions"][0]["start"]["jobs"][0], json!(job), "it has ended");
    let unknown = server.post("/v1/decide", &json!({ "handle": "elsewhere", "state": states.states[0] }));
    assert_eq!(unknown.status, 404);
    assert!(server.get("/v1/clusters").text().contains("pool12"));
}

/// A caller whose answer was lost cannot know whether its state arrived.
#[test]
fn what_was_sent_last_may_be_sent_again_under_its_number() {
    let server = Server::start(&["--policy", "mct"]);
    let mut state = states().states[0].clone();
    state.sequence = 7;
    let now = state.now_ns;
    value(&server.post("/v1/clusters", &json!(states().cluster)));
    let ask = |body: Value| server.post("/v1/decide", &body);
    let whole = json!({ "handle": "pool12", "state": state });
    let first = value(&ask(whole.clone()));
    assert_eq!(value(&ask(whole.clone())), first);
    let refused = |body: &Value, reason: &str| {
        let answer = ask(body.clone());
        assert!(answer.status == 409 && answer.text().contains(reason), "{}", answer.text());
    };
    let mut other = whole.clone();
    other["state"]["now_ns"] = json!(now + 5);
    refused(&other, "sequence 7 was another state: count on");
    let job = first["decisions"][0]["start"]["jobs"][0].as_u64().unwrap();
    let change = |sequence: u64| {
        let delta = json!({ "format": 1, "sequence": sequence, "now_ns": now + 10, "ended": [job] });
        json!({ "handle": "pool12", "delta": delta })
    };
    let second = value(&ask(change(8)));
    assert_eq!(second["sequence"], 8);
    assert_eq!(value(&ask(change(8))), second, "the job has ended once");
    refused(&change(7), "sequence is 7, after 8");
    refused(&whole, "sequence is 7, after 8");
    // Counting may begin anew, by a state that is not counted.
    other["state"]["sequence"] = json!(0);
    value(&ask(other));
    value(&ask(change(1)));
}

/// The files that the guide sends are the example of docs/snapshot.md in two parts.
#[test]
fn the_guides_examples_are_answered() {
    let server = Server::start(&["--policy", "mct"]);
    let read = |file: &str| std::fs::read_to_string(ours("docs").join(file)).unwrap();
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let (cluster, question) = (parse(&read("live/cluster.json")), parse(&read("live/question.json")));
    let guide = read("snapshot.md");
    let example = parse(guide.split("```json").nth(1).unwrap().split("```").next().unwrap());
    assert_eq!((&example["cluster"], &example["state"]), (&cluster, &question["state"]));
    assert_eq!(value(&server.post("/v1/clusters", &cluster))["handle"], question["handle"]);
    let answer = value(&server.post("/v1/decide", &question));
    assert_eq!(answer["decisions"][0]["start"]["jobs"], json!([43]), "{answer}");
}

#[test]
fn explaining_changes_nothing() {
    let server = Server::start(&["--checkpoint", &checkpoint()]);
    let states = states();
    value(&server.post("/v1/clusters", &json!(states.cluster)));
    let counted = |at: usize, sequence: u64| {
        let mut state = states.states[at].clone();
        state.sequence = sequence;
        json!({ "handle": "pool12", "state": state })
    };
    let explain = |body: &Value| value(&server.post("/v1/explain", body));
    explain(&counted(1, 9));
    let change = |sequence: u64| {
        let now = states.states[0].now_ns + 1;
        json!({ "handle": "pool12", "delta": { "format": 1, "sequence": sequence, "now_ns": now } })
    };
    let nothing = server.post("/v1/explain", &change(1));
    assert!(nothing.status == 409 && nothing.text().contains("send a whole one first"), "{}", nothing.text());
    // Neither the number nor the moment of what was explained is in the way.
    let decided = value(&server.post("/v1/decide", &counted(0, 3)));
    let explained = explain(&counted(0, 3));
    explain(&counted(1, 9));
    explain(&change(5));
    assert_eq!(value(&server.post("/v1/decide", &counted(0, 3))), decided);
    value(&server.post("/v1/decide", &change(4)));
    assert_eq!(server.metric("yardmaster_decisions_total{act=\"start\"}"), 3.0, "none of them explanations");
    // What was decided about last is explained as it was decided.
    let first = decided["decisions"][0]["start"]["jobs"][0].clone();
    assert!(!first.is_null() && explained["options"].as_array().is_some_and(|all| all.len() > 1));
}

#[test]
fn a_decision_is_explained() {
    let server = Server::start(&["--checkpoint", &checkpoint()]);
    let explained = value(&server.post("/v1/explain", &question()));
    assert!(explained["options"].as_array().unwrap().len() > 1);
    assert!(!explained["options"][0]["features"].as_array().unwrap().is_empty());
}

#[test]
fn shadows_are_asked_without_effect() {
    let server = Server::start(&["--policy", "mct", "--shadow", "ljf", "mct"]);
    for state in &states().states {
        value(&server.post("/v1/decide", &json!({ "cluster": states().cluster, "state": state })));
    }
    server.until("shadows have compared", |server| {
        server.metric("yardmaster_shadow_compared_total{shadow=\"ljf\"}") == 8.0
            && server.metric("yardmaster_shadow_compared_total{shadow=\"mct\"}") == 8.0
    });
    assert!(server.metric("yardmaster_shadow_differs_total{shadow=\"ljf\"}") > 0.0);
    assert!(server.get("/metrics").text().contains("yardmaster_shadow_differs_total{shadow=\"mct\"} 0\n"));
    assert_eq!(server.metric("yardmaster_shadow_differs_total{shadow=\"mct\"}"), 0.0);
}

#[test]
fn the_document_names_every_route_and_every_route_answers() {
    let server = Server::start(&["--policy", "mct"]);
    let document = value(&server.get("/openapi.json"));
    let paths = document["paths"].as_object().unwrap();
    let named: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(named, ROUTES.len());
    for Route { method, path, takes, .. } in ROUTES {
        assert!(paths[path][method].is_object(), "{method} {path}");
        let answer = match method {
            "get" => server.get(path),
            _ => server.client().post(path, b"").unwrap(),
        };
        assert!(![404, 405, 500].contains(&answer.status), "{method} {path}: {}", answer.text());
        assert_eq!(paths[path][method]["requestBody"].is_object(), takes.is_some());
    }
    assert_eq!(server.get("/v1/nothing").status, 404);
}
