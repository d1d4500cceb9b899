//! What it does when a policy, its file or its caller fails.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Server, checkpoint, exists, question, states, value};

#[test]
fn a_corrupt_file_under_load_drops_no_request_and_the_old_policy_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("live.safetensors");
    std::fs::copy(checkpoint(), &file).unwrap();
    let server = Server::start(&["--checkpoint", file.to_str().unwrap()]);
    let digest = value(&server.get("/readyz"))["digest"].clone();
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let body = question().to_string();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.client();
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.post("/v1/decide", body.as_bytes()).unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let good = std::fs::read(&file).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        let failed = server.post("/v1/policies", &json!({}));
        assert_eq!(failed.status, 422);
        assert!(failed.text().contains("the old policy stays"), "{}", failed.text());
        server.signal("-HUP");
        server.until("SIGHUP was heard", |server| {
            server.metric("yardmaster_reloads_total{result=\"failed\"}") == 2.0
        });
        assert_eq!(value(&server.get("/readyz"))["digest"], digest);
        std::fs::write(&file, &good[..good.len() / 3]).unwrap();
        assert_eq!(server.post("/v1/policies", &json!({})).status, 422, "half a file");
        std::fs::write(&file, &good).unwrap();
        server.signal("-HUP");
        server.until("the good file was loaded", |server| {
            server.metric("yardmaster_reloads_total{result=\"ok\"}") == 1.0
        });
        let before = answered.load(Ordering::Relaxed);
        server.until("answers after it", |_| answered.load(Ordering::Relaxed) > before + 20);
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(server.metric("yardmaster_fallbacks_total{reason=\"panic\"}"), 0.0);
}

#[test]
fn a_slow_policy_is_overtaken_by_the_fallback_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let drill = folder.path().join("drill");
    let options = ["--misses", "2", "--rest-s", "1", "--deadline-ms", "400"];
    let drilled = ["--checkpoint", &checkpoint(), "--drill", drill.to_str().unwrap()];
    let server = Server::start(&[&drilled[..], &options[..]].concat());
    let ask = || {
        let start = Instant::now();
        let answer = value(&server.post("/v1/decide", &question()));
        let reason = answer["fallback_reason"].as_str().unwrap_or("none").to_owned();
        (reason, start.elapsed())
    };
    assert_eq!(ask().0, "none");
    std::fs::write(&drill, "2000").unwrap();
    let (reason, took) = ask();
    assert_eq!(reason, "deadline");
    // The deadline is kept on a machine of its own; here others compute too.
    assert!(took < Duration::from_millis(1500), "{took:?}");
    ask();
    assert_eq!(ask().0, "circuit-open");
    assert_eq!(server.metric("yardmaster_circuit_open"), 1.0);
    std::fs::remove_file(&drill).unwrap();
    server.until("the policy decides again", |_| ask().0 == "none");
    assert_eq!(server.metric("yardmaster_circuit_open"), 0.0);
    assert_eq!(value(&server.get("/v1/policies"))["circuit"], "closed");
}

#[test]
fn while_the_disable_file_exists_the_fallback_decides_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disabled");
    let server = Server::start(&["--checkpoint", &checkpoint(), "--disable-file", file.to_str().unwrap()]);
    let reason = |server: &Server| value(&server.post("/v1/decide", &question()))["fallback_reason"].clone();
    assert_eq!(reason(&server), json!(null));
    std::fs::write(&file, "").unwrap();
    assert!(exists(&file));
    server.until("it is disabled", |server| reason(server) == "disabled");
    std::fs::remove_file(&file).unwrap();
    server.until("it is enabled", |server| reason(server).is_null());
}

#[test]
fn a_state_that_is_old_or_overtaken_is_not_decided_about() {
    let server = Server::start(&["--policy", "mct", "--max-age-s", "5"]);
    let states = states();
    let mut old = question();
    old["taken_unix_ms"] = json!(1_000_000);
    let answer = server.post("/v1/decide", &old);
    assert_eq!((answer.status, answer.text().contains("ms old")), (409, true));
    value(&server.post("/v1/clusters", &serde_json::to_value(&states.cluster).unwrap()));
    let with = |sequence: u64| {
        let mut state = states.states[0].clone();
        state.sequence = sequence;
        server.post("/v1/decide", &json!({ "handle": "pool12", "state": state })).status
    };
    assert_eq!([with(5), with(6), with(5), with(4), with(7)], [200, 200, 409, 409, 200]);
    assert_eq!(server.metric("yardmaster_refused_total{reason=\"stale\"}"), 3.0);
}

#[test]
fn a_service_that_is_told_to_stop_answers_what_it_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let drill = folder.path().join("drill");
    std::fs::write(&drill, "700").unwrap();
    let checkpoint = checkpoint();
    let options = ["--checkpoint", &checkpoint, "--drill", drill.to_str().unwrap(), "--deadline-ms", "20000"];
    let mut server = Server::start(&options);
    let mut open = server.client();
    let answer =
        std::thread::spawn(move || open.post("/v1/decide", question().to_string().as_bytes()).unwrap());
    server.until("it was asked", |server| {
        // The question has been sent once a connection of its own is answered after it.
        server.get("/healthz").status == 200 && !answer.is_finished()
    });
    std::thread::sleep(Duration::from_millis(200));
    server.signal("-TERM");
    assert_eq!(answer.join().unwrap().status, 200);
    let start = Instant::now();
    let status = server.child.wait().unwrap();
    assert!(status.success() && start.elapsed() < Duration::from_secs(15), "{status}");
}
