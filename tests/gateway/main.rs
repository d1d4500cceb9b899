//! The gateway with real back ends: processes that run an ONNX network and are killed, stopped and overrun.
//!
//! Not part of `cargo test` (`test = false` in the manifest), as it builds an inference runtime first, which takes minutes:
//! `make test-live`, or `cargo test --test gateway`.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "the other tests need the rest of it")]
mod support;
mod yard;

use support::{Bench, frozen};
use yard::{Yard, ask, backend, body, gateway, get, receive, send, write_model};

fn close(one: &[f64], other: &[f64]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| (one - other).abs() < 1e-5)
}

#[test]
fn each_caller_gets_its_own_answer_out_of_batches() {
    let yard = Yard::start(&[("fast", 10), ("mid", 15), ("slow", 25)], "fcfs", "", "");
    let answers = yard.all(0..40);
    let alone = |number| receive(ask(&yard.backends[0].address, number, "")).output();
    for (number, answer) in answers.iter().enumerate() {
        assert!(close(&answer.output(), &alone(number)), "request {number} got another's answer");
        assert_eq!(answer.json()["id"], format!("r{number}"));
        assert_eq!(answer.json()["outputs"][0]["shape"], serde_json::json!([1, 4]));
    }
    assert!(!close(&alone(0), &alone(1)), "requests can be told apart");
    let batch = |answer: &yard::Answer| answer.header("x-yardmaster-batch").unwrap().parse::<u64>().unwrap();
    assert!(answers.iter().any(|answer| batch(answer) > 2), "no batch was formed");
    let mut used: Vec<&str> =
        answers.iter().map(|answer| answer.header("x-yardmaster-backend").unwrap()).collect();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used, ["fast", "mid", "slow"]);
    assert_eq!(yard.metric("requests_total", "end=\"answered\""), 40);
    assert_eq!(yard.metric("batched_requests_total", ""), 40);
    assert!(yard.metric("batches_total", "") < 30);
    assert_eq!(yard.metric("waiting", ""), 0);
}

#[test]
fn a_hold_of_the_policy_gathers_a_batch() {
    let yard = Yard::start(&[("only", 1)], "fcfs+timeout(ms=100)", "", "");
    let answers = yard.all(0..3);
    for answer in &answers {
        assert_eq!((answer.status, answer.header("x-yardmaster-batch")), (200, Some("3")));
    }
}

#[test]
fn what_is_late_is_dropped_where_the_scenario_says_so() {
    let yard = Yard::start(&[("only", 400)], "fcfs", "late = \"drop\"", "");
    let address = &yard.gateway.address;
    let first = ask(address, 0, "x-deadline-ms: 5000\r\n");
    yard.until("the first runs", || yard.metric("batches_total", "") == 1);
    let late = receive(ask(address, 1, "x-deadline-ms: 20\r\n"));
    assert_eq!((late.status, &late.json()["error"]), (504, &"the deadline has passed".into()));
    let mut told: serde_json::Value = serde_json::from_str(&body(2)).unwrap();
    told["parameters"]["deadline_ms"] = 20.into();
    let told = receive(send(address, "POST", "/v2/models/tiny/infer", "", &told.to_string()));
    assert_eq!(told.status, 504, "as a parameter it counts, too");
    assert_eq!(receive(first).status, 200);
    assert_eq!(yard.metric("requests_total", "end=\"late\""), 2);
}

#[test]
fn a_late_answer_is_given_and_counted_otherwise() {
    let yard = Yard::start(&[("only", 60)], "fcfs", "", "");
    assert_eq!(receive(ask(&yard.gateway.address, 0, "x-deadline-ms: 10\r\n")).status, 200);
    assert_eq!(yard.metric("missed_deadlines_total", ""), 1);
}

#[test]
fn who_hangs_up_takes_no_place_in_a_batch() {
    let yard = Yard::start(&[("only", 300)], "fcfs", "", "");
    let address = &yard.gateway.address;
    let first = ask(address, 0, "");
    yard.until("the first runs", || yard.metric("batches_total", "") == 1);
    let gone = ask(address, 1, "");
    yard.until("it waits", || yard.metric("waiting", "") == 1);
    drop(gone);
    yard.until("it has left", || yard.metric("requests_total", "end=\"cancelled\"") == 1);
    let other = receive(ask(address, 2, ""));
    assert_eq!(other.header("x-yardmaster-batch"), Some("1"));
    assert_eq!((receive(first).status, other.status), (200, 200));
}

#[test]
fn who_finds_the_queue_full_is_told_to_come_again() {
    let yard = Yard::start(&[("only", 400)], "fcfs", "", "max_queue = 2");
    let first = ask(&yard.gateway.address, 0, "");
    yard.until("the first runs", || yard.metric("batches_total", "") == 1);
    let answers = yard.all(1..8);
    let mut full = 0;
    for answer in &answers {
        match answer.status {
            200 => {}
            429 => {
                assert_eq!(answer.header("retry-after"), Some("1"));
                full += 1;
            }
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert_eq!((full, receive(first).status), (5, 200));
}

#[test]
fn a_batch_of_a_back_end_that_dies_is_served_by_another() {
    let mut yard = Yard::start(&[("fast", 500), ("slow", 501)], "fcfs", "", "");
    let sent: Vec<_> = (0..8).map(|number| ask(&yard.gateway.address, number, "")).collect();
    yard.until("a batch runs there", || yard.metric("batches_total", "\"fast\"") == 1);
    yard.backends[0].kill();
    for (number, stream) in sent.into_iter().enumerate() {
        let answer = receive(stream);
        let alone = receive(ask(&yard.backends[1].address, number, "")).output();
        assert!(close(&answer.output(), &alone), "request {number}");
        assert_eq!(answer.header("x-yardmaster-backend"), Some("slow"));
    }
    assert_eq!(yard.metric("failed_batches_total", "\"fast\""), 1);
    assert_eq!(yard.metric("backend_up", "\"fast\""), 0);
}

#[test]
fn without_a_back_end_everyone_is_told_so_until_it_comes_back() {
    let mut yard = Yard::start(&[("only", 300)], "fcfs", "", "max_wait_ms = 600");
    let sent: Vec<_> = (0..3).map(|number| ask(&yard.gateway.address, number, "")).collect();
    yard.until("a batch runs", || yard.metric("batches_total", "") >= 1);
    yard.backends[0].kill();
    for stream in sent {
        let answer = receive(stream);
        assert!([502, 504].contains(&answer.status), "{}: {}", answer.status, answer.body);
        assert!(answer.json()["error"].is_string());
    }
    let refused = receive(ask(&yard.gateway.address, 9, ""));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(get(&yard.gateway.address, "/readyz").status, 503);
    assert_eq!(get(&yard.gateway.address, "/healthz").status, 200);
    let again = backend(&yard.bench, ("only", 1), &yard.backends[0].address);
    yard.until("it is up again", || get(&yard.gateway.address, "/readyz").status == 200);
    assert_eq!(receive(ask(&yard.gateway.address, 9, "")).status, 200);
    drop(again);
}

#[test]
fn what_was_taken_in_is_answered_before_the_gateway_stops() {
    let mut yard = Yard::start(&[("only", 300)], "fcfs", "", "");
    let sent: Vec<_> = (0..3).map(|number| ask(&yard.gateway.address, number, "")).collect();
    yard.until("all are in", || yard.metric("waiting", "") + yard.metric("batched_requests_total", "") == 3);
    yard.gateway.terminate();
    for stream in sent {
        assert_eq!(receive(stream).status, 200);
    }
    assert_eq!(yard.gateway.wait(), Some(0));
}

#[test]
fn a_stop_does_not_wait_for_a_back_end_that_hangs() {
    let mut yard = Yard::start(&[("only", 60_000)], "fcfs", "", "drain_ms = 200");
    let sent = ask(&yard.gateway.address, 0, "");
    yard.until("it runs", || yard.metric("batches_total", "") == 1);
    yard.gateway.terminate();
    let answer = receive(sent);
    assert_eq!((answer.status, &answer.json()["error"]), (503, &"the gateway is stopping".into()));
    assert_eq!(yard.gateway.wait(), Some(0));
}

#[test]
fn a_back_end_that_hangs_is_given_up() {
    let yard =
        Yard::start(&[("hangs", 5000), ("well", 5001)], "fcfs", "", "call_timeout_ms = 100\nattempts = 2");
    let answer = receive(ask(&yard.gateway.address, 0, ""));
    assert_eq!(answer.status, 502, "both hang");
    assert!(answer.json()["error"].as_str().unwrap().contains("no answer within 100 ms"), "{}", answer.body);
}

#[test]
fn a_bad_request_harms_nobody_else() {
    let yard = Yard::start(&[("only", 20)], "fcfs+timeout(ms=50)", "", "max_body_bytes = 2000");
    let address = &yard.gateway.address;
    let good = ask(address, 0, "");
    let post = |path: &str, body: &str| receive(send(address, "POST", path, "", body));
    let path = "/v2/models/tiny/infer";
    for (bad, why) in [
        ("{", "EOF while parsing"),
        ("{\"inputs\": []}", "0 inputs given"),
        (&*body(1).replace("\"x\"", "\"y\""), "there is no input \"x\""),
        (&*body(1).replace("FP32", "FP64"), "the datatype is FP64, not FP32"),
        (&*body(1).replace("[1,8]", "[2,8]"), "2 rows in one request"),
        (&*body(1).replace("[1,8]", "[1,9]"), "the shape is [1, 9]"),
    ] {
        let answer = post(path, bad);
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.json()["error"].as_str().unwrap().contains(why), "{}", answer.body);
    }
    assert_eq!(receive(ask(address, 1, "x-deadline-ms: soon\r\n")).status, 400);
    assert_eq!(post(path, &" ".repeat(3000)).status, 413);
    assert_eq!(post("/v2/models/other/infer", &body(1)).status, 404);
    assert_eq!(receive(good).status, 200);
    let meta = get(address, "/v2/models/tiny").json();
    assert_eq!(meta["inputs"][0]["shape"], serde_json::json!([-1, 8]));
}

#[test]
fn a_frozen_policy_decides_as_well() {
    let mut yard = Yard::start(&[("fast", 2), ("slow", 20)], "fcfs", "", "");
    yard.bench.put("p.safetensors", frozen("pool12", 0.0));
    yard.gateway = gateway(&yard.bench, &["--checkpoint", "p.safetensors"]);
    yard.until("ready", || yard.metric("backend_up", "") == 2);
    for answer in yard.all(0..20) {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(yard.metric("info", "policy=\"p\""), 1);
    let text = get(&yard.gateway.address, "/metrics").body;
    assert!(text.lines().any(|line| line == "yardmaster_gateway_fallbacks_total 0"), "{text}");
}

#[test]
fn a_profile_is_a_scenario_that_simulator_and_gateway_share() {
    let bench = Bench::new();
    write_model(&bench);
    let backends = [("quick", 4), ("tardy", 12)].map(|pace| backend(&bench, pace, "127.0.0.1:0"));
    let [quick, tardy] = [&backends[0].address, &backends[1].address];
    bench.ok(&format!(
        "profile --backend http://{quick} --backend late=http://{tardy} --model tiny --batches 1,8 \
         --repetitions 3 --requests 30 --load 0.2 --slack 10 --out s.toml --gateway g.toml"
    ));
    let scenario: toml::Table = bench.get("s.toml").parse().unwrap();
    let latencies = scenario["measured"]["latencies"].as_array().unwrap();
    let of = |device: &str, batch: i64| {
        let row = latencies
            .iter()
            .find(|row| row["device"].as_str() == Some(device) && row["batch"].as_integer() == Some(batch));
        row.unwrap()["latency_us"].as_float().unwrap()
    };
    assert!(of("quick", 1) >= 4000.0 && of("late", 8) >= 12_000.0);
    let simulated = bench.json("simulate --scenario s.toml --policy mct --json -");
    assert_eq!(simulated["jobs"], 30);
    let shown = bench.ok("inspect s.toml");
    assert!(shown.contains("quick, measured") && shown.contains("asks tiny"), "{shown}");
    bench.ok("live-compare --config g.toml --policies fcfs --episodes 1 --json rows.json --markdown t.md");
    let rows: serde_json::Value = serde_json::from_str(&bench.get("rows.json")).unwrap();
    let row = &rows["rows"][0];
    assert_eq!((&row["live"]["answered"], &row["live"]["requests"]), (&30.into(), &30.into()));
    assert!(row["live"]["mean_ms"].as_f64().unwrap() >= 4.0);
    assert!(row["simulated"]["mean_ms"].as_f64().unwrap() >= 4.0);
    assert!(bench.get("t.md").contains("| fcfs |"));
}
